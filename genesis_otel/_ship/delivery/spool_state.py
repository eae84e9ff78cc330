"""Reports a spool's state to the store, so that its readers see what has not reached it.

In: a spool's folder, checked after each delivery. Out: from time to time an action `spool_state` as a span:
what is waiting, what was refused, what was lost. It belongs to no run, and bypasses the queues, since behind a backlog it would be
out of date. On failure: nothing is raised; the next report makes up for it.
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
from genesis_otel._ship.spool import dead_letters, losses
from genesis_otel._ship.spool.status import Status, status

GAP = 5.0
"""Minimum seconds between two reports of losses: on a full disk spans may be dropped all the time."""
SHARE = 50
"""Counting a backlog takes a microsecond per span; it may take at most one part in SHARE of the time."""


class SpoolState:
    """Decides when a folder's state is reported, and creates the report.

    Losses and refusals are reported at once, waiting spans every ``interval`` seconds while spans are delivered, and until none
    wait; less often if counting a long backlog would take too much of the time.
    """

    def __init__(self, folder: Path, interval: float) -> None:
        self._folder, self._interval = folder, interval
        self._next = time.monotonic() + interval
        self._again = -math.inf
        self._lost = (0, 0)
        # A dead process may have reported a backlog that it left: somebody has to report that it is gone.
        self._waited = status(folder).waiting > 0
        self._delivered = 0

    def due(self, delivered: int = 0, *, last: bool = False) -> ReadableSpan | None:
        """The state as a span, if a report is due; ``delivered`` spans were delivered since the last call.

        :param last: this is the last call: if a backlog was reported that is now gone, that is reported now.
        """
        self._delivered += delivered
        lost = (dead_letters.changed(self._folder), losses.changed(self._folder))
        moving = self._waited or (self._delivered > 0 and not last)
        began = time.monotonic()
        late = last or began >= self._next
        more = lost != self._lost and (last or began >= self._again)
        if not more and not (moving and late):
            return None
        state = status(self._folder)
        took = time.monotonic() - began
        self._next, self._again = began + max(self._interval, SHARE * took), began + max(GAP, SHARE * took)
        self._lost, self._waited, self._delivered = lost, state.waiting > 0, 0
        return _span(self._folder, state)


def _span(folder: Path, state: Status) -> ReadableSpan:
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
