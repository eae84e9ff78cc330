"""Counts lost spans permanently in the spool's folder, and logs them, at most once a minute per reason.

In: a folder, how many spans, and why. Out: a line in the folder's file ``dropped``, and a WARNING at once, then at most one a
minute per reason, and the rest at the end. On failure: a count that cannot be written is kept in the account of this process's
queue, which needs no disk space, and written with the next one; nothing is raised.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import foreign, pass_on
from genesis_otel._log import due
from genesis_otel._ship.spool import account
from genesis_otel._ship.spool.turn import Turn

logger = logging.getLogger(__name__)

DROPPED = "dropped"
WARN_EVERY = 60.0
"""Seconds between two warnings for the same reason."""


class Loss(NamedTuple):
    """Lost spans; 0 spans to write and log what is left over from earlier losses."""

    folder: Path
    spans: int
    why: str
    last: bool = False


_accounts: dict[Path, int] = {}
_unwritten: Counter[Path] = Counter()
_unlogged: Counter[tuple[Path, str]] = Counter()
_counted: Loss | None = None
"""The latest loss included in the counts above: after a signal handler's exception it is handled again."""


def note(folder: Path, spans: int, why: str) -> None:
    """Count ``spans`` as lost, and log it."""
    if spans:
        _turn.run(Loss(folder, spans, why))


def settle(folder: Path) -> None:
    """The disk accepts writes again: write the counts that it did not take."""
    if _unwritten[folder]:
        _turn.run(Loss(folder, 0, "counted late"))


def close(folder: Path) -> None:
    """This process is done with a folder: log what was not logged yet."""
    if _unwritten[folder] or any(at == folder for at, _ in _unlogged):
        _turn.run(Loss(folder, 0, "counted late", last=True))


def keep_in(folder: Path, file: int) -> None:
    """Keep counts that cannot be written in a queue's account, open as ``file``."""
    _accounts[folder] = file


def forget(folder: Path, file: int) -> None:
    """Stop using the account ``file``, which is about to be closed."""
    if _accounts.get(folder) == file:
        del _accounts[folder]


def total(folder: Path) -> int:
    """Spans lost over a folder's lifetime, except those that dead writers left in their accounts."""
    unwritten = 0 if folder in _accounts else _unwritten[folder]
    try:
        lines = (folder / DROPPED).read_bytes().splitlines()
    except OSError as error:
        pass_on(error)
        return unwritten
    return unwritten + sum(map(_spans_of, lines))


def changed(folder: Path) -> int:
    """A value that changes when something is lost; 0 if nothing ever was."""
    try:
        return (folder / DROPPED).stat().st_size
    except OSError as error:
        pass_on(error)
        return 0


def _count(loss: Loss) -> None:
    global _counted
    folder, spans, why, last = loss
    try:
        if _counted is not loss:
            unwritten, unlogged = _unwritten[folder] + spans, _unlogged[folder, why] + spans
            # No call in between, so nothing can raise: the loss is counted once, or not yet.
            _unwritten[folder] = unwritten
            _unlogged[folder, why] = unlogged
            _counted = loss
        _write(folder, why)
        for of in [(folder, why)] if not last else [known for known in _unlogged if known[0] == folder]:
            if _unlogged[of] and (due((*of, os.getpid()), WARN_EVERY) or last):
                logger.warning("%d spans were dropped from %s: %s", _unlogged.pop(of), folder, of[1])
            elif not _unlogged[of]:
                del _unlogged[of]
    except Exception as error:
        if foreign(error):
            raise
        logger.debug("a loss could not be counted", exc_info=True)


def _write(folder: Path, why: str) -> None:
    if not _unwritten[folder]:
        return
    # The leading newline ends a line that a full disk may have cut short.
    line = b"\n%s\n" % json.dumps([time.time(), _unwritten[folder], why]).encode()
    kept = _accounts.get(folder)
    try:
        file = os.open(folder / DROPPED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            del _unwritten[folder]
        finally:
            os.close(file)
    except BaseException as error:
        if foreign(error):
            # Raised by a signal handler, before or after the line was written.
            if line in (folder / DROPPED).read_bytes():
                del _unwritten[folder]
            raise
        logger.debug("the count of dropped spans could not be written", exc_info=True)
    if kept is not None:
        account.write(kept, "lost", _unwritten[folder])


def _spans_of(line: bytes) -> int:
    try:
        return int(json.loads(line)[1])
    except (ValueError, TypeError, IndexError, KeyError) as error:
        pass_on(error)
        return 0


_turn: Turn[Loss] = Turn(_count)


def _forked() -> None:
    global _turn
    _turn = Turn(_count)
    for known in (_accounts, _unwritten, _unlogged):
        known.clear()


os.register_at_fork(after_in_child=_forked)
