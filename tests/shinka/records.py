"""The record of a ShinkaEvolve search equals shinka's own database and the endpoint's log, item by item."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.support.shinka_endpoint import Endpoint
from tests.support.shinka_recorded import Searched, search
from tests.support.shinka_search import stored

WAYS: dict[str, tuple[Endpoint, dict[str, Any]]] = {
    # Priced models through OpenAI's Responses API: failures of every kind, and a bandit.
    "priced": (
        Endpoint(
            proposals=("better", "429", "prose", "better", "crash", "same", "wrong", "better", "same", "same", "500"),
            novelty=("NOT_NOVEL", "NOT_NOVEL", "NOT_NOVEL", "NOVEL"),
        ),
        {"generations": 14, "seed": 1, "told": {"objectives": {"value": "max", "smallness": "max"}}},
    ),
    # A custom model through chat completions, three islands, one job at a time; prompts evolve; some proposals fail.
    "local": (
        Endpoint(
            proposals=("better", "prose", "prose", "prose", "prose", "better", "crash", "worse"), novelty=("NOVEL",)
        ),
        {
            "generations": 9,
            "seed": 5,
            "islands": 3,
            "jobs": 1,
            "proposals": 1,
            "models": ("local",),
            "evo": {
                "llm_dynamic_selection": "thompson",
                "llm_dynamic_selection_kwargs": {},
                "evolve_prompts": True,
                "prompt_patch_types": ["full"],
                "prompt_patch_type_probs": [1.0],
                "prompt_evolution_interval": 2,
                "max_novelty_attempts": 1,
            },
            "db": {"archive_selection_strategy": "crowding", "island_elitism": False},
        },
    ),
}
"""Two searches that differ in all settings and seeds."""


@pytest.fixture(scope="module", params=WAYS)
def searched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[], Client]
) -> Searched:
    """Each of them, run once."""
    endpoint, settings = WAYS[request.param]
    return search(tmp_path_factory.mktemp(request.param), new_store, endpoint, **settings)


def close(one: float, other: float) -> bool:
    return one == pytest.approx(other, abs=1e-12)


def test_every_program_and_every_failed_proposal_is_an_individual(searched: Searched) -> None:
    """Shinka's programs are individuals with the same ids; in addition there is one for each proposal that shinka gave
    up."""
    programs, individuals = searched.programs(), searched.individuals()
    assert set(programs) <= set(individuals)
    others = [individuals[each] for each in set(individuals) - set(programs)]
    failures = searched.failures()
    assert sorted(each["generation"] for each in others) == sorted(failures)
    assert failures and all(each["status"] == "error" for each in others)


def test_a_program_is_what_shinka_stored(searched: Searched) -> None:
    """Generation, parent, type of patch, code, score, correctness, metrics, island and costs of each equal shinka's
    row."""
    individuals = searched.individuals()
    for name, row in searched.programs().items():
        told, found = row["metadata"], individuals[name]
        copy = told.get("_is_island_copy", False)
        assert found["generation"] == row["generation"]
        assert found["parent_id"] == (told["_original_program_id"] if copy else row["parent_id"] or "")
        assert found["mutation_type"] == ("copy" if copy else told["patch_type"])
        assert found["code"] == row["code"]
        assert found["code_hash"] == hashlib.sha256(row["code"].encode()).hexdigest()
        assert found["correct"] == bool(row["correct"])
        assert json.loads(found["metrics"]) == {**row["private_metrics"], **row["public_metrics"]}
        if row["public_metrics"]:
            assert found["combined_score"] == found["fitness_score"] == row["combined_score"]
            assert found["status"] == ("ok" if row["correct"] else "incorrect")
        else:
            # Shinka stores 0 if the evaluator gave no score.
            assert found["combined_score"] is None and row["combined_score"] == 0 and found["status"] == "error"
        moves = json.loads(row["migration_history"] or "[]")
        assert found["island"] == str(moves[0]["from"] if moves else row["island_idx"])
        assert close(found["api_cost"], 0 if copy else told["api_costs"])
        assert close(found["embed_cost"], 0 if copy else told["embed_cost"])
        assert close(found["novelty_cost"], 0 if copy else told["novelty_cost"] or 0)


def test_a_failed_proposal_is_what_shinka_logged(searched: Searched) -> None:
    """Parent, type of patch, stage, class and costs of each equal shinka's log of attempts; each is also an action."""
    programs = searched.programs()
    by_generation = {row["generation"]: row for name, row in searched.individuals().items() if name not in programs}
    actions = searched.ask("SELECT * FROM agent_actions WHERE action_type = 'proposal_failed'")
    failures = searched.failures()
    assert sorted(row["generation"] for row in actions) == sorted(failures)
    for generation, told in failures.items():
        found = by_generation[generation]
        kept = json.loads(found["metadata"])
        assert found["parent_id"] == told["parent_id"]
        assert found["mutation_type"] == told["patch_type"]
        assert (kept["failure_stage"], kept["failure_class"]) == (told["failure_stage"], told["failure_class"])
        assert kept["archive_inspiration_ids"] == told["archive_inspiration_ids"]
        assert kept["top_k_inspiration_ids"] == told["top_k_inspiration_ids"]
        assert found["combined_score"] is None and found["error"]
        for name, cost in (("api_cost", "api_costs"), ("embed_cost", "embed_cost"), ("novelty_cost", "novelty_cost")):
            assert close(found[name], told[cost])


