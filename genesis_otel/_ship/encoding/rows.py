"""Encodes a span as one row of ``otel_traces``, in the bytes that ClickHouse reads (RowBinary), and decodes it again.

In: the SDK's readable spans. Out: records for a spool, each a byte for the encoding and then the row, in the layout of the
collector's clickhouseexporter 0.161; joined without that byte they are the body of an insert. Attribute values have become text
by then: :func:`decode` returns what a row holds, without the types. On failure: ``encode`` does not fail, clocks are clamped to the
valid range; ``decode`` and ``fields`` raise ValueError for bytes that are not a row.

https://clickhouse.com/docs/interfaces/formats/RowBinary
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from genesis_otel._emit.values import text
from genesis_otel._ship.encoding.attribute_text import TOO_DEEP, float_text, int_text, plain, value_text
from genesis_otel._ship.encoding.varint import SMALL, read_varint, varint

MARK = 1
"""The first byte of a record that is a row with :data:`COLUMNS`. Changing them requires another mark; a pickle begins with 0x80."""

COLUMNS = {
    # Fixed sizes first: they identify a batch (:func:`head`), and delivery reads nothing else of a row.
    "Timestamp": "DateTime64(9)",
    "Duration": "UInt64",
    "TraceId": "String",
    "SpanId": "String",
    "ParentSpanId": "String",
    "SpanKind": "String",
    "StatusCode": "String",
    "SpanName": "String",
    "StatusMessage": "String",
    "TraceState": "String",
    "ServiceName": "String",
    "ResourceAttributes": "Map(String, String)",
    "ScopeName": "String",
    "ScopeVersion": "String",
    "SpanAttributes": "Map(String, String)",
    "Events.Timestamp": "Array(DateTime64(9))",
    "Events.Name": "Array(String)",
    "Events.Attributes": "Array(Map(String, String))",
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": "Array(Map(String, String))",
}
"""The columns of a row, in order, with the types as which their bytes are read."""

LAST_NS = 2**63 - 1
"""The last nanosecond that a DateTime64(9) holds, in the year 2262."""

KINDS = [kind.name.capitalize() for kind in sorted(SpanKind, key=lambda kind: kind.value)]
CODES = [code.name.capitalize() for code in sorted(StatusCode, key=lambda code: code.value)]
HEAD = struct.Struct("<BqQB32sB16s")
"""The mark, start, duration, and both ids with their lengths."""
NO_HEAD = struct.Struct("<BqQ2s")
"""The same for a span without ids."""
_TIME = struct.Struct("<q").pack
KEPT = 4096
"""Maximum names, resources and scopes whose bytes are cached; a search has a few hundred."""
LONGEST_KEPT = 200
"""Maximum characters of a cached name."""


class Head(NamedTuple):
    """What identifies a span."""

    trace_id: str
    span_id: str
    begun: int
    duration: int


# --- to bytes ---------------------------------------------------------------------------------------------------------


def encode(span: ReadableSpan) -> bytes:
    """``span`` as a record; about 12 µs with 14 attributes."""
    context, parent, status, start, end = span.context, span.parent, span.status, span.start_time, span.end_time
    begun = clock(start)
    duration = max(0, clock(end) - begun)
    if context is None:
        head, state = NO_HEAD.pack(MARK, begun, duration, b"\0\0"), None
    else:
        ids = b"%032x" % context.trace_id, b"%016x" % context.span_id
        head, state = HEAD.pack(MARK, begun, duration, 32, ids[0], 16, ids[1]), context.trace_state
    parts = [
        head,
        b"\x10%016x" % parent.span_id if parent else b"\0",
        STATES[span.kind._value_, status.status_code._value_],
        _name(span.name),
        _string(status.description) if status.description else b"\0",
        _string(state.to_header()) if state else b"\0",
        _kept(span.resource, _resource),
        _kept(span.instrumentation_scope, _scope),
    ]
    _add(span.attributes, parts)
    events, links = span.events, span.links
    if events:
        size = _SIZES[len(events)]
        parts += (size, *[_TIME(clock(event.timestamp)) for event in events])
        parts += (size, *[_name(event.name) for event in events])
        parts.append(size)
        for event in events:
            _add(event.attributes, parts)
    else:
        parts.append(b"\0\0\0")
    if links:
        size, contexts = varint(len(links)), [link.context for link in links]
        parts += (size, *[b"\x20%032x" % of.trace_id for of in contexts])
        parts += (size, *[b"\x10%016x" % of.span_id for of in contexts])
        parts += (size, *[_string(of.trace_state.to_header()) if of.trace_state else b"\0" for of in contexts])
        parts.append(size)
        for link in links:
            _add(link.attributes, parts)
    else:
        parts.append(b"\0\0\0\0")
    return b"".join(parts)


def clock(nanoseconds: int | None) -> int:
    """A time in nanoseconds since 1970, clamped to the column's range; 0 if there is none."""
    if nanoseconds is not None and 0 <= nanoseconds <= LAST_NS:
        return nanoseconds
    return min(max(nanoseconds or 0, 0), LAST_NS)


