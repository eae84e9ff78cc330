"""``ch_logger``: the calls of the first, hand-made logger, implemented with spans.

In: flat calls, each naming what it concerns, in the order and with the names of the first logger; a search written for that logger only
changes its import. Out: spans in the trace of their run and generation, sent to the destination that the environment names
(``CLICKHOUSE_URL``), which is set up at the first call. On failure: no call raises, importing connects to nothing, and only ``client`` and
``get_run_id_by_path`` wait for the network, for a bounded time; without a destination, nothing happens.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry import context as otel
from opentelemetry.context import Context

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit.context import Place, from_environment, place_of, start_root
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.lasting import LONGEST
from genesis_otel._emit.member import known_score
from genesis_otel._emit.values import generation_number, integer, keep, number, text
from genesis_otel._log import warn_once
from genesis_otel._ship.redaction.redact import recognised

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel.configuration import Telemetry

__all__ = ["ClickHouseLogger", "ch_logger"]

logger = logging.getLogger(__name__)

LOOKUP_TIMEOUT = 20.0
"""Maximum seconds that ``get_run_id_by_path`` waits for the store."""

RETRY_AFTER = 30.0
"""Seconds after which ``client`` retries a failed connection."""

REMEMBERED = 1_000
"""How many paths, starts of generations, and individuals without a score a process remembers, of each."""

RUN_OF_PATH = "SELECT run_id FROM evolution_runs WHERE database_path IN ({path:String}, {stored:String}) ORDER BY start_time DESC LIMIT 1"

P = ParamSpec("P")
R = TypeVar("R")


def never_raises(call: Callable[P, R]) -> Callable[P, R | None]:
    """Wrap a call of the logger so that it logs, once, what it would raise."""

    @functools.wraps(call)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            pass_on(error)
            warn_once(f"ch_logger {call.__name__}", "ch_logger.%s failed", call.__name__, exc_info=True)
            return None

    return safe


class ClickHouseLogger:
    """The logger. A process needs only one: ``ch_logger``."""

    def __init__(self) -> None:
        self._runs: dict[str, spans.Run] = {}
        self._current = ""
        self._paths: dict[str, str] = {}
        self._unscored: dict[tuple[str, str], None] = {}
        self._any_scored: dict[tuple[str, int | str | None], bool] = {}
        self._begun: dict[tuple[str, int | str | None], int] = {}
        self._client: tuple[object, Client] | None = None
        self._failed_at = -RETRY_AFTER

    # --- the calls of the first logger ---

    @never_raises
    def log_evolution_run(
        self,
        run_id: str,
        task_name: str,
        config: object,
        population_size: int,
        cluster_type: str,
        database_path: str,
        status: str = "running",
        direction: str | None = None,
        objectives: Mapping[str, str] | None = None,
    ) -> None:
        """A run starts. With the direction ``min`` a lower fitness is better; by default a higher one is. ``objectives`` are the metrics
        that span the fronts, and whether more (``max``) or less (``min``) of each is better."""
        _ready()
        known, path = text(run_id), text(database_path)
        run = spans.run(
            task_name,
            run_id=known,
            config=config,
            population_size=population_size,
            cluster_type=cluster_type,
            database_path=path,
            direction=direction,
            objectives=objectives,
        )
        self._current = known
        keep(self._paths, path, known, REMEMBERED)
        if text(status) == "running":
            keep(self._runs, known, run, REMEMBERED)
        else:
            run.end(status=text(status))

    @never_raises
    def update_evolution_run(self, run_id: str, status: str, total_generations: int) -> None:
        """A run ends now, whichever process says so. With the status ``running`` it continues."""
        _ready()
        known = text(run_id)
        run = None if text(status) == "running" else self._runs.pop(known, None)
        if run is not None:
            run.end(status=text(status), total_generations=total_generations)
            return
        # Another process started the run, or it continues: nothing else is known about it.
        span = start_root("run", Place(known))
        span.set_attributes(
            {
                names.RECORD: names.RECORD_RUN,
                names.RUN_ID: known,
                names.RUN_STATUS: text(status),
                names.RUN_TOTAL_GENERATIONS: integer(total_generations, "total_generations") or 0,
            }
        )
        span.end()

    @never_raises
    def log_generation(
        self,
        run_id: str,
        generation: int,
        num_individuals: int,
        best_score: float,
        avg_score: float,
        pareto_size: int,
        total_cost: float = 0.0,
        metadata: Any = None,
    ) -> None:
        """A generation is complete. Scores of 0 count as unknown if no logged individual has a score."""
        place = self._place(run_id, generation)
        any_scored = self._any_scored.pop((place.run_id, place.generation), True)
        begun = self._begun.pop((place.run_id, place.generation), None)
        spans.generation(generation, run_id=place.run_id, start_time=begun).end(
            num_individuals=num_individuals,
            best_score=best_score if any_scored or best_score else None,
            avg_score=avg_score if any_scored or avg_score else None,
            pareto_size=pareto_size,
            total_cost=total_cost,
            metadata=metadata,
        )

    @never_raises
    def log_individual(
        self,
        run_id: str,
        individual_id: str,
        generation: int,
        parent_id: str,
        mutation_type: str,
        fitness_score: float,
        combined_score: float,
        metrics: Any,
        is_pareto: bool,
        api_cost: float = 0.0,
        embed_cost: float = 0.0,
        novelty_cost: float = 0.0,
        code_hash: str = "",
        code_size: int = 0,
    ) -> None:
        """An individual was evaluated; ``log_lineage`` records its edge."""
        place = self._place(run_id, generation)
        scored = known_score(number(fitness_score, "fitness_score"), metrics) is not None
        if not scored:
            keep(self._unscored, (place.run_id, text(individual_id)), None, REMEMBERED)
        key = (place.run_id, place.generation)
        keep(self._any_scored, key, scored or self._any_scored.get(key, False), REMEMBERED)
        individual = spans.individual(
            individual_id,
            parent_id=parent_id,
            mutation_type=mutation_type,
            generation=generation,
            run_id=place.run_id,
            lineage=False,
        )
        individual.record(
            fitness=fitness_score,
            combined=combined_score,
            metrics=metrics,
            is_pareto=is_pareto,
            api_cost=api_cost,
            embed_cost=embed_cost,
            novelty_cost=novelty_cost,
            code_hash=code_hash,
            code_size=code_size,
        )
        individual.end()

    @never_raises
    def log_pareto_front(self, run_id: str, generation: int, pareto_individuals: Any) -> None:
        """A generation's front: dicts with ``individual_id``, ``fitness_score``, ``combined_score``, ``metrics``."""
        place = self._place(run_id, generation)
        spans.pareto_front(pareto_individuals, run_id=place.run_id, generation=generation)

    @never_raises
    def log_lineage(
        self,
        run_id: str,
        child_id: str,
        parent_id: str,
        generation: int,
        mutation_type: str,
        fitness_delta: float | None = None,
        edit_summary: str = "",
    ) -> None:
        """An edge from a parent to its child. A delta to or from an individual without a score is unknown."""
        place = self._place(run_id, generation)
        if {(place.run_id, text(child_id)), (place.run_id, text(parent_id))} & self._unscored.keys():
            fitness_delta = None
        spans.lineage(child_id, parent_id, generation, mutation_type, fitness_delta, edit_summary, run_id=place.run_id)

    @never_raises
    def log_llm_interaction(
        self,
        model: str,
        messages: Any,
        response: Any,
        cost: float = 0.0,
        execution_time: float = 0.0,
        metadata: object = None,
        thought: str = "",
    ) -> None:
        """An LLM call has ended; it took ``execution_time`` seconds until now, or an unknown time if that is 0.

        It belongs to the current run of this process, or to the run, generation and individual that the OpenTelemetry
        context or ``metadata`` names.
        """
        place, context = self._named(metadata)
        ended = time.time_ns()
        took = number(execution_time, "execution_time") or 0.0
        told = number(cost, "cost")
        with spans.attached(context):
            call = spans.llm_call(
                model,
                role=text(_field(metadata, "role")),
                metadata={} if metadata is None else metadata,
                start_time=ended - round(took * 1e9) if 0 < took * 1e9 <= LONGEST else ended,
                **_where(place),
            )
            call.prompt(messages, exact=True)
            # The first logger's default of 0 means nothing: without tokens, the cost comes to 0 anyway.
            call.response(response, reasoning=thought, cost=told or None)
            call.end(end_time=ended)

    @never_raises
    def log_action(self, action_type: str, details: object, metadata: object = None) -> None:
        """Something happened. It belongs to the place that ``details`` or ``metadata`` name, or to this process's current run."""
        place, context = self._named(details, metadata)
        with spans.attached(context):
            spans.action(action_type, details, metadata, **_where(place))

    @never_raises
    def get_run_id_by_path(self, path: str) -> str | None:
        """The id of the latest run whose ``database_path`` is ``path``, or None. Waits for the store for a bounded time."""
        wanted = text(path)
        if wanted in self._paths:
            return self._paths[wanted]
        if not self.enabled:
            return None
        found: list[str] = []
        # In a thread, so that a hanging store cannot hang the search.
        looking = threading.Thread(target=self._look_up, args=(wanted, found), name="genesis-otel-lookup", daemon=True)
        looking.start()
        looking.join(LOOKUP_TIMEOUT)
        if looking.is_alive():
            warn_once("lookup", "The store did not answer within %.0f s; no earlier run is known", LOOKUP_TIMEOUT)
        return found[0] if found else None

    # --- what the first logger had besides its calls ---

    @property
    def enabled(self) -> bool:
        """Whether what is logged goes anywhere; the first access sets telemetry up."""
        return _destination_of(_ready()) is not None

    @property
    def client(self) -> Client | None:
        """A clickhouse-connect client of the store, connected at first use; None if there is none."""
        telemetry = _ready()
        if telemetry is None or _destination_of(telemetry) is None:
            return None
        try:
            return self._connected(telemetry)
        except Exception as error:
            pass_on(error)
            self._failed_at = time.monotonic()
            warn_once("client", "ch_logger has no client: %s", _first_line(error))
            return None

    # --- where a call belongs ---

    def _place(self, run_id: object, generation: object) -> Place:
        """The place that a call names; its generation has started by now at the latest."""
        _ready()
        place = Place(text(run_id), generation_number(generation))
        self._current = self._current or place.run_id
        if (place.run_id, place.generation) not in self._begun:
            keep(self._begun, (place.run_id, place.generation), time.time_ns(), REMEMBERED)
        return place

    def _named(self, *told: object) -> tuple[Place, Context]:
        """The place that the ``told`` mappings name, else the current one; and the context to start from."""
        _ready()
        context = otel.get_current() if place_of().run_id else from_environment()
        around = place_of(context)
        run_id, individual_id = around.run_id or self._current, ""
        generation: object = None
        for one in told:
            run_id = text(_field(one, "run_id")) or run_id
            generation = _field(one, "generation") if generation is None else generation
            individual_id = individual_id or text(_field(one, "individual_id"))
        counted: int | str | None = _whole(generation)
        if run_id == around.run_id:
            counted = around.generation if counted is None else counted
            individual_id = individual_id or (around.individual_id if counted == around.generation else "")
        return Place(run_id, counted, individual_id), context

    def _connected(self, telemetry: Telemetry) -> Client | None:
        from genesis_otel import _destinations, _settings
        from genesis_otel._serve import client as store_process

        store = telemetry.settings.store
        key: object = os.getpid()
        if isinstance(store, _settings.Embedded):
            # Its store process may have been replaced by another one at another address.
            key = (key, store_process.running(store.folder))
        if self._client is not None and self._client[0] == key:
            return self._client[1]
        if time.monotonic() - self._failed_at < RETRY_AFTER:
            return None
        if isinstance(store, _settings.Embedded):
            # Never the engine itself: a search must not load it.
            client: Client = store_process.open_store(store.folder, start=True)
            key = (os.getpid(), store_process.running(store.folder))
        else:
            client = _destinations.open_client(telemetry.settings)
        self._client = (key, client)
        return client

    def _look_up(self, path: str, found: list[str]) -> None:
        client = self.client
        if client is None:
            return
        try:
            rows = client.query(
                RUN_OF_PATH, parameters={"path": path, "stored": recognised(path)}, settings={"max_execution_time": 10}
            ).result_rows
            found.extend(text(row[0]) for row in rows)
        except Exception as error:
            pass_on(error)
            # A new store has no tables yet.
            logger.debug("No run was found by its path: %s", _first_line(error))


