"""Converts any Python value to what a span attribute can hold.

In: whatever a search passes, including numpy scalars, configurations and broken objects. Out: exact ``str``, ``int``,
``float`` and JSON text. On failure: a value of the wrong kind becomes text, or None with one warning; nothing
here raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set, Sized
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from itertools import islice
from json.encoder import encode_basestring
from time import time_ns
from typing import Any, TypeVar

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import printed, warn_once

DEEPEST = 100
"""Levels of nesting that JSON keeps as structure; deeper ones become text."""

MOST = 16 << 20
"""Maximum characters of a structured value, counted before they are copied: a ``range(10**8)`` in a configuration would take 5 GB as a
list. The rest is left out, with a mark in its place."""

ITEM = 16
"""How many characters an item counts as: a million items are kept, which takes a second and 40 MB."""

CUT = "… [more is left out]"

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


# --- JSON -------------------------------------------------------------------------------------------------------------


def to_json(value: object) -> str:
    """``value`` as JSON: exact where JSON can express it, as text where it cannot; NaN and infinities become the
    strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``."""
    # A lone surrogate's escape is also JSON's escape, so the text stays exact.
    return text(_encoded(value))


def to_parsed_json(value: object) -> str:
    """``value`` as JSON for a column that ClickHouse parses. Its parser rejects any text that contains the escape of a
    lone surrogate: in those, the escape is kept as text."""
    return SURROGATES.sub(lambda found: f"\\\\u{ord(found[0]):04x}", _encoded(value))


SURROGATES = re.compile("[\ud800-\udfff]")


_quote: Callable[[str], str] = encode_basestring


def quote_with(quote: Callable[[str], str]) -> None:
    """From now on, write large texts as JSON with ``quote``, where it is faster: what :func:`quoted` gives stays the same."""
    global _quote
    _quote = quote


def quoted(text: str) -> str:
    """A text as JSON, in quotes."""
    if len(text) > SHORT:
        try:
            return _quote(text)
        except UnicodeEncodeError:  # a lone surrogate
            pass
    return encode_basestring(text)


SHORT = 100
"""Characters that Python's own encoder writes as fast as any."""


def _encoded(value: object) -> str:
    try:
        if type(value) is dict and (written := _flat(value)) is not None:
            return written
        if type(value) is not str and not _is_small(value):
            value = plain(value)
        return ENCODER.encode(value)
    except Exception as error:
        pass_on(error)
        # NaN, keys of other types, cycles, integers too long to convert, an object that raises: walk the value.
        try:
            return ENCODER.encode(plain(value))
        except Exception as error:
            pass_on(error)
            return ENCODER.encode(text(value))


def _flat(value: dict[Any, Any]) -> str | None:
    """Details or metrics as JSON, in a third of the time that the encoder takes; None if they are more than a few plain values."""
    if len(value) > FEW:
        return None
    members, left = [], MOST
    # A copy, since another thread may add to it meanwhile.
    for name, one in [*value.items()]:
        kind = type(one)
        if kind is str:
            left -= len(one)
            written = quoted(one)
        elif kind is int or (kind is float and math.isfinite(one)):
            written = repr(one)
        elif kind is bool or one is None:
            written = _WORDS[one]
        else:
            return None
        if type(name) is not str or left < FEW * ITEM:
            return None
        members.append(f"{encode_basestring(name)}: {written}")
    return f"{{{', '.join(members)}}}"


_WORDS = {True: "true", False: "false", None: "null"}
FEW = 100
"""Items of a mapping that is written as a whole."""


def _is_small(value: object) -> bool:
    """Whether a value is certainly within :data:`MOST`, so that the C encoder can take it directly."""
    left, walk = MOST, [value]
    while walk:
        one = walk.pop()
        kind = type(one)
        if kind is str:
            left -= len(one)  # type: ignore[arg-type]
        elif kind is dict or kind is list or kind is tuple:
            left -= len(one) * ITEM  # type: ignore[arg-type]
            if left < 0 or len(walk) > _UNSEEN:
                return False
            walk.extend(one.values() if kind is dict else one)  # type: ignore[attr-defined, arg-type]
        elif kind not in _SCALARS:
            # An array, a range, a model: its size is only known once it is taken apart.
            return False
        if left < 0:
            return False
    return True


