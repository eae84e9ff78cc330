"""Records OpenEvolve's coevolution: one search, in which two populations take turns.

In: the arguments of ``run_coevolution``, and the engine of each phase. Out: one run. Its generations are numbered across all phases,
the first of each population is its seed's, and islands carry their population's name. A program that a later phase evaluates
again, against other opponents, keeps its individual and scores, and each evaluation is a job. On failure: raises
when it begins; after that the phases log what goes wrong, like any search.

Scores are relative to the opponents of their phase, and those of the two populations are not comparable: no front is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from opentelemetry.context import Context

from genesis_otel import spans
from genesis_otel._emit import tally
from genesis_otel._emit.context import Place, derived_context
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.run import given_id
from genesis_otel._emit.stopper import Stopper
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._framework_config import as_json
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint, load, save
from genesis_otel.instrumentation._openevolve.run import Options
from genesis_otel.instrumentation._openevolve.scores import BEFORE
from genesis_otel.instrumentation._openevolve.search import Search


class Coevolution:
    """A coevolution running in this process."""

    def __init__(
        self,
        options: Options,
        populations: Mapping[str, Any],
        evaluator: object,
        output_dir: Path,
        evaluation_id: str,
        rounds: int,
        iterations_per_phase: int,
        opponent_count: int,
        resume: bool,
    ) -> None:
        before = load(output_dir) if resume else Checkpoint()
        self.options = replace(options, objectives={})
        self.folder = output_dir
        self.run = spans.run(
            options.task or " vs ".join(populations),
            run_id=options.run_id or given_id() or before.run_id,
            config={
                "populations": {name: as_json(each.config) for name, each in populations.items()},
                "evaluation_id": evaluation_id,
                "rounds": rounds,
                "iterations_per_phase": iterations_per_phase,
                "opponent_count": opponent_count,
                "max_iterations": rounds * 2 * iterations_per_phase,
            },
            population_size=sum(each.config.database.population_size for each in populations.values()),
            cluster_type="local",
            database_path=str(output_dir.absolute()),
        )
        self.stopper = Stopper(self.run, options.stop_over_budget)
        known = tally.run_tally(self.run.id).generations
        self.completed = {*before.completed, *(number for number in known if isinstance(number, int))}
        self.failed: dict[str, str] = dict.fromkeys(before.failed, BEFORE)
        self.individuals = dict(before.individuals)
        """The generation of each ended individual."""
        self.population = ""
        """The population whose turn it is."""
        self._next = max(self.completed, default=-1) + 1
        self._phase: Search | None = None

    def phase(self, engine: Any) -> Search:
        """The search of a phase, whose engine has just been created."""
        context = json.loads((Path(engine.output_dir) / "opponents.json").read_text())
        self.population = context["population"]
        search = self._phase = Search(engine, self.options, whole=self)
        search.completed, search.scores.broken = self.completed, self.failed
        search.actions.latest = max(0, self._next - 1)
        opponents = [each["id"] for each in context["opponents"]]
        search.actions.act("phase_started", {"population": self.population, "opponents": opponents}, self._next)
        # Saved now as well, so that a search killed in its first phase resumes as the same run.
        self.save()
        return search

    def next_generation(self) -> int:
        """The number for a new generation."""
        self._next += 1
        return self._next - 1

    def reached(self, generation: int) -> None:
        """Note that a generation has begun whose number was derived from its iteration."""
        self._next = max(self._next, generation + 1)

    def place_of(self, individual_id: str) -> Context:
        """The context for work on an individual that has ended."""
        return derived_context(Place(self.run.id, self.individuals.get(individual_id), individual_id))

    def save(self) -> None:
        """Note which run the search is, for one that resumes it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save(self.folder, self.run.id, self.completed, self.failed, self.individuals)
        except Exception as error:
            pass_on(error)
            warn_once(
                "coevolution note", "If this coevolution is resumed, it will be recorded as a new run", exc_info=True
            )

    def end(self, error: BaseException | None) -> None:
        """The search has ended, or a phase has failed."""
        if self._phase is not None and not self._phase.stopping:
            self._phase.end(None)
        self.save()
        if error is not None:
            self.run.fail(error)
        self.run.end(total_generations=len(self.completed))
