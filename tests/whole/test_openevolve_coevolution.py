"""A coevolution of OpenEvolve is one run, although each of its phases has its own engine and evaluates what others
found."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genesis_otel._destinations import open_client
from genesis_otel._settings import load_settings
from genesis_otel.demo import model
from tests.support.environment import without_settings
from tests.support.searched import end_store

ROOT = Path(__file__).parents[2]


def coevolve(folder: Path, url: str, rounds: int, *, resume: bool, run_id: str = "") -> str:
    """Run one in a separate process; returns the champions' ids."""
    kept = without_settings()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.support.openevolve_coevolution"),
            *(str(folder), url, run_id, str(rounds), "yes" if resume else "no"),
        ],
        env={**kept, "NO_PROXY": "127.0.0.1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_a_coevolution_is_one_run_with_two_populations(tmp_path: Path) -> None:
    """Four phases, the last two in another process that continues: one run; each program of either population is one
    individual on an island of its own population, each evaluation is a job, and every call and span has its place."""
    folder = tmp_path / "search"
    # OpenEvolve continues only if the endpoint is also the same.
    with model.serving(pace=0) as url:
        coevolve(folder, url, 1, resume=False, run_id="both")
        champions = coevolve(folder, url, 2, resume=True).split()
    with contextlib.closing(open_client(load_settings(data_dir=tmp_path), start=True)) as client:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in client.query(sql).result_rows]

        try:
            compare(folder, champions, ask)
        finally:
            end_store(tmp_path / "store")


def compare(folder: Path, champions: list[str], ask: Any) -> None:
    ((run_id, status, task, config),) = ask("SELECT run_id, status, task_name, config FROM evolution_runs")
    assert (run_id, status, task) == ("both", "completed", "red vs blue")
    assert set(json.loads(config)["populations"]) == {"red", "blue"} and "sk-test" not in config
    added = [json.loads(line) for line in (folder / "added.jsonl").read_text().splitlines()]
    failures = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    first: dict[str, Any] = {}
    for program in added:
        # The first occurrence of each: phases add what earlier ones found again.
        first.setdefault(program["id"], program)
    found = {
        name: (parent, score, island)
        for name, parent, score, island in ask(
            "SELECT individual_id, parent_id, combined_score, island FROM individuals WHERE status = 'ok'"
        )
    }
    assert found.keys() == first.keys() and set(champions) <= found.keys()
    assert ask("SELECT count() FROM individuals WHERE status != 'ok'") == [(len(failures),)]
    for name, program in first.items():
        parent, score, island = found[name]
        assert parent == (program["parent_id"] or "")
        assert score == pytest.approx(program["metrics"]["combined_score"])
        # A program stays in its population, which its seed identifies.
        population, number = island.split("/")
        assert number == str(program["metadata"]["island"])
        assert not parent or found[parent][2].split("/")[0] == population
    assert {name: found[name][2] for name in ("red-seed", "blue-seed")} == {"red-seed": "red/0", "blue-seed": "blue/0"}
    assert ask("SELECT uniqExact(generation), count() FROM generations") == [(4 * 4 + 2, 4 * 4 + 2)]
    # What a phase evaluates again is a job of the individual.
    evaluations = sum(
        not program["metadata"].get("migrant") or first[program["id"]] is not program for program in added
    )
    assert ask("SELECT count() FROM agent_actions WHERE action_type IN ('job_completed', 'job_failed')") == [
        (evaluations,)
    ]
    assert evaluations > len([one for one in first.values() if not one["metadata"].get("migrant")])
    assert ask("SELECT count() FROM agent_actions WHERE action_type = 'phase_started'") == [(4,)]
    assert ask("SELECT count() FROM llm_logs WHERE run_id != 'both' OR individual_id = ''") == [(0,)]
    orphans = (
        "SELECT SpanName, count() FROM otel_traces WHERE ParentSpanId != ''"
        " AND (TraceId, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM otel_traces) GROUP BY SpanName"
    )
    assert ask(orphans) == []
