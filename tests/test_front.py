"""ClickHouse's HTTP interface as other clients speak it: clickhouse-go, the collector's and Grafana's, curl, and two users."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from pipeline import PASSWORD, READER, ROOT, Store, running

from genesis_otel import _packing, _serve
from genesis_otel._clickhouse import StoreError

PROBE = Path(__file__).parent / "clickhouse_go"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that runs, with a table of a thousand rows."""
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
    """A program with clickhouse-go, of the version that the collector has; built once."""
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
    "SELECT * FROM file('/etc/passwd', 'LineAsString')": 497,
    "SELECT 1::Dynamic": 48,
    "SELECT throwIf(number = 100000) FROM numbers(200000)": 395,
}


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "gzip", "deflate"])
def test_clickhouse_go_reads_and_writes(compression: str, served: Store, probe: Path) -> None:
    """Every type that the tables and Grafana need arrives at the revision that the client asks for; inserts of several blocks
    arrive whole; what is refused tells ClickHouse's code."""
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


def test_clickhouse_go_is_told_what_is_not_spoken(served: Store, probe: Path) -> None:
    """An insert packed by brotli is refused with code 48 and status 400, which is not tried again, and stores nothing."""
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
    """ClickHouse's own frames: what comes whole is read, what was damaged on the way is refused with ClickHouse's code."""
    body = _packing.framed(b"1\n2\n3\n")
    insert = {"query": "INSERT INTO numbered FORMAT TSV", "decompress": 1}
    damaged = body[:-1] + bytes([body[-1] ^ 1])
    assert ask(served, "POST", insert, damaged)[:2] == (400, "40")
    assert ask(served, "POST", insert, body[:-4])[:2] == (400, "271")
    assert served.count("SELECT count() FROM numbered") == 1000
    status, _, framed = ask(served, "POST", {"query": "SELECT 'framed'", "compress": 1})
    assert (status, _packing.unframed(framed, 100)) == (200, b"framed\n")


def test_a_session_keeps_what_is_set_and_its_temporary_tables(served: Store) -> None:
    """What a request leaves in its session is there for the next one, for nobody else, and unknown sessions are said so."""
    session = {"session_id": "mine", "session_timeout": 60}
    assert ask(served, "POST", {**session, "query": "CREATE TEMPORARY TABLE mine AS SELECT 7 AS n"})[0] == 200
    assert ask(served, "POST", {**session, "query": "SET max_threads = 3"})[0] == 200
    assert ask(served, "POST", {**session, "query": "SELECT n, getSetting('max_threads') FROM mine"})[2] == b"7\t3\n"
    assert ask(served, "POST", {"query": "SELECT n FROM mine"})[:2] == (404, "60")
    assert ask(served, "POST", {"session_id": "yours", "session_check": 1, "query": "SELECT 1"})[:2] == (404, "372")
    assert ask(served, "POST", {"session_id": "mine", "session_timeout": 99999, "query": "SELECT 1"})[1] == "374"


def test_settings_of_a_query_end_with_it(served: Store) -> None:
    """A setting in the URL holds for its query, and a second one has the engine's own value."""
    query = {"query": "SELECT getSetting('max_block_size')"}
    assert ask(served, "POST", {**query, "max_block_size": 77})[2] == b"77\n"
    assert ask(served, "POST", query)[2] != b"77\n"


def test_the_reader_reads_and_changes_nothing(served: Store) -> None:
    """The second user asks whatever can be asked, sends limits of its own as Grafana does, and cannot change a thing."""
    assert (
        ask(served, "POST", {"query": "SELECT count() FROM numbered", "max_execution_time": 5}, user="reader")[2]
        == b"1000\n"
    )
    for statement in (
        "INSERT INTO numbered VALUES (1)",
        "DROP TABLE numbered",
        "ALTER TABLE numbered DELETE WHERE 1",
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


def test_a_reader_is_nobody_with_the_owners_password(served: Store) -> None:
    """Each user has a password of its own; none, a wrong one and another user's are refused alike."""
    for user, password in (("reader", PASSWORD), ("genesis", READER), ("genesis", ""), ("default", ""), ("", "")):
        with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
            clickhouse_connect.get_client(host="127.0.0.1", port=served.port, username=user, password=password)


def test_passwords_that_are_told_stay(tmp_path: Path) -> None:
    """Told by the environment, a password is the same after a restart, and stands in no line that is shown."""
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
        (("--host", "0.0.0.0"), {}, "both passwords have to be told"),
        (("--host", "0.0.0.0"), {"GENESIS_OTEL_SERVE_PASSWORD": PASSWORD}, "both passwords have to be told"),
        ((), {"GENESIS_OTEL_SERVE_PASSWORD": "short"}, "at least 12 characters"),
        (
            ("--host", "no such address"),
            {"GENESIS_OTEL_SERVE_PASSWORD": PASSWORD, "GENESIS_OTEL_SERVE_READER_PASSWORD": READER},
            "cannot be had",
        ),
    ],
)
def test_nobody_is_let_in_by_accident(
    arguments: tuple[str, ...], told: dict[str, str], says: str, tmp_path: Path
) -> None:
    """Beyond loopback only with passwords of one's own, never a short one; the error says what to do and no password."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GENESIS_OTEL_"))}
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


def test_listening_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    """A password that will not do leaves no folder behind."""
    with pytest.raises(StoreError, match="at least"):
        _serve.serve(tmp_path / "store", password="")
    assert not (tmp_path / "store").exists()
