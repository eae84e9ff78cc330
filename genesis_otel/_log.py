"""What is logged: lines that would come again and again as often as they are of use, and errors on one line.

In: what is to be said, and a name for it. Out: whether it is time; log records; one line of text. On failure: nothing here
raises, waits, or holds a lock: a signal handler may call it in the middle of itself.
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
"""Characters of an error that are shown."""
KEPT = 10_000
"""Names that are remembered as said; then they are forgotten, and said once more."""

_said: dict[Hashable, float] = {}
_quiet: ContextVar[bool] = ContextVar("genesis_otel_quiet", default=False)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without what URLs in it hide; its class where it has no text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return hidden(lines[0])[:LINE]


def due(name: Hashable, every: float = math.inf) -> bool:
    """Whether it is time to say what ``name`` stands for: at first, and then every so many seconds (once by default)."""
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
    """Something that does not work for a while: a line when it begins, a line when its kind changes, a line when it is over."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._kind: str | None = None

    def begins(self, kind: str, message: str, *values: object, level: int = logging.WARNING) -> None:
        """Say it, unless it is known that there is trouble of this kind."""
        if kind != self._kind:
            self._kind = kind
            self._logger.log(level, message, *values)

    def ends(self, message: str, *values: object) -> None:
        """Say that it is over, where there was any."""
        if self._kind is not None:
            self._kind = None
            self._logger.warning(message, *values)

    def __bool__(self) -> bool:
        return self._kind is not None


@contextlib.contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep loggers of libraries from saying what is raised all the same; in this thread alone, where others use them, too."""
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
    """Say what is waited for, and for how long at most, when it has taken ``after`` seconds."""
    timer = threading.Timer(after, logger.warning, ("waiting for %s, %.0f s at most", what, bound))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
