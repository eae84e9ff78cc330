"""When a run is worth a look: the thresholds that commands, report and dashboards share, and whether a run's process still lives.

In: a client, and rows of runs. Out: the same rows, in which a run whose process lives on this machine is `running` however long
it has been silent. On failure: a store whose raw spans cannot be read knows no process, and the rows stay as they are.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickhouse_connect.driver.exceptions import Error

from genesis_otel import queries

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

QUIET, SILENT = 120, 600
"""Seconds without a sign of life after which that is said, and after which it is alarming; in the dashboards, too."""
STALLED = 900
"""Seconds without a sign of life after which a run counts as stalled, unless `GENESIS_OTEL_STALLED_AFTER` says otherwise."""


def alive(client: Client, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``rows`` with their ``run_id`` and ``status``: `stalled` becomes `running` where the run's process lives here."""
    told = list(rows)
    silent = [str(row["run_id"]) for row in told if row["status"] == "stalled"]
    here = _living(client, silent) if silent else frozenset()
    return [{**row, "status": "running"} if row["run_id"] in here else row for row in told]


def _living(client: Client, run_ids: list[str]) -> frozenset[str]:
    """Of these runs, those whose process lives on this machine."""
    try:
        rows = queries.ask(client, "processes", run_ids=run_ids)
    except Error:  # an otel_traces of another layout, or no right to read it
        return frozenset()
    return frozenset(str(row["run_id"]) for row in rows if _lives(row["host"], row["pid"], row["began"].timestamp()))


def _lives(host: str, pid: int, began: float) -> bool:
    """Whether the process that began a run at ``began`` lives on this machine, and not another one with its number."""
    if host != socket.gethostname() or pid <= 0:
        return False
    try:
        # After the name, which may hold anything: the state is the first field, the start (ticks since boot) the twentieth.
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        )
        booted = next(
            line for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines() if line[:6] == "btime "
        )
    except OSError:  # no such process, or not Linux, where no process is known
        return False
    started = int(booted[6:]) + int(fields[18]) / os.sysconf("SC_CLK_TCK")
    # The clock of the kernel's boot and that of the spans may differ by a moment.
    return state != "Z" and started <= began + 2
