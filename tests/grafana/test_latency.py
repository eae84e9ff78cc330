"""Durations on dashboards and in alerts: of what is known. An unknown one is an empty value, not 0 and not the time since 1970."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from tests.store.test_latency import TAKEN_RAW
from tests.support.alert_rules import RULES, begun, called, fires
from tests.support.dashboards import BOARDS, BY_NAME, chosen
from tests.support.grafana_query import TimeRange, Value, sent
from tests.support.searched import stored
from tests.support.timed import (
    CALLS,
    NONE,
    RUNS,
    SOME,
    known,
    percentile,
    speed,
    store_all,
    trace_of,
)

READS = re.compile(rf"execution_time|time_to_first_token|\bDuration\b|\b{queries.part('longest')}\b")

STATS = {
    "genesis-llm/p50/A": ("took", 0.5),
    "genesis-llm/p95/A": ("took", 0.95),
    "genesis-llm/p99/A": ("took", 0.99),
    "genesis-llm/First token p50/A": ("first_token", 0.5),
    "genesis-runs/LLM p95/A": ("took", 0.95),
}
BY_VALUE = ("genesis-llm/By model/A", "genesis-llm/By role/A", "genesis-llm/By provider/A")
OVER_TIME = {
    "genesis-llm/Latency by model/A": ("took", {"p50": 0.5, "p95": 0.95, "p99": 0.99}),
    "genesis-llm/Latency by role/A": ("took", {"p50": 0.5, "p95": 0.95, "p99": 0.99}),
    "genesis-llm/Time to first token/A": ("first_token", {"p50": 0.5, "p95": 0.95}),
}
OTHERS = {
    "genesis-llm/Calls/A",
    *("genesis-compare/Side by side/A", "genesis-compare/Models/A", "genesis-llm/Tokens per second/A", "genesis-llm/Slowest calls/A"),
    *("genesis-compare/Score by wall time/A", "genesis-compare/Score by cost/A", "genesis-compare/Score by generation/A"),
    *("genesis-llm/Latest calls/A", "genesis-llm/Where the time goes/A", "genesis-llm/All generations/A"),
    *("genesis-run/Evaluation time/A", "genesis-run/Workers busy/A", "genesis-run/Running jobs/A", "genesis-runs/Runs/A"),
    *("genesis-traces/Took/A", "genesis-traces/Trace/A", "genesis-traces/Spans, longest first/A", "genesis-traces/Traces/A"),
    *("genesis-pipeline/Freshness/A", "genesis-pipeline/Delay/A", "genesis-pipeline/Delay p99/A", "genesis-run/Budget/A"),
}  # fmt: skip
OF_SILENCE = {
    *("genesis-pipeline/Silent searches/A", "genesis-pipeline/Running searches by silence/A", "genesis-run/Last sign of life/A"),
    *("genesis-runs/Running/A", "genesis-run/Status/A"),
}  # fmt: skip
"""Panels that read the state of runs, but show no duration."""


@pytest.fixture(scope="module")
def timed(engine: Path) -> Iterator[Client]:
    """A database with both runs."""
    with stored(engine, "timed_panels") as client:
        store_all(client)
        yield client


def rows(client: Client, name: str, run: str, **others: str) -> list[dict[str, Any]]:
    """The rows that a panel shows of a run, all times in one interval."""
    asked, now = BY_NAME[name], datetime.now(timezone.utc)
    times = TimeRange(now - timedelta(hours=2), now + timedelta(minutes=5), 10**9)
    board = BOARDS[asked.board]
    values: dict[str, Value] = {**chosen(board, run, runs=(run,)), **others}
    several = {each["name"] for each in board["templating"]["list"] if each.get("multi")}
    values |= {name: (run,) for name in ("run", "runs") if name in several}
    return list(
        client.query(sent(asked.sql, values, times, {"task": ("task",), "run": RUNS, "runs": RUNS})).named_results()
    )


def one(client: Client, name: str, run: str, **others: str) -> dict[str, Any]:
    (row,) = rows(client, name, run, **others)
    return row


def test_each_panel_of_a_duration_is_asked_here() -> None:
    """A panel that reads a duration is in this module's lists, and none aggregates the raw column."""
    found = {name for name, asked in BY_NAME.items() if READS.search(asked.sql)}
    assert found == {*STATS, *BY_VALUE, *OVER_TIME, *OTHERS, *OF_SILENCE}
    sql = {
        **{name: asked.sql for name, asked in BY_NAME.items()},
        **{name: str(rule["data"]) for name, rule in RULES.items()},
    }
    assert [name for name, text in sql.items() if TAKEN_RAW.search(text)] == []


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", STATS)
def test_a_percentile_is_of_known_durations(timed: Client, name: str, run: str) -> None:
    """Of none it has no value, and the panel says so."""
    column, level = STATS[name]
    if name.startswith("genesis-runs"):
        # This dashboard shows all runs.
        (value,) = one(timed, name, run).values()
        assert value == pytest.approx(percentile(known(SOME), level))
        return
    (value,) = one(timed, name, run).values()
    assert value == pytest.approx(percentile(known(run, column), level))


