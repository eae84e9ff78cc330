"""Each call of OpenEvolve's clients is recorded once, with its actual course: with a blocking client (OpenEvolve 0.4.0
calls it in a thread) as with an async one (since 0.4.1), whoever records it.

OpenEvolve's own clients and both kinds of OpenAI's call an endpoint on loopback that reports when it received a request
and when it answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from openevolve.config import DatabaseConfig, LLMModelConfig  # type: ignore[import-untyped]
from openevolve.database import Program, ProgramDatabase  # type: ignore[import-untyped]
from openevolve.embedding import EmbeddingClient  # type: ignore[import-untyped]
from openevolve.llm.ensemble import LLMEnsemble  # type: ignore[import-untyped]
from openevolve.llm.openai import OpenAILLM  # type: ignore[import-untyped]
from opentelemetry import context as otel
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel.instrumentation import openevolve
from genesis_otel.instrumentation._openevolve import llm as llm_calls
from genesis_otel.instrumentation._openevolve.llm import Recorder
from genesis_otel.instrumentation.installed import CONTENT
from tests.support.in_thread import Silent, in_thread
from tests.support.recording import Recorded, attributes_of, ids_of, record

RECORDERS: list[Recorder] = ["genesis", "openai"]
CLIENTS = [openai.OpenAI, openai.AsyncOpenAI]
CANCELLED = ("CancelledError", "asyncio.exceptions.CancelledError")


class Endpoint(ThreadingHTTPServer):
    """Answers by model name: ``broken`` with an error, ``silent`` when released, ``together`` when two requests have
    arrived, ``plain`` with a text, ``filtered`` without a choice; any other at once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.released = threading.Event()
        self.both = threading.Barrier(2)
        self.asked: list[int] = []
        self.answered: list[int] = []


class Handler(Silent):
    server: Endpoint

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(time.time_ns())
        model = request["model"]
        if model == "silent":
            self.server.released.wait(120)
        if model == "together":
            self.server.both.wait(120)
        usage: dict[str, Any] = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        if model == "charged":
            usage["cost"] = 0.0125
        message = {"role": "assistant", "content": f"to {request.get('messages', [{}])[-1].get('content')}"}
        answer: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
        if model == "filtered":
            answer["choices"] = []
        if "input" in request:
            answer = {"object": "list", "model": model, "data": [{"object": "embedding", "index": 0, "embedding": [1]}]}
            answer["usage"] = {"prompt_tokens": 11, "total_tokens": 11}
        body = b"data: {}" if model == "plain" else json.dumps(answer).encode()
        self.server.answered.append(time.time_ns())
        with contextlib.suppress(ConnectionError):  # a cancelled client no longer listens
            self.send_response(500 if model == "broken" else 200)
            self.send_header("Content-Type", "text/event-stream" if model == "plain" else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(body)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with in_thread(Endpoint()) as server:
        yield server
        server.released.set()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Recorded]:
    """What this process records; warnings fail the test."""
    for name, value in CONTENT.items():
        monkeypatch.setenv(name, value)  # as `instrument` does, but only for the length of a test
    yield record(monkeypatch)
    openevolve.uninstrument()
    OpenAIInstrumentor().uninstrument()
    said = [each.getMessage() for each in caplog.records if each.name.startswith("genesis_otel")]
    assert [each for each in said if "record" in each] == []


def config(endpoint: Endpoint, name: str, **more: Any) -> Any:
    """The configuration of a model. The client's own timeout is long: OpenEvolve's ends the call."""
    told = {"timeout": 60, "retries": 0, "retry_delay": 0, "temperature": 0.7, "max_tokens": 100, **more}
    return LLMModelConfig(name=name, api_base=endpoint.url, api_key="none", system_message="You improve.", **told)


