"""Measures a search as OpenTelemetry metrics, for alerting from Prometheus or the like.

In: ended spans on their way to the spool, with the values of the tables' rows. Out: the instruments of docs/metrics.md, created with a
meter of OpenTelemetry's API, whose provider decides where they go. On failure: nothing is raised, and a span is spooled before it is
measured. After a search in one process without faults, the values equal those in the tables. A forked child measures
nothing: its counters would continue from its parent's, under the parent's name.
Names: https://github.com/open-telemetry/semantic-conventions-genai, and ``genesis.*`` for our own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel._emit import tally
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.lasting import lasted
from genesis_otel._emit.member import COPIES
from genesis_otel._emit.values import keep
from genesis_otel._log import warn_once
from genesis_otel._ship.calls.llm_names import is_llm_call
from genesis_otel._ship.encoding.attribute_text import Attributes
from genesis_otel._ship.spool.status import Status, status

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
"""Bucket boundaries of the conventions' histograms of seconds, and two more: a reasoning model takes minutes."""
TOKENS = tuple(4.0**power for power in range(14))
OF_A_CALL = (
    *(names.GEN_AI_OPERATION_NAME, names.GEN_AI_PROVIDER_NAME, names.GEN_AI_REQUEST_MODEL),
    *(names.GEN_AI_RESPONSE_MODEL, names.SERVER_ADDRESS, names.ERROR_TYPE, names.RUN_ID, names.LLM_ROLE),
)
"""Attributes of a call that its measurements carry."""
OPEN_KEPT = 10_000
"""Maximum individuals whose calls' costs are remembered until they end."""
JOBS = {"job_submitted": 1, "job_completed": -1, "job_failed": -1}


