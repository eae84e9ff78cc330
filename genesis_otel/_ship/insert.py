"""The insert: spans in, one block into ``otel_traces``, whose views fill the seven tables.

In: batches of ended spans, as the rows that lay in the spool. Out: the rows in ClickHouse; a batch that is sent again within the
tables' deduplication window (1,000 inserts) adds nothing, since its token is derived from its spans' ids. Where ``otel_traces`` has
the columns and types of a row, these bytes are joined and sent; another layout is written value by value. Stored is what
ClickHouse itself confirms, by the id that the insert had. On failure: :meth:`send` raises :class:`~genesis_otel._ship.contract.Refused` when
ClickHouse refuses the batch for its content, ``Misconfigured`` when somebody has to set something right, anything else when
it may succeed later; :meth:`export`, which the SDK's own processors call, logs and returns ``FAILURE``, and never raises.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import struct
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.temporal import DateTime, DateTime64
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.compression import get_compressor
from clickhouse_connect.driver.exceptions import DataError, Error
from clickhouse_connect.driver.httpclient import HttpClient
from clickhouse_connect.driver.summary import QuerySummary
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel._log import Trouble, first_line, quiet, warn_once
from genesis_otel._ship import rows
from genesis_otel._ship.contract import Misconfigured, Outage, Refused, TooLarge
from genesis_otel._ship.records import as_row
from genesis_otel._store import schema
from genesis_otel._store.errors import (
    ACCESS_DENIED,
    BusyError,
    ConfigurationError,
    StoreError,
    TooLargeError,
    code_of,
    explained,
)
from genesis_otel._store.tables import INSERT_SETTINGS, LANDING
from genesis_otel._store.wire import INSERT_ID

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

FORMAT = "RowBinary"
"""The format of an insert."""

CLIENT_LOG = "clickhouse_connect.driver._backend.http_sync"
"""Where clickhouse-connect logs each failed attempt; what it raises says the same, and is said once."""

TIMES = ("Timestamp", "Events.Timestamp")
ASKED_AT_ONCE = 2_000
"""Spans that one SELECT asks for: 108 kB of a statement, of which ClickHouse takes 256 KiB."""


class Prepared(NamedTuple):
    """A block on its way: its rows, as records, and the token by which it is known when it comes again."""

    rows: Sequence[bytes]
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
        self._ticks: dict[str, int] = {}
        self._joins = True
        self._trouble = Trouble(logger)

    def encode(self, span: ReadableSpan) -> bytes:
        """``span`` as a record that is its row."""
        return rows.encode(span)

    def read(self, record: bytes) -> bytes:
        """The row of a record, from any thread.

        :raises ValueError: ``record`` is no span.
        """
        return as_row(record)

    def prepare(self, spans: Sequence[bytes]) -> Prepared:
        """Rows as one block for :meth:`send`; from any thread."""
        return Prepared(spans, token(spans))

    def send(self, prepared: Prepared) -> None:
        """Insert a block, and return when ClickHouse has confirmed that it is stored.

        :raises Refused: ClickHouse, or the client while encoding, refuses it for its content.
        :raises TooLarge: what stands before ClickHouse refuses it for its size.
        :raises Misconfigured: somebody has to set something right: a user, a grant, an address, a proxy.
        :raises Exception: anything else: the store cannot be reached, is not ready, or is overloaded.
        """
        if not prepared.rows:
            return
        if self._pid != os.getpid():
            # In a forked child: the parent's connection is the parent's, and its lock may have been held.
            self._pid, self._lock, self._client = os.getpid(), threading.Lock(), None
        with self._lock, quiet(CLIENT_LOG):
            try:
                client = self._connected()
                if not self._insert(client, prepared):
                    self._find(client, prepared)
            except Refused:
                raise
            except TooLargeError as error:
                raise TooLarge(str(error)) from error
            except Exception as error:
                # The tables may be new, gone or altered, the address another one: look again next time.
                self._disconnect()
                if isinstance(error, ConfigurationError):
                    raise Misconfigured(str(error)) from error
                if isinstance(error, BusyError):
                    raise Outage(str(error), after=error.after) from error
                raise

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """:meth:`send` as the SDK's processors want it. They ignore a failure: prefer ``DurableSpanProcessor``."""
        try:
            self.send(self.prepare([rows.encode(span) for span in spans]))
        except Exception as error:
            text = first_line(error)
            self._trouble.begins(text, "%d spans were not stored: %s", len(spans), text)
            return SpanExportResult.FAILURE
        self._trouble.ends("spans are stored again")
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
                _ensure(client)
                described = client.create_insert_context(LANDING)
                self._types = dict(zip(described.column_names, described.column_types, strict=True))
                self._ticks = {name: tick(name, self._types[name]) for name in TIMES if name in self._types}
                self._joins = takes_rows({name: kind.name for name, kind in self._types.items()})
            except BaseException as error:
                client.close()
                if isinstance(error, Error):
                    raise explained(error, place(client)) from error
                raise
            self._client = client
        return self._client

    def _insert(self, client: Client, prepared: Prepared) -> bool:
        """Insert, and say whether ClickHouse has confirmed it by its id; one in this process need not."""
        settings, query_id = insert_settings(client, prepared.token)
        try:
            summary = self._join(client, prepared, settings) if self._joins else self._write(client, prepared, settings)
        except Error as error:
            if isinstance(error, DataError) or code_of(error) in REFUSALS:
                raise Refused(first_line(error)) from error
            raise explained(error, place(client)) from error
        except (UnicodeError, OverflowError, TypeError, ValueError, struct.error) as error:
            raise Refused(f"{type(error).__name__}: {first_line(error)}") from error
        return query_id is None or summary.query_id() == query_id

    def _join(self, client: Client, prepared: Prepared, settings: dict[str, Any]) -> QuerySummary:
        """Send the rows as they are."""
        body = b"".join([row[1:] for row in prepared.rows])
        compression = client.write_compression
        return client.raw_insert(
            LANDING,
            list(rows.COLUMNS),
            _packed(body, compression) if compression else body,
            settings=settings,
            fmt=FORMAT,
            compression=compression,
        )

    def _write(self, client: Client, prepared: Prepared, settings: dict[str, Any]) -> QuerySummary:
        """Write the values as the table has them: those columns that it has, times in its ticks, maps as JSON."""
        found = [rows.fields(row) for row in prepared.rows]
        names = [name for name in rows.COLUMNS if name in self._types]
        return client.insert(
            LANDING,
            [self._in_ticks(name, [row[name] for row in found]) for name in names],
            column_names=names,
            column_types=[self._types[name] for name in names],
            column_oriented=True,
            settings=settings,
        )

    def _in_ticks(self, name: str, values: list[Any]) -> list[Any]:
        ticks = self._ticks.get(name, 1)
        if ticks == 1:
            return values
        return [[at // ticks for at in of] if isinstance(of, list) else of // ticks for of in values]

    def _find(self, client: Client, prepared: Prepared) -> None:
        """Ask for the spans of a block whose insert nobody has confirmed; on the same path, so that who answers is the same.

        :raises ConfigurationError: they are not there.
        """
        ticks = self._ticks.get("Timestamp", 1)
        heads = map(rows.head, prepared.rows)
        spans = [(head.trace_id, head.span_id, head.begun // ticks * ticks, head.duration) for head in heads]
        nobody = f"{place(client)} does not confirm inserts as ClickHouse does"
        found: set[tuple[str, str, int, int]] = set()
        try:
            for at in range(0, len(spans), ASKED_AT_ONCE):
                part = spans[at : at + ASKED_AT_ONCE]
                starts = [start for _, _, start, _ in part]
                answer = client.query(
                    f"SELECT TraceId, SpanId, toUnixTimestamp64Nano(toDateTime64(Timestamp, 9)), toUInt64(Duration) FROM {LANDING} "  # noqa: S608 - a name of ours
                    "WHERE Timestamp BETWEEN fromUnixTimestamp64Nano(%(first)s) AND fromUnixTimestamp64Nano(%(last)s) "
                    "AND (TraceId, SpanId) IN %(spans)s",
                    parameters={
                        "first": min(starts),
                        "last": max(starts),
                        "spans": tuple((trace, span) for trace, span, _, _ in part),
                    },
                )
                found.update((str(trace), str(span), start, last) for trace, span, start, last in answer.result_rows)
        except Error as error:
            if code_of(error) != ACCESS_DENIED:
                raise explained(error, place(client)) from error
            # ClickHouse itself says that this user may only insert: so it is ClickHouse that took the insert.
            found = set(spans)
        except (ValueError, TypeError, IndexError, struct.error) as error:
            raise ConfigurationError(
                f"{nobody}, and answers a SELECT with something else: a proxy stands before it"
            ) from error
        missing = len(set(spans) - found)
        if missing:
            raise ConfigurationError(
                f"{nobody}, and {missing:,} of {len(spans):,} spans are not there: a proxy, a login page or another server answers"
            )
        warn_once(
            f"stripped {place(client)}",
            "what stands before ClickHouse at %s takes the headers X-ClickHouse-* off its answers: each batch is asked for by a "
            "SELECT, which costs time; let the headers pass",
            place(client),
        )

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _packed(body: bytes, compression: str) -> bytes:
    compressor: Any = get_compressor(compression)
    return bytes(compressor.compress_block(body) + (compressor.flush() or b""))


def _ensure(client: Client) -> None:
    """See that the tables are there; a user who may only insert does not see the views, and need not."""
    try:
        schema.ensure(client)
    except StoreError as error:
        cause = error.__cause__
        if not (isinstance(cause, Error) and code_of(cause) == ACCESS_DENIED):
            raise
        if not client.command(f"EXISTS TABLE {LANDING}"):
            raise explained(cause, place(client)) from error


def insert_settings(client: Client, deduplication_token: str) -> tuple[dict[str, Any], str | None]:
    """The settings of an insert, and the id by which ClickHouse confirms it; None where the engine is in this process."""
    query_id = f"{INSERT_ID}{uuid.uuid4()}" if isinstance(client, HttpClient) else None
    settings = {**INSERT_SETTINGS, "insert_deduplication_token": deduplication_token}
    return settings | ({"query_id": query_id} if query_id else {}), query_id


def insert_nothing(client: Client) -> None:
    """Try what :meth:`InsertExporter.send` does, with no rows: rights, settings, and who it is that answers.

    :raises StoreError: it would not work, and what to do.
    """
    settings, query_id = insert_settings(client, "")
    try:
        summary = client.raw_insert(LANDING, insert_block=b"", fmt=FORMAT, settings=settings)
    except Error as error:
        raise explained(error, place(client)) from error
    if query_id is not None and summary.query_id() != query_id:
        warn_once(
            f"stripped {place(client)}",
            "what answers at %s does not repeat X-ClickHouse-Query-Id: is it a proxy that takes headers off? Each batch will be "
            "asked for by a SELECT",
            place(client),
        )


def place(client: Client) -> str:
    """The URL of a client's database, without user and password; of the embedded engine, any that can be read."""
    return f"{client.url}/{client.database}" if isinstance(client, HttpClient) else "http://localhost"


def tick(name: str, kind: ClickHouseType) -> int:
    """Nanoseconds in a tick of a time column.

    :raises ConfigurationError: it is none.
    """
    inner = getattr(kind, "element_type", kind)
    if isinstance(inner, DateTime64):
        return int(10 ** (9 - inner.scale))
    if isinstance(inner, DateTime):
        return 10**9
    raise ConfigurationError(
        f"the column {name} of {LANDING} is {kind.name} and holds no time: DateTime64(9) is expected"
    )


def takes_rows(types: Mapping[str, str]) -> bool:
    """Whether a table reads the bytes of a row as what they are: it has its columns, in types of the same form.

    :param types: the type of each column of the table.
    """
    return all(in_form(types.get(name, "")) == kind for name, kind in rows.COLUMNS.items())


def in_form(kind: str) -> str:
    """A type without what makes no difference to the bytes of a row: a dictionary, a time zone, a sign that no duration has."""
    kind = re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
    return re.sub(r"(DateTime64\(\d+), '[^']*'\)", r"\1)", "UInt64" if kind == "Int64" else kind)


def token(spans: Sequence[bytes]) -> str:
    """The deduplication token of a batch: the same for the same spans in the same order, in any process.

    Begin and duration count too: a run that is resumed and a generation that is evaluated again have the ids that they had before.
    """
    return hashlib.sha256(b"".join([row[: rows.HEAD.size] for row in spans])).hexdigest()
