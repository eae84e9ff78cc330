"""Calls that several instrumentations recorded in processes without this package: one row of each is left, whichever came first."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel import attributes as names
from genesis_otel._cli.app import main
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._store.dedupe import Removed, dedupe
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import store_spans
from tests.support.searched import end_store, fill

SECOND = 10**9
START = 1_785_542_400 * SECOND
"""2026-08-01 00:00 UTC."""
TOKENS: dict[str, Any] = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}


class Elsewhere:
    """A process with an SDK but without this package; its spans by the instrumentation that made them."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._kept))

    def call(
        self, scope: str, begins: float, seconds: float, within: trace.Span | None = None, **told: Any
    ) -> trace.Span:
        """A call that ends by itself."""
        context = None if within is None else trace.set_span_in_context(within)
        attributes = {names.RUN_ID: "r", "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
        attributes |= {name.replace("__", "."): value for name, value in told.items()}
        began = START + int(begins * SECOND)
        span = self._provider.get_tracer(scope).start_span("call", context, attributes=attributes, start_time=began)
        span.end(began + int(seconds * SECOND))
        return span

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All of them, in the order in which they ended."""
        return self._kept.get_finished_spans()


def scopes(client: Client) -> list[str]:
    """The spans that have a row, by time."""
    sql = "SELECT ScopeName FROM llm_logs AS l JOIN otel_traces AS t ON t.SpanId = l.span_id ORDER BY timestamp, ScopeName"
    return [row[0] for row in client.query(sql).result_rows]


def test_inner_and_outer_delivered_an_hour_apart(store: Client, connect: Connect) -> None:
    """The inner span alone is a row. When the outer one arrives an hour later, one look at what has arrived since then removes the inner
    one's row; a second look finds nothing, and a span that is delivered again is removed again."""
    there = Elsewhere()
    outer = there.call("framework", 0, 3, **TOKENS)
    there.call("client", 1, 1, outer, **TOKENS)
    framework, client = there.spans
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, [client])
    assert dedupe(store) == [] and scopes(store) == ["client"]
    store.command(
        "ALTER TABLE llm_logs UPDATE ingested_at = ingested_at - INTERVAL 1 HOUR WHERE 1",
        settings={"mutations_sync": 2},
    )
    lately = datetime.now() - timedelta(minutes=30)
    assert dedupe(store, since=lately) == []
    store_spans(exporter, [framework])
    assert dedupe(store, since=lately, dry_run=True) == [Removed("gpt-4o", 1)] and len(scopes(store)) == 2
    assert dedupe(store, since=lately) == [Removed("gpt-4o", 1)]
    assert scopes(store) == ["framework"]
    assert dedupe(store) == []


def test_the_span_with_the_cost_stays(store: Client, connect: Connect) -> None:
    """Of three nested spans the outermost stays; of a call around two attempts, which has no tokens, the attempts stay as separate
    calls; embeddings within a call do not duplicate it."""
    there = Elsewhere()
    first = there.call("a: outer", 0, 9, **TOKENS)
    second = there.call("b: middle", 1, 7, first, **TOKENS)
    there.call("c: inner", 2, 5, second, **TOKENS)
    loop = there.call("d: told nothing", 20, 9)
    there.call("e: attempt", 21, 1, loop, **TOKENS)
    there.call("f: attempt", 23, 1, loop, **TOKENS)
    chat = there.call("g: chat", 40, 9, **TOKENS)
    there.call("h: embedding", 41, 1, chat, gen_ai__operation__name="embeddings", **TOKENS)
    store_spans(ClickHouseSpanExporter(connect), there.spans)
    assert dedupe(store) == [Removed("gpt-4o", 3)]
    assert scopes(store) == ["a: outer", "e: attempt", "f: attempt", "g: chat", "h: embedding"]


def test_the_same_answer_is_one_call(store: Client, connect: Connect) -> None:
    """Spans side by side with the same answer, from two instrumentations, at the same time, are one call, of which the longer stays.
    An endpoint that gives every answer the same id loses none: spans of one instrumentation, or of another time, are separate calls."""
    there = Elsewhere()
    there.call("litellm", 0, 3, gen_ai__response__id="x", **TOKENS)
    there.call("client", 1, 1, gen_ai__response__id="x", **TOKENS)
    there.call("client", 1.5, 1, gen_ai__response__id="y", **TOKENS)
    there.call("client", 1.6, 1, gen_ai__response__id="y", **TOKENS)
    there.call("litellm", 60, 3, gen_ai__response__id="y", **TOKENS)
    store_spans(ClickHouseSpanExporter(connect), there.spans)
    assert dedupe(store) == [Removed("gpt-4o", 1)]
    assert scopes(store) == ["litellm", "client", "client", "litellm"]


def test_a_judges_call_within_an_own_call_stays(store: Client, connect: Connect) -> None:
    """A call of another model within one that a program recorded itself is one of its own; the client's beneath it is not."""
    there = Elsewhere()
    outer = there.call(names.SCOPE, 0, 3, **TOKENS)
    judge = there.call(names.SCOPE, 1, 1, outer, gen_ai__request__model="openai/gpt-4.1", **TOKENS)
    there.call("client", 1, 1, judge, gen_ai__request__model="gpt-4.1-2025-04-14", **TOKENS)
    store_spans(ClickHouseSpanExporter(connect), there.spans)
    assert dedupe(store) == [Removed("gpt-4.1-2025-04-14", 1)]
    assert scopes(store) == [names.SCOPE, names.SCOPE]


