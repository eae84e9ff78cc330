"""An ``otel_traces`` that a collector made: every layout of its exporter is read, and none is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel._store import archive, backfill, errors, schema
from genesis_otel._store import tables as _tables
from genesis_otel._store.present import existing
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.golden import SECOND, START, Case, front_of, span
from tests.support.mapping import golden, rows_of, spans_of
from tests.support.recording import landing_columns, store_spans

NESTED = """
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {map}) CODEC(ZSTD(1)),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes {map}) CODEC(ZSTD(1))
"""
HEAD = """
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)), TraceState String CODEC(ZSTD(1)), SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)), StatusMessage String CODEC(ZSTD(1)),
    ResourceAttributes {map}, SpanAttributes {map},
"""
SCOPE = "ScopeName String CODEC(ZSTD(1)), ScopeVersion String CODEC(ZSTD(1)), "
MAP = "Map(LowCardinality(String), String)"
END = "ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toUnixTimestamp(Timestamp), TraceId)"


def layout(columns: str, *, map_type: str = MAP, engine: str = END) -> str:
    return f"CREATE TABLE otel_traces ({columns}) {engine}".replace("{map}", map_type)


DAY = 86_400 * SECOND

LAYOUTS = {
    "0.70: no scope, signed duration": layout(f"{HEAD}Duration Int64 CODEC(ZSTD(1)), {NESTED}"),
    "0.90: signed duration": layout(f"{HEAD}{SCOPE}Duration Int64 CODEC(ZSTD(1)), {NESTED}"),
    "0.161": layout(f"{HEAD}{SCOPE}Duration UInt64 CODEC(ZSTD(1)), {NESTED}"),
    "0.161 with columns of somebody's": layout(
        f"{HEAD}{SCOPE}Duration UInt64 CODEC(ZSTD(1)), host LowCardinality(String) MATERIALIZED ResourceAttributes['host.name'], "
        f"Tags Array(String) ALIAS mapKeys(SpanAttributes), {NESTED}",
        map_type="Map(String, String)",
    ),
    "0.161 with JSON columns": layout(
        f"{HEAD}{SCOPE}ResourceAttributesKeys Array(String), SpanAttributesKeys Array(String), Duration UInt64, {NESTED}",
        map_type="JSON",
    ),
    "a table that keeps nothing": layout(f"{HEAD}{SCOPE}Duration UInt64, {NESTED}", engine="ENGINE = Null"),
}
KEEPING = [name for name, statement in LAYOUTS.items() if "Null" not in statement]


def collect(client: Client, spans: list[Any]) -> None:
    """Insert spans into the table as a collector does: the columns that it has, without a token."""
    described = client.create_insert_context("otel_traces")
    columns = {name: values for name, values in landing_columns(spans).items() if name in described.column_names}
    client.insert("otel_traces", list(columns.values()), column_names=list(columns), column_oriented=True)


def front_after(days: int) -> Case:
    """A generation with a front of three, this many days after the golden spans."""
    return Case("later", front_of(3, start=START + days * DAY), {})


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(
        ({**row, "ingested_at": None} for row in rows),
        key=lambda row: (row["trace_id"], row["span_id"], str(row.get("position"))),
    )


def tables(client: Client) -> dict[str, list[dict[str, Any]]]:
    return {table: without_times(rows_of(client, table)) for table in _tables.TABLES}


def definition(client: Client, table: str) -> str:
    return str(
        client.command(
            "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {t:String}",
            parameters={"t": table},
        )
    )


@pytest.fixture
def expected(store: Client, connect: Connect) -> Callable[[list[Any]], dict[str, list[dict[str, Any]]]]:
    """The rows that spans become when sent directly, into our own landing table."""

    def rows(spans: list[Any]) -> dict[str, list[dict[str, Any]]]:
        store_spans(ClickHouseSpanExporter(connect), spans)
        found = tables(store)
        for name in ("otel_traces", *_tables.TABLES):
            store.command(f"DROP TABLE IF EXISTS {_tables.STORED_IN.get(name, name)} SYNC")
        for name in [
            *(view for view, _, _ in _tables.views()),
            "evolution_runs",
            "otel_traces_trace_id_ts",
        ]:
            store.command(f"DROP TABLE IF EXISTS {name} SYNC")
        return found

    return rows


Expected = Callable[[list[Any]], dict[str, list[dict[str, Any]]]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_views_read_every_layout_and_change_none(name: str, expected: Expected, connect: Connect) -> None:
    """Attached to any layout, the views produce the same rows as on our own landing table; the table is unchanged."""
    spans = golden()
    wanted = expected(spans)
    client = connect()
    client.command(LAYOUTS[name])
    before = definition(client, "otel_traces")
    schema.init_schema(client)
    assert schema.init_schema(client) == []
    collect(client, spans)
    assert tables(client) == wanted
    assert definition(client, "otel_traces") == before
    # Nor does `check` miss anything.
    schema.see_whole(existing(client))


@pytest.mark.parametrize("name", KEEPING)
def test_backfill_reads_every_layout(name: str, expected: Expected, connect: Connect) -> None:
    """What a table held before the views existed becomes the same rows; a second call adds none."""
    spans = golden()
    wanted = expected(spans)
    client = connect()
    client.command(LAYOUTS[name])
    collect(client, spans)
    schema.init_schema(client)
    filled = list(backfill.backfill(client))
    assert tables(client) == wanted
    assert {table: sum(each.rows[table] for each in filled) for table in wanted} == {
        table: int(str(client.command(f"SELECT count() FROM {_tables.STORED_IN[table]}"))) for table in wanted
    }
    assert not any(any(each.rows.values()) for each in backfill.backfill(client))
    assert tables(client) == wanted
    traces = int(str(client.command("SELECT uniqExact(TraceId) FROM otel_traces")))
    assert int(str(client.command("SELECT count() FROM otel_traces_trace_id_ts"))) == traces


def test_backfill_goes_on_where_it_stopped(connect: Connect) -> None:
    """Interrupted between two stretches and called again, while spans arrive through the views: every row once."""
    client = connect()
    client.command(LAYOUTS["0.161"])
    days = [front_after(days) for days in range(4)]
    collect(client, [span for case in days[:3] for span in spans_of(case)])
    schema.init_schema(client)
    collect(client, list(spans_of(days[3])))
    one = next(backfill.backfill(client))
    assert one.rows["generations"] == 1 and one.rows["pareto_fronts"] == 3 and one.stretch.spans == 1
    rest = list(backfill.backfill(client))
    assert [each.rows["pareto_fronts"] for each in rest] == [0, 3, 3, 0]
    assert int(str(client.command("SELECT count() FROM generations"))) == 4
    assert int(str(client.command("SELECT count() FROM pareto_fronts"))) == 12


@pytest.mark.parametrize("by_views", [(), (1,), (0,)])
def test_backfill_has_the_last_word_of_what_was_told_again(by_views: tuple[int, ...], connect: Connect) -> None:
    """A run that continues on another day ends again, and its generation that is opened again too, as the same spans as before: the last
    ones count, whether the views or the backfill wrote them, and the run has both of its ends."""
    client = connect()
    client.command(LAYOUTS["0.161"])

    def ends(days: Iterable[int]) -> None:
        for day in days:
            run = {"genesis.run.id": "r", "genesis.record": "run", "genesis.run.total_generations": str(day + 1)}
            generation = {
                "genesis.run.id": "r",
                "genesis.record": "generation",
                "genesis.generation.num_individuals": str(day),
            }
            client.insert(
                "otel_traces",
                [
                    [START + day * DAY, "t", "run", SECOND, run],
                    [START + day * DAY, "g", "generation", SECOND, generation],
                ],
                column_names=["Timestamp", "TraceId", "SpanId", "Duration", "SpanAttributes"],
            )

    ends({0, 1, 2} - set(by_views))
    schema.init_schema(client)
    ends(by_views)
    list(backfill.backfill(client))
    told = "SELECT groupArray(total_generations) FROM (SELECT * FROM evolution_runs_log ORDER BY told_at)"
    assert client.query(told).result_rows == [([1, 2, 3],)]
    assert client.query("SELECT num_individuals FROM generations FINAL").result_rows == [(2,)]
    assert not any(any(each.rows.values()) for each in backfill.backfill(client))


def test_backfill_leaves_no_row_twice_that_came_in_meanwhile(connect: Connect) -> None:
    """A row that both the views and the backfill wrote is one row to a plain SELECT once the backfill has ended."""
    client = connect()
    client.command(LAYOUTS["0.161"])
    spans = spans_of(front_after(0))
    collect(client, list(spans))
    schema.init_schema(client)
    list(backfill.backfill(client))
    # As if a batch with the same span had arrived between the check and the insert.
    client.command("INSERT INTO generations SELECT * FROM generations SETTINGS insert_deduplicate = 0")
    assert int(str(client.command("SELECT count() FROM generations"))) == 2
    list(backfill.backfill(client))
    assert int(str(client.command("SELECT count() FROM generations"))) == 1


def test_backfill_reads_spans_of_clocks_that_are_wrong(connect: Connect) -> None:
    """Spans from 1970, from 2100 and from the hour that repeats in autumn are filled in like all others."""
    client = connect()
    client.command(LAYOUTS["0.161"])
    autumn = 1_761_436_800  # 2025-10-26T00:00:00Z, when it is two o'clock in Berlin for the first time
    starts = [0, autumn, autumn + 3600, 4_102_444_800]
    collect(client, [span for start in starts for span in spans_of(Case("", front_of(1, start=start * SECOND), {}))])
    schema.init_schema(client)
    assert sum(each.rows["generations"] for each in backfill.backfill(client)) == len(starts)
    assert not any(any(each.rows.values()) for each in backfill.backfill(client))


def test_a_collectors_own_lookup_is_left_as_it_is(connect: Connect) -> None:
    """We neither alter nor fill the exporter's table and view of trace times."""
    client = connect()
    client.command(LAYOUTS["0.161"])
    client.command(
        "CREATE TABLE otel_traces_trace_id_ts (TraceId String, Start DateTime64(9), End DateTime64(9)) ENGINE = MergeTree ORDER BY (Start)"
    )
    client.command(
        "CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS "
        "SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel_traces WHERE TraceId != '' GROUP BY TraceId"
    )
    theirs = [definition(client, name) for name in ("otel_traces_trace_id_ts", "otel_traces_trace_id_ts_mv")]
    collect(client, golden()[:3])
    done = schema.init_schema(client)
    assert [line for line in done if "otel_traces" in line] == []
    list(backfill.backfill(client))
    assert [definition(client, name) for name in ("otel_traces_trace_id_ts", "otel_traces_trace_id_ts_mv")] == theirs


