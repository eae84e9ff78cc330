"""A search, from its start to its end.

In: its task, configuration and objectives; at the end its status. Out: the spans ``run.start`` and ``run``, and a handle that
starts generations, individuals and calls. On failure: as in :mod:`genesis_otel.spans`, whose public functions these are:
nothing here raises into a search.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span

from genesis_otel import attributes as names
from genesis_otel._emit import configured, forgotten, pareto
from genesis_otel._emit import tally as _tally
from genesis_otel._emit.actions import action, emit
from genesis_otel._emit.arguments import ActionOfRun, CallOfRun, IndividualOfRun, NoMore, warn_of, within
from genesis_otel._emit.context import Place, start_root
from genesis_otel._emit.generation import Generation, generation
from genesis_otel._emit.handle import Handle, Value, failed, quietly
from genesis_otel._emit.individual import Individual, individual
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import json_object
from genesis_otel._emit.llm_call import LLMCall, llm_call
from genesis_otel._emit.values import integer, nanoseconds, reason, text, usd
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from typing_extensions import Unpack

RUN_ID_VARIABLE = "GENESIS_OTEL_RUN_ID"
BUDGET_VARIABLE = "GENESIS_OTEL_BUDGET"
STOPPED = "stopped"
"""The status of a run that was ended early, on purpose."""


class Run(Handle):
    """A search, from its start to its end."""

    __slots__ = ("_error", "_pid", "_stopped", "_told", "task")
    _is_run = True

    def __init__(self, span: Span, base: Context, place: Place, task: str, told: Mapping[str, Value]) -> None:
        super().__init__(span, base, place)
        self.task = task
        self._told = told
        self._error: str | None = None
        self._stopped: str | None = None
        self._pid = os.getpid()

    def _reference(self) -> tuple[Any, ...]:
        return (self.task,)

    def _restore(self, *told: Any) -> None:
        (self.task,) = told
        self._told = {}
        self._error = self._stopped = None
        self._pid = 0

    @property
    def id(self) -> str:
        """The run's id, ``run_id`` in every table."""
        return self._place.run_id

    @property
    def over_budget(self) -> bool | None:
        """Whether the run has cost more than its budget, as far as this process knows; None if that cannot be told.

        It cannot be told without a budget, or if calls without a known price could make the difference. Calls of other processes
        count if their individual's cost is recorded here.
        """
        return _tally.run_tally(self.id).spending.over_budget

    def generation(
        self,
        number: int,
        *,
        hold_individuals: bool = False,
        start_time: object = None,
        **extra: Unpack[NoMore],
    ) -> Generation:
        """Start a generation of this run; see :func:`generation`."""
        if extra:
            warn_of(Run.generation, extra)
        return generation(number, run=self, hold_individuals=hold_individuals, start_time=start_time)

    def individual(self, individual_id: str | None = None, **told: Unpack[IndividualOfRun]) -> Individual:
        """Start an individual of this run; see :func:`individual`."""
        return within(individual, individual_id, told=told, run=self)

    def llm_call(self, model: str, **told: Unpack[CallOfRun]) -> LLMCall:
        """Start an LLM call that belongs to no individual; see :func:`llm_call`."""
        return within(llm_call, model, told=told, run=self)

    def action(
        self, action_type: str, details: object = None, metadata: object = None, **told: Unpack[ActionOfRun]
    ) -> None:
        """Record an action; see :func:`action`."""
        within(action, action_type, details, metadata, told=told, run=self)

    def fail(self, error: BaseException | object) -> None:
        """Record that the run failed, with an exception or a text; its status will be ``failed``."""
        self._error = reason(error)
        failed(self._span, error)

    def stopped(self, why: object) -> None:
        """Record that the run ends early, on purpose: its status will be ``stopped``, and its ``error`` says why."""
        self._stopped = text(why)

    def _first(self) -> bool:
        # A forked child that leaves the block of its parent's run does not end the run.
        return self._pid == os.getpid() and super()._first()

    @quietly
    def end(
        self,
        status: str | None = None,
        total_generations: int | None = None,
        end_time: object = None,
        **extra: Unpack[NoMore],
    ) -> None:
        """End the run.

        :param status: by default ``completed``, or ``failed`` after :meth:`fail`, or ``stopped`` after :meth:`stopped`.
        :param total_generations: by default the number that this process saw.
        """
        if extra:
            warn_of(Run.end, extra)
        if not self._first():
            return
        if total_generations is None:
            total_generations = len(_tally.run_tally(self.id).generations)
        by_itself = "completed" if self._stopped is None else STOPPED
        ended = {
            **self._told,
            names.RUN_STATUS: text(status) or (by_itself if self._error is None else "failed"),
            names.RUN_TOTAL_GENERATIONS: integer(total_generations, "total_generations") or 0,
        }
        why = self._stopped if self._error is None else self._error
        if why is not None:
            ended[names.RUN_ERROR] = why
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
    direction: str | None = None,
    budget: float | None = None,
    on_over_budget: Callable[[float], object] | None = None,
    start_time: object = None,
    **extra: Unpack[NoMore],
) -> Run:
    """Start a run; it is visible as running at once.

    :param run_id: by default the value of ``GENESIS_OTEL_RUN_ID``, for the first run of a process, or a new id such as
        ``run_20240115_142345_1a2b3c4d``. The id of an earlier run continues that run: its best, its front, its generations and
        the scores of its individuals count.
    :param config: the configuration, as JSON or as anything that can become JSON.
    :param objectives: metrics, and whether more (``max``) or less (``min``) of each is better: the run's ``objectives`` in the store,
        by which fronts are read. With them, each generation's Pareto front is computed, unless it is given.
    :param direction: ``max`` or ``min``: whether a higher or a lower fitness is better. By default that of the fitness in
        ``objectives``, or of their only metric; else ``max``.
    :param budget: what the run may spend, in USD; by default the value of ``GENESIS_OTEL_BUDGET``, or no budget. A run that
        spends more continues: a warning is logged once, :attr:`Run.over_budget` is true, the dashboards show it and the alert fires.
    :param on_over_budget: called once with the cost so far, in the thread that saw it exceed the budget. What it raises is
        logged.
    """
    if extra:
        warn_of(run, extra)
    known = text(run_id) or new_id()
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
    if tally.objectives:
        told[names.RUN_OBJECTIVES] = json_object(tally.objectives)
    better = _direction(direction, tally.objectives)
    if better is not None:
        told[names.RUN_DIRECTION] = better
        tally.direct(better)
    _tally.resume(tally)
    allowed = usd(_given_budget() if budget is None else budget, "budget")
    if allowed is not None:
        told[names.RUN_BUDGET] = allowed
    tally.spending.limit(allowed, on_over_budget)
    around = trace.get_current_span().get_span_context()
    links = [Link(around)] if around.is_valid else []
    span = start_root(f"run {tally.task}", place, links=links, start_time=began)
    handle = Run(span, trace.set_span_in_context(INVALID_SPAN, otel.get_current()), place, tally.task, told)
    here: dict[str, Value] = {names.HOST_NAME: socket.gethostname(), names.PROCESS_PID: os.getpid()}
    emit(f"run.start {tally.task}", handle.context, lambda: {**told, **here, names.RUN_STATUS: "running"}, began)
    _say(known)
    return handle