def _ready() -> Telemetry | None:
    try:
        from genesis_otel.configuration import ensure_configured

        return ensure_configured()
    except Exception as error:
        pass_on(error)
        warn_once("configure", "ClickHouse logging disabled: %s", _first_line(error))
        return None


def _destination_of(telemetry: Telemetry | None) -> object | None:
    if telemetry is None:
        return None
    from genesis_otel._settings import Disabled

    return None if isinstance(telemetry.destination, Disabled) else telemetry.destination


def _whole(value: object) -> int | None:
    try:
        return None if isinstance(value, bool) or value is None else int(value)  # type: ignore[call-overload]
    except Exception as error:
        pass_on(error)
        return None


def _first_line(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error.name} is not installed"
    from genesis_otel._log import first_line

    return first_line(error)


def _field(of: object, name: str) -> object:
    """A field of details or metadata, if these are a mapping and have it."""
    if not isinstance(of, Mapping):
        return None
    try:
        return of.get(name)
    except Exception as error:
        pass_on(error)
        warn_once("place", "Details could not be read to find where they belong", exc_info=True)
        return None


def _where(place: Place) -> dict[str, Any]:
    return {"run_id": place.run_id, "generation": place.generation, "individual_id": place.individual_id}


ch_logger = ClickHouseLogger()
"""The logger of this process."""
