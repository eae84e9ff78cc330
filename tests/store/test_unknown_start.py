"""Spans whose start is 0, which is none, or not that of their end: nothing has lasted since 1970."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.trace import Tracer

from genesis_otel import attributes as names
from genesis_otel import queries, spans
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.instrumentation._genesis import llm
from tests.conftest import Connect
from tests.support.golden import SECOND, START, Case, place, span
from tests.support.mapping import spans_of
from tests.support.recording import attributes_of, record, store_spans

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def emit(tracer: Tracer) -> None:
    """A run and an individual that begin at 0 and end at START, and an evaluation that tells both, in one trace."""
    run = place(RECORD="run", RUN_STATUS="completed", RUN_TASK_NAME="t")
    with tracer.start_as_current_span("run", attributes=run, start_time=0, end_on_exit=False) as parent:
        span(tracer, "evaluation", place(RECORD="evaluation", INDIVIDUAL_ID="a"), start=START - 2 * SECOND)
        told = place(RECORD="individual", INDIVIDUAL_ID="a")
        tracer.start_span("individual", attributes=told, start_time=0).end(START)
    parent.end(START)


def test_a_run_without_a_start_begins_when_it_is_first_known(store: Client, connect: Connect) -> None:
    """Of its spans, that is the end of the first one; what is recorded in it has the time at which it ended. It lasted an unknown time."""
    store_spans(ClickHouseSpanExporter(connect), spans_of(Case("", emit, {})))
    at = "toUnixTimestamp64Milli(%s) - {start:Int64}"
    asked = {"start": START // 1_000_000}
    for table, times in (("evolution_runs", ("start_time", "end_time")), ("individuals", ("timestamp",))):
        columns = ", ".join(at % time for time in times)
        assert set(store.query(f"SELECT {columns} FROM {table}", parameters=asked).result_rows[0]) == {0}
    (row,) = queries.ask(store, "run_summary", run_id="r")
    assert row["seconds"] is None


def test_a_span_without_a_start_is_at_its_end_in_its_trace(store: Client, connect: Connect) -> None:
    """The others are not 57 years after it, and it does not fill their timeline."""
    stored = spans_of(Case("", emit, {}))
    store_spans(ClickHouseSpanExporter(connect), stored)
    assert stored[0].context is not None
    trace_id = f"{stored[0].context.trace_id:032x}"
    found = {row["name"]: row for row in queries.ask(store, "spans_of_trace", run_id="r", trace_id=trace_id)}
    assert {name: (row["began"], row["seconds"]) for name, row in found.items()} == {
        "evaluation": (0, 2),
        "individual": (2, None),
        "run": (2, None),
    }


def test_a_call_without_a_start_took_an_unknown_time(store: Client, connect: Connect) -> None:
    """0, as with an unknown time to the first token; the call is at its end. One that tells its start keeps both."""

    def calls(tracer: Tracer) -> None:
        for name, began in (("a", 0), ("b", START - 4 * SECOND)):
            call = tracer.start_span("chat", attributes=place(INDIVIDUAL_ID=name) | CALL, start_time=began)
            call.add_event("First Token Stream Event", timestamp=START - SECOND)
            call.end(START)

    store_spans(ClickHouseSpanExporter(connect), spans_of(Case("", calls, {})))
    columns = "toUnixTimestamp64Milli(timestamp) - {start:Int64}, execution_time, time_to_first_token"
    sql = f"SELECT {columns} FROM llm_logs ORDER BY individual_id"
    found = store.query(sql, parameters={"start": START // 1_000_000}).result_rows
    assert found == [(0, 0.0, 0.0), (-4_000, 4.0, 3.0)]


# --- through our own calls, as configure() sets them up -----------------------------------------------------------------

NOT_A_START: dict[str, Any] = {
    "none": 0,
    "none as a float": 0.0,
    "not a number": math.nan,
    "infinite": math.inf,
    "before 1970": -1.0,
    "a word": "soon",
    "since the machine started": 12_345.6,
    "seconds as nanoseconds": START // SECOND,
    "milliseconds as nanoseconds": START // 1_000_000,
    "after the end": START + SECOND,
}
"""Starts that are told of what ended at `START`, and that it cannot have had."""


@pytest.mark.parametrize("told", NOT_A_START.values(), ids=NOT_A_START)
def test_a_call_that_tells_no_start_of_its_own_took_an_unknown_time(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    """It is at its end, and its first token came after an unknown time, however the start was given; and so is its individual."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    one = spans.individual("a", run_id="r", generation=0, start_time=told)
    call = one.llm_call("m", start_time=told)
    call.first_token(START - SECOND)
    call.response("x", cost=0.5)
    call.end(end_time=START)
    one.end(end_time=START)
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    asked = {"start": START // 1_000_000}
    columns = "toUnixTimestamp64Milli(timestamp) - {start:Int64}"
    (row,) = store.query(
        f"SELECT {columns}, execution_time, time_to_first_token FROM llm_logs", parameters=asked
    ).result_rows
    assert row == (0, 0.0, 0.0)
    assert store.query(f"SELECT {columns} FROM individuals", parameters=asked).result_rows == [(0,)]
    raw = store.query(
        "SELECT SpanName, toUnixTimestamp64Milli(Timestamp) - {start:Int64}, Duration FROM otel_traces ORDER BY SpanName",
        asked,
    )
    assert raw.result_rows == [("chat m", 0, 0), ("individual", 0, 0)]
    (latency,) = queries.ask(store, "llm_latency")
    assert (latency["p50"], latency["first_token_p50"], latency["untimed"]) == (None, None, 1)


@pytest.mark.parametrize("told", [0, math.nan, 12_345.6], ids=["none", "not a number", "since the machine started"])
def test_a_call_that_tells_no_end_of_its_own_took_an_unknown_time(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    """It is at its start, which is known, not in 1970."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    spans.llm_call("m", run_id="r", start_time=START).end(end_time=told)
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    sql = "SELECT toUnixTimestamp64Milli(timestamp) - {start:Int64}, execution_time FROM llm_logs"
    assert store.query(sql, parameters={"start": START // 1_000_000}).result_rows == [(0, 0.0)]


def test_a_call_of_genesis_through_an_unknown_client_took_an_unknown_time(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recorded once Genesis has logged it, and began before that; nobody saw when."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)

    def original() -> None:
        question = llm.asked.get()
        assert question is not None
        question.logged = {"model": "m", "messages": [], "response": "x", "cost": 0.5}

    with spans.individual("a", run_id="r", generation=0):
        llm.query(original)
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    assert store.query("SELECT individual_id, response, cost, execution_time FROM llm_logs").result_rows == [
        ("a", "x", 0.5, 0.0)
    ]


def test_a_call_of_a_simulated_clock_has_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start and an end of 1970 are of one clock, and so is a token between them."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    call = spans.llm_call("m", run_id="r", start_time=10.0)
    call.first_token(10.5)
    call.end(end_time=12.5)
    (span,) = recorded.spans
    assert (span.start_time, span.end_time) == (10 * SECOND, 12_500_000_000)
    assert attributes_of(span)[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] == 0.5


def test_a_token_before_the_call_is_no_first_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one at a time that is none; a later token is not the first either."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    for told in (START - SECOND, math.nan):
        call = spans.llm_call("m", run_id="r", start_time=START)
        call.first_token(told)
        call.first_token(START + 5 * SECOND)
        call.end(end_time=START + 9 * SECOND)
    assert [names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK in attributes_of(span) for span in recorded.spans] == [
        False,
        False,
    ]


def test_what_begins_now_has_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a start, a call, an evaluation and an individual begin when they are begun."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    before = time.time_ns()
    with spans.individual("a", run_id="r", generation=0) as one, one.evaluation(), one.llm_call("m"):
        pass
    found = [recorded.one(name) for name in ("individual", "evaluation", "chat m")]
    assert all(before <= (span.start_time or 0) < (span.end_time or 0) for span in found)


def test_an_evaluation_without_a_start_is_submitted_when_it_is_first_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job counts from then; its span, of which only the end is known, has no length."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    before = time.time_ns()
    spans.individual("a", run_id="r", generation=0).evaluation("j", start_time=0).end()
    submitted, ran = recorded.one("action job_submitted"), recorded.one("evaluation")
    assert before <= (submitted.start_time or 0) <= (ran.end_time or 0) == ran.start_time


def test_two_clocks_are_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Once; a start of 0, or one after the end, is no mistake in a unit."""
    record(monkeypatch, through=LLMSpanProcessor)
    for told in (0.0, START / SECOND + 1):
        spans.llm_call("m", run_id="r", start_time=told).end(end_time=START)
    assert caplog.messages == []
    for told in (12_345.6, 12_346.7):
        spans.llm_call("m", run_id="r", start_time=told).end(end_time=START)
    assert len(caplog.messages) == 1 and "two clocks" in caplog.messages[0]
