"""How long something lasted, where that is known.

In: two times in nanoseconds since 1970, as a span has them. Out: the nanoseconds between them, or None. Nothing is raised.
The queries have the same rule for what is stored: ``sql/parts/took.sql``, ``lasted.sql`` and ``span_took.sql``.
"""

from __future__ import annotations

LONGEST = 315_360_000 * 10**9
"""Ten years. What lasted longer has a start and an end of two clocks: a start of 0 is 1970, and so are the time since a machine's start
and seconds that were given as nanoseconds. Two times of a simulated clock that begins in 1970 have a known duration."""


def lasted(began: int | None, ended: int | None) -> int | None:
    """The nanoseconds from ``began`` to ``ended``; None if one of them is not known (None, or 0), if the second is before the first, or
    if they are of two clocks."""
    if not began or not ended or not 0 <= ended - began <= LONGEST:
        return None
    return ended - began
