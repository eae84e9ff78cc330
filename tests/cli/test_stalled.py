"""Searches that die without reporting, with real processes: which are stalled, which are only busy, and how dead ones are closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from genesis_otel import connect
from genesis_otel._cli.app import application
from genesis_otel._read import page_data
from genesis_otel._read.client import reader
from genesis_otel._read.report_data import gather
from genesis_otel._read.watch import look
from genesis_otel._settings import Settings, load_settings
from tests.support.searched import end_store
from tests.support.waiting import until

SEARCH = """
import os, signal, sys, time
import genesis_otel
from genesis_otel import spans

genesis_otel.configure()
run = spans.run("t", run_id=sys.argv[1])
individual = run.individual("a", generation=0)
individual.record(fitness=1.0)
individual.end()
print("told", flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An embedded store, in which a search is stalled after a second of silence."""
    folder = tmp_path / "store"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb://{folder}")
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GENESIS_OTEL_STALLED_AFTER", "1")
    yield folder
    end_store(folder)


@contextmanager
def search(name: str) -> Iterator[None]:
    """A search in a separate process that has recorded an individual; killed at the end at the latest."""
    process = subprocess.Popen([sys.executable, "-c", SEARCH, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "told\n"
        if name == "killed":
            # Dead, but listed as a process until its parent asks: many a scheduler never does.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()


def everywhere(run: str, settings: Settings) -> Iterator[Mapping[str, Any]]:
    """The run as each reader shows it."""
    store = connect()
    yield next(row for row in store.runs() if row["run_id"] == run)
    yield store.run(run).summary
    yield {"status": store.run(run).status}
    for name in ("run_summary", "pulse", "budget"):
        (row,) = store.query(name, run=run)
        yield row
    yield next(row for row in store.query("active_runs") if row["run_id"] == run)
    yield asked("show", run)[0]
    yield asked("query", "run_summary", "-p", f"run_id={run}")[0]
    yield next(row for row in asked("query", "runs") if row["run_id"] == run)
    with reader(settings) as client:
        yield page_data.run(client, run, settings.stalled_after)
        yield next(row for row in page_data.runs(client, settings.stalled_after) if row["run_id"] == run)


def asked(*arguments: str) -> Any:
    done = CliRunner().invoke(application(), [*arguments, "--format", "json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def runs(*arguments: str) -> dict[str, dict[str, Any]]:
    done = CliRunner().invoke(application(), ["runs", *arguments, "--format", "json"])
    assert done.exit_code in (0, 3), done.stderr
    return {row["run_id"]: row for row in json.loads(done.stdout or "[]")}


def test_a_killed_search_is_stalled_and_a_busy_one_is_not(folder: Path) -> None:
    """Both have been silent for longer than the setting, but the process of one lives on this machine. runs, watch, report, page,
    connect() and named queries agree, and a run that goes on has lasted until now. --close-stalled ends the dead one as failed at its
    last sign of life, with the reason, and leaves the other."""
    with search("killed"), search("thinking"):
        until(lambda: runs().get("killed", {}).get("status") == "stalled", "the stall of the killed run")
        until(lambda: runs()["thinking"]["silent_seconds"] > 1, "a second of silence")
        assert runs()["thinking"]["status"] == "running"
        assert set(runs("--status", "running")) == {"thinking"} and set(runs("--status", "stalled")) == {"killed"}
        settings = load_settings()
        with reader(settings) as client:
            for run, status in (("killed", "stalled"), ("thinking", "running")):
                assert look(client, run, settings.stalled_after).status == status
                assert (
                    gather(client, run, top=0, stalled_after=settings.stalled_after)["answers"]["run"]["status"]
                    == status
                )
                assert {told["status"] for told in everywhere(run, settings)} == {status}
            after = settings.stalled_after
            assert {row["run_id"] for row in page_data.runs(client, after, status="running")} == {"thinking"}
            (spends,) = page_data.outlook(client, ["thinking"], after)
            assert spends["status"] == "running"
        summary = connect().run("thinking").summary
        assert summary["seconds"] > summary["silent_seconds"]
        frame = connect().runs(status="running").arrow()
        assert frame.column("run_id").to_pylist() == ["thinking"]
        # Who asks by other rules is answered by those.
        assert [row["status"] for row in connect().query("active_runs", stalled_after=600)] == ["running", "running"]
        assert {row["status"] for row in connect().query("active_runs", alive=[])} == {"stalled"}
        seen = runs()["killed"]["last_seen"]
        assert set(runs("--close-stalled")) == {"killed"}
        closed = runs()
        assert (closed["killed"]["status"], closed["thinking"]["status"]) == ("failed", "running")
        assert closed["killed"]["error"] == f"stalled: no sign of life since {seen}"
        assert CliRunner().invoke(application(), ["runs", "--close-stalled"]).stderr == "No run is stalled.\n"
    until(lambda: runs()["thinking"]["status"] == "stalled", "the stall of the dead run")
