"""Records an iteration's LLM calls and evaluation as spans, in OpenEvolve's worker processes.

In: a ticket that the main process adds to each iteration's snapshot of the database: where the iteration belongs,
and how a spawned process sets itself up. Out: spans, all of which have ended before the iteration's result is
returned, since OpenEvolve kills its workers; with the result, the cost of the calls. On failure: the iteration runs
unrecorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as otel
from opentelemetry.trace import INVALID_SPAN

from genesis_otel import spans
from genesis_otel._emit import tally
from genesis_otel._emit.context import place_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._hooks import as_role
from genesis_otel.instrumentation._openevolve.llm import Recorder, begun
from genesis_otel.instrumentation._openevolve.outcome import attempt, failure

original_iteration: Callable[..., Any] | None = None
"""OpenEvolve's own function, if `run_iteration` has replaced it."""

outcomes: dict[str, str] = {}
"""Why evaluations failed, by individual, until the individual takes it; '' if it did not fail."""

TICKET = "genesis_otel"
"""Key of the ticket in a snapshot, and name of the answer's attribute on a result."""


@dataclass(frozen=True)
class Ticket:
    """What a worker has to know about an iteration."""

    run_id: str
    individual_id: str
    environ: Mapping[str, str]
    recorder: Recorder
    setup: Callable[[], object] | None
    instrument: Callable[[Ticket], None]
    """Sets up a new worker; imported by name in a spawned one."""


@dataclass(frozen=True)
class Answer:
    """What the main process has to know about an iteration beyond OpenEvolve's own result."""

    calls: tuple[tuple[int, float], ...]
    error: str | None
    """Why its evaluation failed; '' if it did not, None if no evaluation was recorded."""
    unpriced: bool = False
    """Whether a call has no price."""


def run_iteration(iteration: int, db_snapshot: dict[str, Any], parent_id: str, inspiration_ids: list[str]) -> Any:
    """OpenEvolve's ``_run_iteration_worker``, observed.

    The main process submits this function instead of OpenEvolve's. It is pickled by its own name, so that a spawned
    worker, in which nothing is patched, calls it and is set up.
    """
    ticket = db_snapshot.pop(TICKET, None)
    work = _original()
    if not isinstance(ticket, Ticket):
        return work(iteration, db_snapshot, parent_id, inspiration_ids)
    opened, context = _arrive(ticket)
    with context:
        result = work(iteration, db_snapshot, parent_id, inspiration_ids)
    try:
        if result.child_program_dict is not None:
            # OpenEvolve would choose the child's id only after its LLM call, whose span has to carry it: so we chose it before.
            result.child_program_dict["id"] = ticket.individual_id
        error = outcomes.pop(ticket.individual_id, None)
        setattr(result, TICKET, Answer(tuple(opened.calls), error, opened.unpriced))
    except Exception as error:
        pass_on(error)
        warn_once("result", "An iteration's cost could not be sent to the main process", exc_info=True)
    return result


def _original() -> Callable[..., Any]:
    from openevolve import process_parallel  # type: ignore[import-untyped]

    work: Callable[..., Any] = original_iteration or process_parallel._run_iteration_worker
    return work


def _arrive(ticket: Ticket) -> tuple[tally.OpenIndividual, AbstractContextManager[None]]:
    # The calls' costs are collected here and sent back: the individual itself is open in the main process.
    opened = tally.OpenIndividual(INVALID_SPAN)
    try:
        ticket.instrument(ticket)
        tally.open_individual(ticket.run_id, ticket.individual_id, opened)
        return opened, spans.attached(spans.from_environment(ticket.environ))
    except Exception as error:
        pass_on(error)
        warn_once("worker", "A worker cannot record what it does", exc_info=True)
        return opened, nullcontext()


async def evaluate(original: Callable[..., Any], evaluator: Any, program_code: str, program_id: str) -> Any:
    """OpenEvolve's ``Evaluator.evaluate_program``, recorded as the evaluation of the current individual."""
    place = place_of()
    if not place.run_id:
        return await original(evaluator, program_code, program_id)
    own: dict[str, Any] = {}
    before = attempt.set(own)
    carry(evaluator)
    try:
        with begun(spans.evaluation, place.individual_id) as job, as_role("judge"):
            metrics = await original(evaluator, program_code, program_id)
            if job is not None:
                _record_outcome(
                    job, place.individual_id, metrics, evaluator._pending_artifacts.get(program_id) or {}, own
                )
            return metrics
    finally:
        attempt.reset(before)


def carry(evaluator: Any) -> None:
    """Have what an evaluator's functions record belong to their evaluation: OpenEvolve calls them in a thread, without its context."""
    try:
        pool = evaluator._executor
        submit = pool.submit
        if CARRYING in vars(pool):
            return

        def submitted(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            own = Context()
            own.run(otel.attach, otel.get_current())
            # No function of ours is called in the thread: OpenEvolve shows the model the traceback of a program that raises.
            return submit(own.run, work, *args, **kwargs)

        pool.submit = submitted
        setattr(pool, CARRYING, True)
    except Exception as error:
        pass_on(error)
        warn_once("evaluator's calls", "An evaluator's own calls are recorded without their individual", exc_info=True)


CARRYING = "genesis_otel_carries"
"""Mark of a pool that passes on the context."""


def _record_outcome(
    job: spans.Evaluation,
    individual_id: str,
    metrics: Mapping[str, Any],
    artifacts: Mapping[str, Any],
    own: Mapping[str, Any],
) -> None:
    try:
        error = outcomes[individual_id] = failure(metrics, artifacts, own)
        score = metrics.get("combined_score")
        job.result(
            correct=not error,
            combined_score=score,
            metadata={"public_metrics": metrics},
            output=artifacts or None,
        )
        if error:
            job.fail(error)
    except Exception as error:
        pass_on(error)
        warn_once("evaluation", "The outcome of an evaluation could not be recorded", exc_info=True)
