"""Records a search in OpenEvolve's main process as spans: the run, its iterations as generations, its individuals.

In: OpenEvolve's own objects, as its methods are called. Out: a generation and an individual per iteration, ended when
the child has been added to the database or when there will be none; the front over all programs so far; actions. On
failure: each method catches its own errors and logs them once; the search goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from opentelemetry.context import Context

from genesis_otel import attributes, spans
from genesis_otel._emit import configured, opened, pareto, tally
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.run import given_id
from genesis_otel._emit.stopper import Stopper
from genesis_otel._emit.values import number, plain
from genesis_otel.instrumentation._hooks import quietly
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint, load, save
from genesis_otel.instrumentation._openevolve.config import as_json, task_name
from genesis_otel.instrumentation._openevolve.llm import Recorder
from genesis_otel.instrumentation._openevolve.outcome import failure, is_failed
from genesis_otel.instrumentation._openevolve.worker import TICKET, Answer, Ticket, outcomes


@dataclass(frozen=True)
class Options:
    """The arguments of `instrument`."""

    task: str | None = None
    run_id: str | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    llm: Recorder = "auto"
    worker_setup: Callable[[], object] | None = None
    stop_over_budget: bool | None = None


@dataclass
class Iteration:
    """An iteration that has begun and whose child has not arrived yet."""

    number: int
    generation: spans.Generation
    individual: spans.Individual
    island: int | None = None
    future: Future[Any] | None = None
    answered: bool = False
    error: str | None = None
    """Why its evaluation failed, as reported by its worker; None if unknown."""
    is_seed: bool = False


class Whole(Protocol):
    """The search of which another search is a phase."""

    run: spans.Run
    stopper: Stopper
    population: str
    individuals: dict[str, int]

    def next_generation(self) -> int:
        """The number for a new generation."""
        ...

    def reached(self, generation: int) -> None:
        """Note that a generation has begun whose number was derived from its iteration."""
        ...

    def place_of(self, individual_id: str) -> Context:
        """The context for work on an individual that has ended."""
        ...


class Search:
    """A search in this process, or a phase of one that alternates between two populations."""

    def __init__(
        self,
        controller: Any,
        options: Options,
        iterations: int | None = None,
        checkpoint: Path | None = None,
        whole: Whole | None = None,
    ) -> None:
        config = controller.config
        before = Checkpoint() if checkpoint is None else load(checkpoint)
        self.whole = whole
        self.run = _begin(controller, options, iterations, before) if whole is None else whole.run
        self.stopper = Stopper(self.run, options.stop_over_budget) if whole is None else whole.stopper
        self.loop: Any = None
        """OpenEvolve's controller of the worker processes, once it is running."""
        self.options = options
        self.mutation_type = "diff" if config.diff_based_evolution else "full"
        self.features = config.database.feature_dimensions
        self.setup = options.worker_setup or _setup_of_spawned_workers()
        self.tally = tally.run_tally(self.run.id)
        self.front: list[tally.Member] = list(self.tally.front)
        self.iterations: dict[int, Iteration] = {}
        """Open iterations, by generation."""
        self.seeds: dict[str, Iteration] = {}
        """Seeds being evaluated, by id."""
        self.initial: spans.Generation | None = None
        """The generation of the seeds, until the first iteration begins."""
        self.seed_metadata: list[dict[str, Any]] = []
        self.is_looping = False
        self.offset: int | None = 0 if whole is None else None
        """Offset from an iteration's number to its generation's."""
        self.broken: dict[str, str] = dict.fromkeys(before.failed, "its evaluation failed")
        """Why programs failed that may still become parents."""
        self.being_added = ""
        self.cell: dict[str, Any] | None = None
        """The cell of the program being added."""
        self.holders: list[dict[str, str]] = []
        """For each island, which program held which cell before that."""
        self.completed = {*before.completed, *(number for number in self.tally.generations if isinstance(number, int))}
        self.abandoned: list[int] = []
        self.stopping = False
        self.reason = ""
        self.submitting: tuple[int, int | None] | None = None
        self.parent_id = ""
        self.latest = 0
        """The iteration whose child arrived last."""
        self.lock = threading.RLock()

    @quietly
    def loaded(self, database: Any) -> None:
        """Take over a loaded checkpoint: its programs count, and so does what was recorded after it."""
        known = {member.individual_id for member in self.front}
        for program in database.programs.values():
            metrics = program.metrics or {}
            failed = program.id in self.broken or bool(failure(metrics))
            score, fitness = self._scores(metrics, "failed" if failed else "")
            member = self._member(program, fitness, score, failed=failed)
            self.tally.learn(member)
            if member.counts and program.id not in known:
                self.front.append(member)
        self.front = self._non_dominated(self.front)
        self.completed = self.completed or set(range(database.last_iteration + 1))
        self.latest = database.last_iteration

    @quietly
    def checkpoint_saved(self, folder: Path, iteration: int) -> None:
        """Note in a new checkpoint which run it belongs to."""
        save(folder, self.run.id, self.completed, self.broken)
        self.act("checkpoint_saved", {"iteration": iteration})

    # --- seeds --------------------------------------------------------------------------------------------------------

    @quietly
    def seed(self, program_id: str) -> Context | None:
        """The context for the evaluation of a seed, which is about to begin; None if no seeds are due."""
        if self.is_looping:
            return None
        if self.whole is not None and program_id in self.whole.individuals:
            return self.whole.place_of(program_id)
        if self.initial is None:
            self.initial = self.run.generation(0 if self.whole is None else self.whole.next_generation())
        individual = self.initial.individual(program_id, mutation_type="init")
        number = self.initial.number
        begun = Iteration(number if isinstance(number, int) else 0, self.initial, individual, is_seed=True)
        self.seeds[program_id] = begun
        return individual.context

    @quietly
    def loop_begins(self, loop: Any = None) -> None:
        """All seeds are evaluated: end their generation."""
        self.is_looping, self.loop = True, loop
        initial, self.initial = self.initial, None
        if initial is None:
            return
        told = self.seed_metadata
        if self.options.objectives:
            initial.pareto_front(self.front)
        initial.end(metadata=told[0] if len(told) == 1 else {"seeds": told})

    # --- iterations ---------------------------------------------------------------------------------------------------

    def generation_of(self, iteration: int) -> int:
        """An iteration's generation: the same number, unless another population had iterations before."""
        if self.offset is None:
            self.offset = 0 if self.whole is None else self.whole.next_generation() - iteration
        if self.whole is not None:
            self.whole.reached(iteration + self.offset)
        return iteration + self.offset

    @quietly
    def begin(self, number: int, island: int | None, parent_id: str, mutation_type: str) -> Iteration:
        """Begin an iteration: its generation and its individual, whose id is chosen here."""
        generation = self.run.generation(number)
        individual = generation.individual(parent_id=parent_id, mutation_type=mutation_type)
        individual.record(island=self.island(island))
        begun = Iteration(number, generation, individual, island)
        self.iterations[number] = begun
        return begun

    def island(self, island: object) -> object:
        """An island's name, prefixed by its population if there are two."""
        return island if self.whole is None or island is None else f"{self.whole.population}/{island}"

    @quietly
    def ticket(self, instrument: Callable[[Ticket], None]) -> Ticket | None:
        """What the worker has to know about the iteration being submitted."""
        if self.submitting is None:
            return None
        begun = self.begin(*self.submitting, self.parent_id, self.mutation_type)
        if begun is None:
            return None
        individual = begun.individual
        return Ticket(self.run.id, individual.id, individual.environ(), self.options.llm, self.setup, instrument)

    @quietly
    def submitted(self, number: int, future: Future[Any] | None) -> None:
        """The iteration is in the pool's queue, or, without a future, could not be submitted."""
        begun = self.iterations.get(number)
        if begun is None:
            return
        if future is None:
            self.abandon(begun)
            return
        begun.future = future
        future.add_done_callback(lambda _: self.arrived(number))

    @quietly
    def arrived(self, number: int) -> None:
        """The iteration's result has arrived. Called by the pool's thread, and perhaps earlier by `added`."""
        with self.lock:  # held throughout: `adding` waits here until the iteration's cost has been taken over
            begun = self.iterations.get(number)
            if begun is None or begun.answered or begun.future is None:
                return
            begun.answered = True
            if begun.future.cancelled():
                self.abandon(begun)
                return
            error = begun.future.exception()
            if error is not None:
                if self.stopping:  # the pool was shut down meanwhile
                    self.abandon(begun)
                else:
                    self.failed(begun, error)
                return
            result = begun.future.result()
            answer = getattr(result, TICKET, None)
            # The mode, where it is chosen per iteration; OpenEvolve 0.4.0 has a single one for all.
            begun.individual.mutation_type = _MUTATIONS.get(
                getattr(result, "evolution_mode", None) or "", self.mutation_type
            )
            if isinstance(answer, Answer):
                self._take_over(begun, answer)
            if result.child_program_dict is None:
                self.failed(begun, result.error or "no child")

    def _take_over(self, begun: Iteration, answer: Answer) -> None:
        place = {
            attributes.RUN_ID: self.run.id,
            attributes.GENERATION: begun.number,
            attributes.INDIVIDUAL_ID: begun.individual.id,
        }
        begun.error = answer.error
        for kind, cost in answer.calls:
            tally.account({**place, **_KINDS[kind]}, cost)
        if answer.unpriced:
            tally.account_unpriced(place)

    @quietly
    def is_over(self) -> bool:
        """Whether no more iterations may begin because the budget is spent; if so, OpenEvolve is told to stop."""
        if not self.stopper.is_due():
            return False
        if self.loop is not None and not self.loop.shutdown_event.is_set():
            self.loop.request_shutdown()
        return True

    @contextmanager
    def adding(self, program: Any) -> Iterator[Callable[[object], None]]:
        """A block in which a program is added to the database; it yields a function to call with the id that `add` returned."""
        begun = self.seeds.get(program.id) or next(
            (each for each in list(self.iterations.values()) if each.individual.id == program.id), None
        )
        self.being_added, self.cell, self.holders = program.id, None, []
        if begun is None and self.whole is not None and program.id in self.whole.individuals:
            # A phase begins with the programs of earlier phases, whose individuals are already recorded.
            with spans.attached(self.whole.place_of(program.id)):
                yield lambda admitted: None
            return
        if begun is None:
            copy = self.copied(program) if _is_migrant(program) else None
            # OpenEvolve may ask models whether to admit a copy: those calls belong to the copy.
            with spans.attached(self.run.context if copy is None else copy.context):
                yield lambda admitted: None if copy is None else self.migrated(copy, program, admitted is not None)
            return
        self.latest = begun.number
        self.arrived(begun.number)
        try:
            with spans.attached(begun.individual.context):
                yield lambda admitted: self.added(begun, program, admitted is not None)
        except Exception as error:
            pass_on(error)
            self.failed(begun, error)
            raise

    @quietly
    def added(self, begun: Iteration, program: Any, admitted: bool) -> None:
        """The iteration's child is in the database, or was rejected by the strategy."""
        metrics = program.metrics or {}
        individual = begun.individual
        error = outcomes.pop(program.id, None) if begun.is_seed else begun.error
        if error is None:
            error = failure(metrics, begun.future.result().artifacts if begun.future else None)
        if error:
            self.broken[program.id] = error
        score, fitness = self._scores(metrics, error)
        # Held until the end: individuals must end in the order in which the front grows.
        with self.lock:
            on_front = not error and self._extend_front(program, fitness, score)
            before = program.metadata.get("parent_metrics")
            delta = None
            parent_failed = program.parent_id in self.broken or (before and failure(before))
            if before and program.parent_id and fitness is not None and not error and not parent_failed:
                of_parent = self._scores(before, "")[1]
                delta = None if of_parent is None else fitness - of_parent
            individual.record(
                fitness=fitness,
                combined=score,
                metrics=metrics,
                code=program.code,
                edit_summary=program.metadata.get("changes"),
                is_pareto=on_front if self.options.objectives else None,
                fitness_delta=delta,
                island=self.island(program.metadata.get("island")),
                cell=self.cell,
                correct=not error,
            )
            if error:
                individual.fail(f"evaluation failed: {error}")
            usage = program.metadata.get("token_usage") or {}
            self._close(
                begun,
                {
                    "island": self.island(program.metadata.get("island", begun.island)),
                    "admitted": admitted,
                    "depth": program.generation,
                    "tokens": usage.get("total_tokens", 0),
                },
            )

    @quietly
    def failed(self, begun: Iteration, error: BaseException | str) -> None:
        """The iteration produced no child: no answer, no edit that applies, a worker that died."""
        begun.individual.fail(error)
        details = {"generation": begun.number, "individual_id": begun.individual.id, "error": str(error)}
        begun.individual.action("proposal_failed", details)
        self._close(begun, {"island": self.island(begun.island), "error": str(error)})

    @quietly
    def abandon(self, begun: Iteration) -> None:
        """The search has ended before the iteration, which leaves no generation behind."""
        if begun.is_seed:
            self.seeds.pop(begun.individual.id, None)
        else:
            self.iterations.pop(begun.number, None)
            self.abandoned.append(begun.number)
            opened.closed(begun.generation)
        opened.closed(begun.individual)

    def _close(self, begun: Iteration, metadata: dict[str, Any]) -> None:
        with self.lock:
            known = (
                self.seeds.pop(begun.individual.id, None) if begun.is_seed else self.iterations.pop(begun.number, None)
            )
            if known is None:
                return
            self.completed.add(begun.number)
            begun.individual.end()
            if self.whole is not None:
                self.whole.individuals[begun.individual.id] = begun.number
            if begun.is_seed:
                self.seed_metadata.append(metadata)
                return
            if self.options.objectives:
                begun.generation.pareto_front(self.front)
            begun.generation.end(metadata=metadata)

    # --- scores -------------------------------------------------------------------------------------------------------

    def _scores(self, metrics: Mapping[str, Any], error: str) -> tuple[float | None, float | None]:
        """OpenEvolve's score, and the fitness. For a failure OpenEvolve's score is 0, or whatever its placeholder metrics amount to; but
        if a later stage of a cascade failed, it continues with the score of the earlier stages."""
        from openevolve.utils.metrics_utils import get_fitness_score  # type: ignore[import-untyped]

        if error and is_failed(metrics):
            return None, None
        score = get_fitness_score(metrics, self.features)
        return score, self._primary(metrics, score)

    def _primary(self, metrics: Mapping[str, Any], score: float) -> float | None:
        """The only objective, or the first to be maximised; without one, the score that OpenEvolve uses."""
        objectives = self.options.objectives
        for name, direction in objectives.items():
            if name in metrics and (len(objectives) == 1 or pareto.DIRECTIONS.get(direction.lower())):
                return number(metrics[name], name)
        return score

    def _extend_front(self, program: Any, fitness: float | None, score: float | None) -> bool:
        child = self._member(program, fitness, score, failed=False)
        self.front = self._non_dominated([*self.front, child])
        return child in self.front

    def _non_dominated(self, candidates: list[tally.Member]) -> list[tally.Member]:
        names = list(self.options.objectives)
        values = [[each.objective(name) for name in names] for each in candidates]
        return [candidates[position] for position in pareto.front(self.options.objectives, values)]

    def _member(self, program: Any, fitness: float | None, score: float | None, *, failed: bool) -> tally.Member:
        size = float(len(program.code.encode("utf-8", "backslashreplace")))
        copied = _is_migrant(program)
        # Converted once, rather than for each front that includes it.
        return tally.Member(program.id, fitness, score, plain(program.metrics), size, 0.0, failed, copied=copied)

    # --- what else happens --------------------------------------------------------------------------------------------

    @quietly
    def copied(self, program: Any) -> spans.Individual:
        """A program is copied to another island; the copy is a separate individual, and may become a parent."""
        return spans.individual(
            program.id,
            parent_id=program.parent_id,
            mutation_type="migration",
            generation=self.latest,
            run=self.run,
        )

    @quietly
    def migrated(self, copy: spans.Individual, program: Any, admitted: bool) -> None:
        """The copy is on that island, or was not admitted: then it has no score, only the cost of the model calls about it."""
        if self.whole is not None:
            self.whole.individuals[program.id] = self.latest
        if not admitted:
            copy.record(island=self.island(program.metadata.get("island")))
            copy.fail("not admitted")
            copy.end()
            return
        failed = self.broken.get(program.parent_id) or failure(program.metrics)
        if failed:
            self.broken[program.id] = failed
        score, fitness = self._scores(program.metrics, failed)
        copy.record(
            fitness=fitness,
            combined=score,
            metrics=program.metrics,
            code=program.code,
            fitness_delta=None if fitness is None or failed else 0.0,
            edit_summary=f"Copied to island {program.metadata.get('island')}",
            island=self.island(program.metadata.get("island")),
            cell=self.cell,
            correct=not failed,
        )
        if failed:
            copy.fail(f"evaluation failed: {failed}")
        copy.end()

    @quietly
    def act(self, action_type: str, details: Mapping[str, Any], number: int | None = None) -> None:
        """Record something that is neither an iteration nor an individual."""
        at = self.latest if number is None else number
        spans.action(action_type, {"generation": at, **details}, run=self.run, generation=at)

    @quietly
    def sampled(self, parent: Any) -> None:
        """Remember the parent of the iteration being submitted."""
        self.parent_id = parent.id

    @quietly
    def fell_into(self, program: Any, database: Any, bins: Sequence[int]) -> None:
        """A program's cell of the grid was computed; remember it if the program is the one being added."""
        if program.id != self.being_added or self.cell is not None:
            return
        self.cell = {name: int(number) for name, number in zip(database.config.feature_dimensions, bins, strict=False)}
        self.holders = [dict(cells) for cells in database.island_feature_maps]

    @quietly
    def cells_changed(self, program: Any, database: Any) -> None:
        """Record whether the added program now holds a cell, and which program it replaced."""
        island = program.metadata.get("island")
        if not isinstance(island, int) or not island < len(self.holders):
            return
        before = self.holders[island]
        for key, holder in database.island_feature_maps[island].items():
            if holder == program.id and before.get(key) != holder:
                details = {"individual_id": program.id, "island": self.island(island), "cell": self.cell}
                self.act("cell_taken", {**details, "replaced": before.get(key, "")})

    @quietly
    def archive_changed(self, program: Any, before: set[str], after: set[str]) -> None:
        """Record whether programs entered or left the archive."""
        if before != after:
            changes = {"added": sorted(after - before), "removed": sorted(before - after)}
            self.act("archive_updated", {"individual_id": program.id, **changes, "archive_size": len(after)})

    @quietly
    def best_changed(self, program: Any, before: str | None, after: str | None) -> None:
        """Record whether there is a new best program."""
        if before != after:
            score = (program.metrics or {}).get("combined_score")
            self.act("best_updated", {"individual_id": after, "previous": before or "", "combined_score": score})

    @quietly
    def islands_migrated(self, migrants: list[Any]) -> None:
        """Programs were copied to other islands; `migrated` has recorded each copy."""
        moves = [
            {"individual_id": each.id, "parent_id": each.parent_id, "island": self.island(each.metadata.get("island"))}
            for each in migrants
        ]
        self.act("migration", {"migrants": len(moves), "moves": moves})

    @quietly
    def loop_ended(self, controller: Any, target: float | None) -> None:
        """No more iterations will begin; determine why, unless all are done."""
        self.stopping = True
        best = controller.database.get_best_program()
        if controller.early_stopping_triggered:
            self.reason = "early_stopping"
        elif self.stopper.stops:
            self.reason = "over_budget"
        elif controller.shutdown_event.is_set():
            self.reason = "shutdown"
        elif target is not None and best is not None and best.metrics.get("combined_score", float("-inf")) >= target:
            self.reason = "target_score"

    @quietly
    def end(self, error: BaseException | None) -> None:
        """The search has ended: normally, early for some reason, or with an exception."""
        self.stopping = True
        for begun in [*self.seeds.values(), *self.iterations.values()]:
            self.abandon(begun)
        self.loop_begins()
        if self.reason or self.abandoned:
            self.act("search_stopped", {"reason": self.reason or "done", "abandoned": sorted(self.abandoned)})
        if error is not None:
            self.run.fail(error)
        elif self.reason == "shutdown":
            self.run.fail("interrupted: OpenEvolve was told to stop by a signal")
        if self.whole is None:
            self.run.end(total_generations=len(self.completed))


