"""Records jobs that evaluate individuals, wherever they run.

In: what the scheduler and the evaluator report. Out: ``job_submitted`` at once, and the span ``evaluation`` when the job ends; or, as a
decorator, a function whose every call is such a job.
On failure: as in :mod:`genesis_otel.spans`, whose public functions these are: no exception from here reaches a search.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from time import time_ns
from typing import TYPE_CHECKING, Any, overload

from opentelemetry.context import Context
from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit import tally
from genesis_otel._emit.actions import action_attributes, as_dict, emit
from genesis_otel._emit.arguments import NoMore, warn_of
from genesis_otel._emit.belonging import check, noted, where
from genesis_otel._emit.context import Place, start
from genesis_otel._emit.decorated import F, decorated
from genesis_otel._emit.handle import Handle, Value, error_type, failed, quietly
from genesis_otel._emit.json_values import json_object, to_json
from genesis_otel._emit.opened import closed, opened
from genesis_otel._emit.output import bounded, kept
from genesis_otel._emit.values import known_time_or_now, text, truth
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from typing_extensions import Unpack

# --- evaluation -------------------------------------------------------------------------------------------------------


class Evaluation(Handle):
    """One job that evaluates an individual; as a decorator, each call of a function."""

    __slots__ = ("_arguments", "_begin", "_correct", "_details", "_metadata", "_output", "job_id")
    _arguments: Mapping[str, Any]
    _begin: Callable[[], None] | None
    """Begins the evaluation; None once it has begun."""

    def __init__(
        self, span: Span, base: Context, place: Place, job_id: str, details: dict[str, Any], metadata: object
    ) -> None:
        super().__init__(span, base, place)
        self.job_id = job_id
        self._details = details
        self._metadata = metadata
        self._output: dict[str, Any] = {}
        self._correct: bool | None = None

    def __getattr__(self, name: str) -> Any:
        # Before the evaluation begins it has no attributes; the first access begins it.
        begin = object.__getattribute__(self, "_begin") if name in _SET_WHEN_BEGUN else None
        if begin is None:
            raise AttributeError(name)
        self._begin = None
        begin()
        return getattr(self, name)

    def __call__(self, function: F) -> F:
        """Decorate a function: each of its calls is a job that evaluates the individual current at that time."""
        if self._begin is None:
            warn_once(
                "decorator",
                "An evaluation that names its job or its individual begins at once, and has now been ended because it decorates a function; "
                "decorate with @genesis_otel.evaluation, or evaluation(details=...), and the individual is the current one",
            )
            self.end()
        closed(self)
        return decorated(function, _Jobs(self._arguments))

    def _reference(self) -> tuple[Any, ...]:
        return (self.job_id,)

    def _restore(self, *told: Any) -> None:
        (self.job_id,) = told
        self._arguments, self._begin = {}, None
        self._details = {}
        self._output = {}
        self._metadata = self._correct = None

    @quietly
    def result(
        self,
        *,
        correct: bool | None = None,
        combined_score: float | None = None,
        details: Mapping[str, object] | None = None,
        metadata: object = None,
        output: Mapping[str, object] | str | bytes | None = None,
        **extra: Unpack[NoMore],
    ) -> None:
        """Record the outcome.

        :param correct: whether the program ran and passed its checks; false makes the job ``job_failed``, and the individual
            incorrect, if it is open in this process: the latest evaluation's verdict counts.
        :param output: the evaluation's output by name: ``{"stdout": ..., "stderr": ..., "traceback": ...}``; a plain text is
            ``stdout``. The last 64 Ki characters of each text are kept, and names from later calls are added.
        """
        if extra:
            warn_of(Evaluation.result, extra)
        if correct is not None:
            self._correct = self._details["correct"] = truth(correct, "correct")
            individual = tally.individual_at(self._place)
            if individual is not None:
                individual.correct = self._correct
        if combined_score is not None:
            self._details["combined_score"] = combined_score
        self._details.update(as_dict(details))
        if output is not None:
            self._output |= kept(output)
        self._metadata = self._metadata if metadata is None else noted(metadata, self._place)

    def fail(self, error: BaseException | object) -> None:
        """Record that the job failed, with an exception or a text."""
        failed(self._span, error)
        self._details["error"] = text(error)
        if isinstance(error, BaseException):
            self._details["error_type"] = error_type(error)

    @quietly
    def end(self, end_time: object = None, **extra: Unpack[NoMore]) -> None:
        """End the job: ``job_completed``, or ``job_failed``."""
        if extra:
            warn_of(Evaluation.end, extra)
        if not self._first():
            return
        attributes: dict[str, Value] = {
            names.RECORD: names.RECORD_EVALUATION,
            **self._place.attributes(),
            names.EVALUATION_JOB_ID: self.job_id,
            names.EVALUATION_DETAILS: json_object(self._details),
            names.EVALUATION_METADATA: json_object(self._metadata),
        }
        if self._correct is not None:
            attributes[names.EVALUATION_CORRECT] = self._correct
        if self._output:
            attributes[names.EVALUATION_OUTPUT] = to_json(bounded(self._output))
        self._finish(attributes, end_time)


_SET_WHEN_BEGUN = frozenset({*Handle.__slots__, *Evaluation.__slots__} - {"__weakref__", "_arguments", "_begin"})
"""The attributes that exist only once the evaluation has begun."""


@overload
def evaluation(
    job_id: str | None = None,
    *,
    individual: Handle | None = None,
    details: Mapping[str, object] | None = None,
    metadata: object = None,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Evaluation: ...


@overload
def evaluation(job_id: F) -> F: ...


def evaluation(
    job_id: Any = None,
    *,
    individual: Handle | None = None,
    details: Mapping[str, object] | None = None,
    metadata: object = None,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Any:
    """Begin a job that evaluates ``individual``, or the current one, wherever it runs. ``job_submitted`` is emitted at once.

    As a decorator, with or without arguments in parentheses, it makes each call of a function such a job: for the individual current at
    that time, and with the return value as its outcome, if that is a number (its combined score), a bool (whether it is correct) or a
    mapping with ``combined_score`` and ``correct``. So an evaluation that names neither job nor individual is emitted only when it is
    entered or used, with the time at which it was created.

    :param job_id: the scheduler's id; by default a new one.
    :param details: added to what is known about the job, in ``agent_actions.details``.
    """
    if extra:
        warn_of(evaluation, extra)
    if callable(job_id) and individual is None and details is None and metadata is None and start_time is None:
        return decorated(job_id, _Jobs({}))
    handle = Evaluation.__new__(Evaluation)
    handle._arguments = {"details": details, "metadata": metadata}
    # It counts as submitted when it is first known, but how long it ran is not known from then.
    began = known_time_or_now(start_time, "start_time")
    known = text(job_id)
    begin = partial(
        _begin, handle, known, individual, *where(individual=individual), details, metadata, began, began or time_ns()
    )
    if known or individual is not None:
        handle._begin = None
        begin()
    else:
        handle._begin = begin
        opened(handle)
    return handle


def _begin(
    handle: Evaluation,
    job_id: str,
    individual: Handle | None,
    base: Context,
    place: Place,
    details: Mapping[str, object] | None,
    metadata: object,
    began: int,
    submitted: int,
) -> None:
    known = job_id or f"job_{uuid.uuid4().hex[:12]}"
    about: dict[str, Any] = {"job_id": known}
    if place.generation is not None:
        about["generation"] = place.generation
    if place.individual_id:
        about["individual_id"] = place.individual_id
    if isinstance(individual, Handle) and individual.parents:
        about["parent_id"] = individual.parents[0]
    about |= as_dict(details)
    metadata = noted(metadata, place)
    emit("action job_submitted", base, lambda: action_attributes("job_submitted", about, metadata, place), submitted)
    span = start("evaluation", base, start_time=began)
    check("evaluation", place, recording=span.is_recording())
    Evaluation.__init__(handle, span, base, place, known, about, metadata)


class _Jobs:
    """Records the calls of a function as evaluations."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments

    def begin(self, arguments: Mapping[str, Any]) -> Evaluation:
        begun: Evaluation = evaluation(**self._arguments)
        return begun

    def result(self, handle: Evaluation, result: object) -> None:
        if isinstance(result, bool):
            handle.result(correct=result)
        elif isinstance(result, Real):
            handle.result(combined_score=float(result))
        elif isinstance(result, Mapping):
            score, correct = result.get("combined_score"), result.get("correct")
            handle.result(
                combined_score=float(score) if isinstance(score, Real) and not isinstance(score, bool) else None,
                correct=correct if isinstance(correct, bool) else None,
            )

    def part(self, handle: Evaluation, part: object) -> None:
        """Ignored: only the last part counts."""

    def parts(self, handle: Evaluation, parts: list[object]) -> None:
        """Record the last part as the outcome."""
        if parts:
            self.result(handle, parts[-1])
