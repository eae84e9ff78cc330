"""The store process removes duplicate rows of LLM calls: anybody may bring some, since collectors insert here, too.

In: the engine's folder, and a file that keeps how far this has come. Out: once a minute if calls have arrived, and at the end, one row of
each call is left (:mod:`genesis_otel._store.dedupe`). On failure: one log line; the next look finds what this one left. Without the file,
as in a store of an earlier version, all calls are examined once.
"""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import datetime, timezone
from pathlib import Path

from genesis_otel._log import first_line, warn_once
from genesis_otel._store.connection import open_embedded
from genesis_otel._store.dedupe import dedupe

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks."""
LATE = 30_000
"""Milliseconds: a row ingested so long before the last one seen may have become visible only after it."""
SEEN = "SELECT toUnixTimestamp64Milli(max(ingested_at)), toUnixTimestamp64Milli(now64(3)), count() FROM llm_logs"
LONGEST_LAST_LOOK = 10
"""Seconds that a query of the last look may take: examining twelve million calls takes minutes, and whoever ends the process waits."""


class CallsOnce:
    """Examines what has arrived since the last look."""

    def __init__(self, engine: Path, mark: Path) -> None:
        self._engine, self._mark = engine, mark
        self._looked = time.monotonic()
        self._due = self._looked + EVERY
        self._rows: int | None = None
        try:
            self._seen: int | None = int(mark.read_text())
        except (OSError, ValueError):
            self._seen = None

    def look(self, *, last: bool = False) -> None:
        """Remove duplicate rows, if it is time; never raises."""
        began = time.monotonic()
        if not last and began < self._due:
            return
        self._due = began + EVERY
        bound = {"max_execution_time": LONGEST_LAST_LOOK} if last else None
        try:
            with contextlib.closing(open_embedded(self._engine, settings=bound)) as client:
                ((newest, now, rows),) = client.query(SEEN).result_rows
                # A clock that was set back gives what arrives now an earlier time than the newest row has.
                is_same = now >= newest if self._rows is None else rows == self._rows
                if newest == self._seen and is_same:
                    return
                since = None
                if self._seen is not None:
                    earliest = min(self._seen, now - int((began - self._looked) * 1000)) - LATE
                    since = datetime.fromtimestamp(max(0, earliest) / 1000, timezone.utc)
                removed = dedupe(client, since=since)
            self._seen, self._rows, self._looked = newest, rows - sum(each.rows for each in removed), began
            self._mark.write_text(str(newest))
            if removed:
                log.info("removed %d duplicate rows of LLM calls", sum(each.rows for each in removed))
        except Exception as error:
            warn_once("dedupe", "duplicate rows of LLM calls could not be removed: %s", first_line(error))
