"""Writes a new file that appears only once it is complete, and never replaces an existing one.

In: its path. Out: a path beside it to write to, which is renamed when the block ends. On failure: :class:`NewFileError` before the block,
:class:`StoreError` if it cannot be written, else what the block raises; no partial file is left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from genesis_otel._store.errors import StoreError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota or a limit."""


class NewFileError(FileExistsError):
    """The file already exists, or its folder does not."""


def expect_folder(path: Path) -> None:
    """:raises NewFileError: there is no folder to write ``path`` in."""
    if not path.parent.is_dir():
        raise NewFileError(f"{path} cannot be written: there is no folder {path.parent}")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield where to write what is to become ``path``."""
    if path.exists():
        raise NewFileError(f"{path} already exists: choose another file, or remove it")
    expect_folder(path)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield aside
        _name(aside, path)
    except OSError as error:
        # What fails to write has no name of a file, and a connection that breaks is no matter of the file.
        if error.errno not in FULL and error.filename != str(aside):
            raise
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


def _name(aside: Path, path: Path) -> None:
    """Give the file its name, unless somebody else has made one of that name meanwhile."""
    try:
        os.link(aside, path)
    except FileExistsError as error:
        raise NewFileError(f"{path} was made by somebody else meanwhile: choose another file, or remove it") from error
    except OSError as error:
        # Some file systems have no links.
        if error.errno in FULL:
            raise
        aside.replace(path)
