"""What was lost: counted in the spool's folder for good, and said, though not once a span.

In: a folder, how many spans, and why. Out: a line in the folder's file ``dropped``, and a WARNING at once and then at most
one a minute for each reason. On failure: what cannot be written is kept and written with the next; nothing is raised.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import Counter
from pathlib import Path

logger = logging.getLogger(__name__)

DROPPED = "dropped"
SAY_EVERY = 60.0
"""Seconds between two warnings for the same reason."""

_guard = threading.Lock()
_unwritten: Counter[Path] = Counter()
_unsaid: Counter[tuple[Path, str]] = Counter()
_said: dict[tuple[Path, str], float] = {}


def note(folder: Path, spans: int, why: str) -> None:
    """Count ``spans`` as lost, and say so."""
    with _guard:
        _unwritten[folder] += spans
        _unsaid[folder, why] += spans
        _write(folder, why)
        now = time.monotonic()
        if _unsaid[folder, why] and now - _said.get((folder, why), -SAY_EVERY) >= SAY_EVERY:
            _said[folder, why] = now
            logger.warning("%d spans were dropped from %s: %s", _unsaid.pop((folder, why)), folder, why)


def settle(folder: Path) -> None:
    """The disk takes writes again: put there what could not be counted."""
    with _guard:
        _write(folder, "counted late")


def total(folder: Path) -> int:
    """Spans that were lost in all the time of a folder."""
    try:
        lines = (folder / DROPPED).read_bytes().splitlines()
    except FileNotFoundError:
        return _unwritten[folder]
    return _unwritten[folder] + sum(map(_spans_of, lines))


def changed(folder: Path) -> int:
    """A number that is another one when something was lost; 0 where nothing ever was."""
    try:
        return (folder / DROPPED).stat().st_size
    except FileNotFoundError:
        return 0


def _write(folder: Path, why: str) -> None:
    if not _unwritten[folder]:
        return
    # The first newline ends what a full disk may have cut short.
    line = "\n" + json.dumps([round(time.time(), 3), _unwritten[folder], why]) + "\n"
    try:
        file = os.open(folder / DROPPED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, line.encode()) == len(line):
                del _unwritten[folder]
        finally:
            os.close(file)
    except OSError:
        logger.debug("the count of dropped spans could not be written", exc_info=True)


def _spans_of(line: bytes) -> int:
    try:
        return int(json.loads(line)[1])
    except (ValueError, TypeError, IndexError):
        return 0


def _forked() -> None:
    global _guard
    _guard = threading.Lock()
    _unwritten.clear()
    _unsaid.clear()


os.register_at_fork(after_in_child=_forked)
