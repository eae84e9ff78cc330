"""Counts what a writer has put into its queue and what it could not, in a file allocated before anything goes wrong.

In: a writer's counts. Out: the same, for any reader, even after the writer was killed. The file is allocated when the queue is
created, and overwritten in place: so the counts can be written on a full disk, too. On failure: OSError on creation; after that,
a count that cannot be written keeps its old value.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import ignored, pass_on

SUFFIX = ".account"
WIDTH = 20
"""The digits of a count and the space or newline after it."""


class Account(NamedTuple):
    """The counts, in file order."""

    appended: int = 0
    """Records appended to the queue, up to date to within a second, and exact once the writer has closed it."""
    held: int = 0
    """Records that the writer keeps in memory because the disk accepts none: lost if it dies."""
    lost: int = 0
    """Records lost that could not be counted in the folder's file ``dropped``."""


def make(folder: Path, name: str) -> int:
    """Create and open a queue's file, with all counts 0."""
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
    """Set one of the counts; false if it could not be written."""
    with ignored(OSError):
        return os.pwrite(file, b"%019d " % value, WIDTH * Account._fields.index(count)) == WIDTH
    return False


def read(folder: Path, name: str) -> Account:
    """The counts of a queue; all 0 if there is no file, or it is damaged."""
    try:
        text = (folder / f"{name}{SUFFIX}").read_bytes()
        return Account(*(int(text[WIDTH * at : WIDTH * (at + 1)]) for at in range(3)))
    except (OSError, ValueError) as error:
        pass_on(error)
        return Account()
