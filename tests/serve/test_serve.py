"""The store process: one per folder, answers clickhouse-connect like a server, and confines its clients to the store."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import psutil
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._serve import process as _process
from genesis_otel._serve.http.guard import split_data
from genesis_otel._ship.spool.writer import Writer
from genesis_otel._store.errors import StoreError
from tests.support.waiting import until


def end(folder: Path, number: int = signal.SIGTERM) -> None:
    """Stop the folder's store process, if one is running, and wait until it is gone."""
    address = store_process.running(folder)
    if address:
        process = psutil.Process(address.pid)
        process.send_signal(number)
        process.wait(60)


def client_of(address: store_folder.Address, **options: Any) -> Client:
    """A plain clickhouse-connect client, as a user would open it."""
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username="genesis",
        password=address.secret,
        **{"autogenerate_session_id": False, **options},
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[store_folder.Address]:
    """The address of a store process that all tests of the front share."""
    folder = tmp_path_factory.mktemp("served")
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    yield address
    end(folder)


@pytest.fixture(scope="module")
def client(served: store_folder.Address) -> Iterator[Client]:
    """A client of that store process, with a table of 1,000 rows."""
    opened = client_of(served)
    opened.command("CREATE TABLE facts (name String, n UInt64, tags Map(String, String)) ENGINE = MergeTree ORDER BY n")
    opened.insert("facts", [[f"x{n}", n, {"k": "v"}] for n in range(1000)], column_names=["name", "n", "tags"])
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a store process of this test alone, stopped afterwards."""
    yield tmp_path / "store"
    end(tmp_path / "store", signal.SIGKILL)


# --- what a server does -----------------------------------------------------------------------------------------------


def test_values_are_bound_on_the_server(client: Client) -> None:
    """Parameters arrive unchanged, whatever they contain and however long they are."""
    for text in ("q'\n\t\\z", "'; DROP TABLE facts; --", "Grüße", "y" * 100_000):
        assert client.query("SELECT {x:String} AS x", parameters={"x": text}).result_rows == [(text,)]


def test_settings_hold_for_one_statement(client: Client) -> None:
    """A setting sent with a statement applies only to that statement."""
    sql = "SELECT getSetting('max_result_rows')"
    assert client.query(sql, settings={"max_result_rows": 77}).result_rows == [(77,)]
    assert client.query(sql).result_rows == [(0,)]


def test_frames_and_formats(client: Client) -> None:
    """DataFrames, JSON and CSV come out as the engine writes them; LIMIT 0 has its columns."""
    frame = client.query_df("SELECT name, n FROM facts ORDER BY n LIMIT 3")
    assert list(frame["n"]) == [0, 1, 2] and list(frame.columns) == ["name", "n"]
    assert client.query("SELECT name, n FROM facts LIMIT 0").column_names == ("name", "n")
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    assert json.loads(client.raw_query("SELECT 1 AS a", fmt="JSON"))["data"] == [{"a": 1}]
    assert client.raw_query("SELECT n FROM facts ORDER BY n LIMIT 1 FORMAT CSVWithNames") == b'"n"\n0\n'


def test_commands_answer(client: Client) -> None:
    """Commands return their value, their summary or nothing, as with a server."""
    assert client.command("SELECT 1") == 1
    assert client.command("EXISTS TABLE facts") == 1
    assert "facts" in str(client.command("SHOW TABLES"))
    client.command("CREATE TABLE gone (a UInt8) ENGINE = Memory")
    client.command("DROP TABLE gone")
    assert client.command("EXISTS TABLE gone") == 0
    assert client.ping()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_inserts_arrive_in_every_encoding(served: store_folder.Address, compress: Any) -> None:
    """Rows of a Native insert arrive with the encodings that the client has, and are counted."""
    opened = client_of(served, compress=compress)
    name = f"into_{compress}"
    opened.command(f"CREATE TABLE {name} (a String, b Float64, c Array(Nullable(Int32))) ENGINE = MergeTree ORDER BY a")
    rows = [[f"x{n}", n / 3, [n, None]] for n in range(20_000)]
    assert opened.insert(name, rows, column_names=["a", "b", "c"]).written_rows == 20_000
    assert opened.query(f"SELECT count(), sum(b), uniqExact(a) FROM {name}").result_rows == [
        (20_000, pytest.approx(sum(n / 3 for n in range(20_000))), 20_000)
    ]
    opened.close()


def test_raw_and_inline_inserts(client: Client) -> None:
    """Text formats, compressed text and inline VALUES are inserted; expressions among the values are not evaluated."""
    client.command("CREATE TABLE raw (a String, n UInt64) ENGINE = MergeTree ORDER BY n")
    client.raw_insert("raw", column_names=["a", "n"], insert_block="q,1\nw,2\n", fmt="CSV")
    client.raw_insert(
        "raw", column_names=["a", "n"], insert_block=gzip.compress(b"e,3\n"), fmt="CSV", compression="gzip"
    )
    client.command("INSERT INTO raw (a, n) VALUES ('r; -- (', 4), ('FORMAT', 5)")
    client.command("INSERT INTO raw (a, n) SELECT 's', 6")
    assert client.query("SELECT groupArray(a) FROM (SELECT a FROM raw ORDER BY n)").result_rows == [
        (["q", "w", "e", "r; -- (", "FORMAT", "s"],)
    ]
    for values in ("(file('/etc/hostname'), 9)", "(concat(file('/etc/hostname'), ''), 9)", "(toString(1), 9)"):
        with pytest.raises(DatabaseError):
            client.command(f"INSERT INTO raw (a, n) VALUES {values}")
    assert client.command("SELECT count() FROM raw WHERE n = 9") == 0


def test_errors_have_code_and_name(client: Client) -> None:
    """An error is the engine's own, with its code and its name."""
    for sql, code, name in (
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1 SETTINGS nonsense = 1", 115, "UNKNOWN_SETTING"),
        ("SELECT no_column FROM facts", 47, "UNKNOWN_IDENTIFIER"),
    ):
        with pytest.raises(DatabaseError) as caught:
            client.query(sql)
        assert (caught.value.code, caught.value.name) == (code, name)
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("facts", column_names=["name", "n"], insert_block="a,zz\n", fmt="CSV")
    assert caught.value.code in (27, 72, 117)
    assert client.command("SELECT count() FROM facts") == 1000


