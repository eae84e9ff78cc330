"""What is added to LLM spans on their way out, and what is removed: cost, secrets, content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit.json_values import MOST
from genesis_otel._ship.calls import llm_names
from genesis_otel._ship.calls.cost import price
from genesis_otel._ship.encoding import rows
from genesis_otel._ship.encoding.attribute_text import TOO_DEEP, value_text
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.redaction.redact import redactor
from genesis_otel._store.tables import CALLS
from tests.support.answering import answering
from tests.support.dialects import DIALECTS
from tests.support.recording import Recorded, attributes_of, record

GPT_4O = (2.50, 1.25, 10.0)
"""USD per million tokens: input, cached input, output."""


def through(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Recorded:
    return record(monkeypatch, through=lambda processor: LLMSpanProcessor(processor, **options))


def emitted(recorded: Recorded, attributes: dict[str, Any], events: dict[str, dict[str, Any]] | None = None) -> Any:
    span = trace.get_tracer("theirs").start_span("span", attributes=attributes)
    for name, values in (events or {}).items():
        span.add_event(name, values)
    span.end()
    return recorded.spans[-1]


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_priced_and_cached_tokens_count_once(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 input tokens of which 400 are cached cost 600 at the full price and 400 at the cached one, in every dialect."""
    span = emitted(through(monkeypatch), DIALECTS[dialect])
    full, cached, output = GPT_4O
    expected = (600 * full + 400 * cached + 100 * output) / 1e6
    assert attributes_of(span)[names.GEN_AI_USAGE_COST] == pytest.approx(expected)
    assert attributes_of(span)[names.LLM_COST_SOURCE] == "genai-prices"


