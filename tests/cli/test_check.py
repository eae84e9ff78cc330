"""`check`: the messages of the reference, and a remedy for each problem with a connection."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from genesis_otel._serve import client as store_process
from tests.support.between import Answer, Between, Request, between, inserts_only, login
from tests.support.command import Run, server_url
from tests.support.pipeline import free_ports
from tests.support.searched import (
    FACTS,
    LATER,
    RUN,
    end_store,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_check_has_the_messages_of_the_reference(run: Run, filled: Path) -> None:
    """The three lines that the reference promises, word for word; then where spans go and what is there."""
    code, out, err = run("check")
    assert (code, err) == (0, "")
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    promised = re.search(r"You should see:\n   ```\n(.*?)   ```", reference, re.DOTALL)
    assert promised
    lines = [line.strip() for line in promised[1].splitlines()]
    assert out.splitlines()[: len(lines)] == lines
    assert f"Spans go to chdb://{filled}/store." in out and f"individuals {len(FACTS) + len(LATER)}," in out


def test_the_script_of_the_reference_is_check(filled: Path) -> None:
    """`python scripts/test_clickhouse.py` says the same, and fails in the same way."""
    script = Path(__file__).parents[2] / "scripts" / "test_clickhouse.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(
        "✅ ClickHouse connection successful!\nConnected to database: "
    )
    env = {**os.environ, "CLICKHOUSE_URL": "ftp://somewhere"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "https" not in done.stdout


def test_check_on_an_empty_store(run: Run, empty: Path) -> None:
    """The tables are created at the first connection; if they are empty, the command says how to get data."""
    code, out, _ = run("check")
    assert code == 0 and "No data in tables yet." in out and "genesis-otel demo" in out


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://127.0.0.1:{closed}/default", "Connection refused at http://127.0.0.1:{closed}: check host and port"),
        (
            "http://genesis:wrong@127.0.0.1:{store}/default",
            "refused the user or the password: check the user:password@",
        ),
        ("http://no-such-host.invalid/default", "cannot be resolved: check it in CLICKHOUSE_URL"),
        ("http://127.0.0.1:9000/default", "needs its HTTP interface: 8123 for http, 8443 for https"),
        ("localhost:8123", "Its form is http(s)://user:password@host:port/database"),
        ("clickhouse://user:secret@host/db", "Its form is http(s)://user:password@host:port/database"),
        ("chdb:relative", "has no absolute folder after chdb://"),
    ],
)
def test_check_names_the_remedy(url: str, remedy: str, run: Run, filled: Path) -> None:
    """Every connection problem gives one line with the remedy, without the password, and exit code 1."""
    address = store_process.running(filled / "store")
    assert address
    places = {"closed": free_ports(1)[0], "store": address.port}
    code, out, err = run("--url", url.format(**places), "check")
    assert (code, out) == (1, "")
    assert remedy.format(**places) in err and err.count("\n") == 1
    assert "wrong" not in err.replace("wrong version", "") and "secret" not in err


def test_check_without_a_store(run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CLICKHOUSE_URL and without the embedded store: the reference's words, and both remedies."""
    monkeypatch.setitem(sys.modules, "chdb", None)
    code, _, err = run("check")
    assert code == 1 and "ClickHouse logging disabled" in err
    assert "pip install 'genesis-otel[embedded]'" in err and "set CLICKHOUSE_URL" in err


def test_check_without_the_client(filled: Path) -> None:
    """A package that is missing is named with how to install it, as the reference has it."""
    code = "import sys; sys.modules['clickhouse_connect'] = None; from genesis_otel._cli.app import main; sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: clickhouse-connect not installed: pip install clickhouse-connect\n"


def test_check_with_a_collector(run: Run, monkeypatch: pytest.MonkeyPatch, filled: Path) -> None:
    """If spans go to a collector, it is checked too; the store is the one that the collector fills, named or asked
    for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    code, out, err = run("--url", f"chdb://{filled}/store", "check")
    assert (
        code == 1
        and "which does not accept them: Connection refused at http://127.0.0.1" in err
        and "Spans go to" not in out
    )
    taken = Answer(200, {"Content-Type": "application/x-protobuf"})
    with between(behaviour=lambda server, request: taken) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        code, out, err = run("check")
        assert code == 1 and "spans go to a collector: set CLICKHOUSE_URL" in err and "Spans go to" in out
        code, out, _ = run("--url", f"chdb://{filled}/store", "check")
        assert code == 0 and f"Spans go to {endpoint}/v1/traces (http/protobuf)." in out
        collector.behaviour = login
        code, _, err = run("--url", f"chdb://{filled}/store", "check")
        assert code == 1 and "a web page" in err


def test_check_tries_what_a_search_does(run: Run, filled: Path) -> None:
    """A user who may only read, a login page, an old proxy: none of them passes, and each is named."""
    address = store_process.running(filled / "store")
    assert address
    code, out, err = run("--url", f"http://reader:{address.reader}@127.0.0.1:{address.port}/default", "check")
    assert (code, out) == (1, "") and "can only read" in err and err.count("\n") == 1
    with between(address.port, inserts_only(login(Between.__new__(Between), Request("", "", {}, b"")))) as server:
        code, out, err = run("--url", f"http://genesis:{address.secret}@127.0.0.1:{server.port}/default", "check")
        assert (code, out) == (1, "") and "a web page" in err
        server.behaviour = inserts_only(DENIED)
        code, out, err = run("--url", f"http://genesis:{address.secret}@127.0.0.1:{server.port}/default", "check")
        assert (code, out) == (1, "") and "it lacks the grant INSERT(Timestamp, TraceId) ON default.otel_traces" in err


DENIED = Answer(
    403,
    {"X-ClickHouse-Exception-Code": "497"},
    b"Code: 497. DB::Exception: u: Not enough privileges. To execute this query, it's necessary to have the grant "
    b"INSERT(Timestamp, TraceId) ON default.otel_traces. (ACCESS_DENIED) (version 25.3.1.1)",
)


def test_check_on_a_database_without_tables(run: Run, filled: Path) -> None:
    """The check connects, creates nothing, and says who creates the tables."""
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE bare")
        code, out, _ = run("--url", server_url(filled, "bare"), "check")
        assert code == 0 and "Tables: none yet; the first insert of a search creates them" in out
        assert client.command("SELECT count() FROM system.tables WHERE database = 'bare'") == 0


@pytest.mark.parametrize(
    ("removal", "missing"),
    [
        ("DROP TABLE llm_logs_mv", "llm_logs_mv"),
        ("DROP TABLE llm_simple_mv", "llm_simple_mv"),
        ("DROP TABLE call_spans", "call_spans"),
        ("DROP TABLE evolution_runs", "evolution_runs"),
        ("DROP TABLE generations", "generations"),
        ("ALTER TABLE llm_logs DROP COLUMN response_id", "llm_logs.response_id"),
    ],
)
def test_check_finds_what_was_removed(removal: str, missing: str, run: Run, filled: Path) -> None:
    """A table, a view or a column that is gone, with which rows would be lost silently, is named with what creates it; then all is well."""
    assert run("check")[0] == 0
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE IF NOT EXISTS holed")
    url = server_url(filled, "holed")
    assert run("--url", url, "init")[0] == 0
    assert run("--url", url, "check")[0] == 0
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.database = "holed"
        client.command(removal)
    code, out, err = run("--url", url, "check")
    assert (
        (code, out) == (1, "") and err.startswith(f"Error: the store lacks {missing}, ") and "genesis-otel init" in err
    )
    assert run("--url", url, "init")[0] == 0
    assert run("--url", url, "check")[0] == 0


def test_check_when_recording_is_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working store is reported even if recording is off, and the output says that it is off."""
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "false")
    code, out, _ = run("check")
    assert code == 0 and "Recording is off: GENESIS_OTEL_ENABLED is false." in out


def test_a_user_who_can_only_read_is_told_so(
    run: Run, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting, and importing what is not there, name the user as what is wrong; nothing changes."""
    assert run("runs")[0] == 0 and run("export", RUN, "-o", "search.zip")[0] == 0
    other = tmp_path / "other"

    def refused(data: Path, *command: str) -> None:
        monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
        assert run("check")[0] == 0
        address = store_process.running(data / "store")
        assert address
        code, out, err = run("--url", f"http://reader:{address.reader}@127.0.0.1:{address.port}/default", *command)
        assert (code, out) == (1, "")
        assert err.endswith(
            "Error: the user of CLICKHOUSE_URL can only read (readonly): use one who may insert and delete\n"
        )

    try:
        refused(filled, "delete", RUN, "--yes")
        assert run("show", RUN)[0] == 0
        refused(other, "import", "search.zip")
        assert run("show", RUN)[0] == 3
    finally:
        end_store(other / "store")
