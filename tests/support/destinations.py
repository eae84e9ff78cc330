"""Destinations in memory for a durable processor, and limits with which it waits for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from genesis_otel._ship import codec
from genesis_otel._ship.contract import Limits, Refused
from genesis_otel._ship.records import as_span

FAST = Limits(flush_interval=0.02, backoff=0.01, backoff_max=0.05)


class Store(SpanExporter):
    """A destination in memory: takes spans, or fails as it is told to, as the exporters of real ones do."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.calls = 0
        self.away = False
        self.refuses = ""

    def encode(self, span: ReadableSpan) -> bytes:
        return codec.encode(span)

    def read(self, record: bytes) -> ReadableSpan:
        return as_span(record)

    def prepare(self, spans: Sequence[ReadableSpan]) -> list[str]:
        return [span.name for span in spans]

    def send(self, names: list[str]) -> None:
        self.calls += 1
        if self.away:
            raise ConnectionError("away")
        if self.refuses and self.refuses in names:
            raise Refused("Code: 6, CANNOT_PARSE_TEXT")
        self.names += names


def end(tracer: Tracer, *names: str) -> None:
    for name in names:
        tracer.start_span(name).end()


class Ambiguous(SpanExporter):
    """An exporter that only says FAILURE, like OpenTelemetry's own."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.calls = 0
        self.away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        if self.away or any(span.name == "poison" for span in spans):
            return SpanExportResult.FAILURE
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS
