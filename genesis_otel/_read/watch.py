"""Polls a running search.

In: settings, and a run given by its id, the start of its id, or ``latest``. Out: the result of each look, until the run has ended. A look
is five queries, each by run id. On failure: errors before the first look are raised, as by :mod:`genesis_otel._read.client`; if the
store goes away later, an :class:`Away` is returned and the store is tried again for as long as somebody watches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clickhouse_connect.driver.exceptions import Error
from urllib3.exceptions import HTTPError

from genesis_otel import queries
from genesis_otel._read import health
from genesis_otel._read.client import NotFoundError, brief, reader, run_id_of
from genesis_otel._read.spool import spool
from genesis_otel._store.errors import StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel._settings import Settings

WINDOW = 300
"""Seconds that rates and percentiles cover: long enough for slow evaluations, short enough to see a search slow down."""
EVENTS, FAILURES, JOBS = 30, 10, 10
"""Rows of each that a look fetches: more than a screen shows."""
APPEARS = 10.0
"""Seconds to wait for a run that has just started."""
LOST = (StoreError, Error, HTTPError, OSError)
"""What a store that went away raises."""

Row = Mapping[str, Any]


class Look(NamedTuple):
    """The result of one look at a run."""

    run_id: str
    pulse: Row
    best: Sequence[Row]
    """One row per generation, from `best_so_far`."""
    jobs: Sequence[Row]
    events: Sequence[Row]
    failures: Sequence[Row]
    at: float
    """The time of the look, on the monotonic clock."""

    @property
    def status(self) -> str:
        """As recorded; empty if the run's start was not recorded."""
        return str(self.pulse["status"])

    @property
    def ended(self) -> bool:
        """Whether the run has ended, successfully or not; a stalled run may still continue."""
        return self.status not in ("", "running", "stalled")

    def per_minute(self, what: str) -> float | None:
        """The rate per minute of ``individuals``, ``llm_calls`` or ``cost``: recently or, if the run has ended, over the whole run."""
        seconds = self.pulse["seconds"]
        if seconds is None:
            return None
        seconds = seconds if self.ended else min(WINDOW, seconds)
        amount = self.pulse[what if self.ended else f"recent_{what}"]
        return 60 * amount / seconds if seconds >= 1 and math.isfinite(amount) else None


class Away(NamedTuple):
    """The store did not answer."""

    why: str


def looks(settings: Settings, run: str, interval: float) -> Generator[Look | Away, None, None]:
    """Look every ``interval`` seconds; the last look shows the run ended.

    :raises StoreError: the store cannot be reached before the first look.
    :raises NotFoundError: there is no such run.
    :raises AmbiguousError: several runs match.
    """
    run_id = ""
    seen = False
    while True:
        try:
            with reader(settings) as client:
                run_id = run_id or _appearing(client, settings, run)
                while True:
                    found = look(client, run_id, settings.stalled_after)
                    seen = True
                    yield found
                    if found.ended:
                        return
                    time.sleep(interval)
        except LOST as error:
            if not seen:
                raise
            yield Away(_why(error))
        time.sleep(interval)


def _appearing(client: Client, settings: Settings, run: str) -> str:
    """The run's id; while a search records on this machine, the run may still be on its way to the store."""
    deadline = time.monotonic() + APPEARS
    while True:
        try:
            return run_id_of(client, run)
        except NotFoundError:
            if time.monotonic() > deadline or not _recording(settings):
                raise
        time.sleep(0.2)


def _recording(settings: Settings) -> bool:
    try:
        status = spool(settings)
    except StoreError:  # recording is off
        return False
    return bool(status.writers or status.waiting)


def look(client: Client, run_id: str, stalled_after: int = health.STALLED) -> Look:
    """What the store knows about a run now.

    :param stalled_after: seconds without a sign of life after which the run is stalled.
    :raises NotFoundError: the store has no rows of the run.
    """

    def ask(name: str, **parameters: Any) -> list[dict[str, Any]]:
        return queries.ask(client, name, run_id=run_id, **parameters)

    pulse = health.ask(client, "pulse", run_id=run_id, window=WINDOW, stalled_after=stalled_after)
    if not pulse:
        raise NotFoundError(f"the store has no rows of the run {run_id}")
    return Look(
        run_id,
        pulse[0],
        ask("best_so_far"),
        ask("running_jobs", limit=JOBS),
        ask("events", limit=EVENTS),
        _once(ask("events", failed=1, limit=2 * FAILURES))[:FAILURES],
        time.monotonic(),
    )


def _once(failures: Sequence[Row]) -> list[Row]:
    """``failures`` without individuals whose failed job or call is listed and says more."""
    reported = {row["individual_id"] for row in failures if row["what"] != "individual"}
    return [row for row in failures if row["what"] != "individual" or row["individual_id"] not in reported]


def _why(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, Error) and error.code is not None:
        return brief(error)
    return "it does not answer"
