"""Puts run, generation and individual on the spans of other instrumentations, from OpenTelemetry's baggage.

In: spans as they start, and the context in which they do. Out: the same spans with the attributes of
:data:`genesis_otel.attributes.CORRELATION`. On failure: a span that the provider's limits deprived of them gets them back when it ends,
which is logged once; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.util.types import AttributeValue

from genesis_otel._emit.values import keep
from genesis_otel._log import warn_once
from genesis_otel.attributes import CORRELATION, LLM_ROLE, SCOPE

OPEN_AT_ONCE = 10_000
"""Open spans of other instrumentations whose run, generation and individual are remembered; they are calls, open for seconds."""


class CorrelationProcessor(SpanProcessor):
    """Adds run, generation, individual and, if the context has it, the purpose of a call to the spans of other instrumentations; our
    own spans already have them. A provider with a low attribute limit drops the earliest attributes: those of ours that it dropped are
    restored when the span ends."""

    def __init__(self) -> None:
        self._places: dict[int, Mapping[str, AttributeValue]] = {}

    def on_start(self, span: trace.Span, parent_context: Context | None = None) -> None:
        scope = getattr(span, "instrumentation_scope", None)
        if (scope is None or scope.name != SCOPE) and isinstance(span, Span) and span.is_recording():
            for name, value in baggage.get_all(parent_context).items():
                if name in CORRELATION:
                    span.set_attribute(name, str(value))
            role = otel.get_value(LLM_ROLE, parent_context)
            if isinstance(role, str):
                span.set_attribute(LLM_ROLE, role)
            if span._limits.max_span_attributes is not None and span.attributes:
                named = {name: span.attributes[name] for name in CORRELATION if name in span.attributes}
                keep(self._places, span.get_span_context().span_id, named, OPEN_AT_ONCE)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context if self._places else None
        place = None if context is None else self._places.pop(context.span_id, None)
        if span.dropped_attributes:
            warn_once(
                "attributes cut",
                "a span (%s) has more attributes than this process keeps, so the earliest are missing from the tables: set "
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT to 4096, or give the provider span_limits",
                span.name,
            )
            if place:
                # The following processors receive this same object.
                span._attributes = {**(span.attributes or {}), **place}