def test_large_results_come_in_blocks(client: Client) -> None:
    """Millions of rows stream through; a reader who stops early leaves nothing running."""
    sql = "SELECT number, toString(number) AS s FROM numbers({n:UInt64})"
    with client.query_row_block_stream(sql, parameters={"n": 2_000_000}) as blocks:
        assert sum(len(block) for block in blocks) == 2_000_000
    stream: Any = client.raw_stream(sql, parameters={"n": 10**12}, fmt="TabSeparated")
    assert stream.read(4) == b"0\t0\n"
    stream.close()
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%toString(number)%' AND query NOT LIKE '%processes%'"
    )
    until(lambda: client.command(running) == 0, "the end of the query")


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_every_block_of_a_large_insert_arrives(compression: str | bool, served: store_folder.Address) -> None:
    """A client compresses each block separately: all of them are decompressed, not only the first."""
    writer = client_of(served, compress=compression)
    writer.command("CREATE TABLE IF NOT EXISTS large (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    writer.command("TRUNCATE TABLE large")
    writer.insert("large", [[n, "x" * 50] for n in range(100_000)], column_names=["n", "s"])
    assert writer.query("SELECT count(), uniqExact(n) FROM large").result_rows == [(100_000, 100_000)]
    writer.close()


def test_a_late_error_reaches_the_reader(client: Client) -> None:
    """An error after the first rows is not mistaken for the end of the result."""
    with pytest.raises(StreamFailureError) as caught:
        _ = client.query(
            "SELECT throwIf(number = 2000000) FROM numbers(3000000)", settings={"wait_end_of_query": 0}
        ).result_rows
    assert caught.value.code == 395


def test_readers_and_writers_side_by_side(served: store_folder.Address) -> None:
    """Eight readers always get an answer while inserts go on, and every row arrives."""
    writer = client_of(served)
    writer.command("CREATE TABLE busy (n UInt64) ENGINE = MergeTree ORDER BY n")
    stop = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        try:
            reader = client_of(served)
            last = 0
            while not stop.is_set():
                count = reader.query("SELECT count() FROM busy").result_rows[0][0]
                assert count >= last
                last = count
            reader.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for start in range(0, 20_000, 1000):
        writer.insert("busy", [[n] for n in range(start, start + 1000)], column_names=["n"])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert writer.query("SELECT uniqExact(n) FROM busy").result_rows == [(20_000,)]
    writer.close()


def test_what_is_missing_is_not_tried_again(served: store_folder.Address) -> None:
    """What this server lacks answers 400 with code 48: clients try a 5xx again and again."""
    key = base64.b64encode(f"genesis:{served.secret}".encode()).decode()
    for path, method, headers, body in (
        ("/?query=SELECT+1&role=admin", "POST", {}, b""),
        ("/?query=INSERT+INTO+facts+FORMAT+CSV", "POST", {"Content-Encoding": "br"}, b"x"),
        ("/elsewhere", "GET", {}, b""),
        ("/", "DELETE", {}, b""),
    ):
        connection = http.client.HTTPConnection(served.host, served.port, timeout=60)
        connection.request(method, path, body=body, headers={"Authorization": f"Basic {key}", **headers})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "48")
        connection.close()


