"""Runs, generations, individuals, evaluations and LLM calls as OpenTelemetry spans.

In: what a search knows, as it comes to know it. Out: spans with the names of :mod:`genesis_otel.attributes`, to whatever
tracer provider the process has; with none, nothing happens and nothing is kept. On failure: nothing here raises into a
search: a value of a wrong type is kept as text or left out, with one warning.

Each function starts a span at once and returns a handle. A handle is a ``with`` block (or ``async with``), which makes it
current, records an exception and ends it; or it is ended by hand with ``end()``, from any thread. Threads do not inherit
the current handle: pass handles on, or attach ``handle.context``. Times are nanoseconds (int), seconds (float) or datetimes.

>>> from genesis_otel import spans
>>> with spans.run("circle_packing", objectives={"accuracy": "max", "code_size": "min"}) as run:
...     with run.generation(0) as generation:
...         with generation.individual(mutation_type="init") as individual:
...             with individual.llm_call("gpt-4o", provider="openai", messages="Improve this.") as call:
...                 call.response("Done.", input_tokens=100, output_tokens=20)
...             with individual.evaluation() as evaluation:
...                 evaluation.result(correct=True, combined_score=0.9)
...             individual.record(fitness=0.9, metrics={"accuracy": 0.9}, code="print()")
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span

from genesis_otel import _pareto, _tally
from genesis_otel import attributes as names
from genesis_otel._calls import (
    Evaluation,
    LLMCall,
    action,
    add_front,
    as_dict,
    at,
    emit,
    evaluation,
    lineage,
    llm_call,
    pareto_front,
)
from genesis_otel._context import (
    Place,
    attached,
    derived_span_context,
    environ,
    from_environment,
    place_of,
    start_root,
)
from genesis_otel._handle import Handle, Value, failed, quietly
from genesis_otel._individual import Individual, individual
from genesis_otel._tally import account
from genesis_otel._values import integer, json_object, nanoseconds, number, text, to_json, warn_once

__all__ = [
    "Evaluation",
    "Generation",
    "Individual",
    "LLMCall",
    "Run",
    "account",
    "action",
    "at",
    "attached",
    "environ",
    "evaluation",
    "from_environment",
    "generation",
    "individual",
    "lineage",
    "llm_call",
    "pareto_front",
    "run",
]

# --- run --------------------------------------------------------------------------------------------------------------


class Run(Handle):
    """A search, from its start to its end."""

    __slots__ = ("_failed", "_told", "task")

    def __init__(self, span: Span, base: Context, place: Place, task: str, told: Mapping[str, Value]) -> None:
        super().__init__(span, base, place)
        self.task = task
        self._told = told
        self._failed = False

    @property
    def id(self) -> str:
        """The run's id, ``run_id`` in every table."""
        return self._place.run_id

    def generation(self, number: int, *, hold_individuals: bool = False, start_time: object = None) -> Generation:
        """Begin a generation of this run; see :func:`generation`."""
        return generation(number, run=self, hold_individuals=hold_individuals, start_time=start_time)

    def individual(self, individual_id: str | None = None, **told: Any) -> Individual:
        """Begin an individual of this run; see :func:`individual`."""
        return individual(individual_id, run=self, **told)

    def llm_call(self, model: str, **told: Any) -> LLMCall:
        """Begin a call that belongs to no individual; see :func:`llm_call`."""
        return llm_call(model, run=self, **told)

    def action(self, action_type: str, details: object = None, metadata: object = None, **told: Any) -> None:
        """Record an action; see :func:`action`."""
        action(action_type, details, metadata, run=self, **told)

    def fail(self, error: BaseException | object) -> None:
        """Record that the run failed; its status will be ``failed``."""
        self._failed = True
        failed(self._span, error)

    @quietly
    def end(self, status: str | None = None, total_generations: int | None = None, end_time: object = None) -> None:
        """End the run.

        :param status: by default ``completed``, or ``failed`` after :meth:`fail`.
        :param total_generations: by default as many as this process saw.
        """
        if not self._first():
            return
        if total_generations is None:
            total_generations = len(_tally.run_tally(self.id).generations)
        ended = {
            **self._told,
            names.RUN_STATUS: text(status) or ("failed" if self._failed else "completed"),
            names.RUN_TOTAL_GENERATIONS: integer(total_generations, "total_generations") or 0,
        }
        self._finish(ended, end_time)


def run(
    task: str,
    *,
    run_id: str | None = None,
    config: object = None,
    population_size: int = 0,
    cluster_type: str = "local",
    database_path: str = "",
    objectives: Mapping[str, str] | None = None,
    start_time: object = None,
) -> Run:
    """Begin a run; it shows as running at once.

    :param run_id: by default a new one, ``run_20240115_142345_1a2b3c4d``.
    :param config: the configuration, as JSON or as anything that can become JSON.
    :param objectives: metrics and whether more (``max``) or less (``min``) of each is better. With them, each generation's
        Pareto front is computed, unless it is told.
    """
    known = text(run_id) or f"run_{time.strftime('%Y%m%d_%H%M%S')}_{uuid.uuid4().hex[:8]}"
    place, began = Place(known), nanoseconds(start_time, "start_time") or time.time_ns()
    told: dict[str, Value] = {
        names.RECORD: names.RECORD_RUN,
        names.RUN_ID: known,
        names.RUN_TASK_NAME: text(task),
        names.RUN_CONFIG: json_object(config),
        names.RUN_POPULATION_SIZE: integer(population_size, "population_size") or 0,
        names.RUN_CLUSTER_TYPE: text(cluster_type),
        names.RUN_DATABASE_PATH: text(database_path),
    }
    tally = _tally.run_tally(known)
    tally.task = text(task)
    tally.objectives = _objectives(objectives)
    around = trace.get_current_span().get_span_context()
    links = [Link(around)] if around.is_valid else []
    span = start_root(f"run {tally.task}", place, links=links, start_time=began)
    handle = Run(span, trace.set_span_in_context(INVALID_SPAN, otel.get_current()), place, tally.task, told)
    emit(f"run.start {tally.task}", handle.context, lambda: {**told, names.RUN_STATUS: "running"}, began)
    return handle