def test_inspirations_and_patches_are_recorded(searched: Searched) -> None:
    """An individual's metadata names its inspirations and its patch; its edge has the description."""
    individuals = searched.individuals()
    edges = {row["child_id"]: row for row in searched.ask("SELECT * FROM code_lineages FINAL")}
    inspired = 0
    for name, row in searched.programs().items():
        if row["metadata"].get("_is_island_copy"):
            continue
        kept = json.loads(individuals[name]["metadata"])
        assert kept["archive_inspiration_ids"] == row["archive_inspiration_ids"]
        assert kept["top_k_inspiration_ids"] == row["top_k_inspiration_ids"]
        assert kept["patch_name"] == row["metadata"]["patch_name"]
        assert edges[name]["edit_summary"] == row["metadata"]["patch_description"]
        inspired += bool(row["archive_inspiration_ids"])
    # A program that is alone on its island has no inspirations.
    assert inspired or searched.runner.db_config.num_islands == 3


def test_gains_are_differences_of_scores(searched: Searched) -> None:
    """A child's gain is its score minus its parent's, if both have one; every lineage leads back to the seed."""
    individuals = searched.individuals()
    edges = {row["child_id"]: row for row in searched.ask("SELECT * FROM code_lineages FINAL")}
    (seed,) = (name for name, row in individuals.items() if row["mutation_type"] == "init")
    for name in individuals:
        parent, own = edges[name]["parent_id"], individuals[name]["fitness_score"]
        of_parent = individuals[parent]["fitness_score"] if parent else None
        assert edges[name]["fitness_delta"] == (None if own is None or of_parent is None else own - of_parent)
        for _ in individuals:
            name = edges[name]["parent_id"] or name
        assert name == seed


def test_every_request_is_a_call(searched: Searched) -> None:
    """The endpoint's requests, including failed attempts, and the tokens that it counted are the calls, each once."""
    calls = searched.ask("SELECT * FROM llm_logs FINAL")
    requests = searched.endpoint.requests
    roles = {"proposal": ("mutation",), "novelty": ("novelty",), "embedding": ("novelty",), "meta": ("meta", "prompt")}
    assert Counter((row["model"], row["status"] == "ok") for row in calls) == Counter(
        (each.model, each.status == 200) for each in requests
    )
    for kind, of_kind in roles.items():
        operation = "embeddings" if kind == "embedding" else "chat"
        found = [row for row in calls if row["role"] in of_kind and row["operation"] == operation]
        counted = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
        assert Counter(tuple(row[name] for name in counted) for row in found) == Counter(
            tuple(getattr(each, name) for name in counted) for each in requests if each.kind == kind
        )
    prompts = {each.prompt for each in requests if each.kind == "proposal" and each.status == 200}
    assert all("VALUE = " in row["messages"] for row in calls if row["role"] == "mutation")
    assert len({row["messages"] for row in calls if row["role"] == "mutation" and row["status"] == "ok"}) == len(
        prompts
    )
    assert all(row["execution_time"] > 0 for row in calls)


