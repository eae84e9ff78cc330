"""A new file that is there when it is whole, and never over another one.

In: its path. Out: a path beside it to write to, which takes its name when the block ends. On failure: what the block raises; no part is left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path, refused: type[Exception] = FileExistsError) -> Iterator[Path]:
    """Where to write what shall be ``path``.

    :param refused: raised where ``path`` is there already.
    """
    if path.exists():
        raise refused(f"{path} is there already: name another file, or remove it")
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
