"""Encodes a span as a tuple of plain values and as bytes, and decodes it again, without loss.

In: the SDK's readable spans. Out: *flat* spans, tuples of plain values, which pickle writes fast, and which can be read without
loading any class, so that a spool cannot contain code. Spans on their way to a collector, which has typed values, are stored in this
form; those on their way to ClickHouse are rows (``rows``) since 0.2.0. On failure: ValueError for bytes that are not a span.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from genesis_otel._emit.values import text
from genesis_otel._ship.encoding.attribute_text import PLAIN, plain

Context: TypeAlias = tuple[int, int, int, bool, str]
"""Trace id, span id, flags, whether it is remote, trace state in header form."""

Flat: TypeAlias = tuple[Any, ...]
"""A span: context or None, parent's context or None, name, kind, start and end in ns, status code, its description,
attributes, events as (name, ns, attributes), links as (context, attributes), resource and scope as bytes."""

KINDS = {kind: kind.value for kind in SpanKind}
KIND_OF = {kind.value: kind for kind in SpanKind}
CODES = {code: code.value for code in StatusCode}
PICKLE_PROTOCOL = 5


def flatten(span: ReadableSpan) -> Flat:
    """``span`` as plain values."""
    context, parent, status, events, links = span.context, span.parent, span.status, span.events, span.links
    return (
        _context(context) if context else None,
        _context(parent) if parent else None,
        plain(span.name),
        KINDS[span.kind],
        span.start_time,
        span.end_time,
        CODES[status.status_code],
        plain(status.description),
        _attributes(span.attributes),
        [(plain(event.name), event.timestamp, _attributes(event.attributes)) for event in events] if events else (),
        [(_context(link.context), _attributes(link.attributes)) for link in links] if links else (),
        _resource_bytes(span.resource),
        _scope_bytes(span.instrumentation_scope),
    )


def inflate(flat: Flat) -> ReadableSpan:
    """The span that :func:`flatten` was given."""
    context, parent, name, kind, start, end, code, description, attributes, events, links, resource, scope = flat
    return ReadableSpan(
        name=name,
        context=_context_of(context) if context else None,
        parent=_context_of(parent) if parent else None,
        resource=resource_of(resource),
        attributes=attributes,
        events=[Event(event, of_event, at) for event, at, of_event in events],
        links=[Link(_context_of(linked), of_link) for linked, of_link in links],
        kind=KIND_OF[kind],
        status=Status(StatusCode(code), description),
        start_time=start,
        end_time=end,
        instrumentation_scope=scope_of(scope),
    )


def encode(span: ReadableSpan) -> bytes:
    """``span`` as bytes; about 10 µs with 14 attributes."""
    return pickle.dumps(flatten(span), PICKLE_PROTOCOL)


def load(record: bytes) -> Flat:
    """The flat span that :func:`encode` wrote.

    Lone surrogates, which exporters cannot write as UTF-8, come back as escapes, ``\\udc80``.

    :raises ValueError: ``record`` is not a span.
    """
    try:
        flat: Flat = _load(record)
        if len(flat) != 13 or type(flat) is not tuple:
            raise ValueError("not a flat span")  # noqa: TRY301 - the text is lost; only the type is reported
    except Exception as error:
        raise ValueError(f"not a span: {type(error).__name__}") from error
    return _utf8(flat) if _SURROGATE.search(record) else flat


def decode(record: bytes) -> ReadableSpan:
    """The span that :func:`encode` was given, as :func:`load` reads it.

    :raises ValueError: ``record`` is not a span.
    """
    flat = load(record)
    try:
        return inflate(flat)
    except Exception as error:
        raise ValueError(f"not a span: {type(error).__name__}") from error


# A surrogate in a pickle. The bytes may also occur elsewhere; then the check of the strings finds nothing.
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain values and refuses every class and function."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"a span must not contain {module}.{name}")


def _load(record: bytes) -> Any:
    return _PlainUnpickler(io.BytesIO(record)).load()


def _context(context: SpanContext) -> Context:
    state = context.trace_state
    return (
        context.trace_id,
        context.span_id,
        int(context.trace_flags),
        context.is_remote,
        state.to_header() if state else "",
    )


def _context_of(values: Context) -> SpanContext:
    trace_id, span_id, flags, is_remote, state = values
    return SpanContext(
        trace_id, span_id, is_remote, TraceFlags(flags), TraceState.from_header([state]) if state else None
    )


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    # The SDK's own mapping is quick to copy but slow to iterate: a microsecond per attribute.
    copy = getattr(attributes, "copy", None)
    found = copy() if copy is not None else attributes
    if type(found) is not dict:
        found = dict(found or {})
    for name, value in found.items():
        if type(value) not in PLAIN or type(name) is not str:
            return {plain(name): plain(value) for name, value in found.items()}
    return found


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {_utf8(name): _utf8(of) for name, of in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_utf8, value))
    return value


_BYTES: dict[int, tuple[Resource | InstrumentationScope, bytes]] = {}
"""Resources and scopes as bytes, by identity (hashing a resource takes 3 µs); a process has a handful."""


def _cached(thing: Resource | InstrumentationScope, values: Callable[[Any], tuple[Any, ...]]) -> bytes:
    known = _BYTES.get(id(thing))
    if known is not None and known[0] is thing:
        return known[1]
    if len(_BYTES) > 1000:
        _BYTES.clear()
    made = pickle.dumps(values(thing), PICKLE_PROTOCOL)
    _BYTES[id(thing)] = thing, made
    return made


def _resource_bytes(resource: Resource) -> bytes:
    return _cached(resource, lambda of: (_attributes(of.attributes), of.schema_url))


@lru_cache(maxsize=256)
def resource_of(record: bytes) -> Resource:
    """The resource of a flat span; the same object for the same bytes."""
    attributes, schema_url = _utf8(_load(record))
    return Resource(attributes, schema_url)


def _scope_bytes(scope: InstrumentationScope | None) -> bytes:
    if scope is None:
        return b""
    return _cached(scope, lambda of: (of.name, of.version, of.schema_url, _attributes(of.attributes)))


@lru_cache(maxsize=256)
def scope_of(record: bytes) -> InstrumentationScope | None:
    """The instrumentation scope of a flat span."""
    if not record:
        return None
    name, version, schema_url, attributes = _utf8(_load(record))
    return InstrumentationScope(name, version, schema_url, attributes)
