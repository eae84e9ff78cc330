"""In-memory destinations for a durable processor, and limits without waiting times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from genesis_otel._ship.delivery.contract import Limits, Refused
from genesis_otel._ship.encoding import codec
from genesis_otel._ship.encoding.records import as_span
from genesis_otel.processor import DurableSpanProcessor

FAST = Limits(flush_interval=0.02, backoff=0.01, backoff_max=0.05)


class Store(SpanExporter):
    """An in-memory destination that accepts spans, or fails as configured, in the ways of real exporters."""

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


def end(tracer: Tracer, *names: str, size: int = 0) -> None:
    for name in names:
        tracer.start_span(name, attributes={"text": "x" * size} if size else None).end()


def spooled(folder: Path, *names: str, size: int = 0) -> None:
    """Ended spans in a folder, whose process is gone: the next process to deliver them finds all of them there."""
    processor = DurableSpanProcessor(None, folder, limits=FAST)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    end(provider.get_tracer("test"), *names, size=size)
    processor.shutdown()


class Ambiguous(SpanExporter):
    """An exporter that only returns FAILURE, like OpenTelemetry's own."""

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
