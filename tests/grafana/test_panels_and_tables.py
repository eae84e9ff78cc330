"""Panels and alert rules on searches that went badly, against plain SQL: a figure means the same wherever it is shown, and it is what
the rows say. One store was recorded by this version; the other is 0.1.0's, upgraded."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.grafana.test_alerts import NAMES, RULES, fires
from tests.grafana.test_dashboards import SHAPES
from tests.store.test_fixtures_v0_1_0 import opened, unpacked
from tests.support.dashboards import chosen, dashboards, finite, queries_of
from tests.support.grafana_query import TimeRange, Value, sent
from tests.support.recording import record
from tests.support.searched import stored

BOARDS = dashboards()
ASKED = {str(asked): asked for board in BOARDS.values() for asked in queries_of(board)}
SECOND = 1_000_000_000
FAILED, UNSCORED, INCORRECT = "failed", "unscored", "incorrect"
HOSTILE = "'; DROP TABLE x -- $' $& $$ \\"

Outcome = float | str


class Part(NamedTuple):
    """What one process records of a search."""

    outcomes: Sequence[Outcome]
    """A score for each individual, or why it has none."""
    ago: float
    """Minutes since the process began; it makes an individual every second."""
    ends: bool = True


class Search(NamedTuple):
    """A search that went badly, in one process or several."""

    parts: Sequence[Part]
    task: str = "task"
    model: str = "model"
    budget: float | None = None
    direction: str | None = None
    errors: int = 0
    """Every how many calls one fails; never if 0."""
    twice: bool = False
    """Whether half of its spans are delivered again."""
    config: Mapping[str, Any] = MappingProxyType({"num_generations": 9})


WELL: Sequence[Outcome] = (1.0, 2.0, FAILED, 3.0, 2.5, 4.0)
SEARCHES = {
    "only failures & no score": Search([Part([FAILED] * 6, 40)], task="$'"),
    "below zero": Search([Part([-5.0, -3.0, -1e9, -3.0, -2.5], 40)], task="$$"),
    "less is better #1": Search([Part([5.0, 3.0, 4.0, -1.0, 0.0], 40)], direction="min"),
    "resumed + twice": Search([Part(WELL, 55, ends=False), Part((1.0, 5.0), 45), Part((4.5, 6.0), 35)]),
    "several processes'": Search([Part(WELL, 40, ends=False), Part((2.2, 3.5, FAILED), 40, ends=False), Part((), 38)]),
    "budget of $0": Search([Part(WELL, 1, ends=False)], budget=0.0),
    "budget of $0 & unspent": Search([Part((), 1, ends=False)], budget=0.0),
    "overspent 🧬": Search([Part(WELL, 1, ends=False)], budget=0.05, model="it's \"quoted\" $'"),
    "one": Search([Part([0.5], 40)], model="$$ `"),
    "unscored": Search([Part([UNSCORED] * 4, 40)]),
    "incorrect": Search([Part([INCORRECT, 7.0, INCORRECT, 8.0], 40)]),
    "never ended": Search([Part(WELL, 3 * 24 * 60, ends=False)]),
    "silent": Search([Part(WELL, 30, ends=False)]),
    "calls fail": Search([Part([1.0] * 30, 2, ends=False)], errors=2),
    "told twice": Search([Part((*WELL, INCORRECT) * 2, 40)], errors=3, twice=True),
    "few calls told twice": Search(
        [Part([float(number) for number in range(15)], 1, ends=False)], errors=2, twice=True
    ),
    "well": Search([Part(WELL, 1, ends=False)], budget=100.0),
    "nobody": Search([Part((), 40)]),
    HOSTILE: Search([Part(WELL, 40)], task=HOSTILE, model=HOSTILE),
}


def told(run_id: str, search: Search) -> Iterator[Sequence[ReadableSpan]]:
    """The spans of each process of a search, and those that are delivered again."""
    for number, part in enumerate(search.parts):
        with pytest.MonkeyPatch.context() as patch:
            recorded = record(patch, through=LLMSpanProcessor)
            _process(run_id, search, part, number)
            made = recorded.spans
        yield made
        if search.twice:
            yield made[1:]


def batches() -> Iterator[Sequence[ReadableSpan]]:
    """All of them: the n-th that each search sends goes in with the n-th of the others, because an insert takes a second."""
    for several in itertools.zip_longest(*(told(*named) for named in SEARCHES.items()), fillvalue=()):
        yield [span for each in several for span in each]


def _process(run_id: str, search: Search, part: Part, number: int) -> None:
    now = time.time_ns() - int(part.ago * 60) * SECOND
    run = spans.run(
        search.task, run_id=run_id, budget=search.budget, direction=search.direction, config=search.config, start_time=now
    )  # fmt: skip
    for place, outcome in enumerate(part.outcomes):
        generation = run.generation(10 * number + place // 2, start_time=now)
        individual = generation.individual(f"{number}#{place}", mutation_type="init", start_time=now)
        call = individual.llm_call(search.model, messages="Improve.", start_time=now)
        if search.errors and place % search.errors == 0:
            call.fail(TimeoutError("429"))
        else:
            call.response("Done.", input_tokens=10, output_tokens=10, cost=0.01 * (place + 1))
        now += SECOND // 2 + place * 1000
        call.end(now)
        job = individual.evaluation(f"{number} {place}", start_time=now)
        if outcome == FAILED:
            job.fail(ZeroDivisionError(HOSTILE))
            individual.fail(HOSTILE)
        elif outcome == UNSCORED:
            individual.record(code="unscored")
        else:
            score = 9.0 if isinstance(outcome, str) else outcome
            job.result(correct=outcome != INCORRECT, combined_score=score)
            individual.record(fitness=score, code=f"code {place % 3}")
        now += SECOND // 2
        job.end(now)
        individual.end(now)
        if place % 2 or place == len(part.outcomes) - 1:
            generation.end(end_time=now)
    if part.ends:
        run.end(end_time=now + SECOND)


@pytest.fixture(scope="module")
def recorded(engine: Path) -> Iterator[Client]:
    """A client on a database of these searches."""
    with stored(engine, "bad_searches", *batches()) as client:
        yield client


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client on 0.1.0's store, which the start of the store process upgraded."""
    with opened(unpacked("store", tmp_path_factory.mktemp("store_of_0_1_0"))) as client:
        yield client


