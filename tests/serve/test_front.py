"""ClickHouse's HTTP interface as other clients use it: clickhouse-go (the collector's and Grafana's), curl, and two users."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from genesis_otel._serve import process
from genesis_otel._serve.http import compression, native_format
from genesis_otel._store.errors import StoreError
from tests.conftest import Connect
from tests.support.environment import without_settings
from tests.support.pipeline import PASSWORD, READER, ROOT, Store, running
from tests.support.waiting import until

PROBE = Path(__file__).parents[1] / "support" / "clickhouse_go"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running store, with a table of a thousand rows."""
    store = Store(tmp_path_factory.mktemp("front") / "store")
    with running(store):
        with contextlib.closing(store.client()) as client:
            client.command(
                "CREATE TABLE numbered ENGINE = MergeTree ORDER BY n AS SELECT number AS n FROM numbers(1000)"
            )
            client.command(
                "CREATE TABLE inserted (n UInt64, s String, tags Map(LowCardinality(String), String)) ENGINE = MergeTree ORDER BY n"
            )
        yield store


@pytest.fixture(scope="session")
def probe() -> Path:
    """A program with clickhouse-go, in the collector's version; built once."""
    sources = sorted(PROBE.glob("*.*"))
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sources)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "genesis-otel" / "clickhouse_go" / digest / "probe"
    if not target.exists():
        if shutil.which("go") is None:
            text = "NOTHING OF CLICKHOUSE-GO IS TESTED: Go is not on the PATH"
            if os.environ.get("CI"):
                pytest.fail(text)
            pytest.skip(text)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"probe.{os.getpid()}")
        subprocess.run(["go", "build", "-o", str(fresh), "."], cwd=PROBE, check=True, timeout=280)
        fresh.replace(target)
    return target


