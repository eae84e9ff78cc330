"""The rows of a run, to compare a store before and after, or two stores.

In: a client, a run's id. Out: its rows in an order of their own. On failure: what ClickHouse raises.
"""

from __future__ import annotations

from collections.abc import Sequence

from clickhouse_connect.driver.client import Client

from genesis_otel._store import deleted
from genesis_otel._store.tables import STORED_IN

RAW = f"SELECT * FROM otel_traces WHERE {deleted.RUN_ID} = {{run_id:String}} ORDER BY ALL"


def rows(client: Client, run_id: str) -> dict[str, Sequence[Sequence[object]]]:
    """All rows of a run in the seven tables, without the time they were stored."""
    return {
        table: sorted(
            client.query(
                f"SELECT * EXCEPT (ingested_at) FROM {table} WHERE {deleted.of_run(table)}",
                parameters={"run_id": run_id},
            ).result_rows,
            key=repr,
        )
        for table in STORED_IN.values()
    }


def raw_rows(client: Client, run_id: str) -> Sequence[Sequence[object]]:
    """A run's raw rows, with their number of copies."""
    return list(client.query(RAW, parameters={"run_id": run_id}).result_rows)
