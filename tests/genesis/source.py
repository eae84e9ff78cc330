"""Genesis' searches are recorded: its own source with a served store, and its program database as the truth.

Genesis is on no package index and needs packages that nothing else here needs, so `make genesis` runs this file, and
`make test` does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genesis_otel._serve import client as store_process
from tests.support.genesis_model import Account, serving
from tests.support.pipeline import PASSWORD, ROOT, Store

# Only ends what hangs: a search takes 20 s on an idle machine.
pytestmark = pytest.mark.timeout(900)

PRICES = {"gpt-4.1-mini": (0.4e-6, 1.6e-6), "gpt-4.1-nano": (0.1e-6, 1.4e-6), "text-embedding-3-small": (0.02e-6, 0.0)}
"""Genesis' own prices, in USD per input and per output token."""


@dataclass
class Scene:
    """A separate store, since Genesis' database does not distinguish runs, and a model."""

    folder: Path
    store: Store
    account: Account

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GENESIS_OTEL_"))}
        return {
            **kept,
            "CLICKHOUSE_URL": f"http://genesis:{PASSWORD}@127.0.0.1:{self.store.port}",
            "OPENAI_BASE_URL": self.account.url,
            "OPENAI_API_KEY": "sk-only-for-tests-0123456789",
            "GENESIS_OTEL_DATA_DIR": str(self.folder / "data"),
            "GENESIS_OTEL_QUIET": "true",
        }

    def start(self, how: str, generations: int, *before: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "tests.support.genesis_driver", how, str(self.folder), str(generations)],
            cwd=ROOT,
            env={**self.environment(), **settings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, how: str, generations: int, *before: str, **settings: str) -> tuple[int, str]:
        with self.start(how, generations, *before, **settings) as process:
            said, _ = process.communicate(timeout=600)
        self.drain()
        return process.returncode, said

    def drain(self) -> None:
        """Deliver the spools of pool processes, which Genesis kills, as any later process would."""
        command = [sys.executable, "-m", "genesis_otel", "spool", "drain"]
        subprocess.run(command, cwd=ROOT, env=self.environment(), check=True, capture_output=True, timeout=300)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with contextlib.closing(self.store.client()) as client:
            return list(client.query(sql).named_results())

    def programs(self) -> dict[str, dict[str, Any]]:
        """Genesis' own programs, by id."""
        return {each["id"]: each for each in self.rows("SELECT * FROM programs FINAL")}

    def individuals(self) -> dict[str, dict[str, Any]]:
        found = self.rows("SELECT * FROM individuals FINAL")
        assert len({each["individual_id"] for each in found}) == len(found)
        return {each["individual_id"]: each for each in found}

    def calls(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM llm_logs FINAL ORDER BY timestamp")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = Store(tmp_path / "store")
    store.start()
    with serving() as account:
        yield Scene(tmp_path, store, account)
    store.kill(signal.SIGTERM)
    assert store_process.running(store.folder) is None


def agree(scene: Scene) -> None:
    """Individuals, parents, scores, code, islands, costs and statuses equal Genesis' database; calls and tokens equal
    the endpoint's, each with its own cost; edges are the programs'."""
    programs, individuals = scene.programs(), scene.individuals()
    assert programs.keys() == individuals.keys()
    for name, program in programs.items():
        row, told = individuals[name], json.loads(program["metadata"])
        assert (row["generation"], row["parent_id"]) == (program["generation"], program["parent_id"])
        assert row["mutation_type"] == told["patch_type"]
        assert (row["code"], row["island"]) == (program["code"], str(program["island_idx"]))
        assert row["correct"] == bool(program["correct"])
        assert row["api_cost"] == pytest.approx(told["api_costs"])
        assert (row["embed_cost"], row["novelty_cost"]) == pytest.approx((told["embed_cost"], told["novelty_cost"]))
        has_score = bool(program["correct"] or program["combined_score"])
        assert row["combined_score"] == (program["combined_score"] if has_score else None)
        assert row["status"] == ("ok" if program["correct"] else "incorrect" if has_score else "error")
        public = json.loads(program["public_metrics"])
        assert json.loads(row["metrics"])["public"] == public
    edges = {each["child_id"]: each for each in scene.rows("SELECT * FROM code_lineages FINAL")}
    assert {name: edge["parent_id"] for name, edge in edges.items()} == {
        name: program["parent_id"] for name, program in programs.items()
    }
    for name, edge in edges.items():
        scores = [individuals[each]["combined_score"] for each in (name, edge["parent_id"]) if each]
        known = len(scores) == 2 and None not in scores
        assert edge["fitness_delta"] == (scores[0] - scores[1] if known else None)
        assert edge["edit_summary"] == json.loads(programs[name]["metadata"])["patch_description"]

    calls = scene.calls()
    for kind, operation in (("chat", "chat"), ("embeddings", "embeddings")):
        answered = scene.account.calls(kind, answered=True)
        recorded = [each for each in calls if each["operation"] == operation and each["status"] == "ok"]
        tokens = sorted((each.model, each.prompt_tokens, each.completion_tokens) for each in answered)
        assert sorted((each["model"], each["input_tokens"], each["output_tokens"]) for each in recorded) == tokens
        for each in recorded:
            asked, answer = PRICES[each["model"]]
            assert each["cost"] == pytest.approx(asked * each["input_tokens"] + answer * each["output_tokens"])
    refused = [each for each in scene.account.questions if each.status == 400]
    failed = [each for each in calls if each["status"] == "error" and "refused" in each["error"]]
    assert sorted(each["model"] for each in failed) == sorted(each.model for each in refused)
    (run_id,) = {each["run_id"] for each in calls}
    of_programs = [each for each in calls if each["role"] != "meta"]
    by_generation = {program["generation"]: name for name, program in programs.items()}
    for each in of_programs:
        assert each["individual_id"] == by_generation[each["generation"]] or each["individual_id"] not in programs
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert run["run_id"] == run_id


def test_a_search_with_failures(scene: Scene) -> None:
    """A search with refused calls, prose instead of code, a program that raises, one that fails its tests and one that
    kills its job is recorded as in Genesis, through one added line; a program is counted once; the calls of its process
    pool belong to the run; each job found its individual."""
    scene.account.refusals = {2: 400, 5: 500, 9: 400}
    code, said = scene.run("recorded", 8)
    assert code == 0, said
    assert "Failed to log" not in said and "is not recorded" not in said
    agree(scene)
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert (run["status"], run["total_generations"], run["task_name"]) == ("completed", 8, "packing")
    assert json.loads(run["config"])["evolution"]["num_generations"] == 8
    assert PASSWORD not in run["config"]
    individuals = scene.individuals()
    assert {each["status"] for each in individuals.values()} == {"ok", "incorrect", "error"}

    generations = scene.rows("SELECT * FROM generations FINAL ORDER BY generation")
    assert [each["generation"] for each in generations] == list(range(8))
    assert all(each["num_individuals"] == 1 for each in generations)
    spent = {
        each["generation"]: sum(each[cost] for cost in ("api_cost", "embed_cost")) for each in individuals.values()
    }
    assert {each["generation"]: each["total_cost"] for each in generations} == pytest.approx(spent)
    fronts = {each["individual_id"] for each in scene.rows("SELECT individual_id FROM pareto_fronts FINAL")}
    correct = {name for name, program in scene.programs().items() if program["correct"]}
    assert fronts == correct == {name for name, each in individuals.items() if each["is_pareto"]}

    # One for each program, and two for all of them, in pool processes.
    meta = [each for each in scene.calls() if each["role"] == "meta"]
    assert len(meta) == 8 + 2 and {each["run_id"] for each in meta} == {run["run_id"]}

    actions = scene.rows("SELECT * FROM agent_actions FINAL WHERE action_type LIKE 'job%'")
    jobs = {each["action_type"]: 0 for each in actions}
    for each in actions:
        jobs[each["action_type"]] += 1
        details = json.loads(each["details"])
        if each["action_type"] != "job_submitted":
            of_span = individuals[details["individual_id"]]
            assert details["stderr"] == "a warning"
            assert details["stdout"].startswith(f"00-{of_span['trace_id']}-{of_span['span_id']}-")
    assert jobs == {"job_submitted": 8, "job_completed": 5, "job_failed": 3}


def test_an_interrupt_and_a_resume(scene: Scene) -> None:
    """Ctrl-C during a model's answer ends the run as failed, with only the individuals that Genesis has; the resumed
    search is the same run, completed, and all of it equals Genesis' record."""
    process = scene.start("recorded", 5)

    def interrupt() -> None:
        process.send_signal(signal.SIGINT)
        process.wait(60)

    scene.account.hooks[5] = interrupt
    with process:
        said, _ = process.communicate(timeout=600)
    assert process.returncode not in (0, None), said
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert (run["status"], run["error"]) == ("failed", "KeyboardInterrupt: interrupted (Ctrl-C)")
    assert scene.individuals().keys() == scene.programs().keys()
    stopped = scene.rows("SELECT details FROM agent_actions WHERE action_type = 'search_stopped'")
    (abandoned,) = [json.loads(each["details"])["abandoned"] for each in stopped]
    assert 3 in abandoned and not {each["generation"] for each in scene.programs().values()} & set(abandoned)
    before = len(scene.programs())
    assert 1 <= before < 5
    asked = len(scene.account.questions)
    scene.account.questions[5].status = 0  # nobody has read the answer

    code, said = scene.run("recorded", 5)
    assert code == 0, said
    assert len(scene.account.questions) > asked
    (again,) = scene.rows("SELECT * FROM evolution_runs")
    assert (again["run_id"], again["status"], again["total_generations"]) == (run["run_id"], "completed", 5)
    agree(scene)
    generations = scene.rows("SELECT * FROM generations FINAL ORDER BY generation")
    assert [(each["generation"], each["num_individuals"]) for each in generations] == [(n, 1) for n in range(5)]


def test_objectives_and_a_late_start(scene: Scene) -> None:
    """Instrumented after Genesis was imported, with objectives: the last front is that of all correct programs."""
    code, said = scene.run("objectives", 4)
    assert code == 0, said
    agree(scene)
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert (run["task_name"], run["direction"]) == ("by_name", "max")
    assert run["objectives"] == {"combined_score": "max", "size": "min"}
    of = {
        name: (program["combined_score"], -json.loads(program["public_metrics"])["size"])
        for name, program in scene.programs().items()
        if program["correct"]
    }
    best = {
        name
        for name, own in of.items()
        if not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in of.values())
    }
    front = scene.rows("SELECT individual_id FROM pareto_fronts FINAL WHERE generation = 3")
    assert {each["individual_id"] for each in front} == best


