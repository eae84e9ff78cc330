"""The mapping from spans to the seven tables, on the real engine, with direct inserts."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel._ship.delivery.contract import Misconfigured
from genesis_otel._store import schema, tables
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.golden import CASES, START, Case, front_of
from tests.support.mapping import columns_of, rows_of, spans_of
from tests.support.recording import landing_columns, store_spans


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case, store: Client, connect: Connect) -> None:
    """The spans of a case become exactly its rows, in all seven tables, and every row leads to its span."""
    spans = spans_of(case)
    store_spans(ClickHouseSpanExporter(connect), (spans))
    ids = {format(span.context.span_id, "016x") for span in spans if span.context}
    for table in tables.TABLES:
        expected = case.rows.get(table, [])
        found = rows_of(store, table)
        assert [{name: row[name] for name in wanted} for row, wanted in zip(found, expected, strict=True)] == expected
        assert {row["span_id"] for row in found} <= ids
    landed = int(str(store.command("SELECT count() FROM otel_traces")))
    assert landed == len(spans)


@pytest.mark.parametrize("with_token", [True, False], ids=["by token", "by content"])
def test_a_batch_sent_again_adds_nothing(with_token: bool, store: Client, connect: Connect) -> None:
    """The same block twice is stored once, in the landing table and through the views, with a token and without one."""
    spans = [span for case in CASES for span in spans_of(case)]
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, (spans))
    first = {table: rows_of(store, table) for table in tables.TABLES}
    if with_token:
        store_spans(exporter, (spans))
    else:
        for _ in range(2):
            columns = landing_columns(spans)
            store.insert("otel_traces", list(columns.values()), column_names=list(columns), column_oriented=True)
        store.command("OPTIMIZE TABLE individuals FINAL")
    again = {table: rows_of(store, table) for table in tables.TABLES}
    if with_token:
        assert again == first
        assert int(str(store.command("SELECT count() FROM otel_traces"))) == len(spans)
    else:
        # The batch with a token and the one without are two blocks; the two without are one.
        assert int(str(store.command("SELECT count() FROM otel_traces"))) == 2 * len(spans)
        assert len(again["evolution_runs"]) == len(first["evolution_runs"])
        assert len(again["individuals"]) == len(first["individuals"])


def test_rows_that_slip_through_collapse(store: Client, connect: Connect) -> None:
    """The same spans in regrouped batches are one row each once ClickHouse has merged, and at once with FINAL."""
    spans = [span for case in CASES for span in spans_of(case)]
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, (spans))
    first = {table: rows_of(store, table) for table in tables.TABLES}
    store_spans(exporter, (spans[1:]))
    for table, stored in tables.STORED_IN.items():
        if table != "evolution_runs":
            count = int(str(store.command(f"SELECT count() FROM {stored} FINAL")))
            assert count == len(first[table])
        store.command(f"OPTIMIZE TABLE {stored} FINAL")
        assert [row | {"ingested_at": None} for row in rows_of(store, table)] == [
            row | {"ingested_at": None} for row in first[table]
        ]


SCORES = {
    ("generations", "best_score"),
    ("generations", "avg_score"),
    ("individuals", "fitness_score"),
    ("individuals", "combined_score"),
    ("pareto_fronts", "fitness_score"),
    ("pareto_fronts", "combined_score"),
    ("code_lineages", "fitness_delta"),
}
"""The columns that may be NULL: a score that does not exist is not 0."""


def test_tables_have_the_columns_of_the_reference_first(store: Client) -> None:
    """Every column that the reference documents exists, in its order and with its type; scores may be NULL; ours come after."""
    documented = reference_columns()
    assert list(documented) and set(documented) == set(tables.TABLES)
    for table, wanted in documented.items():
        found = [
            (
                name,
                kind.removeprefix("LowCardinality(").removesuffix(")") if kind.startswith("LowCardinality") else kind,
            )
            for name, kind in (row[:2] for row in store.query(f"DESCRIBE TABLE {table}").result_rows)
        ]
        assert found[: len(wanted)] == [
            (name, f"Nullable({kind})" if (table, name) in SCORES else kind) for name, kind in wanted
        ]
        assert {name for name, _ in found[len(wanted) :]} >= {"trace_id", "span_id", "ingested_at"}


def reference_columns() -> dict[str, list[tuple[str, str]]]:
    import re
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    return {
        table: re.findall(r"^\| `(\w+)` \| ([\w()]+) \|", section, re.MULTILINE)
        for table, section in re.findall(r"^#### `(\w+)`\n(.*?)(?=^#### |^## )", text, re.MULTILINE | re.DOTALL)
    }


def test_init_twice_changes_nothing(connect: Connect) -> None:
    """The second init has nothing to do, and retention can be set, changed and removed."""
    client = connect()
    assert len(schema.init_schema(client)) > 10
    assert schema.init_schema(client) == []
    assert schema.init_schema(client, llm_logs_ttl_days=30, agent_actions_ttl_days=90, traces_ttl_days=7) == [
        "llm_logs keeps rows for 30 days",
        "agent_actions keeps rows for 90 days",
        "otel_traces keeps rows for 7 days",
        "otel_traces_trace_id_ts keeps rows for 7 days",
    ]
    assert schema.init_schema(client, llm_logs_ttl_days=30) == []
    assert schema.init_schema(client, llm_logs_ttl_days=0) == ["llm_logs keeps all rows"]
    for statement in (
        "llm_logs MODIFY TTL timestamp + INTERVAL 30 DAY",
        "agent_actions MODIFY TTL timestamp + INTERVAL 90 DAY",
    ):
        client.command(f"ALTER TABLE {statement}")
    assert schema.init_schema(client, llm_logs_ttl_days=30, agent_actions_ttl_days=90) == []


def test_init_upgrades_a_view_in_place(store: Client, connect: Connect) -> None:
    """A view of another version is upgraded to this one's, and a missing column is added, with all rows kept."""
    store_spans(ClickHouseSpanExporter(connect), (spans_of(CASES[6])))
    store.command("ALTER TABLE individuals_mv MODIFY QUERY SELECT '' AS run_id FROM otel_traces WHERE 0")
    store.command("ALTER TABLE individuals_mv MODIFY COMMENT 'an older version'")
    store.command("ALTER TABLE individuals DROP COLUMN error")
    assert schema.init_schema(store) == ["added individuals.error", "upgraded view individuals_mv"]
    store_spans(ClickHouseSpanExporter(connect), (spans_of(CASES[7])))
    assert [(row["individual_id"], row["error"]) for row in rows_of(store, "individuals")].count(
        ("a", "ValueError: no diff")
    ) == 1
    assert len(rows_of(store, "individuals")) == 2


