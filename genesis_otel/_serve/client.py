"""The client side of a store process: finding it, starting it, and connecting to it.

In: the folder of an embedded store (:mod:`genesis_otel._serve.folder`). Out: a running store process, or a client of the store. On failure:
`StoreError`, whose text says what to do. Searches import this module and never load the engine.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from genesis_otel._log import due, waiting
from genesis_otel._serve.folder import (
    ENGINE,
    LOCK,
    LOG,
    SPOOL,
    START,
    VERSION,
    Address,
    error_of,
    held,
    prepare,
    running,
    upgrade_marked,
    upgraded_meanwhile,
    upgrades,
    version_of_package,
)
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.status import waiting_in

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

__all__ = ["ensure_store_process", "open_store", "running", "start_soon", "stop"]

UPGRADED = "ready, and has upgraded the store"
"""What a store process reports instead of ``ready``."""
OPEN_TIMEOUT = 15.0
"""Seconds that a running store process has for its first answer."""
START_TIMEOUT = 60.0
"""Seconds that a new store process has to become ready: loading the engine takes one or two, on a busy machine many more."""


def ensure_store_process(
    folder: Path, timeout: float | None = None, *, meanwhile: Callable[[], object] | None = None
) -> None:
    """Start a store process that outlives this one, unless one is running. Many processes may call this at once; only one is started.

    An idle store process of an earlier version is stopped and replaced, because it does not know new columns.

    :param timeout: in seconds; by default :data:`START_TIMEOUT`, and as long as the upgrade of a store of an earlier version takes.
    :param meanwhile: called while the new process gets ready.
    :raises StoreError: it cannot start (the text says why), or is not ready in time.
    """
    if running(folder) and not _is_outdated(folder):
        return
    prepare(folder)
    waits = START_TIMEOUT if timeout is None else timeout
    over = _bound(folder, waits, upgrade=timeout is None)
    starting = ProcessLock(folder / START)
    while not starting.take(0.1):
        if over():
            raise upgraded_meanwhile(folder) or error_of(
                f"Another process has been starting the store process of {folder} for {waits:.0f} s; see {folder / LOG}."
            )
    try:
        address = running(folder)
        if address and _is_outdated(folder):
            with contextlib.suppress(ProcessLookupError):  # idle, it may have just exited
                os.kill(address.pid, signal.SIGTERM)  # it exits after its current batch
            while running(folder) == address and not over():
                time.sleep(0.05)
        while not running(folder):
            holder = ProcessLock.holder(folder / LOCK)
            if not holder:
                _start(folder, waits, over, meanwhile)
            elif over():
                raise held(folder)
            else:  # just started by hand, exiting, or upgrading the store
                time.sleep(0.1)
    finally:
        starting.release()


def _bound(folder: Path, seconds: float, *, upgrade: bool) -> Callable[[], bool]:
    """Whether so many seconds are over, asked again and again; with ``upgrade``, not counting those in which the store is upgraded."""
    deadline = time.monotonic() + seconds

    def over() -> bool:
        nonlocal deadline
        if time.monotonic() <= deadline:
            return False
        if not upgrade or upgrades(folder) is None:
            return True
        if due(("upgrade", folder)):
            log.warning(
                "the store in %s is being upgraded to this version, with every row kept; %s says how far it is",
                folder,
                folder / LOG,
            )
        deadline = time.monotonic() + START_TIMEOUT
        return False

    return over


_soon: dict[Path, threading.Thread] = {}
"""What :func:`start_soon` has begun, by folder."""


def start_soon(folder: Path) -> None:
    """Begin to start a store process, and return at once: :func:`open_store` waits for it, and reports what went wrong."""

    def start() -> None:
        with contextlib.suppress(Exception):  # whoever opens the store tries again
            ensure_store_process(folder)

    _soon[folder] = threading.Thread(target=start, name="genesis-otel-start", daemon=True)
    _soon[folder].start()


def stop(folder: Path, timeout: float) -> int | None:
    """Stop the store process of ``folder`` after its current batch; return its pid, or None if none is running.

    :raises StoreError: it has not exited within ``timeout`` seconds.
    """
    address = running(folder)
    if address is None:
        return None
    deadline = time.monotonic() + timeout
    with contextlib.suppress(ProcessLookupError):
        os.kill(address.pid, signal.SIGTERM)
    # Its address goes first: until it releases the lock, it has the engine's files open.
    while ProcessLock.holder(folder / LOCK) == address.pid:
        if time.monotonic() > deadline:
            raise error_of(f"Process {address.pid} still serves {folder} after {timeout:g} s; see {folder / LOG}.")
        time.sleep(0.05)
    return address.pid


def _is_outdated(folder: Path) -> bool:
    """Whether the store process of ``folder`` has an earlier version, is idle, and was started by a search."""
    address = running(folder)
    if address is None:
        return False
    try:
        pid, *told = json.loads((folder / VERSION).read_text())
    except (OSError, ValueError, TypeError):
        pid, told = 0, []
    silent = pid != address.pid
    if not silent and told >= version_of_package():
        return False
    spool = folder / SPOOL
    # 0.1.0, which does not report its version, reads only its own kind of queue: spans in the others wait until it exits. This
    # process's own queue is left to the replacement.
    sees = [
        name
        for name in layout.queues(spool)
        if f"-{os.getpid()}-" not in name and (name.startswith(layout.OLD_QUEUE) or not silent)
    ]
    at_work = any(layout.writer_lives(spool, name) or waiting_in(spool, name) for name in sees)
    return not at_work and _started_by_a_search(address.pid)


def _started_by_a_search(pid: int) -> bool:
    """Whether :func:`ensure_store_process` started this process; one that somebody started by hand is left alone."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        try:
            told = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        command = told.stdout
    return b"genesis_otel._serve" in command


