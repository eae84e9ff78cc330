"""Whether a run lives, and how long its jobs took, on rows at the edge of each rule."""

from __future__ import annotations

import json

from clickhouse_connect.driver.client import Client

from genesis_otel import queries

RUN = "run"


def action(store: Client, kind: str, ago: float, job: str = "", **details: str) -> None:
    """An action so many seconds ago."""
    store.command(
        "INSERT INTO agent_actions (id, run_id, action_type, timestamp, details, span_id)"
        " SELECT generateUUIDv4() AS id, {run:String}, {kind:String}, now64(3) - {ago:Float64}, {details:String}, toString(id)",
        parameters={"run": RUN, "kind": kind, "ago": ago, "details": json.dumps({"job_id": job, **details})},
    )


def begun(store: Client, ago: float) -> None:
    """A run that began so many seconds ago, and is running."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status) VALUES ({run:String}, 't', now64(3) - {ago:Float64}, 'running')",
        parameters={"run": RUN, "ago": ago},
    )


def status(store: Client) -> str:
    (row,) = queries.ask(store, "runs", stalled_after=900)
    return str(row["status"])


def test_a_tag_or_a_note_is_no_sign_of_life(store: Client) -> None:
    """Whoever tags a dead run, or adds a note, does not bring it back; what its search does, counts."""
    begun(store, 3600)
    action(store, "tag", 1, tag="kept")
    action(store, "note", 1, text="died in the night")
    action(store, "untag", 1, tag="kept")
    assert status(store) == "stalled"
    action(store, "archive_updated", 1)
    assert status(store) == "running"


def test_a_run_that_is_resumed_is_alive(store: Client) -> None:
    """Its beginning again is a sign of life, before it has recorded anything else; if nothing comes, it is silent since then."""
    begun(store, 2 * 24 * 3600)
    action(store, "archive_updated", 2 * 24 * 3600 - 1)
    assert status(store) == "stalled"
    begun(store, 1000)
    (row,) = queries.ask(store, "runs", stalled_after=900)
    assert row["status"] == "stalled" and 1000 <= row["silent_seconds"] < 2000
    begun(store, 10)
    assert status(store) == "running"


def test_a_job_is_never_shorter_than_nothing(store: Client) -> None:
    """A job whose end is before its beginning, by another machine's clock, took an unknown time, as does one that still runs; one of
    which only the end is known is not listed, for nobody knows when it began."""
    begun(store, 100)
    action(store, "job_submitted", 10, "skewed")
    action(store, "job_completed", 40, "skewed")
    action(store, "job_submitted", 30, "failed")
    action(store, "job_failed", 10, "failed")
    action(store, "job_submitted", 20, "going on")
    action(store, "job_completed", 5, "of whom nobody knows")
    jobs = {row["job"]: row for row in queries.ask(store, "jobs_since", run_id=RUN)}
    assert set(jobs) == {"skewed", "failed", "going on"}
    assert jobs["skewed"]["seconds"] is None and jobs["skewed"]["ended"] is not None
    assert jobs["going on"]["seconds"] is jobs["going on"]["ended"] is None
    assert 19 < jobs["failed"]["seconds"] < 22 and jobs["failed"]["failed"] and not jobs["skewed"]["failed"]
