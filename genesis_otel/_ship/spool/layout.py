"""The files of a spool's folder: which queues it has, which segments a queue has, and whether somebody writes to it.

In: a folder, or a queue's name. Out: what is there now; other processes may change it at any time, and what has vanished meanwhile
is not listed. On failure: nothing is there, or OSError where the docstring says so. Unrelated files in the folder do no harm.

A folder holds, for each queue ``ID``: ``ID.writer`` and ``ID.drain``, the locks of its writer and of its consumer;
``ID/N.seg``, its records, each with a header and written in one call; ``ID/cut``, how far it was consumed and which batch is in
flight; ``ID/N-LOST.gone``, in place of a segment dropped at the spool's limit with LOST records; ``ID.account``, the writer's
counts. Beside them: ``dead/``, refused records, ``dropped``, what was lost and why, ``joint``, which batches are in flight
together, and ``requeue``, the lock of whoever puts refused records back. Queues of genesis-otel 0.1.0, whose
records have no numbers, are named ``q-``; that version sees only those.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool.lock import ProcessLock

SEGMENT, GONE = ".seg", ".gone"
QUEUE, OLD_QUEUE = "q2-", "q-"


def queues(folder: Path) -> list[str]:
    """The names of a folder's queues, oldest first."""
    found: list[tuple[float, str]] = []
    try:
        # Not os.scandir: if a signal handler's exception leaves one open, Python silently discards whatever the next handler
        # raises while it is being collected.
        names = [name for name in os.listdir(folder) if name.startswith((QUEUE, OLD_QUEUE))]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError) as error:
        pass_on(error)
        return []
    for name in names:
        with ignored(FileNotFoundError):  # drained and removed by somebody else meanwhile
            told = folder.joinpath(name).stat()
            if stat.S_ISDIR(told.st_mode):
                found.append((told.st_mtime, name))
    return [name for _, name in sorted(found)]


def is_old(name: str) -> bool:
    """Whether a queue is one of genesis-otel 0.1.0's."""
    return name.startswith(OLD_QUEUE)


def writer_lives(folder: Path, name: str) -> bool:
    """Whether the process that writes to a queue is alive."""
    return ProcessLock.holder(folder.joinpath(f"{name}.writer")) is not None


def segment_name(number: int) -> str:
    """The name of a segment's file in its queue's folder."""
    return f"{number:08d}{SEGMENT}"


def segments(path: Path) -> dict[int, Path]:
    """A queue's segments by number, in order."""
    try:
        names = sorted([name for name in os.listdir(path) if re.fullmatch(r"\d+\.seg", name)])  # noqa: PTH208 - see queues
    except OSError as error:
        pass_on(error)
        return {}
    # Not the "/" operator: it swallows every TypeError.
    found = {int(name.removesuffix(SEGMENT)): path.joinpath(name) for name in names}
    return {number: segment for number, segment in found.items() if stat.S_ISREG(mode(segment))}


def next_segment(path: Path, segment: int) -> int | None:
    """The number of a queue's first segment after ``segment``; None if there is none."""
    return min((number for number in segments(path) if number > segment), default=None)


def mode(path: Path) -> int:
    """A path's mode; 0 if nothing is there. Path's own is_file() and is_dir() swallow what a signal handler raises meanwhile."""
    try:
        return path.stat().st_mode
    except OSError as error:
        pass_on(error)
        return 0


def size(path: Path) -> int:
    """A file's size; 0 if it is not there."""
    try:
        return path.stat().st_size
    except OSError as error:
        pass_on(error)
        return 0


def replace(path: Path, told: object) -> None:
    """Write a file of positions whole, as JSON.

    :raises OSError: it could not be written; then the previous one stands.
    """
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(told, file)
    fresh.replace(path)
