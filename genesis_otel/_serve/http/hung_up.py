"""Statements whose client has hung up are ended: each would keep one of the few threads that answer, for as long as it takes.

In: which statement runs in which thread, and whether its client is still there. Out: within `EVERY` seconds after the client has gone the
engine ends the statement, as ``KILL QUERY`` does. On failure: a statement runs to its end; it is tried again every time.

The engine has no name for a statement that a client could give it. But the thread in which the front asks is one of those in which the
engine lists it.
"""

from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread, get_native_id

from genesis_otel._log import first_line, warn_once

EVERY = 1.0
"""Seconds between two looks."""
ENDED = "KILL QUERY WHERE has(thread_ids, {thread:UInt64}) ASYNC"


class HungUp:
    """Looks after the statements that run."""

    def __init__(self, command: Callable[[str, Mapping[str, str]], object]) -> None:
        """Begin to look; ``command`` runs a statement with parameters in the engine."""
        self._command = command
        self._running: dict[int, Callable[[], bool]] = {}
        # Held while a statement is ended: its thread begins no other meanwhile.
        self._lock = Lock()
        self._stopped = Event()
        Thread(target=self._look, name="genesis-otel-hung-up", daemon=True).start()

    def watch(self, is_gone: Callable[[], bool]) -> Callable[[], None]:
        """End what this thread asks the engine once ``is_gone``, until the returned function is called."""
        thread = get_native_id()
        with self._lock:
            self._running[thread] = is_gone
        return lambda: self._forget(thread)

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()
        with self._lock:
            self._running.clear()

    def _forget(self, thread: int) -> None:
        with self._lock:
            self._running.pop(thread, None)

    def _look(self) -> None:
        while not self._stopped.wait(EVERY):
            try:
                with self._lock:
                    for thread in [thread for thread, is_gone in self._running.items() if is_gone()]:
                        self._command(ENDED, {"thread": str(thread)})
            except Exception as error:
                warn_once("hung-up", "statements of clients that hung up could not be ended: %s", first_line(error))
