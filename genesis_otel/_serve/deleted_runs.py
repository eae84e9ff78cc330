"""Removes rows of deleted runs that reach the store process late, from a spool or from any other client that inserts.

In: the engine's folder. Out: late rows are removed within seconds of their arrival (:mod:`genesis_otel._store.deleted`). On failure: one
log line; the next check finds what this one left.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from genesis_otel._log import first_line, warn_once
from genesis_otel._store.connection import open_embedded
from genesis_otel._store.deleted import SETTLED, sweep

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two checks; a check takes a few milliseconds if no run was deleted."""


class DeletedRuns:
    """Checks whether rows of deleted runs have arrived."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._client: Client | None = None
        self._due = time.monotonic() + EVERY
        # Rows that arrived before this process started have not been checked. One that has just arrived may not be told from those of a new run.
        self._until = self._due + SETTLED + EVERY

    def look(self, *, came: bool, last: bool = False) -> None:
        """Remove late rows, if anything arrived recently and a check is due, or it is the last one; never raises."""
        now = time.monotonic()
        if came:
            self._until = now + SETTLED + 2 * EVERY
        if self._due <= self._until and (last or now >= self._due):
            self._sweep()
            self._due = time.monotonic() + EVERY

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()

    def _sweep(self) -> None:
        try:
            # Kept open: opening a client costs more than the check.
            self._client = self._client or open_embedded(self._engine)
            removed = sweep(self._client)
            if removed:
                log.info("removed %d late rows of deleted runs", sum(removed.values()))
        except Exception as error:
            self._until = time.monotonic() + SETTLED
            warn_once("deleted runs", "late rows of deleted runs could not be removed: %s", first_line(error))
