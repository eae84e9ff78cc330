"""Records individuals: one variant each, from its proposal to its scores.

In: what becomes known about a variant while it is created and evaluated. Out: its span, with all columns of ``individuals`` and
its edges of ``code_lineages``, set together when it ends. On failure: as in :mod:`genesis_otel.spans`, of which this is a part.
"""

from __future__ import annotations

import functools
import hashlib
import math
import uuid
from collections.abc import Iterable, Mapping
from numbers import Real
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit import pareto, tally
from genesis_otel._emit.actions import action
from genesis_otel._emit.arguments import (
    ActionArguments,
    CallArguments,
    EvaluationArguments,
    NoMore,
    warn_of,
    within,
)
from genesis_otel._emit.belonging import check, noted, where
from genesis_otel._emit.context import Place, start
from genesis_otel._emit.evaluation import Evaluation, evaluation
from genesis_otel._emit.handle import Handle, Value, failed, quietly
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import json_object, to_parsed_json
from genesis_otel._emit.llm_call import LLMCall, llm_call
from genesis_otel._emit.member import COPIES, Member, as_mapping, known_score, verdict
from genesis_otel._emit.values import integer, known_time, nanoseconds, number, text, truth, usd
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from typing_extensions import Unpack

SCORES = 16
"""Maximum scores of an individual sent as events: the SDK keeps 128 events per span and silently drops the rest."""

COSTS = (
    ("api_cost", names.INDIVIDUAL_API_COST),
    ("embed_cost", names.INDIVIDUAL_EMBED_COST),
    ("novelty_cost", names.INDIVIDUAL_NOVELTY_COST),
)


