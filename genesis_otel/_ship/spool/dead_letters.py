"""Dead letters: records that a destination refused for their content, each in its own file, with the reason.

In: a record and why it was refused. Out: both again, byte for byte. On failure: OSError of the file system; a dead letter is
written whole or not at all.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from genesis_otel._emit.interruption import pass_on

DEAD = "dead"
"""Their subfolder in a spool's folder."""


def bury(folder: Path, record: bytes, reason: str) -> None:
    """Keep a record that was refused for its content, with the reason, in its own file."""
    dead = folder / DEAD
    dead.mkdir(mode=0o700, exist_ok=True)
    path = dead / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    fresh = dead / f".{path.name}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(reason.replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n" + record)
    fresh.replace(path)


def buried(folder: Path) -> Iterator[tuple[Path, str, bytes]]:
    """The refused records: file, reason, record; oldest first. What somebody puts back meanwhile is left out."""
    for path in sorted(files(folder)):
        try:
            reason, _, record = path.read_bytes().partition(b"\n")
        except FileNotFoundError as error:
            pass_on(error)
            continue
        yield path, reason.decode(), record


def files(folder: Path) -> Iterator[Path]:
    """The files of a folder's dead letters."""
    return (folder / DEAD).glob("[0-9]*")


def changed(folder: Path) -> int:
    """A value that changes when dead letters are added or removed; 0 if there never were any."""
    try:
        return (folder / DEAD).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
