"""Spans as rows of ``otel_traces`` in bytes: ClickHouse reads the intended values, for any span and any table
layout."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from genesis_otel import attributes as names
from genesis_otel._destinations import encoding_of
from genesis_otel._emit.values import text
from genesis_otel._settings import Collector, Embedded
from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.delivery.insert import InsertExporter, takes_rows, token
from genesis_otel._ship.delivery.otlp import exporter as otlp_exporter
from genesis_otel._ship.delivery.requeue import dead_letters, requeue
from genesis_otel._ship.encoding import codec, rows
from genesis_otel._ship.encoding.attribute_text import plain, value_text
from genesis_otel._ship.encoding.records import as_row, as_span
from genesis_otel._ship.spool import dead_letters as letters
from genesis_otel._ship.spool.status import status
from genesis_otel._ship.spool.writer import Writer
from genesis_otel.processor import DurableSpanProcessor
from tests.conftest import Connect
from tests.store.test_mapping_hostile import make, recipes
from tests.support.destinations import Store
from tests.support.mapping import golden
from tests.support.recording import landing_columns, store_spans

LANDING_HASH = "SELECT arraySort(groupArray(cityHash64(*))) FROM otel_traces"
LIMITS = Limits()


def bounded(nanoseconds: int | None) -> int:
    return min(max(nanoseconds or 0, 0), 2**63 - 1)


def texts(attributes: Any) -> dict[str, str]:
    return {text(name): value_text(plain(value)) for name, value in dict(attributes or {}).items()}


def wanted(span: ReadableSpan) -> dict[str, Any]:
    """The row of a span, as the collector writes it."""
    context, scope, begun = span.context, span.instrumentation_scope, bounded(span.start_time)
    assert context is not None and scope is not None
    return {
        "Timestamp": begun,
        "Duration": max(0, bounded(span.end_time) - begun),
        "TraceId": format(context.trace_id, "032x"),
        "SpanId": format(context.span_id, "016x"),
        "ParentSpanId": format(span.parent.span_id, "016x") if span.parent else "",
        "SpanKind": span.kind.name.capitalize(),
        "StatusCode": span.status.status_code.name.capitalize(),
        "SpanName": text(span.name),
        "StatusMessage": text(span.status.description or ""),
        "TraceState": context.trace_state.to_header(),
        "ServiceName": str(span.resource.attributes.get("service.name", "")),
        "ResourceAttributes": texts(span.resource.attributes),
        "ScopeName": text(scope.name),
        "ScopeVersion": scope.version or "",
        "SpanAttributes": texts(span.attributes),
        "Events.Timestamp": [bounded(event.timestamp) for event in span.events],
        "Events.Name": [text(event.name) for event in span.events],
        "Events.Attributes": [texts(event.attributes) for event in span.events],
        "Links.TraceId": [format(link.context.trace_id, "032x") for link in span.links],
        "Links.SpanId": [format(link.context.span_id, "016x") for link in span.links],
        "Links.TraceState": [link.context.trace_state.to_header() for link in span.links],
        "Links.Attributes": [texts(link.attributes) for link in span.links],
    }


def hostile() -> list[ReadableSpan]:
    """Spans with everything that could break a row, one kind of problem each."""
    trouble: list[dict[str, Any]] = [
        {},
        {"a\ud800": "\udfff b", "a\\ud800": "the escape of the other's name", "": "no name"},
        {"nul\0": "\0", "line\r\n": "\r\n\t\\'", "wide": "☃" * 127, "emoji": "🜁" * 5000},
        {"huge": "x" * 5_000_000, "x" * 70_000: "a long name", "exact": "y" * 127, "one more": "y" * 128},
        {"nan": float("nan"), "inf": float("-inf"), "large": 1e21, "small": 1e-7, "minus": -0.0, "half": 0.5},
        {"int": -(2**63), "beyond": 2**200, "digits": 10**5000, "yes": True, "no": False, "none": None},
        {
            "list": ("a", "\udc80", 1, float("nan"), True, None, b"\xff"),
            "empty": (),
            "bytes": b"\0\xff",
            "map": {"k": (1,)},
        },
        {f"k{number}": number for number in range(400)},
        {"binary": "".join(map(chr, range(256)))},
    ]
    linked = SpanContext(2**128 - 1, 1, True, TraceFlags(0), TraceState([("vendor", "state")]))
    return [
        ReadableSpan(
            name=f"hostile {at}\udc80" if at % 2 else "",
            context=SpanContext(at + 1, 2**64 - 1 - at, False, TraceFlags(1), TraceState([("a", "b"), ("c", "d")])),
            parent=linked if at % 3 == 0 else None,
            resource=Resource({"service.name": "hostile", "n": (1, 2), "pid": 7}),
            attributes=attributes,
            links=[Link(linked, attributes)] * (at % 3),
            kind=list(SpanKind)[at % 5],
            status=Status(StatusCode.ERROR, "broken \0 ☃") if at % 2 else Status(list(StatusCode)[at % 2]),
            start_time=[1_700_000_000_000_000_000, 0, 2**63, -5][at % 4],
            end_time=[1_700_000_000_000_000_001, 2**64, 3, None][at % 4],
            instrumentation_scope=InstrumentationScope("s☃", "1.0" if at % 2 else None),
        )
        for at, attributes in enumerate(trouble)
    ]


# --- a span and its row -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes)
def test_a_row_equals_its_span(recipe: list[Any]) -> None:
    """Every column of any span that the SDK allows is what the collector would write; read as a span again, it gives
    the same row."""
    for span in make(recipe):
        record = rows.encode(span)
        assert rows.fields(record) == wanted(span)
        assert rows.encode(rows.decode(record)) == record


def test_the_bytes_are_read_correctly(connect: Connect) -> None:
    """Golden and hostile spans as rows, as pickles of an earlier version, and as columns written by clickhouse-connect:
    the engine stores the same rows, by hash."""
    spans = [*golden(), *hostile()]
    hashes = []
    for way in ("rows", "pickles", "columns"):
        with contextlib.closing(connect()) as client:
            from genesis_otel._store import schema

            client.command(f"CREATE DATABASE {client.database}_{way}")
            client.database = f"{client.database}_{way}"
            schema.init_schema(client, traces_ttl_days=0)
            exporter = InsertExporter(lambda name=client.database: in_database(connect, name))  # type: ignore[misc]
            if way == "rows":
                store_spans(exporter, spans)
            elif way == "pickles":
                exporter.send(exporter.prepare([exporter.read(codec.encode(span)) for span in spans]))
            else:
                columns = landing_columns(spans)
                client.insert("otel_traces", list(columns.values()), column_names=list(columns), column_oriented=True)
            exporter.shutdown()
            hashes.append(client.query(LANDING_HASH).result_rows[0][0])
            client.command(f"DROP DATABASE {client.database}")
    assert len(hashes[0]) == len(spans)
    assert hashes[0] == hashes[1] == hashes[2]


def in_database(connect: Connect, name: str) -> Client:
    client = connect()
    client.database = name
    return client


def test_a_span_without_ids_or_times_is_a_row() -> None:
    """A span without any of its optional parts is a row all the same, and can be read as a span again."""
    record = rows.encode(ReadableSpan("bare"))
    assert rows.head(record) == ("", "", 0, 0)
    assert rows.fields(record)["SpanName"] == rows.decode(record).name == "bare"
    assert rows.encode(rows.decode(record)) == record


@pytest.mark.parametrize(
    "damage", [lambda row: row[:-1], lambda row: row + b"x", lambda row: row[:40], lambda row: row[:1]]
)
def test_an_incomplete_row_is_not_read(damage: Callable[[bytes], bytes]) -> None:
    """Reading a truncated or lengthened row as a span raises ValueError."""
    with pytest.raises(ValueError, match="not a span"):
        as_span(damage(rows.encode(golden()[0])))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(1, 500), put=st.binary(max_size=12), cut=st.integers(0, 12))
def test_damage_gives_an_error_or_a_span(at: int, put: bytes, cut: int) -> None:
    """Reading a row with any damage gives a span or a ValueError, and never hangs."""
    record = rows.encode(individuals(1)[0])
    at %= len(record)
    with contextlib.suppress(ValueError):
        as_span(record[:at] + put + record[at + cut :])


def test_the_token_depends_on_the_spans_of_a_batch() -> None:
    """The same spans have the same token in any encoding; a different order, end or span gives a different token."""
    spans = golden()[:2]
    one, two = map(rows.encode, spans)
    pickled = [as_row(codec.encode(span)) for span in spans]
    span = codec.decode(codec.encode(spans[1]))
    span._end_time = (span.end_time or 0) + 1
    assert token([one, two]) == token(pickled)
    assert len({token([one, two]), token([two, one]), token([one]), token([one, rows.encode(span)])}) == 4


# --- the spool --------------------------------------------------------------------------------------------------------


def spooled(folder: Path, *records: bytes) -> None:
    writer = Writer(folder, segment_bytes=LIMITS.segment_bytes, spool_bytes=LIMITS.spool_bytes)
    for record in records:
        writer.append(record)
    writer.close()


def individuals(count: int) -> list[ReadableSpan]:
    return [
        ReadableSpan(
            name="individual",
            context=SpanContext(7, number + 1, False, TraceFlags(1)),
            attributes={names.RECORD: "individual", names.RUN_ID: "run", names.INDIVIDUAL_ID: f"ind_{number}"},
            start_time=1_700_000_000_000_000_000 + number,
            end_time=1_700_000_001_000_000_000,
        )
        for number in range(count)
    ]


def stored(store: Client) -> list[str]:
    return sorted(row[0] for row in store.query("SELECT individual_id FROM individuals").result_rows)


def test_each_destination_gets_its_encoding(tmp_path: Path) -> None:
    """For ClickHouse, spans are rows, in this process and in the store process; for a collector they keep their
    types."""
    assert encoding_of(Embedded(tmp_path)) is rows.encode
    assert encoding_of(Collector("http://c:4318", "http/protobuf")) is None
    for exporter, encode in (
        (InsertExporter(lambda: pytest.fail("connected")), rows.encode),
        (otlp_exporter("http://127.0.0.1:1/v1/traces", "http/protobuf"), codec.encode),
    ):
        processor = DurableSpanProcessor(exporter, tmp_path / encode.__module__)
        assert processor.encode(individuals(1)[0]) == encode(individuals(1)[0])
        processor.shutdown()


def test_both_encodings_in_one_queue(tmp_path: Path, store: Client, connect: Connect) -> None:
    """Rows and an earlier version's pickles, alternating in one queue, all arrive, once; an exporter of another kind
    reads both, too."""
    spans = individuals(40)
    records = [(rows.encode, codec.encode)[number % 2](span) for number, span in enumerate(spans)]
    spooled(tmp_path / "a", *records)
    spooled(tmp_path / "b", *records)
    exporter, other = InsertExporter(connect), Store()
    assert drain(tmp_path / "a", exporter, Limits(max_rows=7)) == drain(tmp_path / "b", other) == 40
    exporter.shutdown()
    assert stored(store) == sorted(f"ind_{number}" for number in range(40))
    assert other.names == ["individual"] * 40


def test_only_broken_records_become_dead_letters(tmp_path: Path, store: Client, connect: Connect) -> None:
    """A truncated row, one with trailing bytes, garbage and another version's row: each becomes a dead letter, and every other row is inserted."""
    spans = individuals(64)
    records = [rows.encode(span) for span in spans]
    broken = {
        9: records[9][:-3],
        21: records[21] + b"surplus",
        40: records[40][:59] + b"\xff" * 40,
        55: b"\x02" + records[55][1:],
        56: b"neither",
        57: bytes([rows.MARK]),
    }
    spooled(tmp_path, *(broken.get(number, record) for number, record in enumerate(records)))
    exporter = InsertExporter(connect)
    assert drain(tmp_path, exporter) == 64
    exporter.shutdown()
    assert stored(store) == sorted(f"ind_{number}" for number in range(64) if number not in broken)
    found = {record: reason for _, reason, record in letters.buried(tmp_path)}
    assert set(found) == set(broken.values())
    assert "a newer genesis-otel" in found[broken[55]]
    assert status(tmp_path).waiting == 0


