"""The named queries on the real engine: the right answers for a known search, those of the reference among them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from tests.support.reference_answers import (
    ANSWERS,
    REFERENCE_QUERIES,
    REFUSED,
    UNORDERED,
    calls,
    columns_of_answer,
    comparable,
    edges,
    front,
    generations,
    improvements,
    mean,
    quantile,
    total_cost,
)
from tests.support.searched import (
    BEST,
    FACTS,
    GOING_ON,
    LATER,
    MODELS,
    RUN,
    TASK,
    code,
    island,
    output,
    score,
)

NAMED = {
    "Active runs": "active_runs",
    "Compare configurations": "configurations",
    "Fitness trajectory": "fitness_trajectory",
    "Cost per generation": "generation_costs",
    "Top 10 individuals ever created": "top_individuals",
    "Duplicates (same code hash)": "duplicates",
    "Mutation type effectiveness": "mutation_effectiveness",
    "Pareto frontier members across all generations": "pareto_members",
    "Pareto frontier size over time": "pareto_evolution",
    "Latest Pareto frontier": "pareto_latest",
    "Most successful mutations (biggest improvements)": "best_mutations",
    "Mutation success rate": "mutation_success_rate",
    "Trace lineage of best individual": "lineage",
    "Best score per generation": "fitness_trajectory",
    "Top 10 individuals across all generations": "top_individuals",
    "Total costs by run": "run_costs",
    "LLM costs by model": "llm_costs",
    "Most successful mutations (positive fitness delta)": "mutation_gains",
    "Build phylogenetic tree": "family_tree",
    "Track how Pareto frontier changes over time": "pareto_evolution",
    "Find best individual across all runs for a task": "best_of_task",
    "Evolution progress dashboard": "progress",
    "Cost breakdown by component": "cost_breakdown",
    "Mutation type effectiveness, again": "mutation_effectiveness",
    REFUSED: "breakthroughs",
}
"""Which named query asks what the reference asks; it may give more columns."""

OTHERWISE = {
    # Its named form leaves out the first generation, which is not an improvement.
    "Identify breakthrough generations (large improvement)": "generation_improvements",
    # Its named form calls the metrics x and y, because they are parameters.
    "Compare Pareto fronts across generations": "pareto_objectives",
    # Its named form leaves out the parents of the initial population.
    "Most prolific parents (many children)": "prolific_parents",
    # Its named form leaves unpriced calls out of the mean: nobody knows what an abandoned call cost.
    "LLM cost by model": "llm_costs",
}
EMPTY_HERE = {"running_jobs", "spools", "example_scores", "proposals", "model_selection", "runs_without_beginning"}
"""Of a run that ended there are none; `test_watch` asks about one that goes on. Of spools `test_spool_state` tells, of examples, of the choice
of models and of runs without a beginning `test_page_data`."""
GIVEN: dict[str, Any] = {
    "run_id": RUN,
    "task": TASK,
    "individual_ids": [BEST],
    "run_ids": [RUN],
    "run": RUN,
    "individual": BEST,
}


def given(name: str) -> dict[str, Any]:
    return {each.name: GIVEN[each.name] for each in queries.load(name).parameters if each.name in GIVEN}


def test_every_question_of_the_reference_has_a_name() -> None:
    """Each query of the reference exists as a named query."""
    assert set(NAMED) | set(OTHERWISE) == set(ANSWERS)


@pytest.mark.parametrize("title", NAMED)
def test_a_named_query_answers_as_the_reference_does(title: str, searched: Client) -> None:
    """In the reference's columns, the named query gives the answer computed from the facts."""
    match = re.search(r"WITH RECURSIVE|SELECT\s(.*?)\sFROM", REFERENCE_QUERIES[title], re.DOTALL)
    assert match
    wanted = (
        ["id", "parent_id", "generation", "mutation_type", "edit_summary"]
        if match[1] is None
        else [re.split(r"\s+as\s+|\.", column.strip())[-1] for column in re.split(r",(?![^()]*\))", match[1])]
    )
    rows = queries.ask(searched, NAMED[title], **given(NAMED[title]))
    found = [tuple(row[name] for name in wanted) for row in rows]
    ordered = title not in UNORDERED
    assert comparable(wanted, found, ordered=ordered) == comparable(
        columns_of_answer(wanted), ANSWERS[title](), ordered=ordered
    )