# --- what clients may not ---------------------------------------------------------------------------------------------

OUTSIDE = """
SELECT * FROM file('/etc/hostname', 'LineAsString')
SELECT /* file */ * FROM /**/ FiLe ('/etc/hostname')
SELECT file('/etc/hostname')
SELECT * FROM '/etc/hostname'
SELECT * FROM `/etc/hostname`
SELECT * FROM default.`/etc/hostname`
SELECT * FROM `../../etc/hostname`
SELECT * FROM `.{.}/serve.json`
SELECT * FROM default.`{..,x}/serve.json`
SELECT * FROM `..{/serve.json}`
SELECT * FROM `a (alias /../../../../../../../../../../../../etc/hostname`
SELECT * FROM `a (children /../../../../../../../../../../../../etc/hostname` AS b
SELECT * FROM `a\\n/../../../../../../../../../../../../etc/hostname`
SELECT 1 IN `a\\n (x/../../../../../../../../../../../../etc/hostname`
EXISTS TABLE `a (alias /../../../../../../../../../../../../etc/hostname`
EXISTS TABLE `a\\n/../../../../../../../../../../../../etc/hostname`
SELECT 'x' IN `/etc/hostname`
SELECT joinGet('/etc/hostname', 'a', 1)
SELECT * FROM format(JSONEachRow, 'x String, y String DEFAULT file(\\'/etc/hostname\\')', '{"x": "a"}')
SELECT * FROM format(JSONEachRow, `x String, y String DEFAULT file('/etc/hostname')`, '{"x": "a"}')
SELECT y FROM format(JSONEachRow, `x\\n String, y String ALIAS file('/etc/hostname')`, '{"x": "a"}')
SELECT y FROM values('x String, y String Alias file(\\'/etc/hostname\\')', 'a')
SELECT y FROM generateRandom(concat('x UInt8, y String ALI', 'AS file(\\'/etc/hostname\\')')) LIMIT 1
DESCRIBE null('x String, y String MATERIALIZED file(\\'/etc/hostname\\')')
SELECT 1 SETTINGS select = 'hostName()'
SELECT 1 SETTINGS output_format = 'Protobuf'
SELECT * FROM format(Values, 'x String', '(file(\\'/etc/hostname\\'))') SETTINGS input_format_values_interpret_expressions
SELECT 1 SETTINGS max_threads = 1, allow_introspection_functions FORMAT CSV
SET input_format_values_interpret_expressions
SELECT * FROM format(CSV, 'x Int8', 'a') SETTINGS input_format_record_errors_file_path = '/tmp/genesis-otel-out', input_format_allow_errors_num = 9
SELECT dictGet('default./etc/hostname', 'a', 1)
SELECT * FROM mergeTreeIndex('default', '/etc/hostname')
SELECT * FROM (SELECT * FROM view(SELECT file('/etc/passwd')))
WITH file('/etc/passwd') AS f SELECT f
SELECT arrayMap(x -> file(x), ['/etc/passwd'])
SELECT arrayMap(file, ['/etc/hostname'])
SELECT arrayMap((`file`), ['/etc/hostname'])
SELECT * APPLY(file) FROM (SELECT '/etc/hostname' AS x)
SELECT a.COLUMNS('x') APPLY `file` FROM (SELECT '/etc/hostname' AS x) AS a
SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/hostname' AS x)
SELECT * APPLY(x -> (SELECT * FROM `/etc/hostname`)) FROM (SELECT 1 AS x)
SELECT * APPLY quantiles(length(file('/etc/hostname'))) FROM (SELECT 1 AS x)
CREATE VIEW outside AS SELECT * APPLY(file) FROM (SELECT '/etc/hostname' AS x)
SHOW TABLES WHERE file('/etc/hostname') = ''
SHOW TABLES WHERE arrayMap(file, ['/etc/hostname']) = ['']
SHOW TABLES LIMIT length(file('/etc/hostname'))
SHOW COLUMNS FROM facts WHERE field IN (SELECT 'a' FROM values('x String DEFAULT 1', 'a'))
SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')
SELECT * FROM executable('ls', 'CSV', 'a String')
SELECT * FROM remote('127.0.0.1:9000', 'system.one')
SELECT * FROM s3('http://127.0.0.1:1/b')
SELECT * FROM python(front)
SELECT * FROM eval('SELECT 1')
SELECT 1 INTO OUTFILE '/tmp/genesis-otel-out'
SELECT 1 AS `'` INTO OUTFILE '/tmp/genesis-otel-out'
INSERT INTO facts (name) FROM INFILE '/etc/hostname' FORMAT LineAsString
INSERT INTO FUNCTION file('/tmp/genesis-otel-out', 'CSV', 'a String') SELECT 'x'
CREATE TABLE outside (a String) ENGINE = URL('http://127.0.0.1:1/', 'CSV')
CREATE TABLE outside (a String) ENGINE = File(CSV)
CREATE TABLE outside (a String DEFAULT file('/etc/hostname')) ENGINE = Memory
CREATE TABLE outside AS file('/etc/hostname')
CREATE VIEW outside AS SELECT file('/etc/hostname')
CREATE DATABASE outside ENGINE = Filesystem('/etc')
CREATE DICTIONARY outside (k UInt64) PRIMARY KEY k SOURCE(HTTP(URL 'http://127.0.0.1:1/')) LAYOUT(FLAT()) LIFETIME(0)
CREATE FUNCTION outside AS x -> file(x)
ALTER TABLE facts ADD COLUMN outside String DEFAULT file('/etc/hostname')
ATTACH TABLE outside FROM '/etc/' (a Int8) ENGINE = Memory
BACKUP TABLE facts TO File('/tmp/genesis-otel-out')
SYSTEM SHUTDOWN
GRANT ALL ON *.* TO default
EXPLAIN SELECT * FROM file('/etc/passwd')
DESCRIBE TABLE file('/etc/passwd')
SELECT 1 SETTINGS additional_result_filter = 'file(1)'
SELECT 1 FORMAT Template
"""


