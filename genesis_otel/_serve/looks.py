"""Whoever reads the store sees what had been spooled by then: a reader waits until the store process has looked at its spool.

In: when a look at the spool begins and ends, and that somebody reads. Out: the reader goes on once a look that began after it asked has
ended, or at once if the last one began within `FRESH`. On failure: a reader waits for `LONGEST` at most, and then sees what is there.

So inserts can be few and large while nobody reads: one costs 50 to 110 ms of CPU however few spans it has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FRESH = 1.0
"""Seconds: with an insert of half a second, a reader sees a row within 2 s of its end."""
LONGEST = 1.0
"""Seconds that a reader waits at most, whatever the look takes."""


class Looks:
    """The looks of a store process at its spool, and who waits for them."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """``ring`` makes the store process look now."""
        self._ring = ring
        self._begun = self._ended = 0
        self._last = float("-inf")
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A look, from its beginning to its end."""
        with self._changed:
            self._begun += 1
            self._last = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._ended = self._begun
                self._changed.notify_all()

    def wait(self) -> None:
        """Called by a reader before it reads."""
        with self._changed:
            if time.monotonic() - self._last < FRESH:
                return
            wanted = self._begun + 1
        self._ring()
        with self._changed:
            self._changed.wait_for(lambda: self._ended >= wanted, LONGEST)
