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
        told = _named(super().log_evolution_run, args, kwargs)
        search = self.searches.get(str(told.get("run_id")))
        if search is None:
            super().log_evolution_run(**told)
            return
        told["task_name"] = search.options.task or told.get("task_name", "")
        super().log_evolution_run(**{**told, "direction": told.get("direction") or "max"})
        run = self._runs.get(str(told["run_id"]))
        if run is not None:
            search.begun(run)
            # Until the search ends: `_run` restores what was current before.
            otel.attach(run.context)

    @never_raises
    def update_evolution_run(self, *args: Any, **kwargs: Any) -> None:
        """A run ends; Genesis considers a run that was told to stop complete."""
        told = _named(super().update_evolution_run, args, kwargs)
        search = self.searches.get(str(told.get("run_id")))
        if search is not None and search.is_stopped and told.get("status") == "completed":
            told["status"] = STOPPED
        super().update_evolution_run(**told)

    # --- individuals ---

    @never_raises
    def log_individual(self, *args: Any, **kwargs: Any) -> None:
        """An individual was evaluated and stored."""
        told = _named(super().log_individual, args, kwargs)
        search, proposal = self._proposal(told)
        if search is None or proposal is None or getattr(proposal.program, "id", None) != told.get("individual_id"):
            super().log_individual(**told)
            return
        search.stored(proposal, told)

    @never_raises
    def log_lineage(self, *args: Any, **kwargs: Any) -> None:
        """An edge; the search's individuals have already recorded theirs."""
        told = _named(super().log_lineage, args, kwargs)
        if not self._is_told(told):
            super().log_lineage(**told)

    @never_raises
    def log_action(self, *args: Any, **kwargs: Any) -> None:
        """An action; the start and end of a job are those of an evaluation."""
        told = _named(super().log_action, args, kwargs)
        kind, details = told.get("action_type"), told.get("details")
        if kind in (JOB_SUBMITTED, JOB_COMPLETED) and isinstance(details, Mapping):
            place = place_of()
            search, proposal = self._proposal({"run_id": place.run_id, "generation": details.get("generation")})
            if kind == JOB_SUBMITTED and search is not None and proposal is not None:
                search.queued(proposal, details, told.get("metadata"))
                return
            if kind == JOB_COMPLETED and self._is_told(
                {"run_id": place.run_id, "generation": details.get("generation")}
            ):
                return
        super().log_action(**told)

    # --- generations ---

    @never_raises
    def log_generation(self, *args: Any, **kwargs: Any) -> None:
        """A generation is complete; its front is logged after it."""
        told = _named(super().log_generation, args, kwargs)
        search = self.searches.get(str(told.get("run_id")))
        if search is not None and search.ended(told.get("generation")):
            self._counting[told["run_id"], told["generation"]] = told
        elif search is None or not search.was_counted(told.get("generation")):
            # A resumed search counts what it had not counted before.
            super().log_generation(**told)

    @never_raises
    def log_pareto_front(self, *args: Any, **kwargs: Any) -> None:
        """A generation's front."""
        told = _named(super().log_pareto_front, args, kwargs)
        search = self.searches.get(str(told.get("run_id")))
        counting = self._counting.get((told.get("run_id", ""), told.get("generation", -1)))
        if counting is not None:
            counting["front"] = told.get("pareto_individuals")
        elif search is None or not search.was_counted(told.get("generation")):
            super().log_pareto_front(**told)

    def counted(self, run_id: str, generation: int) -> None:
        """Genesis has logged a generation and its front."""
        told = self._counting.pop((run_id, generation), None)
        search = self.searches.get(run_id)
        if told is not None and search is not None:
            search.counted(generation, told)

    # --- calls ---

    @never_raises
    def log_llm_interaction(self, *args: Any, **kwargs: Any) -> None:
        """An LLM call; it goes to the question being asked, which is recorded with its tokens."""
        told = _named(super().log_llm_interaction, args, kwargs)
        question = llm.asked.get()
        if question is None:
            super().log_llm_interaction(**told)
        else:
            question.logged = told

    # --- whose it is ---

    def _proposal(self, told: Mapping[str, Any]) -> tuple[Search | None, Proposal | None]:
        search = self.searches.get(str(told.get("run_id")))
        number = told.get("generation")
        return search, search.open.get(number) if search is not None and isinstance(number, int) else None

    def _is_told(self, told: Mapping[str, Any]) -> bool:
        """Whether a generation's individual has ended here while the generation has not."""
        search = self.searches.get(str(told.get("run_id")))
        return search is not None and search.ended(told.get("generation")) is not None


def _named(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by name; if the method does not take one, it raises by itself."""
    return {**dict(zip(list(inspect.signature(method).parameters), args, strict=False)), **kwargs}
