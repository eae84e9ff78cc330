"""How runs stand, wherever it is shown: status, beginning, duration, last sign of life and counts, of runs of several processes, resumed
and reopened ones, annotated ones, and those of which little is known. What is true is counted here from what the searches did."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._read import health, page_data
from genesis_otel._read.report_data import gather
from genesis_otel._read.watch import look
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.dashboards import BOARDS, BY_NAME, around_now, chosen
from tests.support.grafana_query import sent
from tests.support.recording import record
from tests.support.searched import stored

SECOND = 1_000_000_000
STALLED, TASK = 900, "standing"


@functools.cache
def began() -> int:
    """When the searches began: fifty minutes before they are recorded, not before the tests are collected, which may be twenty minutes earlier:
    a search would be stalled by then. In whole seconds, so that what is stored is exact."""
    return time.time_ns() // SECOND * SECOND - 3000 * SECOND


class Step(NamedTuple):
    """What a process does, so many seconds after the first began: begins the run, ends it, makes an individual, or annotates it."""

    at: int
    what: str
    score: float | None = None
    generation: int | None = None


Process = Sequence[Step]


class Search(NamedTuple):
    """The processes that worked on a run, one after the other."""

    processes: Sequence[Process]
    direction: str | None = None


def begin(at: int) -> Step:
    return Step(at, "begin")


def end(at: int, status: str = "completed") -> Step:
    return Step(at, status)


def made(at: int, score: float | None, generation: int | None) -> Step:
    return Step(at, "individual", score, generation)


SEARCHES = {
    "whole": Search([[begin(0), made(10, 1.0, 0), made(20, 2.0, 1), end(30)]]),
    "resumed": Search([[begin(0), made(10, 1.0, 0)], [begin(500), made(510, 3.0, 1), made(515, 0.5, 1), end(520)]]),
    "reopened": Search(
        [[begin(0), made(10, -1.0, 0), end(20)], [begin(600), made(620, -2.0, 0), end(700, "failed")]], "min"
    ),
    "ended, then continued": Search([[begin(0), made(10, 1.0, 0), end(20)], [begin(2900), made(2950, 5.0, 1)]]),
    "stalled after an end": Search([[begin(0), end(20)], [begin(100), made(400, 5.0, 7)]]),
    "stalled": Search([[begin(0), made(200, -5.0, 3), made(300, None, 4)]], "min"),
    "annotated": Search([[begin(0), made(10, 1.0, 0), end(30), Step(2800, "note"), Step(2900, "tag")]]),
    "annotated and stalled": Search([[begin(0), made(10, 1.0, 0), Step(2990, "note")]]),
    "late worker": Search([[begin(0), end(30)], [made(40, 2.0, 0), made(50, 9.0, 1)]]),
    "failures only": Search([[begin(0), made(10, None, 0), made(20, None, 1), end(30, "failed")]]),
    "no generations": Search([[begin(0), made(10, -3.0, None), made(20, -4.0, None), end(30)]], "min"),
    "nothing": Search([[begin(0), end(1)]]),
    "only begun": Search([[begin(2800)]]),
    "worse later": Search([[begin(0), made(10, -1.0, 0), made(20, -7.0, 1), made(30, -1.0, 2), end(40)]], "min"),
}


def told(run_id: str, search: Search) -> Iterator[Sequence[ReadableSpan]]:
    """The spans of each process; what a process does not begin, it takes part in by the run's id."""
    number = 0
    for process in search.processes:
        with pytest.MonkeyPatch.context() as patch:
            recorded = record(patch, through=LLMSpanProcessor)
            run: spans.Run | None = None
            for at, what, score, generation in process:
                now = began() + at * SECOND
                if what == "begin":
                    run = spans.run(TASK, run_id=run_id, direction=search.direction, start_time=now)
                elif what in ("note", "tag"):
                    spans.action(what, {"text": "seen"} if what == "note" else {"tag": "seen"}, run_id=run_id, time=now)
                elif what == "individual":
                    number += 1
                    place: dict[str, Any] = {"run_id": run_id, "start_time": now - SECOND}
                    one = spans.individual(f"i{number}", generation=generation, **place)
                    if score is None:
                        one.fail("crashed")
                    else:
                        one.record(fitness=score)
                    one.end(now)
                    if generation is not None:
                        spans.generation(generation, run_id=run_id, start_time=now).end(end_time=now)
                else:
                    assert run is not None
                    run.end(status=what, end_time=now)
            made = recorded.spans
        yield made


