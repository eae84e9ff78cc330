"""``@evaluation`` and ``@llm_call`` record each call of a function without changing its arguments, results and
exceptions."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace

import genesis_otel
from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import opened
from tests.support.recording import Recorded, attributes_of


def jobs(recorded: Recorded) -> list[dict[str, Any]]:
    """The details of the evaluations."""
    return [json.loads(each[names.EVALUATION_DETAILS]) for each in recorded.records(names.RECORD_EVALUATION)]


def submitted(recorded: Recorded) -> list[str]:
    """The jobs that were reported as submitted."""
    return [json.loads(each[names.ACTION_DETAILS])["job_id"] for each in recorded.records(names.RECORD_ACTION)]


@pytest.mark.parametrize(
    "decorator", [genesis_otel.evaluation, genesis_otel.evaluation(), spans.evaluation(details={})]
)
def test_each_call_is_a_job(recorded: Recorded, decorator: Callable[[Any], Any]) -> None:
    """With and without parentheses, also if decorated before there is a run: one job per call, of the individual that
    is current then."""

    @decorator
    def evaluate(program: str, *, scale: float = 1.0) -> float:
        """Its length."""
        return len(program) * scale

    assert (evaluate.__name__, evaluate.__doc__) == ("evaluate", "Its length.")
    assert list(inspect.signature(evaluate).parameters) == ["program", "scale"]
    with spans.run("t") as run, run.generation(0) as generation:
        for name in ("a", "bb"):
            with generation.individual(name):
                assert evaluate(name, scale=0.5) == len(name) / 2
    assert [(each["individual_id"], each["combined_score"]) for each in jobs(recorded)] == [("a", 0.5), ("bb", 1.0)]
    assert submitted(recorded) == [each["job_id"] for each in jobs(recorded)]


def test_arguments_are_those_of_each_job(recorded: Recorded) -> None:
    """Arguments of the decorator are recorded for each job; decorating a function emits nothing, also within a run."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual("a"):

        @genesis_otel.evaluation(details={"suite": "fast"}, metadata={"host": "x"})
        def evaluate() -> dict[str, object]:
            return {"combined_score": 2, "correct": False, "other": object()}

        assert submitted(recorded) == []
        evaluate()
    (job,) = jobs(recorded)
    assert (job["suite"], job["combined_score"], job["correct"]) == ("fast", 2.0, False)
    assert len(submitted(recorded)) == 1


def test_an_evaluation_object_begins_when_it_is_used(recorded: Recorded) -> None:
    """An evaluation that names nothing begins when it is entered, used or ended, with the time of its creation; a
    forgotten one ends with its process, like any other."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual("a"):
        by_hand = spans.evaluation()
        assert submitted(recorded) == []
        made = trace.get_current_span()
        assert by_hand.job_id and submitted(recorded) == [by_hand.job_id]
        by_hand.end()
        with spans.evaluation() as entered:
            assert trace.get_current_span() is entered.span is not made
        named = spans.evaluation("mine")
        assert submitted(recorded)[-1] == "mine"
        named.end()
        forgotten = spans.evaluation()
    opened.end_all()
    assert forgotten.job_id in submitted(recorded)
    assert len(jobs(recorded)) == 4
    for span in recorded.named("evaluation"):
        assert span.parent is not None
        assert attributes_of(span)[names.INDIVIDUAL_ID] == "a"


def test_an_evaluation_that_has_begun_decorates_with_a_warning(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """An evaluation of a named individual has already begun when it is used as a decorator: it ends, one line says so,
    and the function's calls are recorded."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual("a") as individual:
        with caplog.at_level(logging.WARNING):

            @individual.evaluation()
            def evaluate() -> float:
                return 1.0

        assert "decorate with @genesis_otel.evaluation" in caplog.text
        assert evaluate() == 1.0
    assert len(jobs(recorded)) == len(submitted(recorded)) == 2


def test_exceptions_pass(recorded: Recorded) -> None:
    """A function's exception arrives unchanged, and the job or call has failed with it."""
    wrong = ValueError("no program")

    @genesis_otel.evaluation
    @genesis_otel.llm_call("m")
    def evaluate() -> None:
        raise wrong

    with spans.run("t"), pytest.raises(ValueError) as raised:
        evaluate()
    assert raised.value is wrong
    assert recorded.one("evaluation").status.description == "ValueError: no program"
    assert attributes_of(recorded.one("chat m"))[names.ERROR_TYPE] == "ValueError"


def test_a_wrong_call_raises_pythons_own_error(recorded: Recorded) -> None:
    """A call with arguments that the function does not have raises Python's TypeError."""

    @genesis_otel.llm_call
    def ask(prompt: str) -> str:
        return prompt

    with spans.run("t"), pytest.raises(TypeError, match="missing 1 required positional argument"):
        ask()  # type: ignore[call-arg]


