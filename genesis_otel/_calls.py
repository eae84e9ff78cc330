"""What happens within a search, and what is told of it at once: jobs, LLM calls, actions, edges, fronts.

In: handles on what is open, names, or nothing (then what is current). Out: spans in the trace of their generation. On
failure: as in :mod:`genesis_otel.spans`, whose public functions these are: nothing comes out of here into a search.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from genesis_otel import _tally
from genesis_otel import attributes as names
from genesis_otel._context import Place, derived_context, place_of, placed, start
from genesis_otel._handle import Handle, Value, error_type, failed, quietly
from genesis_otel._messages import input_messages, output_messages
from genesis_otel._values import (
    integer,
    json_object,
    nanoseconds,
    number,
    plain,
    text,
    to_parsed_json,
    truth,
    warn_once,
)

if TYPE_CHECKING:
    from genesis_otel.spans import Generation, Individual, Run


# --- evaluation -------------------------------------------------------------------------------------------------------


class Evaluation(Handle):
    """One job that evaluates an individual."""

    __slots__ = ("_correct", "_details", "_metadata", "job_id")

    def __init__(
        self, span: Span, base: Context, place: Place, job_id: str, details: dict[str, Any], metadata: object
    ) -> None:
        super().__init__(span, base, place)
        self.job_id = job_id
        self._details = details
        self._metadata = metadata
        self._correct: bool | None = None

    @quietly
    def result(
        self,
        *,
        correct: bool | None = None,
        combined_score: float | None = None,
        details: Mapping[str, object] | None = None,
        metadata: object = None,
    ) -> None:
        """Tell the outcome.

        :param correct: whether the program ran and passed its checks; false makes the job ``job_failed``.
        """
        if correct is not None:
            self._correct = self._details["correct"] = truth(correct, "correct")
        if combined_score is not None:
            self._details["combined_score"] = combined_score
        self._details.update(as_dict(details))
        self._metadata = self._metadata if metadata is None else metadata

    def fail(self, error: BaseException | object) -> None:
        """Record that the job failed, with an exception or a text."""
        failed(self._span, error)
        self._details["error"] = text(error)
        if isinstance(error, BaseException):
            self._details["error_type"] = error_type(error)

    @quietly
    def end(self, end_time: object = None) -> None:
        """End the job: ``job_completed``, or ``job_failed``."""
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
        self._finish(attributes, end_time)


def evaluation(
    job_id: str | None = None,
    *,
    individual: Individual | None = None,
    details: Mapping[str, object] | None = None,
    metadata: object = None,
    start_time: object = None,
) -> Evaluation:
    """Begin a job that evaluates ``individual``, or the current one, wherever it runs. ``job_submitted`` goes out at once.

    :param job_id: as the scheduler calls it; by default a new one.
    :param details: joins what is known of the job, in ``agent_actions.details``.
    """
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
    emit("action job_submitted", base, lambda: _action("job_submitted", about, metadata, place), began)
    return Evaluation(start("evaluation", base, start_time=began), base, place, known, about, metadata)


def as_dict(details: object, name: str = "details") -> dict[str, Any]:
    """What joins a JSON object: a mapping's items; what is none stands under ``name``."""
    if details is None:
        return {}
    try:
        details = plain(details) if not isinstance(details, Mapping) else details
        if isinstance(details, Mapping):
            return {text(name): value for name, value in details.items()}
    except Exception:
        warn_once("details", "Details could not be read and are kept as text", exc_info=True)
    return {name: details}


# --- LLM calls --------------------------------------------------------------------------------------------------------


