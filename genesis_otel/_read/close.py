"""Ends runs whose process died without recording an end.

In: settings, and rows of the query ``runs``. Out: each run is ended as `failed` at its last sign of life, by a span sent to the usual
destination. If the process is alive after all, the end that it records later takes precedence. On failure: StoreError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, Status, StatusCode

from genesis_otel import attributes as names
from genesis_otel._emit.context import derived_span_context
from genesis_otel._read.append import appending
from genesis_otel._read.format import time_of
from genesis_otel._settings import Settings

MILLISECOND = 1_000_000
"""In nanoseconds: the tables truncate times to milliseconds, and a run's end has to be later than its start."""


def close(settings: Settings, runs: Sequence[Mapping[str, Any]]) -> None:
    """End these runs as failed.

    :raises StoreError: recording is off, or the destination does not accept the spans.
    """
    with appending(settings, "the ends of runs") as provider:
        for run in runs:
            _end(provider, run)


def _end(provider: TracerProvider, run: Mapping[str, Any]) -> None:
    error = f"stalled: no sign of life since {time_of(run['last_seen'])}"
    at = int(run["last_seen"].timestamp() * 1000) * MILLISECOND + MILLISECOND
    parent = trace.set_span_in_context(NonRecordingSpan(derived_span_context(run["run_id"], None)))
    span = provider.get_tracer(names.SCOPE).start_span(
        f"run {run['task_name']}",
        parent,
        attributes={
            names.RECORD: names.RECORD_RUN,
            names.RUN_ID: run["run_id"],
            names.RUN_TASK_NAME: run["task_name"],
            names.RUN_STATUS: "failed",
            names.RUN_ERROR: error,
            names.RUN_TOTAL_GENERATIONS: run["generations"],
        },
        start_time=int(run["start_time"].timestamp() * 1000) * MILLISECOND,
    )
    span.set_status(Status(StatusCode.ERROR, error))
    span.end(at)
