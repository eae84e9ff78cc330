"""One job that evaluates an individual, wherever it runs.

In: what the scheduler and the evaluator tell. Out: ``job_submitted`` at once, and the span ``evaluation`` at its end.
On failure: as in :mod:`genesis_otel.spans`, whose public functions these are: nothing comes out of here into a search.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit import tally
from genesis_otel._emit.actions import action_attributes, as_dict, emit
from genesis_otel._emit.arguments import NoMore, warn_of
from genesis_otel._emit.belonging import check, noted, where
from genesis_otel._emit.context import Place, start
from genesis_otel._emit.handle import Handle, Value, error_type, failed, quietly
from genesis_otel._emit.output import bounded, kept
from genesis_otel._emit.values import json_object, nanoseconds, text, to_json, truth

if TYPE_CHECKING:
    from typing_extensions import Unpack

# --- evaluation -------------------------------------------------------------------------------------------------------


class Evaluation(Handle):
    """One job that evaluates an individual."""

    __slots__ = ("_correct", "_details", "_metadata", "_output", "job_id")

    def __init__(
        self, span: Span, base: Context, place: Place, job_id: str, details: dict[str, Any], metadata: object
    ) -> None:
        super().__init__(span, base, place)
        self.job_id = job_id
        self._details = details
        self._metadata = metadata
        self._output: dict[str, Any] = {}
        self._correct: bool | None = None

    def _reference(self) -> tuple[Any, ...]:
        return (self.job_id,)

    def _restore(self, *told: Any) -> None:
        (self.job_id,) = told
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
            incorrect, where this process has it: the latest evaluation's word counts.
        :param output: what the evaluation put out, by name: ``{"stdout": ..., "stderr": ..., "traceback": ...}``; a text alone is
            ``stdout``. The last 64 Ki characters of each text are kept, and names that are told later are added.
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


def evaluation(
    job_id: str | None = None,
    *,
    individual: Handle | None = None,
    details: Mapping[str, object] | None = None,
    metadata: object = None,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Evaluation:
    """Begin a job that evaluates ``individual``, or the current one, wherever it runs. ``job_submitted`` goes out at once.

    :param job_id: as the scheduler calls it; by default a new one.
    :param details: added to what is known of the job, in ``agent_actions.details``.
    """
    if extra:
        warn_of(evaluation, extra)
    base, place = where(individual=individual)
    known = text(job_id) or f"job_{uuid.uuid4().hex[:12]}"
    began = nanoseconds(start_time, "start_time")
    about: dict[str, Any] = {"job_id": known}
    if place.generation is not None:
        about["generation"] = place.generation
    if place.individual_id:
        about["individual_id"] = place.individual_id
    if isinstance(individual, Handle) and individual.parents:
        about["parent_id"] = individual.parents[0]
    about |= as_dict(details)
    metadata = noted(metadata, place)
    emit("action job_submitted", base, lambda: action_attributes("job_submitted", about, metadata, place), began)
    span = start("evaluation", base, start_time=began)
    check("evaluation", place, recording=span.is_recording())
    return Evaluation(span, base, place, known, about, metadata)