def test_over_budget_it_stops(scene: Scene) -> None:
    """If that is enabled, no further program is proposed, those in progress are stored, and the run is stopped and says
    why."""
    code, said = scene.run("stopping", 40, GENESIS_OTEL_BUDGET="0.0005")
    assert code == 0, said
    agree(scene)
    (run,) = scene.rows("SELECT status, error, total_generations FROM evolution_runs")
    assert run["status"] == "stopped" and run["error"].startswith("over budget: it has cost $0.00"), said
    generations = {each["generation"] for each in scene.programs().values()}
    assert run["total_generations"] == len(generations) < 40
    assert said.count("more than its budget of $0.0005: it stops at its next step") == 1
    (stop,) = scene.rows("SELECT details FROM agent_actions WHERE action_type = 'search_stopped'")
    assert json.loads(stop["details"]) == {"reason": "over_budget", "abandoned": []}


def test_without_a_changed_line_beside_another_instrumentation(scene: Scene) -> None:
    """Under `opentelemetry-instrument` the program is unchanged. If Traceloop's instrumentation records the client,
    each call is recorded once, with its individual, its role and its tokens."""
    others = ROOT / "build" / "genesis" / "others"
    wrapper = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    scene.account.refusals = {2: 400}
    code, said = scene.run("untouched", 4, sys.executable, "-c", wrapper, PYTHONPATH=str(others))
    assert code == 0, said
    programs, individuals, calls = scene.programs(), scene.individuals(), scene.calls()
    assert individuals.keys() == programs.keys()
    assert {name: each["api_cost"] for name, each in individuals.items()} == pytest.approx(
        {name: json.loads(each["metadata"])["api_costs"] for name, each in programs.items()}
    )
    made = [each for each in scene.account.questions if not each.is_retry]
    assert sorted((each["model"], each["input_tokens"]) for each in calls) == sorted(
        (each.model, each.prompt_tokens) for each in made
    )
    assert {each["cost_source"] for each in calls if each["status"] == "ok"} == {"genai-prices"}
    of_programs = [each for each in calls if each["role"] != "meta"]
    assert {each["individual_id"] for each in of_programs} == programs.keys()
    assert {each["role"] for each in calls} == {"mutation", "novelty", "meta"}