def open_store(
    folder: Path,
    *,
    start: bool = False,
    timeout: float = OPEN_TIMEOUT,
    say: bool = False,
    answer_timeout: float = 300.0,
) -> "Client":
    """A client of the store in ``folder``: over HTTP to its store process, or of the engine itself if none is running.

    While this process has the engine open, no store process can start, so close the client soon.

    :param start: start a store process if none is running: for long-lived readers, and for callers that must not load the engine.
    :param say: log what is being waited for if that takes long, and wait for as long as the upgrade of a store takes: for commands.
    :param answer_timeout: seconds allowed for each answer.
    :raises StoreError: another process holds the folder and does not answer within ``timeout`` seconds.
    """
    if start and running(folder) is None:
        with (
            waiting(log, f"the store process of {folder} to start", START_TIMEOUT) if say else contextlib.nullcontext()
        ):
            if begun := _soon.pop(folder, None):
                _load_driver()
                begun.join(START_TIMEOUT)
            ensure_store_process(folder, None if say else START_TIMEOUT, meanwhile=_load_driver)
    deadline = time.monotonic() + timeout
    while True:
        if start:
            ensure_store_process(folder, None if say else START_TIMEOUT)
        address = running(folder)
        if address:
            with contextlib.suppress(Unanswered):  # it has just exited, or does not answer
                return _open_there(address, max(1.0, deadline - time.monotonic()), answer_timeout, say)
        elif not start:
            prepare(folder)
            lock = ProcessLock(folder / LOCK)
            if lock.take(0.0):
                return _open_here(folder, lock)
        if time.monotonic() > deadline:
            raise held(folder)
        time.sleep(0.1)


def _load_driver() -> None:
    """Import the client, which takes 0.12 s, while the other process loads the engine."""
    import clickhouse_connect  # noqa: F401

    from genesis_otel._store import wire  # noqa: F401


class Unanswered(Exception):  # noqa: N818
    """A store process did not answer."""


