"""A durable queue on disk, of bytes: written by many processes, each into a queue of its own, and taken in batches.

In: records. Out: the same records, oldest first, in batches that stay the same after a restart. A record is on disk, safe
from the death of its process, when :meth:`Writer.append` returns (a power cut may take the last seconds: nothing is
synced). On failure: OSError of the file system from ``append``; what a dying process left half written is no record;
what was damaged is passed over, and counted like everything else that is dropped: records are numbered, so how many are
missing is known, but for the last second of a process that was killed. Whatever else lies in the folder stops nothing.

A folder holds, for each queue ``ID``: ``ID.writer`` and ``ID.drain``, locks of who writes and of who takes from it;
``ID/N.seg``, its records, each with a header and in one write; ``ID/cut``, what was taken so far and which batch is out;
``ID/N-LOST.gone``, in place of a segment that went at the spool's limit with so many records; ``ID.account``, what its writer has counted. Beside them: ``dead/``, records that were refused, and ``dropped``, what was lost
and why. Queues of genesis-otel 0.1.0, whose records have no numbers, are named ``q-``; it sees only those.
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
    """The number of the record behind the last of them; -1 where records have none."""


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


Place = tuple[int, int, int, int]
"""Where a writer is: its open file, the number of the segment and its size, and the number of the next record. One value, so that
an exception of a signal handler finds it before a step or behind it. No class: that takes a third of a microsecond a span."""


class Writer:
    """This process's queue in a folder; not for a forked child, which makes its own.

    Its methods stand an exception of a signal handler at any place: they can be called again.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, spool_bytes: int, family: str = "") -> None:
        """Make the queue. Processes that share an exporter, by fork, are a ``family``: it is in the queue's name.

        :raises OSError: it cannot be made; then nothing of it remains.
        """
        self.folder, self.id = folder, f"{QUEUE}{os.getpid()}-{family}{uuid.uuid4().hex[:8]}"
        # What goes at once at the limit is a segment: never a large part of all.
        self._segment_bytes, self._spool_bytes = min(segment_bytes, spool_bytes // 8), spool_bytes
        if not stat.S_ISDIR(_mode(folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Processes that never fill a segment count as well: each looks once, before it adds one.
        enforce(folder, spool_bytes)
        # The lock comes before the queue: whoever sees the queue without its lock takes the writer for dead.
        locked = folder / f"{self.id}.writer"
        self._lock = ProcessLock(locked)
        if not self._lock.take(1.0):
            raise OSError(errno.EAGAIN, f"the lock of {self.id} in {folder} cannot be had")
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
        """Write one record. Not for two threads at once.

        :param once: when the call was interrupted, and the next one brings the same object, the record is still written once.
        :raises OSError: it could not be written; then nothing of it remains.
        """
        if once is None or self._begun is None or self._begun[0] is not once:
            if self._at[2] >= self._segment_bytes:
                self._next_segment()
            place = file, segment, size, number = self._at
            record = pack(payload, number)
            self._begun = once, place
        else:
            # Interrupted: written or not, the file tells.
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
            raise OSError(errno.ENOSPC, f"{written} of {len(record)} bytes were written")
        self._at = file, segment, size + written, number + 1

    def position(self) -> tuple[int, int]:
        """Behind what was appended so far: a segment and a place in it; see :func:`taken`."""
        return self._at[1], self._at[2]

    def look(self) -> bool:
        """Whether the queue is still where it was made; to be asked every second. Puts into the account what was appended."""
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
            # Somebody has cut it: records go on behind what is left, and the numbers tell what is missing.
            self._at = file, segment, mine.st_size, number
        account.write(self._account, "appended", number)
        self._taken = max(self._taken, _read_cut(self.folder / self.id).number)
        return True

    def hold(self, records: int) -> None:
        """Put into the account how many records are kept in memory: lost, should this process die now."""
        account.write(self._account, "held", records)

    def rescue(self) -> tuple[list[bytes], int]:
        """When the folder was removed: the records that this process can still reach, and how many more were lost with it.

        What was handed over in the last second comes once more.
        """
        file, _, _, number = self._at
        if os.fstat(file).st_nlink:
            # Moved, not removed: it is all there, elsewhere.
            return [], 0
        data = os.pread(file, os.fstat(file).st_size, 0)
        found = [record for record in find(data, closed=True)[0] if record.number >= self._taken]
        return [data[record.payload : record.end] for record in found], max(0, number - self._taken) - len(found)

    def close(self) -> None:
        """End the queue; what is in it waits for whoever drains."""
        file, segment, size, number = self._at
        if file >= 0:
            account.write(self._account, "appended", number)
            self._at = -1, segment, size, number
            os.close(file)
            self._close_account(remove=False)
            self._lock.release()

    def abandon(self, *, busy: bool) -> None:
        """In a forked child: let go of the parent's file, and leave the queue to the parent.

        :param busy: a signal handler has forked in the middle of :meth:`append`, which goes on in the child, too: into nothing.
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
        # The new one first: a file that is closed is never written to, whatever comes in between.
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
    """A queue, held by whoever drains it. Made by :func:`take`."""

    def __init__(self, folder: Path, name: str, lock: ProcessLock) -> None:
        self.folder, self.name, self._lock = folder, name, lock
        self._path, self._old = folder / name, _is_old(name)
        self.segment, self.start, self.end, self.number = _read_cut(self._path)
        segments = _segments(self._path)
        if segments and self.segment > max(segments) and not (self._old and self.segment == max(segments) + 1):
            # No cut of ours goes so far while there are segments: from the first that is left, but what was taken.
            self.segment, self.start, self.end = min(segments), 0, 0

    def next(self, max_rows: int, max_bytes: int) -> Batch | None:
        """The batch that is out, or else the next records; None when there are none now.

        Where it ends is on disk before this returns: after a crash the same batch comes again.
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
                # Of somebody else, or on a disk that is ill: it stays, and stops nothing else.
                logger.debug("%s cannot be read", self._path, exc_info=True)
                return None
            if found and found[-1].number < self.number and not self._old:
                # The cut was damaged, but how many were taken is known.
                self.start, self.end = self.start + found[-1].end, 0
                continue
            found = [record for record in found if self._old or record.number >= self.number]
            if found:
                return self._batch(data, found, damaged)
            if self._old and damaged and whole and not self.end:
                losses.note(self.folder, damaged, DAMAGED)
            if self.end:
                # The batch that was out is not there any more.
                self.end = 0
                continue
            if not closed or not self._forward():
                return None

    def _read(self, max_rows: int, max_bytes: int, closed: bool) -> tuple[bytes, list[Found], int, bool]:
        """What comes next in the segment, and whether that is all that there is."""
        with (self._path / f"{self.segment:08d}{SEGMENT}").open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if max(self.start, self.end) > size or 0 < self.end <= self.start:
                # Somebody has cut the file, or changed the cut.
                self.start, self.end = (0 if self.start > size else self.start), 0
            file.seek(self.start)
            # The batch that is out, whole; else as much as a batch takes.
            data = file.read(self.end - self.start if self.end else max_bytes)
            whole = bool(self.end) or (closed and len(data) < max_bytes)
            limit = len(data) if self.end else max_rows
            found, damaged = find(data, closed=whole, limit=limit, old=self._old)
            if not found and not whole:
                # A record larger than a batch goes alone; or there is damage, and the rest tells.
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
        """The records behind ``batch`` in its segment, to prepare while it is under way; None where :meth:`next` has to look.

        Only reads, so another thread may call it; :meth:`claim` makes what it gives the batch that is out.
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
        """Put on disk that ``batch``, from :meth:`following`, is out; the one before it is done."""
        self.end = batch.end
        self._write_cut()

    def ahead(self) -> tuple[int, int]:
        """Behind what is in the queue now: a segment and a place in it."""
        segments = _segments(self._path)
        last = max(segments, default=0)
        return last, _size(segments[last]) if segments else 0

    def beyond(self, batch: Batch) -> bytes | None:
        """The first record behind ``batch``, which stays where it is; None when there is none yet."""
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
        """The batch has arrived: take it off the queue."""
        self.start, self.end, self.number = batch.end, 0, batch.following
        self._write_cut()

    def written_to(self) -> bool:
        """Whether the queue's writer lives."""
        return writer_lives(self.folder, self.name)

    def release(self) -> None:
        """Let go of the queue, and remove it when its writer is dead and it is empty."""
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
                logger.debug("the empty queue %s stays", self.name, exc_info=True)
        self._lock.release()

    def _settle(self) -> None:
        """Count what a dead writer could not count itself."""
        appended, held, lost = account.read(self.folder, self.name)
        if not self._old:  # the records of an old queue have no numbers: its damage is counted where it is found
            losses.note(self.folder, max(0, appended - self.number - self._gone()), DAMAGED)
        losses.note(self.folder, held, "in the memory of a process that died while the disk took nothing")
        losses.note(self.folder, lost, "counted late")
        # At once: what is counted must not be counted again.
        (self.folder / f"{self.name}{account.SUFFIX}").unlink(missing_ok=True)

    def _gone(self) -> int:
        """Records before this place that went at the spool's limit, and are counted; to be asked once."""
        lost = 0
        for path in self._path.glob(f"*{GONE}"):
            number, _, records = path.stem.partition("-")
            if number.isdecimal() and records.isdecimal() and int(number) <= self.segment:
                lost += int(records)
                path.unlink(missing_ok=True)
        return lost

    def _forward(self) -> bool:
        """Go to the next segment, and remove this one; False where there is none."""
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
            # A disk that the spool itself has filled gets room by draining it: so draining goes on. Should this process
            # die before there is room, what it takes off now comes once more.
            logger.debug("the cut of %s could not be written", self._path, exc_info=True)


def writer_lives(folder: Path, name: str) -> bool:
    """Whether the process that writes to a queue lives."""
    return ProcessLock.holder(folder.joinpath(f"{name}.writer")) is not None


def queues(folder: Path) -> list[str]:
    """The names of a folder's queues, oldest first."""
    found: list[tuple[float, str]] = []
    try:
        # No os.scandir: where a signal handler's exception leaves one open, Python drops without a word what the next handler
        # raises while it is collected.
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
    """How far a queue was handed over: a segment and a place in it; see :meth:`Writer.position`."""
    return _read_cut(folder / name)[:2]


def take(folder: Path, name: str) -> Queue | None:
    """Hold a queue for draining; None when somebody else does, it is gone, or its lock is none."""
    lock = ProcessLock(folder / f"{name}.drain")
    try:
        if not lock.take(0.0):
            return None
    except OSError as error:
        pass_on(error)
        logger.debug("the queue %s in %s cannot be taken", name, folder, exc_info=True)
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
    """Remove a segment, and count what is in it as lost; false when it is gone already."""
    cut, number, old = _read_cut(path.parent), int(path.stem), _is_old(path.parent.name)
    lost = count(path, cut.start if number == cut.segment else 0, old=old) if number >= cut.segment else 0
    reason = f"the spool is over its limit of {limit} bytes"
    gone = path.with_name(f"{path.stem}-{lost}{GONE}")
    try:
        # What reads the queue finds numbers missing, and has to know that these are counted. A full disk takes this, too.
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
    """What a folder holds; looks without taking anything."""
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
    """Records of one queue that were not handed over yet."""
    cut, old = _read_cut(folder / name), _is_old(name)
    return sum(
        count(path, cut.start if number == cut.segment else 0, old=old)
        for number, path in _segments(folder / name).items()
        if number >= cut.segment
    )


class Cut(NamedTuple):
    """What was taken of a queue."""

    segment: int
    start: int
    """Of what was not taken, in the segment."""
    end: int
    """Of the batch that is out; 0 when none is."""
    number: int
    """Of the first record that was not taken: so many were."""


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
    # Damaged, by a power cut: from the first segment that is left. What comes twice is stored once.
    return Cut(min(_segments(path), default=1), 0, 0, 0)


def _is_old(name: str) -> bool:
    return name.startswith(OLD_QUEUE)


def _segments(path: Path) -> dict[int, Path]:
    """A queue's segments by their numbers, in order."""
    try:
        names = sorted([name for name in os.listdir(path) if re.fullmatch(r"\d+\.seg", name)])  # noqa: PTH208 - see queues
    except OSError as error:
        pass_on(error)
        return {}
    # No "/": it swallows every TypeError.
    found = {int(name.removesuffix(SEGMENT)): path.joinpath(name) for name in names}
    return {number: segment for number, segment in found.items() if stat.S_ISREG(_mode(segment))}


def _mode(path: Path) -> int:
    """What a path is; 0 where nothing is there. Path's own questions swallow what a signal handler raises meanwhile."""
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