OPENAI = SimpleNamespace(
    id="chatcmpl-1",
    model="gpt-4o-2024",
    choices=[SimpleNamespace(message=SimpleNamespace(content="better"), finish_reason="stop")],
    usage=SimpleNamespace(
        prompt_tokens=10,
        completion_tokens=3,
        prompt_tokens_details=SimpleNamespace(cached_tokens=4),
        completion_tokens_details=SimpleNamespace(reasoning_tokens=1),
    ),
)
ANTHROPIC = {
    "id": "msg_1",
    "model": "claude",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "better"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 3},
}
RESPONSES = SimpleNamespace(
    id="resp_1",
    model="gpt-4o",
    output_text="better",
    usage=SimpleNamespace(input_tokens=10, output_tokens=3, input_tokens_details=SimpleNamespace(cached_tokens=4)),
)


@pytest.mark.parametrize(("answer", "cached"), [(OPENAI, 4), (ANTHROPIC, 3), (RESPONSES, 4), ("better", None)])
def test_a_call_records_what_its_answer_contains(recorded: Recorded, answer: object, cached: int | None) -> None:
    """From a text, or from what the clients return: its text and its tokens, including cached prompt tokens; the caller
    gets the answer unchanged."""

    @genesis_otel.llm_call("gpt-4o", provider="openai", role="judge")
    def ask(prompt: str) -> object:
        assert attributes_of(trace.get_current_span())[names.LLM_ROLE] == "judge"  # type: ignore[arg-type]
        return answer

    with spans.run("t"):
        assert ask("Improve") is answer
    told = attributes_of(recorded.one("chat gpt-4o"))
    assert json.loads(told[names.GEN_AI_INPUT_MESSAGES])[0]["parts"][0]["content"] == "Improve"
    assert json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "better"
    assert told.get(names.GEN_AI_USAGE_INPUT_TOKENS) == (None if cached is None else 10)
    assert told.get(names.GEN_AI_USAGE_OUTPUT_TOKENS) == (None if cached is None else 3)
    assert told.get(names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS) == cached


def event(kind: str, **told: Any) -> dict[str, Any]:
    return {"type": kind, **told}


OPENAI_CHUNKS = [
    {"id": "c", "choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None},
    *({"id": "c", "choices": [{"delta": {"content": text}}]} for text in ("bet", "ter")),
    {"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]},
    {
        "id": "c",
        "choices": [],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
        },
    },
]
ANTHROPIC_EVENTS = [
    event(
        "message_start",
        message={
            "id": "c",
            "content": [],
            "usage": {
                "input_tokens": 500,
                "cache_read_input_tokens": 400,
                "cache_creation_input_tokens": 100,
                "output_tokens": 1,
            },
        },
    ),
    event("content_block_start", content_block={"type": "text", "text": ""}),
    *(event("content_block_delta", delta={"type": "text_delta", "text": text}) for text in ("bet", "ter")),
    event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{}"}),
    event("message_delta", delta={"stop_reason": "stop"}, usage={"output_tokens": 50}),
    event("message_stop"),
]
RESPONSES_EVENTS = [
    event("response.created", response={"id": "c", "usage": None}),
    *(event("response.output_text.delta", delta=text) for text in ("bet", "ter")),
    event("response.function_call_arguments.delta", delta='{"x":'),
    event("response.output_text.done", text="better"),
    event(
        "response.completed",
        response={
            "id": "c",
            "output_text": "better",
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 50,
                "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
            },
        },
    ),
]


