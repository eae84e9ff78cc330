"""What a judge says of a candidate: which bytes of the text are a secret.

In: a text as UTF-8, and where the candidate starts and ends in it. Out: a :class:`Verdict`, or None if it is no secret. On failure: a judge
raises nothing, and examines a bounded part of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

REDACTED = "[REDACTED]"
"""What stands in place of a secret. A text may have it already: its secrets were removed before."""
MARK = REDACTED.encode()

Span = tuple[int, int]


class Verdict(NamedTuple):
    """What to replace, and where to resume the search."""

    spans: tuple[Span, ...]
    resume: int


Judge = Callable[[bytes, int, int], "Verdict | None"]
