"""Deletes runs, and keeps them deleted.

In: a client that may delete rows, and a run id. Out: the run's row counts by table; after a deletion, nothing of the run is left in the
seven tables but one ``run_deleted`` row in ``agent_actions``, which no list of runs reads: spans of the run that arrive late are recognised
by it. On failure: what ClickHouse raises; rows already deleted stay deleted, and the next call continues.

Late rows are removed after they have arrived (:func:`sweep`): within seconds by the store process, or by the next ``genesis-otel delete`` if
the store is a server. A condition in the views would keep them out at once, but would slow down every insert of every search.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from genesis_otel._store.errors import StoreError
from genesis_otel._store.landing import is_json
from genesis_otel._store.mutations import REREADING, finish, rewrite
from genesis_otel._store.portions import portions
from genesis_otel._store.present import existing
from genesis_otel._store.tables import LANDING, STORED_IN

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DELETED = "run_deleted"
"""The action that marks a run as deleted."""

RUN_ID = "SpanAttributes['genesis.run.id']"

TIME_OF = {**dict.fromkeys(STORED_IN.values(), "timestamp"), STORED_IN["evolution_runs"]: "start_time"}
"""By table, the column with a time at which the row's run was active."""

STILL = f"SELECT run_id FROM agent_actions WHERE action_type = '{DELETED}'"  # noqa: S608 - a constant of ours
"""The deleted runs."""

TOMBSTONES_PER_STATEMENT = 500
"""With ids of up to 250 characters they fit into a parameter: see :mod:`~genesis_otel._store.portions`."""

SETTLED = 10
"""Seconds after which a row's neighbours are there too: the views of one insert write their tables one after another."""


class Tombstone(NamedTuple):
    """A deleted run. Its rows from before ``gone``, the deletion, are late, and those from before ``until``, the start of a new run of this
    id, unless that start may still arrive. Both in milliseconds."""

    run_id: str
    gone: int
    until: int
    raw_traces: bool


def landing_of_ours(client: Client) -> bool:
    """Whether this package made the table of the raw traces: a collector's own table is left alone."""
    found = existing(client, LANDING)[LANDING]
    return "deduplication_window" in found.definition and not is_json(found.columns)


def rows_of(client: Client, run_id: str, *, raw_traces: bool = False) -> dict[str, int]:
    """The number of rows of a run, by table."""
    where = {table: of_run(table) for table in STORED_IN.values()}
    if raw_traces:
        where[LANDING] = f"{RUN_ID} = {{run_id:String}}"
    return {table: _count(client, table, condition, {"run_id": run_id}) for table, condition in where.items()}


def is_deleted(client: Client, run_id: str) -> bool:
    """Whether this run was deleted here."""
    return marks(client, run_id) > 0


def marks(client: Client, run_id: str) -> int:
    """How often the run was deleted here since it was last imported."""
    return _count(
        client, "agent_actions", f"run_id = {{run_id:String}} AND action_type = '{DELETED}'", {"run_id": run_id}
    )


def delete(client: Client, run_id: str, *, raw_traces: bool = False) -> None:
    """Remove a run's rows, and leave a mark of the deletion.

    :raises StoreError: the run was imported meanwhile, and stays.
    """
    # The mark comes first, so that rows arriving meanwhile count as late. Times of rows are by the clocks of searches: of that one and the
    # server's, the earlier one counts. A new run would otherwise seem to have begun before the deletion, and go.
    client.command(
        "INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, span_id) "
        "SELECT generateUUIDv4() AS id, least(now64(3), fromUnixTimestamp64Milli({here:Int64})), {action:String}, {details:String}, '{}',"
        " {run_id:String}, toString(id)",
        parameters={
            "here": time.time_ns() // 1_000_000,
            "action": DELETED,
            "details": json.dumps({"raw_traces": raw_traces}),
            "run_id": run_id,
        },
    )
    # The run's own row goes first: a run must never be listed with only some of its rows.
    where = {table: of_run(table) for table in STORED_IN.values()}
    if raw_traces:
        where = {LANDING: f"{RUN_ID} = {{run_id:String}}", **where}
    for table, condition in where.items():
        # As in _late(): what an import brings while this deletes is kept.
        rewrite(
            client,
            table,
            f"DELETE FROM {table} WHERE {condition} AND {{run_id:String}} IN ({STILL} AND run_id = {{run_id:String}})",  # noqa: S608 - names of ours
            {"run_id": run_id},
            REREADING,
        )
    if not marks(client, run_id):
        raise StoreError(
            f"{run_id} was imported while it was being deleted, and stays: delete it again if it should go"
        )