def _say(run_id: str) -> None:
    telemetry = configured.current()
    if telemetry is None:
        forgotten.at_run(run_id)
    elif telemetry.announce is not None:
        try:
            telemetry.announce(run_id)
        except Exception as error:
            pass_on(error)  # standard error may be closed


_id_is_taken = False
"""Whether a run here has taken the id that the environment gives: a second run of the process gets its own."""


def given_id() -> str:
    """The id that the environment, or ``configure()``, gives to the first run of this process; empty for any other."""
    global _id_is_taken
    telemetry = configured.current()
    given = text(telemetry.run_id if telemetry is not None and telemetry.run_id else os.environ.get(RUN_ID_VARIABLE))
    if not given or _id_is_taken:
        return ""
    _id_is_taken = True
    return given


def new_id() -> str:
    """The id of a run that is given none: the one from :func:`given_id`, or one of the current time."""
    return given_id() or f"run_{time.strftime('%Y%m%d_%H%M%S')}_{uuid.uuid4().hex[:8]}"


def _given_budget() -> float | str | None:
    """The budget that ``configure()`` or the environment gives a run."""
    telemetry = configured.current()
    if telemetry is not None and telemetry.budget is not None:
        return telemetry.budget
    return os.environ.get(BUDGET_VARIABLE) or None


def _objectives(told: Mapping[str, str] | None) -> dict[str, str]:
    try:
        wanted = {text(name): text(direction) for name, direction in (told or {}).items()}
        return {name: "max" if more else "min" for name, more in zip(wanted, pareto.directions(wanted), strict=True)}
    except Exception as error:
        pass_on(error)
        warn_once("objectives", "The objectives cannot be read, so no front is computed: %s", error)
        return {}


def _direction(told: str | None, objectives: Mapping[str, str]) -> str | None:
    """``max`` or ``min``, as given or as the objectives say; None if neither does, which readers take for ``max``."""
    if told is None:
        of_fitness = [objectives[name] for name in ("fitness", "fitness_score") if name in objectives]
        told = next(iter(of_fitness or (objectives.values() if len(objectives) == 1 else ())), None)
        if told is None:
            return None
    maximise = pareto.DIRECTIONS.get(text(told).lower())
    if maximise is None:
        warn_once("direction", "A run's direction is 'max' or 'min', not %r; it counts as 'max'", text(told))
        return None
    return "max" if maximise else "min"
