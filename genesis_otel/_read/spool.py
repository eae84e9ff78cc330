"""Inspects the spool of a destination, and delivers what waits in it.

In: settings, which determine a destination and so its spool. Out: the spool's status, its dead letters, the number of spans delivered.
On failure: StoreError, which says what to do; nothing is removed from a spool before it has been delivered.
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
from genesis_otel._serve import folder as store_folder
from genesis_otel._settings import Disabled, Embedded, Settings
from genesis_otel._ship.delivery.contract import Outage
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.delivery.requeue import dead_letters, requeue
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.status import status as spool_status
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
    """A span that the destination refused because of its content."""

    file: str
    reason: str
    span: str
    run_id: str
    bytes: int


class Drained(NamedTuple):
    """How many spans were delivered, and how many still wait."""

    delivered: int
    waiting: int


def spool(settings: Settings) -> Spool:
    """The spool of the destination in the settings.

    :raises StoreError: recording is off, so there is no spool.
    """
    destination, folder = _where(settings)
    return Spool(str(destination), folder, *spool_status(folder))


def others(settings: Settings) -> list[Path]:
    """The non-empty spools of other destinations in the data folder; their spans are never delivered to this destination."""
    _, own = _where(settings)
    data = settings.data_dir.expanduser().absolute()
    folders = [data / "store" / store_folder.SPOOL, *sorted((data / "spool").glob("*"))]
    return [folder for folder in folders if folder != own and folder.is_dir() and spool_status(folder).waiting]


def letters(settings: Settings) -> Iterator[Letter]:
    """The dead letters, oldest first."""
    _, folder = _where(settings)
    for path, reason, span in dead_letters(folder):
        attributes: dict[str, Any] = dict(span.attributes or {}) if span is not None else {}
        name = span.name if span is not None else ""
        yield Letter(str(path), reason, name, str(attributes.get(names.RUN_ID, "")), layout.size(path))


def retry(settings: Settings) -> int:
    """Put the dead letters back into the spool; return how many there were."""
    destination, folder = _where(settings)
    return requeue(folder, _destinations.limits_of(settings, destination))


def deliver(settings: Settings, timeout: float) -> Drained:
    """Deliver what waits, now. The spans of a running search are left to that search.

    :raises StoreError: the destination accepts nothing (the text says why), or not everything within ``timeout`` seconds.
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

    # In a daemon thread, so that a hanging destination does not keep this process alive; its batch stays in the spool.
    thread = threading.Thread(target=work, name="genesis-otel-drain", daemon=True)
    with waiting(log, str(destination), timeout):
        thread.start()
        thread.join(timeout)
    (done,) = result or [StoreError(f"{destination} did not accept them within {timeout:.0f} s")]
    left = spool_status(folder).waiting
    if isinstance(done, (Outage, StoreError)):
        raise StoreError(f"{left:,} spans still wait in {folder}: {first_line(done)}") from done
    if isinstance(done, Exception):
        raise done
    return Drained(done, left)


def _by_store_process(store: Path, waiting: int, timeout: float) -> Drained:
    deadline = time.monotonic() + timeout
    while True:
        # Again, if it is stopped or killed meanwhile.
        store_process.ensure_store_process(store, max(deadline - time.monotonic(), 1.0))
        left = spool_status(store / store_folder.SPOOL)
        # A running search keeps writing, so the spool need not become empty before the timeout.
        if not left.waiting or (left.writers and time.monotonic() > deadline):
            return Drained(max(0, waiting - left.waiting), left.waiting)
        if time.monotonic() > deadline:
            raise StoreError(
                f"{left.waiting:,} spans still wait after {timeout:.0f} s; for the reason see {store / store_folder.LOG}"
            )
        time.sleep(0.1)


def _where(settings: Settings) -> tuple[_settings.Destination, Path]:
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise StoreError(f"recording is off, so there is no spool: {destination}")
    return destination, settings.spool_folder(destination)
