"""ShinkaEvolve searches that are interrupted, resumed, stopped early or recorded with errors: shinka behaves as without
us, and the record is true."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import load_settings
from genesis_otel.instrumentation import shinka
from genesis_otel.instrumentation._shinka.search import Search
from tests.support.environment import without_settings
from tests.support.shinka_endpoint import EVALUATE, INITIAL, Endpoint, Request, serving
from tests.support.shinka_recorded import Searched, search
from tests.support.shinka_search import runner, stored

New = Callable[[], Client]

PATIENCE = 500.0
"""Seconds for a search in a process of its own: one takes 10 s on an idle machine, and this only ends what hangs."""
pytestmark = pytest.mark.timeout(2 * PATIENCE)

# --- in separate processes --------------------------------------------------------------------------------------------


def drive(folder: Path, endpoint: Endpoint, generations: int, *, after: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one; with ``after``, it is interrupted after this many proposals were requested."""
    kept = without_settings()
    asked = threading.Event()

    def count(request: Request) -> None:
        if request.kind == "proposal" and sum(each.kind == "proposal" for each in endpoint.requests) >= after:
            asked.set()

    endpoint.on_request = count
    with serving(endpoint):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.shinka_driver", str(folder), endpoint.url, str(generations)],
            env={**kept, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if after:
            assert asked.wait(PATIENCE)
            process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess([], process.returncode, said, errors)


def reading(folder: Path) -> contextlib.closing[Client]:
    """A reader of the search's store."""
    return contextlib.closing(open_client(load_settings(data_dir=folder / "data"), start=True))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A search of eight generations, interrupted at its fourth proposal and then started again in the same folder."""
    folder = tmp_path_factory.mktemp("interrupted")
    first, second = Endpoint(), Endpoint()
    told: dict[str, Any] = {"folder": folder, "endpoints": (first, second)}
    told["first"] = drive(folder, first, 8, after=4)
    with reading(folder) as client:
        told["runs"] = [list(client.query("SELECT run_id, status, error FROM evolution_runs").named_results())]
    told["second"] = drive(folder, second, 8)
    # Another store process, perhaps: one ends when nobody has needed it for a while.
    with reading(folder) as client:
        told["runs"].append(
            list(client.query("SELECT run_id, status, total_generations FROM evolution_runs").named_results())
        )
        yield {**told, "client": client}
    address = store_process.running(folder / "data" / "store")
    if address is not None:
        os.kill(address.pid, signal.SIGTERM)


def test_an_interrupted_run_has_failed_and_can_be_resumed(interrupted: dict[str, Any]) -> None:
    """After Ctrl-C the run has failed, with the reason; resumed, it is still one run, which is completed, with shinka's
    generations."""
    assert interrupted["first"].returncode != 0 and interrupted["second"].returncode == 0, interrupted["second"].stderr
    ((before,), (after,)) = interrupted["runs"]
    assert before["status"] == "failed" and "interrupted" in before["error"]
    assert after["run_id"] == before["run_id"] and after["status"] == "completed"
    programs = [row for row in stored(interrupted["folder"]) if not row["metadata"].get("_is_island_copy")]
    assert after["total_generations"] == len(programs)


def test_both_parts_of_a_resumed_search_are_complete(interrupted: dict[str, Any]) -> None:
    """All programs of shinka's database are individuals of the run, with their parents and gains; the other individuals
    were cancelled or failed."""
    client, folder = interrupted["client"], interrupted["folder"]
    found = {row["individual_id"]: row for row in client.query("SELECT * FROM individuals FINAL").named_results()}
    edges = {row["child_id"]: row for row in client.query("SELECT * FROM code_lineages FINAL").named_results()}
    programs = {row["id"]: row for row in stored(folder)}
    assert set(programs) <= set(found)
    for name, row in programs.items():
        assert found[name]["combined_score"] == row["combined_score"]
        if row["parent_id"]:
            assert found[name]["parent_id"] == row["parent_id"]
            gain = row["combined_score"] - programs[row["parent_id"]]["combined_score"]
            assert edges[name]["fitness_delta"] == gain
    others = [row for name, row in found.items() if name not in programs]
    failures = {row["generation"] for row in stored(folder, "attempt_log")}
    assert all(row["status"] == "error" for row in others)
    assert {row["generation"] for row in others} >= failures


def test_calls_of_both_parts_are_the_endpoints(interrupted: dict[str, Any]) -> None:
    """Each answer of the endpoint is a call of the run; one that was no longer awaited has failed."""
    calls = list(
        interrupted["client"].query("SELECT * FROM llm_logs FINAL WHERE model != 'judge-model'").named_results()
    )
    asked = [request for endpoint in interrupted["endpoints"] for request in endpoint.requests]
    assert len(calls) == len(asked)
    assert all(row["run_id"] and row["individual_id"] for row in calls)


def test_evaluations_record_into_their_individual(interrupted: dict[str, Any]) -> None:
    """What an evaluation records in its own process is a child of its job's span, and names the individual and its
    generation."""
    rows = list(
        interrupted["client"]
        .query(
            "SELECT l.individual_id AS individual_id, l.generation AS generation, i.generation AS of_individual, p.SpanName AS parent"
            " FROM llm_logs AS l JOIN individuals AS i ON i.individual_id = l.individual_id"
            " JOIN otel_traces AS s ON s.SpanId = l.span_id JOIN otel_traces AS p ON p.SpanId = s.ParentSpanId"
            " WHERE l.model = 'judge-model'"
        )
        .named_results()
    )
    programs = [row["id"] for row in stored(interrupted["folder"]) if not row["metadata"].get("_is_island_copy")]
    assert {row["individual_id"] for row in rows} >= set(programs)
    assert all(row["generation"] == row["of_individual"] and row["parent"] == "evaluation" for row in rows)


# --- in this process --------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"evo": {"meta_rec_interval": None, "novelty_llm_models": None, "embedding_model": None}}


def scores(searched: Searched) -> list[float]:
    return sorted(row["combined_score"] for row in searched.programs().values())


def test_a_failing_record_does_not_touch_the_search(
    tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If each of our methods raises, shinka stores the same programs; each error is logged once."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    wanted = (
        "begin",
        "sampled",
        "attempted",
        "submitting",
        "loaded",
        "naming",
        "stored",
        "completed",
        "copied",
        "act",
        "end",
    )
    for name in wanted:
        inner = getattr(Search, name).__wrapped__
        broken.__name__ = inner.__name__
        from genesis_otel.instrumentation._hooks import quietly

        monkeypatch.setattr(Search, name, quietly(broken))
    with caplog.at_level(logging.WARNING, "genesis_otel"):
        searched = search(tmp_path, new_store, Endpoint(), generations=4, **SMALL)
    assert scores(searched)[0] == 1.0 and len(searched.programs()) == 5
    assert searched.runner.completed_generations == 4
    said = [record.getMessage() for record in caplog.records if record.name == "genesis_otel"]
    assert said and len(said) == len(set(said))


def test_a_job_that_takes_too_long_has_failed(tmp_path: Path, new_store: New) -> None:
    """A job that shinka kills at its time limit has failed, and says that it was the limit, not what it printed last; its program has no
    score."""
    slow = EVALUATE.replace(
        "value = runpy", "import time\ntime.sleep(60 if 'gen_1' in told.results_dir else 0)\nvalue = runpy"
    )
    searched = search(tmp_path, new_store, Endpoint(), generations=2, evaluate=slow, job={"time": "00:00:02"}, **SMALL)
    (row,) = (row for row in searched.individuals().values() if row["generation"] == 1)
    assert (row["status"], row["combined_score"]) == ("error", None)
    why = "the evaluator left no score, and shinka's time limit of 00:00:02 had passed"
    assert row["error"] == f"evaluation failed: {why}; the last line that it printed: a word of warning"
    (job,) = searched.ask("SELECT * FROM agent_actions WHERE action_type = 'job_failed'")
    assert job["individual_id"] == row["individual_id"]


def test_copies_of_a_program_without_a_score_have_none(tmp_path: Path, new_store: New) -> None:
    """A seed that raises is copied to each island, with the 0 that shinka stores: the copies have failed for the same reason."""
    failing = INITIAL.replace("1.0", "1 / 0")
    searched = search(tmp_path, new_store, Endpoint(), generations=2, islands=3, initial=failing, **SMALL)
    seeds = [row for row in searched.individuals().values() if row["generation"] == 0]
    assert sorted(row["mutation_type"] for row in seeds) == ["copy", "copy", "init"]
    assert {(row["status"], row["combined_score"], row["error"]) for row in seeds} == {
        ("error", None, "evaluation failed: ZeroDivisionError: division by zero")
    }


def test_programs_of_a_search_that_was_not_recorded_are_restored(
    tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that continues in the results folder of such a search has its programs, too: parents are known, the best is shinka's, and
    the cost of all is shinka's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Endpoint()) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        runner(tmp_path, generations=3, **SMALL).run()
    before = {row["id"]: row for row in stored(tmp_path)}
    searched = search(tmp_path, new_store, Endpoint(), generations=5, **SMALL)
    programs, individuals = searched.programs(), searched.individuals()
    assert before.keys() < programs.keys() and programs.keys() <= individuals.keys()
    for name, row in before.items():
        found = individuals[name]
        copied = row["metadata"].get("_original_program_id")
        assert (found["generation"], found["mutation_type"]) == (0, "copy" if copied else "restored")
        assert found["parent_id"] == (copied or row["parent_id"] or "")
        assert (found["combined_score"], found["code"]) == (row["combined_score"], row["code"])
    assert {row["parent_id"] for row in individuals.values()} - {""} <= individuals.keys()
    best = max(individuals.values(), key=lambda row: row["combined_score"] or 0)
    assert best["combined_score"] == max(row["combined_score"] for row in programs.values())
    own = [row["metadata"] for row in programs.values() if "_original_program_id" not in row["metadata"]]
    cost = sum((told["api_costs"] or 0) + (told["embed_cost"] or 0) + (told["novelty_cost"] or 0) for told in own)
    failed = [row for name, row in individuals.items() if name not in programs]
    rest = sum(row["api_cost"] + row["embed_cost"] + row["novelty_cost"] for row in failed)
    told = sum(row["api_cost"] + row["embed_cost"] + row["novelty_cost"] for row in individuals.values())
    assert told == pytest.approx(cost + rest)


def test_a_budget_ends_a_run(tmp_path: Path, new_store: New) -> None:
    """A search that has spent its budget is completed; it says why it stopped, and what its budget was."""
    told = {"max_api_costs": 0.001, **SMALL["evo"]}
    searched = search(tmp_path, new_store, Endpoint(), generations=30, evo=told)
    (run,) = searched.ask("SELECT status, budget, total_generations FROM evolution_runs")
    assert (run["status"], run["budget"]) == ("completed", 0.001)
    assert run["total_generations"] == searched.runner.completed_generations < 30
    (stop,) = searched.ask("SELECT details FROM agent_actions WHERE action_type = 'search_stopped'")
    assert json.loads(stop["details"])["reason"] == "cost_limit"


def test_over_budget_it_stops(tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """If that is enabled, by our count: proposals in progress are awaited, the run is stopped and says why, each of
    shinka's programs is recorded, and its configuration is unchanged."""
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "0.001")
    searched = search(tmp_path, new_store, Endpoint(), generations=30, told={"stop_over_budget": True}, **SMALL)
    (run,) = searched.ask("SELECT status, error, total_generations FROM evolution_runs")
    assert run["status"] == "stopped" and run["error"].startswith("over budget: it has cost $0.00")
    assert run["total_generations"] == searched.runner.completed_generations < 30
    (stop,) = searched.ask("SELECT details FROM agent_actions WHERE action_type = 'search_stopped'")
    assert json.loads(stop["details"]) == {
        "generation": json.loads(stop["details"])["generation"],
        "reason": "over_budget",
        "abandoned": [],
    }
    assert searched.programs().keys() <= searched.individuals().keys()
    assert searched.runner.evo_config.max_api_costs is None