@pytest.mark.parametrize("run", RUNS)
def test_untimed_calls_are_counted_beside_all(timed: Client, run: str) -> None:
    """So that nobody takes a percentile of a few calls for that of all."""
    row = one(timed, "genesis-llm/Calls/A", run)
    assert row == {"calls": len(CALLS[run]), "untimed": len(CALLS[run]) - len(known(run))}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", BY_VALUE)
def test_figures_of_a_model_are_of_known_durations(timed: Client, name: str, run: str) -> None:
    """Percentiles and tokens per second, beside the number of all calls."""
    row, took = one(timed, name, run), known(run)
    expected = {
        **{f"p{level}": percentile(took, level / 100) for level in (50, 95, 99)},
        "first_token": percentile(known(run, "first_token"), 0.5),
        "tokens_per_second": speed(run),
    }
    assert {column: row[column] for column in expected} == pytest.approx(expected)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", OVER_TIME)
def test_a_series_has_points_of_known_durations(timed: Client, name: str, run: str) -> None:
    """Where nothing is known there is no point."""
    column, levels = OVER_TIME[name]
    found, values = rows(timed, name, run), known(run, column)
    expected = {series: percentile(values, level) for series, level in levels.items()}
    assert [{series: row[series] for series in levels} for row in found] in (
        [[pytest.approx(expected)]] if values else [[], [expected]]
    )


def test_tokens_per_second_are_of_known_durations(timed: Client) -> None:
    """The tokens of other calls do not count either."""
    assert [row["speed"] for row in rows(timed, "genesis-llm/Tokens per second/A", SOME)] == [
        pytest.approx(speed(SOME))
    ]
    assert rows(timed, "genesis-llm/Tokens per second/A", NONE) == []


def test_the_slowest_calls_are_those_known_to_be_slow(timed: Client) -> None:
    """The latest calls are all there."""
    assert [row["took"] for row in rows(timed, "genesis-llm/Slowest calls/A", SOME)] == known(SOME)[::-1]
    assert rows(timed, "genesis-llm/Slowest calls/A", NONE) == []
    latest = [row["took"] for row in rows(timed, "genesis-llm/Latest calls/A", SOME)]
    assert sorted(filter(None, latest)) == known(SOME) and latest.count(None) == 5


@pytest.mark.parametrize("run", RUNS)
def test_compared_runs_have_known_durations(timed: Client, run: str) -> None:
    """A run's own, 100 s, and the percentiles of its calls and models."""
    row, took = one(timed, "genesis-compare/Side by side/A", run), known(run)
    assert (row["took"], row["llm_p95"]) == (pytest.approx(100, abs=2), pytest.approx(percentile(took, 0.95)))
    row = one(timed, "genesis-compare/Models/A", run)
    assert (row["p50"], row["p95"]) == pytest.approx((percentile(took, 0.5), percentile(took, 0.95)))