@pytest.mark.parametrize("name", ["gen_ai.usage.cost", "llm.cost.total", "gen_ai.cost.total_cost"])
def test_a_cost_of_zero_beside_tokens_says_that_there_is_no_price(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentations write 0 for models that they have no price for: the cost is computed. Without tokens, 0 is what it cost."""
    recorded = through(monkeypatch)
    full, _, output = GPT_4O
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", name: 0.0}
    counted = attributes_of(
        emitted(recorded, {**call, "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10})
    )
    assert counted[names.GEN_AI_USAGE_COST] == pytest.approx((100 * full + 10 * output) / 1e6)
    assert counted[names.LLM_COST_SOURCE] == "genai-prices"
    assert attributes_of(emitted(recorded, call))[names.LLM_COST_SOURCE] == "told"


def test_separately_counted_tokens_are_not_lost() -> None:
    """Cached tokens that exceed the input (Anthropic's raw counts) were counted separately and are added to it."""
    call = {"gen_ai.usage.output_tokens": 0, "gen_ai.request.model": "claude-3-5-sonnet-20241022"}
    raw = {**call, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_read.input_tokens": 1000}
    whole = {**call, "gen_ai.usage.input_tokens": 1010, "gen_ai.usage.cache_read.input_tokens": 1000}
    costs = [price(attributes, llm_names.counts(attributes), None)[0] for attributes in (raw, whole)]
    assert costs[0] == costs[1] == pytest.approx((10 * 3 + 1000 * 0.3) / 1e6)


@pytest.mark.parametrize(
    ("attributes", "source"),
    [
        ({"gen_ai.request.model": "no-such-model", "gen_ai.usage.input_tokens": 5}, "unknown-model"),
        ({"gen_ai.usage.input_tokens": 5}, "unknown-model"),
        ({"gen_ai.request.model": "gpt-4o"}, "no-tokens"),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "many"}, "no-tokens"),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": -5}, "no-tokens"),
    ],
)
def test_an_unpriced_call_costs_nothing_and_says_why(
    attributes: dict[str, Any], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost is 0, and its source distinguishes an unknown model from missing tokens."""
    span = emitted(through(monkeypatch), {"gen_ai.operation.name": "chat", **attributes})
    assert attributes_of(span)[names.GEN_AI_USAGE_COST] == 0.0
    assert attributes_of(span)[names.LLM_COST_SOURCE] == source


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("x_ai", "grok-4"),
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.gemini", "gemini-2.5-pro"),
        ("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("somebody's proxy", "gpt-4o"),
        ("openai", "text-embedding-3-small"),
    ],
)
def test_providers_are_known_by_opentelemetrys_names(provider: str, model: str) -> None:
    """A model is priced under OpenTelemetry's name for its provider, and under an unknown provider."""
    call = {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "gen_ai.usage.input_tokens": 1_000_000}
    cost, source = price(call, llm_names.counts(call), None)
    assert cost > 0
    assert source == "genai-prices"


def test_a_given_cost_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenLIT's and OpenInference's costs are not recomputed, nor is one given to `llm_call`, even 0."""
    recorded = through(monkeypatch)
    openlit = emitted(recorded, {**DIALECTS["current"], "gen_ai.usage.cost": 0.5})
    openinference = emitted(recorded, {**DIALECTS["openinference"], "llm.cost.total": 0.25})
    with spans.llm_call("gpt-4o", provider="openai") as call:
        call.response("x", input_tokens=1000, cost=0.0)
    own = recorded.spans[-1]
    assert [attributes_of(span)[names.LLM_COST_SOURCE] for span in (openlit, openinference, own)] == ["told"] * 3
    assert attributes_of(openlit)[names.GEN_AI_USAGE_COST] == 0.5
    assert names.GEN_AI_USAGE_COST not in attributes_of(openinference)
    assert attributes_of(own)[names.GEN_AI_USAGE_COST] == 0.0


def test_prices_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `prices=False` no cost is added, and a given cost stays."""
    recorded = through(monkeypatch, prices=False)
    assert attributes_of(emitted(recorded, DIALECTS["current"])) == DIALECTS["current"]
    told = attributes_of(emitted(recorded, {**DIALECTS["current"], "gen_ai.usage.cost": 0.5}))
    assert told[names.LLM_COST_SOURCE] == "told"


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"},
        {"gen_ai.operation.name": "execute_tool"},
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5},
        {"http.request.method": "POST"},
        {"gen_ai.operation.name": ["chat"]},
        {},
    ],
)
def test_agents_tools_and_others_are_not_calls(attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that is not a model call is passed on as the same object."""
    handed: list[ReadableSpan] = []

    class Keep(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            handed.append(span)

    span = emitted(record(monkeypatch), attributes)
    LLMSpanProcessor(Keep()).on_end(span)
    assert handed == [span]


def test_individuals_and_generations_have_their_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own and foreign calls within an individual are its API cost, with embeddings and novelty checks counted
    separately; other calls are the generation's."""
    recorded = through(monkeypatch)
    call = {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 1_000_000}
    with spans.run("t") as run, run.generation(1) as generation:
        with generation.individual("a"):
            with spans.llm_call("gpt-4o") as own:
                own.response("x", input_tokens=1_000_000)
            with spans.llm_call("gpt-4o", role="novelty") as judge:
                judge.response("x", input_tokens=1_000_000)
            emitted(recorded, {**call, "gen_ai.operation.name": "chat"})
            emitted(recorded, {"openinference.span.kind": "EMBEDDING", "llm.cost.total": 0.125})
        with spans.llm_call("gpt-4o", role="meta") as meta:
            meta.response("x", cost=1.0)
    (individual,) = recorded.records("individual")
    assert individual[names.INDIVIDUAL_API_COST] == pytest.approx(5.0)
    assert individual[names.INDIVIDUAL_NOVELTY_COST] == pytest.approx(2.5)
    assert individual[names.INDIVIDUAL_EMBED_COST] == 0.125
    assert recorded.records("generation")[0][names.GENERATION_TOTAL_COST] == pytest.approx(8.625)


COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "sk-" + "a1" * 12}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 400},
    },
}
"""What the model always answers."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with answering(lambda *_: (200, COMPLETION)) as url:
        yield url


def test_a_real_instrumentations_call_is_priced_redacted_and_accounted(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """OpenTelemetry's own instrumentation of the real OpenAI client, within an individual: cost, place, no secret."""
    openai = pytest.importorskip("openai")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.genai.openai")
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    recorded = through(monkeypatch, redact=redactor())
    instrumentor = instrumentation.OpenAIInstrumentor()
    instrumentor.instrument()
    try:
        with openai.OpenAI(base_url=endpoint, api_key="none", max_retries=0) as client:
            with spans.generation(2, run_id="r").individual("a"):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Improve."}])
    finally:
        instrumentor.uninstrument()
    found = attributes_of(recorded.one("chat gpt-4o"))
    cost = (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6
    assert found[names.GEN_AI_USAGE_COST] == pytest.approx(cost)
    assert (found[names.RUN_ID], found[names.INDIVIDUAL_ID]) == ("r", "a")
    assert "Improve." in found[names.GEN_AI_INPUT_MESSAGES]
    assert "[REDACTED]" in found[names.GEN_AI_OUTPUT_MESSAGES]
    assert "a1a1" not in found[names.GEN_AI_OUTPUT_MESSAGES]
    assert recorded.records("individual")[0][names.INDIVIDUAL_API_COST] == pytest.approx(cost)


# --- content ----------------------------------------------------------------------------------------------------------

CONTENT = {
    "gen_ai.input.messages": "SECRET",
    "gen_ai.output.messages": "SECRET",
    "gen_ai.system_instructions": "SECRET",
    "gen_ai.tool.definitions": "SECRET",
    "gen_ai.tool.call.arguments": "SECRET",
    "gen_ai.prompt": "SECRET",
    "gen_ai.prompt.0.content": "SECRET",
    "gen_ai.completion.0.content": "SECRET",
    "llm.input_messages.0.message.content": "SECRET",
    "llm.output_messages.0.message.content": "SECRET",
    "llm.prompts.0.prompt.text": "SECRET",
    "input.value": "SECRET",
    "output.value": ["SECRET", "SECRET"],
    "embedding.embeddings.0.embedding.text": "SECRET",
}
EVENTS: dict[str, dict[str, Any]] = {
    "gen_ai.user.message": {"content": "SECRET", "gen_ai.system": "openai", "role": "user"},
    "gen_ai.choice": {"message": "SECRET", "index": 0, "finish_reason": "stop"},
    "gen_ai.client.inference.operation.details": {"gen_ai.input.messages": "SECRET", "gen_ai.request.model": "m"},
    "gen_ai.content.prompt": {"gen_ai.prompt": "SECRET"},
}


def text_of(span: ReadableSpan) -> str:
    return str(span.to_json())


def test_content_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without content, no prompt or answer is anywhere on a span; its own names and numbers are, whatever the dialect."""
    recorded = through(monkeypatch, capture_content=False)
    kept = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.prompt.name": "improve"}
    span = emitted(recorded, {**kept, **CONTENT}, EVENTS)
    assert "SECRET" not in text_of(span)
    assert attributes_of(span).items() >= kept.items()
    assert [event.name for event in span.events] == list(EVENTS)
    assert dict(span.events[1].attributes or {}) == {"index": 0, "finish_reason": "stop"}
    with spans.llm_call("m", messages="SECRET", metadata={"task": "t", "nested": [{"prompt": "SECRET"}]}) as call:
        call.response("SECRET", reasoning="SECRET", input_tokens=3)
    spans.action("job_submitted", {"job_id": "j"}, {"llm_result": {"content": "SECRET"}, "cluster": "local"})
    emitted(recorded, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "SECRET"})
    assert not [span.name for span in recorded.spans if "SECRET" in text_of(span)]
    assert attributes_of(recorded.one("chat m"))[names.LLM_METADATA] == '{"task": "t", "nested": [{}]}'
    assert recorded.records("action")[0][names.ACTION_METADATA] == '{"cluster": "local"}'


def test_code_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without code an individual keeps its hash and its size."""
    recorded = through(monkeypatch, capture_code=False)
    with spans.individual("a") as individual:
        individual.record(code="print()")
    (found,) = recorded.records("individual")
    assert names.INDIVIDUAL_CODE not in found
    assert found[names.INDIVIDUAL_CODE_SIZE] == 7


def test_output_is_redacted_and_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation's output is searched for secrets, line by line; with output recording off, none of it is on the span."""
    key = "sk-proj-" + 2 * "aB3dE5gH7jK9mN1pQ2"
    for kept in (True, False):
        recorded = through(monkeypatch, capture_output=kept, redact=redactor())
        with spans.evaluation() as job:
            job.result(output={"stderr": f"Traceback\nAuthError: key {key}\n", "stdout": "fine\n"})
        (found,) = recorded.records("evaluation")
        assert "aB3d" not in str(found)
        if kept:
            told = json.loads(found[names.EVALUATION_OUTPUT])
            assert told["stdout"] == "fine\n" and told["stderr"].startswith("Traceback\nAuthError: key ")
        else:
            assert names.EVALUATION_OUTPUT not in found


def test_a_changed_span_is_the_same_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, parent, times, kind, links, resource, scope and the SDK's dropped counts are unchanged."""
    before, after = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(before))
    provider.add_span_processor(LLMSpanProcessor(SimpleSpanProcessor(after), capture_content=False))
    tracer = provider.get_tracer("theirs", "1.0")
    with tracer.start_as_current_span("parent") as parent:
        link = trace.Link(parent.get_span_context(), {"why": "test"})
        attributes = {**DIALECTS["current"], "input.value": "SECRET", **{f"n{n}": n for n in range(200)}}
        span = tracer.start_span("chat", kind=trace.SpanKind.CLIENT, attributes=attributes, links=[link])
        for number in range(200):
            span.add_event(f"event {number}")
        span.set_status(trace.StatusCode.ERROR, "why")
        span.end()
    was, now = before.get_finished_spans()[0], after.get_finished_spans()[0]
    assert was.dropped_attributes > 0
    assert was.dropped_events > 0
    for name in (
        *("name", "context", "parent", "kind", "start_time", "end_time", "resource", "instrumentation_scope"),
        *("dropped_attributes", "dropped_events", "dropped_links"),
    ):
        assert getattr(now, name) == getattr(was, name), name
    assert [(event.name, event.timestamp) for event in now.events] == [(e.name, e.timestamp) for e in was.events]
    assert now.links[0].context == was.links[0].context
    assert now.status.description == "why"


