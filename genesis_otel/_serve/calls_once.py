"""The store process removes second rows of LLM calls: anybody may bring some, since collectors insert here, too.

In: the engine's folder. Out: every minute in which calls have come, and at the end, one row of each call is left
(:mod:`genesis_otel._store.dedupe`). On failure: one log line; the next look finds what this one has left.
"""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import datetime, timedelta
from pathlib import Path

from genesis_otel._log import first_line, warn_once
from genesis_otel._store.connection import open_embedded
from genesis_otel._store.dedupe import dedupe

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks."""
LATE = timedelta(seconds=30)
"""What was ingested so long before what was seen last may have become visible only after it."""


class CallsOnce:
    """Looks at what has come since the last look."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._due = time.monotonic() + EVERY
        self._seen: datetime | None = None

    def look(self, *, last: bool = False) -> None:
        """Remove second rows, if it is time; never raises."""
        if not last and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY
        try:
            with contextlib.closing(open_embedded(self._engine)) as client:
                ((newest,),) = client.query("SELECT max(ingested_at) FROM llm_logs").result_rows
                if newest == self._seen:
                    return
                removed = dedupe(client, since=None if self._seen is None else self._seen - LATE)
                self._seen = newest
            if removed:
                log.info("removed %d second rows of LLM calls", sum(each.rows for each in removed))
        except Exception as error:
            warn_once("dedupe", "second rows of LLM calls could not be removed: %s", first_line(error))
