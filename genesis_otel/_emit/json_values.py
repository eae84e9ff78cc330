"""Writes any Python value as JSON, within bounds.

In: whatever a search passes: configurations, metrics, arrays, models, cycles. Out: JSON text of what it holds, exact where JSON can express it
and as text where it cannot; what exceeds :data:`MOST` characters is left out, with a mark in its place and one warning. On failure:
the value becomes text; nothing here raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set, Sized
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from itertools import islice
from json.encoder import encode_basestring
from typing import Any

from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import text
from genesis_otel._log import warn_once

DEEPEST = 100
"""Levels of nesting that JSON keeps as structure; deeper ones become text."""

MOST = 16 << 20
"""Maximum characters of a structured value, counted before they are copied: a ``range(10**8)`` in a configuration would take 5 GB as a
list. The rest is left out, with a mark in its place."""

ITEM = 16
"""How many characters an item counts as: a million items are kept, which takes a second and 40 MB."""

CUT = "… [more is left out]"
"""The mark in place of further items."""


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
    kept = _whole_words(value[:MOST])
    left_out = len(value) - len(kept)
    return f"{kept}… [{left_out:,} more characters]", left_out


def _whole_words(text: str) -> str:
    """A text that was cut, without its last word: half a secret does not look like one."""
    return text[: len(text) - len(_LAST_WORD.findall(text[-1024:])[0])]


_LAST_WORD = re.compile(r"[^\s\"'\\]*$")


def _kept(value: str, left: list[int]) -> str:
    room = max(0, left[0])
    left[0] -= len(value)
    if len(value) <= room:
        return str.__str__(value)
    _say_cut()
    kept = _whole_words(str.__str__(value)[:room])
    return f"{kept}… [{len(value) - len(kept):,} more characters]"


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
    if isinstance(key, float):
        # As JSON's encoder writes it.
        return float.__repr__(key) if math.isfinite(key) else _non_finite(key)
    return str(plain(key)) if isinstance(key, str) else text(key)


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