def run(*clients: Any, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Run in a separate event loop, which also closes the clients."""

    async def asking() -> Any:
        try:
            return await ask()
        finally:
            await asyncio.get_running_loop().shutdown_default_executor()  # blocking calls may be in progress there
            for client in clients:
                closed = client.close()
                if closed is not None:
                    await closed

    return asyncio.run(asking())


async def call(client: Any, params: dict[str, Any], endpoint: Endpoint) -> Any:
    """What the versions of OpenEvolve do in ``_call_api``, by kind of client."""
    llm = SimpleNamespace(client=client)
    carried = llm_calls.carrying(llm, params, otel.get_current(), openevolve._recorder)
    if isinstance(client, openai.AsyncOpenAI):
        return await client.chat.completions.create(**carried, stream=False)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: client.chat.completions.create(**carried, stream=False))


def calls_of(recorded: Recorded) -> list[ReadableSpan]:
    return [span for span in recorded.spans if span.kind is SpanKind.CLIENT]


def error_of(span: ReadableSpan) -> str:
    return str(attributes_of(span).get("error.type", ""))


@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("kind", CLIENTS)
def test_either_kind_of_client_is_recorded(
    kind: Any, recorder: Recorder, recorded: Recorded, endpoint: Endpoint
) -> None:
    """A call is one span of its individual, with its tokens, that begins before the endpoint receives the request and
    ends after the answer; the client's answer is unchanged."""
    openevolve.instrument(llm=recorder)
    client = kind(api_key="none", base_url=endpoint.url, max_retries=0)
    params = {"model": "some-model", "messages": [{"role": "user", "content": "question"}]}
    with spans.run("task", run_id="r"), spans.generation(4), spans.individual("i") as individual:
        answer = run(client, ask=lambda: call(client, params, endpoint))
    assert answer.choices[0].message.content == "to question"
    (span,) = calls_of(recorded)
    told = attributes_of(span)
    assert (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_USAGE_OUTPUT_TOKENS]) == (11, 3)
    assert (told[names.RUN_ID], told[names.INDIVIDUAL_ID]) == ("r", "i")
    assert span.parent is not None and span.parent.span_id == ids_of(individual.span)[1]  # type: ignore[arg-type]
    assert span.status.status_code is not StatusCode.ERROR
    assert span.start_time is not None and span.end_time is not None
    assert span.start_time <= endpoint.asked[0] <= endpoint.answered[0] <= span.end_time


@pytest.mark.parametrize("recorder", RECORDERS)
def test_openevolves_own_client_is_recorded(recorder: Recorder, recorded: Recorded, endpoint: Endpoint) -> None:
    """The same with the client that the installed OpenEvolve creates, whichever kind it is."""
    openevolve.instrument(llm=recorder)
    llm = OpenAILLM(config(endpoint, "some-model"))
    with spans.run("task"), spans.generation(1), spans.individual("i"):
        assert run(llm.client, ask=lambda: llm.generate("question")) == "to question"
    (span,) = calls_of(recorded)
    told = attributes_of(span)
    assert (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_USAGE_OUTPUT_TOKENS]) == (11, 3)
    assert (told[names.INDIVIDUAL_ID], told[names.LLM_ROLE]) == ("i", "mutation")
    assert span.end_time is not None and span.end_time >= endpoint.answered[0]
    assert llm.last_usage["total_tokens"] == 14


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_gateways_charge_is_the_cost(recorder: Recorder, recorded: Recorded, endpoint: Endpoint) -> None:
    """The charge that an answer reports, as OpenRouter's do, is the call's cost whoever records it, and the server of
    the call is recorded."""
    openevolve.instrument(llm=recorder)
    for name in ("charged", "some-model"):
        llm = OpenAILLM(config(endpoint, name))
        assert run(llm.client, ask=functools.partial(llm.generate, "question")) == "to question"
    charged, other = (attributes_of(span) for span in calls_of(recorded))
    assert (charged[names.GEN_AI_USAGE_COST], charged[names.LLM_COST_SOURCE]) == (0.0125, "openrouter")
    assert names.GEN_AI_USAGE_COST not in other and names.LLM_COST_SOURCE not in other
    assert charged[names.SERVER_ADDRESS] == other[names.SERVER_ADDRESS] == "127.0.0.1"


@pytest.mark.parametrize("recorder", RECORDERS)
def test_every_failed_try_is_a_call(recorder: Recorder, recorded: Recorded, endpoint: Endpoint) -> None:
    """OpenEvolve retries after an error: each of its calls is recorded with the error, and the exception is raised."""
    openevolve.instrument(llm=recorder)
    llm = OpenAILLM(config(endpoint, "broken", retries=2))
    with spans.run("task"), spans.individual("i"), pytest.raises(openai.InternalServerError):
        run(llm.client, ask=lambda: llm.generate("question"))
    tries = calls_of(recorded)
    assert len(tries) == 3
    assert {error_of(span).rpartition(".")[2] for span in tries} == {"InternalServerError"}
    assert {span.status.status_code for span in tries} == {StatusCode.ERROR}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_call_that_takes_too_long_is_recorded(recorder: Recorder, recorded: Recorded, endpoint: Endpoint) -> None:
    """OpenEvolve's timeout cancels an async call, and its span says so; a blocking call continues in its thread and
    gets its answer. Each of the two tries is recorded once."""
    openevolve.instrument(llm=recorder)
    llm = OpenAILLM(config(endpoint, "silent", retries=1))

    async def ask() -> None:
        try:
            await llm.generate("question", timeout=1)
        finally:
            endpoint.released.set()

    with spans.run("task"), spans.individual("i"), pytest.raises(asyncio.TimeoutError):
        run(llm.client, ask=ask)
    tries = calls_of(recorded)
    assert len(tries) == 2
    if isinstance(llm.client, openai.AsyncOpenAI):
        assert all(error_of(span) in CANCELLED for span in tries)
        assert {span.status.status_code for span in tries} == {StatusCode.ERROR}
    else:
        assert {attributes_of(span)[names.GEN_AI_USAGE_INPUT_TOKENS] for span in tries} == {11}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_cancelled_call_is_recorded_as_cancelled(recorder: Recorder, recorded: Recorded, endpoint: Endpoint) -> None:
    """An async call ends as cancelled when its task is cancelled, and the cancellation propagates."""
    openevolve.instrument(llm=recorder)
    client = openai.AsyncOpenAI(api_key="none", base_url=endpoint.url, max_retries=0)
    params = {"model": "silent", "messages": [{"role": "user", "content": "question"}]}

    async def ask() -> bool:
        task = asyncio.create_task(call(client, params, endpoint))
        while not endpoint.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    with spans.run("task"), spans.individual("i"):
        assert run(client, ask=ask)
    (span,) = calls_of(recorded)
    assert error_of(span) in CANCELLED
    assert span.status.status_code is StatusCode.ERROR
    assert names.GEN_AI_USAGE_INPUT_TOKENS not in attributes_of(span)


