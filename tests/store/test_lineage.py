"""The ancestors of an individual, walked by the command and by the named query."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._read.ancestry import ancestors, chain
from tests.support.reference_answers import costs
from tests.support.searched import BEST, FACTS, LINEAGE_OF_BEST, MODELS, RUN, children, delta, summary


def test_the_lineage_is_walked_by_its_own_query_too(searched: Client) -> None:
    """The named query finds the best individual's ancestors, and for an individual with two parents those of the first."""
    assert [row["id"] for row in queries.ask(searched, "lineage", run_id=RUN)] == LINEAGE_OF_BEST
    rows = queries.ask(searched, "lineage", run_id=RUN, individual_id="three_a")
    assert [row["id"] for row in rows] == ["seed_b", "one_b", "two_a", "three_a"]


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
