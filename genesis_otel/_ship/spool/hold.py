"""Records that are held: on disk from the moment on, but nobody's to deliver while their process lives and holds them.

In: records by a key, and the word that one was released. Out: nothing, while all goes well; what a dead process held and had
not released, as a queue like any other (:func:`adopt`). On failure: OSError of the file system.

A hold is ``h-ID.held``, records of a segment's form: ``+``, the key and the record, or ``-`` and a key that was released; and
``h-ID.holder``, the lock of who holds it. 0.1.0 lists neither: they are no queue (``q-…``), no segment and no dead letter.
Whatever is kept in another format than those has a name of its own in the same way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from pathlib import Path

from genesis_otel._ship.spool import queue
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.segment import find, pack

HELD, HOLDER = ".held", ".holder"
KEY = 8
"""Bytes of a key: a span's id."""


class Hold:
    """What this process holds until it is released, together: the individuals of one generation."""

    def __init__(self, folder: Path) -> None:
        """Make it.

        :raises OSError: it cannot be made.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"h-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._path, self._locked, self._pid = folder / f"{name}{HELD}", folder / f"{name}{HOLDER}", os.getpid()
        # The lock comes before the file: whoever sees the file without its lock takes its process for dead.
        self._lock = ProcessLock(self._locked)
        if not self._lock.take(1.0):
            raise OSError(f"the lock of {name} in {folder} cannot be had")
        self._number = itertools.count()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def keep(self, key: bytes, record: bytes) -> None:
        """Have a record on disk, in one write."""
        self._append(b"+" + key + record)

    def release(self, key: bytes) -> None:
        """A record has gone its usual way."""
        self._append(b"-" + key)

    def _append(self, payload: bytes) -> None:
        if self._pid == os.getpid():
            record = pack(payload, next(self._number))
            if os.write(self._file, record) != len(record):
                raise OSError(f"{self._path} takes no more")

    def close(self) -> None:
        """All were released: nothing of it remains. In a forked child, nothing happens: it is the parent's."""
        if self._pid == os.getpid():
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._locked.unlink(missing_ok=True)
            self._lock.release()


def adopt(folder: Path, *, segment_bytes: int, spool_bytes: int) -> int:
    """Put what dead processes held into a queue, and count it. Interrupted, it is done again: what comes twice is stored once."""
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
                        queue.Writer(folder, segment_bytes=segment_bytes, spool_bytes=spool_bytes)
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
    """The records that were kept and not released."""
    kept: dict[bytes, bytes] = {}
    for found in find(data, closed=True)[0]:
        payload = data[found.payload : found.end]
        kind, key, record = payload[:1], payload[1 : 1 + KEY], payload[1 + KEY :]
        if kind == b"+":
            kept[key] = record
        else:
            kept.pop(key, None)
    return list(kept.values())