def test_a_refused_row_is_shown_and_requeued(tmp_path: Path, store: Client, connect: Connect) -> None:
    """A dead letter that is a row shows its span's name and run, and arrives when it is requeued."""
    letters.bury(tmp_path, rows.encode(individuals(1)[0]), "Code: 6")
    ((_, reason, span),) = dead_letters(tmp_path)
    assert span is not None and span.attributes is not None
    assert (reason, span.name, span.attributes[names.RUN_ID]) == ("Code: 6", "individual", "run")
    assert requeue(tmp_path, LIMITS) == 1
    exporter = InsertExporter(connect)
    drain(tmp_path, exporter)
    exporter.shutdown()
    assert stored(store) == ["ind_0"] and not list(letters.files(tmp_path))


def test_a_row_that_was_not_written_completely(tmp_path: Path) -> None:
    """Wherever a killed process stopped writing, the rows before are delivered, and nothing is counted as damaged."""
    records = [rows.encode(span) for span in individuals(3)]
    spooled(tmp_path, *records)
    (segment,) = tmp_path.glob("q2-*/*.seg")
    whole = segment.read_bytes()
    for cut in range(len(whole) - len(records[2]) - 15, len(whole), 7):
        folder = tmp_path / f"cut at {cut}"
        spooled(folder, *records)
        (copy,) = folder.glob("q2-*/*.seg")
        copy.write_bytes(whole[:cut])
        # A killed writer has not recorded in its account how many it has written.
        (account,) = folder.glob("*.account")
        account.unlink()
        other = Store()
        assert drain(folder, other) == 2
        assert (len(other.names), status(folder).dropped) == (2, 0)