@pytest.mark.parametrize("sql", OUTSIDE.strip().splitlines())
def test_clients_stay_inside_the_store(client: Client, sql: str) -> None:
    """No statement reaches a file, a server, a program or the engine's own controls, however it is written."""
    with pytest.raises(DatabaseError) as caught:
        client.raw_query(sql)
    assert (caught.value.code, caught.value.name) == (497, "ACCESS_DENIED")
    assert client.command("SELECT count() FROM facts") == 1000


def test_no_way_round_the_guard(client: Client) -> None:
    """Neither a second statement nor a setting, a parameter, a Python name or a default format gets around this."""
    cases: tuple[tuple[str, dict[str, Any], int], ...] = (
        ("SELECT 1; SELECT file('/etc/passwd')", {}, 62),
        ("SELECT 1; DROP TABLE facts", {}, 62),
        *(
            ("SELECT 1", {"settings": {name: value}}, 497)
            for name, value in (
                ("dialect", "kusto"),
                ("select", "file('/etc/passwd')"),
                ("filter", "file('/etc/passwd') != ''"),
                ("output_format", "Protobuf"),
                ("input_format_record_errors_file_path", "/tmp/genesis-otel-out"),
            )
        ),
        ("SELECT y FROM generateRandom({s:String})", {"parameters": {"s": "y String ALIAS file('/etc/passwd')"}}, 497),
        ("SELECT 1", {"settings": {"additional_result_filter": "file('/etc/passwd') != ''"}}, 497),
        *(
            ("SELECT * FROM {t:Identifier}", {"parameters": {"t": name}}, 497)
            for name in (
                "/etc/hostname",
                ".{.}/serve.json",
                f"a (alias /{'../' * 12}etc/hostname",
                f"a\n/{'../' * 12}etc/hostname",
            )
        ),
        ("SELECT * FROM environ", {}, 60),
    )
    for sql, options, code in cases:
        with pytest.raises(DatabaseError) as caught:
            client.query(sql, **options)
        assert caught.value.code == code, sql
    assert client.command("SELECT count() FROM facts") == 1000


def test_harmless_lookalikes_run(client: Client) -> None:
    """Words in strings, comments, names and aliases are not mistaken for what they spell."""
    for sql in (
        "SELECT 'file(', 'INTO OUTFILE', '/etc/passwd' -- file(; x",
        "SELECT n AS `cost/run`, n AS file FROM facts ORDER BY `cost/run`, file LIMIT 1",
        "SELECT format('{} default', upper(name)) FROM facts LIMIT 1;",
        "SELECT * APPLY(toString), count(n) OVER (), f.file FROM (SELECT n, n AS file FROM facts) AS f LIMIT 1",
        "SHOW TABLES FROM default WHERE name LIKE '%file(%' OR name = 'facts'",
        "SELECT * FROM format(CSV, 'alas String', 'default')",
        "SELECT * FROM values('a String, b UInt8', ('default', 1), (concat('x', 'y'), 2))",
        "SELECT n AS `tokens/s (in)`, 1 AS `two\\nlines` FROM facts ORDER BY `tokens/s (in)` LIMIT 1 SETTINGS log_comment = 'mine'",
        "WITH RECURSIVE l AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM l WHERE a < 3) SELECT * FROM l",
        "SELECT * FROM numbers(3)",
    ):
        assert client.query(sql).row_count