class Spooling(Protocol):
    """The processor that spools: the durable one."""

    retries: int
    """Deliveries that failed and are retried."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None: ...
    def on_end(self, span: ReadableSpan) -> None: ...
    def took(self, span_id: int) -> bool: ...
    def retake(self, span: ReadableSpan) -> None: ...
    def waiting(self) -> int: ...
    def shutdown(self) -> None: ...
    def force_flush(self, timeout_millis: int = 30_000) -> bool: ...


class MeasuringProcessor(SpanProcessor):
    """Precedes the durable processor, and follows the one that adds costs.

    :param durable: receives every span first, and knows what became of them.
    :param folder: its spool.
    :param meter: creates the instruments.
    """

    def __init__(self, durable: Spooling, folder: Path, meter: Meter) -> None:
        self._next, self._folder, self._pid = durable, folder, os.getpid()
        self._called: dict[tuple[str, str], float] = {}
        self._reached: dict[str, int] = {}
        self._count = self._most_stored = 0
        before = status(folder)
        self._gone_before = before.dead + before.dropped
        self._calls(meter)
        self._search(meter)
        self._pipeline(meter)
        self.took, self.retake = durable.took, durable.retake

    def _calls(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Duration of a call", explicit_bucket_boundaries_advisory=SECONDS
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a call", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to the first chunk of an answer",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def _search(self, meter: Meter) -> None:
        self._cost = meter.create_counter("genesis.cost", "USD", "Cost of runs")
        self._unpriced = meter.create_counter("genesis.llm.unpriced", "{call}", "Calls whose price is unknown")
        self._individuals = meter.create_counter("genesis.individuals", "{individual}", "Individuals that have ended")
        self._best = meter.create_gauge("genesis.best_score", "", "The best score so far")
        self._generation = meter.create_gauge("genesis.generation", "{generation}", "The latest generation")
        self._jobs = meter.create_up_down_counter("genesis.jobs.running", "{job}", "Running jobs")

    def _pipeline(self, meter: Meter) -> None:
        def of_spool(pick: Callable[[Status], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
            return lambda _: self._observed(lambda: pick(status(self._folder)))

        self._ended = meter.create_counter("genesis.spans.ended", "{span}", "Spans that this process has spooled")
        meter.create_observable_counter(
            "genesis.spans.stored", [lambda _: self._observed(self._stored)], "{span}", "Spooled spans that are stored"
        )
        meter.create_observable_counter(
            "genesis.delivery.retries",
            [lambda _: self._observed(lambda: self._next.retries)],
            "{attempt}",
            "Deliveries of this process that failed and are retried",
        )
        for name, unit, description, pick in (
            ("genesis.spool.waiting", "{span}", "Spans waiting in the spool", lambda state: state.waiting),
            ("genesis.spool.dropped", "{span}", "Spans lost from the spool", lambda state: state.dropped),
            ("genesis.spool.dead", "{span}", "Refused spans", lambda state: state.dead),
            ("genesis.spool.oldest", "s", "Age of the oldest waiting span", lambda state: state.oldest),
        ):
            meter.create_observable_gauge(name, [of_spool(pick)], unit, description)

    def _observed(self, value: Callable[[], float]) -> Iterable[Observation]:
        if os.getpid() == self._pid:
            try:
                yield Observation(value())
            except OSError as error:
                pass_on(error)
                warn_once("observed", "The state of the spool could not be measured", exc_info=True)

    def _stored(self) -> int:
        """Spans ended here and no longer waiting, less what the spool has lost or refused since: never more than are stored."""
        state = status(self._folder)
        stored = self._count - self._next.waiting() - (state.dead + state.dropped - self._gone_before)
        self._most_stored = max(self._most_stored, stored)
        return self._most_stored

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Only the next processor's start."""
        self._next.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Spool the span, then measure it."""
        self._next.on_end(span)
        if os.getpid() != self._pid or span.context is None or not span.context.trace_flags.sampled:
            return
        try:
            self._count += 1
            self._ended.add(1)
            self._measure(span, dict(span.attributes or {}))
        except Exception as error:
            pass_on(error)
            warn_once("measure", "A span could not be measured; it is still recorded", exc_info=True)

    def shutdown(self) -> None:
        """Only the next processor's shutdown."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Only the next processor's flush."""
        return self._next.force_flush(timeout_millis)

    def _measure(self, span: ReadableSpan, attributes: Attributes) -> None:
        record = attributes.get(names.RECORD)
        run = {names.RUN_ID: str(attributes.get(names.RUN_ID, ""))}
        if names.LLM_WITHIN in attributes:
            # Another span of the same call is measured.
            return
        if record is None and is_llm_call(attributes):
            self._measure_call(span, attributes, run)
        elif record == names.RECORD_INDIVIDUAL:
            self._measure_individual(span, attributes, run)
        elif record in (names.RECORD_ACTION, names.RECORD_EVALUATION):
            kind = "job_completed" if record == names.RECORD_EVALUATION else attributes.get(names.ACTION_TYPE)
            if kind in JOBS:
                self._jobs.add(JOBS[str(kind)], run)

    def _measure_call(self, span: ReadableSpan, attributes: Attributes, run: Attributes) -> None:
        cost = float(attributes.get(names.GEN_AI_USAGE_COST) or 0.0)
        place = (run[names.RUN_ID], str(attributes.get(names.INDIVIDUAL_ID, "")))
        if place[1]:
            keep(self._called, place, self._called.get(place, 0.0) + cost, OPEN_KEPT)
        self._cost.add(max(0.0, cost), run)
        if not cost and attributes.get(names.LLM_COST_SOURCE, "") in names.COST_UNPRICED:
            self._unpriced.add(1, run)
        # Client instrumentations measure their own calls.
        if span.instrumentation_scope is None or span.instrumentation_scope.name != names.SCOPE:
            return
        of_call = {name: attributes[name] for name in OF_A_CALL if name in attributes}
        # As in the table, 0 is unknown.
        took = lasted(span.start_time, span.end_time)
        if took:
            self._duration.record(took / 1e9, of_call)
        for kind, name in (("input", names.GEN_AI_USAGE_INPUT_TOKENS), ("output", names.GEN_AI_USAGE_OUTPUT_TOKENS)):
            if isinstance(attributes.get(name), int):
                self._tokens.record(attributes[name], {**of_call, "gen_ai.token.type": kind})
        if attributes.get(names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK):
            self._first_chunk.record(attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK], of_call)

    def _measure_individual(self, span: ReadableSpan, attributes: Attributes, run: Attributes) -> None:
        run_id = run[names.RUN_ID]
        failed = span.status.status_code is StatusCode.ERROR
        incorrect = _is_incorrect(attributes)
        self._individuals.add(1, {**run, "status": "error" if failed else "incorrect" if incorrect else "ok"})
        best = tally.run_tally(run_id).best
        if best is not None:
            self._best.set(best, run)
        number = attributes.get(names.GENERATION)
        if isinstance(number, int):
            keep(self._reached, run_id, max(number, self._reached.get(run_id, number)), tally.RUNS_KEPT)
            self._generation.set(self._reached[run_id], run)
        called = self._called.pop((run_id, str(attributes.get(names.INDIVIDUAL_ID, ""))), 0.0)
        if attributes.get(names.INDIVIDUAL_MUTATION_TYPE) not in COPIES:
            columns = (names.INDIVIDUAL_API_COST, names.INDIVIDUAL_EMBED_COST, names.INDIVIDUAL_NOVELTY_COST)
            beyond = sum(float(attributes.get(column) or 0.0) for column in columns) - called
            # As in sql/parts/spent.sql: anything smaller is rounding, from summing the same numbers in another order.
            if beyond > 1e-9:
                self._cost.add(beyond, run)


def _is_incorrect(attributes: Attributes) -> bool:
    """As in ``individuals.correct``: the individual's own value, else that in its metrics."""
    if names.INDIVIDUAL_CORRECT in attributes:
        return attributes[names.INDIVIDUAL_CORRECT] is False
    told = attributes.get(names.INDIVIDUAL_METRICS, "")
    metrics = json.loads(told) if '"correct"' in told else None
    return isinstance(metrics, dict) and metrics.get("correct") is False
