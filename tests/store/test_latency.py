"""Durations in named queries: those that are known count, and an unknown one is NULL, never 0 and never the time since 1970."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._emit.lasting import LONGEST
from genesis_otel._read import page_data
from tests.support.searched import stored
from tests.support.timed import (
    CALLS,
    NONE,
    RUNS,
    SOME,
    known,
    percentile,
    store_all,
    trace_of,
)

OF_A_DURATION = {
    *("active_runs", "budget", "call_points", "calls_matching", "calls_since", "individual_points", "individual_prompts", "jobs_since"),
    *("llm_costs", "llm_latency", "pulse", "run_summary", "running_jobs", "runs", "slowest_generation", "slowest_llm_calls"),
    "spans_of_trace",
}  # fmt: skip
"""The queries that show a duration, or compute with one; each is asked below, except for two that take the state of runs without it."""
TAKEN_RAW = re.compile(
    r"(?:quantiles?\w*(?:\([\d., ]+\))?|(?:avg|sum|max|min|any)\w*)\((?:\w+\.)?(?:execution_time|time_to_first_token|Duration)\b"
)
"""A column in which 0 is unknown, in an aggregate."""


@pytest.fixture(scope="module")
def timed(engine: Path) -> Iterator[Client]:
    """A database with both runs."""
    with stored(engine, "timed") as client:
        store_all(client)
        yield client


def one(client: Client, name: str, **asked: Any) -> dict[str, Any]:
    (row,) = queries.ask(client, name, **asked)
    return row


def test_each_query_of_a_duration_is_asked_here() -> None:
    """A query that reads a duration is in this module's list, and none aggregates the raw column."""
    bound = queries.part("longest")
    read = re.compile(rf"execution_time|time_to_first_token|\bDuration\b|\b{bound}\b")
    assert {name for name in queries.names() if read.search(queries.load(name).sql)} == OF_A_DURATION
    assert [name for name in queries.names() if TAKEN_RAW.search(queries.load(name).sql)] == []


def test_what_is_emitted_and_what_is_read_have_one_bound() -> None:
    """Beyond ten years, a duration is unknown in both."""
    assert int(queries.part("longest")) * 10**9 == LONGEST


def test_percentiles_are_of_known_durations(timed: Client) -> None:
    """The others are counted; if none is known, there is no percentile. Those of first tokens likewise."""
    rows = {row["model"]: row for row in queries.ask(timed, "llm_latency")}
    assert list(rows) == [SOME, NONE]
    for run in RUNS:
        took, first = known(run), known(run, "first_token")
        expected = {
            "p50": percentile(took, 0.5),
            "p90": percentile(took, 0.9),
            "p99": percentile(took, 0.99),
            "longest": max(took, default=None),
            "first_token_p50": percentile(first, 0.5),
            "first_token_p99": percentile(first, 0.99),
        }
        assert {name: rows[run][name] for name in expected} == pytest.approx(expected)
        assert (rows[run]["calls"], rows[run]["untimed"]) == (len(CALLS[run]), len(CALLS[run]) - len(took))


def test_means_and_sums_are_of_known_durations(timed: Client) -> None:
    """A sum is read with the number of calls that it leaves out; the sum of none is unknown."""
    for run in RUNS:
        row, took = one(timed, "llm_costs", run_id=run), known(run)
        assert row["avg_time"] == pytest.approx(sum(took) / len(took) if took else None)
        assert row["total_time_seconds"] == pytest.approx(sum(took) if took else None)
        assert row["untimed"] == len(CALLS[run]) - len(took)


@pytest.mark.parametrize("name", ["calls_matching", "calls_since", "call_points", "individual_prompts"])
@pytest.mark.parametrize("run", RUNS)
def test_a_call_of_unknown_duration_is_listed_without_one(timed: Client, name: str, run: str) -> None:
    """Every call is there, with its duration or NULL."""
    of_individuals = {"individual_ids": ["i"], "calls": 100} if name == "individual_prompts" else {}
    rows = queries.ask(timed, name, run_id=run, **of_individuals)
    assert len(rows) == len(CALLS[run])
    told = [row["execution_time"] for row in rows]
    assert sorted(filter(None, told)) == known(run) and told.count(None) == len(CALLS[run]) - len(known(run))