def test_no_function_is_refused_but_those_that_leave(client: Client) -> None:
    """Every other function of the engine keeps its name: engines' and table functions' names hide none of them."""
    names = client.query(
        "SELECT name FROM system.functions WHERE match(name, '^[a-zA-Z0-9_]+$') AND NOT is_aggregate"
    ).result_columns[0]
    refused = set()
    for name in names:
        try:
            client.command(f"EXPLAIN AST SELECT {name}(1)")
        except DatabaseError as error:
            if error.code == 497:
                refused.add(name)
    assert {"file"} <= refused
    assert all(
        name == "file"
        or name.lower().startswith(
            ("ai", "fuzz", "eval", "catboost", "hascolumnintable", "dict", "joinget", "naivebayes", "mergetreeindex")
        )
        for name in refused
    ), refused


def test_read_only_is_enforced(client: Client) -> None:
    """With readonly no statement changes anything, and none can revoke it."""
    assert client.query("SELECT 5", settings={"readonly": 1}).result_rows == [(5,)]
    for readonly in (1, 2):
        for sql in (
            "CREATE TABLE more (a UInt8) ENGINE = Memory",
            "INSERT INTO facts (name) VALUES ('z')",
            "INSERT INTO facts (name) SETTINGS readonly = 0 VALUES ('z')",
            "INSERT INTO facts (name) SELECT 'z' SETTINGS readonly = 0",
            "DROP TABLE facts",
        ):
            with pytest.raises(DatabaseError) as caught:
                client.command(sql, settings={"readonly": readonly})
            assert caught.value.code == 164
    assert client.command("SELECT count() FROM facts") == 1000


def test_the_secret_is_needed(served: store_folder.Address) -> None:
    """A wrong user, a wrong secret or none is refused with ClickHouse's code; liveness needs none."""
    for options in ({"password": "wrong"}, {"username": "default"}, {"password": ""}):
        given: dict[str, Any] = {"username": "genesis", "password": served.secret, **options}
        with pytest.raises(DatabaseError) as caught:
            clickhouse_connect.get_client(host=served.host, port=served.port, **given)
        assert caught.value.code == 516 and served.secret not in str(caught.value)
    connection = http.client.HTTPConnection(served.host, served.port, timeout=60)
    connection.request("GET", "/ping")
    assert connection.getresponse().read() == b"Ok.\n"
    connection.close()
    assert {each.laddr.ip for each in psutil.Process(served.pid).net_connections() if each.status == "LISTEN"} == {
        "127.0.0.1"
    }


def test_data_are_found_behind_an_inserts_head() -> None:
    """The data of an insert begin after its FORMAT or VALUES, and nowhere else."""
    for head, data in (
        (b"INSERT INTO t FORMAT Native", b"\x01\x02(\xff"),
        (b'insert into `t;` (`a`, "FORMAT X") format CSV', b"FORMAT Native\n1"),
        (b"/* FORMAT x */ INSERT INTO t SETTINGS a = 'VALUES' FORMAT CSV", b"1,2"),
        (b"INSERT INTO values FORMAT CSV", b"1,2"),
    ):
        whole = head + b"\n" + data
        assert split_data(whole) == (head, data)
        # The statement, and what of its data, may be in the URL.
        for at in range(len(whole) + 1):
            if whole[at : at + 1] == b"\n":
                assert split_data(whole[at + 1 :], whole[:at]) == (head, data)
        assert split_data(data, head + b"\nmore") == (head, b"more\n" + data)
        assert split_data(b"", whole) == (head, data)
    assert split_data(b"INSERT INTO t (a) VALUES ('FORMAT x')") == (b"INSERT INTO t (a) VALUES", b" ('FORMAT x')")
    assert split_data(b"VALUES (1)", b"INSERT INTO t (a)") == (b"INSERT INTO t (a)\nVALUES", b" (1)")
    for whole in (
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t (format) SELECT 'VALUES'",
    ):
        assert split_data(whole) == (whole, b"")


# --- one a folder -----------------------------------------------------------------------------------------------------