# --- secrets ----------------------------------------------------------------------------------------------------------

KEY = "aB3" * 16
OPENAI_KEY = f"sk-proj-{KEY}"


def test_no_secret_leaves_on_any_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a search or an instrumentation puts a key (code, configuration, messages, details, errors), it is gone."""
    recorded = through(monkeypatch, redact=redactor())
    key = OPENAI_KEY

    def search() -> None:
        with spans.run("t", config={"llm": {"api_key": "plain"}, "note": key}) as run:
            with run.generation(1, hold_individuals=True) as generation:
                with generation.individual("a") as individual:
                    individual.record(fitness=1.0, code=f"KEY = '{key}'", edit_summary=key, metrics={"note": key})
                    with individual.llm_call("m", messages=[{"role": "user", "content": key}]) as call:
                        call.response(key, reasoning=key)
                    individual.evaluation("j", details={"stderr": key}, metadata={"k": key}).end()
                generation.pareto_front([{"individual_id": "a", "metrics": {"note": key}}])
                generation.end(metadata={"k": key})
            spans.action("a", {"k": key}, {"k": key})
            content = {**dict.fromkeys(CONTENT, key), "gen_ai.operation.name": "chat"}
            emitted(recorded, content, {"gen_ai.choice": {"message": key}})
            raise RuntimeError(f"Incorrect API key provided: {key}")

    with pytest.raises(RuntimeError, match="Incorrect"):
        search()
    leaking = [span.name for span in recorded.spans if KEY in text_of(span) or "plain" in text_of(span)]
    assert leaking == []
    assert len(recorded.spans) == 9
    assert all("[REDACTED]" in text_of(span) for span in recorded.spans if span.name != "generation")


FOREIGN: dict[str, Any] = {
    "http.url": "https://api.example.com/v1?api_key={}&x=1",
    "url.full": "https://me:{}@db.example.com/x",
    "http.request.header.authorization": ("Basic {}",),
    "http.request.header.x-api-key": ("{}",),
    "db.statement": "ALTER USER me IDENTIFIED BY 'x' PASSWORD '{}'",
    "db.connection_string": "Server=h;Uid=me;Pwd={};",
    "process.command_args": ("tool", "--api-key={}"),
    "exception.note": "password: {}",
    "custom.password": "{}",
    "messages": ('{{"token": "{}"}}',),
}


def test_no_secret_leaves_on_a_foreign_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes of any instrumentation, a span's name, its events, its links and the resource are searched like content."""
    secret = "Zq8" + "vK2mX7tR4wN9bL3"
    recorded = through(monkeypatch, redact=redactor())
    attributes = {
        name: tuple(each.format(secret) for each in value) if isinstance(value, tuple) else value.format(secret)
        for name, value in FOREIGN.items()
    }
    other = trace.get_tracer("theirs").start_span("other")
    other.end()
    span = trace.get_tracer("theirs").start_span(
        f"GET https://h/x?token={secret}",
        attributes=attributes,
        links=[trace.Link(other.get_span_context(), {"url": f"https://u:{secret}@h"})],
    )
    span.add_event(f"retry api_key={secret}", {"request.header.cookie": f"sid={secret}", "n": 1})
    span.set_status(trace.StatusCode.ERROR, f"refused: password={secret}")
    span.end()
    found = recorded.spans[-1]
    assert secret not in text_of(found)
    assert set(attributes_of(found)) >= set(FOREIGN)
    assert found.name == "GET https://h/x?token=[REDACTED]"
    assert found.events[0].attributes == {"request.header.cookie": "[REDACTED]", "n": 1}
    assert found.links[0].context == other.get_span_context()


