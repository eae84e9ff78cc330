"""Reads a queue in batches, as its only consumer.

In: a queue that somebody writes, or wrote until its process died. Out: its records, oldest first, in batches that stay the same
after a restart. On failure: damaged records are skipped, and counted like everything else that is dropped: records are numbered, so
the number missing is known, except for the last second of a killed process. A queue that cannot be read now is left for later.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool import account, cut, layout, losses
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import HEADER, Found, find, read

logger = logging.getLogger(__name__)

DAMAGED = "damaged on disk"


class Batch(NamedTuple):
    """Consecutive records of one segment."""

    records: list[bytes]
    segment: int
    start: int
    end: int
    following: int
    """The number of the record after the last one; -1 if records have no numbers."""


class Queue:
    """A queue held by its consumer. Created by :func:`take`."""

    def __init__(self, folder: Path, name: str, lock: ProcessLock) -> None:
        self.folder, self.name, self._lock = folder, name, lock
        self._path, self._old = folder / name, layout.is_old(name)
        self.segment, self.start, self.end, self.number = cut.read(self._path)
        segments = layout.segments(self._path)
        if segments and self.segment > max(segments) and not (self._old and self.segment == max(segments) + 1):
            # We never write a cut beyond the existing segments: start at the first one left, and skip what was taken.
            self.segment, self.start, self.end = min(segments), 0, 0

    def next(self, max_rows: int, max_bytes: int) -> Batch | None:
        """The batch in flight, or else the next records; None if there are none at present.

        Its end is on disk before this returns: after a crash the same batch comes again.
        """
        fresh = None if self.end else self._undamaged(self.segment, self.start, self.number, max_rows, max_bytes)
        if fresh is not None:
            self.claim(fresh)
            return fresh
        while True:
            closed = layout.next_segment(self._path, self.segment) is not None or not self.written_to()
            try:
                data, found, damaged, whole = self._read(max_rows, max_bytes, closed)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                pass_on(error)
                data, found, damaged, closed, whole = b"", [], 0, True, True
            except OSError as error:
                pass_on(error)
                # Owned by somebody else, or on a failing disk: leave it, and carry on with the rest.
                logger.debug("%s cannot be read", self._path, exc_info=True)
                return None
            if found and found[-1].number < self.number and not self._old:
                # The cut was damaged, but the number of records taken is known.
                self.start, self.end = self.start + found[-1].end, 0
                continue
            found = [record for record in found if self._old or record.number >= self.number]
            if found:
                return self._batch(data, found, damaged)
            if self._old and damaged and whole and not self.end:
                losses.note(self.folder, damaged, DAMAGED)
            if self.end:
                # The batch in flight no longer exists.
                self.end = 0
                continue
            if not closed or not self._forward():
                return None

    def _read(self, max_rows: int, max_bytes: int, closed: bool) -> tuple[bytes, list[Found], int, bool]:
        """What comes next in the segment, and whether that is all there is."""
        with (self._path / layout.segment_name(self.segment)).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if max(self.start, self.end) > size or 0 < self.end <= self.start:
                # Somebody truncated the file, or changed the cut.
                self.start, self.end = (0 if self.start > size else self.start), 0
            file.seek(self.start)
            # The whole batch in flight; else as much as a batch takes.
            data = file.read(self.end - self.start if self.end else max_bytes)
            whole = bool(self.end) or (closed and len(data) < max_bytes)
            limit = len(data) if self.end else max_rows
            found, damaged = find(data, closed=whole, limit=limit, old=self._old)
            if not found and not whole:
                # A record larger than a batch goes alone; or there is damage, and the rest of the file shows it.
                data, whole = data + file.read(), closed
                found, damaged = find(data, closed=whole, limit=1, old=self._old)
        return data, found, damaged, whole

    def _batch(self, data: bytes, found: list[Found], damaged: int) -> Batch:
        end, following = self.start + found[-1].end, found[-1].number + 1 if not self._old else -1
        if self.end != end:
            missing = damaged if self._old else following - self.number - len(found) - self._gone()
            self.end = end
            self._write_cut()
            losses.note(self.folder, max(0, missing), DAMAGED)
        records = [data[record.payload : record.end] for record in found]
        return Batch(records, self.segment, self.start, end, following)

    def following(self, batch: Batch, max_rows: int, max_bytes: int) -> Batch | None:
        """The records after ``batch`` in its segment, to prepare while it is being sent; None where :meth:`next` has to look.

        Only reads, so another thread may call it; :meth:`claim` makes the result the batch in flight.
        """
        return self._undamaged(batch.segment, batch.end, batch.following, max_rows, max_bytes)

    def _undamaged(self, segment: int, start: int, number: int, max_rows: int, max_bytes: int) -> Batch | None:
        """The records from a place on, up to the first damage; None if there are none, or what is there needs a closer look."""
        if self._old:
            return None
        try:
            with (self._path / layout.segment_name(segment)).open("rb") as file:
                file.seek(start)
                records = read(file, number, max_rows, max_bytes)
        except OSError as error:
            pass_on(error)
            return None
        if not records:
            return None
        end = start + HEADER.size * len(records) + sum(map(len, records))
        return Batch(records, segment, start, end, number + len(records))

    def claim(self, batch: Batch) -> None:
        """Record on disk that ``batch``, from :meth:`following`, is in flight; the one before it is done."""
        self.end = batch.end
        self._write_cut()

    def ahead(self) -> tuple[int, int]:
        """The current end of the queue: a segment and an offset in it."""
        segments = layout.segments(self._path)
        last = max(segments, default=0)
        return last, layout.size(segments[last]) if segments else 0

    def beyond(self, batch: Batch) -> bytes | None:
        """The first record after ``batch``, without taking it; None if there is none yet."""
        for number, start in ((batch.segment, batch.end), (layout.next_segment(self._path, batch.segment), 0)):
            if number is None:
                continue
            try:
                data = (self._path / layout.segment_name(number)).read_bytes()[start:]
            except OSError as error:
                pass_on(error)
                continue
            for record in find(data, closed=False, limit=1, old=self._old)[0]:
                return data[record.payload : record.end]
        return None

    def done(self, batch: Batch) -> None:
        """Remove a batch that was delivered from the queue."""
        self.start, self.end, self.number = batch.end, 0, batch.following
        self._write_cut()

    def written_to(self) -> bool:
        """Whether the queue's writer is alive."""
        return layout.writer_lives(self.folder, self.name)

    def release(self) -> None:
        """Release the queue, and remove it if its writer is dead and it is empty."""
        if not self.written_to() and not any(layout.segments(self._path)):
            try:
                self._settle()
                for path in self._path.glob("*"):
                    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
                self._path.rmdir()
                for suffix in (".writer", ".drain"):
                    (self.folder / f"{self.name}{suffix}").unlink(missing_ok=True)
            except OSError as error:
                pass_on(error)
                logger.debug("the empty queue %s could not be removed", self.name, exc_info=True)
        self._lock.release()

    def _settle(self) -> None:
        """Count what a dead writer could not count itself."""
        appended, held, lost = account.read(self.folder, self.name)
        if not self._old:  # records of an old queue have no numbers: its damage is counted where it is found
            losses.note(self.folder, max(0, appended - self.number - self._gone()), DAMAGED)
        losses.note(self.folder, held, "in the memory of a process that died while the disk accepted no writes")
        losses.note(self.folder, lost, "counted late")
        # Immediately, so that nothing is counted twice.
        (self.folder / f"{self.name}{account.SUFFIX}").unlink(missing_ok=True)

    def _gone(self) -> int:
        """The number of records before this position that were dropped at the spool's limit, and counted then; for a single call."""
        lost = 0
        for path in self._path.glob(f"*{layout.GONE}"):
            number, _, records = path.stem.partition("-")
            if number.isdecimal() and records.isdecimal() and int(number) <= self.segment:
                lost += int(records)
                path.unlink(missing_ok=True)
        return lost

    def _forward(self) -> bool:
        """Move to the next segment, and remove this one; False if there is no next one."""
        path, following = self._path / layout.segment_name(self.segment), layout.next_segment(self._path, self.segment)
        if following is None and self.written_to():
            return False
        self.segment, self.start, self.end = following or self.segment + 1, 0, 0
        self._write_cut()
        with ignored(OSError):
            path.unlink(missing_ok=True)
        return following is not None

    def _write_cut(self) -> None:
        try:
            cut.write(self._path, cut.Cut(self.segment, self.start, self.end, self.number))
        except OSError as error:
            pass_on(error)
            # If the spool itself filled the disk, only draining makes room: so go on draining. If this process dies before
            # there is room, what it takes off now is delivered once more.
            logger.debug("the cut of %s could not be written", self._path, exc_info=True)


def take(folder: Path, name: str) -> Queue | None:
    """Hold a queue for draining; None if somebody else holds it, it is gone, or its lock cannot be opened."""
    lock = ProcessLock(folder / f"{name}.drain")
    try:
        if not lock.take(0.0):
            return None
    except OSError as error:
        pass_on(error)
        logger.debug("the queue %s in %s cannot be locked", name, folder, exc_info=True)
        return None
    if not (folder / name).is_dir():
        (folder / f"{name}.drain").unlink(missing_ok=True)
        lock.release()
        return None
    return Queue(folder, name, lock)
