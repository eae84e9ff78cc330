"""A run's money: burn rate, projected cost, how long the run and its budget last, and what the money bought."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries

HOUR = 3600


def begun(store: Client, hours: float, *, planned: int = 0, budget: float | None = None, ended: bool = False) -> None:
    """A run that started this many hours ago."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, config, budget, told_at)"
        " SELECT 'run', 'task', addMilliseconds(now64(3), -{ago:Int64}), if({ended:Bool}, now64(3), toDateTime64(0, 3)),"
        " if({ended:Bool}, 'completed', 'running'), {config:String}, {budget:Nullable(Float64)}, now64(9)",
        parameters={
            "ago": int(hours * HOUR * 1000),
            "ended": ended,
            "config": json.dumps({"num_generations": planned} if planned else {}),
            "budget": budget,
        },
    )


def evaluated(store: Client, *individuals: tuple[int, float, str, str], hours: float = 0.0) -> None:
    """Individuals: generation, cost of their call, status, hash of their code."""
    for number, (generation, cost, status, code) in enumerate(individuals):
        name = {
            "id": f"i{generation}.{number}",
            "generation": generation,
            "ago": int((hours * HOUR + 60) * 1000) - number,
        }
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, status, code_hash, span_id)"
            " SELECT 'run', {id:String}, {generation:Int32}, addMilliseconds(now64(3), -{ago:Int64}), 1, {status:String}, {code:String}, {id:String}",
            parameters={**name, "status": status, "code": code},
        )
        store.command(
            "INSERT INTO llm_logs (id, run_id, individual_id, generation, timestamp, cost, cost_source, span_id)"
            " SELECT generateUUIDv4(), 'run', {id:String}, {generation:Int32}, addMilliseconds(now64(3), -{ago:Int64}), {cost:Float64}, 'told', {id:String}",
            parameters={**name, "cost": cost},
        )


def budget(store: Client, **given: Any) -> dict[str, Any]:
    """The named query's row."""
    (row,) = queries.ask(store, "budget", run_id="run", **given)
    return row


def test_a_running_search_is_projected_by_its_generations(store: Client) -> None:
    """Two of ten generations in two hours for 4 dollars make 20 dollars and eight more hours; the last hour's 1 dollar is the burn rate."""
    begun(store, 2, planned=10, budget=6.0)
    evaluated(store, (0, 3.0, "ok", "a"), hours=1.5)
    evaluated(store, (1, 0.5, "ok", "b"), (2, 0.5, "ok", "c"))
    row = budget(store)
    assert (row["cost"], row["done"], row["projected"]) == (4.0, 2, 20.0)
    assert row["seconds_left"] == pytest.approx(8 * HOUR, rel=0.01)
    assert row["burn"] == pytest.approx(1.0, rel=0.01) and row["share"] == pytest.approx(4 / 6)
    assert row["budget_seconds"] == pytest.approx(2 * HOUR, rel=0.02)


def test_the_time_left_of_a_resumed_search_is_by_its_pace_since_then(store: Client) -> None:
    """Neither the time before it was resumed nor the pause counts, and generations that it does again take their time, too. Until it has done
    one, the time left is unknown."""
    begun(store, 100, planned=24)
    evaluated(store, *((generation, 1.0, "ok", "a") for generation in range(11)), hours=98)
    begun(store, 2, planned=24)
    row = budget(store)
    assert (row["done"], row["seconds_left"], row["projected"]) == (10, None, pytest.approx(26.4))
    evaluated(store, *((generation, 1.0, "ok", "b") for generation in (9, 10, 11, 12)))
    row = budget(store)
    assert (row["done"], row["seconds_left"]) == (12, pytest.approx(12 * HOUR / 2, rel=0.01))
    assert row["burn"] == pytest.approx(4.0, rel=0.01)


def test_a_spent_budget_lasts_no_longer_and_a_plan_that_was_passed_is_done(store: Client) -> None:
    """Nothing is left of a budget that is overspent, nor of a plan of fewer generations than there are: never a negative time, and no
    projection below what was spent."""
    begun(store, 1, planned=2, budget=1.0)
    evaluated(store, (2, 2.0, "ok", "a"), (4, 2.0, "ok", "b"))
    row = budget(store)
    assert (row["budget_seconds"], row["seconds_left"], row["projected"], row["share"]) == (0.0, 0.0, 4.0, 4.0)