def test_ten_at_once_start_one(folder: Path) -> None:
    """Ten processes that need the store at once get the same one."""
    code = (
        "import sys, pathlib; from genesis_otel._serve import client as store_process; f = pathlib.Path(sys.argv[1]);"
        "store_process.ensure_store_process(f); print(store_process.running(f).pid, 'chdb' in sys.modules)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    said = {process.communicate(timeout=250)[0].strip() for process in started}
    address = store_process.running(folder)
    assert address and said == {f"{address.pid} False"}
    serving = [each for each in psutil.process_iter(["cmdline"]) if str(folder) in (each.info["cmdline"] or ())]
    assert [each.pid for each in serving] == [address.pid]


def test_it_belongs_to_nobody(folder: Path) -> None:
    """A store process is in a session of its own, and no child of the process that needed it, which neither waits for it nor is charged for
    what it loads."""
    code = (
        "import os, pathlib, psutil, sys; from genesis_otel._serve import client as store_process; f = pathlib.Path(sys.argv[1]);"
        "store_process.ensure_store_process(f); pid = store_process.running(f).pid;"
        "print(os.getsid(pid) == os.getsid(0), psutil.Process(pid).ppid() == os.getpid(), psutil.Process().children())"
    )
    started = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, timeout=250
    )
    assert started.stdout.strip() == "False False []"


def test_it_loads_no_arrays(folder: Path) -> None:
    """A store process does not load pyarrow and numpy, which chDB loads if they are installed; Arrow answers work all the same."""
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    assert not [
        each.path for each in psutil.Process(address.pid).memory_maps() if re.search(r"/(?:numpy|pyarrow)/", each.path)
    ]
    client = client_of(address)
    assert client.query_arrow("SELECT number FROM numbers(3)").to_pydict() == {"number": [0, 1, 2]}
    client.close()


def test_only_the_user_can_read_it(folder: Path) -> None:
    """Only the user can read the folder, the secret and the log, and the log contains no secret."""
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address and address.secret not in repr(address)
    for name in (store_folder.ADDRESS, store_folder.LOCK, store_folder.LOG):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    client = client_of(address)
    client.query("SELECT 'a query that nobody logs'")
    with pytest.raises(DatabaseError):
        client.query("SELECT no_such_column, 'a query that nobody logs'")
    client.close()
    assert address.secret not in (folder / store_folder.LOG).read_text()
    assert "nobody logs" not in (folder / store_folder.LOG).read_text()


def test_a_second_one_says_who_has_the_folder(folder: Path) -> None:
    """Serving a folder that is already served names the process that does."""
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    with pytest.raises(StoreError, match=f"Process {address.pid}"):
        _process.serve(folder)


