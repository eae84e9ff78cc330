"""*Run*, *Runs* and *Lineage* on searches at the edge of each rule, row by row: slow evaluations, jobs whose words are missing, budgets that
are just spent, runs without an individual, and a search that is minimised."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from tests.support import dashboards
from tests.support.dashboards import BOARDS, BY_NAME, chosen, everything_in
from tests.support.grafana_query import ALL, TimeRange, Value, sent

RUN, HOUR = "run", 3600.0


def begun(
    store: Client, ago: float, run: str = RUN, *, status: str = "running", budget: float | None = None, planned: int = 0
) -> None:
    """A run that began so many seconds ago, and ended just now unless it is running."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, budget, config, direction) SELECT {run:String}, 'task',"
        " now64(3) - {ago:Float64}, if({status:String} = 'running', toDateTime64(0, 3), now64(3)), {status:String}, {budget:Nullable(Float64)},"
        " {config:String}, 'min'",
        parameters={
            "run": run, "ago": ago, "status": status, "budget": budget, "config": json.dumps({"num_generations": planned})
        },
    )  # fmt: skip


def made(store: Client, name: str, ago: float, run: str = RUN, *, generation: int = 0, score: float = 1.0) -> None:
    """An individual that ended so many seconds ago."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, span_id)"
        " SELECT {run:String}, {name:String}, {generation:Int32}, now64(3) - {ago:Float64}, {score:Float64}, {name:String}",
        parameters={"run": run, "name": name, "ago": ago, "generation": generation, "score": score},
    )


def paid(store: Client, cost: float, run: str = RUN) -> None:
    """A call of this cost."""
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, cost, cost_source, span_id)"
        " SELECT generateUUIDv4() AS id, {run:String}, now64(3) - 1, {cost:Float64}, 'told', toString(id)",
        parameters={"run": run, "cost": cost},
    )


def told(store: Client, *words: tuple[str, str, float], run: str = RUN) -> None:
    """What was said of jobs: submitted, completed or failed, which, and how many seconds ago."""
    for kind, job, ago in words:
        store.command(
            "INSERT INTO agent_actions (id, run_id, action_type, timestamp, details, span_id)"
            " SELECT generateUUIDv4() AS id, {run:String}, {kind:String}, now64(3) - {ago:Float64}, {details:String}, toString(id)",
            parameters={"run": run, "kind": f"job_{kind}", "ago": ago, "details": json.dumps({"job_id": job})},
        )


def panel(store: Client, name: str, ref: str = "A", **picked: Value) -> list[dict[str, Any]]:
    """The rows of a panel, with this run chosen."""
    return dashboards.panel(store, name, ref, **{"run": RUN, **picked})


def busy(store: Client) -> tuple[int, float]:
    """How many points *Workers busy* has, and how many seconds of jobs they are."""
    shown = panel(store, "run/Workers busy")
    width = (shown[1]["time"] - shown[0]["time"]).total_seconds() if len(shown) > 1 else 1.0
    return len(shown), width * sum(row["busy"] for row in shown)


def test_workers_are_busy_as_long_as_their_jobs(store: Client) -> None:
    """However long the first evaluations of a search take: their seconds are all there, in some 300 points; a job that a killed process left
    behind days ago lasts until the last sign of life."""
    begun(store, 2 * HOUR)
    told(store, *(("submitted", str(number), 1.5 * HOUR) for number in range(4)))
    points, seconds = busy(store)
    assert 300 <= points <= 360 and seconds == pytest.approx(4 * 1.5 * HOUR, rel=0.01)
    told(store, *(("completed", str(number), HOUR) for number in range(4)))
    made(store, "first", HOUR)
    assert busy(store)[1] == pytest.approx(4 * 0.5 * HOUR, rel=0.01)


def test_a_job_of_a_dead_run_lasts_until_its_last_sign_of_life(store: Client) -> None:
    """And not until today."""
    begun(store, 48 * HOUR)
    told(store, ("submitted", "left behind", 48 * HOUR))
    made(store, "last", 47 * HOUR)
    assert busy(store)[1] == pytest.approx(HOUR, rel=0.01)


def test_jobs_are_running_as_far_as_their_words_go(store: Client) -> None:
    """One that was submitted again, because its process had been killed, runs once, and not after its end; one whose submission is missing
    was never running, and is counted where it ended. `running_jobs` says the same."""
    begun(store, 2 * HOUR)
    told(
        store, ("submitted", "again", 100), ("completed", "of a lost word", 90), ("submitted", "retried", 80), ("failed", "retried", 70),
        ("submitted", "again", 60), ("submitted", "retried", 50), ("completed", "again", 40), ("submitted", "going on", 30),
    )  # fmt: skip
    shown = [(row["running"], row["completed"], row["failed"]) for row in panel(store, "run/Jobs")]
    # Between two words there is a point for each second, at which as many are running as before, and none ended.
    assert len(shown) >= 70
    changes = [after for before, after in pairwise([(0, 0, 0), *shown]) if after[0] != before[0] or any(after[1:])]
    assert changes == [(1, 0, 0), (1, 1, 0), (2, 0, 0), (1, 0, 1), (2, 0, 0), (1, 1, 0), (2, 0, 0)]
    assert [row["job"] for row in queries.ask(store, "running_jobs", run_id=RUN)] == ["retried", "going on"]
    assert [row["job"] for row in panel(store, "run/Running jobs")] == ["retried", "going on"]


def test_a_budget_that_is_spent_is_not_exceeded(store: Client) -> None:
    """Three calls of 0.1 are all of 0.3, and not more, although the sum of the three numbers is: nothing is red; one call more is over it."""
    begun(store, HOUR, budget=0.3)
    for _ in range(3):
        paid(store, 0.1)

    def shown() -> tuple[Any, ...]:
        (row,), (budget,) = panel(store, "runs/Runs"), panel(store, "run/Budget", run=RUN)
        return row["health"], budget["share of budget"], budget["left"]

    assert shown() == ("running", 1.0, 0.0)
    paid(store, 0.001)
    health, share, left = shown()
    assert health == "over budget" and share > 1 and left == pytest.approx(-0.001)


def test_a_run_without_an_individual_has_no_generation(store: Client) -> None:
    """It has no progress, even if it ended, and its newest generation is not its first."""
    for run, status in (("going on", "running"), ("failed at once", "failed"), ("done", "completed")):
        begun(store, HOUR, run, status=status, planned=1)
    made(store, "a", 1, "done")
    shown = {row["run_id"]: row["progress"] for row in panel(store, "runs/Runs")}
    assert shown == {"going on": 0.0, "failed at once": 0.0, "done": 1.0}
    assert [panel(store, "run/Generation", run=run)[0]["generation"] for run in ("failed at once", "done")] == [
        None,
        "0 of 1",
    ]


def test_an_edge_shows_what_the_child_gained(store: Client) -> None:
    """In the direction of the run, as everywhere else, and as it was told last."""
    begun(store, HOUR)
    made(store, "seed", 30, score=5.0)
    made(store, "child", 20, generation=1, score=3.0)
    for delta, ago in ((-1.0, 20), (-2.0, 10)):
        store.command(
            "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, span_id)"
            " SELECT 'run', 'child', 'seed', 1, 'diff', now64(3) - {ago:Int32}, {delta:Float64}, toString({ago:Int32})",
            parameters={"delta": delta, "ago": ago},
        )
    (edge,) = panel(store, "lineage/Tree", ref="edges", individual="child")
    assert (edge["source"], edge["target"], edge["mainstat"], edge["thickness"]) == ("seed", "child", "+2", 2)
    (gain,) = panel(store, "lineage/Largest gains", individual="child")
    assert gain["gain"] == 2.0


def test_a_rate_is_zero_while_nothing_happens(store: Client) -> None:
    """A search that waits does not go on as fast as before: between its first and its last interval none is missing, and of a running
    one the last whole interval is there."""
    for run, status in (("waits", "running"), ("ended", "completed"), ("does nothing", "running")):
        begun(store, HOUR, run, status=status)
        if run != "does nothing":
            for name, ago in (("a", 3000), ("b", 2990), ("c", 1500)):
                made(store, name, ago, run)
    now = datetime.now()
    times = TimeRange(now - timedelta(hours=2), now, 300)
    asked = BY_NAME["genesis-runs/Individuals per hour by run/A"]
    rows = store.query(sent(asked.sql, chosen(BOARDS[asked.board]), times, everything_in(store)[2])).named_results()
    points: dict[str, list[tuple[datetime, float]]] = {}
    for row in rows:
        points.setdefault(row["run_id"], []).append((row["time"], row["individuals"]))
    for run, told in points.items():
        steps = {(after - before).total_seconds() for (before, _), (after, _) in pairwise(told)}
        assert steps <= {300.0}, run
    assert {run: sum(rate for _, rate in told) * 300 / HOUR for run, told in points.items()} == {
        "waits": 3.0, "ended": 3.0, "does nothing": 0.0
    }  # fmt: skip
    assert points["waits"][-1][1] == 0.0 < points["ended"][-1][1]
    assert points["waits"][-1][0] == points["does nothing"][-1][0] > points["ended"][-1][0]


def test_copies_are_no_individuals_of_a_trace(store: Client) -> None:
    """*Traces* counts neither them nor their failures, as no other panel does."""
    begun(store, HOUR)
    for name, how, status in (("a", "diff", "ok"), ("b", "diff", "error"), ("c", "migration", "error")):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, timestamp, mutation_type, status, trace_id, span_id)"
            " SELECT 'run', {name:String}, now64(3) - 60, {how:String}, {status:String}, 'trace', {name:String}",
            parameters={"name": name, "how": how, "status": status},
        )
    (row,) = panel(store, "traces/Traces", run=ALL)
    assert (row["individuals"], row["failed"]) == (2, 1)
    assert sum(row["individuals"] for row in panel(store, "traces/What was recorded", run=ALL)) == 2


def test_what_a_group_of_errors_shows_is_of_its_latest(store: Client) -> None:
    """The model, too, not only the run."""
    for number in range(20):
        store.command(
            "INSERT INTO llm_logs (id, run_id, model, status, error, timestamp, span_id) SELECT generateUUIDv4(), 'run', {model:String}, 'error',"
            " {error:String}, now64(3) - {ago:Int32}, {model:String}",
            parameters={"model": f"m{number}", "error": f"status {number}", "ago": 600 - number},
        )
    begun(store, HOUR)
    (row,) = panel(store, "llm/Kinds of errors", run=ALL)
    assert (row["error"], row["calls"], row["model"]) == ("status N", 20, "m19")


def test_the_costs_of_components_are_numbers(store: Client) -> None:
    """Those of an individual that told none are in no sum, as in the run's cost."""
    begun(store, HOUR)
    for name, api in (("a", 0.5), ("b", math.nan), ("c", math.inf)):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, timestamp, api_cost, embed_cost, span_id)"
            " SELECT 'run', {name:String}, now64(3) - 60, {api:Float64}, 0.25, {name:String}",
            parameters={"name": name, "api": api},
        )
    (row,) = queries.ask(store, "cost_breakdown", run_id=RUN)
    assert (row["total_mutation_cost"], row["total_embedding_cost"], row["total_cost"]) == (0.5, 0.25, 0.75)
    assert row["run_cost"] == pytest.approx(0.75)
    shown = {row["component"]: row["cost"] for row in panel(store, "run/Cost by component")}
    assert shown == {"mutation": 0.5, "embedding": 0.25, "novelty": 0.0, "beside the individuals": 0.0}


