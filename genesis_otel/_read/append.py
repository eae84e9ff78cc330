"""Adds spans of a command to the record of runs, and makes sure that the store has them.

In: settings. Out: a tracer provider whose spans are delivered when the block ends. On failure: StoreError; the store then has none of
the block's spans or, if only the answer was lost, all of them.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel._destinations import exporter_of, open_client
from genesis_otel._settings import Disabled, Settings
from genesis_otel._ship.delivery.insert import InsertExporter
from genesis_otel._store.errors import StoreError


@contextlib.contextmanager
def appending(settings: Settings, what: str) -> Iterator[TracerProvider]:
    """Deliver the spans that the block records.

    :param what: names them in the error, for example "the ends of runs".
    :raises StoreError: recording is off, or the destination does not accept the spans.
    """
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise StoreError(f"recording is off, so {what} cannot be recorded: {destination}")
    ended = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    yield provider
    exporter = exporter_of(destination)
    if exporter is None:  # the embedded store, for which searches leave exporting to the store process
        exporter = InsertExporter(functools.partial(open_client, settings, start=True))
    try:
        if exporter.export(ended.get_finished_spans()) is not SpanExportResult.SUCCESS:
            raise StoreError(f"{destination} did not accept {what}")
    finally:
        exporter.shutdown()
