"""The bounds of named queries: what is asked for at least includes the bound, what is asked for beyond or before it does not."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries

RUN = "run"
MOMENT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
AT = int(MOMENT.timestamp() * 1000)
"""Milliseconds since 1970 at which the first call begins and the first individual finishes; the next is a second later."""


def calls(store: Client) -> None:
    """Three calls, a second apart, that take 1, 2 and 3 s and cost 0.5, 1 and 1.5 USD; and a fourth without a price."""
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, model, execution_time, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, fromUnixTimestamp64Milli({at:Int64} + 1000 * number), concat('m', toString(number)), number + 1,"
        " if(number = 3, 0, (number + 1) / 2), if(number = 3, '', 'told'), toString(number) FROM numbers(4)",
        parameters={"run": RUN, "at": AT},
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["m3", "m2", "m1", "m0"]),
        ({"slower": 2.0}, ["m3", "m2", "m1"]),
        ({"dearer": 1.0}, ["m2", "m1"]),
        ({"before": AT + 1000}, ["m0"]),
        ({"before": AT + 1001}, ["m1", "m0"]),
        ({"limit": 2}, ["m3", "m2"]),
    ],
    ids=str,
)
def test_calls_are_found_by_their_duration_cost_and_time(
    store: Client, asked: dict[str, Any], found: list[str]
) -> None:
    """At least so slow, at least so dear (of which an unknown price is no part), and begun before a moment."""
    calls(store)
    assert [row["model"] for row in queries.ask(store, "calls_matching", run_id=RUN, **asked)] == found


def individuals(store: Client, *made: tuple[str, float, str, str, str]) -> None:
    """Individuals that finish a second apart, one per generation: id, score, island, parent, mutation type."""
    for number, (name, score, island, parent, how) in enumerate(made):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, island, cell, parent_id, mutation_type, span_id)"
            " SELECT {run:String}, {id:String}, {number:Int32}, fromUnixTimestamp64Milli({at:Int64} + 1000 * {number:Int32}), {score:Float64},"
            " {island:String}, {cell:String}, {parent:String}, {how:String}, {id:String}",
            parameters={
                **{
                    "run": RUN,
                    "at": AT,
                    "number": number,
                    "id": name,
                    "score": score,
                    "island": island,
                    "parent": parent,
                },
                **{"how": how, "cell": '{"size":1}' if island else ""},
            },
        )


def test_a_breakthrough_is_more_than_the_threshold(store: Client) -> None:
    """An improvement by exactly the threshold is none, and neither is a generation that improved nothing, whatever the threshold."""
    individuals(store, *(("abcd"[at], score, "", "", "diff") for at, score in enumerate((0.0, 0.0, 2.0, 3.0))))

    def found(threshold: float) -> list[int]:
        return [row["generation"] for row in queries.ask(store, "breakthroughs", run_id=RUN, threshold=threshold)]

    assert (found(0.5), found(0.49), found(0.0)) == ([2], [2, 3], [2, 3])


def test_islands_have_their_first_leader_and_those_who_came(store: Client) -> None:
    """The first individual of an island leads it; one that equals the leader does not; copies and children of other islands' individuals
    came from elsewhere. A cell has what had finished by then, up to that very moment."""
    individuals(
        store,
        ("a", 2.0, "x", "", "init"),
        ("b", 1.0, "y", "", "init"),
        ("c", 2.0, "x", "a", "diff"),
        ("d", 3.0, "y", "a", "diff"),
        ("e", 2.0, "y", "a", "migration"),
        ("f", 3.0, "x", "c", "diff"),
    )
    leaders = [(row["island"], row["individual_id"]) for row in queries.ask(store, "island_leaders", run_id=RUN)]
    assert leaders == [("x", "a"), ("y", "b"), ("y", "d"), ("x", "f")]
    counted = {row["island"]: (row["individuals"], row["arrived"]) for row in queries.ask(store, "islands", run_id=RUN)}
    assert counted == {"x": (3, 0), "y": (2, 2)}
    cells = {row["island"]: row["individuals"] for row in queries.ask(store, "cells", run_id=RUN, until=AT + 2000)}
    assert cells == {"x": 2, "y": 1}
