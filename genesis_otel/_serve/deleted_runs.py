"""The store process removes what comes late of deleted runs: out of a spool, or from whoever inserts here.

In: the engine's folder. Out: within seconds of their coming, late rows are gone (:mod:`genesis_otel._store.deleted`). On failure: one log
line; the next look finds what this one has left.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from genesis_otel._log import first_line, warn_once
from genesis_otel._store.connection import open_embedded
from genesis_otel._store.deleted import sweep

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks; one takes some milliseconds where no run was deleted."""


class DeletedRuns:
    """Looks at whether rows of deleted runs have come."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._client: Client | None = None
        self._due = time.monotonic() + EVERY
        # What came before this process has not been looked at.
        self._came = True

    def look(self, *, came: bool, last: bool = False) -> None:
        """Remove late rows, if something came and it is time; never raises. After the last look nothing is open."""
        self._came = self._came or came
        if self._came and (last or time.monotonic() >= self._due):
            self._due = time.monotonic() + EVERY
            self._sweep()
        if last and self._client is not None:
            self._client.close()

    def _sweep(self) -> None:
        try:
            # Kept open: opening one costs more than the look.
            self._client = self._client or open_embedded(self._engine)
            removed = sweep(self._client)
            self._came = False
            if removed:
                log.info("removed %d rows that came late of deleted runs", sum(removed.values()))
        except Exception as error:
            warn_once("deleted runs", "late rows of deleted runs could not be removed: %s", first_line(error))
