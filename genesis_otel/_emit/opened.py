"""The handles that are open in this process: which run is the only one, and what becomes of those that nobody ends.

In: handles as they are made and ended. Out: the only open run; at the end of the process each handle that is left is ended, with
a mark that says so. A forked child starts with none: what it inherited is its parent's. On failure: nothing here raises.
No lock is taken, so that a fork finds none held.
"""

from __future__ import annotations

import atexit
import os
import sys
from time import time_ns
from typing import Protocol

from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import keep, reason, warn_once

LEFT = "still open when its process ended"
"""The mark."""

REMEMBERED = 10_000
"""Open handles that are remembered; of a search that ends none, the latest ones."""


class Open(Protocol):
    """What is known of a handle here."""

    @property
    def run_id(self) -> str:
        """The run that it belongs to."""

    def fail(self, error: BaseException | object) -> None:
        """Record that it failed."""

    def end(self) -> None:
        """End it."""


_HANDLES: dict[int, Open] = {}
_RUNS: dict[int, Open] = {}
_ENDED: dict[str, int] = {}
"""Runs that have ended, and when, in ns."""
ENDED_KEPT = 16


def opened(handle: Open, *, is_run: bool = False) -> None:
    """A handle was made."""
    keep(_HANDLES, id(handle), handle, REMEMBERED)
    if is_run:
        keep(_RUNS, id(handle), handle, REMEMBERED)


def closed(handle: Open) -> None:
    """A handle is being ended."""
    _HANDLES.pop(id(handle), None)
    if _RUNS.pop(id(handle), None) is not None:
        keep(_ENDED, handle.run_id, time_ns(), ENDED_KEPT)


def only_run(since: int | None = None) -> str:
    """The id of the only run that is open in this process; empty where there are several, or none.

    :param since: ns; runs that have ended after that count as well, for who tells later of what began then.
    """
    ids = {run.run_id for run in list(_RUNS.values())}
    if since is not None:
        ids |= {run_id for run_id, ended in list(_ENDED.items()) if ended > since}
    return ids.pop() if len(ids) == 1 else ""


def end_all() -> None:
    """The process ends: end what is open, what began last first."""
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
    _HANDLES.clear()
    _RUNS.clear()
    _ENDED.clear()


os.register_at_fork(after_in_child=_forked)
atexit.register(end_all)
