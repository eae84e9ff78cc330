"""The command as such: help, wrong use, errors without a traceback, readers that leave, Ctrl-C, stores that do not answer."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genesis_otel import __version__, queries
from genesis_otel._serve import client as store_process
from genesis_otel._settings import Server, load_settings
from tests.support.between import between
from tests.support.command import Run, server_url, spooled, started
from tests.support.pipeline import free_ports
from tests.support.searched import (
    search_spans,
)
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


COMMANDS = ("init", "check", "serve", "demo", "runs", "lineage", "query", "spool")


def test_version_and_help(run: Run) -> None:
    """--version prints the package's; --help lists every command and the exit codes; each command's help has an
    example."""
    assert run("--version") == (0, f"{__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    assert all(re.search(rf"│ {command}\b", out) for command in COMMANDS)
    assert re.search(r"Exit codes: 0 done, 1 failed", out)
    for command in COMMANDS:
        code, out, _ = run(command, "--help")
        assert code == 0 and f"genesis-otel {command}" in out


def test_wrong_use_is_exit_code_2(run: Run) -> None:
    """Unknown commands and options, values of a wrong type, missing arguments: 2, with a line on standard error."""
    for arguments in (
        ("runz",),
        ("runs", "--limit", "many"),
        ("runs", "--limit", "0"),
        ("lineage", "latest", "best", "more"),
        ("diff",),
        ("query",),
        ("query", " "),
        ("query", "SELECT 1", "--format", "xml"),
        ("query", "SELECT 1", "--param", "x"),
        ("query", "SELECT 1", "--param", "x=1"),
        ("query", "no_such_query"),
        ("query", "best_of_task"),
        ("query", "top_individuals", "--param", "depth=1"),
        ("query", "individuals_in_detail", "--param", "individual_ids=a"),
        ("query", "SELECT 1", "--show"),
        ("init", "--llm-logs-ttl-days", "-1"),
        ("demo", "--framework", "nosuch"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "") and err, arguments


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("runs", "--limit", "many"), "'many' is not a whole number of at least 1"),
        (("runs", "--limit", "0"), "'0' is not a whole number of at least 1"),
        (("ui", "--port", "65536"), "'65536' is not a whole number from 0 to 65535"),
        (("watch", "--interval", "nan"), "'nan' is not a number from 0.5 to 3600"),
        (("stop", "--timeout", "-1"), "'-1' is not a number of at least 0"),
    ],
)
def test_a_number_that_does_not_fit_is_explained(
    arguments: tuple[str, ...], wanted: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what the option takes, in words."""
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and wanted in err


def test_an_unexpected_error_gives_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours gives one line that says so; with -v it includes the traceback."""

    def broken(*_: object, **__: object) -> list[dict[str, Any]]:
        raise KeyError("lost")

    monkeypatch.setattr(queries, "ask", broken)
    code, out, err = run("runs")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "KeyError: 'lost' (a bug in genesis-otel" in err
    process = started("-v", "lineage", "nobody")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 3 and b"Traceback" in said


def test_invalid_settings_are_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid setting is named, without its value."""
    monkeypatch.setenv("GENESIS_OTEL_EXIT_TIMEOUT", "soon")
    code, out, err = run("runs")
    assert (code, out) == (1, "") and "exit_timeout" in err.lower() and "soon" not in err


def test_a_failure_is_one_line(filled: Path) -> None:
    """In a separate process too, only the error is written, and no log line of the client."""
    process = started("--url", f"http://u:secret@127.0.0.1:{free_ports(1)[0]}/d", "runs")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"Error: Connection refused at http://127.0.0.1:") and err.count(b"\n") == 1


@pytest.mark.parametrize("command", [["runs"], ["check"], ["query", "SELECT 1"], ["lineage", "latest"], ["reprice"]])
def test_reading_creates_nothing(command: list[str], run: Run, filled: Path, tmp_path: Path) -> None:
    """Reading creates neither a mistyped database nor a mistyped folder; both are named, with the command that creates them."""
    url = server_url(filled, "mistyped")
    code, out, err = run("--url", url, *command)
    assert (
        (code, out) == (1, "")
        and "the database 'mistyped' does not exist" in err
        and "genesis-otel init creates it" in err
    )
    code, out, err = run("--url", f"chdb://{tmp_path}/mistyped", *command)
    assert (code, out) == (1, "") and f"there is no store in {tmp_path}/mistyped" in err
    assert not (tmp_path / "mistyped").exists()
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        assert not client.command("EXISTS DATABASE mistyped")


def test_a_server_that_hangs_is_waited_for_within_a_bound(empty: Path) -> None:
    """No command waits forever: it says what it is waiting for, and then that no answer came."""
    commands = (["runs"], ["check"], ["spool", "drain", "--timeout", "3"], ["query", "SELECT 1"], ["init"])
    with between() as server:
        server.behaviour = server.hangs
        url = f"http://u:secret@127.0.0.1:{server.port}/d"
        spooled(load_settings().spool_folder(Server(url)), search_spans()[:2])
        # At the same time: each waits for ten seconds.
        processes = [started("--url", url, *command) for command in commands]
        try:
            said = [process.communicate(timeout=120) for process in processes]
        finally:
            for process in processes:
                process.kill()
    for command, process, (out, err) in zip(commands, processes, said, strict=True):
        assert (process.returncode, out) == (1, b""), command
        told = err.decode().splitlines()
        assert (
            f"waiting for http://127.0.0.1:{server.port}" in told[0]
            or f"waiting for http://u:***@127.0.0.1:{server.port}" in told[0]
        ), command
        assert "s at most" in told[0] and told[-1].startswith("Error: ") and b"secret" not in err, command
        assert "did not answer in time" in told[-1] or "did not accept them within 3 s" in told[-1], command


def test_a_store_process_that_is_stopped(run: Run, empty: Path) -> None:
    """It holds the folder and does not answer: after a limited wait the error says so, with its process id."""
    assert run("runs")[0] == 3
    address = store_process.running(empty / "store")
    assert address
    os.kill(address.pid, signal.SIGSTOP)
    try:
        process = started("runs")
        out, err = process.communicate(timeout=120)
    finally:
        os.kill(address.pid, signal.SIGCONT)
    assert (process.returncode, out) == (1, b"")
    assert b"waiting for http://127.0.0.1" in err and f"Process {address.pid} holds the store in".encode() in err


def test_a_reader_that_stops_early(filled: Path) -> None:
    """`| head` ends the command silently and without an error."""
    process = started("query", "SELECT number, randomPrintableASCII(100) FROM numbers(3000000)")
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "--help"), ("show",)])
def test_nobody_reads_what_typer_and_rich_write(arguments: tuple[str, ...], filled: Path) -> None:
    """A reader who has gone before the first line is no failure, whoever writes."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "genesis_otel", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_any_output_it_still_answers(filled: Path) -> None:
    """Standard output and standard error that are closed change no exit code."""
    for arguments, code in (("runs", 0), ("nosuch", 2)):
        command = ["sh", "-c", f'exec "$0" -m genesis_otel {arguments} >&- 2>&-', sys.executable]
        assert subprocess.run(command, timeout=120, check=False).returncode == code


def test_ctrl_c_is_quiet(filled: Path) -> None:
    """An interrupted command ends at once with 130 and without output."""
    process = started(
        "query", "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1", start_new_session=True
    )
    asked = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%' AND query NOT LIKE '%processes%'"
    with contextlib.closing(store_process.open_store(filled / "store", start=True)) as client:
        until(lambda: client.command(asked) == 1, "the query")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"")