@pytest.mark.parametrize("parts", [OPENAI_CHUNKS, ANTHROPIC_EVENTS, RESPONSES_EVENTS])
@pytest.mark.parametrize("kind", [dict, SimpleNamespace])
def test_a_stream_of_a_client_has_the_tokens_of_all_of_it(
    recorded: Recorded, parts: list[dict[str, Any]], kind: type
) -> None:
    """Yielded as the clients give them: the text, the answer's id, and the tokens of prompt and answer, of which a price can be made;
    Anthropic tells the former with its first event, without those that were cached."""
    given = json.loads(json.dumps(parts), object_hook=lambda told: kind(**told))

    @genesis_otel.llm_call("m")
    def ask(prompt: str) -> Iterator[object]:
        yield from given

    with spans.run("t"):
        assert list(ask("Improve")) == given
    told = attributes_of(recorded.one("chat m"))
    assert json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "better"
    assert told[names.GEN_AI_RESPONSE_ID] == "c"
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 1000
    assert told[names.GEN_AI_USAGE_OUTPUT_TOKENS] == 50
    assert told[names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 400
    assert told[names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS] == 100


def test_without_brackets_the_model_is_an_argument_or_the_one_that_answers(recorded: Recorded) -> None:
    """The call's ``model`` and ``messages`` are recorded as its model and prompt; without such an argument, the
    answer's model is."""

    @genesis_otel.llm_call
    def ask(messages: list[dict[str, str]], model: str = "") -> object:
        return OPENAI

    with spans.run("t"):
        ask([{"role": "user", "content": "Improve"}], "gpt-4o")
        ask([])
    asked = [attributes_of(span)[names.GEN_AI_REQUEST_MODEL] for span in recorded.spans if span.name.startswith("chat")]
    assert asked == ["gpt-4o", "gpt-4o-2024"]


def test_coroutines_stay_coroutines(recorded: Recorded) -> None:
    """An async function is recorded while it is awaited; of several at once, each in its own place."""

    @genesis_otel.evaluation
    async def evaluate(number: int) -> int:
        before = trace.get_current_span()
        await asyncio.sleep(0)
        assert trace.get_current_span() is before
        return number

    async def search() -> list[int]:
        return await asyncio.gather(*(evaluate(number) for number in range(5)))

    assert inspect.iscoroutinefunction(evaluate)
    with spans.run("t"):
        assert asyncio.run(search()) == list(range(5))
    assert sorted(each["combined_score"] for each in jobs(recorded)) == list(range(5))


def test_a_generator_is_recorded_from_first_to_last(recorded: Recorded) -> None:
    """Its parts are the answer, and the time of the first is recorded; between its steps the consumer's context is
    unchanged."""

    @genesis_otel.llm_call("m")
    def stream(prompt: str) -> Generator[str, str, str]:
        got = yield "Hello"
        assert trace.get_current_span() is not outside
        yield f", {got}"
        return "done"

    def consume() -> Iterator[str]:
        steps = stream("x")
        yield next(steps)
        assert trace.get_current_span() is outside
        yield steps.send("you")
        with pytest.raises(StopIteration) as stopped:
            next(steps)
        yield stopped.value.value

    with spans.run("t"):
        outside = trace.get_current_span()
        assert list(consume()) == ["Hello", ", you", "done"]
    told = attributes_of(recorded.one("chat m"))
    assert json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "Hello, you"
    assert told[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] >= 0


def test_exceptions_thrown_into_a_generator_arrive_there(recorded: Recorded) -> None:
    """``throw`` and ``close`` reach the function; a generator that is closed early is abandoned, not failed."""
    arrived: list[str] = []

    @genesis_otel.llm_call("m")
    def stream() -> Iterator[str]:
        try:
            yield "a"
        except KeyError:
            arrived.append("thrown")
            yield "b"
        finally:
            arrived.append("closed")

    with spans.run("t"):
        steps = stream()
        assert next(steps) == "a"
        assert steps.throw(KeyError("k")) == "b"  # type: ignore[attr-defined]
        steps.close()  # type: ignore[attr-defined]
    assert arrived == ["thrown", "closed"]
    span = recorded.one("chat m")
    assert span.status.is_ok and attributes_of(span)[names.GEN_AI_RESPONSE_FINISH_REASONS] == ("abandoned",)
    assert "ab" in attributes_of(span)[names.GEN_AI_OUTPUT_MESSAGES]


def test_an_asynchronous_generator(recorded: Recorded) -> None:
    """The same with await: OpenAI's chunks are joined, with the usage that the last one reports."""

    def chunk(text: str | None, usage: object = None) -> SimpleNamespace:
        choices = [] if text is None else [SimpleNamespace(delta=SimpleNamespace(content=text), finish_reason=None)]
        return SimpleNamespace(id="c", model="m-1", choices=choices, usage=usage)

    sent = [chunk("bet"), chunk("ter"), chunk(None, OPENAI.usage)]

    @genesis_otel.llm_call("m")
    async def stream() -> AsyncIterator[object]:
        for each in sent:
            await asyncio.sleep(0)
            yield each

    async def consume() -> list[object]:
        return [each async for each in stream()]

    assert inspect.isasyncgenfunction(stream)
    with spans.run("t"):
        assert asyncio.run(consume()) == sent
    told = attributes_of(recorded.one("chat m"))
    assert json.loads(told[names.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "better"
    assert (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_RESPONSE_MODEL]) == (10, "m-1")


def test_methods(recorded: Recorded) -> None:
    """A decorated method gets its object."""

    class Evaluator:
        factor = 2

        @genesis_otel.evaluation
        def evaluate(self, number: int) -> int:
            return number * self.factor

    with spans.run("t"):
        assert Evaluator().evaluate(3) == 6
    assert jobs(recorded)[0]["combined_score"] == 6.0