def _string(value: object) -> bytes:
    data = text(value).encode()
    return varint(len(data)) + data


STATES = {
    (kind, code): _string(KINDS[kind]) + _string(CODES[code])
    for kind in range(len(KINDS))
    for code in range(len(CODES))
}


class _Names(dict[str, bytes]):
    """Names as strings of a row; UnicodeEncodeError for one that UTF-8 cannot represent, whose escaped form may equal another name."""

    def __missing__(self, name: str) -> bytes:
        data = name.encode()
        found = varint(len(data)) + data
        if len(name) <= LONGEST_KEPT:
            if len(self) >= KEPT:
                self.clear()
            self[name] = found
        return found


_NAMES = _Names()


class _Sizes(dict[int, bytes]):
    """Lengths as varints: short ones are in it, longer ones are computed."""

    def __missing__(self, size: int) -> bytes:
        return bytes((size & 0x7F | 0x80, size >> 7)) if size < 1 << 14 else varint(size)


_SIZES = _Sizes(enumerate(SMALL))


def _name(value: object) -> bytes:
    try:
        return _NAMES[value] if type(value) is str else _string(value)
    except UnicodeEncodeError:
        return _string(value)


def _add(attributes: Mapping[str, Any] | None, parts: list[bytes]) -> None:
    """Add attributes as a map of texts to the parts of a row: a prompt is copied once, with the whole row."""
    if type(attributes) is dict:
        found: Mapping[str, Any] = attributes
    else:
        # The SDK's own mapping is quick to copy but slow to iterate: a microsecond per attribute.
        copy = getattr(attributes, "copy", None)
        found = copy() if copy is not None else attributes or {}
    before = len(parts)
    parts.append(_SIZES[len(found)])
    try:
        # A plain loop: most events have two attributes, for which iterators take longer to set up than to run.
        for name, value in found.items():
            if type(value) is str:
                data = value.encode()
            elif type(value) is float:
                data = float_text(value).encode()
            else:
                data = _value(value)
            parts += (_NAMES[name], _SIZES[len(data)], data)
    except UnicodeEncodeError:
        del parts[before:]
        _add({text(name): value_text(plain(value)) for name, value in found.items()}, parts)


def _value(value: Any) -> bytes:
    if type(value) is int:
        return int_text(value).encode()
    try:
        return value_text(plain(value)).encode()
    except RecursionError:
        return TOO_DEEP.encode()


_KEPT: dict[int, tuple[Resource | InstrumentationScope, bytes]] = {}
"""Columns of resources and scopes, by identity (hashing a resource takes 3 µs); a process has a handful."""


def _kept(thing: Any, made: Callable[[Any], bytes]) -> bytes:
    known = _KEPT.get(id(thing))
    if known is not None and known[0] is thing:
        return known[1]
    if len(_KEPT) > KEPT:
        _KEPT.clear()
    found = made(thing)
    _KEPT[id(thing)] = thing, found
    return found


def _resource(resource: Resource) -> bytes:
    service = resource.attributes.get("service.name")
    parts = [_string(value_text(plain(service)))]
    _add(resource.attributes, parts)
    return b"".join(parts)


def _scope(scope: InstrumentationScope | None) -> bytes:
    return _string(scope.name) + _string(scope.version or "") if scope else b"\0\0"


# --- from bytes -------------------------------------------------------------------------------------------------------


