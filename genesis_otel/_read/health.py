"""When a run needs attention: the thresholds that commands, report and dashboards share, and whether a run's process is alive.

In: a client, and a named query about runs. Out: its rows, where a run whose process is alive on this machine is `running` however long it
has been silent. On failure: if the store's raw spans cannot be read, no process is known, and such a run is `stalled`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read.client import NotFoundError
from genesis_otel.queries import Query

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

QUIET, SILENT = 120, 600
"""Seconds without a sign of life after which a run is shown as silent, and after which that is alarming; also in the dashboards."""
STALLED = 900
"""Seconds without a sign of life after which a run is stalled, unless `GENESIS_OTEL_STALLED_AFTER` says otherwise."""

OPEN = 10_000
"""More runs than are ever open at once."""


def ask(client: Client, name: str, /, **given: Any) -> list[dict[str, Any]]:
    """The rows of a named query that shows the status of runs, by what this machine knows of their processes."""
    rows = queries.ask(client, name, **given)
    here = _living(client, [row.get("run_id", given.get("run_id")) for row in rows if row["status"] == "stalled"])
    return queries.ask(client, name, **given, alive=here) if here else rows


def known(client: Client, query: Query, given: Mapping[str, Any], stalled_after: float) -> dict[str, Any]:
    """The parameters of a query that these settings and this machine know, unless given: when a run is stalled, and which are alive."""
    if not any(each.name == "alive" for each in query.parameters):
        return {}
    when = given.get("stalled_after", stalled_after)
    return {"stalled_after": when, "alive": given["alive"] if "alive" in given else living(client, when)}


def living(client: Client, stalled_after: float) -> list[str]:
    """The runs that have been silent for so many seconds, but whose process is alive here."""
    rows = queries.ask(client, "active_runs", stalled_after=stalled_after)
    return _living(client, [row["run_id"] for row in rows if row["status"] == "stalled"])


def runs(client: Client, stalled_after: float, *, status: str = "", **asked: Any) -> list[dict[str, Any]]:
    """The runs that the query `runs` lists, with their status by what this machine knows of their processes."""
    asked = {"status": status, "stalled_after": stalled_after, **asked}
    if status in ("running", "stalled"):
        # Which runs these are depends on the processes.
        return queries.ask(client, "runs", **asked, alive=living(client, stalled_after))
    return ask(client, "runs", **asked)


def summary(client: Client, run_id: str, stalled_after: float) -> dict[str, Any] | None:
    """How a run stands, as the query `run_summary` says it; None if its start is not in the store."""
    rows = ask(client, "run_summary", run_id=run_id, stalled_after=stalled_after)
    return rows[0] if rows else None


def begun(client: Client, run_id: str, stalled_after: float) -> dict[str, Any]:
    """The same of a run whose start must be in the store.

    :raises NotFoundError: it is not.
    """
    found = summary(client, run_id, stalled_after)
    if found is None:
        raise NotFoundError(f"the start of the run {run_id} is not in the store")
    return found


def _living(client: Client, run_ids: list[Any]) -> list[str]:
    """Those of the runs whose process is alive on this machine."""
    if not run_ids:
        return []
    # Not imported above: see `reader`.
    from clickhouse_connect.driver.exceptions import Error

    try:
        rows = queries.ask(client, "processes", run_ids=run_ids)
    except Error:  # otel_traces has another layout, or may not be read
        return []
    return sorted({str(row["run_id"]) for row in rows if _lives(row["host"], row["pid"], row["began"].timestamp())})


def _lives(host: str, pid: int, began: float) -> bool:
    """Whether the process that started a run at ``began`` is alive on this machine, as opposed to another with the same pid."""
    if host != socket.gethostname() or pid <= 0:
        return False
    try:
        # After the name, which may contain anything, the first field is the state and the twentieth the start (ticks since boot).
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        )
        booted = next(
            line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if line[:6] == "btime "
        )
    except OSError:  # there is no such process, or this is not Linux
        return False
    started = int(booted[6:]) + int(fields[18]) / os.sysconf("SC_CLK_TCK")
    # The kernel's boot clock and the spans' clock may differ slightly.
    return state != "Z" and started <= began + 2
