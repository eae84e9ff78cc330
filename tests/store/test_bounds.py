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


def test_a_breakthrough_is_compared_with_what_had_finished_before(store: Client) -> None:
    """Where a generation of a lower number finishes later, the share is that of the best which the generation really beat."""
    individuals(store, *(("abcd"[at], score, "", "", "diff") for at, score in enumerate((4.0, 5.0, 10.0, 12.0))))
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, span_id)"
        " SELECT 'overlapping', individual_id, [0, 1, 3, 2][generation + 1], timestamp, fitness_score, span_id FROM individuals"
    )
    found = queries.ask(store, "breakthroughs", run_id="overlapping", threshold=0.2)
    assert [(row["generation"], row["improvement_pct"]) for row in found] == [(3, 1.0), (1, 0.25)]


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


def actions(store: Client, *made: tuple[str, str, str, int]) -> None:
    """Actions a second apart from :data:`MOMENT`: run, type, job or details, and the second."""
    for number, (run, kind, details, second) in enumerate(made):
        store.command(
            "INSERT INTO agent_actions (id, run_id, timestamp, action_type, details, span_id)"
            " SELECT generateUUIDv4(), {run:String}, fromUnixTimestamp64Milli({at:Int64}), {kind:String}, {details:String}, toString({number:Int32})",
            parameters={"run": run, "at": AT + 1000 * second, "kind": kind, "details": details, "number": number},
        )


def test_a_job_runs_until_it_ends_after_its_last_submission(store: Client) -> None:
    """A job submitted again after its end runs; one that ended, however often that was told, does not; nor does one whose first process was
    killed and that ended in the second."""
    actions(
        store,
        *((RUN, kind, '{"job_id":"ended"}', 0) for kind in ("job_submitted", "job_completed")),
        *((RUN, kind, '{"job_id":"again"}', 1) for kind in ("job_submitted", "job_failed", "job_submitted")),
        *((RUN, kind, '{"job_id":"told twice"}', 2) for kind in ("job_submitted", "job_completed", "job_completed")),
        (RUN, "job_submitted", '{"job_id":"open"}', 3),
        *((RUN, "job_submitted", '{"job_id":"killed"}', second) for second in (4, 6)),
        (RUN, "job_completed", '{"job_id":"killed"}', 7),
    )
    assert [row["job"] for row in queries.ask(store, "running_jobs", run_id=RUN)] == ["again", "open"]


def test_a_spool_is_as_its_last_report_says(store: Client) -> None:
    """Not as the report says that arrived last, or that names most."""
    for second, waiting in ((5, 1), (9, 2), (7, 3)):
        actions(store, ("", "spool_state", f'{{"host":"h","folder":"f","waiting":{waiting}}}', second))
    assert [row["waiting"] for row in queries.ask(store, "spools")] == [2]


def test_a_generation_lasts_as_long_as_its_individuals_and_their_calls(store: Client) -> None:
    """A call that is no individual's, such as a summary for the run, is not part of it."""
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, execution_time, individual_id, trace_id, generation, span_id)"
        " SELECT generateUUIDv4(), {run:String}, fromUnixTimestamp64Milli({at:Int64}), seconds, individual, trace, 1, trace"
        " FROM values('seconds Float64, individual String, trace String', (5, 'a', 'slow'), (60, '', 'summary'))",
        parameters={"run": RUN, "at": AT},
    )
    (found,) = queries.ask(store, "slowest_generation", run_id=RUN)
    assert (found["trace_id"], found["seconds"]) == ("slow", 5.0)


def test_a_copy_is_no_second_proposal_of_its_program(store: Client) -> None:
    """Programs are duplicates if two individuals proposed them; a migrant was moved."""
    individuals(
        store,
        ("a", 1.0, "x", "", "init"),
        ("b", 1.0, "y", "a", "migration"),
        ("c", 2.0, "x", "", "init"),
        ("d", 2.0, "x", "c", "diff"),
    )
    store.command(
        "ALTER TABLE individuals UPDATE code_hash = if(individual_id IN ('a', 'b'), 'moved', 'twice') WHERE 1",
        settings={"mutations_sync": 2},
    )
    found = [
        (row["code_hash"], row["count"], row["first_individual"])
        for row in queries.ask(store, "duplicates", run_id=RUN)
    ]
    assert found == [("twice", 2, "c")]


