"""Batches of several queues that are sent as one, because an insert of few spans costs as much as one of many.

In: the queues of a folder that a single process drains. Out: a small batch of each, in an order that stays the same after a restart, so
that what was sent before a crash is sent again as the same block, which ClickHouse recognises. On failure: if it cannot be noted on disk
which batches belong together, or some of them are gone, each queue is delivered by itself: nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.queue import Batch, Queue

JOINT = "joint"
"""The file that notes which batches are in flight together."""

ROWS, BYTES = 4096, 4 << 20
"""The most that a queue contributes: more is worth an insert of its own."""

Part = tuple[Queue, Batch]


class Noted(NamedTuple):
    """What the file says."""

    positions: dict[str, list[int]]
    """Segment, start and end of each batch, by queue, in the order in which they are sent."""
    arrived: bool
    """Whether the destination has confirmed them."""


def gather(folder: Path, queues: Sequence[Queue], *, rows: int, size: int) -> list[Part]:
    """The batches to send as one: those that were in flight together, or else what waits in several queues.

    :param rows: spans, and ``size`` bytes, at which no further queue is added.
    """
    noted = _read(folder)
    if noted is not None:
        again = _in_flight(queues, noted)
        if again and not noted.arrived and len(again) == len(noted.positions):
            return again
        if noted.arrived:
            # Killed between the confirmation and the last of the queues.
            for queue, batch in again:
                queue.done(batch)
        _forget(folder)
    parts: list[Part] = []
    for queue in queues:
        # In flight by itself: that is how it has to be sent again.
        fresh = None if queue.end else queue.next(ROWS, BYTES)
        if fresh is None:
            continue
        parts.append((queue, fresh))
        rows -= len(fresh.records)
        size -= fresh.end - fresh.start
        if rows <= 0 or size <= 0:
            break
    if len(parts) < 2:
        return []
    try:
        _write(folder, parts, arrived=False)
    except OSError as error:
        pass_on(error)
        return []
    return parts


def done(folder: Path, parts: Sequence[Part]) -> None:
    """Remove batches that were delivered together from their queues."""
    # If this cannot be written, a process that is killed right now sends some of them again.
    with ignored(OSError):
        _write(folder, parts, arrived=True)
    for queue, batch in parts:
        queue.done(batch)
    _forget(folder)


def _in_flight(queues: Sequence[Queue], noted: Noted) -> list[Part]:
    """Those of the noted batches that still are in flight."""
    held = {queue.name: queue for queue in queues}
    parts: list[Part] = []
    for name, position in noted.positions.items():
        queue = held.get(name)
        if queue is None or [queue.segment, queue.start, queue.end] != position:
            continue
        batch = queue.next(ROWS, BYTES)
        if batch is not None and _position(batch) == position:
            parts.append((queue, batch))
    return parts


def _position(batch: Batch) -> list[int]:
    return [batch.segment, batch.start, batch.end]


def _read(folder: Path) -> Noted | None:
    try:
        told = json.loads((folder / JOINT).read_text())
        return Noted(
            {str(name): [int(each) for each in position] for name, position in told["positions"].items()},
            bool(told["arrived"]),
        )
    except FileNotFoundError as error:
        pass_on(error)
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        pass_on(error)
        # Damaged by a power cut: what is delivered twice is stored once.
        return Noted({}, arrived=True)


def _write(folder: Path, parts: Sequence[Part], *, arrived: bool) -> None:
    positions = {queue.name: _position(batch) for queue, batch in parts}
    layout.replace(folder / JOINT, {"positions": positions, "arrived": arrived})


def _forget(folder: Path) -> None:
    with ignored(OSError):
        (folder / JOINT).unlink(missing_ok=True)
