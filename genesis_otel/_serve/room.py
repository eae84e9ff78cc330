"""Checks that a store's disk has room for what the engine writes, because the engine confirms inserts that a full disk cut short.

In: a folder on that disk. Out: nothing while there is room; otherwise the reason, as text or as an error that counts as an outage. On
failure: if the free space cannot be read, there is assumed to be room, and the engine reports any error itself.

Observed with chDB 26.9: if a write fails in the middle of a file (ENOSPC, or EFBIG beyond ``ulimit -f``) after the engine's own
reservation of space succeeded, the insert or merge succeeds too; the part then has truncated files, and its table can no longer be read.
The same happens to a table's definition when it is created or altered: it succeeds, the definition is an empty file, and the whole
store cannot be opened again. So nothing is inserted, merged, created or altered while the disk is nearly full.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

from genesis_otel._store.errors import StoreError

KEEP_FREE = 256 << 20
"""Bytes to keep free: several times what a 32 MiB batch takes in the landing table, in the seven others and while being written."""


def lacking(folder: Path) -> str:
    """Why the engine must not write now, or ''."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return ""
    free = disk.f_bavail * disk.f_frsize
    if free >= KEEP_FREE:
        return ""
    return (
        f"only {free >> 20} MiB are free on the disk of {folder}, and {KEEP_FREE >> 20} MiB must stay free: make room"
    )


class Merges:
    """Stops the engine's merges while there is no room, since they write as much as they read.

    :param command: runs a statement in the engine.
    """

    def __init__(self, command: Callable[[str], object]) -> None:
        self._command = command
        self._stopped = False

    def need_room(self, folder: Path) -> None:
        """Return if there is room, restarting the merges if they were stopped.

        :raises StoreError: there is no room; the merges are stopped.
        """
        if why := self._adapt(folder):
            raise StoreError(why)

    def have_room(self, folder: Path) -> bool:
        """Whether there is room, and the merges run, for which whatever removes rows waits; never raises."""
        with contextlib.suppress(Exception):  # out of memory, for instance: they may still be stopped
            return not self._adapt(folder)
        return False

    def _adapt(self, folder: Path) -> str:
        why = lacking(folder)
        if bool(why) != self._stopped:
            self._command(f"SYSTEM {'STOP' if why else 'START'} MERGES")
            self._stopped = bool(why)
        return why


def unlimited_files() -> str:
    """Raise this process's file size limit as far as permitted; return a warning if a limit remains, or ''."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return ""
    return f"files are limited to {hard:,} bytes (ulimit -f), and the engine loses data beyond that: start it without the limit"
