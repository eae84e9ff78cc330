"""OTLP protobuf from our own encoder: the same messages as OpenTelemetry's encoder, byte for byte."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context
from opentelemetry.trace.span import TraceState

from genesis_otel._ship.encoding import rows
from genesis_otel._ship.encoding.codec import encode, flatten, inflate, load
from genesis_otel._ship.encoding.otlp_bytes import request_body
from tests.ship.test_codec import ATTRIBUTES, TEXT, span
from tests.support import golden

OTHER = SpanContext(2**127 + 7, 2**63 + 9, True, TraceFlags(TraceFlags.SAMPLED), TraceState([("vendor", "x")]))


def ended(emit: Callable[[Tracer], None], **resource: Any) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(resource, "https://schema"), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    emit(provider.get_tracer("scope", "1.0", "https://other", {"of": "scope"}))
    return list(kept.get_finished_spans())


def theirs(spans: list[ReadableSpan]) -> bytes:
    """OpenTelemetry's encoding of spans that went through the spool, plus the links' trace states, which it leaves
    out."""
    inflated = [inflate(load(encode(each))) for each in spans]
    request = encode_spans(inflated)
    written = [each for of in request.resource_spans for scope in of.scope_spans for each in scope.spans]
    by_id = {(context.trace_id, context.span_id): each for each in inflated if (context := each.context)}
    for each in written:
        links = by_id[int.from_bytes(each.trace_id, "big"), int.from_bytes(each.span_id, "big")].links
        for link, of_link in zip(each.links, links, strict=True):
            link.trace_state = of_link.context.trace_state.to_header()
    body: bytes = request.SerializeToString()
    return body


def ours(spans: list[ReadableSpan]) -> bytes:
    return request_body([load(encode(each)) for each in spans])


@pytest.mark.parametrize("case", golden.CASES, ids=lambda case: case.name)
def test_golden_spans_are_encoded_as_by_opentelemetry(case: golden.Case) -> None:
    """Each golden case, with every kind of value, name, event and link, is encoded to the same bytes."""
    spans = ended(case.emit, **{"service.name": "search", "list": ["a", "b"]})
    assert spans
    assert ours(spans) == theirs(spans)


@settings(max_examples=150, deadline=None)
@given(name=TEXT, attributes=ATTRIBUTES, description=TEXT)
def test_any_span_is_encoded_as_by_opentelemetry(name: str, attributes: dict[str, Any], description: str) -> None:
    """Any span that the SDK allows within OTLP's bounds is encoded to the same bytes; values beyond them are the next
    test's."""
    made = span(name, bounded(attributes), [("event", bounded(attributes)), ("", {})], description, (1, 2**63 - 1))
    assert ours([made]) == theirs([made])


def bounded(value: Any) -> Any:
    """``value`` with its integers in 64 bits, and no infinity within a list or a mapping."""
    if isinstance(value, dict):
        return {name: bounded(of) for name, of in value.items() if not isinstance(of, float) or math.isfinite(of)}
    if isinstance(value, list):
        return [bounded(each) for each in value if not isinstance(each, float) or math.isfinite(each)]
    if type(value) is int:
        return (value + 2**63) % 2**64 - 2**63
    return value


def test_spans_stay_with_their_resource_and_scope() -> None:
    """Also in a batch with other processes' spans: each resource is there once, with each scope and its spans below
    it."""

    def emit(tracer: Tracer) -> None:
        for name in "ab":
            tracer.start_span(name).end()

    spans = ended(emit, process=1) + ended(emit, process=2) + ended(golden.of_every_kind, process=1)
    assert ours(spans) == theirs(spans)
    assert len(ExportTraceServiceRequest.FromString(ours(spans)).resource_spans) == 2


def test_a_parent_in_another_process_is_marked_as_remote() -> None:
    """The parent's id and whether it belongs to another process are in the message, and so is the trace state."""

    def emit(tracer: Tracer) -> None:
        tracer.start_span("child", set_span_in_context(NonRecordingSpan(OTHER)), links=[Link(OTHER)]).end()

    spans = ended(emit)
    assert ours(spans) == theirs(spans)
    (made,) = ExportTraceServiceRequest.FromString(ours(spans)).resource_spans[0].scope_spans[0].spans
    assert made.parent_span_id == OTHER.span_id.to_bytes(8, "big")
    assert made.flags == 0x300
    assert made.links[0].trace_state == "vendor=x"


def test_an_integer_beyond_64_bits_arrives_as_its_digits() -> None:
    """OTLP cannot hold it; OpenTelemetry's encoder drops the attribute, or the whole list that contains such a number."""
    made = span("big", {"n": 2**64, "negative": -(2**63) - 1, "list": [1, 2**64]}, [], "", (1, 2))
    (written,) = ExportTraceServiceRequest.FromString(ours([made])).resource_spans[0].scope_spans[0].spans
    told = {each.key: each.value for each in written.attributes}
    assert told["n"].string_value == str(2**64)
    assert told["negative"].string_value == str(-(2**63) - 1)
    assert [(each.int_value, each.string_value) for each in told["list"].array_value.values] == [
        (1, ""),
        (0, str(2**64)),
    ]


@pytest.mark.parametrize("at", [-1, -(2**70), 2**63, 2**64 - 1, 2**64, 2**70])
def test_a_time_out_of_range_is_sent_as_in_a_row(at: int) -> None:
    """A wrong clock loses no span on its way to a collector, and it has the times that it has on the direct path."""
    flat = flatten(span("odd", {}, [("event", {})], "", (1, 2)))
    made = inflate((*flat[:4], at, at, *flat[6:9], [("event", at, {})], *flat[10:]))
    (written,) = ExportTraceServiceRequest.FromString(ours([made])).resource_spans[0].scope_spans[0].spans
    row = rows.fields(rows.encode(made))
    assert (written.start_time_unix_nano, written.end_time_unix_nano) == (row["Timestamp"],) * 2
    assert [event.time_unix_nano for event in written.events] == row["Events.Timestamp"]


def test_what_json_lacks_is_sent_as_text_within_others() -> None:
    """A collector stores a list or mapping as JSON, and an empty text if a NaN or infinity is within: it has them by the names that
    they have on the direct path, and a number on its own remains a number."""
    told = {"scores": [0.5, math.nan, -math.inf], "best": {"deep": [{"a": math.inf}]}, "alone": math.inf}
    made = span("odd", told, [], "", (1, 2))
    (written,) = ExportTraceServiceRequest.FromString(ours([made])).resource_spans[0].scope_spans[0].spans
    sent = {each.key: each.value for each in written.attributes}
    assert [each.string_value for each in sent["scores"].array_value.values] == ["", "NaN", "-Infinity"]
    (deep,) = sent["best"].kvlist_value.values[0].value.array_value.values
    assert deep.kvlist_value.values[0].value.string_value == "Infinity"
    assert sent["alone"].double_value == math.inf
    row = rows.fields(rows.encode(made))["SpanAttributes"]
    assert (row["scores"], row["best"]) == ('[0.5,"NaN","-Infinity"]', '{"deep":[{"a":"Infinity"}]}')


def test_no_spans_make_an_empty_request() -> None:
    """The request of a connection check decodes as a request without spans."""
    assert request_body([]) == b""
    assert not ExportTraceServiceRequest.FromString(request_body([])).resource_spans
