"""Spans as bytes: whatever the SDK allows in a span is restored."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from genesis_otel._ship.encoding.codec import decode, encode

# Including lone surrogates, which UTF-8 cannot encode.
TEXT = st.text(st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    name=TEXT,
    attributes=ATTRIBUTES,
    events=st.lists(st.tuples(TEXT, ATTRIBUTES), max_size=3),
    description=TEXT,
    times=st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)),
)
def test_any_span_comes_back(
    name: str,
    attributes: dict[str, Any],
    events: list[tuple[str, dict[str, Any]]],
    description: str,
    times: tuple[int, int],
) -> None:
    """Names, values of every kind and depth, events, status and times are the same, except that lone surrogates are escaped."""
    before = span(name, attributes, events, description, times)
    after = decode(encode(before))
    assert after.name == escaped(before.name)
    assert dict(after.attributes or {}) == escaped(dict(before.attributes or {}))
    assert [(each.name, dict(each.attributes or {})) for each in after.events] == [
        (escaped(each.name), escaped(dict(each.attributes or {}))) for each in before.events
    ]
    assert after.status.description == escaped(before.status.description)
    assert (after.start_time, after.end_time, after.context) == (before.start_time, before.end_time, before.context)
    repr((after.name, dict(after.attributes or {}), after.status.description)).encode()


def span(
    name: str,
    attributes: dict[str, Any],
    events: list[tuple[str, dict[str, Any]]],
    description: str,
    times: tuple[int, int],
) -> ReadableSpan:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    logging.disable(logging.WARNING)  # the SDK decides which values it rejects
    try:
        span = provider.get_tracer("t").start_span(name, attributes=attributes, start_time=times[0])
        for event, values in events:
            span.add_event(event, values, 1)
        span.set_status(StatusCode.ERROR, description)
        span.end(times[1])
    finally:
        logging.disable(logging.NOTSET)
    return kept.get_finished_spans()[0]


def escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {escaped(name): escaped(of) for name, of in value.items()}
    return tuple(map(escaped, value)) if isinstance(value, tuple) else value
