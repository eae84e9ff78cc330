"""The insert: spans in, one block into ``otel_traces``, whose views fill the seven tables.

In: batches of ended spans. Out: the rows in ClickHouse; a batch that is sent again within the tables' deduplication
window (1,000 inserts) adds nothing, since its token is derived from its spans' ids. On failure: :meth:`send` raises
:class:`~genesis_otel._ship.contract.Refused` when ClickHouse refuses the batch for its content, anything else when it may
succeed later; :meth:`export`, which the SDK's own processors call, logs and returns ``FAILURE``, and never raises.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DataError, Error
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel._ship import rows
from genesis_otel._ship.codec import Flat, flatten
from genesis_otel._ship.contract import Refused
from genesis_otel._store import schema
from genesis_otel._store.errors import first_line
from genesis_otel._store.tables import INSERT_SETTINGS, LANDING

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


class Prepared(NamedTuple):
    """A block on its way: the columns of ``otel_traces``, and the token by which it is known when it comes again."""

    columns: dict[str, list[Any]]
    token: str


class InsertExporter(SpanExporter):
    """Writes spans to ClickHouse.

    :param connect: opens the client, in the thread that exports and again after a failure.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._client: Client | None = None
        self._types: dict[str, ClickHouseType] = {}
        self._said: str | None = None

    def prepare(self, spans: Sequence[Flat]) -> Prepared:
        """Flat ``spans`` (``_codec.flatten``) as one block for :meth:`send`; from any thread."""
        return Prepared(rows.columns(spans) if spans else {}, token(spans))

    def send(self, prepared: Prepared) -> None:
        """Insert a block, and return when it is stored.

        :raises Refused: ClickHouse, or the client while encoding, refuses it for its content.
        :raises Exception: anything else: the store cannot be reached, is not ready, or is overloaded.
        """
        if not prepared.columns:
            return
        if self._pid != os.getpid():
            # In a forked child: the parent's connection is the parent's, and its lock may have been held.
            self._pid, self._lock, self._client = os.getpid(), threading.Lock(), None
        with self._lock:
            try:
                client = self._connected()
                columns = {name: values for name, values in prepared.columns.items() if name in self._types}
                client.insert(
                    LANDING,
                    list(columns.values()),
                    column_names=list(columns),
                    column_types=[self._types[name] for name in columns],
                    column_oriented=True,
                    settings={**INSERT_SETTINGS, "insert_deduplication_token": prepared.token},
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
            self.send(self.prepare([flatten(span) for span in spans]))
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
                schema.ensure(client)
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


def token(spans: Sequence[Flat]) -> str:
    """The deduplication token of a batch: the same for the same spans in the same order, in any process.

    The end counts too: a run that is resumed and a generation that is evaluated again have the ids that they had before.
    """
    digest = hashlib.sha256()
    for flat in spans:
        context, end = flat[0] or (0, 0), flat[5] or 0
        digest.update(b"%x %x %d\n" % (context[0], context[1], end))
    return digest.hexdigest()