class LLMCall(Handle):
    """One call of a model."""

    __slots__ = ("_attributes", "_began", "_first_token")

    def __init__(self, span: Span, base: Context, place: Place, attributes: dict[str, Value], began: int) -> None:
        super().__init__(span, base, place)
        self._attributes = attributes
        self._began = began
        self._first_token: int | None = None

    @quietly
    def prompt(self, messages: object, *, exact: bool = False) -> None:
        """Tell the prompt, where it was not known at the beginning.

        :param exact: leave every message that is more than a role and a text as it is.
        """
        if self._span.is_recording():
            self._attributes[names.GEN_AI_INPUT_MESSAGES] = input_messages(messages, exact=exact)

    @quietly
    def first_token(self, time: object = None) -> None:
        """The first token of a stream has come, now or at ``time``; later calls change nothing."""
        if self._first_token is None:
            came = nanoseconds(time, "time") or time_ns()
            self._first_token = came
            self._attributes[names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = max(0, came - self._began) / 1e9

    @quietly
    def response(
        self,
        response: object = "",
        reasoning: object = "",
        model: str = "",
        response_id: str = "",
        finish_reason: str = "",
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        cost: float | None = None,
    ) -> None:
        """Tell the answer.

        :param input_tokens: of the whole prompt; ``cached_tokens`` and ``cache_write_tokens`` are parts of it.
        :param output_tokens: of the whole answer; ``reasoning_tokens`` are a part of it.
        :param cost: in USD; by default computed from the tokens.
        """
        if not self._span.is_recording():
            return
        told: dict[str, Value | None] = {
            names.GEN_AI_OUTPUT_MESSAGES: output_messages(response, reasoning, text(finish_reason)) or None,
            names.GEN_AI_RESPONSE_MODEL: text(model) or None,
            names.GEN_AI_RESPONSE_ID: text(response_id) or None,
            names.GEN_AI_USAGE_INPUT_TOKENS: integer(input_tokens, "input_tokens"),
            names.GEN_AI_USAGE_OUTPUT_TOKENS: integer(output_tokens, "output_tokens"),
            names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: integer(cached_tokens, "cached_tokens"),
            names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: integer(cache_write_tokens, "cache_write_tokens"),
            names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: integer(reasoning_tokens, "reasoning_tokens"),
            names.GEN_AI_USAGE_COST: number(cost, "cost"),
        }
        self._attributes.update({name: value for name, value in told.items() if value is not None})
        if text(finish_reason):
            self._span.set_attribute(names.GEN_AI_RESPONSE_FINISH_REASONS, [text(finish_reason)])

    def fail(self, error: BaseException | object) -> None:
        """Record that the call failed, with an exception or a text."""
        self._attributes[names.ERROR_TYPE] = error_type(error) if isinstance(error, BaseException) else "_OTHER"
        failed(self._span, error)

    @quietly
    def end(self, end_time: object = None) -> None:
        """End the call."""
        if self._first():
            self._finish(self._attributes, end_time)


def llm_call(
    model: str,
    *,
    provider: str = "",
    operation: str = "chat",
    messages: object = None,
    role: str = "mutation",
    metadata: object = None,
    individual: Individual | None = None,
    generation: Generation | int | None = None,
    run: Run | None = None,
    run_id: str = "",
    individual_id: str = "",
    start_time: object = None,
) -> LLMCall:
    """Begin a call of ``model``, for the individual, generation or run that is given or named, or within what is current.

    :param operation: ``chat``, ``text_completion``, ``generate_content`` or ``embeddings``.
    :param messages: the prompt: a text, or messages as clients take them.
    :param role: what the call is for: ``mutation``, ``novelty``, ``meta``, ``judge``, ...
    :param metadata: context (task, sampling parameters, ...) for ``llm_logs.metadata``.
    """
    base, place = where(individual, generation, run, run_id, individual_id)
    began = nanoseconds(start_time, "start_time") or time_ns()
    asked: dict[str, Value] = {
        names.GEN_AI_OPERATION_NAME: text(operation) or "chat",
        names.GEN_AI_REQUEST_MODEL: text(model),
        names.LLM_ROLE: text(role),
        **place.attributes(),
    }
    if text(provider):
        asked[names.GEN_AI_PROVIDER_NAME] = text(provider)
    name = f"{asked[names.GEN_AI_OPERATION_NAME]} {asked[names.GEN_AI_REQUEST_MODEL]}"
    span = start(name, base, attributes=asked, kind=SpanKind.CLIENT, start_time=began)
    if span.is_recording():
        if messages is not None:
            asked[names.GEN_AI_INPUT_MESSAGES] = input_messages(messages)
        if metadata is not None:
            asked[names.LLM_METADATA] = json_object(metadata)
    return LLMCall(span, base, place, asked, began)


# --- what is told at once ---------------------------------------------------------------------------------------------


def action(
    action_type: str,
    details: object = None,
    metadata: object = None,
    *,
    run: Run | None = None,
    generation: Generation | int | None = None,
    individual: Individual | None = None,
    run_id: str = "",
    individual_id: str = "",
    time: object = None,
) -> None:
    """Record an action (``archive_updated``, ``checkpoint``, ...) of a search; it shows at once."""
    base, place = where(individual, generation, run, run_id, individual_id)
    kind = text(action_type)
    emit(f"action {kind}", base, lambda: _action(kind, details, metadata, place), nanoseconds(time, "time"))


def _action(action_type: object, details: object, metadata: object, place: Place) -> dict[str, Value]:
    return {
        names.RECORD: names.RECORD_ACTION,
        **place.attributes(),
        names.ACTION_TYPE: text(action_type),
        names.ACTION_DETAILS: json_object(details),
        names.ACTION_METADATA: json_object(metadata),
    }


def lineage(
    child_id: str,
    parent_id: str,
    generation: Generation | int | None = None,
    mutation_type: str = "mutate",
    fitness_delta: float = 0.0,
    edit_summary: str = "",
    *,
    run_id: str = "",
    time: object = None,
) -> None:
    """Record an edge from a parent to its child, apart from the child's own span (which has its edges already)."""
    base, place = where(generation=generation, run_id=run_id, individual_id=child_id)

    def edge() -> dict[str, Value]:
        return {
            names.RECORD: names.RECORD_LINEAGE,
            **place.attributes(),
            names.LINEAGE_CHILD_ID: text(child_id),
            names.LINEAGE_PARENT_ID: text(parent_id),
            names.LINEAGE_MUTATION_TYPE: text(mutation_type),
            names.LINEAGE_FITNESS_DELTA: number(fitness_delta, "fitness_delta") or 0.0,
            names.LINEAGE_EDIT_SUMMARY: text(edit_summary),
        }

    emit("lineage", base, edge, nanoseconds(time, "time"))


def pareto_front(
    members: Iterable[object],
    *,
    run_id: str = "",
    generation: Generation | int | None = None,
    time: object = None,
) -> None:
    """Record a front apart from its generation's span; for ``members`` see :meth:`Generation.pareto_front`."""
    base, place = where(generation=generation, run_id=run_id)
    moment = nanoseconds(time, "time") or time_ns()
    span = start("pareto_front", base, start_time=moment)
    if span.is_recording():
        try:
            told = _tally.front_members(members, _tally.generation_at(place))
            span.set_attributes({names.RECORD: names.RECORD_PARETO_FRONT, **place.attributes()})
            add_front(span, told, moment)
            span.end(moment)
        except Exception:
            warn_once("pareto_front", "A front could not be recorded", exc_info=True)


def at(run_id: str, generation: int | None = None, individual_id: str | None = None) -> Context:
    """The context of a run, a generation or an individual, for callers that have names and no handles.

    In the process that opened it, that is the open span's; elsewhere spans join the trace of the generation all the same.
    """
    return context_of(Place(text(run_id), integer(generation, names.GENERATION), text(individual_id)))


def context_of(place: Place) -> Context:
    """The context of a place: of its span where that is open in this process."""
    opened = _tally.individual_at(place) or _tally.generation_at(place)
    if opened is None:
        return derived_context(place)
    return placed(trace.set_span_in_context(opened.span, otel.get_current()), place)


def where(
    individual: Individual | None = None,
    generation: Generation | int | None = None,
    run: Run | None = None,
    run_id: str = "",
    individual_id: str = "",
) -> tuple[Context, Place]:
    """The context to start a span in and the place it belongs to: of a handle, of names, or the current one."""
    name = text(individual_id)
    for handle in (individual, generation, run):
        if isinstance(handle, Handle):
            if handle is run and generation is not None:
                break
            return handle.context, handle._place._replace(individual_id=name) if name else handle._place
    current = place_of()
    known = run.run_id if isinstance(run, Handle) else text(run_id) or current.run_id
    number = integer(generation, names.GENERATION)
    if known == current.run_id and number in (None, current.generation):
        # What the caller names is what is current.
        return otel.get_current(), current._replace(individual_id=name or current.individual_id)
    place = Place(known, number, name)
    return context_of(place), place


def emit(name: str, context: Context, attributes: Callable[[], Mapping[str, Value]], at_time: int | None) -> None:
    """A span that ends as it begins; ``attributes`` is asked where somebody records it."""
    moment = at_time or time_ns()
    span = start(name, context, start_time=moment)
    if span.is_recording():
        try:
            span.set_attributes(attributes())
            span.end(moment)
        except Exception:
            warn_once("emit", "A span could not be recorded and is left out", exc_info=True)


def add_front(span: Span, members: list[dict[str, Any]], at_time: int | None) -> None:
    span.add_event(names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: to_parsed_json(members)}, at_time)
