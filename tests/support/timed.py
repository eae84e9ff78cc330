"""Runs whose calls, jobs and spans lasted known and unknown times, and what is true of them, computed without SQL.

In `SOME` a part of the calls has an unknown duration, in `NONE` all have. All calls of a run are of the same model.
"""

from __future__ import annotations

import math
import time
import uuid
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

SOME, NONE = "some", "none"
RUNS = (SOME, NONE)
UNKNOWN = (0.0, -1.0, math.nan, math.inf, 1.7e9)
"""What the columns hold for an unknown time: 0, and whatever a table of the first logger may hold; 57 years are those since 1970."""

SECOND = 10**9


class Call(NamedTuple):
    """A call: seconds until its first token and its end, as stored, its tokens, and how long ago it began."""

    took: float
    first_token: float
    tokens: int
    ago: float


CALLS = {
    SOME: [
        *(Call(took, took / 4, 100 + 10 * at, 90 - at) for at, took in enumerate((2.0, 3.0, 5.0, 8.0, 13.0))),
        *(Call(took, took, 1_000, 80 - at) for at, took in enumerate(UNKNOWN)),
    ],
    NONE: [Call(took, took, 1_000, 90 - at) for at, took in enumerate(UNKNOWN)],
}
ENDED_AGO = 5.0
"""Seconds since the runs ended; they lasted a hundred."""


def known(run: str, column: str = "took") -> list[float]:
    """The known times of a run's calls, sorted."""
    return sorted(value for call in CALLS[run] if 0 < (value := getattr(call, column)) < 1e9)


def percentile(values: list[float], level: float) -> float | None:
    """By linear interpolation, as ClickHouse's `quantile` does; None of nothing."""
    if not values:
        return None
    at = level * (len(values) - 1)
    below = math.floor(at)
    return values[below] + (at - below) * (values[min(below + 1, len(values) - 1)] - values[below])


def speed(run: str) -> float | None:
    """Output tokens per second, of the calls whose duration is known."""
    calls = [call for call in CALLS[run] if call.took in known(run)]
    return sum(call.tokens for call in calls) / sum(call.took for call in calls) if calls else None


def trace_of(run: str) -> str:
    """The id of the one trace of a run."""
    return uuid.uuid5(uuid.NAMESPACE_OID, run).hex


def store_all(store: Client) -> None:
    """Both runs, with their calls, jobs and spans."""
    store_runs(store)
    store_jobs(store)
    store_spans(store)


def store_runs(store: Client) -> None:
    """Both runs, each with one individual that all calls are for."""
    now = time.time()
    for run in RUNS:
        store.command(
            "INSERT INTO evolution_runs_log (run_id, task_name, start_time, end_time, status, told_at)"
            " SELECT {run:String}, 'task', now64(3) - 105, now64(3) - {ended:Float64}, 'completed', now64(9)",
            parameters={"run": run, "ended": ENDED_AGO},
        )
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, fitness_score, trace_id)"
            " SELECT {run:String}, 'i', 1, now64(3) - 6, 1, {trace:String}",
            parameters={"run": run, "trace": trace_of(run)},
        )
        for at, call in enumerate(CALLS[run]):
            store.command(
                "INSERT INTO llm_logs (id, span_id, trace_id, run_id, individual_id, generation, model, role, provider, operation, messages,"
                " response, output_tokens, timestamp, execution_time, time_to_first_token)"
                " SELECT generateUUIDv4(), {id:String}, {trace:String}, {run:String}, 'i', 1, {run:String}, {run:String}, {run:String}, 'chat',"
                " '[]', 'answer', {tokens:UInt64}, fromUnixTimestamp64Milli({began:Int64}), {took:Float64}, {first:Float64}",
                parameters={
                    "id": f"{run}{at}",
                    "trace": trace_of(run),
                    "run": run,
                    "tokens": call.tokens,
                    "began": round((now - call.ago) * 1000),
                    "took": call.took,
                    "first": call.first_token,
                },
            )


def store_jobs(store: Client) -> None:
    """In `SOME` a job of 4 s, one of 0 s (in the same millisecond), one that ended before it was submitted, one submitted in 1970, and one
    that goes on; in `NONE` one that ended before it was submitted."""
    for run, job, kind, ago in (
        *((SOME, "known", "submitted", 24), (SOME, "known", "completed", 20)),
        *((SOME, "instant", "submitted", 30), (SOME, "instant", "completed", 30)),
        *((SOME, "skewed", "submitted", 20), (SOME, "skewed", "failed", 22)),
        *((SOME, "of 1970", "submitted", None), (SOME, "of 1970", "completed", 21)),
        (SOME, "goes on", "submitted", 10),
        *((NONE, "skewed", "submitted", 20), (NONE, "skewed", "completed", 22)),
    ):
        store.command(
            "INSERT INTO agent_actions (id, span_id, run_id, individual_id, generation, action_type, details, timestamp)"
            " SELECT generateUUIDv4(), {span:String}, {run:String}, {job:String}, 1, {kind:String}, {details:String},"
            " if({ago:Float64} < 0, toDateTime64(12345, 3), toDateTime64(toDateTime(now()), 3) - {ago:Float64})",
            parameters={
                "span": f"{run} {job} {kind}",
                "run": run,
                "job": job,
                "kind": f"job_{kind}",
                "details": f'{{"job_id": "{job}"}}',
                "ago": -1 if ago is None else ago,
            },
        )


def store_spans(store: Client) -> None:
    """Raw spans, by name, in a trace of each run; in `SOME` it began 60 s ago, and its last span ended 40 s later. A collector stores an end
    before a start as a very large number."""
    now = time.time_ns()
    for run, name, record, began, duration in (
        (SOME, "known", "evaluation", now - 60 * SECOND, 40 * SECOND),
        (SOME, "moment", "action", now - 50 * SECOND, 0),
        (SOME, "at its end", "individual", now - 50 * SECOND, 0),
        (SOME, "without a start", "individual", 0, now - 30 * SECOND),
        (SOME, "backwards", "evaluation", now - 55 * SECOND, 2**64 - 5 * SECOND),
        (SOME, "of 1970", "evaluation", 12_345 * SECOND, now - 12_400 * SECOND),
        (NONE, "without a start", "individual", 0, now - 30 * SECOND),
    ):
        store.command(
            "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, SpanAttributes, Duration) SELECT"
            " fromUnixTimestamp64Nano({began:Int64}), {trace:String}, {id:String}, {name:String},"
            " map('genesis.run.id', {run:String}, 'genesis.record', {record:String}), {duration:UInt64}",
            parameters={
                "began": began,
                "trace": trace_of(run),
                "id": name,
                "name": name,
                "run": f"raw {run}",
                "record": record,
                "duration": duration,
            },
        )
