"""The store process: owns the folder of an embedded store, drains its spool, and answers readers.

In: the folder, whose files :mod:`genesis_otel._serve.folder` describes. Out: the spans of every queue in the engine's tables, and
ClickHouse's HTTP interface, by default on loopback. The process exits when it has been idle, on SIGTERM and on SIGINT, after its current
batch. On failure: StoreError, whose text says what to do. If the process is killed, nothing is lost: spans wait in the spool, and the next
process continues with the same batches.
"""

import contextlib
import json
import logging
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from genesis_otel._serve import room
from genesis_otel._serve.bell import Bell, hung
from genesis_otel._serve.folder import (
    ADDRESS,
    CALLS_ONCE,
    ENGINE,
    EVERYWHERE,
    HOST,
    LOCK,
    LOG,
    LOOPBACK,
    SPOOL,
    UPGRADE,
    VERSION,
    Address,
    error_of,
    held,
    prepare,
    running,
    upgrade_marked,
    version_of_package,
)
from genesis_otel._serve.looks import FRESH, Looks
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.status import status as spool_status

if TYPE_CHECKING:
    from genesis_otel._serve.http.front import Front
    from genesis_otel._ship.delivery.insert import InsertExporter


log = logging.getLogger(__name__)
IDLE_TIMEOUT = 60.0
"""Seconds after which a process that nobody needs exits."""
SHORTEST = 12
"""Minimum length of a password that is given."""
HANDOVER = 3.0
"""Seconds that a new owner of a folder waits for the previous one to release it; longer than another process's check of the lock."""
PAUSE = 0.5
"""Seconds between two looks at a spool that was empty, unless the bell is rung."""
IDLE_SHARE = 39.0
"""Seconds of pause for each second of CPU that a round took, so that inserts take a fortieth of a core."""
STEADY_PAUSE = 10.0
"""The longest pause in seconds while nothing fails. A reader ends it: see :mod:`genesis_otel._serve.looks`."""
LONGEST_PAUSE = 10.0
"""The longest pause in seconds between two attempts while the engine accepts nothing."""
LOG_BYTES = 1 << 20
"""Size at which ``store.log`` is renamed to ``store.log.1`` and a new one is started."""