FIRST_LOGGER = {
    "llm_logs": "id UUID, timestamp DateTime64(3), model String, messages String, response String, thought String, cost Float64, "
    "execution_time Float64, metadata String) ENGINE = MergeTree ORDER BY timestamp",
    "agent_actions": "id UUID, timestamp DateTime64(3), action_type String, details String, metadata String) ENGINE = MergeTree ORDER BY timestamp",
    "evolution_runs": "run_id String, start_time DateTime64(3), end_time DateTime64(3), task_name String, config String, status String, "
    "total_generations Int32, population_size Int32, cluster_type String, database_path String) ENGINE = MergeTree ORDER BY start_time",
    "generations": "run_id String, generation Int32, timestamp DateTime64(3), num_individuals Int32, best_score Float64, avg_score Float64, "
    "pareto_size Int32, total_cost Float64, metadata String) ENGINE = MergeTree ORDER BY (run_id, generation)",
    "individuals": "run_id String, individual_id String, generation Int32, timestamp DateTime64(3), parent_id String, mutation_type String, "
    "fitness_score Float64, combined_score Float64, metrics String, is_pareto Bool, api_cost Float64, embed_cost Float64, novelty_cost Float64, "
    "code_hash String, code_size Int32) ENGINE = MergeTree ORDER BY (run_id, generation, timestamp)",
    "pareto_fronts": "run_id String, generation Int32, timestamp DateTime64(3), individual_id String, fitness_score Float64, "
    "combined_score Float64, metrics String) ENGINE = MergeTree ORDER BY (run_id, generation, fitness_score)",
    "code_lineages": "run_id String, child_id String, parent_id String, generation Int32, mutation_type String, timestamp DateTime64(3), "
    "fitness_delta Float64, edit_summary String) ENGINE = MergeTree ORDER BY (run_id, generation, timestamp)",
}
"""The first logger's tables, as it made them."""


