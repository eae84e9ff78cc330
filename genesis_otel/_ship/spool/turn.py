"""One at a time, without waiting for oneself: what a thread is handed while it is at work is done by that same work.

In: items, from any thread, from signal handlers and from finalisers that the garbage collector runs. Out: each is handled once,
in order, before :meth:`Turn.run` returns; only what comes from within the handling itself, in the same thread, is handled by
the call that it interrupts, right afterwards. A lock alone would let a thread wait for itself for ever there.
On failure: an exception from outside (a signal handler's) is raised when nothing is left to handle.
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
    """Hands items to ``handle`` one at a time. Not for a forked child, which makes its own.

    :param handle: raises nothing of its own; is called again with the same item after an exception from outside.
    """

    def __init__(self, handle: Callable[[T], None]) -> None:
        self._handle = handle
        self.items: deque[T] = deque()
        # Reentrant, so that the thread that holds it can see that it does.
        self._lock = threading.RLock()
        self.busy = False

    def run(self, *new: T) -> None:
        """Handle ``new`` items, and whatever else waits."""
        items, handle = self.items, self._handle
        items.extend(new)
        interruption: BaseException | None = None
        attempts = 0
        # Looked at again behind the lock: a signal may have brought one more just before it was given back.
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
                            # A fork in a signal handler has emptied it in the child.
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
                # Else the exception holds this frame and this frame the exception, until the garbage collector comes.
                del interruption

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the turn for something else; false where this thread has it already, and the work is in the middle of it."""
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
