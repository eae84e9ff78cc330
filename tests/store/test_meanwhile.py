"""Something else happens between what a function reads and what it writes: no row is lost, doubled or changed."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import spans
from genesis_otel._store import archive, backfill, deleted, schema, version
from genesis_otel._store.errors import StoreError
from genesis_otel._store.present import existing
from genesis_otel._store.tables import STORED_IN
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support import golden
from tests.support.recording import record, store_spans
from tests.support.rows_of_run import raw_rows, rows
from tests.support.searched import RUN, search_spans
from tests.support.waiting import until

SPANS = search_spans()


def before(client: Client, statement: str, act: Callable[[], object]) -> None:
    """Do something, once, right before a client sends a statement that contains a text, or rows for the table of this name."""
    acted: list[bool] = []

    def hooked(send: Callable[..., Any]) -> Callable[..., Any]:
        def sending(sql: str, *arguments: Any, **options: Any) -> Any:
            if (sql == statement or (" " in statement and statement in sql)) and not acted:
                acted.append(True)
                act()
            return send(sql, *arguments, **options)

        return sending

    for name in ("query", "command", "raw_insert", "raw_stream"):
        setattr(client, name, hooked(getattr(client, name)))


def content(client: Client, run_id: str = RUN) -> dict[str, Sequence[Sequence[object]]]:
    """All rows of a run, raw ones included, as often as they are stored, without the time they were stored."""
    return {**rows(client, run_id), "otel_traces": raw_rows(client, run_id)}


@pytest.fixture
def file(store: Client, connect: Connect, tmp_path: Path) -> Path:
    """A search that the store has, with its raw traces, as a file."""
    store_spans(ClickHouseSpanExporter(connect), SPANS)
    path = tmp_path / "search.zip"
    archive.export(store, RUN, path, with_raw_traces=True)
    return path


@pytest.mark.parametrize("table", ["evolution_runs_log", "individuals", "agent_actions"])
def test_a_run_that_is_imported_while_it_is_deleted_is_whole(
    store: Client, connect: Connect, file: Path, table: str
) -> None:
    """Whichever rows the deletion has removed by then, the import brings all, and the deletion says that the run stays."""
    whole, other = content(store), connect()
    before(store, f"DELETE FROM {table} ", lambda: archive.bring(other, file))
    with pytest.raises(StoreError, match=f"{RUN} was imported while it was being deleted, and stays"):
        deleted.delete(store, RUN, raw_traces=True)
    assert content(store) == whole
    assert not deleted.sweep(store)
    assert content(store) == whole


@pytest.mark.parametrize("table", ["otel_traces", "individuals", "evolution_runs_log"])
def test_a_run_that_is_deleted_while_it_is_imported_is_gone(
    store: Client, connect: Connect, file: Path, table: str
) -> None:
    """Nothing of it stays behind, not even what the import brings after that; the import says so, and can be repeated."""
    whole, other = content(store), connect()
    deleted.delete(store, RUN, raw_traces=True)
    before(
        store,
        "ATTACH PARTITION" if table == "otel_traces" else table,
        lambda: deleted.delete(other, RUN, raw_traces=True),
    )
    with pytest.raises(StoreError, match=f"{RUN} was deleted while it was being imported: import .* again"):
        archive.bring(store, file)
    assert not any(content(store).values())
    archive.bring(store, file)
    assert content(store) == whole


def test_an_import_waits_for_rows_that_are_being_removed(store: Client, connect: Connect, file: Path) -> None:
    """A deletion that the engine has yet to carry out, as its merges are busy, takes no row that the import found there."""
    whole, other = content(store), connect()
    store.command("SYSTEM STOP MERGES individuals")

    def delete() -> None:
        with pytest.raises(StoreError, match="was imported while"):
            deleted.delete(other, RUN)

    deleting = threading.Thread(target=delete)
    deleting.start()
    asked = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'individuals' AND NOT is_done"
    until(lambda: store.command(asked) == 1, "the deletion to wait")
    importing = threading.Thread(target=archive.bring, args=(connect(), file))
    importing.start()
    until(lambda: not deleted.marks(store, RUN), "the import to begin")
    store.command("SYSTEM START MERGES individuals")
    for each in (importing, deleting):
        each.join(60)
        assert not each.is_alive()
    assert content(store) == whole


def test_a_new_run_is_known_by_the_clock_of_the_machine_where_the_old_one_was_deleted(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That clock may be behind the server's: the run that begins there right afterwards, with the same id, is not taken for late rows."""
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, SPANS)
    behind = time.time_ns() - 3600 * golden.SECOND
    with monkeypatch.context() as clock:
        clock.setattr(time, "time_ns", lambda: behind)
        deleted.delete(store, RUN)
    recorded = record(monkeypatch)
    begun = spans.run("t", run_id=RUN, start_time=behind + golden.SECOND)
    begun.individual("anew", start_time=behind + golden.SECOND).end(behind + 2 * golden.SECOND)
    begun.end(end_time=behind + 3 * golden.SECOND)
    store_spans(exporter, recorded.spans)
    assert not deleted.sweep(store)
    assert store.query("SELECT individual_id FROM individuals").result_rows == [("anew",)]


