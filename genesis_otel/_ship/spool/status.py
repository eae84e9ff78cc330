"""What is in a spool's folder, for whoever displays, measures or waits for it; nothing is taken.

In: a folder, or one queue of it. Out: counts as of now. On failure: what cannot be read counts as empty; OSError if the folder
itself cannot be read.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import pass_on
from genesis_otel._ship.spool import account, cut, dead_letters, layout, losses
from genesis_otel._ship.spool.segment import count


class Status(NamedTuple):
    """The contents of a folder."""

    queues: int
    """Queues that are not empty or have a live writer."""
    writers: int
    """Those of them with a live writer."""
    waiting: int
    """Records not yet delivered."""
    bytes: int
    """Size of the segments on disk."""
    dead: int
    """Records refused for their content."""
    dropped: int
    """Records lost over the folder's lifetime."""
    oldest: float
    """Seconds since the oldest waiting segment was last written to; 0 when nothing waits."""


def status(folder: Path) -> Status:
    """The contents of a folder, without taking anything."""
    alive = writers = waiting = size = lost = 0
    oldest = 0.0
    for name in layout.queues(folder):
        path = folder / name
        here = waiting_in(folder, name)
        size += sum(map(layout.size, layout.segments(path).values()))
        living = layout.writer_lives(folder, name)
        writers += living
        alive += bool(living or here)
        waiting += here
        counts = account.read(folder, name)
        lost += counts.lost + (0 if living else counts.held)
        if here:
            oldest = max(oldest, _age(path))
    dead = sum(1 for _ in dead_letters.files(folder))
    return Status(alive, writers, waiting, size, dead, losses.total(folder) + lost, oldest)


def waiting_in(folder: Path, name: str) -> int:
    """Records of one queue not yet delivered."""
    consumed, old = cut.read(folder / name), layout.is_old(name)
    return sum(
        count(path, consumed.start if number == consumed.segment else 0, old=old)
        for number, path in layout.segments(folder / name).items()
        if number >= consumed.segment
    )


def taken(folder: Path, name: str) -> tuple[int, int]:
    """How far a queue was delivered: a segment and an offset in it; see :meth:`~genesis_otel._ship.spool.writer.Writer.position`."""
    return cut.read(folder / name)[:2]


def _age(path: Path) -> float:
    try:
        times = (each.stat().st_mtime for each in layout.segments(path).values())
        return max(0.0, time.time() - min(times, default=time.time()))
    except FileNotFoundError as error:
        pass_on(error)
        return 0.0
