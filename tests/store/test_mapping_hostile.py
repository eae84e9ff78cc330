"""Whatever a span contains, it is stored: no insert fails because of its content, and the views never throw."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags

from genesis_otel import attributes
from genesis_otel._ship.encoding import attribute_text, rows
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import landing_columns, store_spans

NAMES = [
    value
    for name, value in vars(attributes).items()
    if name.isupper() and isinstance(value, str) and value.startswith(("genesis.", "gen_ai.", "error."))
]
OTHER_NAMES = [
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.99999999999999999999.content",
    "gen_ai.prompt.x.content",
    "gen_ai.prompt.",
    "gen_ai.completion.0.content",
    "gen_ai.system",
    "llm.request.type",
    "openinference.span.kind",
    "llm.input_messages.0.message.content",
    "llm.input_messages.1.message.contents.0.message_content.text",
    "llm.invocation_parameters",
    "llm.token_count.prompt",
    "input.value",
]
WORDS = [
    "",
    "run",
    "generation",
    "individual",
    "evaluation",
    "action",
    "lineage",
    "pareto_front",
    "chat",
    "embeddings",
    "LLM",
    "true",
]

texts = st.one_of(
    st.text(st.characters(), max_size=40),  # lone surrogates, NUL and all
    st.sampled_from(
        [
            "NaN",
            "inf",
            "-0",
            "1e999",
            "0x10",
            "99999999999999999999999999",
            "{",
            "[[[[",
            "[" * 3000,
            '{"a":' * 2000,
            "[{}]",
            '[1, null, "x"]',
            '[{"parts": 5}]',
            '[{"parts": [{"type": "text", "content": "\\ud800"}]}]',
            '[{"individual_id": 1, "fitness_score": {}, "metrics": [1]}]',
            '[{"parent_id": [], "fitness_delta": "x"}]',
            "'; DROP TABLE individuals; --",
            "\\",
            "\x00",
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["role", "parts", "type", "content", "metrics"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value)),
)
scalars = st.one_of(
    texts, st.booleans(), st.integers(), st.integers(-(2**200), 2**200), st.floats(), st.binary(max_size=8), st.none()
)
values: st.SearchStrategy[Any] = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text(min_size=1, max_size=4), scalars, max_size=2)
)
keys = st.one_of(st.sampled_from(NAMES), st.sampled_from(OTHER_NAMES), st.text(min_size=1, max_size=6))
maps = st.dictionaries(keys, values, max_size=12)
records = st.fixed_dictionaries(
    {attributes.RECORD: st.sampled_from(WORDS), attributes.GEN_AI_OPERATION_NAME: st.sampled_from(WORDS)}
)
clocks = st.one_of(
    st.integers(1_700_000_000_000_000_000, 1_800_000_000_000_000_000),
    st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64, 2**70, -1]),
)
events = st.lists(
    st.tuples(st.sampled_from([attributes.EVENT_PARETO_FRONT, "exception", "x", "\ud800"]), maps, clocks), max_size=3
)
recipes = st.lists(
    st.tuples(
        texts,
        maps,
        records,
        events,
        clocks,
        clocks,
        st.sampled_from(list(SpanKind)),
        st.sampled_from(list(StatusCode)),
        texts,
    ),
    min_size=1,
    max_size=8,
)


def make(recipe: list[Any]) -> list[ReadableSpan]:
    """Spans as the SDK makes them."""
    kept = InMemorySpanExporter()
    # The SDK's own generator draws from ``random``, which hypothesis reseeds for each example.
    provider = TracerProvider(id_generator=DerivedIdGenerator())
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("hostile\ud800")
    link = Link(SpanContext(1, 1, False, TraceFlags(1)), {"a\udc80": "b"})
    for name, values, record, happened, start, end, kind, status, description in recipe:
        span = tracer.start_span(name, attributes={**values, **record}, start_time=start, kind=kind, links=[link])
        for event, of_event, at in happened:
            span.add_event(event, of_event, timestamp=at)
        span.set_status(status, description if status is StatusCode.ERROR else None)
        span.end(end)
    return list(kept.get_finished_spans())


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes)
def test_any_span_is_stored(recipe: list[Any], store: Client, connect: Connect) -> None:
    """Any span that the SDK can make is in the landing table after one send, and the seven tables remain readable."""
    spans = make(recipe)
    store_spans(ClickHouseSpanExporter(connect), (spans))
    ids = [format(span.context.span_id, "016x") for span in spans if span.context]
    stored = store.query(
        "SELECT SpanId FROM otel_traces WHERE SpanId IN {ids:Array(String)}", parameters={"ids": ids}
    ).result_rows
    assert sorted(row[0] for row in stored) == sorted(ids)
    for table, record in [("individuals", "individual"), ("generations", "generation"), ("evolution_runs_log", "run")]:
        expected = sorted(
            format(span.context.span_id, "016x")
            for span in spans
            if span.context and (span.attributes or {}).get(attributes.RECORD) == record
        )
        rows = store.query(
            f"SELECT * FROM {table} WHERE span_id IN {{ids:Array(String)}}", parameters={"ids": ids}
        ).named_results()
        assert sorted(row["span_id"] for row in rows) == expected


def test_no_time_of_a_collector_fails_a_batch(store: Client) -> None:
    """OTLP's times reach further than ClickHouse's, and a collector inserts what they come to: the rows of its whole batch are
    stored all the same."""
    ends = [2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
    times = [(start, end) for start in (0, 10**18, 2**63 - 1, 2**63, 2**64 - 1) for end in ends]
    kinds = [{attributes.RECORD: each} for each in WORDS]
    kinds.append({attributes.GEN_AI_OPERATION_NAME: "chat", attributes.RUN_ID: "r"})
    recipe: list[Any] = [
        ("odd", {}, kind, [], 1, 2, SpanKind.INTERNAL, StatusCode.UNSET, "") for _ in times for kind in kinds
    ]
    columns = landing_columns(make(recipe))
    each_time = [time for time in times for _ in kinds]
    columns["Timestamp"] = [(start + 2**63) % 2**64 - 2**63 for start, _ in each_time]
    columns["Duration"] = [(end - start) % 2**64 for start, end in each_time]
    store.insert(
        "otel_traces",
        list(columns.values()),
        column_names=list(columns),
        column_type_names=list(rows.COLUMNS.values()),
        column_oriented=True,
    )
    for table in ("evolution_runs_log", "generations", "individuals", "code_lineages", "llm_logs"):
        assert store.command(f"SELECT count() FROM {table}") == len(times), table
    assert store.command("SELECT count() FROM agent_actions") == 2 * len(times)


def test_megabytes_pass(store: Client, connect: Connect) -> None:
    """A prompt of ten million characters, and as much code, are stored in full."""
    prompt = "x" * 10_000_000
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": prompt}]}])
    provider.get_tracer("t").start_span(
        "chat m",
        attributes={
            attributes.RUN_ID: "r",
            attributes.GEN_AI_OPERATION_NAME: "chat",
            attributes.GEN_AI_INPUT_MESSAGES: messages,
        },
    ).end()
    provider.get_tracer("t").start_span(
        "individual", attributes={attributes.RECORD: "individual", attributes.INDIVIDUAL_CODE: prompt}
    ).end()
    store_spans(ClickHouseSpanExporter(connect), (kept.get_finished_spans()))
    assert store.query("SELECT length(JSONExtractString(messages, 1, 'content')) FROM llm_logs").result_rows == [
        (10_000_000,)
    ]
    assert store.query("SELECT length(code) FROM individuals").result_rows == [(10_000_000,)]


@given(value=st.floats())
def test_numbers_read_back_the_same(value: float) -> None:
    """A float's text reads back as the same number, without exponent from 1e-6 to 1e21."""
    text = attribute_text.float_text(value)
    if not math.isfinite(value):
        assert text in ("NaN", "Infinity", "-Infinity")
        return
    assert float(text) == value
    assert ("e" in text) == (value != 0 and not 1e-6 <= abs(value) < 1e21)
    assert not text.endswith(".0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.5, "-0.5"),
        (1e-7, "1e-7"),
        (1.5e300, "1.5e+300"),
        (1e20, "100000000000000000000"),
        (0.00001, "0.00001"),
        (True, "true"),
        (-7, "-7"),
        (None, ""),
        (b"\x00\xff", "AP8="),
        ((1, "a<b>", 2.0, None, False), '[1,"a<b>",2,null,false]'),
        ({"b": 1, "a": (b"x", b"")}, '{"a":["eA==",null],"b":1}'),
        ((2**63 - 1, 2**63), '[9223372036854775807,"9223372036854775808"]'),
    ],
)
def test_values_as_the_collector_writes_them(value: object, text: str) -> None:
    """The text of a value is that of the collector's ``Value.AsString``."""
    assert attribute_text.value_text(value) == text


@pytest.mark.parametrize("text", ["json: unsupported value: +Inf", "Infinity", "+Inf", "inf"])
def test_infinity_is_read_as_every_collector_wrote_it(text: str, store: Client, connect: Connect) -> None:
    """Older collectors wrote numbers that JSON lacks as an error's text, newer ones as JavaScript does: both are kept as told, and neither is a score."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    span = {attributes.RECORD: "individual", attributes.INDIVIDUAL_FITNESS_SCORE: text}
    provider.get_tracer("t").start_span("individual", attributes=span).end()
    store_spans(ClickHouseSpanExporter(connect), kept.get_finished_spans())
    assert store.query("SELECT fitness_score, score_told FROM individuals").result_rows == [(None, "inf")]
