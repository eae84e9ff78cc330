"""Ending runs whose process died without a word.

In: settings, and rows of the query ``runs``. Out: each run ended as `failed` at its last sign of life, by a span that goes where
spans go. A process that lives all the same has the last word: its own end comes later. On failure: StoreError.
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
"""In nanoseconds: times of the tables are cut to milliseconds, and an end has to come after the beginning."""


def close(settings: Settings, runs: Sequence[Mapping[str, Any]]) -> None:
    """End these runs as failed.

    :raises StoreError: nothing is recorded, or the destination does not take it.
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
