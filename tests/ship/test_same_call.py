"""A call that several spans record counts once: how the processor treats spans as frameworks and clients nest them."""

from __future__ import annotations

import json
import os
import threading
import warnings
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._ship.calls import charges
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.recording import Recorded, attributes_of, record

CHAT: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
USED: dict[str, Any] = {
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 400,
}
COST = (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record(monkeypatch, through=LLMSpanProcessor)


def begun(scope: str, **told: Any) -> Span:
    """A span of an instrumentation, in the current context."""
    return trace.get_tracer(scope).start_span(scope, attributes={**CHAT, **told})


def counted(recorded: Recorded) -> list[str]:
    """The calls that have a row, by the scope that recorded them."""
    calls = [span for span in recorded.spans if names.RECORD not in attributes_of(span)]
    return [scope_of(span) for span in calls if names.LLM_WITHIN not in attributes_of(span)]


def scope_of(span: ReadableSpan) -> str:
    assert span.instrumentation_scope is not None
    return span.instrumentation_scope.name


def test_a_judge_within_an_own_call_is_a_call_of_its_own(recorded: Recorded) -> None:
    """An `llm_call()` of another model within an `llm_call()` counts besides it, each at its own model's price; of the same model it is
    the same call."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual("a") as individual:
        with spans.llm_call("gpt-4.1", provider="openai") as call:
            with spans.llm_call("gpt-4.1-mini", provider="openai", role="judge") as judge:
                judge.response("no", input_tokens=1000, output_tokens=100)
            call.response("x", input_tokens=1000, output_tokens=100)
        with spans.llm_call("openai/gpt-4.1", provider="openai") as again:
            with spans.llm_call("gpt-4.1", provider="openai") as same:
                same.response("x", input_tokens=1000, output_tokens=100)
            again.response("x")
        individual.record(fitness=1.0)
    calls = [attributes_of(span) for span in recorded.spans if span.name.startswith("chat")]
    own = [told[names.GEN_AI_USAGE_COST] for told in calls if names.LLM_WITHIN not in told]
    assert own == pytest.approx([0.00056, 0.0028, 0.0028])
    (paid,) = recorded.records(names.RECORD_INDIVIDUAL)
    assert paid[names.INDIVIDUAL_API_COST] == pytest.approx(0.00616)


def test_the_outer_call_counts_and_is_completed(recorded: Recorded) -> None:
    """Around an instrumented client, an `llm_call()` without arguments has tokens, cost, the answer's model and id, and
    its text; the inner span is marked with the outer one's id, and the individual pays once."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual("a"):
        with spans.llm_call("gpt-4o", provider="openai", role="novelty") as call:
            inner = begun("client", **USED)
            inner.set_attributes({"gen_ai.response.id": "x", "gen_ai.response.model": "gpt-4o-2024-08-06"})
            inner.set_attribute("gen_ai.output.messages", "[]")
            inner.end()
    (outer,) = [span for span in recorded.spans if scope_of(span) == names.SCOPE and span.name == "chat gpt-4o"]
    marked = attributes_of(recorded.one("client"))
    assert marked[names.LLM_WITHIN] == f"{call.span.get_span_context().span_id:016x}"
    told = attributes_of(outer)
    assert USED.items() <= told.items() and names.LLM_WITHIN not in told
    assert told[names.GEN_AI_USAGE_COST] == pytest.approx(COST) and told[names.LLM_COST_SOURCE] == "genai-prices"
    assert (told["gen_ai.response.id"], told["gen_ai.response.model"]) == ("x", "gpt-4o-2024-08-06")
    assert (told["gen_ai.output.messages"], told[names.LLM_ROLE]) == ("[]", "novelty")
    (individual,) = recorded.records("individual")
    assert individual[names.INDIVIDUAL_NOVELTY_COST] == pytest.approx(COST)
    assert individual[names.INDIVIDUAL_API_COST] == 0.0


def test_values_given_to_the_outer_call_are_kept(recorded: Recorded) -> None:
    """Its own cost and tokens are kept, and counts that differ from the inner call's are not mixed with them."""
    with spans.llm_call("gpt-4o") as call:
        begun("client", **USED).end()
        call.response("x", input_tokens=10, output_tokens=1, cost=0.5)
    told = attributes_of(recorded.spans[-1])
    assert (told[names.GEN_AI_USAGE_COST], told[names.LLM_COST_SOURCE]) == (0.5, "told")
    assert told[names.GEN_AI_USAGE_INPUT_TOKENS] == 10 and names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS not in told


def test_several_calls_inside_add_up_if_all_are_known(recorded: Recorded) -> None:
    """A failed attempt and two calls are one row with the sums of their tokens and costs; if one is of an unknown
    model, the cost is unknown rather than the sum of the others."""
    with spans.llm_call("gpt-4o"):
        begun("client", **{"error.type": "RateLimitError"}).end()
        begun("client", **USED).end()
        begun("client", **USED).end()
    with spans.llm_call("mine"):
        begun("client", **USED).end()
        begun("client", **{**USED, "gen_ai.request.model": "mine"}).end()
    first, second = [attributes_of(span) for span in recorded.spans if scope_of(span) == names.SCOPE]
    assert (first[names.GEN_AI_USAGE_INPUT_TOKENS], first[names.GEN_AI_USAGE_COST]) == (2000, pytest.approx(2 * COST))
    assert (second[names.GEN_AI_USAGE_INPUT_TOKENS], second[names.GEN_AI_USAGE_COST]) == (2000, 0.0)
    assert second[names.LLM_COST_SOURCE] == "unknown-model"


def test_three_nested_calls(recorded: Recorded) -> None:
    """Across spans that are not calls: each is within the next, and the outermost has what the innermost knows."""
    with trace.use_span(begun("framework"), end_on_exit=True):
        with trace.get_tracer("http").start_as_current_span("POST"):
            with trace.use_span(begun("gateway"), end_on_exit=True):
                begun("client", **USED).end()
    assert [each for each in counted(recorded) if each != "http"] == ["framework"]
    assert attributes_of(recorded.one("framework"))[names.GEN_AI_USAGE_COST] == pytest.approx(COST)


def test_embeddings_within_a_call_count_separately(recorded: Recorded) -> None:
    """A call that computes embeddings on the way to its answer is two calls."""
    with trace.use_span(begun("framework", **USED), end_on_exit=True):
        begun("client", **{"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 5}).end()
    assert counted(recorded) == ["client", "framework"]


def test_an_outer_span_that_is_not_the_parent(recorded: Recorded) -> None:
    """An instrumentation's span around the client that is not made current counts, since it has the prompt; the
    thread's next call is matched to its own span."""
    for _ in range(2):
        outer = begun("around")
        begun("client", **USED).end()
        outer.end()
    assert counted(recorded) == ["around", "around"]


def test_an_outer_span_whose_kind_is_known_at_its_end(recorded: Recorded) -> None:
    """As OpenInference's for LangChain: the inner call has counted already, so the outer one is marked; if it turns out
    to be a call of another model, or no call, it counts as what it is."""
    for told in (CHAT, {**CHAT, "gen_ai.request.model": "another"}, {}):
        outer = trace.get_tracer("around").start_span("around")
        begun("client", **USED).end()
        outer.set_attributes(told)
        outer.end()
    assert counted(recorded) == ["client", "client", "around", "client", "around"]


@pytest.mark.parametrize("model", ["gpt-4o", "another"])
def test_concurrent_calls_stay_separate(model: str, recorded: Recorded) -> None:
    """Concurrent calls of one instrumentation, or of different models, stay separate however they overlap."""
    other = begun("a" if model == "gpt-4o" else "b", **{"gen_ai.request.model": model})
    begun("a", **USED).end()
    other.end()
    assert len(counted(recorded)) == 2


def test_the_same_answer_counts_once(recorded: Recorded) -> None:
    """Two instrumentations that report the same answer's id at the same time are one call, in any thread, also if the
    id is within OpenInference's JSON."""
    begun("client", **USED, **{"gen_ai.response.id": "chatcmpl-1"}).end()
    began = recorded.spans[-1].start_time
    late = trace.get_tracer("framework").start_span(
        "late",
        attributes={"openinference.span.kind": "LLM", "output.value": '{"llm_output": {"id": "chatcmpl-1"}}'},
        start_time=began,
    )
    thread = threading.Thread(target=late.end)
    thread.start()
    thread.join()
    assert counted(recorded) == ["client"]


def test_an_endpoint_whose_answers_share_an_id_loses_no_call(recorded: Recorded) -> None:
    """Two calls one after the other, and two at the same time, each recorded twice, are four calls."""
    for _ in range(2):
        inner, outer = begun("client"), begun("framework")
        for span in (inner, outer):
            span.set_attributes({**USED, "gen_ai.response.id": "1"})
            span.end()
    pairs = [(begun("client"), begun("framework")) for _ in range(2)]
    for span in (span for pair in pairs for span in pair):
        span.set_attributes({**USED, "gen_ai.response.id": "1"})
        span.end()
    assert len(counted(recorded)) == 4


def test_a_stream_that_outlives_the_call_around_it(recorded: Recorded) -> None:
    """If the outer call ended without tokens, the inner one, which has them, counts as well: no cost is lost."""
    with spans.llm_call("gpt-4o"):
        inner = begun("client", **USED)
    inner.end()
    assert counted(recorded) == [names.SCOPE, "client"]


def test_a_providers_charge_precedes_the_price_list(recorded: Recorded) -> None:
    """A charge that was recorded under the answer's id is the call's cost, once."""
    charges.note("gen-1", 0.25)
    for _ in range(2):
        begun("client", **USED, **{"gen_ai.response.id": "gen-1"}).end()
    first, second = (attributes_of(span) for span in recorded.spans)
    assert (first[names.GEN_AI_USAGE_COST], first[names.LLM_COST_SOURCE]) == (0.25, "openrouter")
    assert second[names.LLM_COST_SOURCE] == "genai-prices"


def test_a_thread_without_a_run_uses_the_only_one(recorded: Recorded) -> None:
    """A foreign call in a pool's thread belongs to the only open run, marked as guessed; so does one that is reported
    after the run has ended. With two runs it belongs to none."""
    with spans.run("t", run_id="only"):
        thread = threading.Thread(target=lambda: begun("client").end())
        thread.start()
        thread.join()
        began = recorded.one("client").start_time
    trace.get_tracer("late").start_span("late", attributes=CHAT, start_time=began).end()
    with spans.run("t", run_id="one"), spans.run("t", run_id="two"):
        thread = threading.Thread(target=lambda: begun("nowhere").end())
        thread.start()
        thread.join()
    for name in ("client", "late"):
        told = attributes_of(recorded.one(name))
        assert (told[names.RUN_ID], told[names.PLACE]) == ("only", "guessed")
        assert names.GENERATION not in told
    assert names.RUN_ID not in attributes_of(recorded.one("nowhere"))


def test_calls_written_on_a_record_of_ours(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """LiteLLM's attributes are removed from the individual that they were written on, which keeps its own and the
    search's; one warning says what to set."""
    with spans.generation(0, run_id="r").individual("a") as individual:
        for number in range(3):
            individual.span.set_attributes(
                {**CHAT, **USED, "hidden_params": "{}", "llm.request.type": "completion", "n": number}
            )
    (found,) = recorded.records("individual")
    assert not [name for name in found if name.startswith(("gen_ai.", "llm.", "hidden_params"))]
    assert (found["n"], found[names.INDIVIDUAL_ID], found[names.INDIVIDUAL_API_COST]) == (2, "a", 0.0)
    assert [each.getMessage() for each in caplog.records if "USE_OTEL_LITELLM_REQUEST_SPAN=true" in each.getMessage()]


def test_a_forked_child_counts_its_calls(recorded: Recorded) -> None:
    """A child that is forked within a call records its calls as its own: its process never ends the outer one."""
    with spans.llm_call("gpt-4o"):
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn about forks while threads run, and other tests have left some running.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            begun("client", **USED).end()
            os.write(writing, json.dumps(counted(recorded)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert json.loads(os.read(reading, 1000)) == ["client"]
        os.close(reading)
        os.close(writing)


def test_an_embedding_has_no_vector(recorded: Recorded) -> None:
    """The vector of an answer, which is never read, is removed; the embedded text and its charge stay."""
    text = {"embedding.embeddings.0.embedding.text": "x"}
    vector: dict[str, Any] = {
        "embedding.embeddings.0.embedding.vector": (0.5, 0.25),
        "output.mime_type": "application/json",
    }
    vector["output.value"] = '{"data": [0.5], "model": "m", "usage": {"cost": 0.125}}'
    span = trace.get_tracer("theirs").start_span(
        "embed", attributes={"openinference.span.kind": "EMBEDDING", **text, **vector}
    )
    span.end()
    told = attributes_of(recorded.spans[-1])
    assert text.items() <= told.items() and told[names.GEN_AI_USAGE_COST] == 0.125
    assert not told.keys() & {"embedding.embeddings.0.embedding.vector", "output.value"}
