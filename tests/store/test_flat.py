"""Panels that need not read the whole store: the indexes that an older store gets, and numbers that stay right whatever is done to the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._store import backfill, reprice, schema, tables
from genesis_otel.exporter import ClickHouseSpanExporter
from grafana.source.sql import NEWEST_ROW
from tests.conftest import Connect
from tests.support.dashboards import around_now, dashboards, queries_of
from tests.support.grafana_query import ALL, sent
from tests.support.searched import GOING_ON, LATER, RUN, search_spans

INDEXES = {
    (table, index)
    for table in tables.TABLES
    for statement in tables.statements(table)
    for index, _ in schema.INDEX.findall(statement)
}


@pytest.fixture
def searches(connect: Connect) -> Client:
    """A client on a database with two searches in it."""
    client = connect()
    schema.init_schema(client, traces_ttl_days=0)
    exporter = ClickHouseSpanExporter(connect)
    for spans in (search_spans(), search_spans(GOING_ON, ends=False, facts=LATER)):
        exporter.export(spans)
    return client


def rows(client: Client, title: str, **settings: Any) -> Sequence[Any]:
    """What a panel of the dashboards over all runs shows, sorted."""
    (board, asked) = next(
        (board, each)
        for board in dashboards().values()
        for each in queries_of(board)
        if board["uid"] in ("genesis-llm", "genesis-pipeline", "genesis-traces") and each.title == title
    )
    given: Mapping[str, str] = {"datasource": "", "trace": "", "only": "all traces", "slower": "0"}
    values = {each["name"]: given.get(each["name"], ALL) for each in board["templating"]["list"]}
    everything = {each["name"]: () for each in board["templating"]["list"]}
    return sorted(
        client.query(sent(asked.sql, values, around_now(), everything), settings=settings).result_rows, key=str
    )


def deliver_again(client: Client) -> None:
    """Every row again, in another batch that arrived later."""
    for table in tables.STORED_IN.values():
        client.command(
            f"INSERT INTO {table} SELECT * REPLACE (now64(3) AS ingested_at) FROM {table}",
            settings={"insert_deduplicate": 0},
        )


def fill_again(client: Client) -> None:
    """Insert what the views would have made of the raw spans, where it is missing."""
    client.command(
        "ALTER TABLE llm_logs DELETE WHERE run_id = {run:String}",
        parameters={"run": RUN},
        settings={"mutations_sync": 2},
    )
    list(backfill.backfill(client))


def delete(client: Client) -> None:
    """Delete a run."""
    for table in tables.STORED_IN.values():
        client.command(f"DELETE FROM {table} WHERE run_id = {{run:String}}", parameters={"run": GOING_ON})


def price_again(client: Client) -> None:
    """Reprice with other prices."""
    reprice.reprice(client, again=True)


def test_an_older_store_gets_the_indexes(store: Client) -> None:
    """`init` adds them and reports it, builds them for existing rows, and has nothing to do when run again."""
    for table, index in INDEXES:
        store.command(f"ALTER TABLE {table} DROP INDEX {index}")
    said = schema.init_schema(store)
    assert len([line for line in said if line.startswith("indexed ")]) == len(INDEXES) == 9
    assert schema.init_schema(store) == []
    asked = "SELECT table, name FROM system.data_skipping_indices WHERE database = currentDatabase()"
    assert set(store.query(asked).result_rows) >= INDEXES


@pytest.mark.parametrize(("table", "index"), sorted(INDEXES))
def test_an_index_skips_what_is_old(store: Client, table: str, index: str) -> None:
    """Of rows spread over a month, those of the last hour are read, and no more than two of 25 granules."""
    column = index.removeprefix("idx_")
    key = {"generations": "generation", "code_lineages": "child_id", "pareto_fronts": "individual_id"}.get(
        table, "run_id"
    )
    store.command(
        f"INSERT INTO {table} (run_id, {key if key != 'run_id' else 'trace_id'}, {column}) SELECT leftPad(toString(number), 9, '0'), number,"
        " now64(3) - toIntervalSecond((200000 - number) * 13) FROM numbers(200000)"
    )
    plan = "\n".join(
        row[0]
        for row in store.query(
            f"EXPLAIN indexes = 1 SELECT count() FROM {table} WHERE {column} > now64(3) - INTERVAL 1 HOUR"
        ).result_rows
    )
    (read, there) = re.search(rf"Name: {index}.*?Granules: (\d+)/(\d+)", plan, re.DOTALL).groups()  # type: ignore[union-attr]
    assert int(there) >= 24 and int(read) <= 2


def test_panels_say_the_same_whatever_happens_to_rows(searches: Client) -> None:
    """After duplicating every row, a backfill, `reprice` and `DELETE`, money, calls, traces and the newest row count each row once."""

    def whole() -> Sequence[Any]:
        one_each = "SELECT any(cost) AS cost, any(execution_time) AS took FROM llm_logs GROUP BY trace_id, span_id"
        return searches.query(f"SELECT count(), round(sum(cost), 9) FROM ({one_each})").result_rows[0]

    for change in (None, deliver_again, fill_again, price_again, deliver_again, delete):
        if change is not None:
            change(searches)
        calls, cost = whole()
        assert rows(searches, "Calls") == [(calls, 0)]
        assert round(rows(searches, "Cost")[0][0], 9) == cost
        assert sum(row[1] for row in rows(searches, "By model")) == calls
        assert sum(row[1] for row in rows(searches, "What was recorded")) == calls
        for title in ("Duplicate rows", "Rows waiting for a merge", "Rows per second", "Traces"):
            assert rows(searches, title) == rows(searches, title, use_skip_indexes=0)
        newest = " UNION ALL ".join(
            f"SELECT max(ingested_at) AS at FROM {table}" for table in tables.STORED_IN.values()
        )
        assert searches.query(NEWEST_ROW).result_rows == searches.query(f"SELECT max(at) FROM ({newest})").result_rows
        latency = {row["model"]: row["calls"] for row in queries.ask(searches, "llm_latency")}
        assert sum(latency.values()) == calls
