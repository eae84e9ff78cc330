"""What a run has found: who counts, and when it is stagnant, on individuals at the edge of each rule."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries

RUN = "run"


def individuals(store: Client, scores: list[float], how: str = "diff", first: int = 0, status: str = "ok") -> None:
    """Individuals that finish in this order, one per generation."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, status, span_id)"
        " SELECT {run:String}, concat('i', toString(number + {first:UInt32}) AS place), place, {how:String},"
        " addMilliseconds(now64(3) - 60, number + {first:UInt32}), {scores:Array(Float64)}[number + 1], {status:String}, place"
        " FROM numbers(length({scores:Array(Float64)}))",
        parameters={"run": RUN, "scores": scores, "how": how, "first": first, "status": status},
    )


def pulse(store: Client) -> dict[str, Any]:
    (row,) = queries.ask(store, "pulse", run_id=RUN)
    return row


@pytest.mark.parametrize(("others", "is_stagnant"), [(49, False), (50, True)])
def test_a_run_is_stagnant_when_as_many_as_its_patience_are_no_better(
    store: Client, others: int, is_stagnant: bool
) -> None:
    """Where a generation is one individual the patience is 50: the 50th that is no better makes the run stagnant, and copies are not
    among them."""
    individuals(store, [1.0] + [0.5] * others)
    individuals(store, [0.5] * 10, how="migration", first=100)
    assert bool(pulse(store)["stagnant"]) is is_stagnant


def test_a_copy_counts_neither_as_a_failure_nor_as_an_individual(store: Client) -> None:
    """Copies that failed or are incorrect are in no count of a run, of its mutation types, and in no list of failures."""
    individuals(store, [1.0, 2.0], first=1)
    individuals(store, [3.0], how="copy", first=10, status="error")
    individuals(store, [4.0], how="migrant", first=20, status="incorrect")
    shown = pulse(store)
    counted = ("individuals", "failed_individuals", "incorrect_individuals", "best_score")
    assert tuple(shown[name] for name in counted) == (2, 0, 0, 2.0)
    assert queries.ask(store, "mutation_effectiveness", run_id=RUN)[0]["count"] == 2
    assert not queries.ask(store, "failures", run_id=RUN)
    assert not [row for row in queries.ask(store, "events", run_id=RUN) if row["failed"]]
