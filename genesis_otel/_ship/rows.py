"""Spans as columns of ``otel_traces``; pure.

In: flat spans (``_codec``). Out: a list of values a column, in the layout of the collector's clickhouseexporter 0.161,
with attribute values as text exactly as the collector writes them, so that both ways give the same rows.
On failure: there is none: every attribute that the SDK lets through has a text, and clocks are brought into range.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

from genesis_otel._emit.values import text
from genesis_otel._ship.codec import Flat, resource_of, scope_of

LAST_NS = 2**63 - 1
"""The last nanosecond that a DateTime64(9) holds, in the year 2262."""

KINDS = {kind.value: kind.name.capitalize() for kind in SpanKind}
CODES = {code.value: code.name.capitalize() for code in StatusCode}


def columns(spans: Sequence[Flat]) -> dict[str, list[Any]]:
    """The columns of ``otel_traces`` for ``spans``, by name: as many values each as there are spans."""
    contexts, parents, names, kinds, starts, ends, codes, descriptions, values, events, links, resources, scopes = zip(
        *spans, strict=True
    )
    begun = [clock(start) for start in starts]
    resource = [_resource(record) for record in resources]
    scope = [_scope(record) for record in scopes]
    return {
        "Timestamp": begun,
        "TraceId": ["%032x" % context[0] if context else "" for context in contexts],
        "SpanId": ["%016x" % context[1] if context else "" for context in contexts],
        "ParentSpanId": ["%016x" % parent[1] if parent else "" for parent in parents],
        "TraceState": [text(context[4]) if context else "" for context in contexts],
        "SpanName": [text(name) for name in names],
        "SpanKind": [KINDS[kind] for kind in kinds],
        "ServiceName": [of.get("service.name", "") for of in resource],
        "ResourceAttributes": resource,
        "ScopeName": [name for name, _ in scope],
        "ScopeVersion": [version for _, version in scope],
        "SpanAttributes": [attributes(of) for of in values],
        "Duration": [max(0, clock(end) - start) for start, end in zip(begun, ends, strict=True)],
        "StatusCode": [CODES[code] for code in codes],
        "StatusMessage": [text(description) if description else "" for description in descriptions],
        **_events(events),
        **_links(links),
    }


def _events(events: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {
        "Events.Timestamp": [[clock(at) for _, at, _ in of] for of in events],
        "Events.Name": [[text(name) for name, _, _ in of] for of in events],
        "Events.Attributes": [[attributes(told) for _, _, told in of] for of in events],
    }


def _links(links: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    return {
        "Links.TraceId": [["%032x" % context[0] for context, _ in of] for of in links],
        "Links.SpanId": [["%016x" % context[1] for context, _ in of] for of in links],
        "Links.TraceState": [[text(context[4]) for context, _ in of] for of in links],
        "Links.Attributes": [[attributes(told) for _, told in of] for of in links],
    }


@lru_cache(maxsize=256)
def _resource(record: bytes) -> dict[str, str]:
    return attributes(resource_of(record).attributes)


@lru_cache(maxsize=256)
def _scope(record: bytes) -> tuple[str, str]:
    scope = scope_of(record)
    return (text(scope.name), text(scope.version or "")) if scope else ("", "")


def clock(nanoseconds: int | None) -> int:
    """A time in nanoseconds since 1970, within what the column holds; 0 where there is none."""
    return min(max(nanoseconds or 0, 0), LAST_NS)


def attributes(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Attributes as the text that the map columns hold."""
    found = {}
    for name, value in (values or {}).items():
        # By far the most are ASCII text and floats; this loop is a third of what a span costs on its way to a row.
        kind = type(value)
        if kind is str:
            if not value.isascii():
                value = text(value)
        else:
            value = float_text(value) if kind is float else value_text(value)
        found[name if name.isascii() else text(name)] = value
    return found


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
    # Go's encoder escapes the two line separators that JavaScript trips over.
    encoded = json_text(value)
    for character in "\u2028\u2029":
        encoded = encoded.replace(character, f"\\u{ord(character):04x}")
    return encoded


def int_text(value: int) -> str:
    """Decimal digits; Python refuses to write integers of over 4,300 of them, which go out in hexadecimal."""
    try:
        return str(value)
    except ValueError:
        return hex(value)


def float_text(value: float) -> str:
    """A number as in JavaScript: the shortest text that reads back the same, exponents from 1e21 and below 1e-6."""
    shortest = repr(value)
    if "e" not in shortest and "n" not in shortest:
        # By far the most: from 1e-4 to 1e16.
        return shortest.removesuffix(".0")
    if not math.isfinite(value):
        # Older collectors have "json: unsupported value: +Inf"; the views read both.
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value and not 1e-6 <= abs(value) < 1e21:
        # repr has an exponent from 1e16 and below 1e-4, so always here.
        mantissa, _, exponent = shortest.partition("e")
        sign, digits = ("-" if exponent[0] == "-" else "+"), exponent.lstrip("+-0")
        return f"{mantissa.removesuffix('.0')}e{sign}{digits}"
    return format(Decimal(shortest), "f").removesuffix(".0")


JSON_OF: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, lambda value: json.dumps(text(value), ensure_ascii=False)),
    (bool, lambda value: "true" if value else "false"),
    (int, int_text),
    (float, lambda value: float_text(value) if math.isfinite(value) else json.dumps(float_text(value))),
    (bytes, lambda value: json.dumps(base64.b64encode(value).decode())),
    (
        Mapping,
        lambda value: "{" + ",".join(f"{json_text(str(key))}:{json_text(value[key])}" for key in sorted(value)) + "}",
    ),
    (Sequence, lambda value: "[" + ",".join(map(json_text, value)) + "]"),
)


def json_text(value: object) -> str:
    """A nested attribute value as JSON, its objects' keys sorted, without spaces."""
    return next((write(value) for kind, write in JSON_OF if isinstance(value, kind)), "null")
