"""Keeps a spool's folder below its limit, by dropping the oldest segments.

In: a folder and its limit in bytes. Out: a folder within it, but for the segments being written; what was dropped is counted as
lost. On failure: OSError; a segment that somebody else removes meanwhile is theirs to count.
"""

from __future__ import annotations

import os
from pathlib import Path

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool import cut, layout, losses
from genesis_otel._ship.spool.segment import count


def enforce(folder: Path, limit: int) -> None:
    """Delete a folder's oldest segments, except those being written, down to ``limit`` bytes; count and log them."""
    sizes: list[tuple[float, int, Path, bool]] = []
    for name in layout.queues(folder):
        segments = layout.segments(folder.joinpath(name))
        living = layout.writer_lives(folder, name)
        for number, path in segments.items():
            with ignored(FileNotFoundError):
                told = path.stat()
                sizes.append((told.st_mtime, told.st_size, path, living and number == max(segments)))
    total = sum(size for _, size, _, _ in sizes)
    for _, size, path, being_written in sorted(sizes):
        if total <= limit:
            return
        if being_written:
            continue
        # Also if another process has dropped or drained it meanwhile: otherwise each of two would drop what is too much.
        _drop(folder, path, limit)
        total -= size


def _drop(folder: Path, path: Path, limit: int) -> None:
    """Remove a segment, and count its records as lost, unless it is already gone."""
    taken, number, old = cut.read(path.parent), int(path.stem), layout.is_old(path.parent.name)
    lost = count(path, taken.start if number == taken.segment else 0, old=old) if number >= taken.segment else 0
    reason = f"the spool is over its limit of {limit} bytes"
    gone = path.with_name(f"{path.stem}-{lost}{layout.GONE}")
    try:
        # The consumer will find numbers missing, and has to know that these are counted. This works on a full disk, too.
        path.rename(gone)
        os.truncate(gone, 0)
        if old or not lost:
            gone.unlink()
    except FileNotFoundError as error:
        pass_on(error)
        return  # drained meanwhile, or dropped and counted by another process
    except BaseException:
        if not layout.mode(path):
            losses.note(folder, lost, reason)
        raise
    losses.note(folder, lost, reason)
