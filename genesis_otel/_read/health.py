"""When a run needs attention: the thresholds that commands, report and dashboards share, and whether a run's process is alive.

In: a client, and rows of runs. Out: the same rows, where a run whose process is alive on this machine is `running` however long it has
been silent. On failure: if the store's raw spans cannot be read, no process is known, and the rows are returned unchanged.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read.client import NotFoundError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

QUIET, SILENT = 120, 600
"""Seconds without a sign of life after which a run is shown as silent, and after which that is alarming; also in the dashboards."""
STALLED = 900
"""Seconds without a sign of life after which a run is stalled, unless `GENESIS_OTEL_STALLED_AFTER` says otherwise."""

OPEN = 10_000
"""More runs than are ever open at once."""


def alive(client: Client, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``rows``, which have a ``run_id`` and a ``status``, with `stalled` changed to `running` if the run's process is alive here."""
    listed = list(rows)
    silent = [str(row["run_id"]) for row in listed if row["status"] == "stalled"]
    here = _living(client, silent) if silent else frozenset()
    return [{**row, "status": "running"} if row["run_id"] in here else row for row in listed]


def runs(
    client: Client, stalled_after: float, *, task: str = "", status: str = "", tag: str = "", limit: int
) -> list[dict[str, Any]]:
    """The newest runs, as the query `runs` lists them, with the status that `alive` gives them."""
    # Only this machine, not the store, knows which of the silent runs are alive.
    asked, several = ("open", OPEN) if status in ("running", "stalled") else (status, limit)
    parameters = {"task": task, "status": asked, "tag": tag, "limit": several, "stalled_after": stalled_after}
    rows = alive(client, queries.ask(client, "runs", **parameters))
    return [row for row in rows if status in ("", "open", row["status"])][:limit]


def summary(client: Client, run_id: str, stalled_after: float) -> dict[str, Any] | None:
    """How a run stands, as the query `run_summary` says it; None if its start is not in the store."""
    rows = alive(client, queries.ask(client, "run_summary", run_id=run_id, stalled_after=stalled_after))
    return rows[0] if rows else None


def begun(client: Client, run_id: str, stalled_after: float) -> dict[str, Any]:
    """The same of a run whose start must be in the store.

    :raises NotFoundError: it is not.
    """
    found = summary(client, run_id, stalled_after)
    if found is None:
        raise NotFoundError(f"the start of the run {run_id} is not in the store")
    return found


def _living(client: Client, run_ids: list[str]) -> frozenset[str]:
    """Those of the runs whose process is alive on this machine."""
    # Not imported above: see `reader`.
    from clickhouse_connect.driver.exceptions import Error

    try:
        rows = queries.ask(client, "processes", run_ids=run_ids)
    except Error:  # otel_traces has another layout, or may not be read
        return frozenset()
    return frozenset(str(row["run_id"]) for row in rows if _lives(row["host"], row["pid"], row["began"].timestamp()))


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
