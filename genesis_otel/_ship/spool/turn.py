"""Serial processing that cannot deadlock with itself: an item that arrives while its thread is at work is left to that work.

In: items, from any thread, from signal handlers and from finalisers that the garbage collector runs. Out: each is handled once,
in order, before :meth:`Turn.run` returns; except that an item arriving during the handling, in the same thread, is handled by
the interrupted call, right afterwards. With only a lock, a thread would there wait for itself for ever.
On failure: an exception from outside (a signal handler's) is raised once nothing is left to handle.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from genesis_otel._emit.interruption import ATTEMPTS

T = TypeVar("T")


class Turn(Generic[T]):
    """Passes items to ``handle`` one at a time. A forked child must make its own.

    :param handle: raises nothing itself; is called again with the same item after an exception from outside.
    """

    def __init__(self, handle: Callable[[T], None]) -> None:
        self._handle = handle
        self.items: deque[T] = deque()
        # Reentrant, so that the holding thread can find out that it is the holder.
        self._lock = threading.RLock()
        self.busy = False

    def run(self, *new: T) -> None:
        """Handle ``new`` items, and whatever else is waiting."""
        items, handle = self.items, self._handle
        items.extend(new)
        interruption: BaseException | None = None
        attempts = 0
        # Checked again after the lock: a signal may have added an item just before its release.
        while items:
            try:
                with self._lock:
                    if self.busy:
                        break
                    self.busy = True
                    try:
                        while items:
                            item = items[0]
                            handle(item)
                            # A fork in a signal handler empties the deque in the child.
                            if items and items[0] is item:
                                items.popleft()
                    finally:
                        self.busy = False
            except BaseException as error:
                interruption = interruption or error
                attempts += 1
                if attempts >= ATTEMPTS:
                    break
        if interruption is not None:
            try:
                raise interruption
            finally:
                # Otherwise exception and frame form a reference cycle that only the garbage collector breaks.
                del interruption

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the turn for other work; yields false if this thread already holds it, in the middle of handling an item."""
        with self._lock:
            if self.busy:
                yield False
                return
            self.busy = True
            try:
                yield True
            finally:
                self.busy = False
        self.run()