def ask(
    store: Store, method: str, settings: Mapping[str, Any], body: bytes = b"", user: str = "genesis"
) -> tuple[int, str, bytes]:
    """One request as curl would send it: status, the code of the exception, and the answer."""
    password = PASSWORD if user == "genesis" else READER
    key = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=30)
    connection.request(method, f"/?{urlencode(settings)}", body=body, headers={"Authorization": f"Basic {key}"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers.get("X-ClickHouse-Exception-Code", ""), content


ANSWERED = {
    "SELECT displayName() != '', version() LIKE '26.%', revision() > 54000": [["1", "1", "1"]],
    "SELECT 1 AS a, 'x' AS b, toDateTime('2026-01-01 00:00:00', 'UTC') AS c": [
        ["1", "x", "2026-01-01 00:00:00 +0000 UTC"]
    ],
    "SELECT toDateTime64('2026-01-01 00:00:00.123', 3, 'UTC'), toDate('2026-01-02')": [
        ["2026-01-01 00:00:00.123 +0000 UTC", "2026-01-02 00:00:00 +0000 UTC"]
    ],
    "SELECT toLowCardinality('a'), map('k', 'v'), [1, 2], (1, 'x'), NULL::Nullable(String), 1.5::Decimal(10, 2), true": [
        ["a", "map[k:v]", "[1 2]", "[1 x]", "<nil>", "1.5", "true"]
    ],
    "SELECT toIPv4('1.2.3.4'), toInt256(5), toFloat32(1.5), map('a', [1]), CAST('a', 'Enum8(\\'a\\' = 1)'), toFixedString('ab', 2)": [
        ["1.2.3.4", "5", "1.5", "map[a:[1]]", "a", "ab"]
    ],
    "SELECT number, arrayMap(x -> toLowCardinality(toString(x)), range(number)) FROM numbers(3)": [
        ["0", "[]"],
        ["1", "[0]"],
        ["2", "[0 1]"],
    ],
    "SELECT '{\"a\":1}'::JSON": [['{"a":1}']],
    "SELECT number FROM numbers(0)": [],
    "SELECT {text:String}": [['it\'s "☃"']],
    "SELECT number FROM numbers(300000) WHERE number % 100000 = 7": [["7"], ["100007"], ["200007"]],
    "SELECT count() FROM (SELECT * FROM otel_traces)": [["0"]],
}
REFUSED = {
    "SELECT nothing FROM nowhere": 60,
    "SELECT * FROM url('http://127.0.0.1/', 'CSV', 'a String')": 497,
    "DELETE FROM numbered WHERE number IN (SELECT * FROM url('http://127.0.0.1/', 'CSV', 'a UInt64'))": 497,
    "SELECT * FROM file('/etc/passwd', 'LineAsString')": 497,
    "SELECT 1::Dynamic": 48,
    "SELECT throwIf(number = 100000) FROM numbers(200000)": 395,
}


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "gzip", "deflate"])
def test_clickhouse_go_reads_and_writes(compression: str, served: Store, probe: Path) -> None:
    """Every type that the tables and Grafana need arrives at the revision that the client asks for; inserts of several blocks
    arrive complete; a refusal carries ClickHouse's code."""
    with contextlib.closing(served.client()) as client:
        client.command("TRUNCATE TABLE inserted")
    queries = [*ANSWERED, *REFUSED, "insert"]
    done = subprocess.run(
        [str(probe), f"127.0.0.1:{served.port}", "genesis", PASSWORD, compression],
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers = dict(zip(queries, json.loads(done.stdout), strict=True))
    assert {query: answers[query]["rows"] for query in ANSWERED} == ANSWERED
    for query, code in REFUSED.items():
        assert f"Code: {code}." in answers[query]["error"], query
    assert answers["insert"]["error"] == ""
    with contextlib.closing(served.client()) as client:
        assert client.query("SELECT count(), uniqExact(n), max(tags['k']) FROM inserted").result_rows == [
            (3000, 3000, "999")
        ]


def test_clickhouse_go_is_refused_brotli(served: Store, probe: Path) -> None:
    """An insert compressed with brotli is refused with code 48 and status 400, which clients do not retry, and stores nothing."""
    done = subprocess.run(
        [str(probe), f"127.0.0.1:{served.port}", "genesis", PASSWORD, "br"],
        input='["insert"]',
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (answer,) = json.loads(done.stdout)
    assert "HTTP 400" in answer["error"] and "Code: 48." in answer["error"] and "lz4, zstd, gzip" in answer["error"]


def test_frames_are_checked(served: Store) -> None:
    """ClickHouse's own frames: what arrives complete is read, what was damaged on the way is refused with ClickHouse's code."""
    body = compression.framed(b"1\n2\n3\n")
    insert = {"query": "INSERT INTO numbered FORMAT TSV", "decompress": 1}
    damaged = body[:-1] + bytes([body[-1] ^ 1])
    assert ask(served, "POST", insert, damaged)[:2] == (400, "40")
    assert ask(served, "POST", insert, body[:-4])[:2] == (400, "271")
    assert served.count("SELECT count() FROM numbered") == 1000
    status, _, framed = ask(served, "POST", {"query": "SELECT 'framed'", "compress": 1})
    assert (status, compression.unframed(framed, 100)) == (200, b"framed\n")


def test_a_session_keeps_its_settings_and_temporary_tables(served: Store) -> None:
    """What a request leaves in its session is there for the next one and for nobody else, and an unknown session is an error."""
    session = {"session_id": "mine", "session_timeout": 60}
    assert ask(served, "POST", {**session, "query": "CREATE TEMPORARY TABLE mine AS SELECT 7 AS n"})[0] == 200
    assert ask(served, "POST", {**session, "query": "SET max_threads = 3"})[0] == 200
    assert ask(served, "POST", {**session, "query": "SELECT n, getSetting('max_threads') FROM mine"})[2] == b"7\t3\n"
    assert ask(served, "POST", {"query": "SELECT n FROM mine"})[:2] == (404, "60")
    assert ask(served, "POST", {"session_id": "yours", "session_check": 1, "query": "SELECT 1"})[:2] == (404, "372")
    assert ask(served, "POST", {"session_id": "mine", "session_timeout": 99999, "query": "SELECT 1"})[1] == "374"


def test_a_session_answers_one_request_at_a_time(served: Store) -> None:
    """While a session's answer is in progress, it is locked for others; once that answer has ended, or was abandoned,
    it is free again."""
    session = {"session_id": "busy", "query": "SELECT number, toString(number) FROM numbers(100000000)"}
    key = base64.b64encode(f"genesis:{PASSWORD}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("POST", f"/?{urlencode(session)}", headers={"Authorization": f"Basic {key}"})
    # Kept, because an answer that nobody holds is closed, which frees its session.
    under_way = connection.getresponse()
    assert under_way.status == 200
    assert ask(served, "POST", {"session_id": "busy", "query": "SELECT 1"})[:2] == (400, "373")
    assert ask(served, "POST", {"session_id": "busy", "query": "SELECT 1"}, user="reader")[2] == b"1\n"
    under_way.close()
    connection.close()
    until(
        lambda: ask(served, "POST", {"session_id": "busy", "query": "SELECT 1"})[2] == b"1\n", "the session's release"
    )


def test_a_session_keeps_nothing_of_one_requests_settings(served: Store) -> None:
    """Settings, database and formats in a URL apply only to that request, in a session too, and after a refused one."""
    asked = "SELECT getSetting('max_block_size'), currentDatabase()"
    session = {"session_id": "clean", "query": asked}
    before = ask(served, "POST", session)[2]
    assert ask(served, "POST", {**session, "max_block_size": 77, "database": "system"})[2] == b"77\tsystem\n"
    assert ask(served, "POST", session)[2] == before
    refused = {**session, "query": "SELECT 1::Dynamic", "default_format": "Native", "client_protocol_version": 54460}
    assert ask(served, "POST", {**refused, "max_block_size": 77})[:2] == (400, "48")
    assert ask(served, "POST", session)[2] == before


def test_a_get_only_reads_in_a_session_too(served: Store) -> None:
    """A GET changes no table, and does not leave its session unable to write."""
    session = {"session_id": "got"}
    assert ask(served, "GET", {**session, "query": "CREATE TABLE got (n UInt8) ENGINE = Memory"})[:2] == (403, "164")
    assert ask(served, "GET", {**session, "query": "SELECT 1"})[2] == b"1\n"
    assert ask(served, "POST", {**session, "query": "CREATE TEMPORARY TABLE got (n UInt8)"})[0] == 200


OUTSIDE = (
    "CREATE TABLE outside (line String) ENGINE = Buffer('default', '/etc/hostname', 1, 1, 1, 1, 1, 1, 1)",
    "CREATE TEMPORARY TABLE outside (line String) ENGINE = Buffer('default', '/etc/hostname', 1, 1, 1, 1, 1, 1, 1)",
    "CREATE MATERIALIZED VIEW outside TO `/etc/genesis-otel.csv` AS SELECT n FROM numbered",
    "CREATE MATERIALIZED VIEW outside TO default.{path:Identifier} AS SELECT n FROM numbered",
    "CREATE TABLE outside AS `/etc/hostname`",
    "CREATE TABLE outside (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS disk = disk(type = 'local', path = '/etc/')",
    "ALTER TABLE numbered MODIFY SETTING disk = disk(type = 'web', endpoint = 'http://127.0.0.1:1/')",
    "ALTER TABLE numbered ATTACH PARTITION ALL FROM `/etc/hostname`",
    "SELECT hasColumnInTable('default', '/etc/hostname', 'root')",
    "SHOW COLUMNS FROM `/etc/hostname`",
)


@pytest.mark.parametrize("statement", OUTSIDE)
def test_no_table_reads_a_file(statement: str, served: Store) -> None:
    """What an engine, a view's target, a disk or a function names is never a file; neither user gets there."""
    for user in ("genesis", "reader"):
        asked = {"query": statement, "param_path": "/etc/genesis-otel.csv"}
        assert ask(served, "POST", asked, user=user)[:2] == (403, "497")
        assert ask(served, "POST", {**asked, "session_id": "outside"}, user=user)[:2] == (403, "497")


TYPES = """
UInt8|Int128|UInt256|Float64|BFloat16|Bool|Decimal(9, 2)|Decimal(18, 2)|Decimal(38, 2)|Decimal(76, 2)|String|FixedString(7)|UUID
IPv4|IPv6|Date|Date32|DateTime|DateTime('UTC')|DateTime64(9, 'Asia/Tokyo')|Enum8('a,b' = 1, 'c\\'(d' = 2)|Enum16('x' = 1000)
LowCardinality(String)|LowCardinality(Nullable(String))|LowCardinality(FixedString(3))|LowCardinality(UInt32)|Nullable(String)
Nullable(Decimal(9, 2))|Array(String)|Array(Array(Nullable(UInt8)))|Array(Array(LowCardinality(Nullable(String))))|Map(String, String)
Map(LowCardinality(String), Array(LowCardinality(String)))|Tuple(a UInt8, `b c, (` LowCardinality(String), d Tuple(e Nullable(UInt8)))
Tuple()|Nested(a UInt8, b String)|Array(Nothing)|Nullable(Nothing)|Point|Ring|MultiLineString|MultiPolygon|IntervalDay
SimpleAggregateFunction(sum, UInt64)|SimpleAggregateFunction(groupArrayArray, Array(String))|QBit(Float32, 10)|JSON|Map(String, JSON)
Tuple(a Array(Tuple(b LowCardinality(String), c JSON)))
""".strip().replace("\n", "|")


@pytest.mark.parametrize("type_", TYPES.split("|"))
def test_a_column_ends_where_its_type_says(type_: str, connect: Connect) -> None:
    """For every type that has a length, the walk ends exactly at the next column, with no row, one and many, and values are unchanged."""
    client = connect()
    settings = {
        "output_format_native_write_json_as_string": 1,
        "allow_suspicious_low_cardinality_types": 1,
        "allow_experimental_qbit_type": 1,
    }
    for rows in (0, 1, 1000):
        for source in (
            "(SELECT * FROM generateRandom({structure:String}, 1, 200, 3) LIMIT {rows:UInt64})",
            "(SELECT defaultValueOfTypeName({type:String}) AS x FROM numbers({rows:UInt64}))",
        ):
            try:
                block = client.raw_query(
                    f"SELECT x, 7::UInt16 AS tail FROM {source}",
                    parameters={"structure": f"x {type_}", "type": type_, "rows": rows},
                    settings=settings,
                    fmt="Native",
                )
            except DatabaseError:  # no random values of this type
                assert "generateRandom" in source
                continue
            sent = native_format.at_revision(block, 54460)
            tails = b"\x07\x00" * rows
            assert sent.startswith(native_format.BLOCK_INFO) if rows else sent == b""
            assert len(sent) == len(block) + (len(native_format.BLOCK_INFO) + 2) * sent.count(native_format.BLOCK_INFO)
            assert sent.endswith(b"\x04tail\x06UInt16\x00" + tails) if rows else block == b""


def test_an_insert_that_may_run_lets_nothing_else_through(served: Store) -> None:
    """What the owner inserts again and again is still refused to the reader, and so is an insert into a file."""
    asked = {"query": "INSERT INTO inserted (n, s) FORMAT TSV"}
    for number in range(3):
        assert ask(served, "POST", asked, b"%d\tours" % number)[0] == 200
        assert ask(served, "POST", asked, b"7\ttheirs", user="reader")[:2] == (403, "164")
        for outside in (
            "INSERT INTO `/etc/hostname` (n, s) FORMAT TSV",
            "INSERT INTO {to:Identifier} (n, s) FORMAT TSV",
        ):
            refused = {"query": outside, "param_to": "/etc/hostname"}
            assert ask(served, "POST", refused, b"1\ta")[:2] == (403, "497")
    counted = "SELECT countIf(s = 'ours'), countIf(s = 'theirs') FROM inserted"
    assert ask(served, "POST", {"query": counted})[2] == b"3\t0\n"


def test_an_insert_whose_view_fails_is_refused(served: Store) -> None:
    """If a view of the table cannot take the rows, whoever inserts is told so, and sends them again: else they would be lost
    without a word."""
    for sql in (
        "CREATE TABLE seen (n UInt64, s String) ENGINE = MergeTree ORDER BY n",
        "CREATE TABLE `from view` (n UInt64) ENGINE = MergeTree ORDER BY n",
        "CREATE MATERIALIZED VIEW seen_mv TO `from view` AS SELECT n + throwIf(n = 13) AS n FROM seen",
    ):
        assert ask(served, "POST", {"query": sql})[0] == 200
    for form, rows in (("TSV", b"12\tx\n%d\tx\n"), ("Values", b"(12, 'x'), (%d, 'x')"), ("CSV", b"12,x\n%d,x\n")):
        for settings in ({}, {"parallel_view_processing": 1, "async_insert": 0}):
            asked = {"query": f"INSERT INTO seen (n, s) SETTINGS max_threads = 2 FORMAT {form}", **settings}
            assert ask(served, "POST", asked, rows % 13)[:2] == (500, "395")
            assert ask(served, "POST", asked, rows % 14)[:2] == (200, "")
    assert ask(served, "POST", {"query": "SELECT count() FROM `from view` WHERE n = 14"})[2] == b"6\n"


def test_the_data_of_an_insert_is_no_statement(served: Store) -> None:
    """What follows the values, whatever their format, is never run."""
    for form, data in (("Values", b"(1, 'a'); DROP TABLE numbered"), ("TSV", b"1\ta\n; DROP TABLE numbered\n")):
        ask(served, "POST", {"query": f"INSERT INTO inserted (n, s) FORMAT {form}"}, data)
    assert ask(served, "POST", {"query": "SELECT count() FROM numbered"})[2] == b"1000\n"
    for empty in ("Values", "TSV", "RowBinary", "Native"):
        assert ask(served, "POST", {"query": f"INSERT INTO inserted (n, s) FORMAT {empty}"})[:2] == (200, "")


@pytest.mark.parametrize("accepted", ["gzip;q=1.2.3", "gzip;q=1.0", "br;q=1.0, gzip;q=0.8, *;q=0.1"])
def test_any_weight_of_an_encoding_is_read(accepted: str, served: Store) -> None:
    """An encoding is chosen whatever its weight looks like, unless it is 0."""
    for weight in (accepted, f"zstd;q=0.000, {accepted}"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        headers = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER, "Accept-Encoding": weight}
        connection.request("GET", "/?enable_http_compression=1&query=SELECT+1", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
        connection.close()


@pytest.mark.parametrize(
    ("setting", "code"), [("client_protocol_version", "36"), ("session_timeout", "374"), ("readonly", "36")]
)
def test_a_number_that_is_none_is_refused(setting: str, code: str, served: Store) -> None:
    """What the protocol wants as a number is refused with ClickHouse's code if it is none, or has thousands of digits."""
    for value in ("9" * 5000, "x", "-1", "²"):
        settings = {"query": "SELECT 1", "session_id": "numbers", setting: value}
        assert ask(served, "POST", settings)[:2] == (400, code)


def test_bytes_of_a_url_are_kept_or_refused(served: Store) -> None:
    """A parameter may have any bytes, a URL need not escape UTF-8, and a statement that is no UTF-8 is refused, not changed."""
    for query, expected in (
        (b"query=SELECT+hex({x:String})&param_x=%FF%C3%A9%5C%5C", (200, b"FFC3A95C\n")),
        ("query=SELECT+hex('é')".encode(), (200, b"C3A9\n")),
        (b"query=SELECT+hex('%FF')", (400, b"")),
        (b"query=SELECT+1&session_id=%FF", (400, b"")),
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            key = base64.b64encode(f"reader:{READER}".encode())
            connection.sendall(b"GET /?%s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\n\r\n" % (query, key))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            content = answer.read()
        assert answer.status == expected[0] and (
            content == expected[1] or answer.headers["X-ClickHouse-Exception-Code"] == "48"
        )


def test_a_readers_session_goes_on_after_a_readonly_request(served: Store) -> None:
    """`readonly` counts for one request, and the next one of the session may set what it wants."""
    for settings in ({"readonly": 1}, {"max_threads": 1}, {"readonly": 1, "max_threads": 2}, {"readonly": 2}):
        asked = {"query": "SELECT 5", "session_id": "readonly", **settings}
        assert ask(served, "POST", asked, user="reader") == (200, "", b"5\n")
    refused = {"query": "CREATE TABLE more (a UInt8) ENGINE = Memory", "session_id": "readonly"}
    assert ask(served, "POST", refused, user="reader")[1] == "164"


def test_settings_of_a_query_end_with_it(served: Store) -> None:
    """A setting in the URL applies to its query, and the next query has the engine's own value."""
    query = {"query": "SELECT getSetting('max_block_size')"}
    assert ask(served, "POST", {**query, "max_block_size": 77})[2] == b"77\n"
    assert ask(served, "POST", query)[2] != b"77\n"


def test_a_query_may_choose_its_time_zone(served: Store) -> None:
    """`session_timezone` is a setting of the engine, unlike what identifies a session."""
    query = {"query": "SELECT toDateTime64(0, 3)", "session_timezone": "Asia/Tokyo"}
    assert ask(served, "POST", query)[2] == b"1970-01-01 09:00:00.000\n"
    assert ask(served, "POST", {**query, "session_id": "zoned"})[2] == b"1970-01-01 09:00:00.000\n"


def test_a_query_that_is_asked_often_is_not_compiled(served: Store) -> None:
    """By default the engine stops to compile it at the fourth time, which takes longer than answering; whoever wants that
    can ask for it."""
    sql = "SELECT number % 3 AS n, sum(number * 2 + 1) AS s FROM numbers(100) GROUP BY n ORDER BY s + n * 2, n"
    # Not from 0: the engine may have compiled something for itself, or for the queries of other tests.
    compiled = {"query": "SELECT sum(value) FROM system.events WHERE event = 'CompileFunction'"}
    before = int(ask(served, "POST", compiled)[2])
    for _ in range(6):
        assert ask(served, "POST", {"query": sql})[0] == 200
    assert int(ask(served, "POST", compiled)[2]) == before
    for _ in range(6):
        assert ask(served, "POST", {"query": sql, "compile_expressions": 1})[0] == 200
    assert int(ask(served, "POST", compiled)[2]) > before


def test_the_reader_reads_and_changes_nothing(served: Store) -> None:
    """The second user can run any read query, sends its own limits as Grafana does, and cannot change anything."""
    assert (
        ask(served, "POST", {"query": "SELECT count() FROM numbered", "max_execution_time": 5}, user="reader")[2]
        == b"1000\n"
    )
    for statement in (
        "INSERT INTO numbered VALUES (1)",
        "DROP TABLE numbered",
        "ALTER TABLE numbered DELETE WHERE 1",
        "DELETE FROM numbered WHERE 1",
        "CREATE TABLE theirs (n UInt8) ENGINE = Memory",
        "TRUNCATE TABLE numbered",
        "OPTIMIZE TABLE numbered",
        "KILL QUERY WHERE 1",
    ):
        status, code, _ = ask(served, "POST", {"query": statement}, user="reader")
        assert (status, code) == (403, "164"), statement
        session = {"session_id": "reads", "query": statement}
        assert ask(served, "POST", session, user="reader")[:2] == (403, "164"), statement
    assert served.count("SELECT count() FROM numbered") == 1000


def test_another_users_password_is_refused(served: Store) -> None:
    """Each user has a separate password; none, a wrong one and another user's are refused alike."""
    for user, password in (("reader", PASSWORD), ("genesis", READER), ("genesis", ""), ("default", ""), ("", "")):
        with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
            clickhouse_connect.get_client(host="127.0.0.1", port=served.port, username=user, password=password)


def test_configured_passwords_are_kept(tmp_path: Path) -> None:
    """Set in the environment, a password is the same after a restart, and appears in no printed line."""
    store = Store(tmp_path / "store")
    with running(store):
        assert store.count("SELECT 1") == 1
        store.kill()
        store.start()
        assert store.count("SELECT 1") == 1
    assert PASSWORD not in (tmp_path / "store.log").read_text()
    assert "not a ClickHouse server" in (tmp_path / "store.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "told", "says"),
    [
        (("--host", "0.0.0.0"), {}, "both passwords are required"),
        (("--host", "0.0.0.0"), {"GENESIS_OTEL_SERVE_PASSWORD": PASSWORD}, "both passwords are required"),
        ((), {"GENESIS_OTEL_SERVE_PASSWORD": "short"}, "at least 12 characters"),
        (
            ("--host", "no such address"),
            {"GENESIS_OTEL_SERVE_PASSWORD": PASSWORD, "GENESIS_OTEL_SERVE_READER_PASSWORD": READER},
            "is not available",
        ),
    ],
)
def test_access_beyond_loopback_needs_passwords(
    arguments: tuple[str, ...], told: dict[str, str], says: str, tmp_path: Path
) -> None:
    """Beyond loopback only with explicit passwords, never a short one; the error says what to do and contains no password."""
    kept = without_settings()
    done = subprocess.run(
        [sys.executable, "-m", "genesis_otel", "serve", *arguments],
        env={**kept, "CLICKHOUSE_URL": f"chdb://{tmp_path}/store", **told},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr and "Traceback" not in done.stderr
    assert not any(value in done.stderr for value in told.values() if len(value) > 5)


def test_passwords_are_checked_before_anything_is_created(tmp_path: Path) -> None:
    """An unacceptable password leaves no folder behind."""
    with pytest.raises(StoreError, match="at least"):
        process.serve(tmp_path / "store", password="")
    assert not (tmp_path / "store").exists()
