"""What a spool tells of itself, so that whoever looks at the store sees what has not reached it.

In: a spool's folder, looked at whenever something was handed over. Out: from time to time an action `spool_state` as a span:
what waits, what was refused, what was lost. It belongs to no run, and goes beside the queues, since behind a backlog it would tell
of the past. On failure: nothing is raised; the next one tells the same and more.
"""

from __future__ import annotations

import json
import math
import socket
import time
from pathlib import Path

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from genesis_otel import attributes as names
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._ship.spool import dead_letters, losses, queue

GAP = 5.0
"""Seconds between two words of losses: a full disk may drop spans all the time."""
SHARE = 50
"""Counting a backlog takes a microsecond a span: at most one part in so many of the time."""


class SpoolState:
    """Decides when a folder has something to tell, and what.

    Losses and refusals are told at once, what waits every ``interval`` seconds while spans go out, and on until nothing waits;
    less often where counting a long backlog would take too much of the time.
    """

    def __init__(self, folder: Path, interval: float) -> None:
        self._folder, self._interval = folder, interval
        self._next = time.monotonic() + interval
        self._again = -math.inf
        self._lost = (0, 0)
        # What a dead process left, and may have told: somebody has to say when it is gone.
        self._waited = queue.status(folder).waiting > 0
        self._delivered = 0

    def due(self, delivered: int = 0, *, last: bool = False) -> ReadableSpan | None:
        """The state as a span, if it is time; ``delivered`` spans went out since the last call.

        :param last: nobody will ask again: what was told to wait, and does not, is told now.
        """
        self._delivered += delivered
        lost = (dead_letters.changed(self._folder), losses.changed(self._folder))
        moving = self._waited or (self._delivered > 0 and not last)
        began = time.monotonic()
        late = last or began >= self._next
        more = lost != self._lost and (last or began >= self._again)
        if not more and not (moving and late):
            return None
        state = queue.status(self._folder)
        took = time.monotonic() - began
        self._next, self._again = began + max(self._interval, SHARE * took), began + max(GAP, SHARE * took)
        self._lost, self._waited, self._delivered = lost, state.waiting > 0, 0
        return _span(self._folder, state)


def _span(folder: Path, state: queue.Status) -> ReadableSpan:
    now, ids = time.time_ns(), DerivedIdGenerator()
    details = {
        "host": socket.gethostname(),
        "folder": str(folder),
        "waiting": state.waiting,
        "bytes": state.bytes,
        "oldest_seconds": round(state.oldest, 3),
        "writers": state.writers,
        "dead_letters": state.dead,
        "dropped": state.dropped,
    }
    return ReadableSpan(
        name=names.ACTION_SPOOL_STATE,
        context=SpanContext(ids.generate_trace_id(), ids.generate_span_id(), False, TraceFlags(TraceFlags.SAMPLED)),
        resource=Resource({SERVICE_NAME: "genesis-otel"}),
        attributes={
            names.RECORD: names.RECORD_ACTION,
            names.ACTION_TYPE: names.ACTION_SPOOL_STATE,
            names.ACTION_DETAILS: json.dumps(details),
        },
        start_time=now,
        end_time=now,
        instrumentation_scope=InstrumentationScope(names.SCOPE),
    )