def texts_of(client: Client, columns: str, table: str) -> list[str]:
    """The rows of a table as text, in order."""
    return sorted(str(row[0]) for row in client.query(f"SELECT toString(({columns})) FROM {table}").result_rows)


def first_logger_rows(client: Client) -> dict[str, list[str]]:
    """Create the first logger's tables, each with 50 random rows and two equal ones, and return their rows."""
    found = {}
    for table, definition in FIRST_LOGGER.items():
        client.command(f"CREATE TABLE {table} ({definition}")
        client.command(
            f"INSERT INTO {table} SELECT * FROM generateRandom('{definition.partition(') ENGINE')[0]}', 1, 20) LIMIT 50"
        )
        client.command(f"INSERT INTO {table} SELECT * FROM {table} ORDER BY 1 LIMIT 1")
        columns = ", ".join(columns_of(client, table))
        found[table] = texts_of(client, columns, table)
    return found


def test_a_database_of_the_first_logger_is_taken_over(connect: Connect) -> None:
    """Every row is kept, including equal ones, even after a merge; the second init changes nothing; new spans arrive beside them."""
    client = connect()
    before = first_logger_rows(client)
    with pytest.raises(Misconfigured, match="genesis-otel init"):
        store_spans(ClickHouseSpanExporter(connect), (spans_of(CASES[0])))
    done = schema.init_schema(client)
    assert sum(line.startswith("took over 51 rows") for line in done) == 7
    assert schema.init_schema(client) == []
    for table, stored in tables.STORED_IN.items():
        client.command(f"OPTIMIZE TABLE {stored} FINAL")
        columns = ", ".join(columns_of(client, f"{table}_first_logger"))
        assert texts_of(client, columns, stored) == before[table]
    runs = client.query(
        "SELECT (SELECT count() FROM evolution_runs), uniqExact(run_id) FROM evolution_runs_log"
    ).result_rows
    assert runs[0][0] == runs[0][1]
    store_spans(ClickHouseSpanExporter(connect), (spans_of(CASES[0])))
    assert client.query("SELECT status FROM evolution_runs WHERE run_id = 'r'").result_rows == [("completed",)]


def test_a_takeover_that_was_interrupted_begins_anew(connect: Connect) -> None:
    """What an init left half done, a side table with some of the rows, is rebuilt by the next, and no row is lost or doubled."""
    client = connect()
    before = first_logger_rows(client)
    client.command("CREATE TABLE individuals_takeover (x Int8) ENGINE = Memory")
    schema.take_over(client, "generations", taken=frozenset())
    schema.init_schema(client)
    for table, stored in tables.STORED_IN.items():
        assert int(str(client.command(f"SELECT count() FROM {stored}"))) == len(before[table])


def test_what_a_view_cannot_read_is_still_landed(store: Client, connect: Connect) -> None:
    """500 distinct days in one batch are accepted: the landing table's daily partitions fail no insert."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for day in range(500):
        front = front_of(1)
        front(provider.get_tracer("t"))
        provider.get_tracer("t").start_span("late", start_time=START + day * 86_400 * 10**9).end(
            START + day * 86_400 * 10**9
        )
    store_spans(ClickHouseSpanExporter(connect), (kept.get_finished_spans()))
    assert int(str(store.command("SELECT count() FROM otel_traces"))) == 1000