def _open_there(address: Address, timeout: float, answer_timeout: float, say: bool) -> "Client":
    from typing import cast

    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import OperationalError
    from clickhouse_connect.driver.httpclient import HttpClient
    from urllib3 import Timeout

    from genesis_otel._serve.http.login import USER
    from genesis_otel._store.wire import wire

    try:
        client = clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=USER,
            password=address.secret,
            database="default",
            compress=False,  # on loopback, compression costs more than it saves
            autogenerate_session_id=False,
            connect_timeout=timeout,
            send_receive_timeout=timeout,
            # Bypass HTTP_PROXY: the secret must not leave this machine.
            pool_mgr=wire(f"http://{address.host}:{address.port}", say=answer_timeout if say else None, proxied=False),
        )
    except OperationalError as error:
        raise Unanswered from error
    cast(HttpClient, client).timeout = Timeout(connect=timeout, read=answer_timeout)
    return client


def _engine_with_tables(folder: Path) -> "Client":
    from genesis_otel._serve import room
    from genesis_otel._store.connection import open_embedded
    from genesis_otel._store.schema import init_schema
    from genesis_otel._store.version import is_current

    why = room.lacking(folder)
    if why and not (folder / ENGINE).is_dir():
        raise error_of(why)
    is_there = (folder / ENGINE).is_dir()
    client = open_embedded(folder / ENGINE)
    if not why:
        with upgrade_marked(folder) if is_there and not is_current(client) else contextlib.nullcontext():
            init_schema(client)
    elif not is_current(client):
        client.close()
        raise error_of(why)
    return client


def _open_here(folder: Path, lock: ProcessLock) -> "Client":
    try:
        client = _engine_with_tables(folder)
    except BaseException:
        lock.release()
        raise
    close = client.close

    def close_and_release() -> None:
        close()
        lock.release()

    client.close = close_and_release  # type: ignore[method-assign]
    return client


DETACHED = ("/bin/sh", "-c", '"$@" &', "sh")
"""Runs the command that follows in the background."""


def _start(folder: Path, seconds: float, over: Callable[[], bool], meanwhile: Callable[[], object] | None) -> None:
    """Start a detached store process, and wait for its report."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as report:
        try:
            output = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                # Through the shell, which exits at once: the process belongs to nobody, and what it loads is not charged to the search.
                subprocess.run(
                    [*DETACHED, sys.executable, "-m", "genesis_otel._serve", str(folder.resolve()), str(writing)],
                    pass_fds=[writing],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=_environment(),
                    timeout=max(1.0, seconds),
                    check=False,
                )
            finally:
                os.close(output)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise error_of(f"The store process of {folder} cannot be started: {error}") from error
        finally:
            os.close(writing)
        if meanwhile is not None:
            meanwhile()
        said = _said(report.fileno(), over)
    if said is None:
        raise upgraded_meanwhile(folder) or error_of(
            f"The store process of {folder} was not ready in time; see {folder / LOG}."
        )
    if said == UPGRADED:
        log.warning("the store in %s has been upgraded to this version; %s says what changed", folder, folder / LOG)
    elif said != "ready":
        raise error_of(said or f"The store process of {folder} exited before it was ready; see {folder / LOG}.")


def _said(file: int, over: Callable[[], bool]) -> str | None:
    """The line that the new process reports; empty if it exits without one, None if it takes too long.

    A line rather than end of file: a process that this one forks meanwhile inherits the pipe and keeps it open.
    """
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while not over():
            if not selector.select(0.1):
                continue
            piece = os.read(file, 4096)
            said += piece
            if not piece or said.endswith(b"\n"):
                return said.decode(errors="replace").strip()
    return None


def _environment() -> dict[str, str]:
    """The environment without variables that would make the store process trace itself; the package stays importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OTEL_") and name not in ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
    }
    root = str(Path(__file__).resolve().parents[2])
    return {
        **kept,
        "OTEL_SDK_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), root))),
    }