class Truth(NamedTuple):
    """How a run stands."""

    status: str
    last: int
    """Its last sign of life, in seconds since it began."""
    lasted: int | None
    """None: until now."""
    individuals: int
    failed: int
    best: float | None
    generations: int
    began: int


def truth(search: Search) -> Truth:
    steps = [step for process in search.processes for step in process]
    records = [step for step in steps if step.what not in ("individual", "note", "tag")]
    latest = max(records, key=lambda step: step.at)
    is_open = latest.what == "begin"
    last = max(step.at for step in steps if step.what not in ("note", "tag")) if is_open else latest.at
    ago = (time.time_ns() - began()) / SECOND - last
    status = ("stalled" if ago >= STALLED else "running") if is_open else latest.what
    individuals = [step for step in steps if step.what == "individual"]
    scores = [step.score for step in individuals if step.score is not None]
    best = min if search.direction == "min" else max
    first = min(step.at for step in records)
    lasted = None if status == "running" else last - first
    generations = {step.generation for step in individuals if step.generation is not None}
    failed = sum(step.score is None for step in individuals)
    return Truth(status, last, lasted, len(individuals), failed, best(scores, default=None), len(generations), first)


@pytest.fixture(scope="module")
def store(engine: Path) -> Iterator[Client]:
    """A client on a database with these searches."""
    with stored(engine, "standing", *(spans for named in SEARCHES.items() for spans in told(*named))) as client:
        yield client


PANELS = ("genesis-runs/Runs/A", "genesis-compare/Side by side/A")
"""Panels with a row for each run."""


def panel(client: Client, name: str) -> dict[str, dict[str, Any]]:
    """A panel's rows by run."""
    asked = BY_NAME[name]
    runs = tuple(SEARCHES)
    values = chosen(BOARDS[asked.board], runs[0], runs=runs)
    rows = client.query(sent(asked.sql, values, around_now(), {"task": (TASK,), "runs": runs, "run": runs}))
    return {row["run_id"]: row for row in rows.named_results()}


def readers(client: Client, run: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each reader says of a run."""
    yield "run_summary", health.begun(client, run, STALLED)
    yield "runs", next(row for row in health.runs(client, STALLED, limit=99) if row["run_id"] == run)
    yield "watch", look(client, run, STALLED).pulse
    yield "report", gather(client, run, top=0, stalled_after=STALLED)["answers"]["run"]
    yield "the page's run", page_data.run(client, run, STALLED)
    yield "the page's list", next(row for row in page_data.runs(client, STALLED) if row["run_id"] == run)


def seconds_since_the_beginning(moment: datetime | float) -> float:
    """Since :func:`began`; the page's times are milliseconds."""
    return (moment.timestamp() if isinstance(moment, datetime) else moment / 1000) - began() / SECOND


@pytest.mark.parametrize("run", SEARCHES)
def test_a_run_stands_alike_wherever_it_is_shown(store: Client, run: str) -> None:
    """Its status, beginning, duration, last sign of life, generations, individuals, failures and best are what the search did, in every
    reader."""
    true = truth(SEARCHES[run])
    for reader, row in readers(store, run):
        now = time.time_ns() / SECOND - began() / SECOND
        counted = (row["individuals"], row.get("failed_individuals", row.get("failed")), row["generations"])
        assert counted == (true.individuals, true.failed, true.generations), reader
        assert (row["status"], row["best_score"]) == (true.status, true.best), reader
        assert seconds_since_the_beginning(row["start_time"]) == true.began, reader
        # What goes on is compared with a clock that went on as well.
        assert 0 <= now - true.last - row["silent_seconds"] < 60, reader
        if "seconds" in row and true.lasted is not None:
            assert row["seconds"] == true.lasted, reader
        elif "seconds" in row:
            assert 0 <= now - true.began - row["seconds"] < 60, reader


@pytest.mark.parametrize("name", PANELS)
def test_dashboards_show_runs_as_they_stand(store: Client, name: str) -> None:
    """The same in the panels that list runs; of an ended run none shows a silence."""
    rows = panel(store, name)
    assert set(rows) == set(SEARCHES)
    for run, search in SEARCHES.items():
        true, row = truth(search), rows[run]
        share = true.failed / true.individuals if true.individuals else None
        assert (row["best"], row["individuals"], row["failed"]) == (true.best, true.individuals, share), run
        if true.lasted is not None:
            assert row["took"] == true.lasted, run
        if "silent" in row:
            assert (row["silent"] is None) is (true.status not in ("running", "stalled")), run