_SCALARS = frozenset({int, float, bool, type(None)})
_UNSEEN = 100_000
"""Maximum items copied for inspection."""


def json_object(value: object) -> str:
    """``value`` as JSON, for a column that holds an object; text is taken as JSON that was made earlier."""
    if value is None:
        return "{}"
    if isinstance(value, str):
        return text(value) or "{}"
    return to_json(value)


def plain(value: object) -> Any:
    """``value`` as lists, dicts with text keys and scalars that JSON accepts; anything else as text. What exceeds :data:`MOST`
    is left out, with a mark in its place."""
    return _plain(value, (), [MOST])


def _plain(value: object, above: tuple[int, ...], left: list[int]) -> Any:
    """:param above: the ids of the containers around the value.
    :param left: characters that may still be kept, counted down."""
    left[0] -= ITEM
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _kept(value, left)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _non_finite(value)
    if isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            # Python refuses to convert integers of more than 4,300 digits to decimal.
            return hex(value)
        return int(value)
    if id(value) in above or len(above) >= DEEPEST:
        return f"<{type(value).__name__}>" if id(value) in above else _kept(text(value), left)
    above = (*above, id(value))
    try:
        if isinstance(value, Mapping):
            return _dict(value, above, left)
        if isinstance(value, (list, tuple, Set, range)):
            return _list(value, above, left)
        simpler = _once(value, left[0])
    except Exception as error:
        pass_on(error)
        return _kept(text(value), left)
    return _kept(simpler, left) if isinstance(simpler, str) else _plain(simpler, above, left)


def cut(value: str) -> tuple[str, int]:
    """A text of at most :data:`MOST` characters, with a mark where it was cut, and how many were left out."""
    if len(value) <= MOST:
        return value, 0
    _say_cut()
    # Not within a word: half a secret does not look like one.
    kept = value[:MOST]
    kept = kept[: len(kept) - len(_LAST_WORD.findall(kept[-1024:])[0])]
    left_out = len(value) - len(kept)
    return f"{kept}… [{left_out:,} more characters]", left_out


_LAST_WORD = re.compile(r"[^\s\"'\\]*$")


def _kept(value: str, left: list[int]) -> str:
    room = max(0, left[0])
    left[0] -= len(value)
    if len(value) <= room:
        return str.__str__(value)
    _say_cut()
    return f"{str.__str__(value)[:room]}… [{len(value) - room:,} more characters]"


def _list(values: Iterable[Any], above: tuple[int, ...], left: list[int]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if left[0] <= 0:
            _say_cut()
            found.append(CUT)
            break
        found.append(_plain(value, above, left))
    return found


def _dict(values: Mapping[Any, Any], above: tuple[int, ...], left: list[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in _items(values):
        if left[0] <= 0:
            _say_cut()
            found[CUT] = True
            break
        name = _key(key)
        left[0] -= len(name)
        found[name] = _plain(value, above, left)
    return found


def _say_cut() -> None:
    warn_once("cut", "A value is longer than %d characters: it was cut there, and the cut is marked", MOST)


def _items(value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """A mapping's items; a value that raises (a configuration's missing one) becomes the name of what it raises."""
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


def _once(value: object, left: int = MOST) -> Any:
    """One step from an object that JSON cannot express towards one that it can, with no more items than ``left`` characters allow."""
    for kind, simplify in _SIMPLIFIED:
        if isinstance(value, kind):
            return simplify(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    for name in ("tolist", "model_dump"):  # numpy's scalars and arrays; pydantic's models
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            if name == "tolist" and getattr(value, "ndim", None) and value.size * ITEM > left:  # type: ignore[attr-defined]
                return _front_of(value, left)
            return method()
    if isinstance(value, Iterable) and isinstance(value, Sized) and not isinstance(value, type):
        # One more than are kept, so that whoever walks the list sees that there are more.
        return list(islice(value, max(0, left) // ITEM + 1))
    return text(value)


def _front_of(array: Any, left: int) -> list[Any]:
    """As much of a large array as may be kept, along its first axis."""
    _say_cut()
    rows = max(0, left) // ITEM * len(array) // array.size
    return [*array[:rows].tolist(), CUT]


_SIMPLIFIED: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.value),
    ((bytes, bytearray), text),
    ((date, time), lambda value: value.isoformat()),
    (Mapping, lambda value: dict(_items(value))),
    (Set, list),
)


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_once)


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