def test_told_to_end_it_leaves_nothing_behind(folder: Path) -> None:
    """SIGTERM stops it cleanly: the address is gone, the folder is free, the data are there for the next."""
    store_process.ensure_store_process(folder)
    client = store_process.open_store(folder)
    client.command("CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.insert("kept", [[1]], column_names=["a"])
    client.close()
    end(folder)
    assert not (folder / store_folder.ADDRESS).exists() and store_process.running(folder) is None
    assert "Traceback" not in (folder / store_folder.LOG).read_text()
    store_process.ensure_store_process(folder)
    client = store_process.open_store(folder)
    assert client.command("SELECT count() FROM kept") == 1
    client.close()


def test_readers_are_answered_before_it_can_insert(folder: Path) -> None:
    """What only inserts need is not yet loaded when a store of this version answers; a new one has its tables by then."""
    code = """
import os, pathlib, sys
from genesis_otel._serve import process
def ready(address):
    print([name for name in ("clickhouse_connect", "opentelemetry.sdk") if name in sys.modules], flush=True)
    os._exit(0)
process.serve(pathlib.Path(sys.argv[1]), ready=ready)
"""
    answers = [
        subprocess.run(
            [sys.executable, "-c", code, str(folder)], check=True, timeout=120, stdout=subprocess.PIPE
        ).stdout
        for _ in range(2)
    ]
    assert answers == [b"['clickhouse_connect', 'opentelemetry.sdk']\n", b"[]\n"]


def test_what_is_missing_from_a_store_of_this_version_is_made_again(folder: Path) -> None:
    """A view that somebody dropped is back soon after the next start, although readers are answered before."""
    store_process.ensure_store_process(folder)
    client = store_process.open_store(folder)
    client.command("DROP VIEW generations_mv SYNC")
    client.close()
    end(folder)
    store_process.ensure_store_process(folder)
    client = store_process.open_store(folder)
    until(lambda: client.command("EXISTS VIEW generations_mv") == 1, "the view")
    client.close()


def test_killed_it_is_followed_by_another(folder: Path) -> None:
    """A killed store process is recognised as dead at once, its stale address is ignored, and another one starts."""
    store_process.ensure_store_process(folder)
    first = store_process.running(folder)
    assert first
    end(folder, signal.SIGKILL)
    assert (folder / store_folder.ADDRESS).exists() and store_process.running(folder) is None
    store_process.ensure_store_process(folder)
    second = store_process.running(folder)
    assert second and second.pid != first.pid and second.secret != first.secret


def test_removed_with_its_folder_it_ends(folder: Path) -> None:
    """A store process whose folder was removed ends, and takes nothing of what comes to the same place afterwards."""
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    first = psutil.Process(address.pid)
    shutil.rmtree(folder)
    store_process.ensure_store_process(folder)
    second = store_process.running(folder)
    first.wait(60)
    assert second and second.pid != address.pid and store_process.running(folder) == second


def test_idle_it_ends_by_itself(folder: Path) -> None:
    """With no writer, nothing waiting and no requests, it ends; requests keep it alive."""
    code = "import sys, pathlib; from genesis_otel._serve.process import serve; serve(pathlib.Path(sys.argv[1]), idle_timeout=4)"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    until(lambda: store_process.running(folder), "the start")
    address = store_process.running(folder)
    assert address
    client = client_of(address)
    # Longer than it may be idle.
    assert client.command("SELECT sum(sleepEachRow(1)) FROM numbers(6) SETTINGS max_block_size = 1") == 0
    assert client.command("SELECT 1") == 1
    client.close()
    assert process.wait(60) == 0
    assert not (folder / store_folder.ADDRESS).exists()


def test_without_one_the_engine_is_opened_here(folder: Path) -> None:
    """With no store process the client is the engine itself; closed, the folder is free for a store process."""
    code = """
import sys, pathlib
from genesis_otel._serve import client as store_process
folder = pathlib.Path(sys.argv[1])
client = store_process.open_store(folder)
assert client.command("EXISTS TABLE individuals") == 1
assert "chdb" in sys.modules and store_process.running(folder) is None
client.close()
store_process.ensure_store_process(folder)
client = store_process.open_store(folder)
assert client.command("EXISTS TABLE individuals") == 1
assert client.url.startswith("http://127.0.0.1")
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=250)


def test_it_does_not_trace_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store process gets none of OpenTelemetry's environment except that it is disabled; its Python path is ours."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER", "TRACEPARENT", "BAGGAGE"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    given = psutil.Process(address.pid).environ()
    assert {name: value for name, value in given.items() if name.startswith(("OTEL_", "TRACE", "BAGGAGE"))} == {
        "OTEL_SDK_DISABLED": "true"
    }


def test_the_secret_passes_no_proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of the store speaks to it directly, whatever proxy the environment names."""
    store_process.ensure_store_process(folder)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = store_process.open_store(folder)
    assert client.command("SELECT 1") == 1
    client.close()


@pytest.mark.parametrize("kind", ["a file", "below a file", "not writable", "a pattern", "below a pattern"])
def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path, kind: str) -> None:
    """The message names the folder, the problem and the remedy."""
    (tmp_path / "file").write_text("")
    folder = {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "store",
        "not writable": Path("/proc/genesis"),
        "a pattern": tmp_path / "store*",
        "below a pattern": tmp_path / "{a,b}" / "store",
    }
    with pytest.raises(StoreError, match="GENESIS_OTEL_DATA_DIR") as caught:
        store_process.ensure_store_process(folder[kind])
    assert str(folder[kind]) in str(caught.value)


def test_why_it_cannot_start_is_said(folder: Path) -> None:
    """Starting a store process on files that are not the engine's reports its reason."""
    (folder / store_folder.ENGINE).mkdir(parents=True)
    (folder / store_folder.ENGINE / "store").write_text("not the engine's")
    with pytest.raises(StoreError) as caught:
        store_process.ensure_store_process(folder)
    assert str(folder) in str(caught.value) and os.linesep not in str(caught.value)


# --- versions ---------------------------------------------------------------------------------------------------------


def make_older(folder: Path) -> store_folder.Address:
    """A store process that is told apart from this version's in nothing but its word: 0.1.0 says none."""
    store_process.ensure_store_process(folder)
    address = store_process.running(folder)
    assert address
    (folder / store_folder.VERSION).unlink()
    return address


def test_an_older_idle_store_process_gives_way(folder: Path) -> None:
    """A search ends the store process of an earlier version that has nothing to do, and starts its own, which stays."""
    older = make_older(folder)
    store_process.ensure_store_process(folder)
    newer = store_process.running(folder)
    assert newer and newer.pid != older.pid
    assert json.loads((folder / store_folder.VERSION).read_text()) == [newer.pid, *store_folder.version_of_package()]
    store_process.ensure_store_process(folder)
    assert store_process.running(folder) == newer


