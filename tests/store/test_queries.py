"""The reference's queries, verbatim and as named queries, on the real engine: the right answers for a known search."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from genesis_otel import queries, spans
from genesis_otel._read.ancestry import ancestors, chain
from genesis_otel._store import schema
from tests.support.recording import record
from tests.support.searched import (
    BEST,
    EMBED_COST,
    FACTS,
    GOING_ON,
    LATER,
    LINEAGE_OF_BEST,
    MODELS,
    NOVELTY_COST,
    RUN,
    TASK,
    Fact,
    children,
    code,
    cost,
    delta,
    island,
    metrics,
    output,
    score,
    search_spans,
    seconds,
    stored,
    summary,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
NAMES_IN_REFERENCE = {"run_20240115_142345": RUN, "your_run_id": RUN, "YOUR_RUN_ID": RUN, "run_12345": RUN}
REFUSED = "Find generations with breakthroughs (>10% improvement)"

Rows = list[tuple[Any, ...]]


def reference_queries() -> dict[str, str]:
    """The reference's statements by title, with ids replaced by those of the search; one title occurs twice."""
    found: dict[str, str] = {}
    for block in re.findall(r"```sql\n(.*?)```", REFERENCE.read_text(), re.DOTALL):
        for statement in re.split(r";\s*$", block, flags=re.MULTILINE):
            if not re.sub(r"--[^\n]*", "", statement).strip():
                continue
            match = re.search(r"-- (.*)", statement)
            assert match
            title = match[1]
            found[title if title not in found else f"{title}, again"] = re.sub(
                r"'([^']*)'", lambda quoted: f"'{NAMES_IN_REFERENCE.get(quoted[1], quoted[1])}'", statement
            ).replace("ind_gen10_best", BEST)
    return found


REFERENCE_QUERIES = reference_queries()