def test_costs_belong_where_the_calls_were_made(searched: Searched) -> None:
    """The costs of an individual's calls are its own; meta calls belong to a generation or to the run, not to an
    individual."""
    individuals = searched.individuals()
    costs = searched.ask(
        "SELECT individual_id, sumIf(cost, role = 'mutation') AS api_cost, sumIf(cost, operation = 'embeddings') AS embed_cost,"
        " sumIf(cost, role = 'novelty' AND operation = 'chat') AS novelty_cost FROM llm_logs FINAL GROUP BY individual_id"
    )
    assert {row["individual_id"] for row in costs} - {""} <= set(individuals)
    for row in costs:
        if row["individual_id"]:
            found = individuals[row["individual_id"]]
            assert all(close(found[name], row[name]) for name in ("api_cost", "embed_cost", "novelty_cost"))
    meta = searched.ask("SELECT individual_id, run_id FROM llm_logs WHERE role = 'meta'")
    assert meta and {row["individual_id"] for row in meta} == {""} and len({row["run_id"] for row in meta}) == 1
    assert searched.ask("SELECT count() AS n FROM llm_logs WHERE run_id = ''") == [{"n": 0}]


def test_costs_add_up_to_shinkas(searched: Searched) -> None:
    """The calls cost together what shinka has spent. A generation costs its individual plus the meta calls that it
    triggered; the last of those, which shinka makes at the very end and books on the last program, are the run's."""
    (total,) = searched.ask("SELECT sum(cost) AS spent, sumIf(cost, generation IS NULL) AS last FROM llm_logs FINAL")
    assert close(total["spent"], searched.runner.total_api_cost)
    generations = {row["generation"]: row for row in searched.ask("SELECT * FROM generations FINAL")}
    meta = 0.0
    for row in searched.programs().values():
        told = row["metadata"]
        if not told.get("_is_island_copy"):
            found = generations[row["generation"]]
            caused = json.loads(found["metadata"]).get("meta_cost", 0)
            spent = told["api_costs"] + told["embed_cost"] + (told["novelty_cost"] or 0) + caused
            assert close(found["total_cost"], spent)
            assert caused == told.get("meta_cost", 0) or close(told["meta_cost"], total["last"])
            meta += told.get("meta_cost") or 0
    (calls,) = searched.ask("SELECT sumIf(cost, role = 'meta') AS spent FROM llm_logs FINAL")
    assert close(calls["spent"], meta)


def test_a_job_is_an_evaluation_with_its_output(searched: Searched) -> None:
    """Each program was evaluated by one job: submitted, then completed or failed, with shinka's score, metrics and
    outputs."""
    programs = {name: row for name, row in searched.programs().items() if not row["metadata"].get("_is_island_copy")}
    jobs = {
        row["individual_id"]: row
        for row in searched.ask("SELECT * FROM agent_actions WHERE action_type IN ('job_completed', 'job_failed')")
    }
    submitted = searched.ask("SELECT individual_id FROM agent_actions WHERE action_type = 'job_submitted'")
    assert sorted(row["individual_id"] for row in submitted) == sorted(programs) == sorted(jobs)
    shown: dict[str, set[bool]] = {"stdout": set(), "stderr": set()}
    for name, row in programs.items():
        job, told = jobs[name], json.loads(jobs[name]["details"])
        assert job["action_type"] == ("job_completed" if row["correct"] else "job_failed")
        assert told.get("source_job_id", "") == row["metadata"].get("source_job_id", "")
        assert told.get("combined_score", 0.0) == row["combined_score"]
        output = json.loads(job["output"])
        # A thread of shinka's writes what a job says; on a busy machine shinka reads the file before there is anything in it.
        for stream, found in shown.items():
            assert output[stream].strip() == row["metadata"][f"{stream}_log"].strip()
            found.add(output[stream].strip() != "")
        assert json.loads(job["metadata"])["public_metrics"] == row["public_metrics"]
    assert all(True in found for found in shown.values())
    errors = {json.loads(job["details"]).get("error") for job in jobs.values()} - {None}
    assert "ZeroDivisionError: division by zero" in errors


