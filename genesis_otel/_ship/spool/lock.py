"""A lock file for one process at a time, which names its holder.

In: a path. Out: the lock, or the id of the process that holds it. On failure: OSError of the file system. The lock of a process
that dies is released.
"""

import errno
import fcntl
import functools
import os
import threading
import time
from pathlib import Path

from genesis_otel._emit.interruption import foreign, pass_on


class ProcessLock:
    """A POSIX lock on a file: released when its process dies, and not inherited by a fork.

    It is also released when its process closes *any* descriptor of the file; so this class remembers the locks that the
    process holds and never opens those files.
    """

    _mine: dict[Path, int] = {}
    # Reentrant: a signal handler or a finaliser may end a span while its thread looks at a lock. A lock created then has its
    # own name, so no descriptor of a file that is open at the time gets closed.
    _guard = threading.RLock()

    def __init__(self, path: Path) -> None:
        """Name the file; `take` creates it."""
        self._path = _resolved(path)
        self._file: int | None = None

    def take(self, wait: float) -> bool:
        """Take the lock within ``wait`` seconds; false if that fails."""
        deadline = time.monotonic() + wait
        while not self._try():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _try(self) -> bool:
        with self._guard:
            if self._mine.get(self._path) == os.getpid():
                return False
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException as error:
                os.close(file)
                if isinstance(error, OSError) and not foreign(error) and error.errno in (errno.EACCES, errno.EAGAIN):
                    return False
                raise
            self._file = file
            self._mine[self._path] = os.getpid()
            try:
                os.ftruncate(file, 0)
                os.write(file, str(os.getpid()).encode())
            except OSError as error:
                # On a full disk the holder's id cannot be written; the lock is held all the same.
                pass_on(error)
            return True

    def valid(self) -> bool:
        """Whether the locked file is still the one at its path: somebody may have removed the folder."""
        try:
            named = self._path.stat()
            return self._file is not None and os.path.samestat(os.fstat(self._file), named)
        except OSError as error:
            pass_on(error)
            return False

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        with self._guard:
            if self._file is not None:
                self._mine.pop(self._path, None)
                os.close(self._file)
                self._file = None

    @classmethod
    def holder(cls, path: Path) -> int | None:
        """The id of the process that holds the lock, -1 if it is not written yet, or None. Takes a shared lock for an instant."""
        path = _resolved(path)
        with cls._guard:
            if cls._mine.get(path) == os.getpid():
                return os.getpid()
            try:
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                pass_on(error)
                return None
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if foreign(error) or error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                told = os.read(file, 20)
                return int(told) if told.isdigit() else -1
            else:
                return None
            finally:
                os.close(file)


def _resolved(path: Path) -> Path:
    return _folder(os.path.abspath(path.parent)) / path.name  # noqa: PTH100 - no look at the disk


@functools.lru_cache(maxsize=64)
def _folder(path: str) -> Path:
    # Cached: Path.resolve() swallows an OSError that a signal handler raises meanwhile.
    return Path(path).resolve()


def _renew_guard() -> None:
    ProcessLock._guard = threading.RLock()


os.register_at_fork(after_in_child=_renew_guard)