def test_the_same_batch_twice_adds_nothing(store: Client, connect: Connect) -> None:
    """A batch of many thousand rows that is sent again is one block, recognised by its token."""
    exporter = InsertExporter(connect)
    prepared = exporter.prepare([rows.encode(span) for span in individuals(20_000)])
    for _ in range(2):
        exporter.send(prepared)
    exporter.shutdown()
    assert (
        store.command("SELECT count() FROM otel_traces") == store.command("SELECT count() FROM individuals") == 20_000
    )


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "joins"),
    [
        ({}, True),
        ({"Duration": "Int64", "Timestamp": "DateTime64(9, 'Europe/Berlin')"}, True),
        ({"SpanAttributes": "Map(LowCardinality(String), String)", "SpanKind": "LowCardinality(String)"}, True),
        ({"Events.Name": "Array(LowCardinality(String))", "TenantId": "UInt64"}, True),
        ({"Timestamp": "DateTime64(3)"}, False),
        ({"Timestamp": "Int64"}, False),
        ({"TraceId": "Int64"}, False),
        ({"SpanAttributes": "JSON"}, False),
        ({"ScopeName": ""}, False),
    ],
)
def test_bytes_are_inserted_only_into_a_matching_table(change: dict[str, str], joins: bool) -> None:
    """Dictionary encoding, a time zone, signedness and further columns make no difference to the bytes; another type or
    a missing column does."""
    assert takes_rows({**rows.COLUMNS, **change}) is joins
