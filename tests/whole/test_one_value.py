"""One value each: every view of a search shows the same value, on searches that are hard to count.

The searches and their true values are in `tests/support/hard_cases.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._cli.watch_screen import State, screen
from genesis_otel._emit.member import COPIES
from genesis_otel._read.ancestry import ancestors
from genesis_otel._read.client import individual_id_of
from genesis_otel._read.report_data import gather
from genesis_otel._read.watch import look
from tests.support import hard_cases
from tests.support.dashboards import ASKED, BOARDS, Asked, around_now, chosen, panels_of
from tests.support.grafana_query import Value, sent
from tests.support.hard_cases import DOWNWARDS, FLAT, TASK, TRUTHS, UPWARDS
from tests.support.searched import stored

RUNS = tuple(TRUTHS)
GIVEN = {"task": TASK, "individual_ids": ["four_best", "one_nan", "seed_broken"], "run_ids": list(RUNS)}


@pytest.fixture(scope="module")
def store(engine: Path) -> Iterator[Client]:
    """A client on a database with all the hard searches."""
    with stored(engine, "hard_cases", hard_cases.hard_spans()) as client:
        yield client


def of_board(client: Client, board: str, title: str, run: str, ref: str = "A", **others: str) -> list[dict[str, Any]]:
    """What a panel shows about a run."""
    (asked,) = (each for each in ASKED if (each.board, each.title, each.ref) == (board, title, ref))
    return list(
        client.query(sent(asked.sql, variables(asked, run, **others), around_now(), EVERYTHING)).named_results()
    )


EVERYTHING = {"task": (TASK,), "run": RUNS, "model": (hard_cases.PRICED, hard_cases.UNPRICED), "runs": RUNS}


def variables(asked: Asked, run: str, **others: str) -> dict[str, Value]:
    """The variables of a dashboard as a link to the run sets them."""
    return chosen(BOARDS[asked.board], run, runs=RUNS, individual=TRUTHS[run].best_individual, **others)


def asked_of_all(client: Client, name: str, run: str) -> list[dict[str, Any]]:
    """The rows of a named query about a run."""
    takes = {each.name for each in queries.load(name).parameters}
    return queries.ask(client, name, **{key: value for key, value in {**GIVEN, "run_id": run}.items() if key in takes})


# --- the best ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUNS)
def test_the_best_is_the_same_everywhere(store: Client, run: str) -> None:
    """Its score is the same in runs, watch, summary, report, named queries, generations and dashboards; so is its id
    wherever one is shown, and lineage starts from it by default."""
    true = TRUTHS[run]
    report, seen = gather(store, run, top=3), look(store, run)
    summary, columns = report["answers"]["run"], report["answers"]["run/individuals"]["columns"]
    compared = [score for score in columns["score"] if score is not None]
    (listed,) = (row for row in queries.ask(store, "runs") if row["run_id"] == run)
    (side,) = (row for row in of_board(store, "genesis-compare", "Side by side", run) if row["run_id"] == run)
    (overview,) = (row for row in of_board(store, "genesis-runs", "Runs", run) if row["run_id"] == run)
    minimises = summary["direction"] == "min"
    of_generations = [row["best_score"] for row in asked_of_all(store, "fitness_trajectory", run)]
    scores = [score for score in of_generations if score is not None]
    stored = [
        row[0]
        for row in store.query(
            "SELECT best_score FROM generations WHERE run_id = {run:String} AND best_score IS NOT NULL",
            parameters={"run": run},
        ).result_rows
    ]
    of_run = of_board(store, "genesis-run", "Best score", run)
    told = {
        "runs": listed["best_score"],
        "watch": seen.pulse["best_score"],
        "summary": summary["best_score"],
        "the report's columns": (min if minimises else max)(compared, default=None),
        "best_so_far": asked_of_all(store, "best_so_far", run)[-1]["best_so_far"],
        "top_individuals": next((row["fitness_score"] for row in asked_of_all(store, "top_individuals", run)), None),
        "the table generations": (min if minimises else max)(stored, default=None),
        "generations": (min if minimises else max)(scores, default=None),
        "Run": of_run[0]["best"] if of_run else None,
        "Run, its line": of_board(store, "genesis-run", "Fitness over time", run)[-1]["best so far"],
        "Runs": overview["best"],
        "Compare": side["best"],
    }
    assert told == dict.fromkeys(told, true.best_score)
    if true.best_score is None:
        return
    of_lineage = of_board(store, "genesis-lineage", "$individual", run, "")
    named = {
        listed["best_individual"],
        seen.pulse["best_individual"],
        summary["best_individual"],
        next(iter(report["individuals"])),
        individual_id_of(store, run, ""),
        ancestors(store, run, individual_id_of(store, run, ""))[-1].individual_id,
        asked_of_all(store, "lineage", run)[-1]["id"] if run in (UPWARDS, DOWNWARDS) else true.best_individual,
        of_lineage[0]["individual_id"],
        of_board(store, "genesis-run", "Top individuals", run)[0]["individual_id"],
    }
    assert named == {true.best_individual}
    generation = {seen.pulse["best_generation"], summary["best_generation"], side["reached_in_generation"]}
    assert generation == {true.best_generation}


@pytest.mark.parametrize("run", RUNS)
def test_improvements_are_the_same_everywhere(store: Client, run: str) -> None:
    """Their number, their gains and the time of the last one; each is an improving point and an annotation."""
    true = TRUTHS[run]
    summary, pulse = gather(store, run, top=0)["answers"]["run"], look(store, run).pulse
    gains = [row["improvement"] for row in asked_of_all(store, "generation_improvements", run)]
    stars = [each for each in asked_of_all(store, "individual_points", run) if each["improved"]]
    marks = of_board(store, "genesis-run", "Breakthroughs", run, "")
    (overview,) = (row for row in of_board(store, "genesis-runs", "Runs", run) if row["run_id"] == run)
    assert {len(stars), len(marks), pulse["improvements"], summary["improvements"]} == {true.improvements}
    assert all(star["best_so_far"] == star["score"] for star in stars)
    assert {row["text"].split(":")[0] for row in marks} == {star["individual_id"] for star in stars}
    for gained in (sum(gains), sum(star["gain"] for star in stars), pulse["gained"], summary["gained"]):
        assert gained == pytest.approx(true.gained)
    assert pulse["since_improvement"] == summary["since_improvement"] == true.since_improvement
    # In individuals: those that finished after the best.
    waited = [row["individuals"] for row in of_board(store, "genesis-run", "Since the last improvement", run)]
    order = [each["individual_id"] for each in asked_of_all(store, "individual_points", run) if not each["copied"]]
    after = len(order) - 1 - order.index(true.best_individual) if true.best_score is not None else None
    assert {overview["waited"], *waited} == {after}


def test_events_come_in_the_order_in_which_they_finished(store: Client) -> None:
    """An improvement in a faster, later generation comes first; the best so far never gets worse."""
    points = asked_of_all(store, "individual_points", UPWARDS)
    told = [fact.id for fact in (*hard_cases.BEFORE, *hard_cases.AFTER)]
    assert [each["individual_id"] for each in points] == [*told, "four_copied"]
    assert [each["individual_id"] for each in points if each["improved"]] == ["one_better", "three_early", "four_best"]
    line = [each["best_so_far"] for each in points]
    assert line == sorted(line)
    assert [each["reached"] for each in points] == sorted(each["reached"] for each in points)
    falling = [each["best_so_far"] for each in asked_of_all(store, "individual_points", DOWNWARDS)]
    assert falling == sorted(falling, reverse=True)


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUNS)
def test_the_cost_is_the_same_everywhere(store: Client, run: str) -> None:
    """In runs, watch, summary, report, run_costs, generation_costs and dashboards, each with the number of calls
    without a price."""
    true = TRUTHS[run]
    summary, seen = gather(store, run, top=0)["answers"]["run"], look(store, run)
    (listed,) = (row for row in queries.ask(store, "runs") if row["run_id"] == run)
    (side,) = (row for row in of_board(store, "genesis-compare", "Side by side", run) if row["run_id"] == run)
    (overview,) = (row for row in of_board(store, "genesis-runs", "Runs", run) if row["run_id"] == run)
    burnt = of_board(store, "genesis-run", "Cost burn", run)
    so_far = [row for row in of_board(store, "genesis-runs", "Cost so far", run) if row["run_id"] == run]
    by_generation = asked_of_all(store, "generation_costs", run)
    of_run = [row for row in queries.ask(store, "run_costs") if row["run_id"] == run]
    told = {
        "runs": (listed["cost"], listed["unpriced"]),
        "watch": (seen.pulse["cost"], seen.pulse["unpriced"]),
        "report": (summary["cost"], summary["unpriced"]),
        "generation_costs": (
            sum(row["total_cost"] for row in by_generation),
            sum(row["unpriced"] for row in by_generation),
        ),
        "Runs": (overview["cost"], overview["unpriced"]),
        "Compare": (side["cost"], side["unpriced"]),
        "cost_breakdown": tuple(
            asked_of_all(store, "cost_breakdown", run)[0][name] or 0 for name in ("run_cost", "unpriced")
        ),
        **{
            f"Run {n}": (row["cost"], row["unpriced"])
            for n, row in enumerate(of_board(store, "genesis-run", "Cost", run))
        },
        **{f"run_costs {n}": (row["total_evolution_cost"], row["unpriced"]) for n, row in enumerate(of_run)},
        **({"Cost burn": (burnt[-1]["spent so far"], burnt[-1]["unpriced"])} if burnt else {}),
        **({"Cost so far": (so_far[-1]["cost"], so_far[-1]["unpriced"])} if so_far else {}),
    }
    assert {name: (round(cost, 9), unpriced) for name, (cost, unpriced) in told.items()} == dict.fromkeys(
        told, (round(true.cost, 9), true.unpriced)
    )


def test_unpriced_calls_are_shown_beside_the_sum(store: Client) -> None:
    """On the screen, and in every panel that shows money: a sum that leaves calls out says so."""
    lines = "\n".join(line.plain for line in screen(State(look(store, UPWARDS)), 120, 40, 0.0))
    assert "$0.5300 + 3 unpriced" in lines
    for uid, board in BOARDS.items():
        for panel in panels_of(board):
            if "currencyUSD" in json.dumps(panel) and "sum(" in json.dumps(panel["targets"]):
                assert "unpriced" in json.dumps(panel["targets"]), f"{uid}/{panel['title']}"


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUNS)
def test_failures_are_the_same_everywhere(store: Client, run: str) -> None:
    """Individuals, failed ones and incorrect ones are the same everywhere; copies count as none of them."""
    true = TRUTHS[run]
    summary, pulse = gather(store, run, top=0)["answers"]["run"], look(store, run).pulse
    (listed,) = (row for row in queries.ask(store, "runs") if row["run_id"] == run)
    (side,) = (row for row in of_board(store, "genesis-compare", "Side by side", run) if row["run_id"] == run)
    (overview,) = (row for row in of_board(store, "genesis-runs", "Runs", run) if row["run_id"] == run)
    (share,) = of_board(store, "genesis-run", "Failed individuals", run)
    failures = [row for row in queries.ask(store, "failures", run_id=run) if row["what"] == "individual"]
    counts = {
        (listed["individuals"], listed["failed"], listed["incorrect"]),
        (pulse["individuals"], pulse["failed_individuals"], pulse["incorrect_individuals"]),
        (summary["individuals"], summary["failed_individuals"], summary["incorrect_individuals"]),
        (true.individuals, round(share["failed"] * true.individuals), round(share["incorrect"] * true.individuals)),
        (true.individuals, sum(not row["incorrect"] for row in failures), sum(row["incorrect"] for row in failures)),
    }
    assert counts == {(true.individuals, true.failed, true.incorrect)}
    assert overview["individuals"] == side["individuals"] == true.individuals
    for row in (overview, side):
        assert round((row["failed"] or 0) * true.individuals) == true.failed + true.incorrect


# --- the front and the state ------------------------------------------------------------------------------------------


def test_the_front_is_the_same_everywhere(store: Client) -> None:
    """The last front is the same in the named query, the report and the dashboard."""
    true = set(TRUTHS[UPWARDS].front)
    report = gather(store, UPWARDS, top=0)["answers"]["run/yields"]
    assert {row["individual_id"] for row in asked_of_all(store, "pareto_latest", UPWARDS)} == true
    assert {row["individual_id"] for row in report["front"]} == true
    assert {row["dominated"] for row in report["front"]} == {0}
    assert {row["individual_id"] for row in of_board(store, "genesis-run", "Pareto front", UPWARDS, "D")} == true


@pytest.mark.parametrize("run", RUNS)
def test_the_status_is_the_same_everywhere(store: Client, run: str) -> None:
    """A search that died an hour ago is stalled wherever its status is shown; a failed one shows its reason."""
    true = TRUTHS[run]
    summary, pulse = gather(store, run, top=0)["answers"]["run"], look(store, run).pulse
    (listed,) = (row for row in queries.ask(store, "runs") if row["run_id"] == run)
    (side,) = (row for row in of_board(store, "genesis-compare", "Side by side", run) if row["run_id"] == run)
    (overview,) = (row for row in of_board(store, "genesis-runs", "Runs", run) if row["run_id"] == run)
    (board,) = of_board(store, "genesis-run", "Status", run)
    told = {listed["status"], pulse["status"], summary["status"], side["status"], board["status"]}
    assert told == {true.status}
    assert true.status == "running" or overview["health"] == true.status
    reason = "the cluster went away" if run == FLAT else ""
    assert {listed["error"], pulse["error"], summary["error"]} == {reason}


def test_the_number_of_generations_is_the_latest_configured(store: Client) -> None:
    """A search that was continued with another configuration has the number from that one."""
    assert look(store, UPWARDS).pulse["planned"] == 40
    assert of_board(store, "genesis-run", "Generation", UPWARDS)[0]["generation"] == "6 of 40"


# --- all queries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", queries.names())
@pytest.mark.parametrize("run", [UPWARDS, DOWNWARDS, FLAT])
def test_a_named_query_gives_numbers_or_nothing(store: Client, name: str, run: str) -> None:
    """Every named query runs on each of the searches; no number in its answer is NaN or infinite, so its JSON is
    strict."""
    for row in asked_of_all(store, name, run):
        assert all(value is None or math.isfinite(value) for value in row.values() if isinstance(value, float)), row
    # A filter above LIMIT BY, in a UNION with another table, made ClickHouse's query condition cache (26.9) lose rows.
    (found,) = store.query(queries.part("found", "run_id = {run:String}"), parameters={"run": run}).named_results()
    assert found["best_score"] == TRUTHS[run].best_score and found["individuals"] == TRUTHS[run].individuals


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_panel_gives_numbers_or_gaps(store: Client, asked: Asked) -> None:
    """Every query of every dashboard runs on the searches; it draws finite numbers or gaps, and changes no answer."""
    times = around_now()
    for sql in {sent(asked.sql, variables(asked, run), times, EVERYTHING): None for run in (UPWARDS, DOWNWARDS)}:
        rows = store.query(sql).result_rows
        assert all(value is None or math.isfinite(value) for row in rows for value in row if isinstance(value, float))
    for run in (UPWARDS, DOWNWARDS):
        (found,) = store.query(queries.part("found", "run_id = {run:String}"), parameters={"run": run}).named_results()
        assert (found["best_score"], found["individuals"]) == (TRUTHS[run].best_score, TRUTHS[run].individuals)


def test_a_generation_without_a_score_is_a_gap(store: Client) -> None:
    """It has no score in the trajectory and the panel: none of them falls to 0."""
    for rows in (
        asked_of_all(store, "fitness_trajectory", UPWARDS),
        of_board(store, "genesis-run", "Fitness by generation", UPWARDS),
    ):
        assert {row["generation"]: row["best_score"] for row in rows}[6] is None
        assert 0.0 not in {row["best_score"] for row in rows}
    sizes = of_board(store, "genesis-run", "Size of programs", UPWARDS)
    assert all(row["best individual"] is None or row["best individual"] > 0 for row in sizes)


def test_recording_and_reading_agree_on_copies() -> None:
    """Generations leave out the same kinds of individuals when they are recorded as readers do when they count."""
    assert set(re.findall(r"'(\w+)'", queries.part("copied"))) == COPIES


def test_every_sql_part_is_used(store: Client) -> None:
    """Each part of SQL is used by a table's views, a query, another part or a dashboard, and declares its parameters."""
    folder = Path(queries.__file__).parent / "sql"
    named = set(re.findall(r"@(\w+)\(", "\n".join(path.read_text() for path in folder.rglob("*.sql"))))
    boards = Path(queries.__file__).parent.parent / "grafana" / "source"
    for path in boards.rglob("*.py"):
        named |= set(re.findall(r"\bpart\(\s*\"(\w+)\"", path.read_text()))
    assert {path.stem for path in folder.glob("parts/*.sql")} == named
    with pytest.raises(queries.ParameterError, match="takes runs, stalled_after, alive"):
        queries.part("state", "1")
