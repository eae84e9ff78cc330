"""The insert: writes spans as one block into ``otel_traces``, whose views fill the seven tables.

In: batches of ended spans, as the rows stored in the spool. Out: the rows in ClickHouse; a batch that is resent within the
tables' deduplication window (1,000 inserts) adds nothing, since its token is derived from its spans' ids. If ``otel_traces`` has
the columns and types of a row, these bytes are joined and sent; any other layout is written value by value. Only what
ClickHouse itself confirms, by the insert's id, counts as stored. On failure: :meth:`send` raises
:class:`~genesis_otel._ship.delivery.contract.Refused` if ClickHouse refuses the batch for its content, ``Misconfigured`` if somebody has to
correct something, anything else if it may succeed later; :meth:`export`, which the SDK's own processors call, logs and returns
``FAILURE``, and never raises.
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

from genesis_otel._log import CLIENT_LOG, Trouble, first_line, quiet, warn_once
from genesis_otel._ship.delivery.contract import Misconfigured, Outage, Refused, TooLarge
from genesis_otel._ship.encoding import rows
from genesis_otel._ship.encoding.records import as_row
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
from genesis_otel._store.portions import portions
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
"""ClickHouse error codes about the data itself; any other error is worth a retry.

https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

FORMAT = "RowBinary"
"""The format of inserts."""

FEW = 100
"""Spans of an insert up to which its views run one after another: handing them to threads takes a tenth of its CPU."""

TIMES = ("Timestamp", "Events.Timestamp")
ASKED_AT_ONCE = 2_000
"""Spans per SELECT: a statement of 108 kB, where ClickHouse accepts 256 KiB."""


class Prepared(NamedTuple):
    """A block to insert: its rows, as records, and the token that identifies it if it is sent again."""

    rows: Sequence[bytes]
    token: str


