"""What is recorded at once: actions, lineage edges, and fronts separate from their generation.

In: what happened, and where it belongs. Out: a span that ends as soon as it starts, so that it is visible at once. On failure: as in
:mod:`genesis_otel.spans`, whose public functions these are: nothing here raises into a search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit import tally
from genesis_otel._emit.arguments import NoMore, warn_of
from genesis_otel._emit.belonging import check, noted, where
from genesis_otel._emit.context import Place, start
from genesis_otel._emit.handle import Handle, Value, in_order
from genesis_otel._emit.interruption import pass_on, retake, uninterrupted
from genesis_otel._emit.json_values import json_object, plain, to_parsed_json
from genesis_otel._emit.member import front_members
from genesis_otel._emit.values import nanoseconds, number, text
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


def as_dict(details: object, name: str = "details") -> dict[str, Any]:
    """What goes into a JSON object: a mapping's items; anything else is put under ``name``."""
    if details is None:
        return {}
    try:
        details = plain(details) if not isinstance(details, Mapping) else details
        if isinstance(details, Mapping):
            return {text(name): value for name, value in details.items()}
    except Exception as error:
        pass_on(error)
        warn_once("details", "Details could not be read and are kept as text", exc_info=True)
    return {name: details}


def action(
    action_type: str,
    details: object = None,
    metadata: object = None,
    *,
    run: Handle | None = None,
    generation: Handle | int | None = None,
    individual: Handle | None = None,
    run_id: str = "",
    individual_id: str = "",
    time: object = None,
    **extra: Unpack[NoMore],
) -> None:
    """Record an action (``archive_updated``, ``checkpoint``, ...) of a search; it is visible at once."""
    if extra:
        warn_of(action, extra)
    base, place = where(individual, generation, run, run_id, individual_id)
    if place.guessed:
        check("action", place, recording=True)
    kind = text(action_type)
    emit(f"action {kind}", base, lambda: action_attributes(kind, details, metadata, place), nanoseconds(time, "time"))


def action_attributes(action_type: object, details: object, metadata: object, place: Place) -> dict[str, Value]:
    return {
        names.RECORD: names.RECORD_ACTION,
        **place.attributes(),
        names.ACTION_TYPE: text(action_type),
        names.ACTION_DETAILS: json_object(details),
        names.ACTION_METADATA: json_object(noted(metadata, place)),
    }


def lineage(
    child_id: str,
    parent_id: str,
    generation: Handle | int | None = None,
    mutation_type: str = "mutate",
    fitness_delta: float | None = None,
    edit_summary: str = "",
    *,
    run_id: str = "",
    time: object = None,
    **extra: Unpack[NoMore],
) -> None:
    """Record an edge from a parent to its child, for an individual whose own span has no edges (``lineage=False``).

    :param fitness_delta: fitness of the child minus that of the parent; None if either is unknown.
    """
    if extra:
        warn_of(lineage, extra)
    base, place = where(generation=generation, run_id=run_id, individual_id=child_id)

    def edge() -> Mapping[str, Value]:
        told: dict[str, Value] = {
            names.RECORD: names.RECORD_LINEAGE,
            **place.attributes(),
            names.LINEAGE_CHILD_ID: text(child_id),
            names.LINEAGE_PARENT_ID: text(parent_id),
            names.LINEAGE_MUTATION_TYPE: text(mutation_type),
            names.LINEAGE_EDIT_SUMMARY: text(edit_summary),
        }
        delta = number(fitness_delta, "fitness_delta")
        return told if delta is None else {**told, names.LINEAGE_FITNESS_DELTA: delta}

    emit("lineage", base, edge, nanoseconds(time, "time"))


def pareto_front(
    members: Iterable[object],
    *,
    run_id: str = "",
    generation: Handle | int | None = None,
    time: object = None,
    **extra: Unpack[NoMore],
) -> None:
    """Record a Pareto front separately from its generation's span; for ``members`` see :meth:`Generation.pareto_front`."""
    if extra:
        warn_of(pareto_front, extra)
    base, place = where(generation=generation, run_id=run_id)
    moment = nanoseconds(time, "time") or time_ns()
    span = start("pareto_front", base, start_time=moment)
    if span.is_recording():

        def complete() -> None:
            if not span.is_recording():
                retake(span)
                return
            generation = tally.generation_at(place)
            told = front_members(members, generation.members if generation is not None else ())
            span.set_attributes(in_order({names.RECORD: names.RECORD_PARETO_FRONT, **place.attributes()}))
            if not getattr(span, "events", ()):
                add_front(span, told, moment)
            span.end(moment)

        try:
            uninterrupted(complete)
        except Exception as error:
            pass_on(error)
            warn_once("pareto_front", "A front could not be recorded", exc_info=True)


def emit(name: str, context: Context, attributes: Callable[[], Mapping[str, Value]], at_time: int | None) -> None:
    """Emit a span that ends as soon as it starts; ``attributes`` is called only if somebody records the span."""
    moment = at_time or time_ns()
    span = start(name, context, start_time=moment)
    if span.is_recording():

        def complete() -> None:
            # The span has ended, but was interrupted: the SDK may not have passed it to the processors.
            if not span.is_recording():
                retake(span)
                return
            span.set_attributes(in_order(attributes()))
            span.end(moment)

        try:
            uninterrupted(complete)
        except Exception as error:
            pass_on(error)
            warn_once("emit", "A span could not be recorded and was dropped", exc_info=True)


def add_front(span: Span, members: list[dict[str, Any]], at_time: int | None) -> None:
    span.add_event(names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: to_parsed_json(members)}, at_time)
