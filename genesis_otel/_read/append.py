"""Spans that a command adds to the record of runs: what they go through, and that the store has them.

In: settings. Out: a provider of tracers, whose spans are delivered when the block ends. On failure: StoreError; nothing of the
block is in the store then, or, where an answer was lost, all of it.
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
from genesis_otel._ship.insert import InsertExporter
from genesis_otel._store.errors import StoreError


@contextlib.contextmanager
def appending(settings: Settings, what: str) -> Iterator[TracerProvider]:
    """Deliver what is recorded within the block.

    :param what: what that is, for the error: "the ends of runs".
    :raises StoreError: nothing is recorded, or the destination does not take it.
    """
    destination = settings.destination
    if isinstance(destination, Disabled):
        raise StoreError(f"nothing is recorded, so {what} cannot be: {destination}")
    ended = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    yield provider
    exporter = exporter_of(destination)
    if exporter is None:  # the embedded store's, which searches leave to its store process
        exporter = InsertExporter(functools.partial(open_client, settings, start=True))
    try:
        if exporter.export(ended.get_finished_spans()) is not SpanExportResult.SUCCESS:
            raise StoreError(f"{destination} does not take {what}")
    finally:
        exporter.shutdown()