class InsertExporter(SpanExporter):
    """Writes spans to ClickHouse.

    :param connect: opens the client, in the exporting thread, and again after a failure.
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
        """The row of a record; may be called from any thread.

        :raises ValueError: ``record`` is not a span.
        """
        return as_row(record)

    def prepare(self, spans: Sequence[bytes]) -> Prepared:
        """Rows as one block for :meth:`send`; may be called from any thread."""
        return Prepared(spans, token(spans))

    def send(self, prepared: Prepared) -> None:
        """Insert a block, and return once ClickHouse has confirmed that it is stored.

        :raises Refused: ClickHouse, or the client while encoding, refuses it for its content.
        :raises TooLarge: a proxy in front of ClickHouse refuses it for its size.
        :raises Misconfigured: somebody has to correct something: a user, a grant, an address, a proxy.
        :raises Exception: anything else: the store cannot be reached, is not ready, or is overloaded.
        """
        if not prepared.rows:
            return
        if self._pid != os.getpid():
            # In a forked child: the connection belongs to the parent, and the lock may have been held at the fork.
            self._pid, self._lock, self._client = os.getpid(), threading.Lock(), None
        with self._lock, quiet(CLIENT_LOG):
            try:
                client = self._connected()
                if not self._insert(client, prepared):
                    self._verify(client, prepared)
            except Refused:
                raise
            except TooLargeError as error:
                raise TooLarge(str(error)) from error
            except Exception as error:
                # The tables may have been created, dropped or altered, or the address may have changed: look again next time.
                self._disconnect()
                if isinstance(error, ConfigurationError):
                    raise Misconfigured(str(error)) from error
                if isinstance(error, BusyError):
                    raise Outage(str(error), after=error.after) from error
                raise

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """:meth:`send` for the SDK's processors. They ignore a failure: prefer ``DurableSpanProcessor``."""
        try:
            self.send(self.prepare([rows.encode(span) for span in spans]))
        except Exception as error:
            text = first_line(error)
            self._trouble.begins(text, "a batch was not stored (spans in it: %d): %s", len(spans), text)
            return SpanExportResult.FAILURE
        self._trouble.ends("spans are stored again")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Always true: nothing is buffered here."""
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
        """Insert, and return whether ClickHouse confirmed it by its id; an engine in this process need not."""
        settings, query_id = insert_settings(client, prepared.token)
        if len(prepared.rows) <= FEW:
            settings["parallel_view_processing"] = 0
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
        """Send the rows unchanged."""
        compression = client.write_compression
        return client.raw_insert(
            LANDING,
            list(rows.COLUMNS),
            _body(prepared.rows, compression),
            settings=settings,
            fmt=FORMAT,
            compression=compression,
        )

    def _write(self, client: Client, prepared: Prepared, settings: dict[str, Any]) -> QuerySummary:
        """Write the values to suit the table: only its columns, times in its precision, maps as JSON."""
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

    def _verify(self, client: Client, prepared: Prepared) -> None:
        """Query the spans of a block whose insert was not confirmed; over the same connection, so that the same server answers.

        :raises ConfigurationError: they are not there.
        """
        ticks = self._ticks.get("Timestamp", 1)
        heads = map(rows.head, prepared.rows)
        spans = [(head.trace_id, head.span_id, head.begun // ticks * ticks, head.duration) for head in heads]
        unconfirmed = f"{place(client)} does not confirm inserts as ClickHouse does"
        found: set[tuple[str, str, int, int]] = set()
        try:
            for part in portions(spans, ASKED_AT_ONCE):
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
            # ClickHouse itself says that this user may only insert: so it was ClickHouse that took the insert.
            found = set(spans)
        except (ValueError, TypeError, IndexError, struct.error) as error:
            raise ConfigurationError(
                f"{unconfirmed}, and answers a SELECT with something else: there is a proxy in front of it"
            ) from error
        missing = len(set(spans) - found)
        if missing:
            raise ConfigurationError(
                f"{unconfirmed}, and {missing:,} of {len(spans):,} spans are not there: a proxy, a login page or another server is answering"
            )
        warn_once(
            f"stripped {place(client)}",
            "a proxy in front of ClickHouse at %s strips the X-ClickHouse-* headers from its responses: each batch is verified with a "
            "SELECT, which costs time; let the headers pass",
            place(client),
        )

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _body(records: Sequence[bytes], compression: str | None) -> bytes:
    """The rows of records, compressed as the client does it."""
    if compression == "lz4":
        # Row by row: joining them first means thousands of new pages of memory for a batch, a quarter of what sending it costs.
        import lz4.frame  # type: ignore[import-untyped]

        frame = lz4.frame.LZ4FrameCompressor()
        return b"".join([frame.begin(), *[frame.compress(record[1:]) for record in records], frame.flush()])
    compressor: Any = get_compressor(compression)
    body = compressor.compress_block(b"".join([record[1:] for record in records]))
    return bytes(body + (compressor.flush() or b""))


def _ensure(client: Client) -> None:
    """Make sure that the tables are there; a user who may only insert does not see the views, and need not."""
    try:
        schema.ensure(client)
    except StoreError as error:
        cause = error.__cause__
        if not (isinstance(cause, Error) and code_of(cause) == ACCESS_DENIED):
            raise
        if not client.command(f"EXISTS TABLE {LANDING}"):
            raise explained(cause, place(client)) from error


def insert_settings(client: Client, deduplication_token: str) -> tuple[dict[str, Any], str | None]:
    """The settings of an insert, and the id by which ClickHouse confirms it; None if the engine is in this process."""
    query_id = f"{INSERT_ID}{uuid.uuid4()}" if isinstance(client, HttpClient) else None
    settings = {**INSERT_SETTINGS, "insert_deduplication_token": deduplication_token}
    return settings | ({"query_id": query_id} if query_id else {}), query_id


def insert_nothing(client: Client) -> None:
    """Do what :meth:`InsertExporter.send` does, without rows, to test privileges, settings, and which server answers.

    :raises StoreError: sending would not work; the text says what to do.
    """
    settings, query_id = insert_settings(client, "")
    try:
        summary = client.raw_insert(LANDING, insert_block=b"", fmt=FORMAT, settings=settings)
    except Error as error:
        raise explained(error, place(client)) from error
    if query_id is not None and summary.query_id() != query_id:
        warn_once(
            f"stripped {place(client)}",
            "the server at %s does not return X-ClickHouse-Query-Id: is there a proxy that strips headers? Each batch will be "
            "verified with a SELECT",
            place(client),
        )


def place(client: Client) -> str:
    """The URL of a client's database, without user and password; for the embedded engine, any URL that can be parsed."""
    return f"{client.url}/{client.database}" if isinstance(client, HttpClient) else "http://localhost"


def tick(name: str, kind: ClickHouseType) -> int:
    """Nanoseconds per tick of a time column.

    :raises ConfigurationError: the column is not a time.
    """
    inner = getattr(kind, "element_type", kind)
    if isinstance(inner, DateTime64):
        return int(10 ** (9 - inner.scale))
    if isinstance(inner, DateTime):
        return 10**9
    raise ConfigurationError(
        f"the column {name} of {LANDING} is of type {kind.name}, which is not a time: DateTime64(9) is expected"
    )


def takes_rows(types: Mapping[str, str]) -> bool:
    """Whether a table can read the bytes of a row: it has the row's columns, with types of the same binary form.

    :param types: the type of each column of the table.
    """
    return all(in_form(types.get(name, "")) == kind for name, kind in rows.COLUMNS.items())


def in_form(kind: str) -> str:
    """A type without what does not affect the bytes of a row: a dictionary, a time zone, a sign that no duration has."""
    kind = re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
    return re.sub(r"(DateTime64\(\d+), '[^']*'\)", r"\1)", "UInt64" if kind == "Int64" else kind)


def token(spans: Sequence[bytes]) -> str:
    """The deduplication token of a batch: the same for the same spans in the same order, in any process.

    Start and duration count too: a resumed run and a re-evaluated generation have the same ids as before.
    """
    return hashlib.sha256(b"".join([row[: rows.HEAD.size] for row in spans])).hexdigest()