def test_a_search_for_slow_calls_finds_those_that_are_known_to_be(timed: Client) -> None:
    """Neither unknown nor 57 years are above a bound; a time to the first token is NULL where it is unknown."""
    assert sorted(row["execution_time"] for row in queries.ask(timed, "calls_matching", slower=5)) == [5.0, 8.0, 13.0]
    rows = queries.ask(timed, "calls_matching", run_id=SOME)
    first = [row["time_to_first_token"] for row in rows]
    assert sorted(filter(None, first)) == known(SOME, "first_token") and first.count(None) == 5


def test_the_slowest_calls_are_those_known_to_be_slow(timed: Client) -> None:
    """In order, without those of unknown duration, which may leave none."""
    assert [row["execution_time"] for row in queries.ask(timed, "slowest_llm_calls")] == known(SOME)[::-1]
    assert queries.ask(timed, "slowest_llm_calls", run_id=NONE) == []


def test_a_pulse_has_percentiles_of_known_durations(timed: Client) -> None:
    """Of recent calls, or of all where no recent one has a known duration."""
    for window in (300, 1):
        for run in RUNS:
            row, took = one(timed, "pulse", run_id=run, window=window), known(run)
            assert (row["p50"], row["p95"]) == pytest.approx((percentile(took, 0.5), percentile(took, 0.95)))
            assert row["llm_calls"] == len(CALLS[run])


def test_a_generation_lasts_as_long_as_what_is_known_of_it(timed: Client) -> None:
    """From the first call, 90 s ago, to the individual, 6 s ago: calls of 57 years and of infinity are at their start."""
    for run in RUNS:
        row = one(timed, "slowest_generation", run_id=run)
        assert row["trace_id"] == trace_of(run) and row["seconds"] == pytest.approx(84, abs=3)


def test_a_generation_of_which_one_time_is_known_has_no_duration(store: Client) -> None:
    """One individual has an end, and no call says when it was begun."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, trace_id) VALUES ('r', 'i', now64(3), 't')"
    )
    assert queries.ask(store, "slowest_generation", run_id="r") == []


def test_spans_of_unknown_duration_are_at_the_time_that_is_known(timed: Client) -> None:
    """A moment took 0 s; without a start, backwards, of two clocks or of no length, nothing is known but when it was."""
    rows = {row["name"]: row for row in queries.ask(timed, "spans_of_trace", trace_id=trace_of(SOME), run_id="")}
    assert {name: row["seconds"] for name, row in rows.items()} == {
        "known": 40,
        "moment": 0,
        "at its end": None,
        "without a start": None,
        "backwards": None,
        "of 1970": None,
    }
    began = {name: row["began"] for name, row in rows.items()}
    assert (began["known"], began["moment"], began["at its end"], began["without a start"], began["backwards"]) == (
        pytest.approx((0, 10, 10, 30, 5), abs=1e-3)
    )
    assert began["of 1970"] == pytest.approx(60 - 55, abs=1e-3)
    (row,) = queries.ask(timed, "spans_of_trace", trace_id=trace_of(NONE), run_id="")
    assert (row["began"], row["seconds"]) == (0, None)


def test_a_job_that_ended_before_it_began_took_an_unknown_time(timed: Client) -> None:
    """Whether it ended is known, in the query and on the page. A job within a millisecond took 0 s, which is known."""
    jobs = {row["individual_id"]: row for row in queries.ask(timed, "jobs_since", run_id=SOME)}
    expected = {"known": 4, "instant": 0, "skewed": None, "of 1970": None, "goes on": None}
    assert {name: row["seconds"] for name, row in jobs.items()} == expected
    assert [name for name, row in jobs.items() if row["ended"] is None] == ["goes on"]
    columns = page_data.jobs(timed, SOME)["columns"]
    assert dict(zip(columns["individual_id"], columns["seconds"], strict=True)) == expected
    assert columns["ended"].count(None) == 1
    (row,) = queries.ask(timed, "jobs_since", run_id=NONE)
    assert (row["seconds"], row["ended"] is None) == (None, False)


def test_the_page_has_no_percentile_of_unknown_durations(timed: Client) -> None:
    """A model's latencies are NULL where none of its calls has one."""
    (model,) = page_data.yields(timed, NONE)["models"]
    assert [model[name] for name in ("p50", "p90", "p99", "longest", "avg_time", "total_time_seconds")] == [None] * 6
    (model,) = page_data.yields(timed, SOME)["models"]
    assert model["p50"] == percentile(known(SOME), 0.5)