class Individual(Handle):
    """One variant: its proposal, its LLM calls, its evaluation. ``parents`` and ``mutation_type`` may be set late."""

    __slots__ = ("_failed", "_generation", "_lineage", "_member", "_open", "_parents", "_told", "mutation_type")

    def __init__(
        self,
        span: Span,
        base: Context,
        place: Place,
        generation: tally.OpenGeneration | None,
        parents: Iterable[str],
        mutation_type: str,
        *,
        lineage: bool,
    ) -> None:
        super().__init__(span, base, place)
        self.parents = parents
        self.mutation_type = mutation_type
        self._generation = generation
        self._failed = False
        self._lineage = lineage
        self._told: dict[str, Any] = {}
        self._member: Member | None = None
        self._open = tally.OpenIndividual(span)
        tally.open_individual(place.run_id, place.individual_id, self._open)

    def _reference(self) -> tuple[Any, ...]:
        return self.parents, text(self.mutation_type)

    def _restore(self, *told: Any) -> None:
        parents: tuple[str, ...] = told[0]
        self._parents, self.mutation_type = parents, text(told[1])
        self._generation = self._member = None
        self._failed = self._lineage = False
        self._told = {}
        self._open = tally.OpenIndividual(self._span)

    @property
    def id(self) -> str:
        """The individual's id."""
        return self._place.individual_id

    @id.setter
    def id(self, individual_id: str) -> None:
        """Set the id late: whatever began within the individual before keeps the old id."""
        self._place = self._place._replace(individual_id=text(individual_id))
        self._context = None
        tally.open_individual(self._place.run_id, self._place.individual_id, self._open)

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of its parents; may be set while the individual is open."""
        return self._parents

    @parents.setter
    def parents(self, parents: Iterable[str]) -> None:
        self._parents = ids(parents)

    @quietly
    def record(
        self,
        fitness: float | None = None,
        combined: float | None = None,
        metrics: Mapping[str, object] | str | None = None,
        code: str | None = None,
        edit_summary: str | None = None,
        is_pareto: bool | None = None,
        api_cost: float | None = None,
        embed_cost: float | None = None,
        novelty_cost: float | None = None,
        code_hash: str | None = None,
        code_size: int | None = None,
        fitness_delta: float | None = None,
        island: object = None,
        cell: Mapping[str, object] | str | None = None,
        correct: bool | None = None,
        metadata: Mapping[str, object] | None = None,
        **extra: Unpack[NoMore],
    ) -> None:
        """Record what is known so far; a later value replaces an earlier one.

        :param fitness: the primary objective; if only one of ``fitness`` and ``combined`` is given, it is used for both.
        :param api_cost: and the other costs, in USD; by default those of the calls within it in this process.
        :param code_hash: and ``code_size``, by default those of ``code``: SHA-256, and the size in bytes.
        :param fitness_delta: by default the fitness minus the parent's, if this process knows that.
        :param island: number or name of its subpopulation, if the search has several.
        :param cell: its place in a grid of features (MAP-Elites): each feature and its bin, e.g. ``{"complexity": 3}``.
        :param correct: whether it ran and passed its checks; by default what its latest evaluation in this process said.
        :param metadata: context for ``individuals.metadata``: inspirations, why it was rejected, ...
        """
        if extra:
            warn_of(Individual.record, extra)
        if self._refers:
            warn_once(
                "reference",
                "record() in a worker has no effect: return the values to the process that began the individual, and record them there",
            )
        told = self._told
        for name, value in (
            ("fitness", fitness),
            ("combined", combined),
            ("metrics", metrics),
            ("code", code),
            ("edit_summary", edit_summary),
            ("is_pareto", is_pareto),
            ("api_cost", api_cost),
            ("embed_cost", embed_cost),
            ("novelty_cost", novelty_cost),
            ("code_hash", code_hash),
            ("code_size", code_size),
            ("fitness_delta", fitness_delta),
            ("island", island),
            ("cell", cell),
            ("correct", correct),
            ("metadata", metadata),
        ):
            if value is not None:
                told[name] = value

    def evaluation(self, job_id: str | None = None, **told: Unpack[EvaluationArguments]) -> Evaluation:
        """Begin an evaluation of this individual; see :func:`evaluation`."""
        return within(evaluation, job_id, told=told, individual=self)

    def llm_call(self, model: str, **told: Unpack[CallArguments]) -> LLMCall:
        """Begin a call for this individual; see :func:`llm_call`."""
        return within(llm_call, model, told=told, individual=self)

    def action(
        self, action_type: str, details: object = None, metadata: object = None, **told: Unpack[ActionArguments]
    ) -> None:
        """Record an action; see :func:`action`."""
        within(action, action_type, details, metadata, told=told, individual=self)

    def fail(self, error: BaseException | object) -> None:
        """Record that the individual failed. It still has a row."""
        self._failed = True
        failed(self._span, error)

    @quietly
    def end(self, end_time: object = None, **extra: Unpack[NoMore]) -> None:
        """End the individual, or leave that to its generation if it holds its individuals."""
        if extra:
            warn_of(Individual.end, extra)
        if not self._first():
            return
        costs = tally.close_individual(self._place, self._open)
        if not self._span.is_recording():
            return
        ended = nanoseconds(end_time, "end_time") or time_ns()
        attributes: dict[str, Value] = {}
        try:
            attributes = self._attributes(tally.sums(costs))
            self._remember(attributes, sum(cost for _, cost in costs))
            self._place_on_front(attributes)
            self._scores(attributes, ended)
        except Exception as error:
            pass_on(error)
            warn_once("individual", "Values of an individual could not be recorded", exc_info=True)
        if self._generation is None or not self._generation.hold(
            self.id, self._span, attributes, ended, functools.partial(self._release, attributes, ended)
        ):
            self._finish(attributes, ended)
        self._done = True

    @quietly
    def _release(self, attributes: dict[str, Value], ended: int, is_pareto: bool | None) -> None:
        if is_pareto is not None and "is_pareto" not in self._told:
            was_pareto = bool(attributes.get(names.INDIVIDUAL_IS_PARETO))
            attributes[names.INDIVIDUAL_IS_PARETO] = is_pareto
            if was_pareto != is_pareto and self._generation is not None:
                self._generation.hold_again(self._span, attributes, ended)
        self._finish(attributes, ended)

    def _place_on_front(self, attributes: dict[str, Value]) -> None:
        """Set whether it is on the front, as far as known at its end: among its generation's individuals so far."""
        objectives, member = tally.run_tally(self._place.run_id).objectives, self._member
        if not objectives or member is None or self._generation is None or "is_pareto" in self._told:
            return
        others = (
            [each.objective(name) for name in objectives]
            for each in list(self._generation.members)
            if each.counts and each.individual_id != member.individual_id
        )
        own = [member.objective(name) for name in objectives]
        attributes[names.INDIVIDUAL_IS_PARETO] = member.counts and pareto.undominated(objectives, own, others)

    def _attributes(self, costs: list[float]) -> dict[str, Value]:
        told = self._told
        get = told.get
        fitness, combined = number(get("fitness"), "fitness"), number(get("combined"), "combined")
        fitness = combined if fitness is None else fitness
        parents = self.parents
        attributes: dict[str, Value] = {
            names.RECORD: names.RECORD_INDIVIDUAL,
            **self._place.attributes(),
            names.INDIVIDUAL_PARENT_ID: parents[0] if parents else "",
            names.INDIVIDUAL_MUTATION_TYPE: text(self.mutation_type),
        }
        if fitness is not None:
            attributes[names.INDIVIDUAL_FITNESS_SCORE] = fitness
            attributes[names.INDIVIDUAL_COMBINED_SCORE] = fitness if combined is None else combined
        if "island" in told:
            attributes[names.INDIVIDUAL_ISLAND] = text(told["island"])
        if "cell" in told:
            attributes[names.INDIVIDUAL_CELL] = json_object(told["cell"])
        if "metrics" in told:
            attributes[names.INDIVIDUAL_METRICS] = json_object(told["metrics"])
        correct = truth(told["correct"], "correct") if "correct" in told else self._open.correct
        if correct is not None:
            attributes[names.INDIVIDUAL_CORRECT] = correct
        if self._place.guessed or "metadata" in told:
            attributes[names.INDIVIDUAL_METADATA] = json_object(noted(told.get("metadata"), self._place))
        if "is_pareto" in told:
            attributes[names.INDIVIDUAL_IS_PARETO] = truth(told["is_pareto"], "is_pareto")
        for kind, (name, column) in enumerate(COSTS):
            cost = usd(told[name], name) if name in told else None
            attributes[column] = costs[kind] if cost is None else cost
        if "code" in told:
            code = text(told["code"])
            encoded = code.encode()
            attributes[names.INDIVIDUAL_CODE] = code
            attributes[names.INDIVIDUAL_CODE_HASH] = hashlib.sha256(encoded).hexdigest()
            attributes[names.INDIVIDUAL_CODE_SIZE] = len(encoded)
        if "code_hash" in told:
            attributes[names.INDIVIDUAL_CODE_HASH] = text(told["code_hash"])
        if "code_size" in told:
            attributes[names.INDIVIDUAL_CODE_SIZE] = integer(told["code_size"], "code_size") or 0
        if self._lineage:
            known = known_score(fitness, get("metrics"), failed=self._failed)
            self._add_lineage(attributes, known, number(get("fitness_delta"), "fitness_delta"))
        return attributes

    def _add_lineage(self, attributes: dict[str, Value], fitness: float | None, told: float | None) -> None:
        run, parents = tally.run_tally(self._place.run_id), self.parents
        if len(parents) > 1:
            edges = [{"parent_id": parent, "fitness_delta": run.delta(fitness, parent)} for parent in parents]
            attributes[names.LINEAGE_EDGES] = to_parsed_json(edges)
        else:
            attributes[names.LINEAGE_PARENT_ID] = parents[0] if parents else ""
            delta = run.delta(fitness, parents[0]) if told is None and parents else told
            if delta is not None:
                attributes[names.LINEAGE_FITNESS_DELTA] = delta
        if "edit_summary" in self._told:
            attributes[names.LINEAGE_EDIT_SUMMARY] = text(self._told["edit_summary"])

    def _remember(self, attributes: Mapping[str, Any], called: float) -> None:
        metrics = as_mapping(self._told.get("metrics"))
        copied = text(self.mutation_type) in COPIES
        again = self._member
        member = self._member = again or Member(
            self.id,
            known_score(attributes.get(names.INDIVIDUAL_FITNESS_SCORE), metrics, failed=self._failed),
            attributes.get(names.INDIVIDUAL_COMBINED_SCORE),
            metrics,
            attributes.get(names.INDIVIDUAL_CODE_SIZE),
            # What is told of a copy is what the original cost.
            called if copied else sum(attributes[column] for _, column in COSTS),
            self._failed,
            _is_incorrect(attributes, metrics),
            copied,
        )
        if again is None:
            run = tally.run_tally(self._place.run_id)
            run.remember(member, self._place.generation, called)
            run.spending.pay(member.cost - called)
        members = [] if self._generation is None else self._generation.members
        if again is None or all(known is not member for known in members):
            members.append(member)

    def _scores(self, attributes: Mapping[str, Value], ended: int) -> None:
        if self._again and any(
            event.name == names.EVENT_EVALUATION_RESULT for event in getattr(self._span, "events", ())
        ):
            return  # an interrupted end has already added them
        add_scores(
            self._span,
            attributes.get(names.INDIVIDUAL_FITNESS_SCORE),
            attributes.get(names.INDIVIDUAL_COMBINED_SCORE),
            self._told.get("metrics") if self._member is None else self._member.metrics,
            ended,
        )