def test_evaluations_took_what_is_known(timed: Client) -> None:
    """A point per second in which a job ended whose duration is known: 4 s, and one within a millisecond."""
    found = sorted(row["p50"] for row in rows(timed, "genesis-run/Evaluation time/A", SOME))
    assert found == [0, 4]
    assert rows(timed, "genesis-run/Evaluation time/A", NONE) == []


def test_workers_are_busy_with_what_is_known(timed: Client) -> None:
    """For four seconds, and at no other time: not since 1970, and a job that ended before it was submitted is no error."""
    found = rows(timed, "genesis-run/Workers busy/A", SOME)
    assert sum(row["busy"] for row in found) == pytest.approx(4)
    assert min(row["time"].year for row in found) > 2000
    assert [row["busy"] for row in rows(timed, "genesis-run/Workers busy/A", NONE)] == [0]


def test_a_trace_lasts_from_its_first_known_time_to_its_last(timed: Client) -> None:
    """The trace began 60 s ago and ended 20 s ago. One of which one time is known has no duration."""
    for name in ("genesis-traces/Took/A", "genesis-traces/Traces/A"):
        for run, expected in ((SOME, 40), (NONE, None)):
            found = [
                row
                for row in rows(timed, name, run, trace=trace_of(run))
                if row.get("trace_id") in (None, trace_of(run))
            ]
            (took,) = [next(row[column] for column in row if column == "took" or len(row) == 1) for row in found]
            assert took == (None if expected is None else pytest.approx(expected, abs=1e-3))


@pytest.mark.parametrize("slower", ["0", "5", "100"])
def test_traces_are_chosen_by_calls_known_to_be_slow(timed: Client, slower: str) -> None:
    """A trace without one is listed only where all are, and has no slowest call."""
    found = {
        row["run_id"]: row["slowest_call"]
        for run in RUNS
        for row in rows(timed, "genesis-traces/Traces/A", run, slower=slower)
    }
    assert found == {"0": {SOME: 13.0, NONE: None}, "5": {SOME: 13.0}, "100": {}}[slower]


def test_spans_of_unknown_duration_have_none(timed: Client) -> None:
    """In the table they come last; on Grafana's timeline, which takes numbers only, they are moments at the time that is known."""
    found = {
        row["span"]: row for row in rows(timed, "genesis-traces/Spans, longest first/A", SOME, trace=trace_of(SOME))
    }
    assert {name: row["took"] for name, row in found.items()} == {
        "known": 40,
        "moment": 0,
        "at its end": None,
        "without a start": None,
        "backwards": None,
        "of 1970": None,
    }
    assert next(iter(found)) == "known" and min(row["time"].year for row in found.values()) > 2000
    line = {row["operationName"]: row for row in rows(timed, "genesis-traces/Trace/A", SOME, trace=trace_of(SOME))}
    assert {name: row["duration"] for name, row in line.items()} == {
        name: 40_000 if name == "known" else 0 for name in found
    }
    first = line["known"]["startTime"]
    assert all(0 <= row["startTime"] - first <= 40_000 for row in line.values())


