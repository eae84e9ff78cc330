"""What ``configure()`` tells the emitting side, which imports nothing of it.

In: a :class:`Configured`, from whoever has set telemetry up. Out: the same, or None where nobody has. On failure: nothing here
raises; what the functions in it raise is their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Note = Mapping[str, Any]
"""What a process learnt of a run, as JSON has it; see :mod:`genesis_otel._emit.tally`."""


class Memory(Protocol):
    """Keeps what a run needs when another process goes on with it."""

    def recall(self, run_id: str) -> Iterable[Note]:
        """What was kept of a run, in its order."""

    def keep(self, run_id: str, note: Note) -> None:
        """Keep one more note; durable when this returns."""


@dataclass(frozen=True)
class Configured:
    """How telemetry is set up in this process."""

    run_id: str = ""
    """The id of the run that begins first here and is given none."""
    budget: float | None = None
    """What a run may spend, in USD, that is given no budget of its own."""
    stop_over_budget: bool = False
    """Whether a framework's search ends at its next step when its budget is spent."""
    memory: Memory | None = None
    announce: Callable[[str], None] | None = None
    """Says where a run goes that has begun, by its id."""
    setup: Callable[[], object] | None = None
    """Sets another process up as this one is; can be pickled, and holds passwords."""
    reference_setup: Callable[[], object] | None = None
    """The same with no password in it, for handles, which may be pickled to disk; None where it cannot do without."""


_configured: Configured | None = None


def tell(configured: Configured | None) -> None:
    """Telemetry is set up, or was shut down."""
    global _configured
    _configured = configured


def current() -> Configured | None:
    """How telemetry is set up, if it is."""
    return _configured
