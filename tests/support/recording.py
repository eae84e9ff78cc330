"""Spans of this process, kept in memory: a provider of the real SDK for the length of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

from genesis_otel import _log, configuration
from genesis_otel import attributes as names
from genesis_otel._emit import configured, opened, tally
from genesis_otel._emit import context as _context
from genesis_otel._ship.correlation import CorrelationProcessor
from genesis_otel._ship.delivery.contract import Sender
from genesis_otel._ship.encoding import rows
from genesis_otel._ship.id_generator import DerivedIdGenerator

Through = Callable[[SpanProcessor], SpanProcessor]


class Recorded:
    """The spans that have ended, in the order of their ends."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.exporter = exporter

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.named(name)
        return found

    def records(self, record: str) -> list[dict[str, Any]]:
        return [attributes_of(span) for span in self.spans if attributes_of(span).get(names.RECORD) == record]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids_of(span: ReadableSpan) -> tuple[int, int]:
    context = span.context
    assert context is not None
    return context.trace_id, context.span_id


def record(
    monkeypatch: pytest.MonkeyPatch,
    *,
    ids: IdGenerator | None = None,
    through: Through = lambda processor: processor,
    before: tuple[SpanProcessor, ...] | None = None,
) -> Recorded:
    """Make a provider the process's own until the test ends; the package forgets what it remembers of runs.

    :param before: what sees a span first; None means the processor that `configure()` puts there.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(id_generator=ids or DerivedIdGenerator(), shutdown_on_exit=False)
    for processor in (
        *((CorrelationProcessor(),) if before is None else before),
        through(SimpleSpanProcessor(exporter)),
    ):
        provider.add_span_processor(processor)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(_context, "_ROOTED", {})
    monkeypatch.setattr(tally, "_RUNS", {})
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setattr(opened, "_HANDLES", {})
    monkeypatch.setattr(opened, "_RUNS", {})
    return Recorded(exporter)


class Broken:
    """An object with which everything goes wrong."""

    def _broken(self, *_: object) -> Any:
        raise RuntimeError("broken")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = _broken
    __getitem__ = __eq__ = __hash__ = __contains__ = _broken


def hostile_values() -> list[Any]:
    """What searches have been seen to hand over, and worse."""
    import numpy as np

    circle: dict[str, Any] = {}
    circle["self"] = circle
    return [
        None,
        'it\'s "quoted"; DROP TABLE individuals; --',
        "lone \udc80 surrogate",
        "x" * 1_000_000,
        b"\xff\x00",
        float("nan"),
        float("-inf"),
        10**5000,
        -1,
        True,
        np.float64(0.5),
        np.float32("nan"),
        np.int64(7),
        np.bool_(True),
        np.str_("numpy"),
        np.arange(3),
        {1: 2, None: 3, ("a", 1): {4}},
        circle,
        [object()],
        {"deep": __import__("functools").reduce(lambda inner, _: [inner], range(500), [])},
        Broken(),
        Broken,
        lambda: None,
    ]


def turn_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends telemetry is off, by the environment: what is recorded goes to the provider that is there."""
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "false")
    monkeypatch.setattr(configuration, "_current", None)
    monkeypatch.setattr(configuration, "_tried", False)
    monkeypatch.setattr(configured, "_configured", None)
    configuration.ensure_configured()


def landing_columns(spans: Iterable[ReadableSpan]) -> dict[str, list[Any]]:
    """Spans as columns of ``otel_traces``, for an insert that is not ours."""
    found = [rows.fields(rows.encode(span)) for span in spans]
    return {name: [row[name] for row in found] for name in rows.COLUMNS}


def store_spans(exporter: Sender, spans: Iterable[ReadableSpan]) -> None:
    """Send spans by an exporter's two steps; what it raises comes through."""
    exporter.send(exporter.prepare([exporter.read(exporter.encode(span)) for span in spans]))