@pytest.fixture(scope="module")
def searched(engine: Path) -> Iterator[Client]:
    """A database with the ended search and the running one, recorded through the real API and the real exporter."""
    searches = (search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    with stored(engine, "searched", *searches, traces_ttl_days=None) as client:
        yield client


# --- the answers, worked out from the facts ---------------------------------------------------------------------------


def generations() -> list[int]:
    return sorted({fact.generation for fact in FACTS})


def of(generation: int) -> list[Fact]:
    return [fact for fact in FACTS if fact.generation == generation]


def best(generation: int) -> float:
    return max(score(fact) for fact in of(generation))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def average(generation: int) -> float:
    return mean([fact.fitness for fact in of(generation) if fact.fitness is not None])


def front(generation: int) -> list[Fact]:
    """By definition: those that no other dominates in accuracy and size; best first."""
    living = [fact for fact in of(generation) if fact.fitness is not None]

    def beaten(one: Fact) -> bool:
        return any(
            score(each) >= score(one) and each.size <= one.size and (score(each), -each.size) != (score(one), -one.size)
            for each in living
        )

    return sorted((fact for fact in living if not beaten(fact)), key=lambda fact: -score(fact))


def costs(fact: Fact) -> tuple[float, float, float]:
    made = children()
    other = (EMBED_COST, NOVELTY_COST) if fact.fitness is not None else (0.0, 0.0)
    return (cost(made.index(fact)) if fact in made else 0.0, *other)


def total_cost(generation: int) -> float:
    return sum(sum(costs(fact)) for fact in of(generation))


def improvements() -> dict[int, float]:
    return {later: best(later) - best(before) for before, later in pairwise(generations())}


def edges() -> list[tuple[Fact, str, float]]:
    return [(fact, parent, delta(fact, parent)) for fact in FACTS for parent in fact.parents]


def by_how(values: list[tuple[str, float]]) -> dict[str, list[float]]:
    grouped = defaultdict(list)
    for how, value in values:
        grouped[how].append(value)
    return grouped


def quantile(values: list[float], share: float) -> float:
    ordered, place = sorted(values), share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def calls() -> dict[str, list[tuple[float, float]]]:
    """Cost and seconds of each model's calls, including the failed one."""
    made: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for position, _ in enumerate(children()):
        made[MODELS[position % 2]].append((cost(position), seconds(position)))
    made[MODELS[0]].append((0.0, 0.1))
    return made


def scores_by_how() -> dict[str, list[float]]:
    return by_how([(fact.how, score(fact)) for fact in FACTS if fact.generation])


def everyone() -> list[Fact]:
    return sorted((fact for fact in FACTS if fact.fitness is not None), key=lambda fact: -score(fact))


def as_json(fact: Fact) -> dict[str, float]:
    return metrics(fact)


ANSWERS: dict[str, Callable[[], Rows]] = {
    "Active runs": lambda: [(GOING_ON, TASK, 0)],
    "Compare configurations": lambda: [(run, TASK, {"evolution": {"num_generations": 5}}) for run in (GOING_ON, RUN)],
    "Fitness trajectory": lambda: [(g, best(g), average(g), total_cost(g)) for g in generations()],
    "Cost per generation": lambda: [(g, total_cost(g), total_cost(g) / len(of(g))) for g in generations()],
    # The first generation has nothing to compare with; NULL sorts last.
    "Identify breakthrough generations (large improvement)": lambda: [
        *sorted([(g, best(g), gain) for g, gain in improvements().items()], key=lambda row: -row[2]),
        (generations()[0], best(generations()[0]), None),
    ],
    "Top 10 individuals ever created": lambda: [
        (fact.id, fact.generation, score(fact), fact.how, as_json(fact)) for fact in everyone()[:10]
    ],
    "Duplicates (same code hash)": lambda: [(2,)],
    "Mutation type effectiveness": lambda: sorted(
        [(how, len(scores), mean(scores), max(scores)) for how, scores in scores_by_how().items()],
        key=lambda row: -row[2],
    ),
    "Pareto frontier members across all generations": lambda: [
        (g, fact.id, score(fact), score(fact) / 2) for g in generations() for fact in front(g)
    ],
    "Pareto frontier size over time": lambda: [(g, len(front(g))) for g in generations()],
    "Latest Pareto frontier": lambda: [
        (fact.id, score(fact), score(fact) / 2, as_json(fact)) for fact in front(generations()[-1])
    ],
    "Compare Pareto fronts across generations": lambda: [
        (g, fact.id, score(fact), fact.size) for g in generations() for fact in front(g)
    ],
    "Most successful mutations (biggest improvements)": lambda: sorted(
        [
            (fact.id, parent, fact.generation, fact.how, gain, summary(fact))
            for fact, parent, gain in edges()
            if gain > 0
        ],
        key=lambda row: -row[4],
    )[:10],
    "Mutation success rate": lambda: [
        (how, len(gains), sum(gain > 0 for gain in gains), sum(gain > 0 for gain in gains) / len(gains), mean(gains))
        for how, gains in by_how([(fact.how, gain) for fact, _, gain in edges()]).items()
    ],
    "Trace lineage of best individual": lambda: [
        (fact.id, fact.parents[0] if fact.parents else "", fact.generation, fact.how, summary(fact))
        for fact in FACTS
        if fact.id in LINEAGE_OF_BEST
    ],
    "Most prolific parents (many children)": lambda: [
        *(
            (parent, len(gains), mean(gains), sum(gain > 0 for gain in gains))
            for parent, gains in by_how([(parent, gain) for _, parent, gain in edges()]).items()
        ),
        ("", sum(not fact.parents for fact in FACTS), None, 0),
    ],
    "Best score per generation": lambda: [
        (g, best(g), average(g), len(front(g)), total_cost(g)) for g in generations()
    ],
    "Top 10 individuals across all generations": lambda: [
        (fact.id, fact.generation, score(fact), score(fact) / 2, fact.how) for fact in everyone()[:10]
    ],
    "Total costs by run": lambda: [
        (RUN, TASK, sum(map(total_cost, generations())), len(generations())),
        (GOING_ON, TASK, 2 * (EMBED_COST + NOVELTY_COST), 1),
    ],
    "LLM costs by model": lambda: sorted(
        [(model, len(made), sum(c for c, _ in made), mean([s for _, s in made])) for model, made in calls().items()],
        key=lambda row: -row[2],
    ),
    "Most successful mutations (positive fitness delta)": lambda: sorted(
        [
            (how, len(gains), mean(gains), max(gains))
            for how, gains in by_how([(fact.how, gain) for fact, _, gain in edges() if gain > 0]).items()
        ],
        key=lambda row: -row[2],
    ),
    "Build phylogenetic tree": lambda: [
        (fact.id, parent, fact.generation, fact.how, delta(fact, parent) if parent else None)
        for fact in FACTS
        for parent in fact.parents or ("",)
    ],
    "Track how Pareto frontier changes over time": lambda: [
        (g, len(front(g)), score(front(g)[0]), score(front(g)[-1]) / 2) for g in generations()
    ],
    "Find best individual across all runs for a task": lambda: [
        (RUN, BEST, 4, score(everyone()[0]), as_json(everyone()[0]))
    ],
    "Evolution progress dashboard": lambda: [
        (g, best(g), average(g), len(front(g)), total_cost(g), len(front(g))) for g in generations()
    ],
    "Cost breakdown by component": lambda: [
        (
            *(sum(costs(fact)[kind] for fact in FACTS) for kind in range(3)),
            sum(sum(costs(fact)) for fact in FACTS),
        )
    ],
    "Mutation type effectiveness, again": lambda: [
        (how, len(scores), mean(scores), quantile(scores, 0.5), quantile(scores, 0.9))
        for how, scores in scores_by_how().items()
    ],
    REFUSED: lambda: sorted(
        [(g, best(g), gain, gain / best(g - 1)) for g, gain in improvements().items() if gain / best(g - 1) > 0.1],
        key=lambda row: -row[3],
    ),
    "LLM cost by model": lambda: sorted(
        [
            (model, len(made), sum(c for c, _ in made), mean([c for c, _ in made]), sum(s for _, s in made))
            for model, made in calls().items()
        ],
        key=lambda row: -row[2],
    ),
}
"""What each of the reference's queries has to answer, in its order; where it has none, any."""

UNORDERED = {
    "Cost per generation",
    "Compare Pareto fronts across generations",
    "Mutation success rate",
    "Mutation type effectiveness, again",
    "Most prolific parents (many children)",
    "Build phylogenetic tree",
    "Trace lineage of best individual",
    "Top 10 individuals ever created",  # two individuals have the same score
    "Top 10 individuals across all generations",
}
LEFT_OUT = {"start_time", "code_hash"}
"""Columns that nobody can work out from the facts."""
RETENTION = {
    "Keep LLM logs for 30 days (if you want to save space)": ("llm_logs", 30),
    "Keep agent actions for 90 days": ("agent_actions", 90),
}


def comparable(names: list[str], rows: list[Any], *, ordered: bool) -> list[Any]:
    """Rows without the columns that the facts lack; JSON parsed, floats rounded."""
    import json

    def plain(value: Any) -> Any:
        if isinstance(value, (int, float)):
            return round(float(value), 9)
        if isinstance(value, str) and value.startswith("{"):
            return plain(json.loads(value))
        if isinstance(value, dict):
            return tuple(sorted((name, plain(each)) for name, each in value.items()))
        return value

    kept = [place for place, name in enumerate(names) if name not in LEFT_OUT]
    result = [tuple(plain(row[place]) for place in kept) for row in rows]
    return result if ordered else sorted(result, key=repr)


def columns_of_answer(names: list[str]) -> list[str]:
    return [name for name in names if name not in LEFT_OUT]


def test_the_reference_has_the_queries_that_are_answered_here() -> None:
    """No query of the reference is left out: each has a known answer, except those that set a retention."""
    assert set(REFERENCE_QUERIES) == set(ANSWERS) | set(RETENTION)
    assert len(REFERENCE_QUERIES) == 31


@pytest.mark.parametrize("title", [title for title in ANSWERS if title != REFUSED])
def test_the_reference_runs_verbatim(title: str, searched: Client) -> None:
    """A query of the reference, with only its ids replaced, gives the answer computed from the facts."""
    answer = searched.query(REFERENCE_QUERIES[title])
    expected = ANSWERS[title]()
    assert expected
    names = columns_of_answer(list(answer.column_names))
    ordered = title not in UNORDERED
    assert comparable(list(answer.column_names), list(answer.result_rows), ordered=ordered) == comparable(
        names, expected, ordered=ordered
    )


def test_the_one_that_cannot_run_is_refused(searched: Client) -> None:
    """ClickHouse always refuses HAVING over a window function (184); the named query has QUALIFY."""
    with pytest.raises(DatabaseError) as refused:
        searched.query(REFERENCE_QUERIES[REFUSED])
    assert refused.value.code == 184


@pytest.mark.parametrize("title", RETENTION)
def test_the_reference_sets_a_retention(title: str, store: Client) -> None:
    """The reference's ALTER statements set what they say, and a later init of ours changes or keeps it."""
    table, days = RETENTION[title]
    store.command(REFERENCE_QUERIES[title])

    def kept() -> str:
        sql = (
            "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
        )
        return str(store.query(sql, parameters={"table": table}).result_rows[0][0])

    assert f"toIntervalDay({days})" in kept()
    schema.init_schema(store)
    assert f"toIntervalDay({days})" in kept()
    schema.init_schema(store, llm_logs_ttl_days=7, agent_actions_ttl_days=7)
    assert "toIntervalDay(7)" in kept()


# --- the named queries ------------------------------------------------------------------------------------------------

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
            f"EXPLAIN indexes = 1 SELECT * FROM ({queries.part('state', '1', '900')})"
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
            parameters={"task": "", "status": "", "tag": "", "limit": 1, "stalled_after": 900},
        ).result_rows
    )
    read = re.findall(r"ReadFromMergeTree \(\w+\.(\w+)\)(.*?)(?=ReadFromMergeTree|\Z)", plan, re.DOTALL)
    assert Counter(table for table, _ in read) == {
        "individuals": 2,
        "generations": 2,
        "llm_logs": 2,
        "evolution_runs_log": 2,
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
    """Quotes, comments and backslashes in a value remain a value: the query finds nothing, and nothing else happens."""
    hostile = "x' OR 1 = 1 --\\"
    told = {
        each.name: [hostile] if each.type == "Array(String)" else hostile
        for each in queries.load(name).parameters
        if each.type.endswith(("String", "String)"))
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


def test_the_lineage_is_walked_by_its_own_query_too(searched: Client) -> None:
    """The named query finds the best individual's ancestors, and for an individual with two parents those of the first."""
    assert [row["id"] for row in queries.ask(searched, "lineage", run_id=RUN)] == LINEAGE_OF_BEST
    rows = queries.ask(searched, "lineage", run_id=RUN, individual_id="three_a")
    assert [row["id"] for row in rows] == ["seed_b", "one_b", "two_a", "three_a"]


# --- lineage ----------------------------------------------------------------------------------------------------------


def test_the_lineage_of_the_best(searched: Client) -> None:
    """Each step from the seed has its score, gain, edit, model, cost and its generation's trace."""
    steps = ancestors(searched, RUN, BEST)
    assert [step.individual_id for step in steps] == LINEAGE_OF_BEST
    facts = {fact.id: fact for fact in FACTS}
    made = children()
    for step in steps:
        fact = facts[step.individual_id]
        assert (step.generation, step.mutation_type, step.fitness_score) == (fact.generation, fact.how, fact.fitness)
        assert step.gain == (pytest.approx(delta(fact, fact.parents[0])) if fact.parents else None)
        assert step.edit_summary == summary(fact)
        assert step.models == ((MODELS[made.index(fact) % 2],) if fact.parents else ())
        assert step.cost == pytest.approx(sum(costs(fact)))
        traces = searched.query(
            "SELECT DISTINCT trace_id FROM generations WHERE run_id = {run:String} AND generation = {g:Int32}",
            parameters={"run": RUN, "g": fact.generation},
        ).result_rows
        assert [(step.trace_id,)] == [tuple(row) for row in traces]


def test_other_parents_are_named(searched: Client) -> None:
    """Of two parents the chain follows the first and names the second; an unlogged individual is a bare id."""
    steps = ancestors(searched, RUN, "three_a")
    assert steps[-1].other_parents == ("two_b",)
    assert steps[-1].gain == pytest.approx(delta(FACTS[9], "two_a"))
    (stranger,) = ancestors(searched, RUN, "nobody")
    assert (stranger.individual_id, stranger.generation) == ("nobody", None)


def test_a_lineage_that_bites_its_tail_ends() -> None:
    """A cycle, an individual that is its own parent, and a long chain: each id once, the requested one last."""
    assert chain({"a": ["b"], "b": ["c"], "c": ["a"]}, "a") == ["c", "b", "a"]
    assert chain({"a": ["a"]}, "a") == ["a"]
    long = {str(n): [str(n - 1)] for n in range(1, 20_000)}
    assert chain(long, "19999") == [str(n) for n in range(20_000)]


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


def test_a_cycle_in_the_store_ends_too(store: Client) -> None:
    """With edges that were logged in a circle, both the command's walk and the named query terminate."""
    store.insert(
        "code_lineages",
        [["r", "a", "b", 1], ["r", "b", "a", 2], ["r", "c", "b", 3]],
        column_names=["run_id", "child_id", "parent_id", "generation"],
    )
    assert [step.individual_id for step in ancestors(store, "r", "c")] == ["a", "b", "c"]
    rows = queries.ask(store, "lineage", run_id="r", individual_id="c")
    assert [row["id"] for row in rows] == ["a", "b", "c"]


def test_a_lineage_of_many_steps(store: Client) -> None:
    """Beyond the 1,000 steps that ClickHouse follows in a recursion, and beyond the ids of one query."""
    rows = [["r", f"i{n}", f"i{n - 1}" if n else "", n, n / 10] for n in range(2500)]
    store.insert(
        "individuals", rows, column_names=["run_id", "individual_id", "parent_id", "generation", "fitness_score"]
    )
    steps = ancestors(store, "r", "i2499")
    assert [step.generation for step in steps] == list(range(2500))
    # No edge was logged, so the gain is the difference of the scores.
    assert steps[-1].gain == pytest.approx(0.1)


def test_the_example_of_the_reference_is_made_a_frame(searched: Client) -> None:
    """The SELECT from the reference's notebook runs on our tables."""
    match = re.search(r'query_df\("""(.*?)"""\)', REFERENCE.read_text(), re.DOTALL)
    assert match
    sql = inspect.cleandoc(match[1]).replace("run_12345", RUN)
    assert [row[0] for row in searched.query(sql).result_rows] == generations()


def test_programs_of_equal_facts_are_duplicates(searched: Client) -> None:
    """The hash of a program that was proposed twice occurs once among the duplicates, with its first occurrence."""
    import hashlib

    twice = [fact for fact in FACTS if sum(code(fact) == code(other) for other in FACTS) == 2]
    (row,) = queries.ask(searched, "duplicates", run_id=RUN)
    assert row["code_hash"] == hashlib.sha256(code(twice[0]).encode()).hexdigest()
    assert (row["first_individual"], {fact.id for fact in twice}) == ("one_b", {"one_b", "two_c"})


# --- the reference's statements on data that a 0 for a missing score would falsify ------------------------------------


def hard() -> None:
    """A run whose scores are all negative, with failures, a generation of failures, NaN, and a copy of a failed individual.

    | generation | individuals |
    |---|---|
    | 0 | `a` -8; `b` failed |
    | 1 | `c` of `a` -6; `d` of `a` failed; `e` of `b` -7 |
    | 2 | `f` of `c` failed; `g` of `c` NaN |
    | 3 | `h` of `c` -2; `i` of `f` and `c` -4 |
    """
    members = {
        0: (("a", (), -8.0), ("b", (), None)),
        1: (("c", ("a",), -6.0), ("d", ("a",), None), ("e", ("b",), -7.0)),
        2: (("f", ("c",), None), ("g", ("c",), math.nan)),
        3: (("h", ("c",), -2.0), ("i", ("f", "c"), -4.0)),
    }
    with spans.run("hard", run_id=RUN, objectives={"fitness": "max"}) as run:
        for number, made in members.items():
            with run.generation(number, hold_individuals=True) as generation:
                for name, parents, fitness in made:
                    how = "init" if not parents else "crossover" if len(parents) > 1 else "mutate"
                    with generation.individual(name, parents=parents, mutation_type=how) as individual:
                        individual.record(fitness=fitness, code=name)
                        if fitness is None:
                            individual.fail("division by zero")


@pytest.fixture(scope="module")
def hard_search(engine: Path) -> Iterator[Client]:
    """A database with that run, recorded through the real API and the real exporter."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch)
        hard()
    with stored(engine, "hard_search", recorded.spans, traces_ttl_days=None) as client:
        yield client


ON_HARD_DATA: dict[str, list[tuple[Any, ...]]] = {
    "Fitness trajectory": [(0, -8, -8), (1, -6, -6.5), (2, None, None), (3, -2, -3)],
    # Right after a generation without a score, and for the first one, there is nothing to compare with.
    "Identify breakthrough generations (large improvement)": [
        (1, -6, 2),
        (0, -8, None),
        (2, None, None),
        (3, -2, None),
    ],
    "Top 10 individuals ever created": [("h", 3), ("i", 3), ("c", 1), ("e", 1), ("a", 0)],
    "Top 10 individuals across all generations": [("h", 3, -2), ("i", 3, -4), ("c", 1, -6), ("e", 1, -7), ("a", 0, -8)],
    "Mutation type effectiveness": [("crossover", 1, -4, -4), ("mutate", 6, -5, -2)],
    "Mutation type effectiveness, again": [("crossover", 1, -4, -4, -4), ("mutate", 6, -5, -6, -2.8)],
    "Pareto frontier members across all generations": [(0, "a", -8), (1, "c", -6), (3, "h", -2)],
    "Pareto frontier size over time": [(0, 1), (1, 1), (3, 1)],
    "Latest Pareto frontier": [("h", -2, -2)],
    "Track how Pareto frontier changes over time": [(0, 1, -8, -8), (1, 1, -6, -6), (3, 1, -2, -2)],
    "Most successful mutations (biggest improvements)": [
        ("h", "c", 3, "mutate", 4),
        ("c", "a", 1, "mutate", 2),
        ("i", "c", 3, "crossover", 2),
    ],
    "Most successful mutations (positive fitness delta)": [("mutate", 2, 3, 4), ("crossover", 1, 2, 2)],
    "Mutation success rate": [("crossover", 2, 1, 0.5, 2), ("mutate", 6, 2, 2 / 6, 3)],
    "Most prolific parents (many children)": [
        ("c", 4, 3, 2),
        ("a", 2, 2, 1),
        ("", 2, None, 0),
        ("b", 1, None, 0),
        ("f", 1, None, 0),
    ],
    "Best score per generation": [(0, -8, -8, 1), (1, -6, -6.5, 1), (2, None, None, 0), (3, -2, -3, 1)],
    "Find best individual across all runs for a task": [(RUN, "h", 3, -2)],
    "Evolution progress dashboard": [
        (0, -8, -8, 1, 0, 1),
        (1, -6, -6.5, 1, 0, 1),
        (2, None, None, 0, 0, 0),
        (3, -2, -3, 1, 0, 1),
    ],
    "Build phylogenetic tree": [
        ("a", "", 0, "init", None),
        ("b", "", 0, "init", None),
        ("c", "a", 1, "mutate", 2),
        ("d", "a", 1, "mutate", None),
        ("e", "b", 1, "mutate", None),
        ("f", "c", 2, "mutate", None),
        ("g", "c", 2, "mutate", None),
        ("h", "c", 3, "mutate", 4),
        ("i", "f", 3, "crossover", None),
        ("i", "c", 3, "crossover", 2),
    ],
}
"""What the reference's statements that read scores have to answer about that run: their first columns, in any order where
two rows are equal by theirs. With 0 for want of a score, each of them is wrong."""


@pytest.mark.parametrize("title", ON_HARD_DATA)
def test_the_reference_is_right_on_failures_and_negative_scores(title: str, hard_search: Client) -> None:
    """Verbatim, on a search with failures and negative scores, a statement gives the run's true answer."""
    sql = REFERENCE_QUERIES[title].replace("'circle_packing'", "'hard'")
    wanted = ON_HARD_DATA[title]
    found = [tuple(row[: len(wanted[0])]) for row in hard_search.query(sql).result_rows]
    if title.startswith("Top 10"):
        # Individuals without a score come last, and fewer than ten have one.
        found = [row for row in found if row[0] not in ("b", "d", "f", "g")]
    assert sorted(map(rounded, found), key=repr) == sorted(map(rounded, wanted), key=repr)
    if "ORDER BY" in sql and title not in UNORDERED:
        assert rounded(found[0]) == rounded(wanted[0])


def rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(round(float(each), 9) if isinstance(each, (int, float)) else each for each in row)