def test_named_queries_that_differ_from_the_reference(searched: Client) -> None:
    """The first generation is not an improvement; metrics are parameters; the initial population has no parent; a mean cost covers only
    calls whose price is known."""
    rows = queries.ask(searched, "generation_improvements", run_id=RUN)
    assert {row["generation"]: pytest.approx(row["improvement"]) for row in rows} == {0: 0.0} | improvements()
    assert [row["improvement"] for row in rows] == sorted((row["improvement"] for row in rows), reverse=True)
    rows = queries.ask(searched, "pareto_objectives", run_id=RUN, x="size", y="accuracy")
    assert sorted((row["individual_id"], row["x"], row["y"]) for row in rows) == sorted(
        (fact.id, fact.size, score(fact)) for g in generations() for fact in front(g)
    )
    rows = queries.ask(searched, "prolific_parents", run_id=RUN, limit=1)
    assert [(row["parent_id"], row["num_children"], row["successful_children"]) for row in rows] == [("two_a", 3, 2)]
    for row in queries.ask(searched, "llm_costs", run_id=RUN):
        known = [paid for paid, _ in calls()[row["model"]] if paid]
        assert (row["calls"], row["unpriced"]) == (len(calls()[row["model"]]), len(calls()[row["model"]]) - len(known))
        assert row["avg_cost_per_call"] == pytest.approx(mean(known))


def test_what_the_commands_ask(searched: Client) -> None:
    """Runs, summary, latencies, slowest calls, failures, actions and rows per table match the facts."""
    going_on, ended = queries.ask(searched, "runs")
    assert [ended[name] for name in ("run_id", "task_name", "status", "generations", "individuals", "best_score")] == [
        *(RUN, TASK, "completed", 5, 13, 0.97)
    ]
    assert ended["cost"] == pytest.approx(sum(map(total_cost, generations())))
    assert (going_on["run_id"], going_on["status"]) == (GOING_ON, "stalled")
    assert 3000 < going_on["silent_seconds"] < 4000
    assert [row["run_id"] for row in queries.ask(searched, "runs", status="completed")] == [RUN]
    assert queries.ask(searched, "runs", task="another") == []
    (whole,) = queries.ask(searched, "run_summary", run_id=RUN)
    told = ("llm_calls", "failed_llm_calls", "failed_individuals", "input_tokens", "output_tokens", "best_score")
    assert [whole[name] for name in told] == [11, 1, 1, 1000, 100, 0.97]
    # Better than all that had finished before, in the order of FACTS.
    assert whole["improvements"] == len(("one_a", "one_b", "two_a", "three_a", "three_best", "four_a"))
    for row in queries.ask(searched, "llm_latency", run_id=RUN):
        times = [each for _, each in calls()[row["model"]]]
        assert [row["p50"], row["p90"], row["p99"], row["longest"]] == pytest.approx(
            [quantile(times, 0.5), quantile(times, 0.9), quantile(times, 0.99), max(times)]
        )
        assert row["first_token_p50"] == pytest.approx(0.25)
    slowest = queries.ask(searched, "slowest_llm_calls", run_id=RUN, limit=3)
    assert [row["individual_id"] for row in slowest] == ["four_a", "three_best", "three_b"]
    failures = queries.ask(searched, "failures", run_id=RUN)
    assert {(row["what"], row["error"], row["individual_id"]) for row in failures} == {
        (f"LLM call {MODELS[0]}", "TimeoutError: no answer", ""),
        ("job_failed", "division by zero", "seed_broken"),
    }
    assert {row["action_type"]: row["count"] for row in queries.ask(searched, "actions", run_id=RUN)} == {
        "job_submitted": len(FACTS),
        "job_completed": len(FACTS) - 1,
        "job_failed": 1,
        "archive_updated": 1,
    }
    assert {row["table"]: row["rows"] for row in queries.ask(searched, "table_rows", run_id=RUN)} == {
        "evolution_runs": 1,
        "generations": 5,
        "individuals": len(FACTS),
        "pareto_fronts": sum(len(front(g)) for g in generations()),
        "code_lineages": len(edges()) + 3,
        "llm_logs": 11,
        "agent_actions": 2 * len(FACTS) + 1,
    }


def test_signs_of_life_are_looked_for_by_their_key(searched: Client) -> None:
    """Of the tables that a sign of life may be in, no more is read than the rows of runs that go on; that is one of the two here."""
    plan = "\n".join(
        str(row[0])
        for row in searched.query(
            f"EXPLAIN indexes = 1 SELECT * FROM ({queries.part('state', '1', '900', '[]')})"
        ).result_rows
    )
    read = {
        found[1]: found[0]
        for found in re.finditer(r"ReadFromMergeTree \(\w+\.(\w+)\).*?(?=ReadFromMergeTree|\Z)", plan, re.DOTALL)
    }
    for table in ("individuals", "generations", "llm_logs", "agent_actions"):
        assert "(run_id in 1-element set)" in read[table], plan


