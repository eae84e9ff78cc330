"""``ch_logger`` where Genesis is recorded: passes what Genesis logs to its search, and logs what belongs to no search itself.

In: the first logger's calls, made by Genesis or by anybody else. Out: for a recorded run, the spans of its search, once; for any other,
what ``ch_logger`` makes of the call. On failure: as in :mod:`genesis_otel.clickhouse_logger`: no call raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel

from genesis_otel._emit.context import place_of
from genesis_otel._emit.run import STOPPED
from genesis_otel.clickhouse_logger import ClickHouseLogger, never_raises
from genesis_otel.instrumentation._genesis import llm
from genesis_otel.instrumentation._genesis.search import Options, Proposal, Search

JOB_SUBMITTED, JOB_COMPLETED = "job_submitted", "job_completed"


class GenesisLogger(ClickHouseLogger):
    """The logger that Genesis gets, with the running searches by run id."""

    def __init__(self) -> None:
        super().__init__()
        self.options = Options()
        self.searches: dict[str, Search] = {}
        self._counting: dict[tuple[str, int], dict[str, Any]] = {}

    # --- runs ---

    @never_raises
    def log_evolution_run(self, *args: Any, **kwargs: Any) -> None:
        """A run starts; Genesis maximises its score."""
        arguments = _named(super().log_evolution_run, args, kwargs)
        search = self.searches.get(str(arguments.get("run_id")))
        if search is None:
            super().log_evolution_run(**arguments)
            return
        arguments["task_name"] = search.options.task or arguments.get("task_name", "")
        further = {"direction": arguments.get("direction") or "max", "objectives": search.options.objectives}
        super().log_evolution_run(**{**arguments, **further})
        run = self._runs.get(str(arguments["run_id"]))
        if run is not None:
            search.begun(run)
            # Until the search ends: `_run` restores what was current before.
            otel.attach(run.context)

    @never_raises
    def update_evolution_run(self, *args: Any, **kwargs: Any) -> None:
        """A run ends; Genesis considers a run that was told to stop complete."""
        arguments = _named(super().update_evolution_run, args, kwargs)
        search = self.searches.get(str(arguments.get("run_id")))
        if search is not None and search.is_stopped and arguments.get("status") == "completed":
            arguments["status"] = STOPPED
        super().update_evolution_run(**arguments)

    # --- individuals ---

    @never_raises
    def log_individual(self, *args: Any, **kwargs: Any) -> None:
        """An individual was evaluated and stored."""
        arguments = _named(super().log_individual, args, kwargs)
        search, proposal = self._proposal(arguments)
        if (
            search is None
            or proposal is None
            or getattr(proposal.program, "id", None) != arguments.get("individual_id")
        ):
            super().log_individual(**arguments)
            return
        search.stored(proposal, arguments)

    @never_raises
    def log_lineage(self, *args: Any, **kwargs: Any) -> None:
        """An edge; the search's individuals have already recorded theirs."""
        arguments = _named(super().log_lineage, args, kwargs)
        if not self._has_ended(arguments):
            super().log_lineage(**arguments)

    @never_raises
    def log_action(self, *args: Any, **kwargs: Any) -> None:
        """An action; the start and end of a job are those of an evaluation."""
        arguments = _named(super().log_action, args, kwargs)
        kind, details = arguments.get("action_type"), arguments.get("details")
        if kind in (JOB_SUBMITTED, JOB_COMPLETED) and isinstance(details, Mapping):
            place = place_of()
            search, proposal = self._proposal({"run_id": place.run_id, "generation": details.get("generation")})
            if kind == JOB_SUBMITTED and search is not None and proposal is not None:
                search.queued(proposal, details, arguments.get("metadata"))
                return
            if kind == JOB_COMPLETED and self._has_ended(
                {"run_id": place.run_id, "generation": details.get("generation")}
            ):
                return
        super().log_action(**arguments)

    # --- generations ---

    @never_raises
    def log_generation(self, *args: Any, **kwargs: Any) -> None:
        """A generation is complete; its front is logged after it."""
        arguments = _named(super().log_generation, args, kwargs)
        search = self.searches.get(str(arguments.get("run_id")))
        if search is not None and search.ended(arguments.get("generation")):
            self._counting[arguments["run_id"], arguments["generation"]] = arguments
        elif search is None or not search.was_counted(arguments.get("generation")):
            # A resumed search counts what it had not counted before.
            super().log_generation(**arguments)

    @never_raises
    def log_pareto_front(self, *args: Any, **kwargs: Any) -> None:
        """A generation's front."""
        arguments = _named(super().log_pareto_front, args, kwargs)
        search = self.searches.get(str(arguments.get("run_id")))
        counting = self._counting.get((arguments.get("run_id", ""), arguments.get("generation", -1)))
        if counting is not None:
            counting["front"] = arguments.get("pareto_individuals")
        elif search is None or not search.was_counted(arguments.get("generation")):
            super().log_pareto_front(**arguments)

    def counted(self, run_id: str, generation: int) -> None:
        """Genesis has logged a generation and its front."""
        arguments = self._counting.pop((run_id, generation), None)
        search = self.searches.get(run_id)
        if arguments is not None and search is not None:
            search.counted(generation, arguments)

    # --- calls ---

    @never_raises
    def log_llm_interaction(self, *args: Any, **kwargs: Any) -> None:
        """An LLM call; it goes to the question being asked, which is recorded with its tokens."""
        arguments = _named(super().log_llm_interaction, args, kwargs)
        question = llm.asked.get()
        if question is None:
            super().log_llm_interaction(**arguments)
        else:
            question.logged = arguments

    # --- whose it is ---

    def _proposal(self, arguments: Mapping[str, Any]) -> tuple[Search | None, Proposal | None]:
        search = self.searches.get(str(arguments.get("run_id")))
        number = arguments.get("generation")
        return search, search.open.get(number) if search is not None and isinstance(number, int) else None

    def _has_ended(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a generation's individual has ended here while the generation has not."""
        search = self.searches.get(str(arguments.get("run_id")))
        return search is not None and search.ended(arguments.get("generation")) is not None


def _named(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by name; if the method does not take one, it raises by itself."""
    return {**dict(zip(list(inspect.signature(method).parameters), args, strict=False)), **kwargs}
