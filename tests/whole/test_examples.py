"""`examples/`: each folder has ten lines on how to run it, and running it like that is recorded. `make genesis` runs
the Genesis example, and tests/whole/test_gepa.py the GEPA example."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.environment import without_settings
from tests.support.pipeline import PASSWORD, ROOT, Collector, Store, binary, environment_of, running
from tests.support.searched import end_store
from tests.support.waiting import until

EXAMPLES = ROOT / "examples"
FOLDERS = sorted(each.parent.name for each in EXAMPLES.glob("*/README.md"))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder, whose store process is stopped afterwards."""
    yield tmp_path / "data"
    end_store(tmp_path / "data" / "store")


def environment(data: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in without_settings().items() if not name.startswith("OPENAI_")}
    return {
        **kept,
        "GENESIS_OTEL_DATA_DIR": str(data),
        "GENESIS_OTEL_QUIET": "true",
        "PYTHONPATH": str(ROOT),
        **settings,
    }


def run(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(sql: str, environment: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of a statement, through the command."""
    answer: list[dict[str, Any]] = json.loads(
        run(["-m", "genesis_otel", "query", "--format", "json", sql], environment)
    )
    return answer


def test_the_own_loop(data: Path) -> None:
    """The run is completed; every child has its parent, its call and its job; programs that do not compile have failed;
    the best is the best of those evaluated."""
    told = environment(data)
    run(["examples/own_loop/search.py"], told)
    (search,) = asked("SELECT status, total_generations FROM evolution_runs", told)
    assert (search["status"], search["total_generations"]) == ("completed", 4)
    individuals = asked("SELECT individual_id, parent_id, status, fitness_score, code FROM individuals FINAL", told)
    assert len(individuals) == 1 + 3 * 3
    ids = {each["individual_id"] for each in individuals}
    assert sum(each["parent_id"] in ids for each in individuals) == 9
    assert {each["status"] == "error" for each in individuals if "1.7.1" in each["code"]} == {True}
    calls = asked("SELECT individual_id FROM llm_logs", told)
    assert len({each["individual_id"] for each in calls}) == len(calls) == 9
    jobs = asked(
        "SELECT action_type, count() AS n FROM agent_actions WHERE action_type LIKE 'job%' GROUP BY 1 ORDER BY 1", told
    )
    assert {each["action_type"]: int(each["n"]) for each in jobs} == {
        "job_completed": 9,
        "job_failed": 1,
        "job_submitted": 10,
    }


def test_openevolve(data: Path) -> None:
    """The search calls the simulated model, and its programs are those of OpenEvolve."""
    told = environment(data)
    run(["examples/openevolve/search.py", "4"], told)
    (search,) = asked("SELECT status, total_generations FROM evolution_runs", told)
    assert (search["status"], search["total_generations"]) == ("completed", 5)
    calls = asked("SELECT count() AS n, sum(input_tokens) AS tokens FROM llm_logs WHERE individual_id != ''", told)
    assert int(calls[0]["n"]) >= 4 and int(calls[0]["tokens"]) > 0


def test_the_notebook(data: Path) -> None:
    """Its code cells run one after another, and the last one shows what the search recorded, best first."""
    notebook = json.loads((EXAMPLES / "notebook" / "search.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], {each["cell_type"] for each in notebook["cells"]}) == (4, {"code", "markdown"})
    assert not any(each["outputs"] for each in notebook["cells"] if each["cell_type"] == "code")
    cells = ["".join(each["source"]) for each in notebook["cells"] if each["cell_type"] == "code"]
    shown = run(["-c", "\n\n".join(cells)], environment(data)).splitlines()
    assert [line.split()[0] for line in shown] == ["3", "2", "1", "0"]


def test_the_collector(tmp_path: Path) -> None:
    """The search of the example with its own loop, with only a different environment, arrives through a collector."""
    store = Store(tmp_path / "store")
    collector = Collector(
        binary(), tmp_path / "collector", [ROOT / "otel-collector" / "config.yaml"], environment_of(store)
    )
    url = f"http://genesis:{PASSWORD}@127.0.0.1:{store.port}"
    with running(store):
        reading = environment(tmp_path / "data", CLICKHOUSE_URL=url)
        run(["-m", "genesis_otel", "--url", url, "init"], reading)
        with running(collector):
            endpoint = f"http://127.0.0.1:{collector.http}"
            sending = environment(tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
            run(["examples/own_loop/search.py"], {**sending, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
            until(
                lambda: store.count("SELECT count() FROM evolution_runs WHERE status = 'completed'") == 1,
                "the run's arrival",
            )
            assert store.count("SELECT count() FROM individuals FINAL") == 10


@pytest.mark.parametrize("name", FOLDERS)
def test_a_readme_is_short_and_true(name: str) -> None:
    """About ten lines; the files that it runs exist."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 12
    named = re.findall(r"\b(?:examples|otel-collector)/[\w/.]+", text)
    assert named and all((ROOT / each).exists() for each in named)
