"""What ``configure()`` passes to the emitting side, which imports nothing of it.

In: a :class:`Configured`, from whoever set telemetry up. Out: the same, or None if nobody has. On failure: nothing here
raises; the functions in it raise what they raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

Note = Mapping[str, Any]
"""What a process has learnt about a run, in JSON form; see :mod:`genesis_otel._emit.tally`."""


class Memory(Protocol):
    """Keeps what another process needs to continue a run."""

    def recall(self, run_id: str) -> Iterable[Note]:
        """The notes kept for a run, in order."""

    def keep(self, run_id: str, note: Note) -> None:
        """Keep one more note; durable when this returns."""


class Configured(NamedTuple):
    """How telemetry is set up in this process."""

    run_id: str = ""
    """The id for the first run of this process that is started without one."""
    budget: float | None = None
    """The budget, in USD, of runs that are given none of their own."""
    stop_over_budget: bool = False
    """Whether a framework's search ends at its next step once its budget is spent."""
    memory: Memory | None = None
    announce: Callable[[str], None] | None = None
    """Logs where a run that has started is recorded, by its id."""
    setup: Callable[[], object] | None = None
    """Sets up another process like this one; can be pickled, and contains passwords."""
    reference_setup: Callable[[], object] | None = None
    """The same without any password, for handles, which may be pickled to disk; None if a password is needed."""


_configured: Configured | None = None


def tell(configured: Configured | None) -> None:
    """Note that telemetry is set up, or was shut down."""
    global _configured
    _configured = configured


def current() -> Configured | None:
    """How telemetry is set up, if it is."""
    return _configured