@pytest.mark.parametrize("table", ["evolution_runs_log", "individuals", "agent_actions"])
def test_a_run_that_is_deleted_while_it_is_exported_becomes_no_file(
    store: Client, connect: Connect, file: Path, tmp_path: Path, table: str
) -> None:
    """`export` and then `delete` keeps the run: a file that has only a part of it would be taken for whole."""
    other, path = connect(), tmp_path / "again.zip"
    before(store, f" FROM {table} FINAL", lambda: deleted.delete(other, RUN))
    with pytest.raises(StoreError, match=f"{RUN} was deleted or imported while it was being exported; no file"):
        archive.export(store, RUN, path)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("table", ["generations", "individuals"])
def test_an_export_says_that_a_run_has_ended_only_with_all_of_its_rows(
    store: Client, connect: Connect, tmp_path: Path, table: str
) -> None:
    """The last generation and the end arrive while it is exported: the file has the run as it was before, with perhaps more rows."""
    exporter, path = ClickHouseSpanExporter(connect), tmp_path / "search.zip"
    store_spans(exporter, SPANS[:-9])
    before(store, f" FROM {table} FINAL", lambda: store_spans(exporter, SPANS[-9:]))
    archive.export(store, RUN, path)
    with zipfile.ZipFile(path) as file:
        rows = {
            each: [json.loads(line) for line in file.read(f"{each}.jsonl").splitlines()] for each in STORED_IN.values()
        }
    assert [row["status"] for row in rows["evolution_runs_log"]] == ["running"]
    for row in rows["generations"]:
        of = [each for each in rows["individuals"] if each["generation"] == row["generation"]]
        assert len(of) == row["num_individuals"]


def tell(client: Client, second: int) -> None:
    """A generation ends, each time as the same span."""
    attributes = {
        "genesis.run.id": "r",
        "genesis.record": "generation",
        "genesis.generation.num_individuals": str(second),
    }
    client.insert(
        "otel_traces",
        [[golden.START + second * golden.SECOND, "t", "s", attributes]],
        column_names=["Timestamp", "TraceId", "SpanId", "SpanAttributes"],
    )


@pytest.mark.parametrize("statement", ["CREATE TABLE otel_traces_import", "FROM system.parts", "ATTACH PARTITION"])
def test_two_imports_at_once_bring_each_span_once(store: Client, connect: Connect, file: Path, statement: str) -> None:
    """The raw traces, which no key tells apart, included; both imports end well, and leave no table."""
    whole, other = content(store), connect()
    deleted.delete(store, RUN, raw_traces=True)
    before(store, statement, lambda: archive.bring(other, file))
    archive.bring(store, file)
    assert content(store) == whole
    assert store.command("SELECT count() FROM system.tables WHERE startsWith(name, 'otel_traces_import')") == 0


def test_spans_that_arrive_while_they_are_imported_are_there_once(store: Client, connect: Connect, file: Path) -> None:
    """The run goes on here, and its spans are delivered while a file with them is imported."""
    whole = content(store)
    deleted.delete(store, RUN, raw_traces=True)
    store.command("TRUNCATE TABLE otel_traces")  # and the tokens of its inserts
    exporter = ClickHouseSpanExporter(connect)
    before(store, "ATTACH PARTITION", lambda: store_spans(exporter, SPANS))
    archive.bring(store, file)
    for table in STORED_IN.values():
        store.command(f"OPTIMIZE TABLE {table} FINAL")
    assert content(store) == whole


def test_the_table_of_a_killed_import_goes_with_the_next_one(store: Client, file: Path) -> None:
    """Once it is older than any import takes: before that it may be another one's. Whatever an earlier version left goes, too."""
    now = int(str(store.command("SELECT toUnixTimestamp(now())")))
    names = [f"otel_traces_import_{now - age}_{'0' * 32}" for age in (3600, 2 * 86_400)]
    for name in (*names, "otel_traces_import_0123456789abcdef"):
        store.command(f"CREATE TABLE {name} AS otel_traces ENGINE = MergeTree ORDER BY Timestamp")
    archive.bring(store, file)
    assert [name for name in existing(store) if "_import_" in name] == names[:1]
    store.command(f"DROP TABLE {names[0]}")


