"""Which process of a family uses the exporter: one at a time, since its connections must not be shared; the others only spool.

In: a spool's folder and the name of a family, which is a process and those forked from it. Out: whether this process leads, and the
queues that the leader drains: those of its family, and those whose writers are dead. On failure: while the folder cannot be used, nobody
leads, and the next call tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from genesis_otel._emit.interruption import foreign
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.lock import ProcessLock

log = logging.getLogger(__name__)


class Leadership:
    """One process's view of who leads its family. A forked child needs its own."""

    def __init__(self, folder: Path, family: str) -> None:
        self._folder, self._family = folder, family
        self._lock: ProcessLock | None = None

    def take(self) -> bool:
        """Try to become the leader; returns whether this process is."""
        if self._lock is None:
            lock = ProcessLock(self._file())
            try:
                if not self._folder.is_dir():
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Leftovers of families that are gone. A process that takes one right now sees that it is invalid, and retries.
                for path in self._folder.glob("x-*.exports"):
                    if ProcessLock.holder(path) is None:
                        path.unlink(missing_ok=True)
                if lock.take(0.0):
                    self._lock = lock
                    if not lock.valid():
                        self._lock = None
                        lock.release()
            except BaseException as error:
                if not isinstance(error, OSError) or foreign(error):
                    self._lock = None
                    lock.release()
                    raise
                log.debug("%s cannot be used", self._folder, exc_info=True)
        return self._lock is not None

    def release(self) -> None:
        """Let another process lead, if this one does."""
        if self._lock is not None:
            self._file().unlink(missing_ok=True)
            self._lock.release()

    def queues(self) -> Iterator[str]:
        """The queues of this process and of those forked from it, and those whose writers are dead."""
        for name in layout.queues(self._folder):
            if f"-{self._family}-" in name or not layout.writer_lives(self._folder, name):
                yield name

    def _file(self) -> Path:
        return self._folder / f"x-{self._family}.exports"
