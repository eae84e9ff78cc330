"""The store process: owns the folder of an embedded store, drains its spools, answers readers on loopback.

In: a folder, which holds ``clickhouse/`` (the engine's), ``spool/`` (queues that searches write), ``serve.json`` (where the
process answers and with which secret; for the user alone), ``serve.lock`` (held while somebody has the engine open) and
``store.log``. Out: the spans of every queue in the engine's tables, and ClickHouse's HTTP interface on loopback. It ends
by itself when it has been idle, on SIGTERM and on SIGINT, after the batch in hand.

On failure: `StoreError`, whose text says what to do. If the process is killed nothing is lost: spans wait in the spool,
and the next one goes on with the same batches. Searches import this module and never the engine.
"""

import contextlib
import json
import logging
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from genesis_otel._lock import ProcessLock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel._http import Front
    from genesis_otel.exporter import ClickHouseSpanExporter

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is looked for, not what is taken
SHORTEST = 12
"""Characters of a password that is told."""
ENGINE, SPOOL, ADDRESS, LOCK, START, LOG = "clickhouse", "spool", "serve.json", "serve.lock", "start.lock", "store.log"
IDLE_TIMEOUT = 60.0
START_TIMEOUT = 60.0
"""Seconds for a store process to answer: loading the engine takes one or two, on a busy machine many more."""
HANDOVER = 3.0
"""Seconds that a new owner of a folder waits for the last one to let go; also outlasts another process's look at the lock."""
PAUSE = 0.5
"""Seconds between two looks at the spool: what a reader of a running search sees is about so old."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries while the engine takes nothing."""
LOG_BYTES = 1 << 20
"""Size at which ``store.log`` becomes ``store.log.1`` and is begun anew."""


@dataclass(frozen=True)
class Address:
    """Where a store process answers."""

    host: str
    port: int
    secret: str = field(repr=False)
    pid: int
    reader: str = field(default="", repr=False)
    """The password of the user who can only read."""


def running(folder: Path) -> Address | None:
    """Where the store process of ``folder`` answers, or None when none is alive and ready."""
    try:
        holder = ProcessLock.holder(folder / LOCK)
        address = Address(**json.loads((folder / ADDRESS).read_text())) if holder else None
    except (OSError, ValueError, TypeError):
        return None
    return address if address and address.pid == holder else None


def ensure_store_process(folder: Path, timeout: float = START_TIMEOUT) -> None:
    """Start a store process that outlives this one, unless one runs. Many processes may call this at once: one starts.

    :raises StoreError: it cannot start, and why; or it is not ready within ``timeout`` seconds.
    """
    if running(folder):
        return
    prepare(folder)
    deadline = time.monotonic() + timeout
    starting = ProcessLock(folder / START)
    if not starting.take(timeout):
        raise _error(f"The store process of {folder} is being started for {timeout:.0f} s already; see {folder / LOG}.")
    try:
        while not running(folder):
            holder = ProcessLock.holder(folder / LOCK)
            if not holder:
                _start(folder, deadline)
            elif time.monotonic() > deadline:
                raise _held(folder)
            else:  # just beginning by hand, or ending
                time.sleep(0.1)
    finally:
        starting.release()


def open_store(
    folder: Path, *, start: bool = False, timeout: float = 15.0, settings: dict[str, Any] | None = None
) -> "Client":
    """A client of the store in ``folder``: over HTTP to its store process, or the engine itself when none runs.

    While this process has the engine open, no store process can start; so close the client soon.

    :param start: start a store process when none runs: for readers that stay, and for those who must not load the engine.
    :raises StoreError: another process holds the folder and does not answer within ``timeout`` seconds.
    """
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import OperationalError
    from clickhouse_connect.driver.httputil import get_pool_manager

    from genesis_otel._http import USER

    deadline = time.monotonic() + timeout
    while True:
        if start:
            ensure_store_process(folder)
        address = running(folder)
        if address:
            try:
                return clickhouse_connect.get_client(
                    host=address.host,
                    port=address.port,
                    username=USER,
                    password=address.secret,
                    database="default",
                    settings=settings,
                    compress=False,  # on loopback it costs more than it saves
                    autogenerate_session_id=False,
                    pool_mgr=get_pool_manager(),  # one of its own: the default one takes the environment's HTTP_PROXY
                )
            except OperationalError:  # it ended between two lines
                if time.monotonic() > deadline:
                    raise
        elif not start:
            prepare(folder)
            lock = ProcessLock(folder / LOCK)
            if lock.take(0.0):
                return _open_here(folder, lock, settings)
        if time.monotonic() > deadline:
            raise _held(folder)
        time.sleep(0.1)


