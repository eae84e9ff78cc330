"""`genesis-otel exec`: a command runs as it would alone, and its outcome is recorded as an evaluation of its individual."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesis_otel import attributes as names
from genesis_otel._cli import process
from genesis_otel._emit.context import Place, derived_context, environ
from genesis_otel._read.client import reader
from genesis_otel._settings import load_settings
from tests.support.environment import without_settings
from tests.support.searched import end_store

EXEC = [sys.executable, "-m", "genesis_otel", "exec"]
PLACE = environ(derived_context(Place("r", 3, "ind")))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job: the individual's place, and an embedded store."""
    kept = without_settings()
    yield {**kept, **PLACE, "CLICKHOUSE_URL": f"chdb://{tmp_path / 'store'}", "GENESIS_OTEL_DATA_DIR": str(tmp_path)}
    end_store(tmp_path / "store")


def executed(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*EXEC, *arguments], env=environment, capture_output=True, check=False, timeout=120)


def recorded(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The ended jobs in the store."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", environment["GENESIS_OTEL_DATA_DIR"])
    with reader(load_settings(clickhouse_url=environment["CLICKHOUSE_URL"])) as client:
        rows = list(
            client.query(
                "SELECT * FROM agent_actions WHERE action_type != 'job_submitted' ORDER BY timestamp"
            ).named_results()
        )
    return [{**row, "details": json.loads(row["details"]), "output": json.loads(row["output"] or "{}")} for row in rows]


def test_a_command_is_an_evaluation_of_its_individual(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row has the individual, exit code, times, memory and outputs, without a key that the output showed; the command's own
    spans belong to the evaluation."""
    code = "import os, sys; print(os.environ['TRACEPARENT'], flush=True); print('sk-proj-' + 2 * 'aB3dE5gH7jK9mN1pQ2', file=sys.stderr); x = bytearray(10**8)"
    done = executed(environment, "--job", "job_7", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    (row,) = recorded(environment, monkeypatch)
    assert (row["action_type"], row["run_id"], row["generation"], row["individual_id"]) == (
        "job_completed",
        "r",
        3,
        "ind",
    )
    details, output = row["details"], row["output"]
    assert output["stdout"].encode() == done.stdout and done.stdout.split(b"-")[2].decode() == row["span_id"]
    assert b"sk-proj-aB3d" in done.stderr and "aB3d" not in output["stderr"] and details["stderr_bytes"] == 45
    assert (details["job_id"], details["exit_code"]) == ("job_7", 0) and details["command"].startswith(sys.executable)
    assert details["peak_memory_bytes"] > 10**8 and details["cpu_seconds"] > 0 and details["seconds"] > 0


def test_a_failed_command_is_a_failed_job(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code is that of `exec`; its output passes byte for byte, and the last 64 KiB are kept, from a whole character on."""
    code = "import sys; sys.stdout.buffer.write(b'\\xff' + 'é'.encode() * 100_000 + b'end'); sys.exit(3)"
    done = executed(environment, "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (3, b"\xff" + "é".encode() * 100_000 + b"end")
    (row,) = recorded(environment, monkeypatch)
    assert row["action_type"] == "job_failed" and row["details"]["error"] == "exit code 3"
    kept = row["output"]["stdout"]
    assert kept == "é" * ((process.KEPT - 3) // 2) + "end" and row["details"]["stdout_bytes"] == 200_004


def test_kept_output_begins_with_a_whole_line(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the beginning of an output is not kept, a truncated line is dropped: the rest of a key would not be
    recognised."""
    code = "for number in range(10_000): print(f'line {number}')"
    assert executed(environment, "--", sys.executable, "-c", code).returncode == 0
    (row,) = recorded(environment, monkeypatch)
    first, *_, last = row["output"]["stdout"].splitlines()
    assert first.startswith("line ") and last == "line 9999"
    assert process.KEPT - 11 <= len(row["output"]["stdout"]) <= process.KEPT < row["details"]["stdout_bytes"]


def test_a_schedulers_signal_reaches_the_command(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends the command but not the recording: the job has failed with it, and the exit code is a shell's."""
    command = [*EXEC, "--", sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 128 + signal.SIGTERM
    (row,) = recorded(environment, monkeypatch)
    assert row["action_type"] == "job_failed" and row["details"]["error"] == "signal 15"


def test_a_daemon_that_keeps_the_output_open_is_not_awaited(environment: dict[str, str]) -> None:
    """A process that the command leaves behind keeps the output open, and `exec` ends all the same."""
    done = executed({**environment, "GENESIS_OTEL_ENABLED": "false"}, "--", "sh", "-c", "sleep 600 & echo $!")
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc", 126), ("true", 0)])
def test_the_command_runs_even_if_recording_fails(environment: dict[str, str], command: str, code: int) -> None:
    """Invalid settings give one line; the exit code is the command's, or a shell's if it cannot be started."""
    broken = {**environment, "CLICKHOUSE_URL": "ftp://user:secret@host"}
    done = executed({name: value for name, value in broken.items() if name.upper() not in PLACE}, "--", command)
    assert done.returncode == code
    assert b"without being recorded" in done.stderr and b"secret" not in done.stderr and b"Traceback" not in done.stderr
    assert b"name no run" in done.stderr


def test_the_place_is_that_of_the_environment() -> None:
    """An individual's environment for its job names run, generation and individual."""
    assert all(f"{name}=" in PLACE["BAGGAGE"] for name in names.CORRELATION)
