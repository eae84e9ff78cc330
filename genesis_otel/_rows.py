"""Spans as columns of ``otel_traces``; pure.

In: the SDK's readable spans. Out: a list of values a column, in the layout of the collector's clickhouseexporter 0.161,
with attribute values as text exactly as the collector writes them, so that both ways give the same rows.
On failure: there is none: every attribute that the SDK lets through has a text, and clocks are brought into range.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

LAST_NS = 2**63 - 1
"""The last nanosecond that a DateTime64(9) holds, in the year 2262."""

KINDS = {kind: kind.name.capitalize() for kind in SpanKind}
STATUSES = {code: code.name.capitalize() for code in StatusCode}


def columns(spans: Sequence[ReadableSpan]) -> dict[str, list[Any]]:
    """The columns of ``otel_traces`` for ``spans``, by name: as many values each as there are spans."""
    resources: dict[int, dict[str, str]] = {}
    for span in spans:
        if id(span.resource) not in resources:
            resources[id(span.resource)] = attributes(span.resource.attributes)
    resource = [resources[id(span.resource)] for span in spans]
    contexts = [span.context for span in spans]
    scopes = [span.instrumentation_scope for span in spans]
    # ReadableSpan copies these on each access.
    events = [span.events for span in spans]
    links = [span.links for span in spans]
    return {
        "Timestamp": [clock(span.start_time) for span in spans],
        "TraceId": [format(context.trace_id, "032x") if context else "" for context in contexts],
        "SpanId": [format(context.span_id, "016x") if context else "" for context in contexts],
        "ParentSpanId": [format(span.parent.span_id, "016x") if span.parent else "" for span in spans],
        "TraceState": [text(context.trace_state.to_header()) if context else "" for context in contexts],
        "SpanName": [text(span.name) for span in spans],
        "SpanKind": [KINDS[span.kind] for span in spans],
        "ServiceName": [of.get("service.name", "") for of in resource],
        "ResourceAttributes": resource,
        "ScopeName": [text(scope.name) if scope else "" for scope in scopes],
        "ScopeVersion": [text(scope.version or "") if scope else "" for scope in scopes],
        "SpanAttributes": [attributes(span.attributes) for span in spans],
        "Duration": [max(0, clock(span.end_time) - clock(span.start_time)) for span in spans],
        "StatusCode": [STATUSES[span.status.status_code] for span in spans],
        "StatusMessage": [text(span.status.description or "") for span in spans],
        "Events.Timestamp": [[clock(event.timestamp) for event in of] for of in events],
        "Events.Name": [[text(event.name) for event in of] for of in events],
        "Events.Attributes": [[attributes(event.attributes) for event in of] for of in events],
        "Links.TraceId": [[format(link.context.trace_id, "032x") for link in of] for of in links],
        "Links.SpanId": [[format(link.context.span_id, "016x") for link in of] for of in links],
        "Links.TraceState": [[text(link.context.trace_state.to_header()) for link in of] for of in links],
        "Links.Attributes": [[attributes(link.attributes) for link in of] for of in links],
    }


def clock(nanoseconds: int | None) -> int:
    """A time in nanoseconds since 1970, within what the column holds; 0 where there is none."""
    return min(max(nanoseconds or 0, 0), LAST_NS)


def attributes(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Attributes as the text that the map columns hold."""
    return {
        text(name): text(value) if type(value) is str else value_text(value) for name, value in (values or {}).items()
    }


def text(value: str) -> str:
    """``value`` as UTF-8 can say it: a lone surrogate becomes its escape, ``\\udc80``."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def value_text(value: object) -> str:
    """An attribute's value as the collector's ``pcommon.Value.AsString`` writes it.

    https://pkg.go.dev/go.opentelemetry.io/collector/pdata/pcommon#Value.AsString
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int_text(value)
    if isinstance(value, float):
        return float_text(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    # Go's encoder escapes what is special in HTML, and the two line separators that JavaScript trips over.
    encoded = json_text(value)
    for character in "<>&\u2028\u2029":
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
    if not math.isfinite(value):
        name = "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
        return f"json: unsupported value: {name}"
    if value and not 1e-6 <= abs(value) < 1e21:
        # repr has an exponent from 1e16 and below 1e-4, so always here.
        mantissa, _, exponent = repr(value).partition("e")
        sign, digits = ("-" if exponent[0] == "-" else "+"), exponent.lstrip("+-0")
        return f"{mantissa.removesuffix('.0')}e{sign}{digits}"
    shortest = repr(value)
    if "e" in shortest:
        shortest = format(Decimal(shortest), "f")
    return shortest.removesuffix(".0")


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
