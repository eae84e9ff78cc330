"""Versions recognise each other: which store a package can use, what it says if it cannot, and what 0.1.0 makes of a newer one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import attributes as names
from genesis_otel._ship.delivery.contract import Misconfigured
from genesis_otel._store import errors, schema, tables, version
from genesis_otel._store.present import existing
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support import golden
from tests.support.mapping import rows_of, spans_of
from tests.support.pipeline import PASSWORD, Store, running
from tests.support.recording import store_spans


def number(client: Client, comment: str) -> None:
    client.command(f"ALTER TABLE {version.TABLE} MODIFY COMMENT '{comment}'")


def test_a_store_has_its_schemas_number(store: Client) -> None:
    """A store made by this package has its schema number, and this package can read everything in it."""
    assert version.of(existing(store)) == tables.SCHEMA
    version.see(store)
    schema.ensure(store)


def test_readers_and_writers_of_an_older_store_name_init(store: Client, connect: Connect) -> None:
    """On a store of an earlier schema, writing and reading name `genesis-otel init`; init upgrades it, and both continue."""
    number(store, "")
    for use in (schema.ensure, version.see):
        with pytest.raises(errors.StoreError, match=r"earlier genesis-otel \(schema 1.*run `genesis-otel init`"):
            use(store)
    exporter = ClickHouseSpanExporter(connect)
    case = golden.CASES[6]
    with pytest.raises(Misconfigured, match="genesis-otel init"):
        store_spans(exporter, spans_of(case))
    schema.init_schema(store)
    version.see(store)
    store_spans(exporter, spans_of(case))
    assert store.command("SELECT count() FROM individuals") == 1


def test_a_later_store_is_used_and_left_alone(store: Client, connect: Connect) -> None:
    """A store of a later schema that this package can use accepts spans and queries; init, which would undo it, refuses by name."""
    number(store, "genesis-otel schema 99, for 2 and later")
    store.command("ALTER TABLE individuals ADD COLUMN of_later String DEFAULT 'x'")
    store_spans(ClickHouseSpanExporter(connect), spans_of(golden.CASES[6]))
    version.see(store)
    assert store.query("SELECT individual_id, of_later FROM individuals").result_rows == [("child ☃", "x")]
    with pytest.raises(errors.StoreError, match=r"later genesis-otel \(schema 99.*pip install -U genesis-otel"):
        schema.init_schema(store)


def test_a_later_store_that_cannot_be_used_is_refused_by_name(store: Client) -> None:
    """If a later schema says that this package cannot use it, writing and reading say so, and what to install."""
    number(store, "genesis-otel schema 99, for 98 and later")
    for use in (schema.ensure, version.see):
        with pytest.raises(errors.StoreError, match="pip install -U genesis-otel"):
            use(store)


def test_an_upgrade_that_was_interrupted_is_done_again(store: Client, connect: Connect) -> None:
    """The number is written last: rows that an interrupted init left unchanged are upgraded by the next one."""
    store_spans(ClickHouseSpanExporter(connect), spans_of(golden.CASES[7]))
    store.command(
        "ALTER TABLE individuals UPDATE fitness_score = 0, score_told = '' WHERE 1", settings={"mutations_sync": 2}
    )
    number(store, "")
    done = schema.init_schema(store)
    assert "individuals: 1 rows now match their spans" in done
    assert store.query("SELECT fitness_score, score_told FROM individuals").result_rows == [(None, "-inf")]
    assert schema.init_schema(store) == []


def test_an_upgrade_of_views_alone_that_was_interrupted_is_done_again(store: Client, connect: Connect) -> None:
    """Where the number stays and the views differ, a mark beside the number lasts until the rows are done: in between the store is used,
    and the next init finishes."""
    store_spans(ClickHouseSpanExporter(connect), spans_of(golden.CASES[7]))
    store.command(
        "ALTER TABLE individuals UPDATE fitness_score = 0, score_told = '' WHERE 1", settings={"mutations_sync": 2}
    )
    store.command("ALTER TABLE llm_logs_mv MODIFY COMMENT 'genesis-otel of another form'")
    store.command("ALTER TABLE individuals ADD CONSTRAINT interrupted CHECK fitness_score = 0")
    with pytest.raises(errors.StoreError, match="interrupted"):
        schema.init_schema(store)
    assert version.of(existing(store)) == tables.SCHEMA and not version.is_current(store)
    schema.ensure(store)
    version.see(store)
    store.command("ALTER TABLE individuals DROP CONSTRAINT interrupted")
    assert schema.init_schema(store) == ["individuals: 1 rows now match their spans"]
    assert store.query("SELECT fitness_score, score_told FROM individuals").result_rows == [(None, "-inf")]
    assert version.is_current(store)
    assert schema.init_schema(store) == []


def test_an_upgrade_keeps_what_a_generation_told_last(store: Client) -> None:
    """What a generation told before it was opened again, as the same span, differs from its row, and stays replaced."""
    for at, told in enumerate(("0", "7")):
        attributes = {"genesis.run.id": "r", "genesis.record": "generation", "genesis.generation.num_individuals": told}
        store.insert(
            "otel_traces",
            [[golden.START + at * golden.SECOND, "t", "s", attributes]],
            column_names=["Timestamp", "TraceId", "SpanId", "SpanAttributes"],
        )
    number(store, "")
    assert not [line for line in schema.init_schema(store) if line.startswith("generations:")]
    assert store.query("SELECT num_individuals FROM generations FINAL").result_rows == [(7,)]


def test_a_zero_of_this_version_stays_through_an_upgrade(store: Client) -> None:
    """A failed individual's score of 0, and a gain of 0, mean a missing number in a store of 0.1.0 alone: where 0 was told, it stays when
    views or columns are upgraded, even if the raw spans are gone."""
    columns = ["run_id", "individual_id", "status", "fitness_score", "combined_score", "correct"]
    store.insert("individuals", [["r", "failed", "error", 0.0, 0.0, None]], column_names=columns)
    columns = ["run_id", "child_id", "parent_id", "fitness_delta"]
    store.insert("code_lineages", [["r", "failed", "unknown", 0.0]], column_names=columns)
    asked = "SELECT (SELECT fitness_score FROM individuals), (SELECT fitness_delta FROM code_lineages)"
    store.command("ALTER TABLE individuals_mv MODIFY COMMENT 'an earlier one of the same schema'")
    schema.init_schema(store)
    assert store.query(asked).result_rows == [(0.0, 0.0)]
    number(store, f"genesis-otel schema {tables.SCHEMA - 1}, for 1 and later")
    schema.init_schema(store)
    assert store.query(asked).result_rows == [(0.0, 0.0)]
    number(store, "")
    schema.init_schema(store)
    assert store.query(asked).result_rows == [(None, None)]


WIDENED = {
    "generations": ("best_score", "avg_score"),
    "individuals": ("fitness_score", "combined_score"),
    "pareto_fronts": ("fitness_score", "combined_score"),
    "code_lineages": ("fitness_delta",),
}


def test_columns_take_null_before_a_view_gives_it(store: Client, connect: Connect) -> None:
    """A view that yields NULL for a non-nullable column fails every insert (code 349): init alters each table first, keeping its rows."""
    for table, scores in WIDENED.items():
        for score in scores:
            store.command(
                f"ALTER TABLE {table} MODIFY COLUMN {score} Float64 DEFAULT 0", settings={"mutations_sync": 2}
            )
        store.command(f"ALTER TABLE {table}_mv MODIFY COMMENT 'genesis-otel of 0.1.0'")
    number(store, "")
    scored = spans_of(golden.CASES[6])
    store.insert("individuals", [["r", "kept", 0.5]], column_names=["run_id", "individual_id", "fitness_score"])
    done = schema.init_schema(store)
    for table, scores in WIDENED.items():
        before = [done.index(f"{table}.{score} is now nullable") for score in scores]
        assert max(before) < done.index(f"upgraded view {table}_mv")
    exporter = ClickHouseSpanExporter(connect)
    for spans in (scored, spans_of(golden.CASES[7])):
        store_spans(exporter, spans)
    rows = store.query("SELECT individual_id, fitness_score FROM individuals ORDER BY individual_id").result_rows
    assert rows == [("a", None), ("child ☃", 0.9), ("kept", 0.5)]


OLDER = {
    "individuals": {
        names.RECORD: "individual",
        names.RUN_ID: "r",
        names.INDIVIDUAL_ID: "child",
        names.LINEAGE_EDGES: '[{"parent_id": "p", "fitness_delta": 0.0}, {"parent_id": "q", "fitness_delta": 0.0}]',
    },
    "lineages": {
        names.RECORD: "lineage",
        names.RUN_ID: "r",
        names.LINEAGE_CHILD_ID: "seed",
        names.LINEAGE_PARENT_ID: "",
        names.LINEAGE_FITNESS_DELTA: 0.0,
    },
    "logged": {
        names.RECORD: "individual",
        names.RUN_ID: "r",
        names.INDIVIDUAL_ID: "logged",
        names.INDIVIDUAL_FITNESS_SCORE: 0.0,
        names.INDIVIDUAL_COMBINED_SCORE: 0.0,
        names.INDIVIDUAL_METRICS: '{"correct": false}',
    },
    "zero": {
        names.RECORD: "individual",
        names.RUN_ID: "r",
        names.INDIVIDUAL_ID: "zero",
        names.INDIVIDUAL_FITNESS_SCORE: 0.0,
        names.INDIVIDUAL_COMBINED_SCORE: 0.0,
        names.INDIVIDUAL_METRICS: '{"correct": true}',
    },
}
"""What 0.1.0 tells for want of a score, and one that is 0."""


BEFORE = Path(__file__).parents[1] / "fixtures" / "before_0_2_0" / "schema.sql"
"""The tables and views of a store made between 0.1.0 and 0.2.0."""


def test_the_stages_of_a_store_made_between_versions_are_upgraded(connect: Connect) -> None:
    """init brings stages and views of a package between 0.1.0 and 0.2.0 up to date: what is stored stays as it is, the golden spans
    become their rows, and a second init has nothing to do."""
    client = connect()
    for statement in re.split(r";\s*$", BEFORE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if "CREATE" in statement:
            client.command(statement)
    number(client, version.COMMENT)
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, [span for case in golden.CASES for span in spans_of(case)])
    # Without gains: the cases share names, and an edge of one loses its gain to an individual of another that has no score.
    gains = dict.fromkeys(("fitness_delta", "score_told"))
    stored = {table: [row | gains for row in rows_of(client, table)] for table in tables.TABLES}
    assert all(stored.values())
    done = schema.init_schema(client, traces_ttl_days=0)
    assert {"created table call_spans", "created view action_spans_mv", "upgraded view llm_spans_mv"} <= set(done)
    for table, before in stored.items():
        # Columns that this version adds are not compared.
        found = [row | gains for row in rows_of(client, table)]
        assert [{name: row[name] for name in was} for row, was in zip(found, before, strict=True)] == before
    assert schema.init_schema(client) == []
    for case in golden.CASES:
        for table in (tables.LANDING, *tables.STORED_IN.values()):
            client.command(f"TRUNCATE TABLE {table}")
        store_spans(exporter, spans_of(case))
        for table in tables.TABLES:
            expected = case.rows.get(table, [])
            found = rows_of(client, table)
            assert [
                {name: row[name] for name in wanted} for row, wanted in zip(found, expected, strict=True)
            ] == expected


def test_an_older_emitter_writes_into_this_store(store: Client, connect: Connect) -> None:
    """Spans of 0.1.0 become current rows: the zeros that it sent for a missing number are NULL, the one that is a score stays."""
    emit = golden.each_of(*(lambda tracer, told=told: golden.span(tracer, "x", told) for told in OLDER.values()))
    store_spans(ClickHouseSpanExporter(connect), spans_of(golden.Case("older", emit, {})))
    rows = store.query(
        "SELECT individual_id, fitness_score, score_told, status FROM individuals ORDER BY individual_id"
    ).result_rows
    assert rows == [("child", None, "", "ok"), ("logged", None, "0", "incorrect"), ("zero", 0.0, "", "ok")]
    deltas = store.query("SELECT child_id, parent_id, fitness_delta FROM code_lineages ORDER BY ALL").result_rows
    assert deltas == [("child", "p", None), ("child", "q", None), ("seed", "", None)]


def test_0_1_0_leaves_the_number_alone_and_its_views_are_mended(store: Client, connect: Connect) -> None:
    """0.1.0's init replaces our views with its own: what it stored through them is repaired by the next init of this version."""
    store.command("ALTER TABLE individuals_mv MODIFY COMMENT 'genesis-otel of 0.1.0'")
    store.command(
        "ALTER TABLE individuals_mv MODIFY QUERY SELECT SpanAttributes['genesis.run.id'] AS run_id, "
        "SpanAttributes['genesis.individual.id'] AS individual_id, 0::Int32 AS generation, "
        "toDateTime64(Timestamp + toIntervalNanosecond(Duration), 3) AS timestamp, "
        "toFloat64OrZero(SpanAttributes['genesis.individual.fitness_score']) AS fitness_score, "
        "toFloat64OrZero(SpanAttributes['genesis.individual.combined_score']) AS combined_score, "
        "TraceId AS trace_id, SpanId AS span_id FROM otel_traces WHERE SpanAttributes['genesis.record'] = 'individual'"
    )
    emit = golden.each_of(*(lambda tracer, told=told: golden.span(tracer, "x", told) for told in OLDER.values()))
    store_spans(ClickHouseSpanExporter(connect), spans_of(golden.Case("older", emit, {})))
    asked = "SELECT individual_id, fitness_score FROM individuals FINAL ORDER BY individual_id"
    assert store.query(asked).result_rows == [("child", 0.0), ("logged", 0.0), ("zero", 0.0)]
    assert "individuals: 3 rows now match their spans" in schema.init_schema(store)
    assert store.query(asked).result_rows == [("child", None), ("logged", None), ("zero", 0.0)]
    assert store.command("SELECT count() FROM individuals") == 3


def test_the_command_says_init_on_an_older_store(tmp_path: Path) -> None:
    """On a server whose store is of an earlier version, commands that read, and those that write, end by naming it and `genesis-otel init`, not with a code."""
    store = Store(tmp_path / "server")
    with running(store):
        client = store.client()
        number(client, "")
        client.close()
        for command in ("check", "runs", "reprice", "dedupe"):
            done = genesis(command, store)
            assert done.returncode == 1
            assert "run `genesis-otel init`" in done.stderr and "Traceback" not in done.stderr
        assert genesis("init", store).returncode == 0
        assert genesis("check", store).returncode == 0


def genesis(command: str, store: Store) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genesis_otel", command],
        env=os.environ | {"CLICKHOUSE_URL": f"http://genesis:{PASSWORD}@127.0.0.1:{store.port}/default"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
