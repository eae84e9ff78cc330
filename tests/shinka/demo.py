"""The ShinkaEvolve demo and example, run as users run them."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console

from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import load_settings
from genesis_otel.demo.search import run_demo, summarise
from tests.support.environment import without_settings
from tests.support.pipeline import ROOT

# A search takes 10 s on an idle machine: this only ends what hangs.
pytestmark = pytest.mark.timeout(600)


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[Client]:
    """A reader of a folder's store, closed at the end of the block."""
    try:
        with contextlib.closing(open_client(load_settings(data_dir=folder), start=True)) as client:
            yield client
    finally:
        if address := store_process.running(folder / "store"):
            os.kill(address.pid, signal.SIGTERM)


def count(client: Client, sql: str) -> int:
    return int(client.query(f"SELECT count() FROM {sql}").result_rows[0][0])


def test_the_demo_of_shinka(tmp_path: Path) -> None:
    """It needs no network and no key, fills all seven tables, and shows the recorded rows, the best individual's line,
    and the cost."""
    settings = load_settings(data_dir=tmp_path)
    result = run_demo(framework="shinka", iterations=14, settings=settings, pace=0)
    shown = io.StringIO()
    with reading(tmp_path) as client:
        summarise(client, result.run_id, Console(file=shown, width=160))
        for table in ("generations", "individuals", "pareto_fronts", "code_lineages", "llm_logs", "agent_actions"):
            assert count(client, f"{table} WHERE run_id = '{result.run_id}'") > 10, table
        assert count(client, "evolution_runs WHERE status = 'completed' AND task_name = 'circle_packing'") == 1
        assert count(client, "code_lineages WHERE fitness_delta > 0") > 0
        assert count(client, "agent_actions WHERE action_type = 'meta_recommendations'") > 0
    said = shown.getvalue()
    assert (
        "What landed" in said and "Best individual" in said and "LLM calls: $0.0" in said and "What to run next" in said
    )


def test_the_example_is_recorded(tmp_path: Path) -> None:
    """The example runs as its README says, and its run and programs are in the store."""
    kept = without_settings()
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "shinka" / "search.py", tmp_path / "results"],
        env={**kept, "GENESIS_OTEL_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    with reading(tmp_path / "data") as client:
        assert count(client, "evolution_runs WHERE status = 'completed' AND task_name = 'circle_packing'") == 1
        assert count(client, "individuals WHERE combined_score > 0") > 3
        assert count(client, "llm_logs") > 3