def test_what_is_no_landing_table_is_refused(connect: Connect) -> None:
    """A table of that name with other columns is an error that names what is missing, and nothing is created."""
    client = connect()
    client.command(
        "CREATE TABLE otel_traces (Timestamp DateTime, TraceId String) ENGINE = MergeTree ORDER BY Timestamp"
    )
    with pytest.raises(errors.StoreError, match=r"lacks SpanId, .*SpanAttributes"):
        schema.init_schema(client)
    assert list(existing(client)) == ["otel_traces"]


def test_raw_traces_of_json_columns_stay_where_they_are(connect: Connect, tmp_path: Path) -> None:
    """No other layout could read them: an export that includes them says so and leaves no file; without them it works."""
    client = connect()
    client.command(LAYOUTS["0.161 with JSON columns"])
    schema.init_schema(client)
    with pytest.raises(errors.StoreError, match="JSON columns"):
        archive.export(client, "r", tmp_path / "raw.zip", with_raw_traces=True)
    assert not list(tmp_path.iterdir())
    assert sum(archive.export(client, "r", tmp_path / "rows.zip").rows.values()) == 0


def test_an_older_table_of_ours_gets_its_settings(store: Client) -> None:
    """A table made before a setting existed gets it; one with a different value keeps it."""
    store.command("ALTER TABLE individuals RESET SETTING min_age_to_force_merge_seconds")
    store.command("ALTER TABLE llm_logs MODIFY SETTING min_age_to_force_merge_seconds = 86400")
    assert schema.init_schema(store) == ["set individuals: min_age_to_force_merge_seconds = 600"]
    assert "min_age_to_force_merge_seconds = 86400" in definition(store, "llm_logs")