def _open_here(folder: Path, lock: ProcessLock, settings: dict[str, Any] | None) -> "Client":
    from genesis_otel._clickhouse import open_embedded
    from genesis_otel._schema import init_schema

    try:
        client = open_embedded(folder / ENGINE, settings=settings)
        init_schema(client)
    except BaseException:
        lock.release()
        raise
    close = client.close

    def close_and_release() -> None:
        close()
        lock.release()

    client.close = close_and_release  # type: ignore[method-assign]
    return client


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
    """Be the store process of ``folder``, in the foreground, until idle for ``idle_timeout`` s (None: never) or told to end.

    Changes the process's working directory and its folder for temporary files: the engine sees the working directory's
    files as tables (and a ``config.xml`` there as its own), and takes batches as files.

    :param host: the address to listen on; beyond loopback only with both passwords told.
    :param password: of the user who owns the store; None makes a new one.
    :param reader_password: of the user who can only read; None makes a new one.
    :param ready: called with the address as soon as readers are answered.
    :raises StoreError: the folder cannot be used, another process holds it, or host or passwords will not do.
    """
    check_listening(host, password, reader_password)
    prepare(folder)
    folder = folder.resolve()
    lock = ProcessLock(folder / LOCK)
    if not lock.take(HANDOVER):
        raise _held(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        (folder / ADDRESS).unlink(missing_ok=True)
        os.chdir(_emptied(folder / "cwd"))
        tempfile.tempdir = str(_emptied(folder / "tmp"))
        stop = threading.Event()
        stack.enter_context(_stopping_on_signals(stop))
        exporter = stack.enter_context(_exporter(folder))
        secret, reader = (told or secrets.token_urlsafe(32) for told in (password, reader_password))
        # Where it listens on every address, clients of this machine find it on loopback.
        near = HOST if host in EVERYWHERE else host
        front = stack.enter_context(_front(folder, host, Address(near, port, secret, os.getpid(), reader), ready))
        log.info("the store in %s is open", folder)
        why = _drain(folder, lock, exporter, front, stop, idle_timeout)
        log.info("the store in %s is closed: %s", folder, why)


@contextlib.contextmanager
def _exporter(folder: Path) -> "Iterator[ClickHouseSpanExporter]":
    from genesis_otel._clickhouse import open_embedded
    from genesis_otel._schema import init_schema
    from genesis_otel.exporter import ClickHouseSpanExporter

    client = open_embedded(folder / ENGINE)
    exporter = ClickHouseSpanExporter(lambda: open_embedded(folder / ENGINE))
    try:
        init_schema(client)
        yield exporter
    finally:
        exporter.shutdown()
        client.close()


def check_listening(host: str, *passwords: str | None) -> None:
    """See that nobody is let in who should not be.

    :raises StoreError: a password is too short, or one is missing where others than this machine can ask.
    """
    if any(told is not None and len(told) < SHORTEST for told in passwords):
        raise _error(f"A password of the store has at least {SHORTEST} characters: openssl rand -base64 24")
    if host not in LOOPBACK and None in passwords:
        raise _error(
            f"To answer on {host}, where other machines can ask, both passwords have to be told: "
            "GENESIS_OTEL_SERVE_PASSWORD and GENESIS_OTEL_SERVE_READER_PASSWORD"
        )


@contextlib.contextmanager
def _front(folder: Path, host: str, address: Address, ready: Callable[[Address], None] | None) -> "Iterator[Front]":
    """Answer readers in threads; ``serve.json`` says where for as long as that is so."""
    import waitress  # type: ignore[import-untyped]

    from genesis_otel._http import BODY_BYTES, READER, THREADS, USER, Front

    front = Front(folder / ENGINE, {USER: address.secret, READER: address.reader})
    try:
        server = waitress.create_server(
            front, host=host, port=address.port, threads=THREADS, max_request_body_size=BODY_BYTES, ident=None
        )
    except (OSError, ValueError) as error:
        front.close()
        what = f"{host} port {address.port}"
        said = error.strerror if isinstance(error, OSError) else error
        raise _error(f"{what} cannot be had: {said}; choose another port, or none for any free one") from error
    threading.Thread(target=server.run, name="genesis-otel-http", daemon=True).start()
    address = replace(address, port=int(server.effective_port))
    try:
        _write_private(folder / ADDRESS, json.dumps(asdict(address)))
        if ready:
            ready(address)
        yield front
    finally:
        if running(folder) == address:
            (folder / ADDRESS).unlink(missing_ok=True)
        server.close()
        server.task_dispatcher.shutdown(timeout=5)
        front.close()


def _drain(
    folder: Path,
    lock: ProcessLock,
    exporter: "ClickHouseSpanExporter",
    front: "Front",
    stop: threading.Event,
    idle_timeout: float | None,
) -> str:
    """Hand over what the queues hold, again and again, until there is a reason to end, which it gives."""
    from genesis_otel._drain import STATE_INTERVAL, Drain, Limits
    from genesis_otel.processor import spool_status

    draining = Drain(folder / SPOOL, exporter, Limits(state_interval=STATE_INTERVAL))
    busy, pause, said = time.monotonic(), PAUSE, ""
    try:
        while not stop.wait(pause):
            # Else this process would put into removed files what is spooled at the same path now.
            if not lock.valid():
                return "its folder was removed"
            try:
                delivered = draining.round(stop=stop.is_set)
                pause, said = PAUSE, ""
            except Exception as error:
                # The engine is in this process: what fails is the disk or the memory, and both may come back.
                delivered, pause = 0, min(pause * 2, LONGEST_PAUSE)
                if str(error) != said:
                    said = str(error)
                    log.warning("spans wait in the spool: %s", said)
            status = None if delivered else spool_status(folder / SPOOL)
            now = time.monotonic()
            if status is None or status.waiting or status.writers:
                busy = now
            elif idle_timeout is not None and min(now - busy, front.idle_for()) >= idle_timeout:
                return "idle"
            _bound_log(folder / LOG)
        return "told to end"
    finally:
        draining.close()


@contextlib.contextmanager
def _stopping_on_signals(stop: threading.Event) -> "Iterator[None]":
    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(folder: Path) -> None:
    """Make the folder, for the user alone, and see that it can be written.

    :raises StoreError: it cannot, and what to do.
    """
    try:
        for each in (folder, folder / SPOOL):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError as error:
        raise _error(f"{error.filename} is a file, and the store needs a folder there: {_ELSEWHERE}") from error
    except NotADirectoryError as error:
        raise _error(f"A part of the path {folder} is a file: {_ELSEWHERE}") from error
    except OSError as error:
        raise _error(
            f"The store cannot be kept in {folder} ({error.strerror}): make it writable, or {_ELSEWHERE}"
        ) from error


_ELSEWHERE = "name another with GENESIS_OTEL_DATA_DIR or CLICKHOUSE_URL=chdb:///folder"


def _start(folder: Path, deadline: float) -> None:
    """Start a store process that is nobody's child, and wait for its word."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as report:
        try:
            output = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                subprocess.run(
                    [sys.executable, "-m", "genesis_otel._serve", str(folder.resolve()), str(writing)],
                    pass_fds=[writing],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=_environment(),
                    timeout=max(1.0, deadline - time.monotonic()),
                    check=False,
                )
            finally:
                os.close(output)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _error(f"The store process of {folder} cannot be started: {error}") from error
        finally:
            os.close(writing)
        said = _said(report.fileno(), deadline)
    if said is None:
        raise _error(f"The store process of {folder} is not ready in time; see {folder / LOG}.")
    if said != "ready":
        raise _error(said or f"The store process of {folder} ended before it was ready; see {folder / LOG}.")


def _said(file: int, deadline: float) -> str | None:
    """The line that the new process reports, empty when it just ends; None when it takes too long.

    A line, because a process that this one forks meanwhile has the pipe too, and keeps its end from being seen.
    """
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(file, 4096)
            said += piece
            if not piece or said.endswith(b"\n"):
                return said.decode(errors="replace").strip()
    return None


def _environment() -> dict[str, str]:
    """The environment without what would make the store process trace itself; the package stays importable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OTEL_") and name not in ("TRACEPARENT", "TRACESTATE", "BAGGAGE")
    }
    root = str(Path(__file__).resolve().parents[1])
    return {
        **kept,
        "OTEL_SDK_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join(filter(None, (kept.get("PYTHONPATH"), root))),
    }


