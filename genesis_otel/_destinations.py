"""What a destination needs: its exporter, its limits, and a client for reading the store.

In: settings and their destination. Out: a span exporter (None if a store process drains the spool), the encoding of spans in its spool,
the limits of its batches, and a clickhouse-connect client. On failure: StoreError, whose text says what to do. Only
:func:`open_client` waits for a network.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from genesis_otel._serve import client as store_process
from genesis_otel._settings import Collector, CustomExporter, Destination, Embedded, Server, Settings, load_settings
from genesis_otel._ship.delivery.contract import STATE_INTERVAL, Limits
from genesis_otel._store.errors import URL_FORM, MissingDatabaseError, StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

ANSWER_TIMEOUT = 300.0
"""Seconds allowed for each answer of the store: clickhouse-connect's own default."""

OTLP_LIMITS = Limits(max_rows=512, max_bytes=2 << 20)
"""A collector's gRPC receiver permanently refuses messages over 4 MiB, and protobuf is larger than the spool's records."""


def open_client(
    settings: Settings | None = None,
    *,
    start: bool = False,
    create: bool = False,
    say: bool = False,
    answer_timeout: float = ANSWER_TIMEOUT,
) -> Client:
    """A client for reading, whatever the destination of spans is.

    :param start: with the embedded store, start a store process if none is running, rather than open the engine in this process.
    :param create: create a configured database or folder that does not exist; readers do not.
    :param say: log what is being waited for if that takes long: for commands.
    :param answer_timeout: seconds allowed for each answer.
    :raises StoreError: the store cannot be reached, does not exist, or none is configured.
    """
    settings = settings or load_settings()
    store = settings.store
    if isinstance(store, Embedded):
        # The default folder cannot be mistyped; the first process that needs it creates it.
        if not create and settings.clickhouse_url is not None and not store.folder.exists():
            raise MissingDatabaseError(
                f"there is no store in {store.folder}: check CLICKHOUSE_URL; genesis-otel init creates it, as does a search"
            )
        return store_process.open_store(store.folder, start=start, say=say, answer_timeout=answer_timeout)
    if store is None:
        raise StoreError(f"spans go to a collector: set CLICKHOUSE_URL to the database that it fills ({URL_FORM})")
    from genesis_otel._store.connection import connect

    return connect(store.url, create=create, say=say, answer_timeout=answer_timeout)


def watch_command(settings: Settings, run_id: str) -> str:
    """The command that watches a run from another terminal; empty if the store is not known here."""
    import shlex  # only a run that starts is announced

    store = settings.store
    if store is None:
        return ""
    try:
        there = str(load_settings().store)
    except ValueError:
        there = ""
    url = "" if str(store) == there else f"--url {shlex.quote(str(store))} "
    return f"genesis-otel {url}watch {shlex.quote(run_id)}"


def limits_of(settings: Settings, destination: Destination) -> Limits:
    """Limits for a destination. An exporter that is not ours may send anywhere: it gets batches that every OTLP receiver accepts, and only
    the search's own spans."""
    limits = OTLP_LIMITS if isinstance(destination, (Collector, CustomExporter)) else Limits()
    interval = None if isinstance(destination, CustomExporter) else STATE_INTERVAL
    return limits._replace(spool_bytes=settings.spool_bytes, state_interval=interval)


def exporter_of(destination: Destination) -> SpanExporter | None:
    """The exporter that the processor passes batches to; None if a store process drains the spool."""
    if isinstance(destination, Server):
        from genesis_otel._ship.delivery.insert import InsertExporter
        from genesis_otel._store.connection import connect

        return InsertExporter(functools.partial(connect, destination.url, create=True))
    if isinstance(destination, Collector):
        from genesis_otel._ship.delivery import otlp

        return otlp.exporter(destination.endpoint, destination.protocol)
    return None


def encoding_of(destination: Destination) -> Callable[[ReadableSpan], bytes] | None:
    """The encoding of spans in the spool if another process exports them; None if the exporter determines it."""
    if isinstance(destination, Embedded):
        from genesis_otel._ship.encoding import rows

        return rows.encode
    return None
