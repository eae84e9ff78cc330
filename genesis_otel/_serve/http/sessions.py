"""Sessions of the HTTP front: a handle of the engine that outlives its request, with its temporary tables and its settings.

In: a user, a ``session_id``, how long it may stay unused. Out: its handle, for one request at a time. On failure:
`RefusedError` with ClickHouse's codes: in use (373), unknown although it should exist (372), invalid timeout (374). Their
number is bounded: one too many ends the one unused for longest, because clients open sessions without needing them.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

from genesis_otel._serve.http.guard import RefusedError

TIMEOUT = 60
LONGEST = 3600
"""Seconds that a session may stay unused: default and maximum, as in ClickHouse."""
MOST = 64
"""Maximum sessions at a time; each is a handle of the engine."""


class Session:
    """A handle, and how long it is kept."""

    def __init__(self, handle: Any) -> None:
        """Start in use."""
        self.handle = handle
        self.timeout = float(TIMEOUT)
        self.used = True
        self.until = 0.0


class Sessions:
    """The sessions of all users."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Start without sessions; ``connect`` opens a handle."""
        self._connect = connect
        self._lock = Lock()
        self._kept: dict[tuple[str, str], Session] = {}

    def take(self, user: str, name: str, timeout: str = "", check: bool = False) -> Session:
        """The session with this name for one request, created unless it must already exist; pass it to `give` afterwards."""
        seconds = _seconds(timeout)
        ended = self._expired()
        try:
            with self._lock:
                session = self._kept.get((user, name))
                if session is None:
                    if check:
                        raise RefusedError(
                            372, "SESSION_NOT_FOUND", "There is no session with this name, or it has ended."
                        )
                    if len(self._kept) >= MOST:
                        ended.append(self._evicted())
                    session = self._kept[user, name] = Session(self._connect())
                elif session.used:
                    raise RefusedError(
                        373, "SESSION_IS_LOCKED", "This session is busy with another request: one at a time."
                    )
                session.used, session.timeout = True, seconds
                return session
        finally:
            _close(ended)

    def give(self, session: Session) -> None:
        """Make the session available to the next request, for as long as it asked."""
        with self._lock:
            session.until = time.monotonic() + session.timeout
            session.used = False

    def sweep(self) -> None:
        """End sessions that have been unused for too long."""
        _close(self._expired())

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            ended = list(self._kept.values())
            self._kept.clear()
        _close(ended)

    def _expired(self) -> list[Session]:
        now = time.monotonic()
        with self._lock:
            names = [name for name, each in self._kept.items() if not each.used and each.until < now]
            return [self._kept.pop(name) for name in names]

    def _evicted(self) -> Session:
        unused = [(each.until - each.timeout, name) for name, each in self._kept.items() if not each.used]
        if not unused:
            raise RefusedError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"All {MOST} sessions are busy: try again later.")
        return self._kept.pop(min(unused)[1])


def _seconds(text: str) -> float:
    seconds = int(text or TIMEOUT) if re.fullmatch("[0-9]{0,9}", text) else 0
    if not 0 < seconds <= LONGEST:
        raise RefusedError(374, "INVALID_SESSION_TIMEOUT", f"session_timeout must be 1 to {LONGEST} seconds.")
    return float(seconds)


def _close(sessions: list[Session]) -> None:
    for session in sessions:
        with suppress(Exception):
            session.handle.close()
