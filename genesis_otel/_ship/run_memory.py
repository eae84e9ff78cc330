"""Remembers what another process needs to resume a run: a file per run, to which each note appends a line.

In: notes on runs, from any process of this machine. Out: the notes of a run, in order. On failure: a note that cannot be
written is lost, with one warning; a line torn by a full disk or a kill is skipped. Nothing is raised.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from genesis_otel._emit.configured import Note
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import keep
from genesis_otel._log import warn_once

_encode = msgspec.json.Encoder().encode
"""Takes half a microsecond, where Python's own takes three; writes NaN and infinities as null."""

log = logging.getLogger(__name__)

DAY = 86_400.0


OPEN_FILES = 8
"""Maximum files kept open; a process rarely has more than one run."""


class _File:
    """An open file, closed once nobody uses it: another thread may be about to write to a file that is evicted."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class RunMemory:
    """The memory files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}

    def recall(self, run_id: str) -> Iterator[Note]:
        """The notes kept on a run, in order."""
        try:
            with self._path(run_id).open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    note = _read(line)
                    if note is not None:
                        yield note
        except FileNotFoundError:
            return
        except OSError as error:
            pass_on(error)
            warn_once("recall", "The notes on a run's earlier parts cannot be read: %s", error.strerror)

    def keep(self, run_id: str, note: Note) -> None:
        """Append a note. It survives this process, but not a crash of the machine: nothing is synced."""
        # The newline comes first: the line after a torn one is whole.
        try:
            self._append(run_id, b"\n" + _written(note))
        except OSError as error:
            pass_on(error)
            warn_once("memory", "What is needed to resume a run cannot be kept in %s: %s", self._folder, error.strerror)

    def forget(self, days: float) -> None:
        """Remove what was kept on runs that have added nothing for this many days."""
        try:
            for path in self._folder.glob("*.jsonl"):
                if path.stat().st_mtime < time.time() - days * DAY:
                    path.unlink(missing_ok=True)
        except OSError as error:
            pass_on(error)
            log.debug("%s cannot be cleaned", self._folder, exc_info=True)

    def drop(self, run_id: str) -> None:
        """Remove what was kept on a deleted run: a new run with the same id must not resume it.

        :raises OSError: it cannot be removed.
        """
        self._path(run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(run_id.encode()).hexdigest()[:32]}.jsonl"

    def _append(self, run_id: str, line: bytes) -> None:
        file = self._files.get(run_id)
        if file is None or not os.fstat(file.number).st_nlink:
            # The first note, or the folder was removed meanwhile.
            file = self._open(run_id)
        os.write(file.number, line)

    def _open(self, run_id: str) -> _File:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Each line is a single append: threads, and children that inherit the file by fork, may write at the same time.
        file = _File(os.open(self._path(run_id), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
        keep(self._files, run_id, file, OPEN_FILES)
        return file


def _written(note: Note) -> bytes:
    try:
        line = _encode(note)
        if b"null" not in line:
            return line
    except (ValueError, OverflowError):
        pass
    # Perhaps NaN or infinity, or an integer of more than 64 bits.
    return json.dumps(note).encode()


def _read(line: str) -> dict[str, Any] | None:
    try:
        note = json.loads(line)
    except ValueError:
        return None
    return note if isinstance(note, dict) else None