@pytest.fixture(params=["recorded", "upgraded"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each of the two."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Client)
    return found


# --- what the rows say ---------------------------------------------------------------------------------------------------


def figures(client: Client, run_id: str) -> dict[str, Any]:
    """A run's figures, counted here from plain rows."""
    made = _once(client, "individual_id, timestamp, fitness_score, status, mutation_type", "individuals", run_id)
    calls = _once(client, "span_id, timestamp, execution_time, status, cost, unpriced", "llm_logs", run_id)
    direction = client.query("SELECT any(direction) FROM evolution_runs WHERE run_id = {run:String}", {"run": run_id})
    sign = -1 if direction.result_rows[0][0] == "min" else 1
    own = [row for row in made if row["mutation_type"] not in ("migration", "migrant", "copy")]
    best: float | None = None
    waited: int | None = None
    improvements, gained = 0, 0.0
    for row in sorted(own, key=lambda row: (row["timestamp"], row["individual_id"])):
        waited = None if waited is None else waited + 1
        score = row["fitness_score"]
        if row["status"] != "ok" or score is None or not math.isfinite(score):
            continue
        if best is None or sign * score > best:
            gained += 0 if best is None else sign * score - best
            improvements += best is not None
            best, waited = sign * score, 0
    seconds = sorted(row["execution_time"] for row in calls if row["execution_time"] > 0)
    failed = [row for row in own if row["status"] != "ok"]
    return {
        "individuals": len(own),
        "failed": len(failed) / len(own) if own else None,
        "best": None if best is None else sign * best,
        "waited": waited,
        "improvements": improvements,
        "gained": gained,
        "calls": len(calls),
        "errors": sum(row["status"] != "ok" for row in calls) / len(calls) if calls else None,
        "called": sum(row["cost"] for row in calls),
        "unpriced": sum(row["unpriced"] for row in calls),
        "p95": _quantile(seconds, 0.95),
    }


def _once(client: Client, columns: str, table: str, run_id: str) -> list[dict[str, Any]]:
    """Rows of a run by their first column, however often they were delivered."""
    answer = client.query(f"SELECT {columns} FROM {table} WHERE run_id = {{run:String}}", {"run": run_id})
    return list({row[0]: dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows}.values())


def _quantile(numbers: Sequence[float], level: float) -> float | None:
    if not numbers:
        return None
    place = level * (len(numbers) - 1)
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return numbers[below] + (place - below) * (numbers[above] - numbers[below])


def of(client: Client) -> tuple[tuple[str, ...], TimeRange, dict[str, tuple[str, ...]]]:
    """The runs of a store, a time range that contains them, and what *All* stands for."""
    runs = client.query("SELECT run_id, task_name, start_time FROM evolution_runs ORDER BY run_id").result_rows
    models = client.query("SELECT DISTINCT toString(model) FROM llm_logs ORDER BY 1").result_rows
    (ends,) = client.query("SELECT toUnixTimestamp(now()) + 60").result_rows[0]
    names = tuple(str(row[0]) for row in runs)
    began = min(row[2] for row in runs)
    tasks = tuple(sorted({str(row[1]) for row in runs}))
    times = TimeRange(began - timedelta(hours=1), _moment(began, ends), 60)
    return names, times, {"run": names, "runs": names, "task": tasks, "model": tuple(str(row[0]) for row in models)}


def _moment(like: Any, seconds: int) -> Any:
    return type(like).fromtimestamp(seconds, tz=like.tzinfo)


def panel(client: Client, name: str, **picked: Value) -> list[dict[str, Any]]:
    """The rows of a panel, with these variables set and every other one at its default."""
    asked = ASKED[f"genesis-{name}/A"]
    _, times, everything = of(client)
    values = {**chosen(BOARDS[asked.board]), **picked}
    return list(client.query(sent(asked.sql, values, times, everything)).named_results())


def test_a_figure_is_what_the_rows_say_wherever_it_is_shown(client: Client) -> None:
    """Of each run: in *Runs*, *Run*, *LLM* and *Compare*, its individuals, best, waits, improvements, calls, errors, costs and percentiles
    are those counted from plain rows; and a cost is the same in every place."""
    runs, _, _ = of(client)
    listed = {row["run_id"]: row for row in panel(client, "runs/Runs")}
    beside = {row["run_id"]: row for row in panel(client, "compare/Side by side", runs=runs)}
    by_run = {row["run_id"]: row for row in panel(client, "runs/Cost by run")}
    assert set(listed) == set(beside) == set(runs)
    found, expected = {}, {}
    for run_id in runs:
        rows, shown, compared = figures(client, run_id), listed[run_id], beside[run_id]
        one = {
            name: panel(client, f"run/{name}", run=run_id)
            for name in ("Best score", "Cost", "Failed individuals", "Since the last improvement")
        }
        llm = {name: panel(client, f"llm/{name}", run=(run_id,))[0] for name in ("Calls", "Errors", "Cost", "p95")}
        cost = shown["cost"] or 0.0
        expected[run_id] = {
            "best": [rows["best"]] * 3,
            "individuals": [rows["individuals"]] * 2,
            "failed": [rows["failed"]] * 3,
            "waited": [rows["waited"]] * 2,
            "improvements": [rows["improvements"]],
            "gain": [rows["gained"] / cost if cost and rows["individuals"] else None] * 2,
            "cost": [cost] * 3,
            "unpriced": [rows["unpriced"]] * 5,
            "calls": [rows["calls"], rows["errors"], rows["called"], rows["p95"], rows["p95"]],
        }
        found[run_id] = {
            "best": [shown["best"], compared["best"], _first(one["Best score"], "best")],
            "individuals": [shown["individuals"], compared["individuals"]],
            "failed": [shown["failed"], compared["failed"], _sum(one["Failed individuals"])],
            "waited": [shown["waited"], _first(one["Since the last improvement"], "individuals")],
            "improvements": [compared["improvements"]],
            "gain": [shown["gain_per_dollar"], compared["gain_per_dollar"]],
            "cost": [compared["cost"] or 0.0, _first(one["Cost"], "cost") or 0.0, by_run.get(run_id, {}).get("total_cost", 0.0)],
            "unpriced": [
                *(row["unpriced"] or 0 for row in (shown, compared, llm["Cost"])), _first(one["Cost"], "unpriced") or 0,
                by_run.get(run_id, {}).get("unpriced", 0),
            ],
            "calls": [*(next(iter(llm[name].values())) for name in ("Calls", "Errors", "Cost", "p95")), compared["llm_p95"]],
        }  # fmt: skip
    different = [
        (run_id, name, found[run_id][name], wanted)
        for run_id, all_of_it in expected.items()
        for name, wanted in all_of_it.items()
        if found[run_id][name] != [None if each is None else pytest.approx(each, rel=1e-6, abs=1e-9) for each in wanted]
    ]
    assert different == []


def _first(rows: Sequence[Mapping[str, Any]], column: str) -> Any:
    return rows[0][column] if rows else None


def _sum(rows: Sequence[Mapping[str, Any]]) -> Any:
    return sum(rows[0].values()) if rows else None


def test_runs_say_which_search_to_stop(recorded: Client) -> None:
    """The status of a running search names what its alert fires for; a handful of failed calls, delivered twice, is no reason."""
    health = {row["run_id"]: row["health"] for row in panel(recorded, "runs/Runs")}
    assert {run_id: health[run_id] for run_id in ("budget of $0", "overspent 🧬", "calls fail", "silent")} == {
        "budget of $0": "over budget",
        "overspent 🧬": "over budget",
        "calls fail": "LLM errors",
        "silent": "stalled",
    }
    assert {health[run_id] for run_id in ("well", "few calls told twice")} == {"improving"}
    assert health["budget of $0 & unspent"] == "running"


# --- alerts --------------------------------------------------------------------------------------------------------------


FIRING = {
    "run stalled": [("silent", "task")],
    "LLM error rate": [("calls fail",)],
    "cost over budget": [("budget of $0", "0"), ("overspent 🧬", "0.05")],
}
"""The labels for which a rule fires on these searches; the other rules do not."""


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_fires_for_the_searches_that_it_is_about(recorded: Client, name: str) -> None:
    """And for no other: not for a run that ended badly, was killed days ago, has no score, spent nothing of a budget of 0, or whose few
    calls were delivered twice."""
    assert fires(recorded, name) == FIRING.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_gives_each_search_one_number(client: Client, name: str) -> None:
    """What Grafana evaluates: one number, finite, and texts that no two rows share; a second query has the same texts."""
    labels = []
    for told_to in RULES[name]["data"][:-1]:
        answer = client.query(told_to["model"]["rawSql"])
        if not answer.result_rows:
            continue
        texts = [at for at, kind in enumerate(answer.column_types) if "String" in kind.name]
        (number,) = set(range(len(answer.column_types))) - set(texts)
        assert all(finite(row[number]) for row in answer.result_rows)
        labels.append({tuple(row[at] for at in texts) for row in answer.result_rows})
        assert len(labels[-1]) == len(answer.result_rows)
    assert all(each == labels[0] for each in labels)


# --- an upgraded store ---------------------------------------------------------------------------------------------------


def test_every_query_answers_on_an_upgraded_store(upgraded: Client) -> None:
    """With the first of its runs chosen, whose scores are everything from negative to NaN: numbers can be drawn, and an answer has the
    shape of its panel."""
    _, times, everything = of(upgraded)
    for name, asked in ASKED.items():
        several = {each["name"] for each in BOARDS[asked.board]["templating"]["list"] if each.get("multi")}
        known: dict[str, Value] = {"run": ("full",), "runs": ("full",), "x": "radii", "y": "size", "individual": "seed"}
        values = chosen(BOARDS[asked.board])
        for variable in values.keys() & known.keys():
            picked = known[variable]
            values[variable] = picked if variable in several or isinstance(picked, str) else picked[0]
        answer = upgraded.query(sent(asked.sql, values, times, everything))
        assert all(finite(value) for row in answer.result_rows for value in row if isinstance(value, float)), name
        drawn = any(isinstance(value, int | float) for row in answer.result_rows for value in row)
        if answer.result_rows and asked.type != "traces" and (drawn or asked.type != "timeseries"):
            SHAPES[asked.type](asked, answer)
