"""The record of an OpenEvolve search equals what OpenEvolve itself knows, item by item, whatever its configuration.

Real searches in separate processes log what they do beneath the instrumentation, and the endpoint logs its requests;
both are compared with the rows: individuals, parents, scores, cells, outputs, calls, tokens and costs.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from openevolve.utils.metrics_utils import get_fitness_score  # type: ignore[import-untyped]

from genesis_otel._destinations import open_client
from genesis_otel._settings import load_settings
from genesis_otel.demo import model
from genesis_otel.demo.evolve import PROBLEM
from genesis_otel.instrumentation._openevolve.outcome import failure
from tests.support.environment import without_settings
from tests.support.openevolve_evaluator import SECRET
from tests.support.searched import end_store
from tests.support.waiting import until

DRIVER = Path(__file__).parents[1] / "support" / "openevolve_settings.py"
PRICES = {"gpt-4.1-mini": (0.40, 0.10, 1.60), "text-embedding-3-small": (0.02, 0.0, 0.0)}
"""USD per million tokens: for the prompt, its cached part, and the answer."""
MODEL = "gpt-4.1-mini"

LLM: dict[str, Any] = {"primary_model": MODEL, "temperature": 0.7}
SMALL: dict[str, Any] = {"log_level": "ERROR", "checkpoint_interval": 5, "llm": LLM}


def told(
    seed: int, *, database: dict[str, Any] | None = None, evaluator: dict[str, Any] | None = None, **top: Any
) -> dict[str, Any]:
    """A configuration as OpenEvolve reads it from a file."""
    return {
        **SMALL,
        "random_seed": seed,
        "database": {"num_islands": 1, **(database or {})},
        "evaluator": {"cascade_evaluation": False, "max_retries": 0, "parallel_evaluations": 2, **(evaluator or {})},
        **top,
    }


SEARCHES: dict[str, dict[str, Any]] = {
    "islands_with_a_small_population_and_evaluations_tried_again": {
        "iterations": 24,
        "config": told(
            7,
            database={
                "num_islands": 3,
                "migration_interval": 2,
                "migration_rate": 0.5,
                "population_size": 12,
                "archive_size": 4,
            },
            evaluator={"max_retries": 1},
        ),
        "instrument": {"objectives": {"accuracy": "max", "size": "min"}},
    },
    "a_failing_cascade_with_rewrites_among_diffs_in_spawned_workers": {
        "iterations": 16,
        "seen": [
            "evaluation failed: stage2: ArithmeticError: stage 2",
            "evaluation failed: stage2: timeout after 1 s",
            "stage3: ",
        ],
        "config": told(
            11,
            evaluator={
                "cascade_evaluation": True,
                "cascade_thresholds": [0.1, 0.1],
                "timeout": 1,
                "parallel_evaluations": 3,
            },
            full_rewrite_probability=0.5,
            max_tasks_per_child=3,
        ),
        "instrument": {"llm": "genesis"},
    },
    "an_error_that_is_minimised_until_nothing_gets_better": {
        "iterations": 30,
        "environment": {"DIRECTION": "min"},
        "config": told(
            13,
            database={"feature_dimensions": ["size"], "feature_bins": 3, "archive_size": 3},
            evaluator={"parallel_evaluations": 4},
            early_stopping_patience=6,
            diff_based_evolution=False,
        ),
        "instrument": {"objectives": {"error": "min"}},
    },
    "island_seeds_with_a_judge_and_novelty": {
        "iterations": 10,
        "config": told(
            17,
            database={
                "num_islands": 3,
                "island_initial_programs": [None, "SEED", "SEED"],
                "embedding_model": "text-embedding-3-small",
                "similarity_threshold": 0.9,
                "migration_interval": 2,
            },
            evaluator={"use_llm_feedback": True},
        ),
        "instrument": {"llm": "genesis"},
    },
}


class Asked(NamedTuple):
    """What the endpoint answered."""

    prompt: int
    cached: int
    completion: int


class Endpoint:
    """The demo's model, which logs its answers."""

    def __init__(self) -> None:
        self.chats: list[Asked] = []
        self.embeddings: list[Asked] = []


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    noted = Endpoint()
    answer, embed = model._Server.answer, model._embeddings

    def answered(self: Any, request: Any, asker: object) -> tuple[int, dict[str, Any]]:
        status, body = answer(self, request, asker)
        if status == 200:
            usage = body["usage"]
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            noted.chats.append(Asked(usage["prompt_tokens"], cached, usage["completion_tokens"]))
        return status, body

    def embedded(request: Any) -> tuple[int, dict[str, Any]]:
        status, body = embed(request)
        noted.embeddings.append(Asked(body["usage"]["prompt_tokens"], 0, 0))
        return status, body

    monkeypatch.setattr(model._Server, "answer", answered)
    monkeypatch.setattr(model, "_embeddings", embedded)
    return noted


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("records")
    yield made
    end_store(made / "store")


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[Client]:
    with contextlib.closing(open_client(load_settings(data_dir=data), start=True)) as opened:
        yield opened