def test_what_a_generation_told_while_an_older_state_is_imported_stays(
    store: Client, connect: Connect, tmp_path: Path
) -> None:
    """Of rows with one key a merge leaves the one that was inserted last: that is the newest, though the search has told it before the older one
    from the file arrives."""
    other, path = connect(), tmp_path / "search.zip"

    tell(store, 2)
    archive.export(store, "r", path)
    store.command("TRUNCATE TABLE generations")
    tell(store, 1)
    store.command("SYSTEM STOP MERGES generations")
    before(store, "generations", lambda: tell(other, 3))
    before(store, "INSERT INTO generations", lambda: tell(other, 4))
    archive.bring(store, path)
    store.command("SYSTEM START MERGES generations")
    store.command("OPTIMIZE TABLE generations FINAL")
    assert store.query("SELECT num_individuals FROM generations").result_rows == [(4,)]


def overtaken(client: Client) -> None:
    """What a generation tells in the course of a statement that inserts an older state of it."""
    tell(client, 3)
    client.command(
        "INSERT INTO generations SELECT * FROM generations WHERE num_individuals = 2 LIMIT 1",
        settings={"insert_deduplicate": 0},
    )


@pytest.mark.parametrize("by", ["backfill", "upgrade"])
def test_what_a_generation_told_while_an_older_state_is_filled_in_stays(
    store: Client, connect: Connect, by: str
) -> None:
    """As for an import."""
    other = connect()
    tell(store, 2)
    if by == "backfill":
        store.command("TRUNCATE TABLE generations")
        before(
            store,
            "FROM generations WHERE run_id IN",
            lambda: before(store, "count() - uniqExact", lambda: overtaken(other)),
        )
        list(backfill.backfill(store))
    else:
        store.command("ALTER TABLE generations UPDATE best_score = 7 WHERE 1", settings={"mutations_sync": 2})
        store.command("ALTER TABLE individuals MODIFY COMMENT ''")
        before(store, "OPTIMIZE TABLE generations", lambda: overtaken(other))
        schema.init_schema(store)
    store.command("OPTIMIZE TABLE generations FINAL")
    assert store.query("SELECT num_individuals, best_score FROM generations").result_rows == [(3, None)]


def test_nobody_takes_a_store_that_is_being_made_for_an_older_one(connect: Connect) -> None:
    """Searches that start at the same time on a new server make its tables together: none is told to upgrade it."""
    client, other = connect(), connect()
    send = client.command

    def command(statement: str, **options: Any) -> Any:
        version.see(other)
        version.check(existing(other))
        return send(statement, **options)

    client.command = command  # type: ignore[assignment,method-assign]
    assert schema.init_schema(client)
    assert version.is_current(other) and schema.init_schema(other) == []


@pytest.mark.parametrize("table", ["individuals", "evolution_runs"])
@pytest.mark.parametrize("statement", ["CREATE TABLE {}_takeover", "INSERT INTO {}_takeover", "RENAME TABLE {} "])
def test_two_inits_at_once_take_over_each_row_once(connect: Connect, table: str, statement: str) -> None:
    """The first logger's rows are in the new table when either says that it is done; the other says what to do, and leaves nothing behind."""
    client, other = connect(), connect()
    client.command(f"CREATE TABLE {table} (run_id String, task_name String) ENGINE = MergeTree ORDER BY run_id")
    client.command(f"INSERT INTO {table} SELECT toString(number % 5), 'equal' FROM numbers(10)")
    before(client, statement.format(table), lambda: schema.init_schema(other))
    with pytest.raises(StoreError):
        schema.init_schema(client)
    assert schema.init_schema(client) == []
    stored = STORED_IN[table]
    assert client.query(f"SELECT count(), uniqExact(span_id) FROM {stored}").result_rows == [(10, 10)]
    left = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND position(name, 'takeover') > 0"
    assert client.command(left) == 0


def test_an_init_that_is_killed_takes_nothing_from_another_one(connect: Connect) -> None:
    """It was about to fill its side table, while the other has just filled its own."""
    client, other = connect(), connect()
    client.command("CREATE TABLE individuals (run_id String) ENGINE = MergeTree ORDER BY run_id")
    client.command("INSERT INTO individuals SELECT toString(number) FROM numbers(10)")

    def killed() -> None:
        raise KeyboardInterrupt

    def second() -> None:
        before(other, "INSERT INTO individuals_takeover", killed)
        with pytest.raises(KeyboardInterrupt):
            schema.init_schema(other)

    before(client, "RENAME TABLE individuals ", second)
    assert "took over 10 rows" in " ".join(schema.init_schema(client))
    assert client.command("SELECT count() FROM individuals") == 10