@pytest.mark.parametrize("capture_content", [True, False])
def test_no_secret_leaves_with_a_score(monkeypatch: pytest.MonkeyPatch, capture_content: bool) -> None:
    """The events of scores are searched, too: the names of an individual's metrics, and what another evaluator explains, which is
    content."""
    recorded = through(monkeypatch, redact=redactor(), capture_content=capture_content)
    with spans.individual("a", run_id="r", generation=0) as individual:
        individual.record(fitness=1.0, metrics={"accuracy": 0.5, f"with {OPENAI_KEY}": 0.25})
    told = {"gen_ai.evaluation.name": "judge", "gen_ai.evaluation.score.value": 0.5}
    emitted(recorded, {}, {"gen_ai.evaluation.result": {**told, "gen_ai.evaluation.explanation": f"uses {OPENAI_KEY}"}})
    assert KEY not in "".join(map(text_of, recorded.spans))
    own, foreign = ([dict(event.attributes or {}) for event in span.events] for span in recorded.spans)
    assert [event["gen_ai.evaluation.name"] for event in own] == ["fitness", "accuracy", "with [REDACTED]"]
    assert foreign == [{**told, "gen_ai.evaluation.explanation": "uses [REDACTED]"} if capture_content else told]


def test_the_path_of_a_database_loses_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's ``database_path`` may be a DSN; its identifiers are never changed."""
    recorded = through(monkeypatch, redact=redactor())
    with spans.run("t", run_id="password=hunter2", database_path="postgresql://me:hunter2@db/x"):
        pass
    told = recorded.records("run")[0]
    assert told[names.RUN_DATABASE_PATH] == "postgresql://me:[REDACTED]@db/x"
    assert told[names.RUN_ID] == "password=hunter2"


