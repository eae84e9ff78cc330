"""Converts attribute values to builtin types, and to the text in the map columns of ``otel_traces``; pure.

In: any value that the SDK lets through. Out: its text exactly as the collector writes it, so that both routes give the same rows.
On failure: it cannot fail: every such value has a text.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from genesis_otel._emit.values import text

Attributes = Mapping[str, Any]
"""A span's attributes."""


def text_of(attributes: Attributes, key: str) -> str:
    """An attribute that is a text; empty if there is none."""
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


TOO_DEEP = "… [nested too deeply]"
"""The mark in place of a value that has too many levels to be written."""

PLAIN = frozenset({str, bool, int, float, bytes, type(None)})


def plain(value: Any) -> Any:
    """``value`` as builtin types: numpy's float and an enumeration of str convert themselves differently, and a pickle would name them."""
    if type(value) in PLAIN:
        return value
    # Lists before mappings, which take longer to recognise.
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    if isinstance(value, Mapping):
        return {plain(name): plain(of) for name, of in value.items()}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return bytes(value) if isinstance(value, bytes) else str(value)


def value_text(value: object) -> str:
    """An attribute's value as the collector's ``pcommon.Value.AsString`` writes it.

    https://pkg.go.dev/go.opentelemetry.io/collector/pdata/pcommon#Value.AsString
    """
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int_text(value)
    if isinstance(value, str):
        return text(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if type(value) is tuple and all(type(each) is str for each in value):
        encoded = f"[{','.join([encode_basestring(text(each)) for each in value])}]"
    else:
        try:
            encoded = json_text(value)
        except RecursionError:
            return TOO_DEEP
    # Go's encoder escapes the two line separators that are invalid in JavaScript strings.
    return encoded.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def in_64_bits(value: int) -> bool:
    """Whether OTLP has this integer: others are sent as text."""
    return -(1 << 63) <= value < 1 << 63


def int_text(value: int) -> str:
    """An integer as decimal digits, or as hexadecimal ones if Python refuses to convert it (over 4,300 digits)."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def float_text(value: float) -> str:
    """A float as in JavaScript: the shortest text that round-trips, with exponents from 1e21 and below 1e-6."""
    shortest = repr(value)
    if "e" not in shortest and "n" not in shortest:
        # The usual case: from 1e-4 to 1e16.
        return shortest.removesuffix(".0")
    if not math.isfinite(value):
        # Older collectors write "json: unsupported value: +Inf"; the views read both.
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value and not 1e-6 <= abs(value) < 1e21:
        # repr has an exponent from 1e16 and below 1e-4, so always here.
        mantissa, _, exponent = shortest.partition("e")
        sign, digits = ("-" if exponent[0] == "-" else "+"), exponent.lstrip("+-0")
        return f"{mantissa.removesuffix('.0')}e{sign}{digits}"
    # Imported here since it is rarely needed, and every search imports this module.
    from decimal import Decimal

    return format(Decimal(shortest), "f").removesuffix(".0")


JSON_OF: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, lambda value: json.dumps(text(value), ensure_ascii=False)),
    (bool, lambda value: "true" if value else "false"),
    # What reaches a collector as text is text in its JSON.
    (int, lambda value: int_text(value) if in_64_bits(value) else f'"{int_text(value)}"'),
    (float, lambda value: float_text(value) if math.isfinite(value) else json.dumps(float_text(value))),
    # Of none at all Go makes null.
    (bytes, lambda value: json.dumps(base64.b64encode(value).decode()) if value else "null"),
    (
        Mapping,
        lambda value: "{" + ",".join(f"{json_text(str(key))}:{json_text(value[key])}" for key in sorted(value)) + "}",
    ),
    (Sequence, lambda value: "[" + ",".join(map(json_text, value)) + "]"),
)


def json_text(value: object) -> str:
    """A nested attribute value as JSON, with sorted keys and without spaces."""
    return next((write(value) for kind, write in JSON_OF if isinstance(value, kind)), "null")