def test_the_runs_of_a_list_are_read_by_their_key(searched: Client) -> None:
    """Of the two runs here, what is listed of the newer one reads its rows alone; how it stands was found out when it was picked, and
    no table is asked for that again."""
    plan = "\n".join(
        str(row[0])
        for row in searched.query(
            f"EXPLAIN indexes = 1 {queries.load('runs').sql}",
            parameters={"task": "", "status": "", "tag": "", "limit": 1, "stalled_after": 900, "alive": []},
        ).result_rows
    )
    read = re.findall(r"ReadFromMergeTree \(\w+\.(\w+)\)(.*?)(?=ReadFromMergeTree|\Z)", plan, re.DOTALL)
    assert Counter(table for table, _ in read) == {
        "individuals": 2,
        "generations": 2,
        "llm_logs": 2,  # once by individual, and once by generation
        "evolution_runs_log": 1,
        "agent_actions": 1,
    }
    assert all("(run_id in 1-element set)" in how for _, how in read), plan


@pytest.mark.parametrize("name", queries.names())
def test_a_named_query_is_documented_and_answers(name: str, searched: Client) -> None:
    """Each has a title, a description, a meaning for every parameter and no parameter that the SQL lacks; it runs and answers."""
    query = queries.load(name)
    assert query.name == name and query.title and query.description
    assert all(parameter.meaning for parameter in query.parameters)
    assert {parameter.name for parameter in query.parameters} == set(queries.placeholders(query.sql))
    assert ";" not in query.sql and "--" not in query.sql
    assert bool(queries.ask(searched, name, **given(name))) is (name not in EMPTY_HERE)


@pytest.mark.parametrize("name", queries.names())
def test_a_named_query_takes_no_value_for_sql(name: str, searched: Client) -> None:
    """Quotes, comments and backslashes in a value remain a value: the query finds nothing, and nothing else happens. (`alive` selects no
    rows.)"""
    hostile = "x' OR 1 = 1 --\\"
    told = {
        each.name: [hostile] if each.type == "Array(String)" else hostile
        for each in queries.load(name).parameters
        if each.type.endswith(("String", "String)")) and each.name != "alive"
    }
    if told and name not in ("matching_runs", "matching_individuals"):
        rows = queries.ask(searched, name, **told)
        assert all(not any(value for value in row.values()) or set(row) == {"table", "rows"} for row in rows)


def test_what_is_missing_or_unknown_is_said() -> None:
    """An unknown name gets similar ones, a missing or unknown parameter the valid ones; hyphens count as underscores."""
    with pytest.raises(queries.UnknownQueryError, match="did you mean llm_latency"):
        queries.load("llm_latenzy")
    with pytest.raises(queries.UnknownQueryError, match="there are actions, actions_in_detail, active_runs"):
        queries.load("zzz")
    query = queries.load("best-of-task")
    assert query.name == "best_of_task"
    with pytest.raises(queries.ParameterError, match="needs task: it takes task, limit"):
        queries.values(query, {})
    with pytest.raises(queries.ParameterError, match="no parameter tusk"):
        queries.values(query, {"tusk": "x"})
    with pytest.raises(queries.ParameterError, match="it takes none"):
        queries.values(queries.load("run_costs"), {"limit": "3"})
    assert queries.values(query, {"task": "t"}) == {"task": "t", "limit": "1"}


def test_latest_is_the_newest_run(searched: Client) -> None:
    """By default, a query is about the run that started last."""
    assert [row["individual_id"] for row in queries.ask(searched, "top_individuals")] == [fact.id for fact in LATER]


def test_islands_are_told_apart(searched: Client) -> None:
    """What each has found, and who came from another island; a run without islands has no row."""
    of = [fact for fact in FACTS if island(fact) == "1"]
    found = queries.ask(searched, "islands", run_id=RUN)
    assert [(row["island"], row["individuals"], row["failed"], row["arrived"]) for row in found] == [
        ("1", len(of), 0, 0),
        ("0", len(FACTS) - len(of), 1, 1),
    ]
    best = max(of, key=score)
    assert (found[0]["best_individual"], found[0]["best_generation"]) == (best.id, best.generation)
    assert found[0]["best_score"] == score(best)
    assert found[0]["avg_score"] == pytest.approx(sum(map(score, of)) / len(of))
    assert queries.ask(searched, "islands", run_id="nobody") == []


