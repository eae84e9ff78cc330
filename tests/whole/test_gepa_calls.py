"""GEPA's searches call models, get killed and resume, and the stored rows equal GEPA's own state and what the endpoint
has counted.

Real searches of the released GEPA, in separate processes, call a model on loopback through LiteLLM and record into an
embedded store, which is read through its store process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console

from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import load_settings
from genesis_otel.demo.search import run_demo, summarise
from tests.support import gepa_endpoint
from tests.support.environment import without_settings
from tests.support.gepa_endpoint import Endpoint

DRIVER = Path(__file__).parents[1] / "support" / "gepa_driver.py"
ROOT = Path(__file__).parents[2]


class Searched(NamedTuple):
    """A search, or the parts of one."""

    told: list[dict[str, Any]]
    """GEPA's report at the end of each part."""
    endpoint: Endpoint
    client: Client
    counted: bool
    """Whether GEPA's clients have counted every answer: they miss those that arrived together with a failed one."""

    @property
    def state(self) -> dict[str, Any]:
        """GEPA's state at the end."""
        return self.told[-1]

    def ask(self, sql: str) -> list[dict[str, Any]]:
        return list(self.client.query(sql).named_results())

    def candidates(self) -> list[dict[str, Any]]:
        """The individuals that are candidates of the state, by candidate number."""
        accepted = self.ask("SELECT details FROM agent_actions WHERE action_type = 'candidate_accepted'")
        # A number that was used again is that of the later candidate.
        ids = json.loads((Path(self.state["folder"]) / "genesis_otel.json").read_text())["candidates"]
        told = [json.loads(each["details"]) for each in accepted]
        assert {(each["candidate"], each["individual_id"]) for each in told} >= set(enumerate(ids))
        rows = {each["individual_id"]: each for each in self.ask("SELECT * FROM individuals")}
        return [rows[name] for name in ids]


