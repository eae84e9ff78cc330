"""The reference's statements, verbatim, on the real engine: the right answers for a known search, and for one that is hard to answer about."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from genesis_otel import spans
from genesis_otel._store import schema
from tests.support.recording import record
from tests.support.reference_answers import (
    ANSWERS,
    REFERENCE,
    REFERENCE_QUERIES,
    REFUSED,
    UNORDERED,
    columns_of_answer,
    comparable,
    generations,
)
from tests.support.searched import RUN, stored

RETENTION = {
    "Keep LLM logs for 30 days (if you want to save space)": ("llm_logs", 30),
    "Keep agent actions for 90 days": ("agent_actions", 90),
}


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


def test_the_example_of_the_reference_is_made_a_frame(searched: Client) -> None:
    """The SELECT from the reference's notebook runs on our tables."""
    match = re.search(r'query_df\("""(.*?)"""\)', REFERENCE.read_text(), re.DOTALL)
    assert match
    sql = inspect.cleandoc(match[1]).replace("run_12345", RUN)
    assert [row[0] for row in searched.query(sql).result_rows] == generations()


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