def test_spawned_pools(scene: Scene) -> None:
    """If Genesis' pools are spawned instead of forked, as on macOS, their calls are recorded like all others."""
    code, said = scene.run("spawned", 3)
    assert code == 0, said
    agree(scene)
    (run,) = scene.rows("SELECT run_id FROM evolution_runs")
    meta = [each for each in scene.calls() if each["role"] == "meta"]
    assert len(meta) == 3 + 2 and {each["run_id"] for each in meta} == {run["run_id"]}


def test_switched_off(scene: Scene) -> None:
    """With telemetry switched off the search runs as without us, and nothing is recorded."""
    code, said = scene.run("recorded", 2, GENESIS_OTEL_ENABLED="false")
    assert code == 0, said
    assert sorted(each["generation"] for each in scene.programs().values()) == [0, 1]
    assert scene.store.count("SELECT count() FROM otel_traces") == 0


def test_the_example(scene: Scene) -> None:
    """`examples/genesis` runs as its README says."""
    example = str(ROOT / "examples" / "genesis" / "search.py")
    program = f"import runpy, sys; sys.argv[:] = ['search.py', {str(scene.folder / 'results')!r}]; runpy.run_path({example!r}, run_name='__main__')"
    code, said = scene.run("example", 4, sys.executable, "-c", program)
    assert code == 0, said
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert (run["task_name"], run["status"], run["total_generations"]) == ("pi", "completed", 4)
    assert scene.individuals().keys() == scene.programs().keys()


def test_the_logger_alone(scene: Scene) -> None:
    """With only `install_logger()` the tables are filled, and each call belongs to the run."""
    code, said = scene.run("logger_alone", 3)
    assert code == 0, said
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert run["status"] == "completed"
    assert scene.individuals().keys() == scene.programs().keys()
    answered = scene.account.calls("chat", answered=True)
    assert [each["run_id"] for each in scene.calls()] == [run["run_id"]] * len(answered)


@pytest.mark.parametrize("how", ["crashing", "crashing_logger_alone"])
def test_a_crash(scene: Scene, how: str) -> None:
    """A search that ends with an exception in Genesis has failed with that exception, also with only our logger."""
    code, said = scene.run(how, 3)
    assert code == 1, said
    (run,) = scene.rows("SELECT * FROM evolution_runs")
    assert run["status"] == "failed" and run["error"].startswith("NotImplementedError: Paper edit not implemented.")
    assert scene.individuals().keys() == scene.programs().keys()