@contextlib.contextmanager
def searching(
    folder: Path, how: str, seed: int, *, stops: tuple[int, ...], refuse_every: int, hopeless: int = -1
) -> Iterator[Searched]:
    """Run a search in as many processes as there are stops, interrupting each but the last."""
    kept = without_settings()
    environment = {
        **kept,
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
        # Without it, LiteLLM requests its prices from the network.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DSPY_CACHEDIR": str(folder / "cache"),
    }
    told = []
    with gepa_endpoint.serving(refuse_every, hopeless) as endpoint:
        for stop in stops:
            done = subprocess.run(
                [sys.executable, str(DRIVER), how, str(folder), endpoint.url, str(seed), str(stop)],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            assert done.returncode == (130 if stop else 0) and "not recorded" not in done.stderr, done.stderr
            line = next(each for each in reversed(done.stdout.splitlines()) if each.startswith('{"'))
            told.append({**json.loads(line), "folder": str(folder / "state")})
    with contextlib.closing(open_client(load_settings(data_dir=folder), start=True)) as client:
        yield Searched(told, endpoint, client, counted=how != "anything" or hopeless < 0)
    address = store_process.running(folder / "store")
    if address is not None:
        os.kill(address.pid, signal.SIGTERM)


SEARCHES: dict[str, tuple[str, int, tuple[int, ...], int, int]] = {
    "prompts, interrupted": ("prompts", 1, (30, 0), 13, 4),
    "anything": ("anything", 5, (0,), 17, -1),
    "anything, interrupted": ("anything", 8, (40, 0), 0, 4),
    "dspy": ("dspy", 2, (0,), 0, 4),
}
"""The kind of search, its seed, and the evaluations at which it is interrupted; one request in so many is refused, and
one reflection has no result."""


@pytest.fixture(scope="module", params=SEARCHES)
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """A search with refused requests, a reflection without a result, an interrupt and a resume, depending on its
    parameters."""
    how, seed, stops, refuse_every, hopeless = SEARCHES[request.param]
    folder = tmp_path_factory.mktemp(how)
    with searching(folder, how, seed, stops=stops, refuse_every=refuse_every, hopeless=hopeless) as done:
        yield done


def test_one_run_across_all_processes(searched: Searched) -> None:
    """An interrupted and resumed search is one run, completed at the end, with each generation once."""
    ((status, total),) = searched.client.query("SELECT status, total_generations FROM evolution_runs").result_rows
    generations = [
        each["generation"] for each in searched.ask("SELECT generation FROM generations ORDER BY generation")
    ]
    assert generations == list(range(searched.state["iterations"] + 1))
    assert (status, total) == ("completed", len(generations))


def test_candidates_equal_the_states(searched: Searched) -> None:
    """Each candidate of the state, one by one: its texts, its score, its examples' scores, its parents."""
    state, rows = searched.state, searched.candidates()
    assert len(rows) == len(state["candidates"]) > 2
    edges: dict[str, set[str]] = {}
    for each in searched.ask("SELECT child_id, parent_id FROM code_lineages WHERE parent_id != ''"):
        edges.setdefault(each["child_id"], set()).add(each["parent_id"])
    for number, row in enumerate(rows):
        candidate = state["candidates"][number]
        code = row["code"]
        assert (json.loads(code) if len(candidate) > 1 else {next(iter(candidate)): code}) == candidate
        assert row["combined_score"] == row["fitness_score"] == pytest.approx(state["scores"][number])
        assert json.loads(row["metrics"])["scores"] == pytest.approx(state["examples"][number])
        parents = {rows[parent]["individual_id"] for parent in state["parents"][number]}
        assert edges.get(row["individual_id"], set()) == parents


def test_the_last_front_is_the_states(searched: Searched) -> None:
    """The front of the last generation has the same candidates as the state's; the best never falls."""
    rows = searched.candidates()
    front = searched.ask(
        "SELECT individual_id FROM pareto_fronts WHERE generation = (SELECT max(generation) FROM generations)"
    )
    assert {each["individual_id"] for each in front} == {
        rows[number]["individual_id"] for number in searched.state["front"]
    }
    best = [
        json.loads(each["metadata"])["best_so_far"]
        for each in searched.ask("SELECT metadata FROM generations ORDER BY generation")
    ]
    assert best == sorted(best) and best[-1] == pytest.approx(max(searched.state["scores"]))


def test_calls_equal_what_the_endpoint_answered(searched: Searched) -> None:
    """Each answer of the endpoint is one call with its tokens; the sums equal those of GEPA's clients, including
    costs."""
    rows = searched.ask("SELECT * FROM llm_logs")
    answered = Counter(searched.endpoint.answered)
    stored = Counter(
        (each["model"], each["response_id"], each["input_tokens"], each["output_tokens"])
        for each in rows
        if each["status"] == "ok"
    )
    # The interrupt may arrive while an answer is on its way: that call has failed with it.
    interrupted = sum(each["error"].startswith("KeyboardInterrupt") for each in rows)
    assert stored <= answered and (answered - stored).total() <= interrupted <= len(searched.told) - 1
    sums = [sum(each[name] for each in rows) for name in ("input_tokens", "output_tokens", "cost")]
    told = [sum(part["used"][at] for part in searched.told) for at in range(3)]
    if searched.counted:
        assert sums == pytest.approx(told)
    assert all(stored >= counted - 1e-9 for stored, counted in zip(sums, told, strict=True))
    # A refused request that is repeated is part of its call.
    assert any(each["status"] == "error" for each in rows) == (400 in searched.endpoint.refused)
    assert "sk-secret" not in json.dumps(rows, default=str)


def test_each_call_is_in_its_place(searched: Searched) -> None:
    """A reflection call belongs to its proposal, any other to the candidate whose text is in its prompt; nothing is
    guessed."""
    rows = searched.ask("SELECT * FROM llm_logs")
    individuals = {each["individual_id"]: each for each in searched.ask("SELECT * FROM individuals")}
    generations = {each["generation"] for each in individuals.values()}
    parents = {
        each["child_id"]: each["parent_id"] for each in searched.ask("SELECT child_id, parent_id FROM code_lineages")
    }
    for each in rows:
        owner = individuals[each["individual_id"]]
        messages = each["messages"]
        if each["role"] == "mutation":
            assert each["model"] == gepa_endpoint.REFLECTING
            assert each["generation"] == owner["generation"]
            texts = _texts(individuals[parents[each["individual_id"]]])
        else:
            assert each["role"] == "evaluation" and each["model"] != gepa_endpoint.REFLECTING
            texts = _texts(owner)
        # As JSON, like the messages.
        assert any(json.dumps(text)[1:-1] in messages for text in texts), (each["role"], texts, messages)
        assert each["generation"] in generations or each["generation"] is None
    assert len({each["generation"] for each in rows}) > 2


def _texts(individual: dict[str, Any]) -> list[str]:
    code = individual["code"]
    return list(json.loads(code).values()) if code.startswith("{") else [code]


def test_each_evaluation_has_its_scores(searched: Searched) -> None:
    """The metric calls of the state are the examples of the evaluations, each with a score; an evaluation has its
    individual."""
    jobs = [
        (each["action_type"], json.loads(each["details"]))
        for each in searched.ask("SELECT action_type, details FROM agent_actions WHERE action_type LIKE 'job_%'")
    ]
    ended = [details for kind, details in jobs if kind != "job_submitted"]
    # An evaluation that was interrupted has no scores, and GEPA has not counted it.
    scored = [each for each in ended if "scores" in each and not each.get("again")]
    assert all(len(each["scores"]) == each["examples"] for each in scored)
    lost = sum(each["examples"] for each in scored) - searched.state["metric_calls"]
    # Those of the lost iteration: its parents' and children's.
    assert lost == 0 if len(searched.told) == 1 else 0 <= lost <= 30
    ids = {each["individual_id"] for each in searched.ask("SELECT individual_id FROM individuals")}
    assert {each["individual_id"] for each in ended} <= ids
    budget = [
        json.loads(each["metadata"])["metric_calls"]
        for each in searched.ask("SELECT metadata FROM generations ORDER BY generation")
    ]
    assert budget == sorted(budget) and budget[-1] == searched.state["metric_calls"]


def test_rejected_and_failed_candidates_say_why(searched: Searched) -> None:
    """Rejected candidates have their minibatch's scores and no score of their own; failed ones have the endpoint's
    error."""
    ids = {each["individual_id"] for each in searched.candidates()}
    others = [each for each in searched.ask("SELECT * FROM individuals") if each["individual_id"] not in ids]
    failed = {
        details["individual_id"]: details["error"]
        for details in (
            json.loads(each["details"])
            for each in searched.ask("SELECT details FROM agent_actions WHERE action_type = 'proposal_failed'")
        )
    }
    rejected = [each for each in others if each["individual_id"] not in failed]
    assert others and all(each["fitness_score"] is None for each in others)
    assert rejected
    for each in rejected:
        metrics = json.loads(each["metrics"])
        if each["mutation_type"] != "merge":
            assert metrics["minibatch_score"] == pytest.approx(sum(metrics["minibatch_scores"]))
            assert len(metrics["minibatch"]) == len(metrics["minibatch_scores"]) > 1
    assert any("refused" in error for error in failed.values()) or 400 not in searched.endpoint.refused
    errors = [
        json.loads(each["details"]).get("error_type")
        for each in searched.ask("SELECT details FROM agent_actions WHERE action_type = 'job_failed'")
    ]
    # Two proposals at once are evaluated at once, and interrupted together.
    assert ("KeyboardInterrupt" in errors) == (len(searched.told) > 1)


def test_the_call_that_writes_the_seed_is_the_seeds(tmp_path: Path) -> None:
    """``optimize_anything`` without a seed has one written before the search begins: that call is in the run, and
    belongs to the seed."""
    with searching(tmp_path, "seedless", 3, stops=(0,), refuse_every=0) as done:
        rows = done.ask("SELECT * FROM llm_logs ORDER BY timestamp")
        assert len(rows) == len(done.endpoint.answered)
        ((run_id,),) = done.client.query("SELECT run_id FROM evolution_runs").result_rows
        assert {each["run_id"] for each in rows} == {run_id}
        assert (rows[0]["individual_id"], rows[0]["generation"]) == (f"{run_id}-0", 0)
        (seed,) = done.ask("SELECT * FROM individuals WHERE mutation_type = 'init'")
        assert (seed["individual_id"], seed["code"]) == (
            f"{run_id}-0",
            done.state["candidates"][0]["current_candidate"],
        )


def test_the_demo_of_gepa(tmp_path: Path) -> None:
    """It needs no network and no key, fills all seven tables, and shows the recorded rows, the best individual's line,
    and the cost."""
    settings = load_settings(data_dir=tmp_path)
    result = run_demo(framework="gepa", iterations=12, settings=settings, pace=0)
    shown = io.StringIO()
    with contextlib.closing(open_client(settings, start=True)) as client:
        summarise(client, result.run_id, Console(file=shown, width=160))
        for table in ("generations", "individuals", "pareto_fronts", "code_lineages", "llm_logs", "agent_actions"):
            ((rows,),) = client.query(f"SELECT count() FROM {table} WHERE run_id = '{result.run_id}'").result_rows
            assert rows >= 12, table
        ((*told, config),) = client.query("SELECT status, task_name, config FROM evolution_runs").result_rows
    assert told == ["completed", "circle_packing"]
    assert json.loads(config)["max_iterations"] == 12
    said = shown.getvalue()
    assert all(each in said for each in ("What landed", "Best individual", "LLM calls: $0.0", "What to run next"))
    if address := store_process.running(tmp_path / "store"):
        os.kill(address.pid, signal.SIGTERM)
