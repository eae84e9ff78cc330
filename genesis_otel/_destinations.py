"""What a destination needs: its exporter, its bounds, and a client for reading the store.

In: settings and the destination that they name. Out: a span exporter (None where a store process drains the spool), how spans lie in
its spool, the limits of its batches, and a clickhouse-connect client. On failure: StoreError, whose text says what to do. Nothing here
waits for a network but :func:`open_client`.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from genesis_otel._serve import client as store_process
from genesis_otel._settings import Collector, CustomExporter, Destination, Embedded, Server, Settings, load_settings
from genesis_otel._ship.contract import STATE_INTERVAL, Limits
from genesis_otel._store.errors import URL_FORM, MissingDatabaseError, StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

ANSWER_TIMEOUT = 300.0
"""Seconds for each answer of the store: clickhouse-connect's own default."""

OTLP_LIMITS = Limits(max_rows=512, max_bytes=2 << 20)
"""A collector's gRPC receiver refuses a message over 4 MiB for good, and protobuf is larger than the spool's records."""


def open_client(
    settings: Settings | None = None,
    *,
    start: bool = False,
    create: bool = False,
    say: bool = False,
    answer_timeout: float = ANSWER_TIMEOUT,
) -> Client:
    """A client for reading, whatever the destination of spans is.

    :param start: with the embedded store, never open the engine in this process: start a store process when none runs.
    :param create: make a database, or a folder, that is named and not there; what reads does not.
    :param say: say what is waited for when that takes long: for commands.
    :param answer_timeout: seconds for each answer.
    :raises StoreError: the store cannot be reached, is not there, or none is named.
    """
    settings = settings or load_settings()
    store = settings.store
    if isinstance(store, Embedded):
        # The default one cannot be mistyped, and is made by whoever comes first.
        if not create and settings.clickhouse_url is not None and not store.folder.exists():
            raise MissingDatabaseError(
                f"there is no store in {store.folder}: check CLICKHOUSE_URL; genesis-otel init makes it, as does a search"
            )
        return store_process.open_store(store.folder, start=start, say=say, answer_timeout=answer_timeout)
    if store is None:
        raise StoreError(f"spans go to a collector: set CLICKHOUSE_URL to the database that it fills ({URL_FORM})")
    from genesis_otel._store.connection import connect

    return connect(store.url, create=create, say=say, answer_timeout=answer_timeout)


def watch_command(settings: Settings, run_id: str) -> str:
    """What watches a run, typed in another terminal; empty where its store is not known here."""
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
    """An exporter that is not ours may speak to anything: it gets what every receiver of OTLP takes, and the search's spans alone."""
    limits = OTLP_LIMITS if isinstance(destination, (Collector, CustomExporter)) else Limits()
    interval = None if isinstance(destination, CustomExporter) else STATE_INTERVAL
    return replace(limits, spool_bytes=settings.spool_bytes, state_interval=interval)


def exporter_of(destination: Destination) -> SpanExporter | None:
    """What the processor hands batches to; None where a store process drains the spool."""
    if isinstance(destination, Server):
        from genesis_otel._ship.insert import InsertExporter
        from genesis_otel._store.connection import connect

        return InsertExporter(functools.partial(connect, destination.url, create=True))
    if isinstance(destination, Collector):
        from genesis_otel._ship import otlp

        return otlp.exporter(destination.endpoint, destination.protocol)
    return None


def encoding_of(destination: Destination) -> Callable[[ReadableSpan], bytes] | None:
    """How spans lie in the spool of a destination whose exporter is not in this process; None where that is the exporter's to say."""
    if isinstance(destination, Embedded):
        from genesis_otel._ship import rows

        return rows.encode
    return None