def _is_incorrect(attributes: Mapping[str, Any], metrics: object) -> bool:
    told = attributes.get(names.INDIVIDUAL_CORRECT)
    return (verdict(metrics, "correct") if told is None else told) is False


def add_scores(span: Span, fitness: object, combined: object, metrics: object, ended: int) -> None:
    """Add an individual's finite scores, at most :data:`SCORES`, as OpenTelemetry's evaluation events."""
    scores: dict[str, float] = {}
    if isinstance(fitness, float):
        scores["fitness"] = fitness
    if isinstance(combined, float) and combined != fitness:
        scores["combined"] = combined
    if isinstance(metrics, Mapping):
        for name, value in metrics.items():
            if type(value) is float:
                scores[text(name)] = value
            elif isinstance(value, (int, Real)) and not isinstance(value, bool):
                try:
                    scores[text(name)] = float(value)
                except OverflowError:  # an integer beyond 1.8e308
                    continue
            if len(scores) >= SCORES:
                break
    add = span.add_event
    for name, score in scores.items():
        if math.isfinite(score):
            add(
                names.EVENT_EVALUATION_RESULT,
                {names.GEN_AI_EVALUATION_NAME: name, names.GEN_AI_EVALUATION_SCORE_VALUE: score},
                ended,
            )


