"""Writes this process's queue in a spool's folder.

In: records, as bytes. Out: segments on disk; once :meth:`Writer.append` returns, a record survives the death of its process (a
power cut may lose the last seconds: nothing is fsynced). Records are numbered, so that whoever reads the queue knows how many are
missing. On failure: OSError from ``append``, which may be called again; a record that a dying process left half-written does not
count as one.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from pathlib import Path

from genesis_otel._emit.interruption import ignored, pass_on
from genesis_otel._ship.spool import account, cut, layout, losses
from genesis_otel._ship.spool.limit import enforce
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import find, pack

Place = tuple[int, int, int, int]
"""A writer's position: its open file, the segment's number and size, and the number of the next record. A single value, so that
an exception raised by a signal handler never leaves it half updated. Not a class: that costs a third of a microsecond per span."""

REMOVAL = 1.0
"""Seconds that a removal of the folder may take from a queue's lock to its segment: meanwhile it looks like a queue that was moved,
of which nothing is lost."""


class Writer:
    """This process's queue in a folder; a forked child must make its own.

    A signal handler may raise at any point in these methods: they can be called again.
    """

    def __init__(self, folder: Path, *, segment_bytes: int, spool_bytes: int, family: str = "") -> None:
        """Create the queue. Processes that share an exporter, by fork, are a ``family``, which is part of the queue's name.

        :raises OSError: it cannot be created; then nothing of it remains.
        """
        self.folder, self.id = folder, f"{layout.QUEUE}{os.getpid()}-{family}{uuid.uuid4().hex[:8]}"
        # At the limit, whole segments are dropped: keep each a small part of the spool.
        self._segment_bytes, self._spool_bytes = min(segment_bytes, spool_bytes // 8), spool_bytes
        if not stat.S_ISDIR(layout.mode(folder)):
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
        self._unlocked: float | None = None
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
        """The position after the last record appended: a segment and an offset in it; see :func:`~genesis_otel._ship.spool.status.taken`."""
        return self._at[1], self._at[2]

    def look(self) -> bool:
        """Whether the queue is still in its place; to be called every second. Also records the number appended in the account.

        If only its lock is missing, it is not in its place from :data:`REMOVAL` later on.
        """
        file, segment, size, number = self._at
        try:
            named = self._path(segment).stat()
            mine = os.fstat(file)
            if not os.path.samestat(mine, named):
                return False
            if self._lock.valid():
                self._unlocked = None
            elif self._unlocked is None:
                self._unlocked = time.monotonic()
            elif time.monotonic() - self._unlocked >= REMOVAL:
                return False
        except OSError as error:
            pass_on(error)
            return False
        if mine.st_size != size:
            # Somebody truncated the file: continue after what is left; the numbers show what is missing.
            self._at = file, segment, mine.st_size, number
        account.write(self._account, "appended", number)
        self._taken = max(self._taken, cut.read(self.folder / self.id).number)
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
        return self.folder.joinpath(self.id, layout.segment_name(segment))

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
