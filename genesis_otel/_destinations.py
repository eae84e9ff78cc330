"""What a destination needs: its exporter, its bounds, and a client for reading the store.

In: settings and the destination that they name. Out: a span exporter (None where a store process drains the spool), the
limits of its batches, and a clickhouse-connect client. On failure: StoreError, whose text says what to do. Nothing here
waits for a network but :func:`open_client`.
"""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel._serve import client as store_process
from genesis_otel._settings import Collector, CustomExporter, Destination, Embedded, Server, Settings, load_settings
from genesis_otel._ship.contract import STATE_INTERVAL, Limits
from genesis_otel._store.errors import URL_FORM, StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OTLP_LIMITS = Limits(max_rows=512, max_bytes=2 << 20)
"""A collector's gRPC receiver refuses a message over 4 MiB for good, and protobuf is larger than the spool's records."""


def open_client(settings: Settings | None = None, *, start: bool = False) -> "Client":
    """A client for reading, whatever the destination of spans is.

    :param start: with the embedded store, never open the engine in this process: start a store process when none runs.
    :raises StoreError: the store cannot be reached, or none is named.
    """
    store = (settings or load_settings()).store
    if isinstance(store, Embedded):
        return store_process.open_store(store.folder, start=start)
    if store is None:
        raise StoreError(f"spans go to a collector: set CLICKHOUSE_URL to the database that it fills ({URL_FORM})")
    from genesis_otel._store.connection import connect

    return connect(store.url)


def limits_of(settings: Settings, destination: Destination) -> Limits:
    """An exporter that is not ours may speak to anything: it gets what every receiver of OTLP takes, and the search's spans alone."""
    limits = OTLP_LIMITS if isinstance(destination, (Collector, CustomExporter)) else Limits()
    interval = None if isinstance(destination, CustomExporter) else STATE_INTERVAL
    return replace(limits, spool_bytes=settings.spool_bytes, state_interval=interval)


def exporter_of(destination: Destination) -> SpanExporter | None:
    """What the processor hands batches to; None where a store process drains the spool."""
    if isinstance(destination, Server):
        from genesis_otel._ship.insert import InsertExporter
        from genesis_otel._store.connection import connect

        return InsertExporter(functools.partial(connect, destination.url))
    if isinstance(destination, Collector):
        return OnFirstUse(functools.partial(_otlp, destination))
    return None


def _otlp(collector: Collector) -> SpanExporter:
    if collector.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(endpoint=collector.endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter(endpoint=collector.endpoint)


class OnFirstUse(SpanExporter):
    """An exporter that is made where it is used: in the processor's thread, and anew in a forked child (gRPC needs it)."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._made: SpanExporter | None = None
        self._pid = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._made is None or self._pid != os.getpid():
            self._made, self._pid = self._make(), os.getpid()
        return self._made.export(spans)

    def shutdown(self) -> None:
        if self._made is not None and self._pid == os.getpid():
            self._made.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True