def test_the_archive_and_the_best_equal_shinkas(searched: Searched) -> None:
    """The changes of the archive add up to shinka's archive, except for copies, which shinka adds by itself; the last
    best is shinka's."""
    archive: set[str] = set()
    for row in searched.ask(
        "SELECT details FROM agent_actions WHERE action_type = 'archive_updated' ORDER BY timestamp, id"
    ):
        details = json.loads(row["details"])
        archive = (archive | set(details["added"])) - set(details["removed"])
    copies = {name for name, row in searched.programs().items() if row["metadata"].get("_is_island_copy")}
    assert archive - copies == {row["program_id"] for row in stored(searched.folder, "archive")} - copies
    best = [
        json.loads(row["details"])
        for row in searched.ask(
            "SELECT details FROM agent_actions WHERE action_type = 'best_updated' ORDER BY timestamp, id"
        )
    ]
    assert best[-1]["individual_id"] == searched.runner.db.best_program_id
    assert [each["previous"] for each in best] == ["", *(each["individual_id"] for each in best[:-1])]


def test_migrations_equal_shinkas(searched: Searched) -> None:
    """Each move of a program to another island is in an action, as in the program's own history."""
    moves = [
        (move["individual_id"], move["from"], move["to"], json.loads(row["details"])["generation"])
        for row in searched.ask("SELECT details FROM agent_actions WHERE action_type = 'migration'")
        for move in json.loads(row["details"])["moves"]
    ]
    history = [
        (name, move["from"], move["to"], move["generation"])
        for name, row in searched.programs().items()
        for move in json.loads(row["migration_history"] or "[]")
    ]
    assert sorted(moves) == sorted(history) != []


def test_meta_recommendations_and_prompts_are_actions(searched: Searched) -> None:
    """Each round of recommendations is recorded with its cost and text; evolved prompts with theirs."""
    told = [
        json.loads(row["details"])
        for row in searched.ask(
            "SELECT details FROM agent_actions WHERE action_type = 'meta_recommendations' ORDER BY timestamp"
        )
    ]
    history = searched.runner.meta_summarizer.sync_summarizer.meta_recommendations_history
    assert [each["response"] for each in told] == history != []
    assert (
        sum(each["programs"] for each in told)
        == searched.runner.meta_summarizer.sync_summarizer.total_programs_processed
    )
    prompts = [
        json.loads(row["details"])
        for row in searched.ask(
            "SELECT details FROM agent_actions WHERE action_type = 'prompt_evolved' ORDER BY timestamp"
        )
    ]
    assert close(sum(each["cost"] for each in prompts), searched.runner.prompt_api_cost)
    known = searched.runner.prompt_db.get_all_prompts() if searched.runner.prompt_db else []
    assert {each["prompt_id"]: each["response"] for each in prompts} == {
        each.id: each.prompt_text for each in known if each.parent_id
    }
    assert bool(prompts) == searched.runner.evo_config.evolve_prompts


def test_the_choice_of_models_is_recorded(searched: Searched) -> None:
    """The bandit's last state equals shinka's, model by model."""
    *_, last = searched.ask(
        "SELECT details FROM agent_actions WHERE action_type = 'model_selection' ORDER BY timestamp, id"
    )
    told, bandit = json.loads(last["details"]), searched.runner.llm_selection
    state = bandit.get_state()
    assert told["strategy"] == type(bandit).__name__
    assert {name: arm["n_submitted"] for name, arm in told["models"].items()} == dict(
        zip(state["arm_names"], state["n_submitted"].tolist(), strict=True)
    )
    assert {name: arm["n_completed"] for name, arm in told["models"].items()} == dict(
        zip(state["arm_names"], state["n_completed"].tolist(), strict=True)
    )


