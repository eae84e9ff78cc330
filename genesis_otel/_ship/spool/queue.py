"""A durable queue on disk, of bytes: written by many processes, each into a queue of its own, and taken in batches.

In: records. Out: the same records, oldest first, in batches that stay the same after a restart. A record is on disk, safe
from the death of its process, when :meth:`Writer.append` returns (a power cut may take the last seconds: nothing is
synced). On failure: OSError of the file system from ``append``; what a dying process left half written is no record;
what was damaged is passed over, and counted like everything else that is dropped.

A folder holds, for each queue ``ID``: ``ID.writer`` and ``ID.drain``, locks of who writes and of who takes from it;
``ID/N.seg``, its records, each with a header and in one write; ``ID/cut``, what was taken so far and which batch is out.
Beside them: ``dead/``, records that were refused, and ``dropped``, what was lost and why.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from genesis_otel._ship.spool import dead_letters, losses
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import HEADER, count, find, pack

logger = logging.getLogger(__name__)

CUT, SEGMENT = "cut", ".seg"


class Batch(NamedTuple):
    """Consecutive records of one segment."""

    records: list[bytes]
    segment: int
    start: int
    end: int


class Status(NamedTuple):
    """What a folder holds."""

    queues: int
    """Queues with a living writer, or with something in them."""
    writers: int
    """Of these, the ones whose writer lives."""
    waiting: int
    """Records that were not handed over yet."""
    bytes: int
    """Size of the segments on disk."""
    dead: int
    """Records that were refused for their content."""
    dropped: int
    """Records that were lost, in all the time of this folder."""
    oldest: float
    """Seconds since the oldest waiting segment was written to; 0 when nothing waits."""


class Writer:
    """This process's queue in a folder; not for a forked child, which makes its own."""

    def __init__(self, folder: Path, *, segment_bytes: int, spool_bytes: int, family: str = "") -> None:
        """Make the queue. Processes that share an exporter, by fork, are a ``family``: it is in the queue's name.

        :raises OSError: it cannot be made; then nothing of it remains.
        """
        self.folder, self.id = folder, f"q-{os.getpid()}-{family}{uuid.uuid4().hex[:8]}"
        # What goes at once at the limit is a segment: never a large part of all.
        self._segment_bytes, self._spool_bytes = min(segment_bytes, spool_bytes // 8), spool_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Processes that never fill a segment count as well: each looks once, before it adds one.
        enforce(folder, spool_bytes)
        # The lock comes before the queue: whoever sees the queue without its lock takes the writer for dead.
        locked = folder / f"{self.id}.writer"
        self._lock = ProcessLock(locked)
        if not self._lock.take(1.0):
            raise OSError(f"the lock of {self.id} in {folder} cannot be had")
        self._number = self._size = 0
        self._file = -1
        try:
            (folder / self.id).mkdir(mode=0o700)
            self._next_segment()
        except OSError:
            with contextlib.suppress(OSError):
                (folder / self.id).rmdir()
            locked.unlink(missing_ok=True)
            self._lock.release()
            raise

    def append(self, payload: bytes) -> None:
        """Write one record. Not for two threads at once.

        :raises OSError: it could not be written; then nothing of it remains.
        """
        if self._size >= self._segment_bytes:
            self._next_segment()
        record = pack(payload)
        try:
            written = os.write(self._file, record)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        if written != len(record):
            os.ftruncate(self._file, self._size)
            raise OSError(f"{written} of {len(record)} bytes were written")
        self._size += len(record)

    def position(self) -> tuple[int, int]:
        """Behind what was appended so far: a segment and a place in it; see :func:`taken`."""
        return self._number, self._size

    def close(self) -> None:
        """End the queue; what is in it waits for whoever drains."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._lock.release()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's file, and leave the queue to the parent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _next_segment(self) -> None:
        path = self.folder / self.id / f"{self._number + 1:08d}{SEGMENT}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size, self._number = file, 0, self._number + 1
        if self._number > 1:
            enforce(self.folder, self._spool_bytes)


class Queue:
    """A queue, held by whoever drains it. Made by :func:`take`."""

    def __init__(self, folder: Path, name: str, lock: ProcessLock) -> None:
        self.folder, self.name, self._lock = folder, name, lock
        self._path = folder / name
        self.segment, self.start, self.end = _read_cut(self._path)

    def next(self, max_rows: int, max_bytes: int) -> Batch | None:
        """The batch that is out, or else the next records; None when there are none now.

        Where it ends is on disk before this returns: after a crash the same batch comes again.
        """
        while True:
            closed = _next_number(self._path, self.segment) is not None or not self.written_to()
            try:
                with (self._path / f"{self.segment:08d}{SEGMENT}").open("rb") as file:
                    file.seek(self.start)
                    # The batch that is out, whole; else as much as a batch takes.
                    data = file.read(self.end - self.start if self.end else max_bytes)
                    whole = bool(self.end) or (closed and len(data) < max_bytes)
                    spans, damaged = find(data, closed=whole, limit=len(data) if self.end else max_rows)
                    if not spans and not whole:
                        # A record larger than a batch goes alone; or there is damage, and the rest tells.
                        data, whole = data + file.read(), closed
                        spans, damaged = find(data, closed=whole, limit=1)
            except FileNotFoundError:
                spans, damaged, data, closed, whole = [], 0, b"", True, True
            if damaged and not self.end and (spans or whole):
                losses.note(self.folder, damaged, "damaged on disk")
            if spans:
                end = self.start + spans[-1][1]
                if self.end != end:
                    self.end = end
                    self._write_cut()
                return Batch([data[begin + HEADER.size : end] for begin, end in spans], self.segment, self.start, end)
            if not closed or not self._forward():
                return None

    def following(self, batch: Batch, max_rows: int, max_bytes: int) -> Batch | None:
        """The records behind ``batch`` in its segment, to prepare while it is under way; None where :meth:`next` has to look.

        Only reads, so another thread may call it; :meth:`claim` makes what it gives the batch that is out.
        """
        try:
            with (self._path / f"{batch.segment:08d}{SEGMENT}").open("rb") as file:
                file.seek(batch.end)
                data = file.read(max_bytes)
        except FileNotFoundError:
            return None
        spans, damaged = find(data, closed=False, limit=max_rows)
        if not spans or damaged:
            return None
        records = [data[begin + HEADER.size : end] for begin, end in spans]
        return Batch(records, batch.segment, batch.end, batch.end + spans[-1][1])

    def claim(self, batch: Batch) -> None:
        """Put on disk that ``batch``, from :meth:`following`, is out; the one before it is done."""
        self.end = batch.end
        self._write_cut()

    def ahead(self) -> tuple[int, int]:
        """Behind what is in the queue now: a segment and a place in it."""
        last = (_segments(self._path) or [self._path / f"0{SEGMENT}"])[-1]
        return int(last.stem), _size(last)

    def beyond(self, batch: Batch) -> bytes | None:
        """The first record behind ``batch``, which stays where it is; None when there is none yet."""
        for number, start in ((batch.segment, batch.end), (_next_number(self._path, batch.segment), 0)):
            if number is None:
                continue
            try:
                data = (self._path / f"{number:08d}{SEGMENT}").read_bytes()[start:]
            except FileNotFoundError:
                continue
            for begin, end in find(data, closed=False, limit=1)[0]:
                return data[begin + HEADER.size : end]
        return None

    def done(self, batch: Batch) -> None:
        """The batch has arrived: take it off the queue."""
        self.start, self.end = batch.end, 0
        self._write_cut()

    def written_to(self) -> bool:
        """Whether the queue's writer lives."""
        return writer_lives(self.folder, self.name)

    def release(self) -> None:
        """Let go of the queue, and remove it when its writer is dead and it is empty."""
        if not self.written_to() and not any(_segments(self._path)):
            for path in self._path.glob("*"):
                path.unlink(missing_ok=True)
            try:
                self._path.rmdir()
                (self.folder / f"{self.name}.writer").unlink(missing_ok=True)
                (self.folder / f"{self.name}.drain").unlink(missing_ok=True)
            except OSError:
                logger.debug("the empty queue %s stays", self.name, exc_info=True)
        self._lock.release()

    def _forward(self) -> bool:
        """Go to the next segment, and remove this one; False where there is none."""
        path, following = self._path / f"{self.segment:08d}{SEGMENT}", _next_number(self._path, self.segment)
        if following is None and self.written_to():
            return False
        self.segment, self.start, self.end = following or self.segment + 1, 0, 0
        self._write_cut()
        path.unlink(missing_ok=True)
        return following is not None

    def _write_cut(self) -> None:
        fresh = self._path / f"{CUT}.new"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump([self.segment, self.start, self.end], file)
            fresh.replace(self._path / CUT)
        except OSError:
            # A disk that the spool itself has filled gets room by draining it: so draining goes on. Should this process
            # die before there is room, what it takes off now comes once more.
            logger.debug("the cut of %s could not be written", self._path, exc_info=True)


def writer_lives(folder: Path, name: str) -> bool:
    """Whether the process that writes to a queue lives."""
    return ProcessLock.holder(folder / f"{name}.writer") is not None


def queues(folder: Path) -> list[str]:
    """The names of a folder's queues, oldest first."""
    found: list[tuple[float, str]] = []
    try:
        names = [entry for entry in os.scandir(folder) if entry.name.startswith("q-") and entry.is_dir()]
    except FileNotFoundError:
        return []
    for entry in names:
        with contextlib.suppress(FileNotFoundError):  # drained and removed by somebody else meanwhile
            found.append((entry.stat().st_mtime, entry.name))
    return [name for _, name in sorted(found)]


def taken(folder: Path, name: str) -> tuple[int, int]:
    """How far a queue was handed over: a segment and a place in it; see :meth:`Writer.position`."""
    segment, start, _ = _read_cut(folder / name)
    return segment, start


def take(folder: Path, name: str) -> Queue | None:
    """Hold a queue for draining; None when somebody else does, or it is gone."""
    lock = ProcessLock(folder / f"{name}.drain")
    if not lock.take(0.0):
        return None
    if not (folder / name).is_dir():
        (folder / f"{name}.drain").unlink(missing_ok=True)
        lock.release()
        return None
    return Queue(folder, name, lock)


def enforce(folder: Path, limit: int) -> None:
    """Bring the segments of a folder under ``limit`` bytes: the oldest go, counted and said, but those being written."""
    sizes: list[tuple[float, int, Path, bool]] = []
    for name in queues(folder):
        segments = _segments(folder / name)
        living = writer_lives(folder, name)
        for path in segments:
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                sizes.append((stat.st_mtime, stat.st_size, path, living and path == segments[-1]))
    total = sum(size for _, size, _, _ in sizes)
    for _, size, path, being_written in sorted(sizes):
        if total <= limit:
            return
        if being_written:
            continue
        segment, start, _ = _read_cut(path.parent)
        number = int(path.stem)
        lost = count(path, start if number == segment else 0) if number >= segment else 0
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # drained meanwhile, or dropped and counted by another process
        total -= size
        if lost:
            losses.note(folder, lost, f"the spool is over its limit of {limit} bytes")


def status(folder: Path) -> Status:
    """What a folder holds; looks without taking anything."""
    alive = writers = waiting = size = 0
    oldest = 0.0
    for name in queues(folder):
        path = folder / name
        segment, start, _ = _read_cut(path)
        here = 0
        for each in _segments(path):
            number = int(each.stem)
            if number >= segment:
                here += count(each, start if number == segment else 0)
            size += _size(each)
        living = writer_lives(folder, name)
        writers += living
        alive += bool(living or here)
        waiting += here
        if here:
            oldest = max(oldest, _age(path))
    dead = sum(1 for _ in dead_letters.files(folder))
    return Status(alive, writers, waiting, size, dead, losses.total(folder), oldest)


def waiting_in(folder: Path, name: str) -> int:
    """Records of one queue that were not handed over yet."""
    segment, start, _ = _read_cut(folder / name)
    return sum(
        count(path, start if int(path.stem) == segment else 0)
        for path in _segments(folder / name)
        if int(path.stem) >= segment
    )


def _read_cut(path: Path) -> tuple[int, int, int]:
    try:
        segment, start, end = json.loads((path / CUT).read_text())
        return int(segment), int(start), int(end)
    except FileNotFoundError:
        return 1, 0, 0
    except (ValueError, TypeError):
        # Damaged, by a power cut: from the first segment that is left. What comes twice is stored once.
        return min((int(each.stem) for each in _segments(path)), default=1), 0, 0


def _segments(path: Path) -> list[Path]:
    return sorted(path.glob(f"[0-9]*{SEGMENT}"))


def _next_number(path: Path, segment: int) -> int | None:
    return min((number for number in (int(each.stem) for each in _segments(path)) if number > segment), default=None)


def _age(path: Path) -> float:
    try:
        return max(0.0, time.time() - min((each.stat().st_mtime for each in _segments(path)), default=time.time()))
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