def test_what_is_recent_is_counted_back_from_the_end(store: Client) -> None:
    """Of a run that has ended, the calls and costs of its last seconds; what came exactly that long before is not part of them."""
    calls(store)
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, end_time, status, span_id)"
        " SELECT {run:String}, fromUnixTimestamp64Milli({at:Int64}), fromUnixTimestamp64Milli({at:Int64} + 4000), 'completed', 's'",
        parameters={"run": RUN, "at": AT},
    )
    (found,) = queries.ask(store, "pulse", run_id=RUN, window=3)
    assert (found["llm_calls"], found["recent_llm_calls"]) == (4, 2)
    assert (found["cost"], found["recent_cost"]) == (3.0, 1.5)


def test_whose_calls_a_proposal_is_by_their_role(store: Client) -> None:
    """An individual's model is the one that answered its mutation, not one that judged it; only calls of a model that judged its novelty,
    neither embeddings nor failures, are judgements."""
    individuals(store, ("a", 1.0, "", "", "init"), ("b", 2.0, "", "a", "diff"))
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, individual_id, model, role, operation, status, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, fromUnixTimestamp64Milli({at:Int64} + at), 'b', model, role, operation, status, 1, 'told', model"
        " FROM values('at Int64, model String, role String, operation String, status String',"
        " (1, 'writer', 'mutation', 'chat', 'ok'), (2, 'broken', 'mutation', 'chat', 'error'),"
        " (3, 'judge', 'novelty', 'chat', 'ok'), (4, 'silent', 'novelty', 'chat', 'error'), (5, 'vectors', 'novelty', 'embeddings', 'ok'))",
        parameters={"run": RUN, "at": AT},
    )
    assert [row["model"] for row in queries.ask(store, "model_mutation_yield", run_id=RUN)] == ["writer"]
    (found,) = queries.ask(store, "proposals", run_id=RUN)
    assert (found["judged"], found["cost"]) == (1, 1.0)


def test_the_newest_failures_are_the_same_however_many_are_asked_for(store: Client) -> None:
    """Sixty individuals failed, a second apart, and an action reports each third of them, the older runs' even later than the next
    individual failed: those that no action reports are listed among the actions, each failure once, newest first."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, status, span_id) SELECT concat('r', toString(intDiv(number, 20))),"
        " toString(number), fromUnixTimestamp64Milli({at:Int64} + 1000 * number), 'error', toString(number) FROM numbers(60)",
        parameters={"at": AT},
    )
    store.command(
        "INSERT INTO agent_actions (run_id, individual_id, timestamp, action_type, span_id) SELECT concat('r', toString(intDiv(number, 20))),"
        " toString(number), fromUnixTimestamp64Milli({at:Int64} + 1000 * number + if(number < 40, 1500, -500)), 'job_failed', toString(number)"
        " FROM numbers(60) WHERE number % 3 = 0",
        parameters={"at": AT},
    )

    def found(limit: int) -> list[int]:
        return [int(row["individual_id"]) for row in queries.ask(store, "failures", limit=limit)]

    moments = {each: each + (1.5 if each < 40 else -0.5) * (each % 3 == 0) for each in range(60)}
    newest = sorted(moments, key=lambda each: -moments[each])
    assert [found(limit) for limit in (1, 2, 7, 25, 60, 100)] == [newest[:limit] for limit in (1, 2, 7, 25, 60, 60)]


def test_the_slowest_calls_are_the_same_however_many_are_asked_for(store: Client) -> None:
    """Each once, though all were delivered three times and repriced in between; the latest row counts."""
    store.command("SYSTEM STOP MERGES llm_logs")
    for cost in (1.0, 2.0, 3.0):
        store.command(
            "INSERT INTO llm_logs (id, run_id, timestamp, execution_time, cost, cost_source, span_id, ingested_at) SELECT generateUUIDv4(),"
            " {run:String}, fromUnixTimestamp64Milli({at:Int64}), number * 7 % 10 + 1, {cost:Float64}, 'told', toString(number),"
            " fromUnixTimestamp64Milli({at:Int64} + toInt64(1000 * {cost:Float64})) FROM numbers(10)",
            parameters={"run": RUN, "at": AT, "cost": cost},
        )
    for limit in (1, 3, 10, 100):
        rows = queries.ask(store, "slowest_llm_calls", limit=limit)
        assert [(row["execution_time"], row["cost"]) for row in rows] == [
            (10.0 - at, 3.0) for at in range(min(limit, 10))
        ]