def see(record: bytes) -> None:
    """Check that a record begins like a row: checking more would cost as much as reading it, and its bytes have a checksum.

    :raises ValueError: ``record`` is not a row.
    """
    if len(record) <= HEAD.size or (record[0], record[17], record[50]) != (MARK, 32, 16):
        head(record)


def head(record: bytes) -> Head:
    """What identifies the span of a record.

    :raises ValueError: ``record`` is not a row.
    """
    if len(record) > HEAD.size:
        mark, begun, duration, of_trace, trace_id, of_span, span_id = HEAD.unpack_from(record)
        if (mark, of_trace, of_span) == (MARK, 32, 16):
            return Head(trace_id.decode("latin-1"), span_id.decode("latin-1"), begun, duration)
    if len(record) > NO_HEAD.size:
        mark, begun, duration, lengths = NO_HEAD.unpack_from(record)
        if (mark, lengths) == (MARK, b"\0\0"):
            return Head("", "", begun, duration)
    raise ValueError("not a span: another encoding")


def fields(record: bytes) -> dict[str, Any]:
    """The values of a row by column: times in nanoseconds, maps as dictionaries.

    :raises ValueError: ``record`` is not a row.
    """
    head(record)
    try:
        found, at = {}, 1
        for name, kind in COLUMNS.items():
            found[name], at = _read(record, at, kind)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise ValueError(f"not a span: {type(error).__name__}") from error
    if at != len(record):
        raise ValueError(f"not a span: {len(record) - at} bytes more than a row")
    return found


def decode(record: bytes) -> ReadableSpan:
    """The span of a record, as far as a row preserves it: every value is text.

    :raises ValueError: ``record`` is not a row.
    """
    row = fields(record)
    trace_id = int(row["TraceId"] or "0", 16)
    context = _context(row["TraceId"], row["SpanId"], row["TraceState"]) if row["TraceId"] else None
    links = zip(row["Links.TraceId"], row["Links.SpanId"], row["Links.TraceState"], strict=True)
    status = StatusCode(CODES.index(row["StatusCode"]))
    return ReadableSpan(
        name=row["SpanName"],
        context=context,
        parent=SpanContext(trace_id, int(row["ParentSpanId"], 16), True) if row["ParentSpanId"] else None,
        resource=Resource(row["ResourceAttributes"]),
        attributes=row["SpanAttributes"],
        events=[
            Event(name, attributes, at)
            for name, attributes, at in zip(
                row["Events.Name"], row["Events.Attributes"], row["Events.Timestamp"], strict=True
            )
        ],
        links=[Link(_context(*of), attributes) for of, attributes in zip(links, row["Links.Attributes"], strict=True)],
        kind=SpanKind(KINDS.index(row["SpanKind"])),
        status=Status(status, row["StatusMessage"] or None),
        start_time=row["Timestamp"],
        end_time=row["Timestamp"] + row["Duration"],
        instrumentation_scope=InstrumentationScope(row["ScopeName"], row["ScopeVersion"] or None)
        if row["ScopeName"]
        else None,
    )


def _context(trace_id: str, span_id: str, state: str) -> SpanContext:
    # Only sampled spans end up in a spool.
    flags = TraceFlags(TraceFlags.SAMPLED)
    trace_state = TraceState.from_header([state]) if state else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), False, flags, trace_state)


def _read(data: bytes, at: int, kind: str) -> tuple[Any, int]:
    """The value that begins at an offset, and the offset of its end."""
    if kind in INTEGERS:
        return INTEGERS[kind].unpack_from(data, at)[0], at + 8
    size, at = read_varint(data, at)
    if kind == "String":
        end = at + size
        if end > len(data):
            raise IndexError(end)
        return data[at:end].decode(), end
    if kind.startswith("Map"):
        pairs: dict[str, str] = {}
        for _ in range(size):
            name, at = _read(data, at, "String")
            pairs[name], at = _read(data, at, "String")
        return pairs, at
    values: list[Any] = []
    for _ in range(size):
        value, at = _read(data, at, kind.removeprefix("Array(").removesuffix(")"))
        values.append(value)
    return values, at


INTEGERS = {"DateTime64(9)": struct.Struct("<q"), "UInt64": struct.Struct("<Q")}