def _objectives(told: Mapping[str, str] | None) -> dict[str, str]:
    try:
        wanted = {text(name): text(direction) for name, direction in (told or {}).items()}
        _pareto.directions(wanted)
    except Exception as error:
        warn_once("objectives", "The objectives cannot be read, no front is computed: %s", error)
        return {}
    return wanted


# --- generation -------------------------------------------------------------------------------------------------------


class Generation(Handle):
    """A generation: the root of a trace of its own."""

    __slots__ = ("_open", "_tally")

    def __init__(self, span: Span, base: Context, place: Place, *, hold: bool) -> None:
        super().__init__(span, base, place)
        self._open = _tally.open_generation(place, span, hold=hold and span.is_recording())
        self._tally = _tally.run_tally(place.run_id)
        if place.generation is not None:
            self._tally.generations[place.generation] = None

    @property
    def number(self) -> int | str | None:
        """The generation's number; 0 is the initial population."""
        return self._place.generation

    def individual(self, individual_id: str | None = None, **told: Any) -> Individual:
        """Begin an individual of this generation; see :func:`individual`."""
        return individual(individual_id, generation=self, **told)

    def llm_call(self, model: str, **told: Any) -> LLMCall:
        """Begin a call that belongs to no individual; see :func:`llm_call`."""
        return llm_call(model, generation=self, **told)

    def action(self, action_type: str, details: object = None, metadata: object = None, **told: Any) -> None:
        """Record an action; see :func:`action`."""
        action(action_type, details, metadata, generation=self, **told)

    @quietly
    def pareto_front(self, members: Iterable[object], *, time: object = None) -> None:
        """Tell the front as it is now.

        :param members: individuals that have ended, their ids, or dicts with ``individual_id``, ``fitness_score``,
            ``combined_score`` and ``metrics``.
        """
        if self._span.is_recording():
            self._open.front = _tally.front_members(members, self._open)
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
    ) -> None:
        """End the generation. What is not told is computed from the individuals that ended within it in this process.

        Scores that are no finite numbers have no part in the statistics. The cost is that of the individuals and of
        the calls outside of them.
        """
        if not self._first():
            return
        _tally.close_generation(self._place, self._open)
        if not self._span.is_recording():
            return
        ended = nanoseconds(end_time, "end_time") or time.time_ns()
        attributes: dict[str, Value] = {names.RECORD: names.RECORD_GENERATION, **self._place.attributes()}
        try:
            self._compute_front(ended)
            members = self._open.members
            extra: dict[str, Any] = {}
            if members:
                computed, extra = _tally.statistics_of(members, self._open.scores())
                attributes |= {names.GENERATION_NUM_INDIVIDUALS: len(members), **computed}
            if self._tally.task:
                attributes[names.GENERATION_TASK_NAME] = self._tally.task
            attributes[names.GENERATION_TOTAL_COST] = self._open.cost()
            if self._open.front is not None:
                attributes[names.GENERATION_PARETO_SIZE] = len(self._open.front)
            for name, value in (
                (names.GENERATION_NUM_INDIVIDUALS, integer(num_individuals, "num_individuals")),
                (names.GENERATION_BEST_SCORE, number(best_score, "best_score")),
                (names.GENERATION_AVG_SCORE, number(avg_score, "avg_score")),
                (names.GENERATION_PARETO_SIZE, integer(pareto_size, "pareto_size")),
                (names.GENERATION_TOTAL_COST, number(total_cost, "total_cost")),
            ):
                if value is not None:
                    attributes[name] = value
            # Text is JSON that was made before, and stays as it is.
            attributes[names.GENERATION_METADATA] = (
                text(metadata) if isinstance(metadata, str) else to_json({**extra, **as_dict(metadata, "metadata")})
            )
        finally:
            self._open.release()
            self._finish(attributes, ended)

    def _compute_front(self, ended: int) -> None:
        objectives = self._tally.objectives
        if self._open.front is not None or not objectives:
            return
        try:
            members = self._open.members
            values = [[member.objective(name) for name in objectives] for member in members]
            front = [members[position].as_front_member() for position in _pareto.front(objectives, values)]
            self._open.front = front
            add_front(self._span, front, ended)
        except Exception:
            warn_once("front", "The Pareto front could not be computed", exc_info=True)


def generation(
    number: int,
    *,
    run: Run | None = None,
    run_id: str | None = None,
    hold_individuals: bool = False,
    start_time: object = None,
) -> Generation:
    """Begin a generation, of ``run``, of the run named ``run_id``, or of the current one.

    :param hold_individuals: keep the spans of ended individuals open until the generation ends, so that each knows
        whether it is on the front. They carry the time at which they finished; a process that dies before loses them.
    """
    known = run.id if isinstance(run, Run) else text(run_id) or place_of().run_id
    counted = integer(number, names.GENERATION)
    place = Place(known, 0 if counted is None else counted)
    of_run = run.span.get_span_context() if isinstance(run, Run) else derived_span_context(known)
    links = [Link(of_run)] if known and of_run.is_valid else []
    base = trace.set_span_in_context(INVALID_SPAN, otel.get_current())
    span = start_root("generation", place, links=links, start_time=nanoseconds(start_time, "start_time"))
    return Generation(span, base, place, hold=hold_individuals)
