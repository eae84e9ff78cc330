"""Held records: on disk at once, but not to be delivered by anybody while their process lives and holds them.

In: records by key, and the keys released. Out: nothing, if all goes well; otherwise what a dead process held and had
not released, as a normal queue (:func:`adopt`). On failure: OSError of the file system.

A hold is ``h-ID.held``, entries in a segment's format: ``+``, the key and the record, or ``-`` and a released key; and
``h-ID.holder``, its holder's lock. 0.1.0 lists neither: they are not queues (``q-…``), segments or dead letters.
Anything kept in yet another format needs its own name in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import uuid
from pathlib import Path

from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import find, pack
from genesis_otel._ship.spool.writer import Writer

HELD, HOLDER = ".held", ".holder"
KEY = 8
"""Bytes of a key: a span's id."""


class Hold:
    """Records that this process holds and releases together: the individuals of one generation."""

    def __init__(self, folder: Path) -> None:
        """Create the files.

        :raises OSError: they cannot be created.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"h-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._path, self._locked, self._pid = folder / f"{name}{HELD}", folder / f"{name}{HOLDER}", os.getpid()
        # Lock first, then file: a file without a held lock means a dead process.
        self._lock = ProcessLock(self._locked)
        if not self._lock.take(1.0):
            raise OSError(errno.EAGAIN, f"cannot lock {name} in {folder}")
        self._number = itertools.count()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def keep(self, key: bytes, record: bytes) -> None:
        """Put a record on disk, in one write."""
        self._append(b"+" + key + record)

    def release(self, key: bytes) -> None:
        """Mark a record as released: it is delivered the usual way."""
        self._append(b"-" + key)

    def _append(self, payload: bytes) -> None:
        if self._pid == os.getpid():
            record = pack(payload, next(self._number))
            size = os.fstat(self._file).st_size
            written = os.write(self._file, record)
            if written != len(record):
                os.ftruncate(self._file, size)
                raise OSError(errno.ENOSPC, f"only {written} of {len(record)} bytes were written")

    def close(self) -> None:
        """Remove the files once everything is released. Does nothing in a forked child: the hold is the parent's."""
        if self._pid == os.getpid():
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._locked.unlink(missing_ok=True)
            self._lock.release()


def adopt(folder: Path, *, segment_bytes: int, spool_bytes: int) -> int:
    """Put what dead processes held into a queue, and return the count. If interrupted, it is repeated: duplicates are stored once."""
    adopted = 0
    for path in folder.glob(f"h-*{HELD}"):
        locked = path.with_suffix(HOLDER)
        lock = ProcessLock(locked)
        if not lock.take(0.0):
            continue
        try:
            with contextlib.suppress(FileNotFoundError):
                records = _held(path.read_bytes())
                if records:
                    with contextlib.closing(
                        Writer(folder, segment_bytes=segment_bytes, spool_bytes=spool_bytes)
                    ) as writer:
                        for record in records:
                            writer.append(record)
                path.unlink(missing_ok=True)
                adopted += len(records)
            locked.unlink(missing_ok=True)
        finally:
            lock.release()
    return adopted


def _held(data: bytes) -> list[bytes]:
    """The records kept and not released."""
    kept: dict[bytes, bytes] = {}
    for found in find(data, closed=True)[0]:
        payload = data[found.payload : found.end]
        kind, key, record = payload[:1], payload[1 : 1 + KEY], payload[1 + KEY :]
        if kind == b"+":
            kept[key] = record
        else:
            kept.pop(key, None)
    return list(kept.values())