def test_spans_that_are_each_others_parents_stay(store: Client) -> None:
    """Broken ids remove nothing."""
    for span, parent in (("a", "b"), ("b", "a"), ("c", "c")):
        store.command(
            "INSERT INTO llm_logs (id, timestamp, run_id, trace_id, span_id, parent_span_id) "
            f"VALUES (generateUUIDv4(), now64(3), 'r', 't', '{span}', '{parent}')"
        )
    assert dedupe(store) == []


def test_two_at_once_that_judge_differently_leave_one_row(store: Client, connect: Connect) -> None:
    """Between the two, the inner row gets a price: the first was to remove it, the second removes the outer one for it."""
    other = connect()
    columns = ["id", "run_id", "trace_id", "span_id", "parent_span_id", "model", "cost_source"]
    for span, parent in (("outer", ""), ("inner", "outer")):
        store.insert("llm_logs", [[uuid.uuid4(), "r", "t", span, parent, "m", ""]], column_names=columns)
    send = store.command

    def command(statement: str, **options: Any) -> Any:
        if "DELETE" in statement:
            other.command(
                "ALTER TABLE llm_logs UPDATE cost = 1, cost_source = 'genai-prices' WHERE span_id = 'inner'",
                settings={"mutations_sync": 2},
            )
            assert [each.rows for each in dedupe(other)] == [1]
        return send(statement, **options)

    store.command = command  # type: ignore[assignment,method-assign]
    dedupe(store)
    assert store.query("SELECT span_id FROM llm_logs").result_rows == [("inner",)]


def test_the_command_and_the_store_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dedupe` reports by model what it would remove, and removes it; the store process does so by itself, at the latest when it ends."""
    there = Elsewhere()
    outer = there.call("framework", 0, 3, **TOKENS)
    there.call("client", 1, 1, outer, **TOKENS)
    outer = there.call("framework", 10, 3, **TOKENS)
    there.call("client", 11, 1, outer, **TOKENS)
    store = tmp_path / "store"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CLICKHOUSE_URL", raising=False)
    try:
        fill(store, there.spans[:2])
        assert main(["dedupe", "--dry-run"]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines() == ["model\trows", "gpt-4o\t1"] and "--dry-run" in said.err
        assert main(["dedupe", "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out) == [{"model": "gpt-4o", "rows": 1}]
        assert main(["dedupe"]) == 0
        assert capsys.readouterr() == ("", "Nothing to do: every call is one row.\n")
        fill(store, there.spans[2:])
        end_store(store)
        with contextlib.closing(store_process.open_store(store, start=True)) as client:
            # The raw spans of that day are past their retention; the framework's took three seconds.
            assert client.query("SELECT execution_time FROM llm_logs").result_rows == [(3.0,), (3.0,)]
    finally:
        end_store(store)


def test_the_store_process_examines_a_call_once(tmp_path: Path) -> None:
    """A store process that starts on a large store does not examine all of its calls anew: what arrived before the last one ended was
    examined then. Without its mark, as in a store of an earlier version, all are examined."""

    def insert(client: Client, ago: str) -> None:
        for span, parent in (("outer", ""), ("inner", "outer")):
            client.command(
                "INSERT INTO llm_logs (id, timestamp, run_id, trace_id, span_id, parent_span_id, ingested_at)"
                f" SELECT generateUUIDv4(), now64(3), 'r', '{ago}', '{ago} {span}', if('{parent}' = '', '', '{ago} {parent}'),"
                f" now64(3) - INTERVAL {ago}"
            )

    def spans() -> list[str]:
        with contextlib.closing(store_process.open_store(tmp_path, start=True)) as client:
            found = [str(row[0]) for row in client.query("SELECT span_id FROM llm_logs ORDER BY span_id").result_rows]
        end_store(tmp_path)
        return found

    there = Elsewhere()
    there.call("framework", 0, 3, **TOKENS)
    try:
        fill(tmp_path, there.spans)
        end_store(tmp_path)
        with contextlib.closing(store_process.open_store(tmp_path, start=True)) as client:
            client.command("TRUNCATE TABLE llm_logs SYNC")
            insert(client, "1 HOUR")
            insert(client, "1 SECOND")
        end_store(tmp_path)
        assert spans() == ["1 HOUR inner", "1 HOUR outer", "1 SECOND outer"]
        # As before a clock was set back: what arrives afterwards is examined all the same.
        with contextlib.closing(store_process.open_store(tmp_path, start=True)) as client:
            insert(client, "-1 HOUR")
        end_store(tmp_path)
        assert "-1 HOUR inner" not in spans()
        with contextlib.closing(store_process.open_store(tmp_path, start=True)) as client:
            insert(client, "2 SECOND")
        end_store(tmp_path)
        assert spans() == ["-1 HOUR outer", "1 HOUR inner", "1 HOUR outer", "1 SECOND outer", "2 SECOND outer"]
        (tmp_path / store_folder.CALLS_ONCE).unlink()
        assert len(spans()) == 5
        assert spans() == ["-1 HOUR outer", "1 HOUR outer", "1 SECOND outer", "2 SECOND outer"]
    finally:
        end_store(tmp_path)