# --- runs -------------------------------------------------------------------------------------------------------------


def begun(store: Client, run: str, start: str, end: str, status: str = "completed") -> None:
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, told_at)"
        f" SELECT {{run:String}}, 'task', {start}, {end}, {{status:String}}, now64(9)",
        parameters={"run": run, "status": status},
    )


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("now64(3) - 100", "now64(3) - 10", 90),
        ("now64(3)", "start_time", None),
        ("now64(3)", "now64(3) - 50", None),
        ("toDateTime64(12345, 3)", "now64(3)", None),
    ],
    ids=["known", "only one time", "backwards", "two clocks"],
)
def test_a_run_of_which_one_time_is_known_has_no_duration(store: Client, start: str, end: str, seconds: float) -> None:
    """Nor has one whose start is of another clock."""
    begun(store, "r", f"{start} AS start_time", end)
    expected = None if seconds is None else pytest.approx(seconds, abs=1)
    assert one(store, "run_summary", run_id="r")["seconds"] == expected
    assert one(store, "pulse", run_id="r")["seconds"] == expected
    assert [row["run_id"] for row in queries.ask(store, "runs")] == ["r"]
    assert math.isfinite(one(store, "budget", run_id="r")["burn"])


def test_a_running_run_of_another_clock_has_no_time_left(store: Client) -> None:
    """The remaining time is computed from that so far, which is not 57 years. How much it spends is that of the last hour."""
    start = "toDateTime64(12345, 3), toDateTime64(0, 3)"
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, config, told_at)"
        f""" SELECT 'r', 'task', {start}, 'running', '{{"num_generations": 10}}', now64(9)"""
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, api_cost) VALUES ('r', 'i', 2, now64(3), 0.5)"
    )
    row = one(store, "budget", run_id="r")
    assert (row["planned"], row["seconds_left"], row["burn"]) == (10, None, 0.5)
    assert one(store, "pulse", run_id="r")["seconds"] is None
    assert [each["status"] for each in queries.ask(store, "active_runs")] == ["running"]
    assert [each["seconds"] for each in queries.ask(store, "individual_points", run_id="r")] == [None]


def test_without_a_start_nothing_is_a_time_after_it(store: Client) -> None:
    """Individuals and calls of a run that no row says the start of: unknown, not the seconds since 1970. Its oldest row is its first sign."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp) VALUES ('r', 'i', 1, now64(3))"
    )
    store.command(
        "INSERT INTO llm_logs (id, run_id, model, timestamp) VALUES (generateUUIDv4(), 'r', 'm', now64(3) - 5)"
    )
    assert [row["seconds"] for row in queries.ask(store, "individual_points", run_id="r")] == [None]
    assert [row["seconds"] for row in queries.ask(store, "call_points", run_id="r")] == [None]
    assert one(store, "pulse", run_id="r")["seconds"] == pytest.approx(5, abs=3)


def test_a_job_submitted_by_another_clock_waits_for_an_unknown_time(store: Client) -> None:
    """It is running, but nobody knows for how long."""
    begun(store, "r", "now64(3) - 100", "toDateTime64(0, 3)", "running")
    for job, at in (("known", "now64(3) - 8"), ("of 1970", "toDateTime64(12345, 3)")):
        store.command(
            "INSERT INTO agent_actions (id, span_id, run_id, individual_id, action_type, timestamp)"
            f" SELECT generateUUIDv4(), {{job:String}}, 'r', {{job:String}}, 'job_submitted', {at}",
            parameters={"job": job},
        )
    rows = {row["job"]: row["seconds"] for row in queries.ask(store, "running_jobs", run_id="r")}
    assert rows == {"known": pytest.approx(8, abs=3), "of 1970": None}
