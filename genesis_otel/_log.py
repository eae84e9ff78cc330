"""Logging: limits how often recurring messages are logged, and shortens errors to one line.

In: a message and a name for it, or an error. Out: whether the message is due; log records; one line of text. On failure: nothing here
raises, waits, or holds a lock, so that a signal handler may interrupt it and call it again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Hashable, Iterator
from contextvars import ContextVar

from genesis_otel._urls import hidden

logger = logging.getLogger("genesis_otel")

LINE = 300
"""The most characters of an error that are shown."""
CLIENT_LOG = "clickhouse_connect.driver._backend.http_sync"
"""Where clickhouse-connect logs each failed attempt, which repeats the exception that it raises."""
KEPT = 10_000
"""Names remembered as logged; beyond that all are forgotten, and their messages are logged again."""

_said: dict[Hashable, float] = {}
_quiet: ContextVar[bool] = ContextVar("genesis_otel_quiet", default=False)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without secrets in URLs; its class name if it has no text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return hidden(lines[0])[:LINE]


def printed(run_id: str) -> str:
    """A run's id in a line that a terminal shows: quoted, with escapes, if it has characters that a terminal would obey."""
    return run_id if run_id.isprintable() else repr(run_id)


def due(name: Hashable, every: float = math.inf) -> bool:
    """Whether the message called ``name`` is due: the first time, and again after ``every`` seconds (by default never)."""
    now = time.monotonic()
    said = _said.get(name)
    if said is not None and now - said < every:
        return False
    if len(_said) > KEPT:
        _said.clear()
    _said[name] = now
    return True


def warn_once(name: str, message: str, *values: object, exc_info: bool = False) -> None:
    """Log ``message`` at the first use of ``name`` in this process."""
    if due(name):
        logger.warning(message, *values, exc_info=exc_info)


class Trouble:
    """A temporary failure: one log line when it begins, one when its kind changes, one when it is over."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._kind: str | None = None

    def begins(self, kind: str, message: str, *values: object, level: int = logging.WARNING) -> None:
        """Log it, unless trouble of this kind has already been logged."""
        if kind != self._kind:
            self._kind = kind
            self._logger.log(level, message, *values)

    def ends(self, message: str, *values: object) -> None:
        """Log that the trouble is over, if there was any."""
        if self._kind is not None:
            self._kind = None
            self._logger.warning(message, *values)

    def __bool__(self) -> bool:
        return self._kind is not None


@contextlib.contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Silence loggers of libraries that log errors which they also raise; only in this thread, because others use them too."""
    for name in loggers:
        logging.getLogger(name).addFilter(_passes)
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _passes(record: logging.LogRecord) -> bool:
    return not _quiet.get()


@contextlib.contextmanager
def waiting(logger: logging.Logger, what: str, bound: float, *, after: float = 2.0) -> Iterator[None]:
    """Log what is being waited for, and the time limit, once the block has taken ``after`` seconds."""
    timer = threading.Timer(after, logger.warning, ("waiting for %s, %.0f s at most", what, bound))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
