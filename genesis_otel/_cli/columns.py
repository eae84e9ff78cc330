"""How tables show columns, and the colours of statuses: only types and constants, cheap for every command to load.

In: nothing. Out: :class:`Column`, for the commands to describe their columns with. On failure: nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

STATUS = {"running": "cyan", "completed": "green", "failed": "red", "stopped": "yellow", "stalled": "yellow"}
"""The colour of a run's status."""

Blocks = Iterable[Sequence[Sequence[Any]]]


class Column(NamedTuple):
    """How a table shows a column, if not just by its values."""

    heading: str
    show: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    brief: int = 0
    """In a narrow terminal, the number of characters shown, enough to tell ids apart; -1 leaves the column out."""
    middle: bool = False
    """Truncate in the middle, because run ids start with a date."""
