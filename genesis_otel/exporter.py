"""The span exporter for ClickHouse, for any OpenTelemetry program; also the entry point ``genesis_clickhouse``.

In: batches of ended spans, from ``DurableSpanProcessor`` or the SDK's own processors. Out: rows in ``otel_traces`` and the
seven tables; see :mod:`genesis_otel._ship.delivery.insert`. On failure: ``send`` raises, ``export`` logs and returns ``FAILURE``.
"""

from __future__ import annotations

from collections.abc import Callable

from clickhouse_connect.driver.client import Client

from genesis_otel._destinations import open_client
from genesis_otel._settings import load_settings
from genesis_otel._ship.delivery.insert import InsertExporter
from genesis_otel._store.errors import StoreError

__all__ = ["ClickHouseSpanExporter"]


class ClickHouseSpanExporter(InsertExporter):
    """Writes spans to ClickHouse. Also the ``opentelemetry_traces_exporter`` entry point ``genesis_clickhouse``.

    :param connect: opens the client, in the thread that exports and again after a failure; by default the store that
        the settings name (``CLICKHOUSE_URL``, or the embedded one through its store process).
    """

    def __init__(self, connect: Callable[[], Client] | None = None) -> None:
        super().__init__(connect or _open_configured)


def _open_configured() -> Client:
    try:
        return open_client(load_settings(), start=True, create=True)
    except ValueError as error:
        raise StoreError(str(error)) from error
