"""The open handles of this process: which run is the only one, and what happens to those that nobody ends.

In: handles as they are created and ended. Out: the only open run; when the process ends, every remaining handle is ended,
with a mark that says so. A forked child starts with none: what it inherited belongs to its parent. On failure: nothing here
raises. No lock is taken, so that a fork never finds one held.
"""

from __future__ import annotations

import atexit
import os
import sys
from time import time_ns
from typing import Protocol

from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import keep, reason
from genesis_otel._log import warn_once

LEFT = "still open when its process ended"
"""The mark."""

REMEMBERED = 10_000
"""Maximum open handles remembered; of a search that ends none, the latest."""


class Open(Protocol):
    """What this module knows of a handle."""

    @property
    def run_id(self) -> str:
        """The run that it belongs to."""

    def fail(self, error: BaseException | object) -> None:
        """Record a failure."""

    def end(self) -> None:
        """End it."""


process = object()
"""Stands for this process: a forked child gets another one."""

_HANDLES: dict[int, Open] = {}
_RUNS: dict[int, Open] = {}
_ENDED: dict[str, int] = {}
"""Ended runs, and when they ended, in ns."""
ENDED_KEPT = 16


def opened(handle: Open, *, is_run: bool = False) -> None:
    """A handle was created."""
    keep(_HANDLES, id(handle), handle, REMEMBERED)
    if is_run:
        keep(_RUNS, id(handle), handle, REMEMBERED)


def closed(handle: Open) -> None:
    """A handle is being ended."""
    _HANDLES.pop(id(handle), None)
    if _RUNS.pop(id(handle), None) is not None:
        keep(_ENDED, handle.run_id, time_ns(), ENDED_KEPT)


def only_run(since: int | None = None) -> str:
    """The id of the only run open in this process; empty if there are several, or none.

    :param since: ns; also count runs that ended after that, for callers that record late what started then.
    """
    ids = {run.run_id for run in list(_RUNS.values())}
    if since is not None:
        ids |= {run_id for run_id, ended in list(_ENDED.items()) if ended > since}
    return ids.pop() if len(ids) == 1 else ""


def end_all() -> None:
    """The process ends: end what is open, most recently started first."""
    why = LEFT
    raised = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if raised is not None and not hasattr(sys, "ps1"):
        why = f"{reason(raised)} ({LEFT})"
    for handle in reversed(list(_HANDLES.values())):
        try:
            handle.fail(why)
            handle.end()
        except Exception as error:
            pass_on(error)
            warn_once("left", "A handle that was left open could not be ended", exc_info=True)


def _forked() -> None:
    global process
    process = object()
    _HANDLES.clear()
    _RUNS.clear()
    _ENDED.clear()


os.register_at_fork(after_in_child=_forked)
atexit.register(end_all)
