"""Any Python value as what a span attribute can hold.

In: whatever a search hands over, numpy scalars, configurations, broken objects among it. Out: exact ``str``, ``int``,
``float`` and JSON text. On failure: a value that is not what it should be becomes text, or None with one warning; nothing
here raises.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Any, TypeVar

from genesis_otel._emit.interruption import pass_on

logger = logging.getLogger(__name__)

DEEPEST = 100
"""Levels of nesting that JSON keeps as such; deeper ones become text."""

INT64 = range(-(2**63), 2**63)
"""What OpenTelemetry's protocol can carry as an integer."""

_WARNED: set[str] = set()

K = TypeVar("K")
V = TypeVar("V")


def warn_once(key: str, message: str, *values: object, exc_info: bool = False) -> None:
    """Log ``message`` at the first use of ``key`` in this process."""
    if key not in _WARNED:
        _WARNED.add(key)
        logger.warning(message, *values, exc_info=exc_info)


def keep(memory: dict[K, V], key: K, value: V, limit: int) -> None:
    """Remember a value; at ``limit`` of them the oldest goes. Threads may do so at once, without a lock."""
    while len(memory) >= limit:
        try:
            memory.pop(next(iter(memory)), None)
        except (RuntimeError, StopIteration):  # another thread changed it in between
            continue
    memory[key] = value


# --- scalars ----------------------------------------------------------------------------------------------------------


def text(value: object) -> str:
    """``value`` as text that UTF-8 can say; a lone surrogate becomes its escape, ``\\udc80``. None is empty."""
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
        # Exactly str: a subclass (numpy.str_, an enumeration) may write itself otherwise, or not cross a pickle.
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
    """``value`` as a float; None, with one warning a name, where it is none."""
    if type(value) is float:
        return value
    if value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as error:
        pass_on(error)
        warn_once(f"number {name}", "%s: a value of type %s is no number and is left out", name, type(value).__name__)
        return None


def integer(value: object, name: str) -> int | str | None:
    """``value`` as an int that an attribute can carry; as text where it is none, with one warning a name."""
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
    warn_once(f"integer {name}", "%s: a value of type %s is no integer and is kept as text", name, type(value).__name__)
    return text(value)


def truth(value: object, name: str) -> bool:
    """``value`` as a bool; false, with one warning a name, where it cannot be told."""
    try:
        return bool(value)
    except Exception as error:
        pass_on(error)
        warn_once(f"truth {name}", "%s: a value of type %s is neither true nor false", name, type(value).__name__)
        return False


# --- JSON -------------------------------------------------------------------------------------------------------------


def to_json(value: object) -> str:
    """``value`` as JSON: exactly what it is where JSON can say it, as text where it cannot; NaN and infinities are the
    strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``."""
    # A lone surrogate's escape is JSON's escape too: the text stays exact.
    return text(_encoded(value))


def to_parsed_json(value: object) -> str:
    """``value`` as JSON for a column that ClickHouse takes apart. Its parser refuses a text with the escape of a lone
    surrogate in it as a whole: there the escape stands as text."""
    return SURROGATES.sub(lambda found: f"\\\\u{ord(found[0]):04x}", _encoded(value))


SURROGATES = re.compile("[\ud800-\udfff]")


def _encoded(value: object) -> str:
    try:
        return ENCODER.encode(value)
    except Exception as error:
        pass_on(error)
        # NaN, keys of other types, cycles, integers too long to write, an object that raises: walk it.
        try:
            return ENCODER.encode(plain(value))
        except Exception as error:
            pass_on(error)
            return ENCODER.encode(text(value))


def json_object(value: object) -> str:
    """``value`` as JSON, for a column that holds an object; text that is given is taken as JSON that was made before."""
    if value is None:
        return "{}"
    if isinstance(value, str):
        return text(value) or "{}"
    return to_json(value)


def plain(value: object, _above: tuple[int, ...] = ()) -> Any:
    """``value`` as lists, dicts with text keys and scalars that JSON takes; anything else as text."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _non_finite(value)
    if isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            # Python refuses to write integers of more than 4,300 digits in decimal.
            return hex(value)
        return int(value)
    if id(value) in _above or len(_above) >= DEEPEST:
        return f"<{type(value).__name__}>" if id(value) in _above else text(value)
    above = (*_above, id(value))
    try:
        if isinstance(value, Mapping):
            return {_key(key): plain(of, above) for key, of in _items(value)}
        if isinstance(value, (list, tuple)):
            return [plain(of, above) for of in value]
        simpler = _once(value)
    except Exception as error:
        pass_on(error)
        return text(value)
    return simpler if isinstance(simpler, str) else plain(simpler, above)


def _items(value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """What is in a mapping; a value that raises (a configuration's missing one) as the name of what it raises."""
    for key in value:
        try:
            yield key, value[key]
        except Exception as error:
            pass_on(error)
            yield key, f"<{type(error).__name__}>"


def _non_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _key(key: object) -> str:
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    return plain(key) if isinstance(key, (str, float)) else text(key)


def _once(value: object) -> Any:
    """One step from an object that JSON has no word for towards one that it has."""
    for kind, simplify in _SIMPLER:
        if isinstance(value, kind):
            return simplify(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    for name in ("tolist", "model_dump"):  # numpy's scalars and arrays; pydantic's models
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return method()
    if isinstance(value, Iterable) and hasattr(value, "__len__") and not isinstance(value, type):
        return list(value)
    return text(value)


_SIMPLER: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    ((bytes, bytearray), text),
    ((date, time), lambda value: value.isoformat()),
    (Mapping, lambda value: dict(_items(value))),
    (Set, list),
)


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_once)


# --- times ------------------------------------------------------------------------------------------------------------


def nanoseconds(value: object, name: str) -> int | None:
    """A time as OpenTelemetry counts it: an int is nanoseconds since 1970, a float seconds, or a datetime; None is now."""
    if value is None or (type(value) is int and 0 <= value < 2**63):
        return value
    try:
        seconds = value.timestamp() if isinstance(value, datetime) else value
        whole = int(seconds) if isinstance(seconds, int) else round(float(seconds) * 1e9)  # type: ignore[arg-type]
        if 0 <= whole < 2**63:
            return whole
    except Exception as error:
        pass_on(error)
    warn_once(f"time {name}", "%s: a value of type %s is no time; it counts as now", name, type(value).__name__)
    return None
