"""The folder of an embedded store: its files, which process holds it, and where that answers.

In: a folder. It holds ``clickhouse/`` (the engine's data), ``spool/`` (queues that searches write), ``serve.json`` (the process's address and
secrets; readable only by the user), ``serve.version`` (its version, in a separate file because 0.1.0 ignores a ``serve.json`` that has a key
it does not know), ``serve.upgrade`` (there while the process upgrades the store), ``bell`` (a pipe that makes the process read its spool
now), ``serve.lock`` (held while a process has the engine open) and ``store.log``. Out: what they say. On failure: `StoreError`, whose text
says what to do; a file that cannot be read counts as missing.
"""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._version import __version__

HOST = "127.0.0.1"
CALLS_ONCE = "calls-once"
"""The time, in milliseconds since 1970, up to which arriving calls have been checked for duplicates."""
VERSION = "serve.version"
UPGRADE = "serve.upgrade"
"""There while a process upgrades a store of an earlier version; a store process answers before it goes. It holds the process's id."""
LOOPBACK = (HOST, "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised, not used as a default
"""Addresses that mean all of a machine's addresses."""
ENGINE, SPOOL, ADDRESS, LOCK, START, LOG = "clickhouse", "spool", "serve.json", "serve.lock", "start.lock", "store.log"


class Address(NamedTuple):
    """The address of a store process, and its secrets."""

    host: str
    port: int
    secret: str
    pid: int
    reader: str = ""
    """The password of the read-only user."""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Address({self.host!r}, {self.port}, pid={self.pid})"


def running(folder: Path) -> Address | None:
    """The address of the store process of ``folder``, or None if none is alive and ready."""
    try:
        holder = ProcessLock.holder(folder / LOCK)
        told = json.loads((folder / ADDRESS).read_text()) if holder else {}
        # A later version may write more keys.
        known = {name: told[name] for name in Address._fields if name in told}
        address = Address(**known) if known else None
    except (OSError, ValueError, TypeError):
        return None
    return address if address and address.pid == holder else None


def upgrades(folder: Path) -> int | None:
    """The process that is upgrading the store of ``folder``, or None: until it has, nobody is answered."""
    try:
        holder = ProcessLock.holder(folder / LOCK)
        return holder if holder and int((folder / UPGRADE).read_text()) == holder else None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def upgrade_marked(folder: Path) -> Iterator[None]:
    """Let others know that this process, which holds the lock, upgrades the store."""
    mark = folder / UPGRADE
    mark.write_text(str(os.getpid()))
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def version_of_package() -> list[int]:
    """This package's schema and version, in the form of ``serve.version``."""
    from genesis_otel._store.tables import SCHEMA

    return [SCHEMA, *map(int, re.findall(r"\d+", __version__))]


def prepare(folder: Path) -> None:
    """Create the folder, private to the user, and check that it is writable.

    :raises StoreError: it is not, or the engine cannot use its name; the text says what to do.
    """
    # The engine looks for tables among the files of its working directory, which is below, and takes these for a pattern.
    if any(each in str(folder.resolve()) for each in "*?{"):
        raise error_of(
            f"The store cannot be kept in {folder}: chDB takes *, ? and {{ in a path for a pattern: {_ELSEWHERE}"
        )
    try:
        for each in (folder, folder / SPOOL):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Like a temporary file of ``tempfile``, which loads five modules more.
        written = folder / f"written-{uuid.uuid4().hex}"
        written.touch(mode=0o600, exist_ok=False)
        written.unlink()
    except FileExistsError as error:
        raise error_of(f"{error.filename} is a file, but the store needs a folder there: {_ELSEWHERE}") from error
    except NotADirectoryError as error:
        raise error_of(f"Part of the path {folder} is a file: {_ELSEWHERE}") from error
    except OSError as error:
        raise error_of(
            f"The store cannot be kept in {folder} ({error.strerror}): make it writable, or {_ELSEWHERE}"
        ) from error


_ELSEWHERE = "choose another folder with GENESIS_OTEL_DATA_DIR or CLICKHOUSE_URL=chdb:///folder"


def held(folder: Path) -> Exception:
    """What to raise if the folder is held by a process that does not answer."""
    holder = ProcessLock.holder(folder / LOCK)
    return upgraded_meanwhile(folder) or error_of(
        f"Process {holder} holds the store in {folder} but does not answer: wait for it, or end it (kill {holder})."
        if holder
        else f"Another process held the store in {folder} until just now: try again."
    )


def upgraded_meanwhile(folder: Path) -> Exception | None:
    """What to raise if the store is being upgraded; None if it is not."""
    if holder := upgrades(folder):
        return error_of(
            f"Process {holder} is upgrading the store in {folder} to this version, with every row kept: try again when it is done. "
            f"{folder / LOG} says how far it is."
        )
    return None


def error_of(text: str) -> Exception:
    """A `StoreError`, whose module is loaded only if there is one to raise."""
    from genesis_otel._store.errors import StoreError

    return StoreError(text)