def test_a_seed_that_a_model_writes(tmp_path: Path, new_store: New) -> None:
    """Without an initial program a model writes it: that call belongs to the seed, with its cost."""
    told = {"init_program_path": None, **SMALL["evo"]}
    searched = search(tmp_path, new_store, Endpoint(), generations=1, islands=1, evo=told)
    ((name, row),) = searched.individuals().items()
    assert (row["generation"], row["mutation_type"], row["combined_score"]) == (0, "init", 2.0)
    (call,) = searched.ask("SELECT individual_id, cost FROM llm_logs")
    assert call["individual_id"] == name and row["api_cost"] == call["cost"] > 0


def test_a_run_that_raises_has_failed(tmp_path: Path, new_store: New) -> None:
    """Shinka's exception reaches the caller, and the run has failed with it."""
    empty = tmp_path / "empty.py"
    empty.touch()
    told = {"init_program_path": str(empty), **SMALL["evo"]}
    searched = search(tmp_path, new_store, Endpoint(), evo=told, raises=RuntimeError)
    (run,) = searched.ask("SELECT status, error FROM evolution_runs")
    assert run == {"status": "failed", "error": f"RuntimeError: {searched.error}"}


SBATCH = """\
#!{python}
import re, subprocess, sys
script = open(sys.argv[1]).read()
out, err = (re.search(rf"--{{name}}=(.+)", script)[1] for name in ("output", "error"))
subprocess.run(["bash", sys.argv[1]], stdout=open(out, "w"), stderr=open(err, "w"))
print("Submitted batch job 7")
"""
"""Runs a batch script at once, in the environment in which it was submitted."""


