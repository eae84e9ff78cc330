"""The dashboards on unusual searches: without an individual, with only failures, with scores that are NaN or below
zero, with a budget of zero or a million, and with names that contain SQL, JavaScript, Grafana's syntax, or 200 characters."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.dashboards import BOARDS, answer, around_now, chosen, queries_of
from tests.support.grafana_query import TimeRange, Value, sent
from tests.support.panel_shapes import SHAPES, settings_fit
from tests.support.recording import record
from tests.support.searched import stored

SECOND = 1_000_000_000
NAMES = (
    "$& $` $' $$ ${run} $__all $__timeFilter(x)",
    "100% %s %25 a+b c&d #e ?f=g back\\slash\\n\\",
    "tab\tnew\nline '\"`; DROP TABLE x -- /* {a,b} @climb(x) {x:String}",
    "日本語🧬" * 10 + "x" * 160,
)
"""Names of runs, tasks, models, mutation types, metrics and individuals."""

TOLD: dict[str, dict[str, Any]] = {
    "nobody": {"scores": ()},
    "failures": {"scores": (None,), "answers": False},
    "losses": {"scores": (-5.0, -1e9, -3.0, -1e-300), "direction": "min"},
    "no numbers": {"scores": (math.nan, math.inf, -math.inf, 1.0)},
    "huge": {"scores": (-1e300, 1e300, 0.0, 1e299)},
    "rich": {"scores": (1.0, 2.0), "budget": 1e6, "cost": 1e5, "ends": False},
    "broke": {"scores": (1.0, 2.0), "budget": 0.0, "ends": False},
    **{name: {"scores": (0.1, 0.5, 0.3, 0.9), "name": name} for name in NAMES},
}
EVERY: dict[str, tuple[str, ...]] = {
    "run": tuple(TOLD),
    "runs": tuple(TOLD),
    "task": ("task", *NAMES),
    "model": ("model", *NAMES),
}


def search(
    run_id: str,
    *,
    scores: Sequence[float | None],
    name: str = "",
    direction: str | None = None,
    budget: float | None = None,
    cost: float = 0.01,
    answers: bool = True,
    ends: bool = True,
) -> Sequence[ReadableSpan]:
    """Three generations of four, half an hour ago; ``name`` is that of all that has one."""
    now = time.time_ns() - 1800 * SECOND
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        objectives = {name or "first": "max", "second": "min"}
        run = spans.run(
            name or "task",
            run_id=run_id,
            direction=direction,
            budget=budget,
            objectives=objectives,
            config={"num_generations": 5},
            start_time=now,
        )
        for number in range(12 if scores else 0):
            generation = run.generation(number // 4, start_time=now)
            parents = (f"{name}{number - 4}",) if number >= 4 else ()
            how = (name or "mutate") if parents else "init"
            individual = generation.individual(f"{name}{number}", parents=parents, mutation_type=how, start_time=now)
            call = individual.llm_call(name or "model", provider="openai", messages="Improve.", start_time=now)
            now += SECOND
            if answers:
                call.response("Done.", input_tokens=10, output_tokens=10, cost=cost)
            else:
                call.fail(TimeoutError("no\x00 answer '\\"))
            call.end(now)
            job = individual.evaluation(f"job{name}{number}", start_time=now)
            score = scores[number % len(scores)]
            if score is None:
                job.fail(ValueError("it's \\"))
                individual.fail("it's $& \\")
            else:
                job.result(correct=True, combined_score=score)
                metrics = {name or "first": score, "second": -score}
                individual.record(
                    fitness=score, combined=score, metrics=metrics, code=f"code {number % 3}", island=name
                )
            job.end(now + SECOND)
            individual.end(now + SECOND)
            now += 2 * SECOND
            if number % 4 == 3:
                generation.end(end_time=now)
        if ends:
            run.end(end_time=now)
        return recorded.spans


@pytest.fixture(scope="module")
def store(engine: Path) -> Iterator[Client]:
    """A client on a database with all of them."""
    with stored(
        engine, "hard_searches", [span for run_id, told in TOLD.items() for span in search(run_id, **told)]
    ) as client:
        yield client


def of_run(client: Client, run_id: str) -> dict[str, Value]:
    """The variables of a person who looks at this run."""
    best = "SELECT max(individual_id), max(trace_id) FROM individuals WHERE run_id = {run:String}"
    individual, trace = client.query(best, parameters={"run": run_id}).result_rows[0]
    name = TOLD[run_id].get("name")
    return {
        "run": run_id, "runs": (run_id,), "individual": individual, "trace": trace, "x": name or "first", "y": "second",
        "task": (name or "task",), "model": (name or "model",),
    }  # fmt: skip


def seen(client: Client, uid: str, picked: Mapping[str, Value], times: TimeRange) -> dict[str, Any]:
    """The answers of all queries on a dashboard, each in the shape of its panel and without a number that cannot be
    drawn."""
    board, shown = BOARDS[uid], {}
    several = {each["name"] for each in board["templating"]["list"] if each.get("multi")}
    for asked in queries_of(board):
        values = chosen(board)
        for name in values.keys() & picked.keys():
            value = picked[name]
            values[name] = (value,) if name in several and isinstance(value, str) else value
        result = client.query(sent(asked.sql, values, times, EVERY))
        numbers = [value for row in result.result_rows for value in row if isinstance(value, float)]
        assert all(math.isfinite(value) for value in numbers), str(asked)
        # A series with only unknown values draws nothing, as it should; traces are tested elsewhere.
        drawn = any(isinstance(value, (int, float)) for row in result.result_rows for value in row)
        if result.result_rows and asked.type != "traces" and (drawn or asked.type != "timeseries"):
            SHAPES[asked.type](asked, result)
        settings_fit(asked, result)
        shown[str(asked)] = result.result_rows
    return shown


@pytest.mark.parametrize("uid", ["genesis-run", "genesis-lineage"])
@pytest.mark.parametrize("run_id", TOLD, ids=lambda run: run[:20])
def test_panels_show_an_unusual_search(store: Client, run_id: str, uid: str) -> None:
    """For any of these searches, each panel that shows it has an answer that it can draw."""
    seen(store, uid, of_run(store, run_id), around_now())


@pytest.mark.parametrize("uid", ["genesis-runs", "genesis-llm", "genesis-pipeline", "genesis-compare"])
def test_panels_show_all_searches_together(store: Client, uid: str) -> None:
    """With every variable at All, with each value selected, and in a time range without data."""
    now = around_now()
    seen(store, uid, {}, now)
    seen(store, uid, {**EVERY, "x": "first", "y": "second"}, now)
    before = TimeRange(now.start - timedelta(days=900), now.start - timedelta(days=890), 3600)
    seen(store, uid, {}, before)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_hostile_name_selects_its_own_rows(store: Client, name: str) -> None:
    """Selecting a run, a task or a model with such a name shows all of its individuals and calls, and no others."""
    shown = seen(store, "genesis-llm", {"task": (name,), "run": (name,), "model": (name,)}, around_now())
    assert shown["genesis-llm/Calls/A"][0][0] == 12
    (best,) = (each for each in queries_of(BOARDS["genesis-run"]) if each.title == "Best score")
    assert answer(store, best, of_run(store, name), around_now()).result_rows == [(0.9,)]


def test_runs_beyond_the_limit_are_counted(engine: Path) -> None:
    """*Runs* shows the newest hundred, and says how many others were alive in the time range."""
    began = time.time_ns() - 3600 * SECOND
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch)
        for number in range(103):
            run = spans.run("task", run_id=f"run {number:03}", start_time=began + number * SECOND)
            if number % 2:
                run.end(end_time=began + (number + 1) * SECOND)
        ended = recorded.spans
    with stored(engine, "many_searches", ended) as client:
        shown = seen(client, "genesis-runs", {}, around_now())
        assert len(shown["genesis-runs/Runs/A"]) == 100
        running, stalled, not_shown = shown["genesis-runs/Running/A"][0]
        assert (running + stalled, not_shown) == (50, 3)
        assert {row[0] for row in shown["genesis-runs/Runs/A"]} == {f"run {number:03}" for number in range(3, 103)}