def individual(
    individual_id: str | None = None,
    *,
    parent_id: str = "",
    parents: Iterable[str] = (),
    mutation_type: str = "mutate",
    generation: Handle | int | None = None,
    run: Handle | None = None,
    run_id: str = "",
    lineage: bool = True,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Individual:
    """Begin an individual, in ``generation`` (a handle, or a number) of ``run`` (or ``run_id``), or in the current one.

    :param individual_id: by default a new UUID; may be set later.
    :param parents: instead of ``parent_id`` if there are several; an individual without parents belongs to the initial population.
    :param lineage: false for callers that record its edges separately, with :func:`genesis_otel.spans.lineage`.
    """
    if extra:
        warn_of(individual, extra)
    known = text(individual_id) or str(uuid.uuid4())
    base, place = where(generation=generation, run=run, run_id=run_id)
    place = Place(place.run_id, place.generation, known, place.guessed)
    span = start("individual", base, start_time=known_time(start_time, "start_time"))
    check("individual", place, recording=span.is_recording())
    opened = getattr(generation, "_open", None)
    if not isinstance(opened, tally.OpenGeneration):
        opened = tally.generation_at(place)
    return Individual(span, base, place, opened, ids(parents) or ids(parent_id), mutation_type, lineage=lineage)


def ids(told: object) -> tuple[str, ...]:
    """Ids from a single one or several, without empty ones."""
    if isinstance(told, (str, tuple)) and not told:
        return ()
    if isinstance(told, Iterable) and not isinstance(told, (str, bytes)):
        try:
            return tuple(filter(None, map(text, told)))
        except Exception as error:
            pass_on(error)
            warn_once("ids", "Ids could not be read and are kept as one text", exc_info=True)
    one = text(told)
    return (one,) if one else ()