def test_cells_are_told_apart_by_island(searched: Client) -> None:
    """How many individuals fell into each cell, and the best of them; a run without a grid has no cells."""
    found = queries.ask(searched, "cells", run_id=RUN)
    assert {(row["island"], json.loads(row["cell"])["size"], row["individuals"], row["failed"]) for row in found} == {
        ("0", 0, 2, 1),
        ("0", 1, 4, 0),
        ("1", 0, 1, 0),
        ("1", 1, 4, 0),
        ("1", 2, 2, 0),
    }
    assert [row["best_individual"] for row in found][:2] == [BEST, "three_a"]
    assert found[0]["best_score"] == 0.97 and found[0]["best_generation"] == 4
    assert queries.ask(searched, "cells", run_id="nobody") == []
    until = searched.query(
        "SELECT toUnixTimestamp64Milli(timestamp) FROM individuals WHERE run_id = {run_id:String} ORDER BY timestamp LIMIT 1 OFFSET 3",
        parameters={"run_id": RUN},
    ).result_rows[0][0]
    then = queries.ask(searched, "cells", run_id=RUN, until=until)
    told = {
        (row["island"], json.loads(row["cell"])["size"], row["individuals"], row["best_individual"]) for row in then
    }
    assert told == {("0", 0, 1, ""), ("0", 1, 2, "one_a"), ("1", 0, 1, "seed_b")}


def test_what_evaluations_put_out_is_one_row_per_text(searched: Client) -> None:
    """By individual, or only for failed ones; the end of each text; numbers unchanged. Only evaluations with output are listed."""
    (row,) = queries.ask(searched, "evaluation_output", run_id=RUN, individual_ids=[BEST])
    assert (row["name"], row["text"], row["failed"], row["job"]) == (
        "stdout",
        output(FACTS[-1]),
        False,
        "job_four_a",
    )
    (row,) = queries.ask(searched, "evaluation_output", run_id=RUN, individual_ids=[BEST], characters=3)
    assert row["text"] == " ☃\n"
    failed = queries.ask(searched, "evaluation_output", run_id=RUN, failed=1)
    assert [(row["individual_id"], row["name"], row["text"]) for row in failed] == [
        ("seed_broken", "stderr", "dividing\n"),
        ("seed_broken", "attempt", "2"),
    ]
    assert len(queries.ask(searched, "evaluation_output", run_id=RUN)) == len(FACTS) + 1


def test_programs_of_equal_facts_are_duplicates(searched: Client) -> None:
    """The hash of a program that was proposed twice occurs once among the duplicates, with its first occurrence."""
    import hashlib

    twice = [fact for fact in FACTS if sum(code(fact) == code(other) for other in FACTS) == 2]
    (row,) = queries.ask(searched, "duplicates", run_id=RUN)
    assert row["code_hash"] == hashlib.sha256(code(twice[0]).encode()).hexdigest()
    assert (row["first_individual"], {fact.id for fact in twice}) == ("one_b", {"one_b", "two_c"})


def test_a_failure_is_listed_once_however_often_it_was_delivered(store: Client) -> None:
    """A call, an evaluation and an individual that arrived five times and are not merged yet are each one row; two calls that failed at the
    same moment with the same error are two; and the newest are those of the limit, of one run and of all."""
    at = "toDateTime64('2026-08-01 00:00:00', 3) + number"
    tables = {
        "llm_logs": f"(id, run_id, individual_id, model, timestamp, status, error, span_id) SELECT generateUUIDv4(), 'r', 'i', 'm', {at}, 'error', 'x', 'c' || toString(number) FROM numbers(3)",
        "agent_actions": f"(run_id, individual_id, action_type, timestamp, span_id) SELECT 'r', 'j' || toString(number), 'job_failed', {at}, 'a' || toString(number) FROM numbers(3)",
        "individuals": f"(run_id, individual_id, timestamp, status, error, span_id) SELECT 'r', 'k' || toString(number), {at}, 'error', 'y', 'i' || toString(number) FROM numbers(3)",
    }
    try:
        for table, told in tables.items():
            store.command(f"SYSTEM STOP MERGES {table}")
            for _ in range(5):
                store.command(f"INSERT INTO {table} {told}")
        store.command(
            f"INSERT INTO llm_logs (id, run_id, individual_id, model, timestamp, status, error, span_id) SELECT generateUUIDv4(), 'r', 'i', 'm', {at}, 'error', 'x', 'again' FROM numbers(1)"
        )
        for run_id in ("r", ""):
            listed = Counter(
                (row["what"], row["individual_id"]) for row in queries.ask(store, "failures", run_id=run_id)
            )
            once = {
                (what, f"{letter}{number}"): 1
                for what, letter in (("job_failed", "j"), ("individual", "k"))
                for number in range(3)
            }
            assert listed == {("LLM call m", "i"): 4, **once}
            newest = queries.ask(store, "failures", run_id=run_id, limit=6)
            assert len(newest) == 6 and {row["timestamp"].second for row in newest} == {1, 2}
    finally:
        for table in tables:
            store.command(f"SYSTEM START MERGES {table}")
