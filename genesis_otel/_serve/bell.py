"""The bell of a store process: who waits for its spans rings, and the spool is looked at now and not after the pause.

In: the folder of an embedded store. Out: a named pipe there, on which anybody of the same user rings and the store process waits.
On failure: nothing: where no such pipe can be made, or nobody reads it, the pauses are what they would be without.
"""

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path

PIPE = "bell"


def ring(folder: Path) -> None:
    """Have the store process of ``folder`` look at its spool, if one runs; waits for nothing."""
    # ENXIO where nobody reads, EAGAIN where it has been rung a lot.
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
        """Ring it in this process; for signal handlers, too."""
        with contextlib.suppress(OSError):
            os.write(self._writing, b"x")

    def wait(self, seconds: float) -> None:
        """Until it is rung, or has been since the last call; ``seconds`` at most."""
        if select.select([self._reading], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._reading, 4096):
                    pass


@contextlib.contextmanager
def hung(folder: Path) -> Iterator[Bell]:
    """The bell of ``folder``, for as long as this process has the store."""
    path = folder / PIPE
    files: tuple[int, ...]
    try:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # For writing as well: else each ringer that closes its end would look like an end of the file.
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