@pytest.mark.parametrize("recorder", RECORDERS)
def test_concurrent_calls_belong_to_their_individuals(
    recorder: Recorder, recorded: Recorded, endpoint: Endpoint
) -> None:
    """Two concurrent calls of an ensemble belong to the individuals that each was made for."""
    openevolve.instrument(llm=recorder)
    ensemble = LLMEnsemble([config(endpoint, "together"), config(endpoint, "together")])

    async def propose(name: str) -> None:
        with spans.individual(name):
            assert await ensemble.generate(f"for {name}") == f"to for {name}"

    async def ask() -> None:
        await asyncio.gather(propose("one"), propose("other"))

    with spans.run("task"), spans.generation(1):
        run(*(model.client for model in ensemble.models), ask=ask)
    told = [attributes_of(span) for span in calls_of(recorded)]
    assert sorted(each[names.INDIVIDUAL_ID] for each in told) == ["one", "other"]
    assert all(f"for {each[names.INDIVIDUAL_ID]}" in each[names.GEN_AI_INPUT_MESSAGES] for each in told)


@pytest.mark.parametrize("recorder", RECORDERS)
def test_a_call_in_a_thread_of_openevolves_belongs_to_the_individual(
    recorder: Recorder, recorded: Recorded, endpoint: Endpoint
) -> None:
    """OpenEvolve checks novelty in a separate event loop, in a thread without the individual's context."""
    openevolve.instrument(llm=recorder)
    database = ProgramDatabase(DatabaseConfig())
    database.novelty_llm = LLMEnsemble([config(endpoint, "some-model")])

    async def ask() -> bool:
        return bool(database._llm_judge_novelty(Program(id="i", code="a"), Program(id="j", code="b")))

    with spans.run("task", run_id="r"), spans.individual("i"):
        assert asyncio.run(ask())
    (span,) = calls_of(recorded)
    told = attributes_of(span)
    assert (told[names.RUN_ID], told[names.INDIVIDUAL_ID], told[names.GEN_AI_USAGE_INPUT_TOKENS]) == ("r", "i", 11)
    assert told[names.LLM_ROLE] == "novelty"


def test_an_answer_that_is_not_a_completion_is_a_failed_call(recorded: Recorded, endpoint: Endpoint) -> None:
    """An endpoint streams without being asked to: OpenEvolve refuses its text, and the call has that text and an
    error."""
    openevolve.instrument(llm="genesis")
    llm = OpenAILLM(config(endpoint, "plain"))
    with spans.run("task"), spans.individual("i"), pytest.raises(ValueError, match="raw string"):
        run(llm.client, ask=lambda: llm.generate("question"))
    (span,) = calls_of(recorded)
    assert span.status.status_code is StatusCode.ERROR and "not a chat completion" in str(span.status.description)
    assert "data: {}" in attributes_of(span)[names.GEN_AI_OUTPUT_MESSAGES]


def test_an_answer_without_a_choice_is_a_failed_call_that_costs(recorded: Recorded, endpoint: Endpoint) -> None:
    """An endpoint filters what the model wrote, and charges for it: OpenEvolve raises, and the call has its tokens."""
    openevolve.instrument(llm="genesis")
    llm = OpenAILLM(config(endpoint, "filtered"))
    with spans.run("task"), spans.individual("i"), pytest.raises(IndexError):
        run(llm.client, ask=lambda: llm.generate("question"))
    (span,) = calls_of(recorded)
    assert span.status.status_code is StatusCode.ERROR and "without a message" in str(span.status.description)
    told = attributes_of(span)
    assert (told[names.GEN_AI_USAGE_INPUT_TOKENS], told[names.GEN_AI_USAGE_OUTPUT_TOKENS]) == (11, 3)