def test_a_slurm_job_has_the_context_of_its_evaluation(
    tmp_path: Path, new_store: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shinka's Slurm jobs, with a stand-in for Slurm's two commands, have the context of their evaluation in their
    environment; afterwards this process's environment is restored."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (("sbatch", SBATCH.format(python=sys.executable)), ("squeue", "#!/bin/sh\n")):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]))
    before = dict(os.environ)
    evaluate = EVALUATE + "import os\nprint('within', os.environ.get('TRACEPARENT', ''))\n"
    told = {"job_type": "slurm_conda", **SMALL["evo"]}
    searched = search(
        tmp_path, new_store, Endpoint(), generations=2, islands=1, evaluate=evaluate, evo=told, job={"partition": "cpu"}
    )
    assert {name: value for name, value in os.environ.items() if before.get(name) != value} == {}
    jobs = searched.ask("SELECT * FROM agent_actions WHERE action_type = 'job_completed'")
    assert len(jobs) == 2 == len(searched.programs())
    for job in jobs:
        assert f"within 00-{job['trace_id']}-{job['span_id']}-" in json.loads(job["output"])["stdout"]
    (run,) = searched.ask("SELECT cluster_type FROM evolution_runs")
    assert run["cluster_type"] == "slurm_conda"


def test_the_command_line_is_recorded_without_a_change(tmp_path: Path) -> None:
    """``shinka_run`` under ``opentelemetry-instrument`` is configured only by the environment."""
    problem = tmp_path / "raise_a_number"
    problem.mkdir()
    (problem / "initial.py").write_text(INITIAL)
    (problem / "evaluate.py").write_text(EVALUATE)
    kept = without_settings()
    beside = Path(sys.executable).parent
    command = [str(beside / "opentelemetry-instrument"), str(beside / "shinka_run"), "--task-dir", str(problem)]
    command += ["--results_dir", str(tmp_path / "results"), "--num_generations", "2", "--no-verbose"]
    settings = {"evo.llm_models": '["gpt-4.1-mini"]', "db.num_islands": "1"}
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    with serving(Endpoint()) as endpoint:
        more = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "sk-secret", "NO_PROXY": "127.0.0.1"}
        # Otherwise both instrumentations of OpenAI's client are started, and each call is recorded twice.
        more["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "openai"
        done = subprocess.run(
            command,
            env={**kept, **more, "GENESIS_OTEL_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr
    try:
        with contextlib.closing(open_client(load_settings(data_dir=tmp_path / "data"), start=True)) as client:
            assert client.query("SELECT task_name, status FROM evolution_runs").result_rows == [
                ("raise_a_number", "completed")
            ]
            found = {row[0] for row in client.query("SELECT individual_id FROM individuals").result_rows}
            assert found == {row["id"] for row in stored(tmp_path)}
            assert client.query("SELECT count() FROM llm_logs").result_rows == [(len(endpoint.requests),)]
    finally:
        if address := store_process.running(tmp_path / "data" / "store"):
            os.kill(address.pid, signal.SIGTERM)


@pytest.mark.parametrize("which", ["genai", "openinference"])
def test_a_client_that_is_already_recorded_is_left_alone(which: str, tmp_path: Path, new_store: New) -> None:
    """Under an instrumentation of OpenAI's client each request is one span, with its individual, its role and its
    cost."""
    instrumentor = instrumentor_of(which)
    instrumentor.instrument()
    try:
        told = {"meta_rec_interval": None}
        searched = search(tmp_path, new_store, Endpoint(novelty=("NOVEL",)), generations=4, evo=told)
    finally:
        instrumentor.uninstrument()
    calls = searched.ask("SELECT * FROM llm_logs FINAL")
    assert len(calls) == len(searched.endpoint.requests)
    assert {row["individual_id"] for row in calls} <= set(searched.individuals()) and "" not in {
        row["individual_id"] for row in calls
    }
    chats = [row for row in calls if row["operation"] == "chat"]
    assert {row["role"] for row in chats} <= {"mutation", "novelty"} and all(row["cost"] > 0 for row in chats)
    assert {row["role"] for row in calls if row["operation"] == "embeddings"} == {"novelty"}
    assert sum(row["input_tokens"] for row in calls) == sum(each.input_tokens for each in searched.endpoint.requests)


def instrumentor_of(which: str) -> Any:
    if which == "genai":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        return OpenAIInstrumentor()
    from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference

    return OpenInference()


def test_every_wrapped_function_exists_and_is_restored(caplog: pytest.LogCaptureFixture) -> None:
    """Everything that is wrapped exists in this version, no warning says otherwise, and `uninstrument` restores it."""
    import shinka.core.async_runner as module

    before = dict(vars(module.ShinkaEvolveRunner))
    with caplog.at_level(logging.WARNING, "genesis_otel"):
        shinka.instrument()
        assert shinka.is_instrumented()
        assert vars(module.ShinkaEvolveRunner)["run_async"] is not before["run_async"]
        shinka.uninstrument()
    assert dict(vars(module.ShinkaEvolveRunner)) == before
    assert not shinka.is_instrumented() and caplog.records == []


def test_a_newer_version_and_a_missing_function_are_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If shinka is newer than the tested versions, or lacks a function, one line says so, and the rest is recorded."""
    import shinka.core.async_runner as module

    from genesis_otel import _log

    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setattr(shinka, "NEWEST_RUN", (0, 0, 6))
    monkeypatch.delattr(module.ShinkaEvolveRunner, "_save_patch_attempt_async")
    with caplog.at_level(logging.WARNING, "genesis_otel"):
        shinka.instrument()
        shinka.uninstrument()
    assert [record.getMessage() for record in caplog.records] == [
        "shinka-evolve 0.0.7 is newer than the newest tested version, 0.0.6",
        "This version of shinka has no _save_patch_attempt_async: what happens there is not recorded",
    ]