def test_a_legend_sums_up_parts_only() -> None:
    """Where its series are stacked; the cost per individual of each generation has no sum."""
    for asked in BY_NAME.values():
        if asked.type in ("timeseries", "trend"):
            stacked = asked.panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal"
            assert asked.panel["options"]["legend"]["calcs"] == (["sum"] if stacked else ["lastNotNull"]), str(asked)


def test_a_pause_of_a_resumed_search_does_not_count(store: Client) -> None:
    """*Individuals per hour* are of the hours in which it worked: two in the first half hour, and one in the quarter of an hour since it was
    resumed. One that ended before its run began, by another clock, counts, and took no time."""
    begun(store, 24 * HOUR)
    for name, ago in (("a", 24 * HOUR - 600), ("b", 23.5 * HOUR), ("c", 1), ("skewed", 24 * HOUR + 5)):
        made(store, name, ago)
    begun(store, HOUR / 4)
    (row,) = panel(store, "runs/Individuals per hour")
    assert row["individuals"] == pytest.approx(4 / 0.75, rel=0.01)


def test_a_rate_of_spending_is_zero_while_nothing_is_spent(store: Client) -> None:
    """Also before the second individual is there: in *Cost burn*, a day without a call is not as expensive as the hours around it."""
    begun(store, 48 * HOUR)
    for ago in (47 * HOUR, 46 * HOUR, 10):
        store.command(
            "INSERT INTO llm_logs (id, run_id, timestamp, cost, cost_source, span_id)"
            " SELECT generateUUIDv4() AS id, 'run', now64(3) - {ago:Float64}, 1, 'told', toString(id)",
            parameters={"ago": ago},
        )
    shown = panel(store, "run/Cost burn")
    assert 300 <= len(shown) <= 320 and sum(row["USD per hour"] > 0 for row in shown) == 3
    assert [row["spent so far"] for row in shown] == sorted(row["spent so far"] for row in shown)
    assert shown[-1]["spent so far"] == 3.0
