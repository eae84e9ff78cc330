"""What waits on its way to the store: looking at it, and helping it along.

In: settings, which name a destination and with it a spool. Out: its status, its dead letters, what was delivered. On failure:
StoreError, with what to do; nothing is taken off a spool that was not delivered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genesis_otel import _destinations, _settings
from genesis_otel import attributes as names
from genesis_otel._log import first_line, waiting
from genesis_otel._serve import client as store_process
from genesis_otel._settings import Disabled, Embedded, Settings
from genesis_otel._ship.contract import Outage
from genesis_otel._ship.delivery import drain
from genesis_otel._ship.requeue import dead_letters, requeue
from genesis_otel._ship.spool.queue import status as spool_status
from genesis_otel._store.errors import StoreError

log = logging.getLogger(__name__)


class Spool(NamedTuple):
    """The spool of a destination."""

    destination: str
    folder: Path
    queues: int
    writers: int
    waiting: int
    bytes: int
    dead: int
    dropped: int
    oldest_seconds: float


class Letter(NamedTuple):
    """A span that the destination refused for its content."""

    file: str
    reason: str
    span: str
    run_id: str
    bytes: int


class Drained(NamedTuple):
    """What became of what waited."""

    delivered: int
    waiting: int


def spool(settings: Settings) -> Spool:
    """The spool of the destination that the settings name.

    :raises StoreError: nothing is recorded, so there is none.
    """
    destination, folder = _where(settings)
    return Spool(str(destination), folder, *spool_status(folder))


def others(settings: Settings) -> list[Path]:
    """The spools of other destinations in the data folder in which something waits: it is never delivered to this one."""
    _, own = _where(settings)
    data = settings.data_dir.expanduser().absolute()
    folders = [data / "store" / store_process.SPOOL, *sorted((data / "spool").glob("*"))]
    return [folder for folder in folders if folder != own and folder.is_dir() and spool_status(folder).waiting]


def letters(settings: Settings) -> Iterator[Letter]:
    """The dead letters, oldest first."""
    _, folder = _where(settings)
    for path, reason, span in dead_letters(folder):
        attributes: dict[str, Any] = dict(span.attributes or {}) if span is not None else {}
        name = span.name if span is not None else ""
        yield Letter(str(path), reason, name, str(attributes.get(names.RUN_ID, "")), path.stat().st_size)


def retry(settings: Settings) -> int:
    """Put the dead letters into the spool once more, and count them."""
    destination, folder = _where(settings)
    return requeue(folder, _destinations.limits_of(settings, destination))


def deliver(settings: Settings, timeout: float) -> Drained:
    """Hand over what waits, now. What a living search holds is left to it.

    :raises StoreError: the destination takes nothing, and why; or not all of it within ``timeout`` seconds.
    """
    destination, folder = _where(settings)
    before = spool_status(folder)
    if not before.waiting:
        return Drained(0, 0)
    if isinstance(destination, Embedded):
        return _by_store_process(destination.folder, before.waiting, timeout)
    exporter = _destinations.exporter_of(destination)
    assert exporter is not None  # noqa: S101 - only the embedded store has none
    result: list[int | Exception] = []

    def work() -> None:
        try:
            result.append(drain(folder, exporter, _destinations.limits_of(settings, destination)))
            exporter.shutdown()
        except Exception as error:
            result.append(error)

    # In a thread that dies with this process: a destination that hangs is not waited for, and its batch is in the spool.
    thread = threading.Thread(target=work, name="genesis-otel-drain", daemon=True)
    with waiting(log, str(destination), timeout):
        thread.start()
        thread.join(timeout)
    (done,) = result or [StoreError(f"{destination} did not take them within {timeout:.0f} s")]
    left = spool_status(folder).waiting
    if isinstance(done, (Outage, StoreError)):
        raise StoreError(f"{left:,} spans still wait in {folder}: {first_line(done)}") from done
    if isinstance(done, Exception):
        raise done
    return Drained(done, left)


def _by_store_process(store: Path, waiting: int, timeout: float) -> Drained:
    store_process.ensure_store_process(store, max(timeout, 1.0))
    deadline = time.monotonic() + timeout
    while True:
        left = spool_status(store / store_process.SPOOL)
        # A search that goes on writes on: what waited at the beginning is gone when so much is not there any more.
        if not left.waiting or (left.writers and time.monotonic() > deadline):
            return Drained(max(0, waiting - left.waiting), left.waiting)
        if time.monotonic() > deadline:
            raise StoreError(
                f"{left.waiting:,} spans still wait after {timeout:.0f} s; for the reason see {store / store_process.LOG}"
            )
        time.sleep(0.1)


def _where(settings: Settings) -> tuple[_settings.Destination, Path]:
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise StoreError(f"nothing is recorded, so there is no spool: {destination}")
    return destination, settings.spool_folder(destination)