def test_a_resource_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process's description is sent without the secrets of its command line."""
    looked = []

    def counted(text: str) -> str:
        looked.append(text)
        return redactor()(text)

    processor = LLMSpanProcessor(
        SimpleSpanProcessor(memory := InMemorySpanExporter()), redact=redactor(), elsewhere=counted
    )
    resource = Resource({"process.command_args": ("tool", "--api-key=Zq8vK2mX7tR4wN9b"), "service.name": "s"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(processor)
    for _ in range(3):
        provider.get_tracer("t").start_span("s").end()
    assert [dict(span.resource.attributes) for span in memory.get_finished_spans()] == [
        {"process.command_args": ("tool", "--api-key=[REDACTED]"), "service.name": "s"}
    ] * 3
    assert looked.count("tool") == 1


def test_a_hook_is_for_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom function gets prompts, answers and code, but neither names nor models; secrets are removed from those all the same."""
    recorded = through(monkeypatch, redact=lambda text: "mine", elsewhere=redactor())
    span = emitted(recorded, {**DIALECTS["current"], "gen_ai.input.messages": "x", "http.url": "https://u:hunter2@h"})
    assert attributes_of(span)["gen_ai.input.messages"] == "mine"
    assert attributes_of(span)["gen_ai.request.model"] == "gpt-4o"
    assert attributes_of(span)["http.url"] == "https://u:[REDACTED]@h"


def test_a_text_beyond_the_bound_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a text larger than 16 MiB the beginning is kept, with a mark, and the span records how much is missing."""
    recorded = through(monkeypatch, redact=redactor())
    beyond = 1000
    text = "abc " * (MOST // 4) + "d" * beyond
    span = emitted(recorded, {"gen_ai.operation.name": "chat", "gen_ai.input.messages": text, "theirs": ("x", text)})
    found = attributes_of(span)
    for kept in (found["gen_ai.input.messages"], found["theirs"][1]):
        assert kept[: MOST - 10] == text[: MOST - 10]
        assert kept.endswith("more characters]") and len(kept) < MOST + 100
    assert found[names.LEFT_OUT] == 2 * beyond


def test_a_hook_that_raises_costs_the_text_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A text that could not be redacted is not sent; the span is, with its cost, and this is logged once."""

    def broken(text: str) -> str:
        raise RuntimeError(f"broken hook: {text}")

    recorded = through(monkeypatch, redact=broken)
    for _ in range(2):
        span = emitted(recorded, {**DIALECTS["current"], "gen_ai.input.messages": "SECRET"})
        assert attributes_of(span)["gen_ai.input.messages"] == "[REDACTED]"
        assert attributes_of(span)[names.GEN_AI_USAGE_COST] > 0
    (line,) = caplog.records
    assert line.getMessage().startswith("A text could not be redacted and is left out: RuntimeError in ")
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("returned", [None, b"SECRET", ["SECRET"], 1], ids=repr)
def test_a_hook_that_returns_no_text_costs_the_text(returned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a redactor returns instead of a text is not recorded, and neither is the text: not even as the name of a span."""
    recorded = through(monkeypatch, redact=lambda text: returned)
    tracer = trace.get_tracer("theirs")
    with tracer.start_as_current_span("SECRET", attributes={"gen_ai.prompt": "SECRET", "theirs": "SECRET"}) as span:
        span.add_event("SECRET", {"gen_ai.completion": "SECRET"})
        span.set_status(trace.Status(trace.StatusCode.ERROR, "SECRET"))
    assert "SECRET" not in recorded.spans[-1].to_json()
    assert attributes_of(recorded.spans[-1])["gen_ai.prompt"] == "[REDACTED]"


def test_counts_and_scores_stay_whatever_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a benchmark calls `pass@1`, and a counter `secrets`, is no password."""
    recorded = through(monkeypatch, redact=redactor())
    numbers: dict[str, Any] = {
        "pass": 0.85,
        "eval.pass@1": 0.123456789,
        "n_pass": 12,
        "num_secrets": 3,
        "passes": (1, 2),
        "otp": True,
    }
    trace.get_tracer("theirs").start_span("span", attributes=numbers).end()
    found = attributes_of(recorded.spans[-1])
    assert {name: found[name] for name in numbers} == numbers


KEY = "8f14e45fceea167a5a36dedd4bea2543"
TOLD_BY_NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "a token": ({"github.token": KEY, "tokens": "8f14"}, KEY),
    "a header in a list": ({"http.request.header.x-token": (KEY,)}, KEY),
    "a number": ({"db.password": 12345678}, "12345678"),
    "an option's value": ({"process.command_args": ("mysql", "--password", "hunter2", "x")}, "hunter2"),
    "a short option's value": ({"process.command_args": ("sshpass", "-p", "hunter2", "ssh")}, "hunter2"),
    "user and password": ({"process.command_args": ("curl", "-u", "me:hunter2", "h")}, "hunter2"),
    "a pair": ({"headers": (("host", "h"), ("x-api-key", KEY))}, KEY),
    "the name itself": ({"gh" + "p_" + "aB3" * 12: 7}, "aB3aB3"),
}


@pytest.mark.parametrize(("attributes", "secret"), TOLD_BY_NAMES.values(), ids=TOLD_BY_NAMES)
def test_what_stands_before_a_value_tells_that_it_is_a_secret(
    attributes: dict[str, Any], secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value is a secret by the name of its attribute, by the option before it, and by the first of a pair: in spans, events, links and
    the resource. What is beside it stays."""
    recorded = through(monkeypatch, redact=redactor())
    tracer = trace.get_tracer("theirs")
    link = trace.Link(trace.SpanContext(1, 2, False), attributes)
    span = tracer.start_span("span", attributes={**attributes, "beside": "stays", "count": 3}, links=[link])
    span.add_event("event", attributes)
    span.end()
    told = recorded.spans[-1].to_json()
    assert secret not in told and told.count("[REDACTED]") == 3
    assert attributes_of(recorded.spans[-1])["beside"] == "stays"
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({**attributes, "beside": "stays"}))
    provider.add_span_processor(LLMSpanProcessor(SimpleSpanProcessor(exporter), redact=redactor()))
    provider.get_tracer("theirs").start_span("span").end()
    (found,) = exporter.get_finished_spans()
    assert secret not in found.resource.to_json() and found.resource.attributes["beside"] == "stays"


def test_a_value_that_is_nested_too_deeply_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list or a mapping of hundreds of levels is replaced by a mark; the span is a row with all else, and nothing is logged."""
    recorded = through(monkeypatch, redact=redactor())
    for wrap in (lambda within: (within,), lambda within: {"a": within}):
        deep: Any = "x"
        for _ in range(300):
            deep = wrap(deep)
        span = emitted(recorded, {"deep": deep, "theirs": "stays", "password": "hunter2"})
        row = rows.fields(rows.encode(span))
        assert row["SpanAttributes"] == {"deep": TOO_DEEP, "theirs": "stays", "password": "[REDACTED]"}
        assert value_text(deep) == TOO_DEEP


def test_without_content_nothing_of_others_stays_on_our_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts that an instrumentation writes on the current span are left out of an individual, too."""
    recorded = through(monkeypatch, capture_content=False)
    span = emitted(recorded, {names.RECORD: names.RECORD_INDIVIDUAL, "input.value": "PROMPT", "genesis.run.id": "r"})
    assert "input.value" not in attributes_of(span) and attributes_of(span)["genesis.run.id"] == "r"


def test_the_list_of_names_is_the_one_of_the_tables() -> None:
    """What counts as a model call, and its tokens, are read by the same names here and in SQL."""
    from importlib.resources import files

    sql = "".join(files("genesis_otel").joinpath("sql", f"{name}.sql").read_text() for name in CALLS)
    for keys in (
        *(llm_names.PROVIDERS, llm_names.MODELS, llm_names.INPUT_TOKENS, llm_names.OUTPUT_TOKENS, llm_names.COSTS),
        *(llm_names.CACHE_READ_TOKENS, llm_names.CACHE_WRITE_TOKENS, llm_names.REASONING_TOKENS),
        *(llm_names.TOTAL_TOKENS, llm_names.SERVERS, llm_names.COSTS_OF_LITELLM),
        *(llm_names.OPERATIONS, llm_names.OPENINFERENCE_KINDS),
    ):
        assert not [key for key in keys if f"'{key}'" not in sql]