def test_the_probabilities_of_models_equal_shinkas(searched: Searched) -> None:
    """Each program with a model has every model's probability, as shinka stores it with the program."""
    found = {}
    for row in searched.ask("SELECT details FROM agent_actions WHERE action_type = 'model_selection'"):
        told = json.loads(row["details"])
        chances = {name: arm["posterior"] for name, arm in told["models"].items() if "posterior" in arm}
        if chances:
            found[told["generation"]] = chances
    programs = stored(searched.folder)
    known = {
        each["generation"]: each["metadata"]["llm_result"]["model_posteriors"]
        for each in programs
        if (each["metadata"].get("llm_result") or {}).get("model_posteriors")
    }
    assert found and found == {number: known[number] for number in found}


def test_the_run_equals_shinkas(searched: Searched) -> None:
    """Task, status, configuration, database path and the number of completed generations are shinka's; no key is among
    them."""
    (run,) = searched.ask("SELECT * FROM evolution_runs")
    config, evo = json.loads(run["config"]), searched.runner.evo_config
    assert (run["task_name"], run["status"], run["direction"], run["cluster_type"]) == (
        "raise_a_number",
        "completed",
        "max",
        "local",
    )
    assert run["database_path"] == str(searched.folder / "results" / "programs.sqlite")
    assert run["total_generations"] == searched.runner.completed_generations
    assert config["evo_config"]["num_generations"] == evo.num_generations
    assert config["db_config"]["num_islands"] == searched.runner.db_config.num_islands
    assert config["job_config"]["time"] == "00:00:20"
    assert "sk-secret" not in json.dumps(searched.ask("SELECT * FROM otel_traces"), default=str)


def test_a_generation_is_a_slot(searched: Searched) -> None:
    """Each slot that shinka filled or gave up is a generation, with the score of its program and no other."""
    generations = {row["generation"]: row for row in searched.ask("SELECT * FROM generations FINAL")}
    programs = [row for row in searched.programs().values() if not row["metadata"].get("_is_island_copy")]
    assert sorted(generations) == sorted({row["generation"] for row in programs} | set(searched.failures()))
    for row in programs:
        best = generations[row["generation"]]["best_score"]
        assert best == (row["combined_score"] if row["correct"] else None)


def test_the_front_is_that_of_all_correct_programs(searched: Searched) -> None:
    """With objectives, the last front is what no correct program dominates; without, there is none."""
    fronts = searched.ask("SELECT generation, individual_id FROM pareto_fronts")
    if searched.runner.evo_config.evolve_prompts:
        assert fronts == []
        return
    scores: dict[str, tuple[float, float]] = {
        name: (row["public_metrics"]["value"], row["public_metrics"]["smallness"])
        for name, row in searched.programs().items()
        if row["correct"] and not row["metadata"].get("_is_island_copy")
    }
    expected = {
        name
        for name, (a, b) in scores.items()
        if not any(x >= a and y >= b and (x, y) != (a, b) for x, y in scores.values())
    }
    last = max(row["generation"] for row in fronts)
    found = {row["individual_id"] for row in fronts if row["generation"] == last}
    assert found == expected


def test_every_span_has_its_parent(searched: Searched) -> None:
    """Every parent that a span names is stored, in the same trace; a trace is a generation or the run."""
    orphans = searched.ask(
        "SELECT SpanName FROM otel_traces WHERE ParentSpanId != ''"
        " AND (TraceId, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM otel_traces)"
    )
    assert orphans == []
    ((count),) = searched.ask("SELECT uniqExact(TraceId) AS n FROM otel_traces")
    assert count["n"] == 1 + len(searched.ask("SELECT generation FROM generations FINAL"))