def _begin(controller: Any, options: Options, iterations: int | None, before: Checkpoint) -> spans.Run:
    config = controller.config
    told = as_json(config)
    # The latest request: for a resumed search, that many more iterations.
    told["max_iterations"] = before.last_iteration + (config.max_iterations if iterations is None else iterations)
    return spans.run(
        options.task or task_name(controller.evaluation_file),
        run_id=options.run_id or given_id() or before.run_id,
        config=told,
        population_size=config.database.population_size,
        cluster_type="local",
        database_path=str(config.database.db_path or Path(controller.output_dir).absolute()),
        objectives=options.objectives,
    )


_MUTATIONS: Mapping[str, str] = {"diff": "diff", "full_rewrite": "full"}
"""OpenEvolve's names for an iteration's mode, and the mutation types."""

_KINDS: Mapping[int, Mapping[str, str]] = {
    tally.API: {},
    tally.EMBED: {attributes.GEN_AI_OPERATION_NAME: "embeddings"},
    tally.NOVELTY: {attributes.LLM_ROLE: "novelty"},
}
"""The attributes by which `tally.account` recognises a kind of cost."""


def _is_migrant(program: Any) -> bool:
    return bool(program.metadata.get("migrant"))


def _setup_of_spawned_workers() -> Callable[[], object] | None:
    """A function that sets up a spawned worker like this process, if this process was set up by ``configure``."""
    telemetry = configured.current()
    return None if telemetry is None else telemetry.setup
