"""What a writer has put into its queue and what it could not, in a file that is there before there is trouble.

In: counts of a writer. Out: the same, for whoever looks, after the writer was killed as well. Its bytes are allocated when the
queue is made, and overwritten in place: so a full disk takes the counts, too. On failure: OSError when it is made; later on a
count that cannot be written is left as it was.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import ignored, pass_on

SUFFIX = ".account"
WIDTH = 20
"""Digits of a count, and the space or newline behind each."""


class Account(NamedTuple):
    """The counts, in their order in the file."""

    appended: int = 0
    """Records in the queue, as of the last second of the writer's life, or of its end."""
    held: int = 0
    """Records that the writer keeps in memory, since the disk takes none: lost when it dies."""
    lost: int = 0
    """Records that were lost and could not be counted in the folder's file ``dropped``."""


def make(folder: Path, name: str) -> int:
    """The file of a queue, open; its counts are 0."""
    file = os.open(folder / f"{name}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    text = b"".join(b"%019d " % count for count in Account())
    try:
        if os.pwrite(file, text, 0) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
    except OSError as error:
        pass_on(error)
        os.close(file)
        (folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
        raise
    return file


def write(file: int, count: str, value: int) -> bool:
    """Set one of the counts; false where the disk does not take it."""
    with ignored(OSError):
        return os.pwrite(file, b"%019d " % value, WIDTH * Account._fields.index(count)) == WIDTH
    return False


def read(folder: Path, name: str) -> Account:
    """The counts of a queue; 0 where there are none."""
    try:
        text = (folder / f"{name}{SUFFIX}").read_bytes()
        return Account(*(int(text[WIDTH * at : WIDTH * (at + 1)]) for at in range(3)))
    except (OSError, ValueError) as error:
        pass_on(error)
        return Account()
