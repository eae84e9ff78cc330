"""The span exporter: spans in, one insert into ``otel_traces``, whose views fill the seven tables.

In: batches of ended spans. Out: the rows in ClickHouse; a batch that is sent again within the tables' deduplication
window (1,000 inserts) adds nothing, since its token is derived from its spans' ids. On failure: :meth:`send` raises
:class:`~genesis_otel.processor.Refused` when ClickHouse refuses the batch for its content, anything else when it may
succeed later; :meth:`export`, which the SDK's own processors call, logs and returns ``FAILURE``, and never raises.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
from collections.abc import Callable, Sequence

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DataError, Error
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel import _rows, _schema
from genesis_otel._clickhouse import INSERT_SETTINGS, LANDING, StoreError, first_line
from genesis_otel.processor import Refused

logger = logging.getLogger(__name__)

REFUSALS = {
    6: "CANNOT_PARSE_TEXT",
    9: "SIZES_OF_COLUMNS_DOESNT_MATCH",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    36: "BAD_ARGUMENTS",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    307: "TOO_MANY_BYTES",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    407: "DECIMAL_OVERFLOW",
}
"""The error codes of ClickHouse that speak of the data itself; every other error is worth another try.

https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

UNKNOWN_TABLE = 60
NO_SUCH_COLUMN = frozenset({10, 16, 47})


class ClickHouseSpanExporter(SpanExporter):
    """Writes spans to ClickHouse. Also the ``opentelemetry_traces_exporter`` entry point ``genesis_clickhouse``.

    :param connect: opens the client, in the thread that exports and again after a failure; by default the store that
        the settings name (``CLICKHOUSE_URL``, or the embedded one through its store process).
    """

    def __init__(self, connect: Callable[[], Client] | None = None) -> None:
        self._connect = connect or _open_configured
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._types: dict[str, ClickHouseType] = {}
        self._said: str | None = None

    def send(self, spans: Sequence[ReadableSpan]) -> None:
        """Insert ``spans`` as one block, and return when they are stored.

        :raises Refused: ClickHouse, or the client while encoding, refuses them for their content.
        :raises Exception: anything else: the store cannot be reached, is not ready, or is overloaded.
        """
        if not spans:
            return
        with self._lock:
            try:
                client = self._connected()
                columns = {name: values for name, values in _rows.columns(spans).items() if name in self._types}
                client.insert(
                    LANDING,
                    list(columns.values()),
                    column_names=list(columns),
                    column_types=[self._types[name] for name in columns],
                    column_oriented=True,
                    settings={**INSERT_SETTINGS, "insert_deduplication_token": token(spans)},
                )
            except Error as error:
                if isinstance(error, DataError) or error.code in REFUSALS:
                    raise Refused(first_line(error)) from error
                # The tables may be new, gone or altered, the address another one: look again next time.
                self._disconnect()
                raise
            except (UnicodeError, OverflowError, TypeError, ValueError, struct.error) as error:
                raise Refused(f"{type(error).__name__}: {first_line(error)}") from error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """:meth:`send` as the SDK's processors want it. They ignore a failure: prefer ``DurableSpanProcessor``."""
        try:
            self.send(spans)
        except Exception as error:
            text = first_line(error)
            if text != self._said:
                logger.warning("%d spans were not stored: %s", len(spans), text)
            self._said = text
            return SpanExportResult.FAILURE
        self._said = None
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here: always true."""
        return True

    def _connected(self) -> Client:
        if self._client is None:
            client = self._connect()
            try:
                _schema.ensure(client)
                described = client.create_insert_context(LANDING)
            except BaseException:
                client.close()
                raise
            self._types = dict(zip(described.column_names, described.column_types, strict=True))
            self._client = client
        return self._client

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def token(spans: Sequence[ReadableSpan]) -> str:
    """The deduplication token of a batch: the same for the same spans in the same order, in any process."""
    digest = hashlib.sha256()
    for span in spans:
        if span.context is not None:
            digest.update(span.context.trace_id.to_bytes(16, "big"))
            digest.update(span.context.span_id.to_bytes(8, "big"))
    return digest.hexdigest()


def _open_configured() -> Client:
    from genesis_otel import _config

    try:
        return _config.open_client(_config.load_settings(), start=True)
    except ValueError as error:
        raise StoreError(str(error)) from error