def test_an_older_store_process_that_ends_by_itself_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was idle, and exits right before it would be ended."""
    older, judge = make_older(folder), store_process._is_outdated
    judged: list[bool] = []

    def ending(folder: Path) -> bool:
        judged.append(judge(folder))
        if len(judged) == 2:
            end(folder)
        return judged[-1]

    monkeypatch.setattr(store_process, "_is_outdated", ending)
    store_process.ensure_store_process(folder)
    newer = store_process.running(folder)
    assert newer and newer.pid != older.pid


def test_stopped_it_has_closed_its_files(folder: Path, tmp_path: Path) -> None:
    """`stop` returns once the process has released the folder, which is after it has taken its address away: a copy of the folder is whole."""
    closing, closed = tmp_path / "closing", tmp_path / "closed"
    ending = (
        "import json, os, signal, sys, time; from pathlib import Path; from genesis_otel._ship.spool.lock import ProcessLock\n"
        "folder, closing, closed = map(Path, sys.argv[1:])\nlock = ProcessLock(folder / 'serve.lock')\nassert lock.take(5)\n"
        "told = []\nsignal.signal(signal.SIGTERM, lambda *_: told.append(1))\n"
        "(folder / 'serve.json').write_text(json.dumps(dict(host='x', port=1, secret='', pid=os.getpid())))\n"
        "while not told: time.sleep(0.01)\n(folder / 'serve.json').unlink()\nclosing.touch()\n"
        "while not closed.exists(): time.sleep(0.01)\nlock.release()"
    )
    folder.mkdir(exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", ending, *map(str, (folder, closing, closed))]) as process:
        try:
            until(lambda: store_process.running(folder) is not None, "the process")
            stopped: list[int | None] = []
            stopping = threading.Thread(target=lambda: stopped.append(store_process.stop(folder, 60)))
            stopping.start()
            until(closing.exists, "it to close")
            stopping.join(0.5)
            assert not stopped
            closed.touch()
            stopping.join(60)
            assert stopped == [process.pid]
        finally:
            process.kill()


def test_an_older_store_process_that_is_at_work_stays(folder: Path) -> None:
    """While another search writes into a queue that it drains, the store process of an earlier version goes on; a queue that it
    cannot see, or this process's own, is no work of its."""
    older, spool = make_older(folder), folder / store_folder.SPOOL
    # As 0.1.0 made it, in another process: here nobody can hold a lock against himself. Without the lock it is a dead one's, and cleared away.
    writing = (
        "import sys, time; from pathlib import Path; from genesis_otel._ship.spool.lock import ProcessLock\n"
        "lock = Path(sys.argv[1])\nassert ProcessLock(lock).take(5)\nlock.with_suffix('').mkdir()\nprint('held', flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", writing, str(spool / "q-1-abc.writer")], stdout=subprocess.PIPE
    ) as writer:
        try:
            assert writer.stdout is not None and writer.stdout.readline() == b"held\n"
            store_process.ensure_store_process(folder)
            assert store_process.running(folder) == older
        finally:
            writer.kill()
    with contextlib.closing(Writer(spool, segment_bytes=1 << 20, spool_bytes=1 << 20)):
        store_process.ensure_store_process(folder)
        newer = store_process.running(folder)
        assert newer and newer != older


def test_an_older_store_process_that_somebody_started_by_hand_stays(folder: Path) -> None:
    """`genesis-otel serve` in a terminal belongs to its user: no search stops it."""
    with subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "serve"],
        env=os.environ | {"CLICKHOUSE_URL": f"chdb://{folder}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as by_hand:
        try:
            until(lambda: store_process.running(folder) is not None, "the store process")
            (folder / store_folder.VERSION).unlink()
            store_process.ensure_store_process(folder)
            address = store_process.running(folder)
            assert address and address.pid == by_hand.pid
        finally:
            by_hand.terminate()


def test_an_address_of_a_later_version_is_read(folder: Path) -> None:
    """A later version may write more into `serve.json`: the known fields are enough."""
    store_process.ensure_store_process(folder)
    address, path = store_process.running(folder), folder / store_folder.ADDRESS
    path.write_text(json.dumps({**json.loads(path.read_text()), "protocol": 7}))
    assert address and store_process.running(folder) == address


def test_inserts_of_a_search_that_goes_on_are_fewer() -> None:
    """The store process pauses in proportion to the CPU of an insert, within bounds. If there were no spans, it looks again soon."""
    costly, cheap, middle = 1.0, 0.001, 1.0 / _process.IDLE_SHARE
    assert _process.pause_after(0, costly) == _process.PAUSE
    assert _process.pause_after(1, costly) == _process.STEADY_PAUSE
    assert _process.pause_after(1, cheap) == _process.PAUSE
    assert _process.PAUSE < _process.pause_after(1, middle) == 1.0 < _process.STEADY_PAUSE


def test_the_start_of_a_store_process_counts_like_an_insert() -> None:
    """The first spans of a search go in with those that follow, after a pause for what the start cost; one that is to end when idle does not
    pause beyond that."""
    assert _process.first_pause(1.0, None) == _process.STEADY_PAUSE
    assert _process.first_pause(1.0, 3.0) == 3.0
