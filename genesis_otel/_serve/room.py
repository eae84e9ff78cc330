"""Whether the disk of a store has room for what the engine writes: it confirms inserts that a full disk did not take.

In: a folder on that disk. Out: nothing while there is room; what is wrong, as a text or as an error that is an outage. On failure: where
the disk cannot be asked there is room, and the engine says what is wrong.

Seen with chDB 26.9: when a write fails in the middle of a file (ENOSPC, or EFBIG beyond ``ulimit -f``), the engine's own
reservation of space has succeeded, and so does the insert, or the merge; its part has files that are cut off, and its table cannot be read
any more. So nothing is inserted or merged where the disk is nearly full.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

from genesis_otel._store.errors import StoreError

KEEP_FREE = 256 << 20
"""Bytes that stay free: several times what a batch of 32 MiB becomes in the landing table, in seven others and on its way."""


def lacking(folder: Path) -> str:
    """Why the engine is given nothing, or ''."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return ""
    free = disk.f_bavail * disk.f_frsize
    if free >= KEEP_FREE:
        return ""
    return f"only {free >> 20} MiB are free on the disk of {folder}, and {KEEP_FREE >> 20} have to stay free: make room"


class Merges:
    """The engine's merges, stopped while there is no room: they write as much as they read.

    :param command: runs a statement in the engine.
    """

    def __init__(self, command: Callable[[str], object]) -> None:
        self._command = command
        self._stopped = False

    def need_room(self, folder: Path) -> None:
        """Go on where there is room, and start the merges again.

        :raises StoreError: there is none; the merges are stopped.
        """
        why = lacking(folder)
        if bool(why) != self._stopped:
            self._command(f"SYSTEM {'STOP' if why else 'START'} MERGES")
            self._stopped = bool(why)
        if why:
            raise StoreError(why)


def unlimited_files() -> str:
    """Lift the limit of this process on the size of files as far as it may, and say what is left of it, or ''."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return ""
    return f"files are limited to {hard:,} bytes (ulimit -f), and the engine loses what does not fit: start it without that limit"
