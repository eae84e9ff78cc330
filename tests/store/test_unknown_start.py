"""Spans whose start is 0, which is none: nothing has lasted since 1970."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from opentelemetry.trace import Tracer

from genesis_otel import queries
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.golden import SECOND, START, Case, place, span
from tests.support.mapping import spans_of
from tests.support.recording import store_spans

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
    """Of its spans, that is the end of the first one; what is recorded in it has the time at which it ended."""
    store_spans(ClickHouseSpanExporter(connect), spans_of(Case("", emit, {})))
    at = "toUnixTimestamp64Milli(%s) - {start:Int64}"
    asked = {"start": START // 1_000_000}
    for table, times in (("evolution_runs", ("start_time", "end_time")), ("individuals", ("timestamp",))):
        columns = ", ".join(at % time for time in times)
        assert set(store.query(f"SELECT {columns} FROM {table}", parameters=asked).result_rows[0]) == {0}
    (row,) = queries.ask(store, "run_summary", run_id="r")
    assert row["seconds"] == 0


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
