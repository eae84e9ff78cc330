"""How tables show columns, and the colours of what they say: types and constants alone, which every command may load.

In: nothing. Out: :class:`Column`, for whoever knows what stands in one. On failure: nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

STATUS = {"running": "cyan", "completed": "green", "failed": "red", "stopped": "yellow", "stalled": "yellow"}
"""The colour of a run's status."""

Blocks = Iterable[Sequence[Sequence[Any]]]


class Column(NamedTuple):
    """How a table shows a column, where it is not just its values."""

    heading: str
    show: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    brief: int = 0
    """In a narrow terminal: so many characters, which tell an id from others; -1 leaves the column out."""
    middle: bool = False
    """Cut in the middle: the beginnings of runs' ids are dates."""