def test_a_budget_that_is_spent_is_not_exceeded(store: Client) -> None:
    """Three individuals of 0.1 are all of 0.3, and not more, although the sum of the three numbers is: the alert fires above 1."""
    begun(store, 1, budget=0.3)
    evaluated(store, (0, 0.1, "ok", "a"), (1, 0.1, "ok", "b"), (2, 0.1, "ok", "c"))
    assert (budget(store)["share"], budget(store)["budget_seconds"]) == (1.0, 0.0)


def test_the_unknown_is_not_projected(store: Client) -> None:
    """Without a plan or a completed generation there is no end to project to, and without a budget there is no share of it."""
    begun(store, 1)
    evaluated(store, (0, 2.0, "ok", "a"))
    row = budget(store)
    assert [row[name] for name in ("projected", "seconds_left", "allowed", "share", "budget_seconds")] == [None] * 5
    assert budget(store, budget=4.0)["share"] == 0.5


def test_a_search_that_ended_has_cost_what_it_cost(store: Client) -> None:
    """Nothing is projected beyond its end, however many generations were planned."""
    begun(store, 1, planned=100, budget=8.0, ended=True)
    evaluated(store, (0, 2.0, "ok", "a"))
    row = budget(store)
    assert (row["projected"], row["seconds_left"], row["budget_seconds"], row["share"]) == (2.0, None, None, 0.25)


def test_money_is_divided_by_what_it_bought(store: Client) -> None:
    """Failures, incorrect programs, duplicates, others; together they are the run's cost."""
    begun(store, 1)
    evaluated(
        store,
        *(
            (1, 1.0, "ok", "a"),
            (1, 2.0, "ok", "a"),
            (1, 4.0, "error", "b"),
            (1, 8.0, "incorrect", "c"),
            (1, 16.0, "ok", ""),
        ),
    )
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, cost, span_id) SELECT generateUUIDv4(), 'run', now64(3), 32, 'x'"
    )
    rows = store.query(
        f"SELECT purpose, sum(cost) FROM ({queries.part('spent_on', 'run_id = {run:String}')}) GROUP BY purpose",
        parameters={"run": "run"},
    ).result_rows
    spent: dict[str, float] = {str(purpose): cost for purpose, cost in rows}
    assert spent == {"programs": 17.0, "duplicates": 2.0, "failures": 4.0, "incorrect": 8.0, "the search": 32.0}
    assert sum(spent.values()) == budget(store)["cost"]


def test_a_job_lasts_from_its_submission_to_its_end(store: Client) -> None:
    """Matched by the `job_id` in its details or by its individual; a running job has no end."""
    told = [
        ("job_submitted", "", "a", 0),
        ("job_completed", "", "a", 4),
        ("job_submitted", "7", "b", 1),
        ("job_failed", "7", "b", 3),
    ]
    for number, (kind, job, individual, second) in enumerate([*told, ("job_submitted", "", "c", 5)]):
        store.command(
            "INSERT INTO agent_actions (run_id, action_type, details, individual_id, timestamp, span_id) SELECT 'run', {kind:String},"
            " {details:String}, {id:String}, toDateTime64('2024-01-01 00:00:00', 3) + {second:UInt32}, toString({number:UInt32})",
            parameters={
                "kind": kind,
                "details": json.dumps({"job_id": job} if job else {}),
                "id": individual,
                "second": second,
                "number": number,
            },
        )
    part = queries.part("jobs", "run_id = {run:String}")
    rows = store.query(f"SELECT job, seconds, failed FROM ({part}) ORDER BY job", parameters={"run": "run"}).result_rows
    assert rows == [("7", 2.0, 1), ("a", 4.0, 0), ("c", None, 0)]


def test_costs_below_zero_are_no_refund(store: Client) -> None:
    """An individual or a generation of another program whose cost is negative takes nothing from what the others cost."""
    begun(store, 1)
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, status, api_cost, span_id)"
        " SELECT 'run', concat('i', toString(number)), number % 2, now64(3), 'ok', [2., -2., 3., 4.][number + 1], toString(number)"
        " FROM numbers(4)"
    )
    store.command(
        "INSERT INTO generations (run_id, generation, timestamp, total_cost, span_id)"
        " SELECT 'run', number, now64(3), [-5., 2.5][number + 1], toString(number) FROM numbers(2)"
    )
    assert budget(store)["cost"] == 9.0
