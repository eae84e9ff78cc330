"""A durable queue of bytes on disk: many processes write, each to its own queue; a consumer takes records in batches.

In: records. Out: the same records, oldest first, in batches that stay the same after a restart. Once :meth:`Writer.append`
returns, a record is on disk and survives the death of its process (a power cut may lose the last seconds: nothing is
fsynced). On failure: OSError from ``append``; a record that a dying process left half-written does not count as one;
damaged records are skipped, and counted like everything else that is dropped: records are numbered, so the number
missing is known, except for the last second of a killed process. Unrelated files in the folder do no harm.

A folder holds, for each queue ``ID``: ``ID.writer`` and ``ID.drain``, the locks of its writer and of its consumer;
``ID/N.seg``, its records, each with a header and written in one call; ``ID/cut``, how far it was consumed and which batch is in
flight; ``ID/N-LOST.gone``, in place of a segment dropped at the spool's limit with LOST records; ``ID.account``, the writer's
counts. Beside them: ``dead/``, refused records, and ``dropped``, what was lost and why. Queues of genesis-otel 0.1.0, whose
records have no numbers, are named ``q-``; that version sees only those.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool import account, dead_letters, losses
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import Found, count, find, pack

logger = logging.getLogger(__name__)

CUT, SEGMENT, GONE = "cut", ".seg", ".gone"
QUEUE, OLD_QUEUE = "q2-", "q-"
DAMAGED = "damaged on disk"


class Batch(NamedTuple):
    """Consecutive records of one segment."""

    records: list[bytes]
    segment: int
    start: int
    end: int
    following: int
    """The number of the record after the last one; -1 if records have no numbers."""


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


Place = tuple[int, int, int, int]
"""A writer's position: its open file, the segment's number and size, and the number of the next record. A single value, so that
an exception raised by a signal handler never leaves it half updated. Not a class: that costs a third of a microsecond per span."""


class Writer:
    """This process's queue in a folder; a forked child must make its own.

    A signal handler may raise at any point in these methods: they can be called again.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, spool_bytes: int, family: str = "") -> None:
        """Create the queue. Processes that share an exporter, by fork, are a ``family``, which is part of the queue's name.

        :raises OSError: it cannot be created; then nothing of it remains.
        """
        self.folder, self.id = folder, f"{QUEUE}{os.getpid()}-{family}{uuid.uuid4().hex[:8]}"
        # At the limit, whole segments are dropped: keep each a small part of the spool.
        self._segment_bytes, self._spool_bytes = min(segment_bytes, spool_bytes // 8), spool_bytes
        if not stat.S_ISDIR(_mode(folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Processes that never fill a segment count as well: each enforces the limit once, before it adds a segment.
        enforce(folder, spool_bytes)
        # Lock first, then queue: a queue without a held lock means a dead writer.
        locked = folder / f"{self.id}.writer"
        self._lock = ProcessLock(locked)
        if not self._lock.take(1.0):
            raise OSError(errno.EAGAIN, f"cannot lock {self.id} in {folder}")
        self._at: Place = (-1, 0, 0, 0)
        self._account = -1
        self._begun: tuple[object, Place] | None = None
        self._taken = 0
        try:
            self._account = account.make(folder, self.id)
            (folder / self.id).mkdir(mode=0o700)
            self._next_segment()
        except OSError as error:
            pass_on(error)
            self._close_account(remove=True)
            with ignored(OSError):
                (folder / self.id).rmdir()
            locked.unlink(missing_ok=True)
            self._lock.release()
            raise
        losses.keep_in(folder, self._account)

    def append(self, payload: bytes, once: object = None) -> None:
        """Write one record. Not thread-safe.

        :param once: identifies the record: if an interrupted call is repeated with the same object, the record is written only once.
        :raises OSError: it could not be written; then nothing of it remains.
        """
        if once is None or self._begun is None or self._begun[0] is not once:
            if self._at[2] >= self._segment_bytes:
                self._next_segment()
            place = file, segment, size, number = self._at
            record = pack(payload, number)
            self._begun = once, place
        else:
            # Interrupted: the file's size shows whether the record was written.
            file, segment, size, number = self._begun[1]
            record = pack(payload, number)
            if os.fstat(file).st_size == size + len(record):
                self._at = file, segment, size + len(record), number + 1
                return
            os.ftruncate(file, size)
        try:
            written = os.write(file, record)
        except OSError:
            os.ftruncate(file, size)
            raise
        if written != len(record):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, f"only {written} of {len(record)} bytes were written")
        self._at = file, segment, size + written, number + 1

    def position(self) -> tuple[int, int]:
        """The position after the last record appended: a segment and an offset in it; see :func:`taken`."""
        return self._at[1], self._at[2]

    def look(self) -> bool:
        """Whether the queue is still in its place; to be called every second. Also records the number appended in the account."""
        file, segment, size, number = self._at
        try:
            named = self._path(segment).stat()
            mine = os.fstat(file)
            if not os.path.samestat(mine, named) or not self._lock.valid():
                return False
        except OSError as error:
            pass_on(error)
            return False
        if mine.st_size != size:
            # Somebody truncated the file: continue after what is left; the numbers show what is missing.
            self._at = file, segment, mine.st_size, number
        account.write(self._account, "appended", number)
        self._taken = max(self._taken, _read_cut(self.folder / self.id).number)
        return True

    def hold(self, records: int) -> None:
        """Set the account's count of records kept in memory, which are lost if this process dies now."""
        account.write(self._account, "held", records)

    def rescue(self) -> tuple[list[bytes], int]:
        """After the folder was removed: the records that this process can still read, and how many more were lost with it.

        Records delivered in the last second are returned again.
        """
        file, _, _, number = self._at
        if os.fstat(file).st_nlink:
            # Moved, not removed: everything still exists elsewhere.
            return [], 0
        data = os.pread(file, os.fstat(file).st_size, 0)
        found = [record for record in find(data, closed=True)[0] if record.number >= self._taken]
        return [data[record.payload : record.end] for record in found], max(0, number - self._taken) - len(found)

    def close(self) -> None:
        """Stop writing; what is in the queue waits for its consumer."""
        file, segment, size, number = self._at
        if file >= 0:
            account.write(self._account, "appended", number)
            self._at = -1, segment, size, number
            os.close(file)
            self._close_account(remove=False)
            self._lock.release()

    def abandon(self, *, busy: bool) -> None:
        """In a forked child: close the parent's file, and leave the queue to the parent.

        :param busy: a signal handler forked in the middle of :meth:`append`, which continues in the child, too: into /dev/null.
        """
        if busy and self._at[0] >= 0:
            nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nothing, self._at[0], inheritable=False)
            os.close(nothing)
        for file in (self._account,) if busy else (self._at[0], self._account):
            if file >= 0:
                os.close(file)
        self._at, self._account = (-1, *self._at[1:]), -1

    def _path(self, segment: int) -> Path:
        return self.folder.joinpath(self.id, f"{segment:08d}{SEGMENT}")

    def _next_segment(self) -> None:
        before, segment, _, number = self._at
        segment += 1
        file = os.open(self._path(segment), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # Switch to the new file first: whatever interrupts this, a closed file is never written to.
        self._at = file, segment, 0, number
        if before >= 0:
            os.close(before)
            enforce(self.folder, self._spool_bytes)

    def _close_account(self, *, remove: bool) -> None:
        file, self._account = self._account, -1
        if file >= 0:
            losses.forget(self.folder, file)
            os.close(file)
        if remove:
            (self.folder / f"{self.id}{account.SUFFIX}").unlink(missing_ok=True)


class Queue:
    """A queue held by its consumer. Created by :func:`take`."""

    def __init__(self, folder: Path, name: str, lock: ProcessLock) -> None:
        self.folder, self.name, self._lock = folder, name, lock
        self._path, self._old = folder / name, _is_old(name)
        self.segment, self.start, self.end, self.number = _read_cut(self._path)
        segments = _segments(self._path)
        if segments and self.segment > max(segments) and not (self._old and self.segment == max(segments) + 1):
            # We never write a cut beyond the existing segments: start at the first one left, and skip what was taken.
            self.segment, self.start, self.end = min(segments), 0, 0

    def next(self, max_rows: int, max_bytes: int) -> Batch | None:
        """The batch in flight, or else the next records; None if there are none at present.

        Its end is on disk before this returns: after a crash the same batch comes again.
        """
        while True:
            closed = _next_number(self._path, self.segment) is not None or not self.written_to()
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
        with (self._path / f"{self.segment:08d}{SEGMENT}").open("rb") as file:
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
        try:
            with (self._path / f"{batch.segment:08d}{SEGMENT}").open("rb") as file:
                file.seek(batch.end)
                data = file.read(max_bytes)
        except OSError as error:
            pass_on(error)
            return None
        found, damaged = find(data, closed=False, limit=max_rows, old=self._old)
        if not found or damaged:
            return None
        following = found[-1].number + 1 if not self._old else -1
        if not self._old and following - batch.following != len(found):
            return None
        records = [data[record.payload : record.end] for record in found]
        return Batch(records, batch.segment, batch.end, batch.end + found[-1].end, following)

    def claim(self, batch: Batch) -> None:
        """Record on disk that ``batch``, from :meth:`following`, is in flight; the one before it is done."""
        self.end = batch.end
        self._write_cut()

    def ahead(self) -> tuple[int, int]:
        """The current end of the queue: a segment and an offset in it."""
        segments = _segments(self._path)
        last = max(segments, default=0)
        return last, _size(segments[last]) if segments else 0

    def beyond(self, batch: Batch) -> bytes | None:
        """The first record after ``batch``, without taking it; None if there is none yet."""
        for number, start in ((batch.segment, batch.end), (_next_number(self._path, batch.segment), 0)):
            if number is None:
                continue
            try:
                data = (self._path / f"{number:08d}{SEGMENT}").read_bytes()[start:]
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
        return writer_lives(self.folder, self.name)

    def release(self) -> None:
        """Release the queue, and remove it if its writer is dead and it is empty."""
        if not self.written_to() and not any(_segments(self._path)):
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
        for path in self._path.glob(f"*{GONE}"):
            number, _, records = path.stem.partition("-")
            if number.isdecimal() and records.isdecimal() and int(number) <= self.segment:
                lost += int(records)
                path.unlink(missing_ok=True)
        return lost

    def _forward(self) -> bool:
        """Move to the next segment, and remove this one; False if there is no next one."""
        path, following = self._path / f"{self.segment:08d}{SEGMENT}", _next_number(self._path, self.segment)
        if following is None and self.written_to():
            return False
        self.segment, self.start, self.end = following or self.segment + 1, 0, 0
        self._write_cut()
        with ignored(OSError):
            path.unlink(missing_ok=True)
        return following is not None

    def _write_cut(self) -> None:
        fresh = self._path / f"{CUT}.new"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump([self.segment, self.start, self.end, self.number], file)
            fresh.replace(self._path / CUT)
        except OSError as error:
            pass_on(error)
            # If the spool itself filled the disk, only draining makes room: so go on draining. If this process dies before
            # there is room, what it takes off now is delivered once more.
            logger.debug("the cut of %s could not be written", self._path, exc_info=True)


def writer_lives(folder: Path, name: str) -> bool:
    """Whether the process that writes to a queue is alive."""
    return ProcessLock.holder(folder.joinpath(f"{name}.writer")) is not None


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


def taken(folder: Path, name: str) -> tuple[int, int]:
    """How far a queue was delivered: a segment and an offset in it; see :meth:`Writer.position`."""
    return _read_cut(folder / name)[:2]


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


def enforce(folder: Path, limit: int) -> None:
    """Delete a folder's oldest segments, except those being written, down to ``limit`` bytes; count and log them."""
    sizes: list[tuple[float, int, Path, bool]] = []
    for name in queues(folder):
        segments = _segments(folder.joinpath(name))
        living = writer_lives(folder, name)
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
        total -= size if _drop(folder, path, limit) else 0


def _drop(folder: Path, path: Path, limit: int) -> bool:
    """Remove a segment, and count its records as lost; false if it is already gone."""
    cut, number, old = _read_cut(path.parent), int(path.stem), _is_old(path.parent.name)
    lost = count(path, cut.start if number == cut.segment else 0, old=old) if number >= cut.segment else 0
    reason = f"the spool is over its limit of {limit} bytes"
    gone = path.with_name(f"{path.stem}-{lost}{GONE}")
    try:
        # The consumer will find numbers missing, and has to know that these are counted. This works on a full disk, too.
        path.rename(gone)
        os.truncate(gone, 0)
        if old or not lost:
            gone.unlink()
    except FileNotFoundError as error:
        pass_on(error)
        return False  # drained meanwhile, or dropped and counted by another process
    except BaseException:
        if not _mode(path):
            losses.note(folder, lost, reason)
        raise
    losses.note(folder, lost, reason)
    return True


def status(folder: Path) -> Status:
    """The contents of a folder, without taking anything."""
    alive = writers = waiting = size = lost = 0
    oldest = 0.0
    for name in queues(folder):
        path = folder / name
        here = waiting_in(folder, name)
        size += sum(map(_size, _segments(path).values()))
        living = writer_lives(folder, name)
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
    cut, old = _read_cut(folder / name), _is_old(name)
    return sum(
        count(path, cut.start if number == cut.segment else 0, old=old)
        for number, path in _segments(folder / name).items()
        if number >= cut.segment
    )


class Cut(NamedTuple):
    """How far a queue was consumed."""

    segment: int
    start: int
    """The offset in the segment of the first record not taken."""
    end: int
    """The offset of the end of the batch in flight; 0 if there is none."""
    number: int
    """The number of the first record not taken, and so the count of those taken."""


def _read_cut(path: Path) -> Cut:
    try:
        cut = Cut(*(int(number) for number in [*json.loads((path / CUT).read_text()), 0][:4]))
        if cut.segment >= 1 and min(cut) >= (-1 if _is_old(path.name) else 0):
            return cut
    except FileNotFoundError as error:
        pass_on(error)
        return Cut(1, 0, 0, 0)
    except (OSError, ValueError, TypeError) as error:
        pass_on(error)
    # Damaged by a power cut: start at the first segment left. What is delivered twice is stored once.
    return Cut(min(_segments(path), default=1), 0, 0, 0)


def _is_old(name: str) -> bool:
    return name.startswith(OLD_QUEUE)


def _segments(path: Path) -> dict[int, Path]:
    """A queue's segments by number, in order."""
    try:
        names = sorted([name for name in os.listdir(path) if re.fullmatch(r"\d+\.seg", name)])  # noqa: PTH208 - see queues
    except OSError as error:
        pass_on(error)
        return {}
    # Not the "/" operator: it swallows every TypeError.
    found = {int(name.removesuffix(SEGMENT)): path.joinpath(name) for name in names}
    return {number: segment for number, segment in found.items() if stat.S_ISREG(_mode(segment))}


def _mode(path: Path) -> int:
    """A path's mode; 0 if nothing is there. Path's own is_file() and is_dir() swallow what a signal handler raises meanwhile."""
    try:
        return path.stat().st_mode
    except OSError as error:
        pass_on(error)
        return 0


def _next_number(path: Path, segment: int) -> int | None:
    return min((number for number in _segments(path) if number > segment), default=None)


def _age(path: Path) -> float:
    try:
        times = (each.stat().st_mtime for each in _segments(path).values())
        return max(0.0, time.time() - min(times, default=time.time()))
    except FileNotFoundError as error:
        pass_on(error)
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        pass_on(error)
        return 0