def start(settings: dict[str, Any], folder: Path, url: str, run_id: str) -> subprocess.Popen[str]:
    """Start a search in a separate process."""
    folder.mkdir(exist_ok=True)
    kept = without_settings()
    text = json.dumps(settings)
    if "SEED" in text:
        for number in range(2):
            text = text.replace('"SEED"', json.dumps(str(seed_of(folder, number))), 1)
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder), url, run_id],
        env={
            **kept,
            "NO_PROXY": "127.0.0.1",
            "OPENAI_API_KEY": "sk-test",
            "TURNS": str(folder),
            **settings.get("environment", {}),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return process


def seed_of(folder: Path, number: int) -> Path:
    """Another initial program: the first one with a longer comment."""
    path = folder / f"seed_{number}.py"
    path.write_text((PROBLEM / "initial_program.py").read_text() + f"\n# seed {number}\n")
    return path


def finished(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(client: Client, sql: str, run_id: str) -> list[dict[str, Any]]:
    return list(client.query(sql, parameters={"run": run_id}).named_results())


def as_key(cell: str, dimensions: list[str]) -> str:
    """A recorded cell, as OpenEvolve's key."""
    return "-".join(str(json.loads(cell)[name]) for name in dimensions)


def compare_individuals(client: Client, run_id: str, folder: Path, settings: dict[str, Any]) -> None:
    """Each program that OpenEvolve added is one individual, and each individual is one of them or a failed
    iteration."""
    database = settings["config"]["database"]
    dimensions = database.get("feature_dimensions", ["complexity", "diversity"])
    found = {
        row["individual_id"]: row
        for row in rows(client, "SELECT * FROM individuals WHERE run_id = {run:String}", run_id)
    }
    edges = rows(client, "SELECT child_id, parent_id FROM code_lineages WHERE run_id = {run:String}", run_id)
    parents = {row["child_id"]: row["parent_id"] for row in edges}
    added = lines(folder / "added.jsonl")
    assert len({program["id"] for program in added}) == len(added)
    objective = next(iter(settings.get("instrument", {}).get("objectives", {})), None)
    for program in added:
        row, metadata = found.pop(program["id"]), program["metadata"]
        assert row["parent_id"] == parents[program["id"]] == (program["parent_id"] or "")
        assert row["island"] == ("" if metadata.get("island") is None else str(metadata["island"]))
        if metadata.get("migrant"):
            assert row["mutation_type"] == "migration"
            if not program["admitted"]:
                continue
        else:
            assert row["generation"] == program["iteration_found"]
        assert row["code"] == program["code"]
        assert json.loads(row["metrics"]) == program["metrics"]
        failed = failure(program["metrics"]) or any(
            program["metrics"].get(f"stage{n}_passed") == 0.0 for n in (1, 2, 3)
        )
        assert (row["status"] == "error") == bool(failed), (row["error"], program["metrics"])
        score = get_fitness_score(program["metrics"], dimensions)
        if failed and "error" in program["metrics"]:
            score = None
        assert row["combined_score"] == (None if score is None else pytest.approx(score))
        expected = program["metrics"].get(objective, score) if score is not None else None
        assert row["fitness_score"] == (None if expected is None else pytest.approx(expected))
        if program["admitted"]:
            for island, key in program["held"]:
                assert (str(island), as_key(row["cell"], dimensions)) == (row["island"], key)
    failures = lines(folder / "failures.jsonl")
    assert sorted(row["generation"] for row in found.values()) == sorted(own["iteration"] for own in failures)
    for own in failures:
        # A search that continues from a checkpoint may repeat an iteration.
        row = next(
            row
            for row in found.values()
            if row["generation"] == own["iteration"] and row["error"].endswith(own["error"])
        )
        assert (row["status"], row["combined_score"]) == ("error", None)
        assert (row["code"], json.loads(row["metrics"])) == (own.get("code", ""), own.get("metrics", {}))
        if own.get("evolution_mode"):
            assert row["mutation_type"] == own["evolution_mode"].removesuffix("_rewrite")


def compare_holders(client: Client, run_id: str, folder: Path) -> None:
    """The program that lost its cell to another is recorded as it happens: each program that holds a cell when it is
    added has taken it."""
    taken = rows(
        client,
        "SELECT individual_id, JSONExtractString(details, 'individual_id') AS taker FROM agent_actions"
        " WHERE run_id = {run:String} AND action_type = 'cell_taken'",
        run_id,
    )
    held = [program["id"] for program in lines(folder / "added.jsonl") if program["held"]]
    assert Counter(row["taker"] for row in taken) == Counter(held)


def compare_modes(client: Client, run_id: str, folder: Path) -> None:
    """Each child has the mutation type that OpenEvolve chose for it."""
    individuals = rows(
        client, "SELECT individual_id, mutation_type FROM individuals WHERE run_id = {run:String}", run_id
    )
    types = {row["individual_id"]: row["mutation_type"] for row in individuals}
    for program in lines(folder / "added.jsonl"):
        if program["parent_id"] is None:
            assert types[program["id"]] == "init"
        elif not program["metadata"].get("migrant") and "evolution_mode" in program["metadata"]:
            assert types[program["id"]] == program["metadata"]["evolution_mode"].removesuffix("_rewrite")


def compare_calls(client: Client, run_id: str, endpoint: Endpoint, folder: Path) -> None:
    """Each call of OpenEvolve's clients is one row, with the tokens that the endpoint reported and their cost; a failed
    call is recorded as failed."""
    calls = rows(client, "SELECT * FROM llm_logs WHERE run_id = {run:String}", run_id)
    for answers, operation in ((endpoint.chats, "chat"), (endpoint.embeddings, "embeddings")):
        known = [row for row in calls if row["operation"] == operation and row["status"] == "ok"]
        told = Counter(Asked(r["input_tokens"], r["cached_tokens"], r["output_tokens"]) for r in known)
        # An answer may be lost: OpenEvolve checks novelty in another event loop than its client's.
        assert told <= Counter(answers)
        for row in known:
            prompt, cached, answer = PRICES[row["model"]]
            expected = (
                (row["input_tokens"] - row["cached_tokens"]) * prompt
                + row["cached_tokens"] * cached
                + row["output_tokens"] * answer
            ) / 1e6
            assert row["cost"] == pytest.approx(expected)
            assert row["individual_id"]
    assert len([row for row in calls if row["operation"] == "embeddings"]) == len(endpoint.embeddings)
    chats = [row for row in calls if row["operation"] == "chat"]
    assert all(row["error"] for row in chats if row["status"] != "ok")
    own = lines(folder / "asked.jsonl")
    answered = Counter((r["input_tokens"], r["output_tokens"]) for r in chats if r["status"] == "ok")
    if (folder / "spawned").exists():
        # Spawned workers do not log their requests; all of the endpoint's answers have arrived.
        assert answered == Counter((each.prompt, each.completion) for each in endpoint.chats)
        return
    usages = [each["usage"] for each in own if "usage" in each]
    assert answered == Counter((usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages)
    assert len(chats) == len(own)


def compare_tokens(client: Client, run_id: str, folder: Path) -> None:
    """The tokens that OpenEvolve counts for an iteration are those of its mutation calls."""
    found = {
        row["generation"]: (row["asked"], row["answered"])
        for row in rows(
            client,
            "SELECT generation, sum(input_tokens) AS asked, sum(output_tokens) AS answered FROM llm_logs"
            " WHERE run_id = {run:String} AND role = 'mutation' AND status = 'ok' GROUP BY generation",
            run_id,
        )
    }
    for own in [*lines(folder / "children.jsonl"), *lines(folder / "failures.jsonl")]:
        usage = own.get("token_usage")
        if usage:
            assert found[own["iteration"]] == (usage["prompt_tokens"], usage["completion_tokens"])


def compare_costs(client: Client, run_id: str) -> None:
    """An individual costs what its calls do."""
    differing = rows(
        client,
        "SELECT individual_id, any(i.api_cost + i.embed_cost + i.novelty_cost) AS own, sum(l.cost) AS of_calls"
        " FROM individuals AS i LEFT JOIN llm_logs AS l USING (run_id, individual_id) WHERE run_id = {run:String}"
        " GROUP BY individual_id HAVING abs(own - of_calls) > 1e-12",
        run_id,
    )
    assert differing == []


def compare_outputs(client: Client, run_id: str, folder: Path) -> None:
    """Each child's artifacts are the output of its evaluation, without the secret in them."""
    found = {
        row["generation"]: json.loads(row["output"] or "{}")
        for row in rows(
            client,
            "SELECT generation, output FROM agent_actions WHERE run_id = {run:String} AND generation > 0"
            " AND action_type IN ('job_completed', 'job_failed')",
            run_id,
        )
    }
    for own in lines(folder / "children.jsonl"):
        artifacts = own["artifacts"] or {}
        output = found[own["iteration"]]
        assert output.keys() == artifacts.keys()
        for name, value in artifacts.items():
            expected = value.replace(SECRET, "[REDACTED]") if isinstance(value, str) else value
            assert output[name] == (json.dumps(expected) if isinstance(expected, (list, dict)) else expected)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_record_equals_openevolves_own(name: str, data: Path, client: Client, endpoint: Endpoint) -> None:
    """Every program, failure, cell, artifact, call, token and cent that OpenEvolve and the endpoint know has its row,
    and there are no other rows."""
    settings, run_id = SEARCHES[name], f"run_{list(SEARCHES).index(name)}"
    folder = data / run_id
    with model.serving(pace=0) as url:
        process = start(settings, folder, url, run_id)
        if "max_tasks_per_child" in settings["config"]:
            (folder / "spawned").touch()
        finished(process)
    assert rows(client, "SELECT status FROM evolution_runs WHERE run_id = {run:String}", run_id) == [
        {"status": "completed"}
    ]
    compare_individuals(client, run_id, folder, settings)
    compare_holders(client, run_id, folder)
    compare_modes(client, run_id, folder)
    compare_calls(client, run_id, endpoint, folder)
    compare_tokens(client, run_id, folder)
    compare_costs(client, run_id)
    errors = rows(client, "SELECT DISTINCT error FROM individuals WHERE run_id = {run:String}", run_id)
    for seen in settings.get("seen", []):
        assert any(seen in row["error"] for row in errors), errors
    compare_outputs(client, run_id, folder)


def test_an_interrupted_and_resumed_search_is_recorded_completely(
    data: Path, client: Client, endpoint: Endpoint
) -> None:
    """Stopped by a signal midway and resumed from its checkpoint in another process: one run, with every program that
    either added, every failure and every answer once; what was in progress at the signal has left nothing but its
    calls."""
    run_id, folder = "interrupted", data / "interrupted"
    settings = {"iterations": 300, "config": told(23, evaluator={"parallel_evaluations": 2})}
    with model.serving(pace=0.3) as url:
        process = start(settings, folder, url, run_id)
        until(lambda: len(lines(folder / "added.jsonl")) > 8, "some programs", 120)
        process.send_signal(signal.SIGTERM)
        finished(process)
    first = len(lines(folder / "added.jsonl"))
    assert first > 8
    ((status,),) = [
        (row["status"],)
        for row in rows(client, "SELECT status FROM evolution_runs WHERE run_id = {run:String}", run_id)
    ]
    assert status == "failed"
    checkpoint = max((folder / "out" / "checkpoints").iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))
    with model.serving(pace=0) as url:
        process = start({**settings, "iterations": 6, "checkpoint": str(checkpoint)}, folder, url, "")
        finished(process)
    assert len(lines(folder / "added.jsonl")) > first
    runs = rows(
        client, "SELECT run_id, status FROM evolution_runs WHERE database_path = {run:String}", str(folder / "out")
    )
    assert runs == [{"run_id": run_id, "status": "completed"}]
    compare_individuals(client, run_id, folder, settings)
    compare_modes(client, run_id, folder)
    compare_costs(client, run_id)
    chats = rows(client, "SELECT * FROM llm_logs WHERE run_id = {run:String}", run_id)
    answered = Counter((row["input_tokens"], row["output_tokens"]) for row in chats if row["status"] == "ok")
    usages = [each["usage"] for each in lines(folder / "asked.jsonl") if "usage" in each]
    own = Counter((usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages)
    # A worker that is killed right after an answer has recorded it, but not yet logged it.
    assert own <= answered <= Counter((each.prompt, each.completion) for each in endpoint.chats)
    assert answered.total() - own.total() <= 2
    final = json.loads((folder / "final.json").read_text())
    known = {
        row["individual_id"]: row["metrics"]
        for row in rows(client, "SELECT * FROM individuals WHERE run_id = {run:String}", run_id)
    }
    assert {name: program["metrics"] for name, program in final["programs"].items()} == {
        name: json.loads(known[name]) for name in final["programs"]
    }
