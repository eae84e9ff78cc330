"""Converts a Python value to the scalar or the time that a span can hold.

In: whatever a search passes, including numpy scalars and broken objects. Out: exact ``str``, ``int``, ``float`` and times; JSON is written
in `json_values.py`. On failure: a value of the wrong kind becomes text, or None with one warning; nothing here raises.
"""

from __future__ import annotations

import math
from datetime import datetime
from time import time_ns
from typing import TypeVar

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import printed, warn_once

INT64 = range(-(2**63), 2**63)
"""What OpenTelemetry's protocol can carry as an integer."""

GENERATIONS = range(2**31)
"""The generations that tables can hold and tell from none."""

K = TypeVar("K")
V = TypeVar("V")


def keep(memory: dict[K, V], key: K, value: V, limit: int) -> None:
    """Remember a value; at ``limit`` values the oldest is dropped. Safe from several threads, without a lock."""
    while len(memory) >= limit:
        try:
            memory.pop(next(iter(memory)), None)
        except (RuntimeError, StopIteration):  # another thread changed it meanwhile
            continue
    memory[key] = value


# --- scalars ----------------------------------------------------------------------------------------------------------


def text(value: object) -> str:
    """``value`` as text that UTF-8 can encode; a lone surrogate becomes its escape, ``\\udc80``. None becomes empty."""
    if type(value) is not str:
        value = _text(value)
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # Exactly str: a subclass (numpy.str_, an enumeration) may convert itself differently, or not survive pickling.
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    for write in (str, repr):
        try:
            return str.__str__(write(value))
        except Exception as error:
            pass_on(error)
            continue
    return f"<{type(value).__name__}>"


def number(value: object, name: str) -> float | None:
    """``value`` as a float; None, with one warning per name, if it is not one."""
    if type(value) is float:
        return value
    if value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as error:
        pass_on(error)
        warn_once(
            f"number {name}", "%s: a value of type %s is not a number and was dropped", name, type(value).__name__
        )
        return None


def usd(value: object, name: str) -> float | None:
    """``value`` as a cost; None, with one warning per name, if it is not a finite number of 0 or more: any sum with it would be wrong."""
    cost = number(value, name)
    if cost is None or 0 <= cost < math.inf:
        return cost
    warn_once(f"cost {name}", "%s: an amount in USD is a finite number, 0 or more, not %s; it was dropped", name, cost)
    return None


def integer(value: object, name: str) -> int | str | None:
    """``value`` as an int that an attribute can carry; as text, with one warning per name, if it is not one."""
    if type(value) is int and value in INT64:
        return value
    if value is None:
        return None
    try:
        whole = int(value)  # type: ignore[call-overload]
        if whole in INT64 and (isinstance(value, (str, bytes)) or whole == value):
            return int(whole)
    except Exception as error:
        pass_on(error)
    warn_once(
        f"integer {name}", "%s: a value of type %s is not an integer and is kept as text", name, type(value).__name__
    )
    return text(value)


def generation_number(value: object) -> int | str | None:
    """The number of a generation, as :func:`integer` gives it, with one warning if tables cannot hold it."""
    whole = integer(value, names.GENERATION)
    # A range looks for a text one by one.
    if whole is not None and not (isinstance(whole, int) and whole in GENERATIONS):
        warn_once(
            "generation",
            "generation: %s is not an integer from 0 to %d. Spans keep it; tables have 0, or NULL for calls and actions, if it is not "
            "an integer of 32 bits, and costs of a negative generation may count for none",
            printed(text(whole)[:100]),
            GENERATIONS[-1],
        )
    return whole


def truth(value: object, name: str) -> bool:
    """``value`` as a bool; false, with one warning per name, if it has no truth value."""
    try:
        return bool(value)
    except Exception as error:
        pass_on(error)
        warn_once(f"truth {name}", "%s: a value of type %s is neither true nor false", name, type(value).__name__)
        return False


def reason(error: object) -> str:
    """Why something failed, in words, as one text."""
    if not isinstance(error, BaseException):
        return text(error)
    if isinstance(error, SystemExit):
        return f"SystemExit: {text(error.code)}"
    said = text(error) or _MEANINGS.get(type(error).__name__, "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


_MEANINGS = {
    "KeyboardInterrupt": "interrupted (Ctrl-C)",
    "CancelledError": "the task was cancelled",
    "GreenletExit": "the greenlet was killed",
}
"""The meaning of exceptions that come without a text."""


# --- times ------------------------------------------------------------------------------------------------------------


def nanoseconds(value: object, name: str, instead: str = "the current time is used instead") -> int | None:
    """A time as OpenTelemetry counts it: an int is nanoseconds since 1970, a float seconds, or a datetime; None is now.

    :param instead: what the warning about a value that is not a time says of it.
    """
    if value is None or (type(value) is int and 0 <= value < 2**63):
        return value
    try:
        seconds = value.timestamp() if isinstance(value, datetime) else value
        whole = int(seconds) if isinstance(seconds, int) else round(float(seconds) * 1e9)  # type: ignore[arg-type]
        if 0 <= whole < 2**63:
            return whole
    except Exception as error:
        pass_on(error)
    warn_once(
        f"time {name}",
        "%s: a value of type %s is not a time; %s",
        name,
        type(value).__name__,
        instead,
    )
    return None


def known_time(value: object, name: str) -> int | None:
    """The same for a time from which a duration is measured: what is not a time is 0, which is none, rather than now."""
    return None if value is None else nanoseconds(value, name, "how long it lasted is unknown") or 0


def known_time_or_now(value: object, name: str) -> int:
    """The same, with the current time for None."""
    told = known_time(value, name)
    return time_ns() if told is None else told
