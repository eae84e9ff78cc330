"""Deleting runs, and seeing that they stay deleted.

In: a client that may delete rows, and the id of a run. Out: its rows by table; nothing of it in the seven tables any more but one row of
``agent_actions``, ``run_deleted``, which no list of runs reads: spans of the run that come late are known by it. On failure: what
ClickHouse raises; what was deleted before is deleted, and the next call goes on.

Late rows are removed after they came (:func:`sweep`): seconds later by the store process, at the next ``genesis-otel delete`` where a
server is the store. A condition in the views would keep them out at once, and would cost every insert of every search.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from genesis_otel._store.landing import is_json
from genesis_otel._store.present import existing
from genesis_otel._store.tables import LANDING, STORED_IN

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DELETED = "run_deleted"
"""The action that stands for a deleted run."""

RUN_ID = "SpanAttributes['genesis.run.id']"

TIME_OF = {**dict.fromkeys(STORED_IN.values(), "timestamp"), STORED_IN["evolution_runs"]: "start_time"}
"""When a row's run was going on."""

WAITING: dict[str, Any] = {"lightweight_deletes_sync": 2, "mutations_sync": 2}
"""A statement ends when its rows are gone, on every replica."""

STONES_OF_A_STATEMENT = 500
"""A server takes 128 KiB a parameter (``http_max_field_value_size``)."""


class Stone(NamedTuple):
    """A deleted run: rows of it that are older than ``until`` (milliseconds) are late."""

    run_id: str
    until: int
    raw_traces: bool


def landing_of_ours(client: Client) -> bool:
    """Whether the raw traces lie in a table that this package has made: what a collector has made is left alone."""
    found = existing(client)[LANDING]
    return "deduplication_window" in found.definition and not is_json(found.columns)


def rows_of(client: Client, run_id: str, *, raw_traces: bool = False) -> dict[str, int]:
    """How many rows a run has, by table."""
    where = {table: of_run(table) for table in STORED_IN.values()}
    if raw_traces:
        where[LANDING] = f"{RUN_ID} = {{run_id:String}}"
    return {table: _count(client, table, condition, {"run_id": run_id}) for table, condition in where.items()}


def is_deleted(client: Client, run_id: str) -> bool:
    """Whether this very run was deleted here."""
    return any(stone.run_id == run_id for stone in _stones(client))


def delete(client: Client, run_id: str, *, raw_traces: bool = False) -> None:
    """Remove a run's rows, and leave word of it."""
    # First of all, so that what comes meanwhile is late.
    client.command(
        "INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, span_id) "
        "SELECT generateUUIDv4() AS id, now64(3), {action:String}, {details:String}, '{}', {run_id:String}, toString(id)",
        parameters={"action": DELETED, "details": json.dumps({"raw_traces": raw_traces}), "run_id": run_id},
    )
    asked = {"run_id": run_id}
    if raw_traces:
        client.command(f"DELETE FROM {LANDING} WHERE {RUN_ID} = {{run_id:String}}", parameters=asked, settings=WAITING)  # noqa: S608 - names of ours
    # The run's own row goes first: a run that is listed has all of its rows.
    for table in STORED_IN.values():
        client.command(f"DELETE FROM {table} WHERE {of_run(table)}", parameters=asked, settings=WAITING)  # noqa: S608 - names of ours


def restore(client: Client, run_id: str) -> None:
    """Take back the word that a run was deleted: it may come again."""
    client.command(
        f"DELETE FROM agent_actions WHERE run_id = {{run_id:String}} AND action_type = '{DELETED}'",  # noqa: S608 - a constant of ours
        parameters={"run_id": run_id},
        settings=WAITING,
    )


def sweep(client: Client) -> Counter[str]:
    """Remove what has come late of deleted runs, and say how many rows there were, by table."""
    removed: Counter[str] = Counter()
    # The store process asks every other second, and almost always there are none.
    if not _count(client, "agent_actions", f"action_type = '{DELETED}'", {}):
        return removed
    stones = _stones(client)
    for first in range(0, len(stones), STONES_OF_A_STATEMENT):
        some = stones[first : first + STONES_OF_A_STATEMENT]
        late = [(table, _late("run_id", TIME_OF[table], table), some) for table in STORED_IN.values()]
        raw = [stone for stone in some if stone.raw_traces]
        if raw:
            late.append((LANDING, _late(RUN_ID, "Timestamp", LANDING), raw))
        for table, condition, of in late:
            asked = {"runs": [stone.run_id for stone in of], "until": [stone.until for stone in of]}
            rows = _count(client, table, condition, asked)
            if rows:
                client.command(f"DELETE FROM {table} WHERE {condition}", parameters=asked, settings=WAITING)  # noqa: S608 - names of ours
                removed[table] += rows
    return removed


def _stones(client: Client) -> list[Stone]:
    """The deleted runs. One that was begun again since is only late before that: an id may be used again."""
    sql = f"""
    SELECT d.run_id, if(begun.at = 0, {1 << 62}, begun.at), d.raw
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
    return [Stone(str(run_id), int(until), bool(raw)) for run_id, until, raw in client.query(sql).result_rows]


def _count(client: Client, table: str, condition: str, asked: dict[str, Any]) -> int:
    ((rows,),) = client.query(f"SELECT count() FROM {table} WHERE {condition}", parameters=asked).result_rows  # noqa: S608 - names of ours
    return int(rows)


def of_run(table: str) -> str:
    """Which rows of a table are the run's, as a condition on ``{run_id:String}``."""
    return f"run_id = {{run_id:String}}{_but_stones(table)}"


def _late(run_id: str, time: str, table: str) -> str:
    moment = (
        f"toUnixTimestamp64{'Nano' if table == LANDING else 'Milli'}({time}){' / 1000000' if table == LANDING else ''}"
    )
    return (
        f"{run_id} IN {{runs:Array(String)}} AND {moment} < transform({run_id}, {{runs:Array(String)}}, {{until:Array(Int64)}}, 0)"
        f"{_but_stones(table)}"
    )


def _but_stones(table: str) -> str:
    return f" AND action_type != '{DELETED}'" if table == "agent_actions" else ""
