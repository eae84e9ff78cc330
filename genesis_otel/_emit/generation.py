"""A generation: the root of its own trace, linked to its run.

In: its number, and what ends within it. Out: the span ``generation`` with statistics, cost and front. On failure: as in
:mod:`genesis_otel.spans`, whose public functions these are: nothing here raises into a search.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span

from genesis_otel import attributes as names
from genesis_otel._emit import tally
from genesis_otel._emit.actions import action, add_front, as_dict
from genesis_otel._emit.arguments import (
    ActionOfGeneration,
    CallOfGeneration,
    IndividualArguments,
    NoMore,
    warn_of,
    within,
)
from genesis_otel._emit.belonging import check, noted
from genesis_otel._emit.context import Place, derived_span_context, place_of, start_root
from genesis_otel._emit.handle import Handle, Value, quietly
from genesis_otel._emit.individual import Individual, individual
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import to_json
from genesis_otel._emit.llm_call import LLMCall, llm_call
from genesis_otel._emit.member import front_members, front_of
from genesis_otel._emit.opened import only_run
from genesis_otel._emit.values import generation_number, integer, known_time, nanoseconds, number, text, usd
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Generation(Handle):
    """A generation: the root of its own trace."""

    __slots__ = ("_open", "_tally")

    def __init__(self, span: Span, base: Context, place: Place, *, hold: bool) -> None:
        super().__init__(span, base, place)
        self._open = tally.open_generation(place, span, hold=hold and span.is_recording())
        self._tally = tally.run_tally(place.run_id)
        if place.generation is not None:
            self._tally.generations[place.generation] = None
            self._open.members.extend(self._tally.begun.pop(place.generation, ()))
            self._open.calls.setdefault("", []).extend(self._tally.begun_calls.pop(place.generation, ()))

    def _restore(self, *told: Any) -> None:
        self._open = tally.OpenGeneration(self._span, hold=False)
        self._tally = tally.run_tally(self._place.run_id)

    @property
    def number(self) -> int | str | None:
        """The generation's number; 0 is the initial population."""
        return self._place.generation

    def individual(self, individual_id: str | None = None, **told: Unpack[IndividualArguments]) -> Individual:
        """Start an individual of this generation; see :func:`individual`."""
        return within(individual, individual_id, told=told, generation=self)

    def llm_call(self, model: str, **told: Unpack[CallOfGeneration]) -> LLMCall:
        """Start an LLM call that belongs to no individual; see :func:`llm_call`."""
        return within(llm_call, model, told=told, generation=self)

    def action(
        self, action_type: str, details: object = None, metadata: object = None, **told: Unpack[ActionOfGeneration]
    ) -> None:
        """Record an action; see :func:`action`."""
        within(action, action_type, details, metadata, told=told, generation=self)

    @quietly
    def pareto_front(self, members: Iterable[object], *, time: object = None, **extra: Unpack[NoMore]) -> None:
        """Record the current Pareto front.

        :param members: ended individuals, their ids, or dicts with ``individual_id``, ``fitness_score``,
            ``combined_score`` and ``metrics``.
        """
        if extra:
            warn_of(Generation.pareto_front, extra)
        if self._span.is_recording():
            self._open.front = front_members(members, self._open.members)
            add_front(self._span, self._open.front, nanoseconds(time, "time"))

    @quietly
    def end(
        self,
        num_individuals: int | None = None,
        best_score: float | None = None,
        avg_score: float | None = None,
        pareto_size: int | None = None,
        total_cost: float | None = None,
        metadata: Mapping[str, object] | str | None = None,
        end_time: object = None,
        **extra: Unpack[NoMore],
    ) -> None:
        """End the generation. What is not given is computed from the individuals that ended within it, in this process and in
        earlier processes of the run.

        Scores that are not finite numbers are left out of the statistics. The cost is that of the individuals and of
        the calls outside of them.
        """
        if extra:
            warn_of(Generation.end, extra)
        if not self._first():
            return
        tally.close_generation(self._place, self._open)
        if not self._span.is_recording():
            return
        ended = nanoseconds(end_time, "end_time") or time.time_ns()
        attributes: dict[str, Value] = {names.RECORD: names.RECORD_GENERATION, **self._place.attributes()}
        beyond = 0.0
        try:
            self._compute_front(ended)
            members = self._open.latest()
            further: dict[str, Any] = {}
            if members:
                computed, further = tally.statistics_of(self._tally, members, self._open.scores())
                attributes |= {names.GENERATION_NUM_INDIVIDUALS: len(members), **computed}
            if self._tally.task:
                attributes[names.GENERATION_TASK_NAME] = self._tally.task
            attributes[names.GENERATION_TOTAL_COST] = self._open.cost()
            if self._open.front is not None:
                attributes[names.GENERATION_PARETO_SIZE] = len(self._open.front)
            cost = usd(total_cost, "total_cost")
            if cost is not None:  # what exceeds its calls and individuals, which were already counted
                beyond = max(0.0, cost - self._open.cost())
                self._tally.spending.pay(beyond)
            for name, value in (
                (names.GENERATION_NUM_INDIVIDUALS, integer(num_individuals, "num_individuals")),
                (names.GENERATION_BEST_SCORE, number(best_score, "best_score")),
                (names.GENERATION_AVG_SCORE, number(avg_score, "avg_score")),
                (names.GENERATION_PARETO_SIZE, integer(pareto_size, "pareto_size")),
                (names.GENERATION_TOTAL_COST, cost),
            ):
                if value is not None:
                    attributes[name] = value
            # Text is JSON that was made earlier, and is kept unchanged.
            attributes[names.GENERATION_METADATA] = (
                text(metadata)
                if isinstance(metadata, str) and not self._place.guessed
                else to_json({**further, **as_dict(noted(metadata, self._place), "metadata")})
            )
        finally:
            self._open.release()
            self._finish(attributes, ended)
        self._tally.completed(self._place.generation, self._open.front, beyond + self._open.late())

    def _compute_front(self, ended: int) -> None:
        objectives = self._tally.objectives
        told = self._open.front is not None
        if (told and not self._again) or not (told or objectives):
            return
        try:
            if self._open.front is None:
                if not self._open.members:
                    return  # its individuals are another process' or are logged as rows: nobody here knows its front
                self._open.front = [each.as_front_member() for each in front_of(objectives, self._open.latest())]
            # A given front already has its event, unless a signal handler's exception came in between.
            if not told or all(event.name != names.EVENT_PARETO_FRONT for event in getattr(self._span, "events", ())):
                add_front(self._span, self._open.front, ended)
        except Exception as error:
            pass_on(error)
            warn_once("front", "The Pareto front could not be computed", exc_info=True)


def generation(
    number: int,
    *,
    run: Handle | None = None,
    run_id: str | None = None,
    hold_individuals: bool = False,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Generation:
    """Start a generation, of ``run``, of the run named ``run_id``, or of the current run.

    :param hold_individuals: keep the spans of ended individuals open until the generation ends, so that each records whether it
        is on the final front. They keep the time at which they finished, and are safe on disk meanwhile: if the process dies first,
        each arrives with what was known at its end. Without this, ``is_pareto`` is what was known at the individual's end.
    """
    if extra:
        warn_of(generation, extra)
    known = run.run_id if isinstance(run, Handle) else text(run_id) or place_of().run_id
    guessed = "" if known else only_run()
    known = known or guessed
    counted = generation_number(number)
    place = Place(known, 0 if counted is None else counted, guessed=bool(guessed))
    of_run = run.span.get_span_context() if isinstance(run, Handle) else derived_span_context(known)
    links = [Link(of_run)] if known and of_run.is_valid else []
    base = trace.set_span_in_context(INVALID_SPAN, otel.get_current())
    span = start_root("generation", place, links=links, start_time=known_time(start_time, "start_time"))
    check("generation", place, recording=span.is_recording())
    return Generation(span, base, place, hold=hold_individuals)
