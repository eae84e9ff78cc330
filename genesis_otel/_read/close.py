"""Ending runs whose process died without a word.

In: settings, and rows of the query ``runs``. Out: each run ended as `failed` at its last sign of life, by a span that goes where
spans go. A process that lives all the same has the last word: its own end comes later. On failure: StoreError.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, Status, StatusCode

from genesis_otel import attributes as names
from genesis_otel._destinations import exporter_of, open_client
from genesis_otel._emit.context import derived_span_context
from genesis_otel._read.format import time_of
from genesis_otel._settings import Disabled, Settings
from genesis_otel._ship.insert import InsertExporter
from genesis_otel._store.errors import StoreError

MILLISECOND = 1_000_000
"""In nanoseconds: times of the tables are cut to milliseconds, and an end has to come after the beginning."""


def close(settings: Settings, runs: Sequence[Mapping[str, Any]]) -> None:
    """End these runs as failed.

    :raises StoreError: nothing is recorded, or the destination does not take it.
    """
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise StoreError(f"nothing is recorded, so nothing can be ended: {destination}")
    exporter = exporter_of(destination)
    if exporter is None:  # the embedded store's, which searches leave to its store process
        exporter = InsertExporter(functools.partial(open_client, settings, start=True))
    ended = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    for run in runs:
        _end(provider, run)
    try:
        if exporter.export(ended.get_finished_spans()) is not SpanExportResult.SUCCESS:
            raise StoreError(f"{destination} does not take the ends of runs")
    finally:
        exporter.shutdown()


def _end(provider: TracerProvider, run: Mapping[str, Any]) -> None:
    error = f"stalled: no sign of life since {time_of(run['last_seen'])}"
    at = int(run["last_seen"].timestamp() * 1000) * MILLISECOND + MILLISECOND
    parent = trace.set_span_in_context(NonRecordingSpan(derived_span_context(run["run_id"], None)))
    span = provider.get_tracer(names.SCOPE).start_span(
        f"run {run['task_name']}",
        parent,
        attributes={
            names.RECORD: names.RECORD_RUN,
            names.RUN_ID: run["run_id"],
            names.RUN_TASK_NAME: run["task_name"],
            names.RUN_STATUS: "failed",
            names.RUN_ERROR: error,
            names.RUN_TOTAL_GENERATIONS: run["generations"],
        },
        start_time=int(run["start_time"].timestamp() * 1000) * MILLISECOND,
    )
    span.set_status(Status(StatusCode.ERROR, error))
    span.end(at)