def _held(folder: Path) -> Exception:
    holder = ProcessLock.holder(folder / LOCK)
    return _error(
        f"The store in {folder} is held by process {holder}, which does not answer: wait for it or end it (kill {holder})."
        if holder
        else f"The store in {folder} was held by another process until now: try again."
    )


def _error(text: str) -> Exception:
    from genesis_otel._clickhouse import StoreError

    return StoreError(text)


def _emptied(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        with contextlib.suppress(OSError):
            left.unlink()
    return folder


def _write_private(path: Path, text: str) -> None:
    """Write the file whole, or not at all, readable by the user alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _bound_log(path: Path) -> None:
    """Begin the log anew when it has grown too large, if it is where this process writes."""
    with contextlib.suppress(OSError):
        written, named = os.fstat(2), path.stat()
        if written.st_ino == named.st_ino and written.st_dev == named.st_dev and written.st_size > LOG_BYTES:
            path.replace(path.with_name(f"{LOG}.1"))
            fresh = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(fresh, 1)
            os.dup2(fresh, 2)
            os.close(fresh)


def main(folder: str, report: str) -> None:
    """Be a store process of nobody: ``report`` is the descriptor on which whoever started it waits for a word."""
    if os.fork():
        os._exit(0)
    word = os.fdopen(int(report), "w")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")

    def say(text: str) -> None:
        if not word.closed:
            with contextlib.suppress(OSError):
                word.write(f"{' '.join(text.split())}\n")
                word.close()

    from genesis_otel._clickhouse import StoreError

    try:
        serve(Path(folder), ready=lambda address: say("ready"))
    except StoreError as error:
        log.error("%s", error)
        say(str(error))
        sys.exit(1)
    except BaseException:
        log.exception("the store process failed")
        say("")
        sys.exit(1)


if __name__ == "__main__":
    from genesis_otel import _serve  # under its own name, which its log lines carry

    _serve.main(*sys.argv[1:])
