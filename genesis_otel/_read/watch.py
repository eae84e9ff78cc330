"""A run that goes on, looked at again and again.

In: settings, and a run by its id, the beginning of it, or ``latest``. Out: what each look saw, until the run has ended. A look
is five queries, each by the run's id. On failure: what goes wrong before the first look is raised, as from `_reader`; a store
that goes away later is an :class:`Away`, and is tried again for as long as somebody watches.
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
"""Seconds that rates and percentiles look back: long enough for slow evaluations, short enough to see a search slow down."""
EVENTS, FAILURES, JOBS = 30, 10, 10
"""Rows of each that a look asks for: more than a screen shows."""
APPEARS = 10.0
"""Seconds that a run which has just begun is waited for."""
LOST = (StoreError, Error, HTTPError, OSError)
"""What a store that went away raises."""

Row = Mapping[str, Any]


class Look(NamedTuple):
    """What a look at a run saw."""

    run_id: str
    pulse: Row
    best: Sequence[Row]
    """A row a generation, as `best_so_far` has them."""
    jobs: Sequence[Row]
    events: Sequence[Row]
    failures: Sequence[Row]
    at: float
    """When, on the monotonic clock."""

    @property
    def status(self) -> str:
        """As recorded; empty where the run's beginning was not."""
        return str(self.pulse["status"])

    @property
    def ended(self) -> bool:
        """It is over, well or not; one that is stalled may still go on."""
        return self.status not in ("", "running", "stalled")

    def per_minute(self, what: str) -> float | None:
        """How much of ``individuals``, ``llm_calls`` or ``cost`` a minute brings: lately, or of a run that ended, as a whole."""
        seconds = self.pulse["seconds"] if self.ended else min(WINDOW, self.pulse["seconds"])
        amount = self.pulse[what if self.ended else f"recent_{what}"]
        return 60 * amount / seconds if seconds >= 1 and math.isfinite(amount) else None


class Away(NamedTuple):
    """The store did not answer."""

    why: str


def looks(settings: Settings, run: str, interval: float) -> Generator[Look | Away, None, None]:
    """Look every ``interval`` seconds; the last look is at a run that has ended.

    :raises StoreError: the store cannot be reached, before anything was seen.
    :raises NotFoundError: there is no such run.
    :raises AmbiguousError: there are several.
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
    """The run's id; while something records on this machine, it may be on its way to the store."""
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
    except StoreError:  # nothing is recorded
        return False
    return bool(status.writers or status.waiting)


def look(client: Client, run_id: str, stalled_after: int = health.STALLED) -> Look:
    """What the store knows of a run now.

    :param stalled_after: seconds without a sign of life after which it is stalled.

    :raises NotFoundError: nothing.
    """

    def ask(name: str, **parameters: Any) -> list[dict[str, Any]]:
        return queries.ask(client, name, run_id=run_id, **parameters)

    found = ask("pulse", window=WINDOW, stalled_after=stalled_after)
    pulse = health.alive(client, [{"run_id": run_id, **row} for row in found])
    if not pulse:
        raise NotFoundError(f"the store has nothing of the run {run_id}")
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
    """Without the individuals whose failed job or call is there to say more."""
    told = {row["individual_id"] for row in failures if row["what"] != "individual"}
    return [row for row in failures if row["what"] != "individual" or row["individual_id"] not in told]


def _why(error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, Error) and error.code is not None:
        return brief(error)
    return "it does not answer"
