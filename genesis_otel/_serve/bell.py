"""The bell of a store process: ringing it makes the process read its spool now instead of at its next poll.

In: the folder of an embedded store. Out: a named pipe in it, which any process of the same user can ring and on which the store process
waits. On failure: no error; if the pipe cannot be created, or nobody reads it, the store process polls at its usual interval.
"""

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

PIPE = "bell"


def ring(folder: Path) -> None:
    """Make the store process of ``folder``, if one is running, read its spool; never blocks."""
    # ENXIO: nobody reads the pipe; EAGAIN: the pipe is full.
    with contextlib.suppress(OSError):
        file = os.open(folder / PIPE, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(file, b"x")
        finally:
            os.close(file)


class Bell:
    """The store process's end."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing

    def ring(self) -> None:
        """Ring it from within this process; safe in signal handlers."""
        with contextlib.suppress(OSError):
            os.write(self._writing, b"x")

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` until it is rung, and return whether it was, now or since the last call."""
        is_rung = bool(select.select([self._reading], [], [], seconds)[0])
        if is_rung:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._reading, 4096):
                    pass
        return is_rung


@contextlib.contextmanager
def hung(folder: Path) -> Iterator[Bell]:
    """The bell of ``folder``, while this process owns the store."""
    path = folder / PIPE
    files: tuple[int, ...]
    try:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # Open for writing too: otherwise every ringer that closes its end would look like end of file.
        files = (os.open(path, os.O_RDWR | os.O_NONBLOCK),)
    except OSError:
        files = os.pipe()
        for file in files:
            os.set_blocking(file, False)
    try:
        yield Bell(files[0], files[-1])
    finally:
        path.unlink(missing_ok=True)
        for file in files:
            os.close(file)
