"""Spans of our own provider's tracer: the SDK's in all that others see, and the SDK's own where something is unusual."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, StatusCode

from genesis_otel import attributes as names
from genesis_otel._ship import own_spans, rows
from genesis_otel._ship.own_spans import OwnProvider, OwnSpan
from genesis_otel.configuration import NO_LIMITS


class Counted(IdGenerator):
    """The same ids for each provider."""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    def generate_trace_id(self) -> int:
        return 7


def recorded(
    kind: type[TracerProvider], told: Callable[[trace.Tracer, Any], None], **options: Any
) -> tuple[ReadableSpan, ...]:
    """What ``told`` records below a span of a provider."""
    exporter = InMemorySpanExporter()
    provider = kind(
        **{
            "resource": Resource({"service.name": "s"}),
            "id_generator": Counted(),
            "span_limits": NO_LIMITS,
            "shutdown_on_exit": False,
            **options,
        }
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(names.SCOPE)
    root = tracer.start_span("root", start_time=1)
    told(tracer, trace.set_span_in_context(root))
    return exporter.get_finished_spans()


def plainly(tracer: trace.Tracer, context: Any) -> None:
    span = tracer.start_span("plain", context, start_time=2)
    span.set_attributes({"a": "1", "b": 2, "c": 0.5, "d": True})
    span.set_attributes({"b": 3, "e": "ü"})
    span.add_event("score", {"name": "fitness", "value": 0.5}, 5)
    span.add_event("nothing", None, 6)
    span.end(9)


def with_all(tracer: trace.Tracer, context: Any) -> None:
    span = tracer.start_span("all", context, SpanKind.CLIENT, {"z": 1, "list": ["x"]}, start_time=2)
    span.set_attributes({"z": [1, 2], "none": None, "": "no name", "map": {"x": 1}, "a": "1"})
    span.set_attribute("reasons", ["stop"])
    span.add_event("exception", {"exception.message": "m", "parts": ["x"]}, 4)
    span.add_link(trace.SpanContext(5, 6, is_remote=True))
    span.update_name("renamed")
    span.set_status(StatusCode.ERROR, "broken")
    child = tracer.start_span("child", trace.set_span_in_context(span, context), start_time=3)
    child.record_exception(ValueError("v"), timestamp=3)
    child.end(8)
    span.end(9)


def after_the_end(tracer: trace.Tracer, context: Any) -> None:
    span = tracer.start_span("ended", context, start_time=2)
    span.end(3)
    span.end(4)
    span.set_attributes({"late": 1})
    span.add_event("late", {"x": 1}, 5)


@pytest.mark.parametrize("told", [plainly, with_all, after_the_end])
def test_they_are_the_sdks_in_all_that_others_see(told: Callable[[trace.Tracer, Any], None]) -> None:
    """What a provider of the SDK and one of ours record of the same calls has the same JSON, the same rows in bytes, and the same
    counts of what was dropped; and ours are made by the short way."""
    theirs, ours = recorded(TracerProvider, told), recorded(OwnProvider, told)
    assert [span.to_json() for span in ours] == [span.to_json() for span in theirs]
    assert [rows.encode(span) for span in ours] == [rows.encode(span) for span in theirs]
    dropped = [(span.dropped_attributes, span.dropped_events, span.dropped_links) for span in theirs]
    assert [(span.dropped_attributes, span.dropped_events, span.dropped_links) for span in ours] == dropped
    assert len(ours) >= 1


def started(**options: Any) -> list[trace.Span]:
    """A root and its child of a provider of ours."""
    provider = OwnProvider(**{"span_limits": NO_LIMITS, "shutdown_on_exit": False, **options})
    tracer = provider.get_tracer(names.SCOPE)
    root = tracer.start_span("root")
    context = trace.set_span_in_context(root)
    linked = [Link(root.get_span_context())]
    return [root, tracer.start_span("child", context), tracer.start_span("linked", context, links=linked)]


def test_children_alone_take_the_short_way() -> None:
    """With the release of the SDK that is installed, a child of a sampled span is one of ours; a root and a span with links are the SDK's."""
    assert [type(span) is OwnSpan for span in started()] == [False, True, False]


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": ALWAYS_OFF},
        {"sampler": TraceIdRatioBased(1.0)},
        {"span_limits": SpanLimits(max_span_attributes=2)},
        {"span_limits": SpanLimits(max_attribute_length=2)},
    ],
)
def test_what_is_unusual_is_left_to_the_sdk(options: dict[str, Any]) -> None:
    """With a sampler or a limit of the user's, no span is one of ours."""
    assert [span for span in started(**options) if isinstance(span, OwnSpan)] == []


def test_a_release_with_other_parts_is_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the SDK's spans have a part that is not known here, no span is one of ours."""
    monkeypatch.setattr(own_spans, "PARTS", own_spans.PARTS - {"_limits"})
    assert [span for span in started() if isinstance(span, OwnSpan)] == []


def test_others_tracers_are_the_sdks() -> None:
    """Another instrumentation's tracer, of the same provider, is the SDK's own."""
    provider = OwnProvider(span_limits=NO_LIMITS, shutdown_on_exit=False)
    plain = TracerProvider(shutdown_on_exit=False)
    assert type(provider.get_tracer("theirs")) is type(plain.get_tracer("theirs"))
    with provider.get_tracer(names.SCOPE).start_as_current_span("current") as span:
        assert trace.get_current_span() is span
    assert json.loads(span.to_json())["name"] == "current"  # type: ignore[attr-defined]
