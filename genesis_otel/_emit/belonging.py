"""Where a record belongs: the context and place of a handle, of names, or of whatever is current.

In: handles of open spans, names, or nothing. Out: the context to start a span in, and the run, generation and individual
that it belongs to. On failure: what is unknown is left empty; nothing here raises into a search.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context

from genesis_otel._emit import forgotten, tally
from genesis_otel._emit.context import Place, derived_context, place_of, placed
from genesis_otel._emit.handle import Handle
from genesis_otel._emit.opened import only_run
from genesis_otel._emit.values import generation_number, text
from genesis_otel._log import printed, warn_once


def at(run_id: str, generation: int | None = None, individual_id: str | None = None) -> Context:
    """The context of a run, a generation or an individual, for callers that have names but no handles.

    In the process that opened it, this is the context of the open span; elsewhere spans still join the generation's trace.
    """
    return context_of(Place(text(run_id), generation_number(generation), text(individual_id)))


def check(kind: str, place: Place, *, recording: bool) -> None:
    """Warn, once per kind of record, about one that does not say where it belongs."""
    if place.guessed:
        warn_once(
            f"guessed {kind}",
            "%s was started where no run is current, as in the threads of a pool: it is assigned to the only open run (%s), and its "
            'metadata says "place": "guessed". Pass run=, generation= or individual=, or attach handle.context in the thread',
            kind,
            printed(place.run_id),
        )
    elif not recording:
        forgotten.in_worker(kind)
    elif not place.run_id:
        warn_once(
            f"nowhere {kind}",
            "%s was started where no run is current, so it belongs to none: pass run= or run_id=, attach handle.context in a thread, or give "
            "handle.environ() to a subprocess or the handle itself to a worker",
            kind,
        )


def noted(metadata: object, place: Place) -> object:
    """Metadata, with a note if the place is only a guess."""
    if not place.guessed:
        return metadata
    if isinstance(metadata, str) and metadata:
        try:
            metadata = json.loads(metadata)
        except ValueError:
            pass
    if metadata is None or metadata == "":
        return GUESSED
    return {**(metadata if isinstance(metadata, Mapping) else {"metadata": metadata}), **GUESSED}


GUESSED: Mapping[str, object] = {"place": "guessed"}


def context_of(place: Place) -> Context:
    """The context of a place: that of its span, if it is open in this process."""
    opened = tally.individual_at(place) or tally.generation_at(place)
    if opened is None:
        return derived_context(place)
    return placed(trace.set_span_in_context(opened.span, otel.get_current()), place)


def where(
    individual: Handle | None = None,
    generation: Handle | int | None = None,
    run: Handle | None = None,
    run_id: str = "",
    individual_id: str = "",
) -> tuple[Context, Place]:
    """The context to start a span in and the place it belongs to: those of a handle, of names, or the current ones."""
    name = text(individual_id)
    for handle in (individual, generation, run):
        if isinstance(handle, Handle):
            if handle is run and generation is not None:
                break
            return handle.context, handle._place._replace(individual_id=name) if name else handle._place
    current = place_of()
    known = run.run_id if isinstance(run, Handle) else text(run_id) or current.run_id
    number = generation_number(generation)
    if not known and (only := only_run()):
        # A generation or an individual is never guessed.
        place = Place(only, number, name, guessed=True)
        return context_of(place), place
    if known == current.run_id and number in (None, current.generation):
        # The caller names the current place.
        return otel.get_current(), current._replace(individual_id=name or current.individual_id)
    place = Place(known, number, name)
    return context_of(place), place
