"""OpenEvolve's searches are recorded completely, however they are started, and never disturbed.

Real searches of the real OpenEvolve, in separate processes, call the demo's model on loopback and record into an
embedded store, which is read through its store process.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import load_settings
from genesis_otel.demo import model
from genesis_otel.demo.evolve import PROBLEM
from genesis_otel.instrumentation import openevolve
from genesis_otel.instrumentation._framework_config import as_json
from tests.support.environment import without_settings
from tests.support.waiting import until

DRIVER = Path(__file__).parents[1] / "support" / "openevolve_driver.py"

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder for all searches; its store process ends with the tests."""
    made = tmp_path_factory.mktemp("openevolve")
    yield made
    address = store_process.running(made / "store")
    if address is not None:
        os.kill(address.pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The model's endpoint."""
    with model.serving(pace=0) as served:
        yield served


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    """A reader of the store, which never loads the engine here."""
    with contextlib.closing(open_client(load_settings(data_dir=folder), start=True)) as opened:
        yield opened


def environment(**more: str) -> dict[str, str]:
    """The environment of a search: the current one without settings that would send its spans elsewhere."""
    kept = without_settings()
    return {**kept, "NO_PROXY": "127.0.0.1", **more}


def search(how: str, folder: Path, *, code: int = 0, run_id: str = "") -> str:
    """Run a search; returns the last line that it printed."""
    # A model name of its own for each search: the answer depends on how many the model has given.
    with model.serving(pace=0) as own:
        done = subprocess.run(
            [sys.executable, str(DRIVER), how, str(folder), own, run_id or how],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
    assert done.returncode == code, done.stderr
    return (done.stdout.strip().splitlines() or [""])[-1]


def rows_of(client: Client, run_id: str) -> Rows:
    """The rows of a query about one run; ``{run}`` stands for it."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in client.query(sql.replace("{run}", f"run_id = '{run_id}'")).result_rows]

    return ask


# --- run_evolution(), forked workers, OpenTelemetry's instrumentation of OpenAI's client -----------------------------


@pytest.fixture(scope="module")
def forked(folder: Path, client: Client) -> tuple[str, Rows]:
    """The best program's id, and the run."""
    best = search("forked", folder)
    return best, rows_of(client, "forked")


def test_a_run_has_its_configuration_without_secrets(forked: tuple[str, Rows]) -> None:
    """The run is completed, named after the evaluator's folder, and its configuration is complete except for the
    keys."""
    ((task, status, total, population, cluster, path, config),) = forked[1](
        "SELECT task_name, status, total_generations, population_size, cluster_type, database_path, config"
        " FROM evolution_runs WHERE {run}"
    )
    assert (task, status, total, population, cluster) == ("circle_packing", "completed", 21, 1000, "local")
    assert path.endswith("/forked")
    told = json.loads(config)
    assert told["llm"]["models"][0]["api_key"] == told["llm"]["api_key"] == "[REDACTED]"
    assert told["llm"]["models"][0]["name"] == "gpt-4.1-mini"
    assert told["llm"]["max_tokens"] == 4096
    assert "secret" not in config


def test_an_iteration_is_a_generation_with_one_individual(forked: tuple[str, Rows]) -> None:
    """Generations 0 to 20 are there once each, with their individual's score and cost; copies come in addition."""
    ask = forked[1]
    generations = ask(
        "SELECT generation, num_individuals, best_score, total_cost FROM generations WHERE {run} ORDER BY generation"
    )
    individuals = ask(
        "SELECT generation, 1, fitness_score, api_cost + embed_cost + novelty_cost FROM individuals"
        " WHERE {run} AND mutation_type != 'migration' ORDER BY generation"
    )
    assert [row[0] for row in generations] == list(range(21))
    assert [row[:3] for row in generations] == [row[:3] for row in individuals]
    assert [row[3] for row in generations] == pytest.approx([row[3] for row in individuals])


def test_openevolve_and_the_record_agree_on_the_best_program(forked: tuple[str, Rows]) -> None:
    """The id of OpenEvolve's best program is that of the individual with the best combined score."""
    best, ask = forked
    assert best in [
        row[0]
        for row in ask(
            "SELECT individual_id FROM individuals WHERE {run}"
            " AND combined_score = (SELECT max(combined_score) FROM individuals WHERE {run})"
        )
    ]


def test_every_call_is_recorded_once_with_its_individual_and_its_cost(forked: tuple[str, Rows]) -> None:
    """Each iteration has one call with an answer, in the individual's own trace; its cost is the individual's."""
    ask = forked[1]
    calls = ask(
        "SELECT i.generation, countIf(l.status = 'ok'), sum(l.cost), any(i.api_cost), uniqExact(l.trace_id, i.trace_id),"
        " min(l.input_tokens) > 0, min(length(l.messages)) > 100"
        " FROM individuals AS i LEFT JOIN llm_logs AS l ON l.individual_id = i.individual_id AND l.run_id = i.run_id"
        " WHERE i.{run} AND i.mutation_type = 'diff' AND l.status = 'ok' GROUP BY i.generation ORDER BY i.generation"
    )
    assert [row[:2] for row in calls] == [(number, 1) for number in range(1, 21)]
    assert [row[2] for row in calls] == pytest.approx([row[3] for row in calls])
    assert all(row[3] > 0 and row[4:] == (1, True, True) for row in calls)
    assert ask("SELECT count() FROM llm_logs WHERE {run} AND individual_id = ''") == [(0,)]
    assert ask("SELECT count(), min(error != '') FROM llm_logs WHERE {run} AND status != 'ok'") == [(1, True)]
    ((traces, same),) = ask(
        "SELECT count(), countIf(l.trace_id = i.trace_id) FROM llm_logs AS l JOIN individuals AS i USING (run_id, individual_id)"
        " WHERE {run}"
    )
    assert traces == same == 21


def test_calls_recorded_by_others_have_a_role(forked: tuple[str, Rows]) -> None:
    """The spans of OpenTelemetry's instrumentation have the purpose of the call, like our own."""
    assert forked[1]("SELECT DISTINCT role FROM llm_logs WHERE {run}") == [("mutation",)]


def test_failures_show_as_failures(forked: tuple[str, Rows]) -> None:
    """Answers without a program are failed proposals; programs that do not run are failed jobs, with the reason."""
    ask = forked[1]
    proposals = ask(
        "SELECT JSONExtractString(details, 'error') FROM agent_actions WHERE {run} AND action_type = 'proposal_failed'"
    )
    # A worker that sees a broken program repairs it instead of making the next mistake, and what two workers see
    # depends on timing.
    found = {row[0] for row in proposals}
    assert "No valid diffs found in response" in found
    assert found <= {
        "No valid diffs found in response",
        "None of the 1 SEARCH block(s) matched the parent program",
    }
    jobs = ask(
        "SELECT JSONExtractString(details, 'error') FROM agent_actions WHERE {run} AND action_type = 'job_failed'"
    )
    reasons = {row[0].partition(":")[0] for row in jobs}
    assert reasons and reasons <= {"SyntaxError", "ZeroDivisionError"}
    ((submitted, done),) = ask(
        "SELECT countIf(action_type = 'job_submitted'), countIf(action_type IN ('job_completed', 'job_failed'))"
        " FROM agent_actions WHERE {run}"
    )
    assert submitted == done == 21 - len(proposals)
    failed = ask(
        "SELECT count() FROM otel_traces WHERE SpanAttributes['genesis.run.id'] = 'forked'"
        " AND SpanName = 'individual' AND StatusCode = 'Error'"
    )
    assert failed == [(len(proposals) + len(jobs),)]


def test_the_front_is_that_of_all_programs_so_far(forked: tuple[str, Rows]) -> None:
    """A generation's front is what no individual until then dominates, and is_pareto has the value at that time."""
    ask = forked[1]
    children = ask(
        "SELECT individual_id, generation, metrics, is_pareto FROM individuals AS i"
        " JOIN otel_traces AS t ON t.TraceId = i.trace_id AND t.SpanId = i.span_id WHERE {run} AND mutation_type != 'migration'"
        " ORDER BY toUnixTimestamp64Nano(t.Timestamp) + t.Duration"
    )
    fronts: dict[int, set[str]] = {}
    for generation, individual_id in ask("SELECT generation, individual_id FROM pareto_fronts WHERE {run}"):
        fronts.setdefault(generation, set()).add(individual_id)
    scored: list[tuple[str, float, float]] = []
    for individual_id, generation, told, is_pareto in children:
        metrics = json.loads(told)
        if "accuracy" in metrics:
            scored.append((individual_id, metrics["accuracy"], metrics["size"]))
        expected = {
            a
            for a, accuracy, size in scored
            if not any(x >= accuracy and y <= size and (x, y) != (accuracy, size) for _, x, y in scored)
        }
        assert fronts[generation] == expected
        assert is_pareto == (individual_id in expected)


def test_lineages_lead_back_to_the_seed(forked: tuple[str, Rows]) -> None:
    """Every individual's ancestors are recorded, also of copies on other islands, and the gains add up."""
    ask = forked[1]
    edges = {
        child: (parent, delta, fitness)
        for child, parent, delta, fitness in ask(
            "SELECT l.child_id, l.parent_id, l.fitness_delta, i.fitness_score FROM code_lineages AS l"
            " JOIN individuals AS i ON i.run_id = l.run_id AND i.individual_id = l.child_id WHERE l.{run}"
        )
    }
    ((seed,),) = ask("SELECT individual_id FROM individuals WHERE {run} AND mutation_type = 'init'")
    for child in edges:
        ancestor, steps = child, 0
        while ancestor != seed:
            ancestor, steps = edges[ancestor][0], steps + 1
            assert steps < len(edges)
    assert edges[seed][0] == ""
    scored = ask("SELECT individual_id FROM individuals WHERE {run} AND metrics LIKE '%accuracy%' AND parent_id != ''")
    for (child,) in scored:
        parent, delta, fitness = edges[child]
        # The gain of a failure's child is unknown.
        of_parent = edges[parent][2]
        assert delta == (None if of_parent is None else pytest.approx(fitness - of_parent))
    types: dict[str, int] = dict(
        ask("SELECT mutation_type, count() FROM individuals WHERE {run} GROUP BY mutation_type")
    )
    assert types["init"] == 1 and types["diff"] == 20 and types["migration"] >= 1
    assert ask("SELECT count() > 0 FROM code_lineages WHERE {run} AND edit_summary LIKE 'Change 1: %'") == [(True,)]


def test_individuals_know_their_island(forked: tuple[str, Rows]) -> None:
    """Each lives on one of the two, a copy on another island than the copied program, a failed one where it was
    tried."""
    ask = forked[1]
    assert ask("SELECT DISTINCT island FROM individuals WHERE {run} ORDER BY island") == [("0",), ("1",)]
    copies = ask(
        "SELECT copy.island, first.island FROM individuals AS copy JOIN individuals AS first"
        " ON first.run_id = copy.run_id AND first.individual_id = copy.parent_id WHERE copy.{run} AND copy.mutation_type = 'migration'"
    )
    assert copies and all(here != there for here, there in copies)


def test_code_and_its_duplicates_are_known(forked: tuple[str, Rows]) -> None:
    """An individual's code is what was evaluated, and identical programs share their hash."""
    ask = forked[1]
    assert ask("SELECT code, code_size FROM individuals WHERE {run} AND generation = 0 AND mutation_type = 'init'") == [
        ((PROBLEM / "initial_program.py").read_text(), (PROBLEM / "initial_program.py").stat().st_size)
    ]
    assert ask(
        "SELECT max(c) > 1 FROM (SELECT count() AS c FROM individuals WHERE {run} AND code_hash != '' GROUP BY code_hash)"
    )[0][0]


def test_other_events_are_actions(forked: tuple[str, Rows]) -> None:
    """Changes of the archive and the best program, migrations and checkpoints are recorded as they happen."""
    found: dict[str, int] = dict(
        forked[1]("SELECT action_type, count() FROM agent_actions WHERE {run} GROUP BY action_type")
    )
    assert found["checkpoint_saved"] >= 2 and found["migration"] >= 1 and found["best_updated"] >= 2
    assert found["archive_updated"] >= 6


def test_every_span_has_its_parent(forked: tuple[str, Rows]) -> None:
    """Every parent that a span names is stored, in the same trace; a trace is a generation or the run."""
    ask = forked[1]
    assert ask(
        "SELECT count() FROM otel_traces AS t WHERE SpanAttributes['genesis.run.id'] = 'forked' AND ParentSpanId != ''"
        " AND (TraceId, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM otel_traces)"
    ) == [(0,)]
    assert ask("SELECT uniqExact(TraceId) FROM otel_traces WHERE SpanAttributes['genesis.run.id'] = 'forked'") == [
        (22,)
    ]


def test_span_ids_do_not_depend_on_the_seed(forked: tuple[str, Rows], client: Client, folder: Path) -> None:
    """OpenEvolve seeds Python's random numbers, and so do programs, in every process: all the same, no two spans share
    an id."""
    search("failing", folder, code=1, run_id="seeded_alike")
    ((spans, ids),) = client.query("SELECT count(), uniqExact(SpanId) FROM otel_traces").result_rows
    assert spans > 150
    assert ids == spans


# --- OpenEvolve() called directly, spawned workers, our own spans, novelty --------------------------------------------


@pytest.fixture(scope="module")
def spawned(folder: Path, client: Client) -> tuple[str, Rows]:
    """The best program's id, and the run."""
    best = search("spawned", folder)
    return best, rows_of(client, "spawned")


def test_spawned_workers_record_as_forked_ones_do(spawned: tuple[str, Rows]) -> None:
    """A spawned worker configures itself: calls, evaluations and costs are recorded, including cached tokens."""
    best, ask = spawned
    assert ask("SELECT task_name, status, total_generations FROM evolution_runs WHERE {run}") == [
        ("by_hand", "completed", 9)
    ]
    assert ask("SELECT count() FROM individuals WHERE {run} AND mutation_type = 'full'") == [(8,)]
    assert ask(f"SELECT count() FROM individuals WHERE {{run}} AND individual_id = '{best}'") == [(1,)]
    calls = ask(
        "SELECT countIf(status = 'ok'), uniqExact(individual_id), min(role), sum(cached_tokens) > 0, min(finish_reason), max(cost_source)"
        " FROM llm_logs WHERE {run} AND role = 'mutation' AND status = 'ok'"
    )
    assert calls == [(8, 8, "mutation", True, "stop", "genai-prices")]
    assert ask("SELECT count() FROM agent_actions WHERE {run} AND action_type = 'job_submitted'")[0][0] >= 7


def test_spawned_workers_are_configured_like_the_search(spawned: tuple[str, Rows]) -> None:
    """The arguments of `configure`, such as the resource's attributes, are on the spans of workers too."""
    found = spawned[1](
        "SELECT DISTINCT ResourceAttributes['team'] FROM otel_traces"
        " WHERE SpanAttributes['genesis.run.id'] IN (SELECT run_id FROM evolution_runs WHERE {run}) AND SpanKind ILIKE '%client'"
    )
    assert found == [("packing",)]


def test_novelty_and_embeddings_have_costs_of_their_own(spawned: tuple[str, Rows]) -> None:
    """What the main process spends on an individual after its evaluation is added to the individual's costs, by
    kind."""
    ask = spawned[1]
    spent = ask("SELECT sum(api_cost), sum(embed_cost), sum(novelty_cost) FROM individuals WHERE {run}")
    logged = ask(
        "SELECT sumIf(cost, role = 'mutation' AND operation = 'chat'), sumIf(cost, operation = 'embeddings'),"
        " sumIf(cost, role = 'novelty' AND operation = 'chat') FROM llm_logs WHERE {run}"
    )
    assert min(spent[0]) > 0
    assert spent[0] == pytest.approx(logged[0])


def test_calls_about_copies_belong_to_the_copies(spawned: tuple[str, Rows]) -> None:
    """OpenEvolve also checks whether a copy is novel on its island: those calls belong to the copy, and every call has
    its run."""
    ask = spawned[1]
    about = ask(
        "SELECT count() > 0, groupUniqArray(l.role) FROM llm_logs AS l JOIN individuals AS i USING (run_id, individual_id)"
        " WHERE {run} AND i.mutation_type = 'migration'"
    )
    assert about == [(True, ["novelty"])]
    assert ask("SELECT count() FROM llm_logs WHERE run_id = '' OR individual_id = ''") == [(0,)]


# --- the command line ------------------------------------------------------------------------------------------------


def test_a_line_in_the_evaluator_records_the_command_line(folder: Path, url: str, client: Client) -> None:
    """``openevolve-run`` is recorded if the evaluator calls ``instrument()``; an early stop is completed, with the
    reason."""
    problem = folder / "my_problem"
    problem.mkdir()
    evaluator = problem / "evaluator.py"
    evaluator.write_text(
        "import genesis_otel\nfrom genesis_otel.instrumentation import openevolve\n"
        f"genesis_otel.configure(data_dir={str(folder)!r})\nopenevolve.instrument(run_id='by_evaluator')\n"
        + (PROBLEM / "evaluator.py").read_text()
    )
    run_command([str(Path(sys.executable).with_name("openevolve-run"))], problem, evaluator, url)
    ask = rows_of(client, "by_evaluator")
    assert ask("SELECT task_name, status FROM evolution_runs WHERE {run}") == [("my_problem", "completed")]
    ((details,),) = ask("SELECT details FROM agent_actions WHERE {run} AND action_type = 'search_stopped'")
    assert json.loads(details)["reason"] == "early_stopping"
    ((generations, calls),) = ask(
        "SELECT (SELECT count() FROM generations WHERE {run}), (SELECT countIf(status = 'ok') FROM llm_logs WHERE {run})"
    )
    assert 1 < generations < 40 and calls >= generations - 1
    assert ask("SELECT count() FROM individuals WHERE {run} AND mutation_type != 'migration'") == [(generations,)]


def test_our_command_replaces_openevolves(folder: Path, url: str, client: Client) -> None:
    """``python -m genesis_otel.instrumentation.openevolve_run`` takes the same arguments and is configured by the
    environment; ``--run-id`` and ``--task`` are ours."""
    problem = folder / "untouched_problem"
    problem.mkdir()
    run_command(
        [sys.executable, "-m", "genesis_otel.instrumentation.openevolve_run", "--run-id", "mine", "--task=told"],
        problem,
        PROBLEM / "evaluator.py",
        url,
        GENESIS_OTEL_DATA_DIR=str(folder),
    )
    output = problem / "out"
    found = client.query(
        "SELECT status, run_id, task_name FROM evolution_runs WHERE database_path = {path:String}",
        parameters={"path": str(output)},
    ).result_rows
    assert found == [("completed", "mine", "told")]


def run_command(command: list[str], problem: Path, evaluator: Path, url: str, **more: str) -> None:
    """Run OpenEvolve's command line with early stopping."""
    (problem / "config.yaml").write_text(
        "log_level: WARNING\nearly_stopping_patience: 3\nconvergence_threshold: 2.0\n"
        f"llm:\n  api_base: {url}\n  api_key: sk-secret\n  primary_model: gpt-4.1-mini\n  retries: 1\n  retry_delay: 0\n"
        "evaluator:\n  cascade_evaluation: false\n  parallel_evaluations: 2\n  max_retries: 0\n"
    )
    arguments = [str(PROBLEM / "initial_program.py"), str(evaluator), "--config", str(problem / "config.yaml")]
    done = subprocess.run(
        [*command, *arguments, "--output", str(problem / "out"), "--iterations", "40"],
        env=environment(**more),
        cwd=problem,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- abnormal ends ----------------------------------------------------------------------------------------------------


def test_a_terminated_search_is_not_completed(folder: Path, client: Client) -> None:
    """It is shown as running while it runs; after SIGTERM it has failed, with the reason and without incomplete
    iterations."""
    ask = rows_of(client, "interrupted")
    with model.serving(pace=0.3) as slow:
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), "interrupted", str(folder), slow, "interrupted"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        until(
            lambda: ask("SELECT status FROM evolution_runs WHERE {run}") == [("running",)], "the row of a running run"
        )
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=200)
    ((status, total, error),) = ask("SELECT status, total_generations, error FROM evolution_runs WHERE {run}")
    ((reason, abandoned),) = ask(
        "SELECT JSONExtractString(details, 'reason'), JSONExtract(details, 'abandoned', 'Array(Int32)') FROM agent_actions"
        " WHERE {run} AND action_type = 'search_stopped'"
    )
    generations = {row[0] for row in ask("SELECT generation FROM generations WHERE {run}")}
    assert (status, reason) == ("failed", "shutdown")
    assert error == "interrupted: OpenEvolve was told to stop by a signal"
    assert total == len(generations) and abandoned and not generations & set(abandoned)


def test_a_search_that_two_signals_end_was_interrupted(folder: Path, client: Client) -> None:
    """At the second Ctrl-C OpenEvolve exits with 0, which is no reason."""
    search("forced", folder)
    assert rows_of(client, "forced")("SELECT status, error FROM evolution_runs WHERE {run}") == [
        ("failed", "interrupted: OpenEvolve was told to stop by a signal")
    ]


def test_a_search_that_loads_a_checkpoint_continues_its_run(folder: Path, client: Client) -> None:
    """Resumed from a checkpoint that is not the latest: one run; best and front never fall behind what was recorded,
    all generations count, and the number of planned generations is the latest. A new search in the same folder is a
    separate run."""
    ask = rows_of(client, "parts")
    search("beginning", folder, run_id="parts")
    ((before,),) = ask("SELECT max(fitness_score) FROM individuals WHERE {run} AND status = 'ok'")
    search("resuming", folder)
    search("afresh", folder)
    ((total, asked, status),) = ask(
        "SELECT total_generations, JSONExtractInt(config, 'max_iterations'), status FROM evolution_runs WHERE {run}"
    )
    assert (total, asked, status) == (13, 12, "completed")
    assert ask("SELECT DISTINCT generation FROM generations WHERE {run} ORDER BY 1") == [(n,) for n in range(13)]
    best = ask(
        "SELECT JSONExtract(metadata, 'best_so_far', 'Nullable(Float64)') FROM generations WHERE {run}"
        " AND generation > 0 ORDER BY timestamp"
    )
    scores = [score for (score,) in best if score is not None]
    assert scores == sorted(scores) and scores[-1] >= before
    ((at_end, ever),) = ask(
        "SELECT maxIf(fitness_score, generation = 12), max(fitness_score) FROM pareto_fronts WHERE {run} AND generation IN (10, 12)"
    )
    assert at_end == ever
    ((runs, fresh),) = ask(
        "SELECT countIf({run}), countIf(task_name = 'afresh' AND total_generations = 3) FROM evolution_runs"
    )
    assert (runs, fresh) == (1, 1)


def test_a_database_that_has_programs_already_continues_their_run(folder: Path, client: Client) -> None:
    """`db_path` names a checkpoint, which no method loads: its run goes on, at the iteration that OpenEvolve repeats."""
    if not (folder / "parts").exists():
        search("beginning", folder, run_id="parts")
    ask = rows_of(client, "parts")
    ((runs,),) = ask("SELECT count() FROM evolution_runs")
    ((individuals,),) = ask("SELECT count() FROM individuals WHERE {run} AND mutation_type != 'migration'")
    search("reopening", folder)
    assert ask("SELECT count() FROM evolution_runs") == [(runs,)]
    ((now,),) = ask("SELECT count() FROM individuals WHERE {run} AND mutation_type != 'migration'")
    assert now == individuals + 3
    assert ask("SELECT JSONExtractInt(config, 'max_iterations') FROM evolution_runs WHERE {run}") == [(12,)]


def test_scores_below_0_and_empty_metrics_and_a_controller_that_runs_again(folder: Path, client: Client) -> None:
    """OpenEvolve scores an evaluation without metrics as 0, but prefers any other to it: it has failed and is not the best of a search
    below 0. A seed that reaches the target ends no search. Both calls of `run()` are one run, in which each parent is known."""
    told = json.loads(search("below", folder))
    ask = rows_of(client, "below")
    failed = "SELECT error, combined_score, count() > 0 FROM individuals WHERE {run} AND metrics = '{}' AND code != ''"
    assert ask(f"{failed} AND mutation_type != 'migration' GROUP BY ALL") == [
        ("evaluation failed: no metrics", None, 1)
    ]
    # Of what failed in the first part, a copy that is made in the second knows only that.
    reasons = {"evaluation failed: no metrics", "evaluation failed: before the search was continued"}
    assert {error for error, _, _ in ask(f"{failed} GROUP BY ALL")} <= reasons
    ((best, children, last),) = ask(
        "SELECT argMax(individual_id, fitness_score), countIf(generation > 0), max(generation) FROM individuals"
        " WHERE {run} AND mutation_type != 'migration'"
    )
    # OpenEvolve repeats the last iteration of its first part that had a program.
    assert (best, children) == (told["best"], 12 + 5) and told["last"] <= last < 12 + 5
    assert ask("SELECT count() FROM agent_actions WHERE {run} AND action_type = 'search_stopped'") == [(0,)]
    assert ask(
        "SELECT status, total_generations, JSONExtractInt(config, 'max_iterations') FROM evolution_runs WHERE {run}"
    ) == [("completed", max(last, 12) + 1, last)]
    own = "(SELECT individual_id FROM individuals WHERE {run})"
    assert ask(f"SELECT child_id FROM code_lineages WHERE {{run}} AND parent_id != '' AND parent_id NOT IN {own}") == []


@pytest.mark.parametrize("workers", ["forked", "spawned"])
def test_what_an_evaluator_records_belongs_to_its_individual(workers: str, folder: Path, client: Client) -> None:
    """OpenEvolve calls an evaluator in a thread without a context: its model calls, by whatever client, are the individual's, as judges,
    and in its cost. We are not in the traceback that OpenEvolve shows the model."""
    run_id = f"judging_{workers}"
    search("judging", folder, run_id=run_id)
    ask = rows_of(client, run_id)
    ((jobs,),) = ask("SELECT count() FROM agent_actions WHERE {run} AND action_type IN ('job_completed', 'job_failed')")
    calls = ask(
        "SELECT model, count(), uniqExact(individual_id), countIf(individual_id = '' OR generation IS NULL OR role != 'judge')"
        " FROM llm_logs WHERE {run} AND model IN ('gpt-4o-mini', 'own-judge') GROUP BY model ORDER BY model"
    )
    assert jobs > 2 and calls == [("gpt-4o-mini", jobs, jobs, 0), ("own-judge", jobs, jobs, 0)]
    assert ask("SELECT uniqExact(generation) FROM agent_actions WHERE {run} AND action_type = 'checked'") == [(jobs,)]
    assert client.query("SELECT count() FROM llm_logs WHERE run_id = ''").result_rows == [(0,)]
    differing = ask(
        "SELECT individual_id, any(api_cost + novelty_cost) AS own, sum(cost) AS of_calls FROM individuals"
        " JOIN llm_logs USING (run_id, individual_id) WHERE {run} AND mutation_type != 'migration'"
        " GROUP BY individual_id HAVING abs(own - of_calls) > 1e-9"
    )
    assert differing == []
    outputs = ask("SELECT output FROM agent_actions WHERE {run} AND action_type = 'job_failed'")
    assert any("the second one" in output and "Traceback" in output for (output,) in outputs)
    assert not any("genesis_otel/instrumentation" in output for (output,) in outputs)


def test_a_program_that_openevolve_does_not_admit_says_so(folder: Path, client: Client) -> None:
    """It has been evaluated, and has its score, but OpenEvolve does not keep it: that is in its metadata."""
    rejected = json.loads(search("rejecting", folder))
    found = rows_of(client, "rejecting")(
        "SELECT individual_id FROM individuals WHERE {run} AND metadata = '{\"admitted\": false}' AND code != ''"
    )
    assert rejected and sorted(name for (name,) in found) == sorted(rejected)


def test_programs_of_a_search_that_was_not_recorded_are_restored(folder: Path, client: Client) -> None:
    """Resumed from such a checkpoint, a run has its programs, too: parents are known, and the best is OpenEvolve's."""
    told = json.loads(search("restoring", folder))
    ask = rows_of(client, "restoring")
    programs = {each["id"]: each for each in told["programs"]}
    found = ask(
        "SELECT individual_id, parent_id, combined_score, code, island, status = 'ok' FROM individuals"
        " WHERE {run} AND generation = 0 AND mutation_type = 'restored'"
    )
    assert {row[0] for row in found} == programs.keys()
    for name, parent, score, code, island, is_ok in found:
        own = programs[name]
        assert parent == (own["parent_id"] if own["parent_id"] in programs else "")
        assert (score, is_ok) == (own["metrics"].get("combined_score"), "error" not in own["metrics"])
        assert (code, island) == (own["code"], str(own["metadata"]["island"]))
    scores: dict[str, float] = dict(
        ask("SELECT individual_id, fitness_score FROM individuals WHERE {run} AND status = 'ok'")
    )
    metrics = {
        name: json.loads(told) for name, told in ask("SELECT individual_id, metrics FROM individuals WHERE {run}")
    }
    assert metrics[told["best"]]["combined_score"] == max(metrics[name].get("combined_score", 0.0) for name in scores)
    known = "(SELECT individual_id FROM individuals WHERE {run})"
    assert (
        ask(f"SELECT child_id FROM code_lineages WHERE {{run}} AND parent_id != '' AND parent_id NOT IN {known}") == []
    )
    ((size, total),) = ask("SELECT num_individuals, pareto_size > 0 FROM generations WHERE {run} AND generation = 0")
    assert (size, total) == (len(programs), 1)
    search("restoring_again", folder)
    again = "SELECT individual_id, count() FROM individuals WHERE {run} AND generation = 0 GROUP BY 1"
    assert dict(ask(again)) == dict.fromkeys(programs, 1)


def test_over_budget_it_stops_and_can_be_resumed(folder: Path, client: Client) -> None:
    """If stopping is enabled, a search of 500 iterations ends soon after its budget is spent: the best program is
    returned and is the best recorded one, the run is stopped and says why, and the abandoned iterations are named. A
    checkpoint was saved, from which the same run can continue."""
    ask = rows_of(client, "stopping")
    told = json.loads(search("stopping", folder))
    ((status, total, error, budget),) = ask(
        "SELECT status, total_generations, error, budget FROM evolution_runs WHERE {run}"
    )
    assert (status, budget) == ("stopped", 0.004)
    assert re.fullmatch(r"over budget: it has cost \$0\.00\d\d, more than its budget of \$0\.0040", error)
    ((reason, abandoned),) = ask(
        "SELECT JSONExtractString(details, 'reason'), JSONExtract(details, 'abandoned', 'Array(Int32)') FROM agent_actions"
        " WHERE {run} AND action_type = 'search_stopped'"
    )
    generations = {row[0] for row in ask("SELECT generation FROM generations WHERE {run}")}
    assert reason == "over_budget" and total == len(generations) and not generations & set(abandoned)
    ((cost, unpriced),) = ask("SELECT sum(cost), sum(unpriced) FROM llm_logs WHERE {run}")
    assert 0.004 < cost < 0.02 and unpriced == 0
    ((best,),) = ask(
        "SELECT argMax(individual_id, fitness_score) FROM individuals WHERE {run} AND status = 'ok' AND mutation_type != 'migration'"
    )
    assert told["best"] in told["programs"]
    scores: dict[str, float] = dict(ask("SELECT individual_id, fitness_score FROM individuals WHERE {run}"))
    assert scores[told["best"]] == scores[best]
    search("continuing", folder)
    ((status, error, more),) = ask("SELECT status, error, total_generations FROM evolution_runs WHERE {run}")
    assert (status, error) == ("completed", "") and more == total + 3


def test_an_exception_ends_the_run_as_failed(folder: Path, client: Client) -> None:
    """The search's exception is raised as without us, and the run records it."""
    search("failing", folder, code=1)
    ask = rows_of(client, "failing")
    row = ("failed", "LookupError: there is no such island")
    assert ask("SELECT status, error FROM evolution_runs WHERE {run}") == [row]
    ((message,),) = ask(
        "SELECT StatusMessage FROM otel_traces WHERE SpanAttributes['genesis.run.id'] = 'failing' AND StatusCode = 'Error'"
        " AND startsWith(SpanName, 'run ')"
    )
    assert message == "LookupError: there is no such island"


def test_an_iteration_whose_worker_dies_has_failed(folder: Path, client: Client) -> None:
    """OpenEvolve goes on without workers; iterations whose worker died have rows that say so."""
    search("dying", folder)
    failed = rows_of(client, "dying")(
        "SELECT JSONExtractString(details, 'error') FROM agent_actions WHERE {run} AND action_type = 'proposal_failed'"
    )
    assert failed and all("process" in row[0] for row in failed)


def test_broken_telemetry_leaves_the_search_alone(folder: Path) -> None:
    """With a processor that raises at every span, the search keeps all of its programs and returns the best."""
    programs, best, returned = search("broken", folder).split()
    assert int(programs) > 15
    # The result of twenty iterations varies, but is never below the seed, which has 0.4886.
    assert float(returned) == float(best) > 0.488


# --- in this process -------------------------------------------------------------------------------------------------


def test_instrumenting_can_be_undone() -> None:
    """`uninstrument` restores what `instrument` replaced, and instrumenting twice is the same as once."""
    from openai.resources.chat.completions import Completions
    from openevolve import OpenEvolve, process_parallel  # type: ignore[import-untyped]
    from openevolve.database import ProgramDatabase  # type: ignore[import-untyped]

    def found() -> list[object]:
        return [
            OpenEvolve.run,
            ProgramDatabase.add,
            process_parallel._run_iteration_worker,
            inspect.getattr_static(Completions, "create"),
        ]

    before = found()
    openevolve.instrument()
    during = found()
    openevolve.instrument(task="again")
    assert openevolve.is_instrumented()
    assert found() == during and not set(map(id, before)) & set(map(id, during))
    openevolve.uninstrument()
    assert found() == before
    assert not openevolve.is_instrumented()


def test_invalid_objectives_are_reported_at_once() -> None:
    """A direction that is neither max nor min is an error for the caller, not for a running search."""
    with pytest.raises(ValueError, match="max"):
        openevolve.instrument(objectives={"accuracy": "up"})
    assert not openevolve.is_instrumented()


def test_no_secret_of_the_configuration_is_kept() -> None:
    """Keys, tokens and passwords are redacted wherever they occur; limits with similar names are kept."""
    told = as_json(
        {
            "models": [{"api_key": "a-secret", "max_tokens": 12}],
            "auth_token": "a-secret",
            "password": "a-secret",
            "api_base": "https://user:a-secret@host/v1",
            "init_client": len,
            "seed": None,
        }
    )
    assert "a-secret" not in json.dumps(told)
    assert told["models"][0]["max_tokens"] == 12
    assert told["api_base"] == "https://user:[REDACTED]@host/v1"


def test_an_untested_version_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """If OpenEvolve is newer than the tested versions, one line says so, and it is recorded all the same."""
    monkeypatch.setattr(openevolve, "NEWEST_RUN", (0, 3, 9))
    monkeypatch.setattr("genesis_otel._log._said", {})
    openevolve.instrument(llm="none")
    try:
        assert openevolve.is_instrumented()
        assert re.search(r"openevolve [0-9.]+ is newer than the newest tested version, 0\.3\.9", caplog.text)
    finally:
        openevolve.uninstrument()