def restore(client: Client, run_id: str, tables: Iterable[str]) -> None:
    """Remove the mark of a run's deletion, so that the run may come again, and wait until nothing of it is being removed from ``tables``."""
    if marks(client, run_id):
        rewrite(
            client,
            "agent_actions",
            f"DELETE FROM agent_actions WHERE run_id = {{run_id:String}} AND action_type = '{DELETED}'",  # noqa: S608 - a constant of ours
            {"run_id": run_id},
        )
    for table in tables:
        finish(client, table)


def sweep(client: Client) -> Counter[str]:
    """Remove the late rows of deleted runs, and return how many there were, by table."""
    removed: Counter[str] = Counter()
    # The store process calls this every other second, and almost always no run has been deleted.
    if not _count(client, "agent_actions", f"action_type = '{DELETED}'", {}):
        return removed
    ((now,),) = client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows
    settled = int(now) - SETTLED * 1000
    stones = _tombstones(client)
    for some in portions(stones, TOMBSTONES_PER_STATEMENT):
        late = [(table, _late("run_id", TIME_OF[table], table), some) for table in STORED_IN.values()]
        raw = [stone for stone in some if stone.raw_traces]
        if raw:
            late.append((LANDING, _late(RUN_ID, "Timestamp", LANDING), raw))
        for table, condition, of in late:
            asked = {
                "runs": [stone.run_id for stone in of],
                "gone": [stone.gone for stone in of],
                "until": [stone.until for stone in of],
                "settled": settled,
            }
            rows = _count(client, table, condition, asked)
            if rows:
                rewrite(client, table, f"DELETE FROM {table} WHERE {condition}", asked, REREADING)  # noqa: S608 - names of ours
                removed[table] += rows
    return removed


def _tombstones(client: Client) -> list[Tombstone]:
    """The deleted runs. If a run was started again under the same id, only rows from before that start are late."""
    sql = f"""
    SELECT d.run_id, d.at, if(begun.at = 0, {1 << 62}, begun.at), d.raw
    FROM (
        SELECT run_id, max(toUnixTimestamp64Milli(timestamp)) AS at, max(JSONExtractBool(details, 'raw_traces')) AS raw
        FROM agent_actions WHERE action_type = '{DELETED}' GROUP BY run_id
    ) AS d
    LEFT JOIN (
        SELECT run_id, min(toUnixTimestamp64Milli(log.start_time)) AS at
        FROM evolution_runs_log AS log
        INNER JOIN (
            SELECT run_id, max(timestamp) AS gone FROM agent_actions WHERE action_type = '{DELETED}' GROUP BY run_id
        ) AS stone USING run_id
        WHERE log.start_time > stone.gone
        GROUP BY run_id
    ) AS begun ON begun.run_id = d.run_id
    ORDER BY d.run_id
    """  # noqa: S608 - a constant of ours
    found = client.query(sql).result_rows
    return [Tombstone(str(run_id), int(gone), int(until), bool(raw)) for run_id, gone, until, raw in found]


def _count(client: Client, table: str, condition: str, asked: dict[str, Any]) -> int:
    ((rows,),) = client.query(f"SELECT count() FROM {table} WHERE {condition}", parameters=asked).result_rows  # noqa: S608 - names of ours
    return int(rows)


def of_run(table: str) -> str:
    """A condition on ``{run_id:String}`` that selects the run's rows in a table."""
    return f"run_id = {{run_id:String}}{_except_tombstones(table)}"


def _late(run_id: str, at: str, table: str) -> str:
    is_raw = table == LANDING
    moment = f"toUnixTimestamp64Nano({at}) / 1000000" if is_raw else f"toUnixTimestamp64Milli({at})"
    # The raw traces do not say when they arrived.
    arrived = moment if is_raw else "toUnixTimestamp64Milli(ingested_at)"

    def of_its_run(name: str) -> str:
        return f"transform({run_id}, {{runs:Array(String)}}, {{{name}:Array(Int64)}}, 0)"

    # Tombstones are read before a statement is sent. An import takes one away and then inserts rows, and a statement changes the rows that are
    # there when it is sent: so that those are kept, it reads again whether the run is deleted.
    return (
        f"{run_id} IN {{runs:Array(String)}} AND {run_id} IN ({STILL})"
        f" AND ({moment} <= {of_its_run('gone')} OR ({moment} < {of_its_run('until')} AND {arrived} < {{settled:Int64}}))"
        f"{_except_tombstones(table)}"
    )


def _except_tombstones(table: str) -> str:
    return f" AND action_type != '{DELETED}'" if table == "agent_actions" else ""