def test_the_time_of_a_generation_is_divided_among_known_durations(store: Client) -> None:
    """Of 20 s of an individual, its model took 5; a call of 57 years and an evaluation without a start are in none of the parts."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, told_at)"
        " SELECT 'r', 'task', now64(3) - 100, now64(3), 'completed', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, trace_id) SELECT 'r', 'i', 3, now64(3) - 40, 't'"
    )
    for id, took in (("a", 5.0), ("b", 1.7e9)):
        store.command(
            "INSERT INTO llm_logs (id, span_id, run_id, individual_id, model, timestamp, execution_time, trace_id)"
            " SELECT generateUUIDv4(), {id:String}, 'r', 'i', 'm', now64(3) - 55, {took:Float64}, 't'",
            parameters={"id": id, "took": took},
        )
    for name, ago, duration in (
        ("generation", 60, 20e9),
        ("individual", 60, 20e9),
        ("evaluation", 50, 0),
        ("evaluation", 52, 1.7e18),
    ):
        store.command(
            "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, Duration) SELECT"
            " now64(9) - {ago:UInt32}, 't', toString(generateUUIDv4()), {name:String}, {duration:UInt64}",
            parameters={"ago": ago, "name": name, "duration": int(duration)},
        )
    (row,) = rows(store, "genesis-llm/Where the time goes/A", "r")
    assert (row["generation"], row["model"], row["evaluation"], row["waiting"], row["the search itself"]) == (
        pytest.approx((3, 5, 0, 15, 0), abs=0.5)
    )
    parts = {row["what"]: row["seconds"] for row in rows(store, "genesis-llm/All generations/A", "r")}
    assert parts == pytest.approx({"model": 5, "waiting": 15, "evaluation": 0, "the search itself": 0}, abs=0.5)


def test_a_run_whose_start_is_of_another_clock_has_no_duration(store: Client) -> None:
    """Neither in the list nor beside others, and it is at no time after its start. It spends what the last hour cost."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, told_at)"
        " SELECT 'r', 'task', toDateTime64(12345, 3), toDateTime64(0, 3), 'running', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, api_cost) SELECT 'r', 'i', 1, now64(3), 1, 0.5"
    )
    store.command(
        "INSERT INTO agent_actions (id, span_id, run_id, individual_id, action_type, timestamp)"
        " SELECT generateUUIDv4(), 's', 'r', 'i', 'job_submitted', toDateTime64(12345, 3)"
    )
    assert [row["took"] for row in rows(store, "genesis-runs/Runs/A", "r")] == [None]
    assert [row["took"] for row in rows(store, "genesis-compare/Side by side/A", "r")] == [None]
    assert rows(store, "genesis-compare/Score by wall time/A", "r") == []
    for name in ("genesis-compare/Score by cost/A", "genesis-compare/Score by generation/A"):
        assert [row["score"] for row in rows(store, name, "r")] == [1]
    assert [row["waits"] for row in rows(store, "genesis-run/Running jobs/A", "r")] == [None]
    budget = one(store, "genesis-run/Budget/A", "r")
    assert (budget["per hour"], budget["time left"]) == (0.5, None)


def test_a_row_that_arrived_before_it_happened_has_no_delay(store: Client) -> None:
    """By the clocks of two machines. Nor has one of 1970; another has its own."""
    for id, at in (("a", "now64(3) - 8"), ("b", "now64(3) + 50"), ("c", "toDateTime64(12345, 3)")):
        store.command(
            "INSERT INTO llm_logs (id, span_id, run_id, model, timestamp, ingested_at)"
            f" SELECT generateUUIDv4(), {{id:String}}, 'r', 'm', {at}, now64(3)",
            parameters={"id": id},
        )
    (row,) = rows(store, "genesis-pipeline/Freshness/A", "r")
    assert (row["table"], row["delay_p50"], row["delay_p99"]) == (
        "llm_logs",
        pytest.approx(8, abs=1),
        pytest.approx(8, abs=1),
    )
    assert list(one(store, "genesis-pipeline/Delay p99/A", "r").values()) == [pytest.approx(8, abs=1)]
    (row,) = rows(store, "genesis-pipeline/Delay/A", "r")
    assert (row["p50"], row["p99"], row["longest"]) == pytest.approx((8, 8, 8), abs=1)


def test_an_alert_is_of_known_durations(store: Client) -> None:
    """Calls of unknown duration neither make a model slow, nor hide that it is, nor are they calls enough to tell."""
    begun(store, "r", 10)
    for took in (0.0, 1.7e9):
        called(store, "r", 100, took=took, minutes=1 + took / 1e10)
    assert fires(store, "LLM p95") == []
    called(store, "r", 10, took=1000, minutes=2)
    assert fires(store, "LLM p95") == []
    called(store, "r", 10, took=1000, minutes=3)
    assert fires(store, "LLM p95") == [("m",)]