@pytest.mark.parametrize("unrecorded", [Completions, AsyncCompletions])
def test_an_instrumentation_of_one_kind_of_client_is_completed(
    unrecorded: Any, recorded: Recorded, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """If another instrumentation records only blocking clients, or only async ones, we record the others: each call
    once, embeddings too."""
    caplog.set_level(logging.WARNING)
    OpenAIInstrumentor().instrument()
    unwrap(unrecorded, "create")
    openevolve.instrument()
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    params = {"model": "some-model", "messages": [{"role": "user", "content": "question"}]}
    with spans.run("task"), spans.individual("i"):
        for kind in CLIENTS:
            client: Any = kind(api_key="none", base_url=endpoint.url)
            run(client, ask=lambda client=client: call(client, params, endpoint))  # type: ignore[misc]
        embedder = EmbeddingClient("some-embedding", endpoint.url)
        assert embedder.get_embedding("code") == [1]
        embedder.client.close()
    assert sorted(span.name for span in calls_of(recorded)) == [
        "chat some-model",
        "chat some-model",
        "embeddings some-embedding",
    ]
    assert all(attributes_of(span)[names.GEN_AI_USAGE_INPUT_TOKENS] == 11 for span in calls_of(recorded))


QUESTION: Any = {"role": "user", "content": "question"}
ANY_CALL: list[tuple[str, Callable[[Any], Any]]] = [
    ("chat asked", lambda client: client.chat.completions.create(model="asked", messages=[QUESTION])),
    ("chat asked", lambda client: client.chat.completions.with_raw_response.create(model="asked", messages=[QUESTION])),
    ("embeddings asked", lambda client: client.embeddings.create(model="asked", input="code")),
]


@pytest.mark.parametrize(("name", "ask"), ANY_CALL)
@pytest.mark.parametrize("kind", CLIENTS)
def test_an_evaluators_own_calls_are_recorded_too(
    kind: Any, name: str, ask: Callable[[Any], Any], recorded: Recorded, endpoint: Endpoint
) -> None:
    """Without other instrumentation, only we record OpenEvolve's own client, and OpenTelemetry's instrumentation is not
    started; the first call of another client starts it, whoever created that client and when, and each call is still
    one span."""
    other = kind(api_key="none", base_url=endpoint.url)
    openevolve.instrument()
    own = OpenAILLM(config(endpoint, "some-model"))

    async def asked() -> None:
        assert await own.generate("question") == "to question"
        assert not OpenAIInstrumentor().is_instrumented_by_opentelemetry
        for _ in range(2):
            answer = ask(other)
            if isinstance(other, openai.AsyncOpenAI):
                await answer
        assert OpenAIInstrumentor().is_instrumented_by_opentelemetry
        assert await own.generate("again") == "to again"

    with spans.run("task"), spans.individual("i"):
        run(own.client, other, ask=asked)
    assert [span.name for span in calls_of(recorded)] == ["chat some-model", name, name, "chat some-model"]
    told = [attributes_of(span) for span in calls_of(recorded)]
    assert [each[names.INDIVIDUAL_ID] for each in told] == ["i"] * 4
    assert all(each[names.GEN_AI_USAGE_INPUT_TOKENS] == 11 for each in told)


def test_an_instrumentation_that_begins_later_records_alone(recorded: Recorded, endpoint: Endpoint) -> None:
    """An instrumentation of OpenAI's client that starts after us records OpenEvolve's calls and an evaluator's, each
    once; and our wrapper of the client is gone after `uninstrument`."""
    before = Completions.create, AsyncCompletions.create
    openevolve.instrument()
    OpenAIInstrumentor().instrument()
    own = OpenAILLM(config(endpoint, "some-model"))
    other = openai.OpenAI(api_key="none", base_url=endpoint.url)

    async def asked() -> None:
        await own.generate("question")
        other.chat.completions.create(model="asked", messages=[QUESTION])

    run(own.client, other, ask=asked)
    assert [span.name for span in calls_of(recorded)] == ["chat some-model", "chat asked"]
    OpenAIInstrumentor().uninstrument()
    openevolve.uninstrument()
    assert (Completions.create, AsyncCompletions.create) == before


def test_the_environment_can_exclude_contents(
    recorded: Recorded, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If OpenTelemetry's variable says to leave contents out, OpenEvolve's calls are recorded without them."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT")
    openevolve.instrument()
    llm = OpenAILLM(config(endpoint, "some-model"))
    assert run(llm.client, ask=lambda: llm.generate("question")) == "to question"
    (span,) = calls_of(recorded)
    assert attributes_of(span)[names.GEN_AI_USAGE_INPUT_TOKENS] == 11
    assert "question" not in str(attributes_of(span))