def serve(
    folder: Path,
    *,
    idle_timeout: float | None = IDLE_TIMEOUT,
    host: str = HOST,
    port: int = 0,
    password: str | None = None,
    reader_password: str | None = None,
    ready: Callable[[Address], None] | None = None,
) -> None:
    """Run the store process of ``folder`` in the foreground, until it has been idle for ``idle_timeout`` s (None: forever) or is stopped.

    Changes the process's working directory and its folder for temporary files: the engine treats files in the working directory
    as tables (and a ``config.xml`` there as its configuration), and receives batches as files.

    :param host: the address to listen on; anything but loopback requires both passwords.
    :param password: of the user who owns the store; by default a new one.
    :param reader_password: of the user who can only read; by default a new one.
    :param ready: called with the address as soon as readers are answered.
    :raises StoreError: the folder cannot be used, another process holds it, or the host or a password is not acceptable.
    """
    check_listening(host, password, reader_password)
    prepare(folder)
    folder = folder.resolve()
    lock = ProcessLock(folder / LOCK)
    if not lock.take(HANDOVER):
        raise held(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        for left in (ADDRESS, UPGRADE):
            (folder / left).unlink(missing_ok=True)
        os.chdir(_emptied(folder / "cwd"))
        tempfile.tempdir = str(_emptied(folder / "tmp"))
        stop, bell = threading.Event(), stack.enter_context(hung(folder))
        stack.enter_context(_stopping_on_signals(stop, bell))
        if why := room.unlimited_files():
            log.error("%s", why)
        secret, reader = (told or secrets.token_urlsafe(32) for told in (password, reader_password))
        # If it listens on every address, clients on this machine use loopback.
        near = HOST if host in EVERYWHERE else host
        looks = Looks(bell.ring)
        address = Address(near, port, secret, os.getpid(), reader)
        # If the tables exist, readers are answered before this process can insert: preparing that takes as long as everything else.
        is_current, is_new = stack.enter_context(_opened(folder))
        if not is_current and (why := room.lacking(folder)):
            raise error_of(why)
        if is_current:
            is_empty = not spool_status(folder / SPOOL).waiting
            if is_empty:
                with looks.one():  # finds nothing
                    pass
            front = stack.enter_context(_front(folder, host, address, looks, ready))
            # Loading what inserts takes 0.2 s of CPU: the first answers come first, unless a reader waits for a look, or the bell is rung.
            if is_empty and bell.wait(FRESH):
                bell.ring()
            exporter, merges = stack.enter_context(_exporter(folder, is_new=is_new))
        else:
            # Until readers are answered.
            with contextlib.nullcontext() if is_new else upgrade_marked(folder):
                exporter, merges = stack.enter_context(_exporter(folder, is_new=is_new))
                front = stack.enter_context(_front(folder, host, address, looks, ready))
        log.info("the store in %s is open", folder)
        why = _drain(folder, lock, exporter, merges, front, looks, stop, bell, idle_timeout)
        log.info("the store in %s is closed: %s", folder, why)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[tuple[bool, bool]]:
    """Whether the engine is open and has exactly this version's tables, and whether it has none. If it cannot be opened, :func:`_exporter`
    says why."""
    from genesis_otel._store import version

    with contextlib.ExitStack() as stack:
        told = b""
        if (folder / ENGINE).is_dir():
            with contextlib.suppress(ImportError, RuntimeError):
                from chdb.state.sqlitelike import Connection

                connection = stack.enter_context(contextlib.closing(Connection(str(folder / ENGINE))))
                answer = connection.query(version.TOLD_BY, "TSVRaw", params={"table": version.TABLE})
                told = answer.bytes() or b""
        # Tables of 0.1.0 have no comment: an empty line.
        yield told.decode().rstrip("\n") == version.COMMENT, not told


@contextlib.contextmanager
def _exporter(folder: Path, *, is_new: bool) -> "Iterator[tuple[InsertExporter, room.Merges]]":
    from genesis_otel._ship.delivery.insert import InsertExporter
    from genesis_otel._store.connection import open_embedded
    from genesis_otel._store.schema import init_schema

    client = open_embedded(folder / ENGINE)
    exporter = InsertExporter(lambda: open_embedded(folder / ENGINE))
    try:
        done = init_schema(client)
        for line in () if is_new else done:
            log.info("%s", line)
        yield exporter, room.Merges(client.command)
    finally:
        exporter.shutdown()
        client.close()


def check_listening(host: str, *passwords: str | None) -> None:
    """Check that only those with a password can be let in.

    :raises StoreError: a password is too short, or one is missing although other machines can connect.
    """
    if any(told is not None and len(told) < SHORTEST for told in passwords):
        raise error_of(f"A password of the store needs at least {SHORTEST} characters: openssl rand -hex 24")
    if host not in LOOPBACK and None in passwords:
        raise error_of(
            f"To answer on {host}, where other machines can connect, both passwords are required: "
            "GENESIS_OTEL_SERVE_PASSWORD and GENESIS_OTEL_SERVE_READER_PASSWORD"
        )


@contextlib.contextmanager
def _front(
    folder: Path, host: str, address: Address, looks: Looks, ready: Callable[[Address], None] | None
) -> "Iterator[Front]":
    """Answer readers in threads; meanwhile ``serve.json`` has the address."""
    from genesis_otel._serve.http.front import Front
    from genesis_otel._serve.http.login import READER, USER
    from genesis_otel._serve.http.server import Server

    front = Front(folder / ENGINE, {USER: address.secret, READER: address.reader}, looks.wait)
    try:
        server = Server(front, front.user_of, host=host, port=address.port)
    except (OSError, ValueError) as error:
        front.close()
        what = f"{host} port {address.port}"
        said = error.strerror if isinstance(error, OSError) else error
        raise error_of(f"{what} is not available: {said}; choose another port, or none for any free one") from error
    threading.Thread(target=server.run, name="genesis-otel-http", daemon=True).start()
    address = address._replace(port=int(server.effective_port))
    try:
        _write_private(folder / VERSION, json.dumps([address.pid, *version_of_package()]))
        _write_private(folder / ADDRESS, json.dumps(address._asdict()))
        if ready:
            ready(address)
        yield front
    finally:
        if running(folder) == address:
            (folder / ADDRESS).unlink(missing_ok=True)
        server.shutdown()
        front.close()


def _drain(
    folder: Path,
    lock: ProcessLock,
    exporter: "InsertExporter",
    merges: room.Merges,
    front: "Front",
    looks: Looks,
    stop: threading.Event,
    bell: Bell,
    idle_timeout: float | None,
) -> str:
    """Deliver what is in the queues, round after round, and return the reason for ending."""
    from genesis_otel._serve.calls_once import CallsOnce
    from genesis_otel._serve.deleted_runs import EVERY, DeletedRuns
    from genesis_otel._ship.delivery.contract import STATE_INTERVAL, Limits
    from genesis_otel._ship.delivery.drain import Drain, Waiting

    once = CallsOnce(folder / ENGINE, folder / CALLS_ONCE)
    late = DeletedRuns(folder / ENGINE)
    draining = Drain(folder / SPOOL, exporter, Limits(together=True, state_interval=STATE_INTERVAL))
    waiting = Waiting(log, folder / SPOOL)
    busy = time.monotonic()
    pause, took = first_pause(time.process_time(), idle_timeout), 0.0
    try:
        # Many short processes that wait for their spans get half of this one's time, and no more.
        while not stop.wait(min(took, pause)):
            bell.wait(max(0.0, pause - took))
            if stop.is_set():
                break
            # If the folder was replaced, this process would write into removed files what is now spooled at the same path.
            if not lock.valid():
                return "its folder was removed"
            try:
                merges.need_room(folder)
                began, begun = time.monotonic(), time.process_time()
                with looks.one():
                    delivered = draining.round(stop=lambda: stop.is_set() or bool(room.lacking(folder)))
                waiting.ends()
                took = time.monotonic() - began
                pause = pause_after(delivered, time.process_time() - begun, rings=not waits_silently(folder / SPOOL))
            except Exception as error:
                # The engine is in this process: it fails for lack of disk or memory, and both may become free again.
                delivered, pause = 0, min(pause * 2, LONGEST_PAUSE)
                waiting.begins(error)
            if merges.have_room(folder):
                once.look()
                # Collectors insert through the front: any request since the last look may have been an insert.
                late.look(came=bool(delivered) or front.idle_for() < 2 * EVERY)
            status = None if delivered else spool_status(folder / SPOOL)
            now = time.monotonic()
            if status is None or status.waiting or status.writers:
                busy = now
            elif idle_timeout is not None and min(now - busy, front.idle_for()) >= idle_timeout:
                return "idle"
            _bound_log(folder / LOG)
        return "it was stopped"
    finally:
        if merges.have_room(folder):
            once.look(last=True)
            late.look(came=False, last=True)
        late.close()
        draining.close()


def pause_after(delivered: int, cpu: float, *, rings: bool = True) -> float:
    """Seconds until the next look at the spool, in proportion to what the last one cost if it found spans.

    :param delivered: spans that the look found.
    :param cpu: seconds of CPU that it took.
    :param rings: whether every search rings the bell when it waits for its spans.
    """
    return min(max(PAUSE, cpu * IDLE_SHARE), STEADY_PAUSE) if delivered and rings else PAUSE


def waits_silently(spool: Path) -> bool:
    """Whether a search of 0.1.0 writes to the spool: at its end it waits for its spans, knows no bell, and says that they wait."""
    return any(layout.is_old(name) and layout.writer_lives(spool, name) for name in layout.queues(spool))


def first_pause(cpu: float, idle_timeout: float | None) -> float:
    """Seconds until the first look at the spool, unless somebody reads: a search's first spans are inserted with those that follow.

    :param cpu: seconds of CPU that the start took; it counts like a round.
    """
    pause = pause_after(1, cpu)
    return pause if idle_timeout is None else min(pause, idle_timeout)


@contextlib.contextmanager
def _stopping_on_signals(stop: threading.Event, bell: Bell) -> "Iterator[None]":
    def told(number: int, frame: FrameType | None) -> None:
        stop.set()
        bell.ring()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _emptied(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        with contextlib.suppress(OSError):
            left.unlink()
    return folder


def _write_private(path: Path, text: str) -> None:
    """Write the file completely or not at all, readable only by the user."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _bound_log(path: Path) -> None:
    """Start a new log when it has grown too large, if this process writes to it."""
    with contextlib.suppress(OSError):
        written, named = os.fstat(2), path.stat()
        if written.st_ino == named.st_ino and written.st_dev == named.st_dev and written.st_size > LOG_BYTES:
            path.replace(path.with_name(f"{LOG}.1"))
            fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(fresh, 1)
            os.dup2(fresh, 2)
            os.close(fresh)