def test_calls_of_a_search_are_told_from_all_others(store: Client, connect: Connect) -> None:
    """In a landing table shared by all programs, only spans that name a run on span or resource, or came through us, become rows."""
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    cases = {
        "": chat,
        "on the span": chat | {"genesis.run.id": "on the span"},
        "priced": chat | {"genesis.llm.cost_source": "no-tokens"},
    }
    for name, attributes in cases.items():
        case = Case(name, lambda tracer, attributes=attributes: span(tracer, "chat m", attributes), {})  # type: ignore[misc]
        store_spans(ClickHouseSpanExporter(connect), spans_of(case))
    provider = TracerProvider(resource=Resource({"genesis.run.id": "on the resource", "genesis.generation.number": 4}))
    kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    span(provider.get_tracer("theirs"), "chat m", chat)
    span(provider.get_tracer("genesis_otel"), "chat ours", chat)
    store_spans(ClickHouseSpanExporter(connect), kept.get_finished_spans())
    rows = store.query("SELECT run_id, generation FROM llm_logs ORDER BY run_id").result_rows
    assert rows == [("", None), ("on the resource", 4), ("on the resource", 4), ("on the span", None)]


@pytest.mark.parametrize("name", KEEPING)
def test_the_direct_way_fills_every_layout(name: str, expected: Expected, connect: Connect) -> None:
    """Spans sent directly into a collector's table become the same rows as in our own landing table."""
    spans = golden()
    wanted = expected(spans)
    client = connect()
    client.command(LAYOUTS[name])
    schema.init_schema(client)
    store_spans(ClickHouseSpanExporter(connect), spans)
    assert tables(client) == wanted
