"""Panels and alert rules on searches that went badly, against plain SQL: a figure means the same wherever it is shown, and it is what
the rows say. One store was recorded by this version; the other is 0.1.0's, upgraded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.support.alert_rules import NAMES, RULES, fires
from tests.support.bad_searches import batches
from tests.support.dashboards import BOARDS, BY_NAME, chosen, everything_in, finite, panel
from tests.support.grafana_query import Value, sent
from tests.support.old_store import opened, unpacked
from tests.support.panel_shapes import SHAPES
from tests.support.searched import stored


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


def test_a_figure_is_what_the_rows_say_wherever_it_is_shown(client: Client) -> None:
    """Of each run: in *Runs*, *Run*, *LLM* and *Compare*, its individuals, best, waits, improvements, calls, errors, costs and percentiles
    are those counted from plain rows; and a cost is the same in every place."""
    runs, _, _ = everything_in(client)
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
    _, times, everything = everything_in(upgraded)
    for name, asked in BY_NAME.items():
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
