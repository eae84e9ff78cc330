"""What OpenEvolve's main process knows of a search, as spans: the run, its iterations as generations, its
individuals.

In: OpenEvolve's own objects, as its methods are called. Out: a generation and an individual an iteration, ended when
the child has been added to the database or when there will be none; the front over all programs so far; actions. On
failure: each method catches its own errors and says them once; the search goes on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from genesis_otel import attributes, spans
from genesis_otel._emit import configured, opened, pareto, tally
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.run import given_id
from genesis_otel._emit.values import number, warn_once
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint, load, save
from genesis_otel.instrumentation._openevolve.config import as_json, task_name
from genesis_otel.instrumentation._openevolve.llm import Recorder
from genesis_otel.instrumentation._openevolve.worker import TICKET, Answer, Ticket, failure

P = ParamSpec("P")
R = TypeVar("R")


def quietly(method: Callable[Concatenate[Search, P], R]) -> Callable[Concatenate[Search, P], R | None]:
    """Log what a method raises, once, instead of raising it into the search."""

    @functools.wraps(method)
    def call(self: Search, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            pass_on(error)
            warn_once(f"search {method.__name__}", "%s of a search is not recorded", method.__name__, exc_info=True)
            return None

    return call


@dataclass(frozen=True)
class Options:
    """What `instrument` was told."""

    task: str | None = None
    run_id: str | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    llm: Recorder = "auto"
    worker_setup: Callable[[], object] | None = None


@dataclass
class Iteration:
    """One that has begun and whose child has not come yet."""

    number: int
    generation: spans.Generation
    individual: spans.Individual
    island: int | None = None
    future: Future[Any] | None = None
    answered: bool = False


class Search:
    """A search that runs in this process."""

    def __init__(self, controller: Any, options: Options, iterations: int | None, checkpoint: Path | None) -> None:
        config = controller.config
        before = Checkpoint() if checkpoint is None else load(checkpoint)
        told = as_json(config)
        # What was asked last: of a search that goes on, so many more.
        told["max_iterations"] = before.last_iteration + (config.max_iterations if iterations is None else iterations)
        self.run = spans.run(
            options.task or task_name(controller.evaluation_file),
            run_id=options.run_id or given_id() or before.run_id,
            config=told,
            population_size=config.database.population_size,
            cluster_type="local",
            database_path=str(config.database.db_path or Path(controller.output_dir).absolute()),
            objectives=options.objectives,
        )
        self.options = options
        self.mutation_type = "diff" if config.diff_based_evolution else "full"
        self.features = config.database.feature_dimensions
        self.setup = options.worker_setup or _setup_of_spawned_workers()
        self.tally = tally.run_tally(self.run.id)
        self.front: list[tally.Member] = list(self.tally.front)
        self.iterations: dict[int, Iteration] = {}
        self.completed = {*before.completed, *(number for number in self.tally.generations if isinstance(number, int))}
        self.abandoned: list[int] = []
        self.stopping = False
        self.reason = ""
        self.submitting: tuple[int, int | None] | None = None
        self.parent_id = ""
        self.latest = 0
        """The iteration whose child came last."""
        self.lock = threading.RLock()

    def is_new(self) -> bool:
        """Whether not even the seed has begun; a search that goes on from a checkpoint has none."""
        return not self.completed and not self.iterations

    @quietly
    def loaded(self, database: Any) -> None:
        """A checkpoint has been loaded: what it holds counts, and so does what was recorded after it."""
        from openevolve.utils.metrics_utils import get_fitness_score  # type: ignore[import-untyped]

        known = {member.individual_id for member in self.front}
        for program in database.programs.values():
            metrics = program.metrics or {}
            failed = bool(failure(metrics))
            score = None if failed else get_fitness_score(metrics, self.features)
            fitness = None if score is None else self._primary(metrics, score)
            member = self._member(program, fitness, score, failed=failed)
            self.tally.learn(member)
            if member.counts and program.id not in known:
                self.front.append(member)
        self.front = self._non_dominated(self.front)
        self.completed = self.completed or set(range(database.last_iteration + 1))
        self.latest = database.last_iteration

    @quietly
    def checkpoint_saved(self, folder: Path, iteration: int) -> None:
        """A checkpoint has been written; it is told whose it is."""
        save(folder, self.run.id, self.completed)
        self.act("checkpoint_saved", {"iteration": iteration})

    # --- iterations ---------------------------------------------------------------------------------------------------

    @quietly
    def begin(self, number: int, island: int | None, parent_id: str, mutation_type: str, name: str = "") -> Iteration:
        """An iteration begins: its generation and its individual, whose id is chosen here."""
        generation = self.run.generation(number)
        individual = generation.individual(name or None, parent_id=parent_id, mutation_type=mutation_type)
        individual.record(island=island)
        begun = Iteration(number, generation, individual, island)
        self.iterations[number] = begun
        return begun

    @quietly
    def ticket(self, instrument: Callable[[Ticket], None]) -> Ticket | None:
        """What the worker of the iteration that is being submitted has to know."""
        if self.submitting is None:
            return None
        begun = self.begin(*self.submitting, self.parent_id, self.mutation_type)
        if begun is None:
            return None
        individual = begun.individual
        return Ticket(self.run.id, individual.id, individual.environ(), self.options.llm, self.setup, instrument)

    @quietly
    def submitted(self, number: int, future: Future[Any] | None) -> None:
        """The iteration is in the pool's queue, or, without a future, could not be put there."""
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
        """The iteration's result is there. Called by the pool's thread, and before that perhaps by `added`."""
        with self.lock:  # held all the way: `adding` waits here until what the iteration cost has been taken over
            begun = self.iterations.get(number)
            if begun is None or begun.answered or begun.future is None:
                return
            begun.answered = True
            if begun.future.cancelled():
                self.abandon(begun)
                return
            error = begun.future.exception()
            if error is not None:
                if self.stopping:  # the pool was ended under it
                    self.abandon(begun)
                else:
                    self.failed(begun, error)
                return
            result = begun.future.result()
            answer = getattr(result, TICKET, None)
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
        for kind, cost in answer.calls:
            tally.account({**place, **_KINDS[kind]}, cost)

    @contextmanager
    def adding(self, program: Any) -> Iterator[Callable[[object], None]]:
        """A program is being added to the database; the block is given what to call with the id that `add` returned."""
        begun = next((each for each in list(self.iterations.values()) if each.individual.id == program.id), None)
        if begun is None:
            copy = self.copied(program) if _is_migrant(program) else None
            # OpenEvolve may ask models whether it lets a copy in: those calls are the copy's.
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
        """The iteration's child is in the database, or the strategy has rejected it."""
        from openevolve.utils.metrics_utils import get_fitness_score

        metrics = program.metrics or {}
        individual = begun.individual
        error = failure(metrics, begun.future.result().artifacts if begun.future else None)
        # OpenEvolve's score of a failure is 0, or whatever its stand-in metrics come to.
        score = None if error else get_fitness_score(metrics, self.features)
        fitness = None if score is None else self._primary(metrics, score)
        # Held to the end: the order in which individuals end is the order in which the front grows.
        with self.lock:
            on_front = not error and self._extend_front(program, fitness, score)
            before = program.metadata.get("parent_metrics")
            delta = None
            if before and program.parent_id and fitness is not None and not failure(before):
                of_parent = self._primary(before, get_fitness_score(before, self.features))
                delta = None if of_parent is None else fitness - of_parent
            individual.record(
                fitness=fitness,
                combined=score,
                metrics=metrics,
                code=program.code,
                edit_summary=program.metadata.get("changes"),
                is_pareto=on_front if self.options.objectives else None,
                fitness_delta=delta,
                island=program.metadata.get("island"),
                correct=not error,
            )
            if error:
                individual.fail(f"evaluation failed: {error}")
            usage = program.metadata.get("token_usage") or {}
            self._close(
                begun,
                {
                    "island": program.metadata.get("island", begun.island),
                    "admitted": admitted,
                    "depth": program.generation,
                    "tokens": usage.get("total_tokens", 0),
                },
            )

    @quietly
    def failed(self, begun: Iteration, error: BaseException | str) -> None:
        """The iteration came to nothing: no answer, no edit that fits, a worker that died."""
        begun.individual.fail(error)
        details = {"generation": begun.number, "individual_id": begun.individual.id, "error": str(error)}
        begun.individual.action("proposal_failed", details)
        self._close(begun, {"island": begun.island, "error": str(error)})

    @quietly
    def abandon(self, begun: Iteration) -> None:
        """The search has ended before the iteration; it leaves no generation behind."""
        self.iterations.pop(begun.number, None)
        self.abandoned.append(begun.number)
        opened.closed(begun.individual)
        opened.closed(begun.generation)

    def _close(self, begun: Iteration, metadata: dict[str, Any]) -> None:
        with self.lock:
            if self.iterations.pop(begun.number, None) is None:
                return
            self.completed.add(begun.number)
            begun.individual.end()
            if self.options.objectives:
                begun.generation.pareto_front(each.as_front_member() for each in self.front)
            begun.generation.end(metadata=metadata)

    # --- scores -------------------------------------------------------------------------------------------------------

    def _primary(self, metrics: Mapping[str, Any], score: float) -> float | None:
        """The only objective, or the first that is to be maximised; what OpenEvolve goes by, where there is none."""
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
        return tally.Member(program.id, fitness, score, program.metrics, size, 0.0, failed, copied=copied)

    # --- what else happens --------------------------------------------------------------------------------------------

    @quietly
    def copied(self, program: Any) -> spans.Individual:
        """A copy of a program comes to another island; it is an individual of its own, and may become a parent."""
        return spans.individual(
            program.id,
            parent_id=program.parent_id,
            mutation_type="migration",
            generation=self.latest,
            run=self.run,
        )

    @quietly
    def migrated(self, copy: spans.Individual, program: Any, admitted: bool) -> None:
        """The copy is on that island, or was not let in: then it has no score, only what asking about it cost."""
        from openevolve.utils.metrics_utils import get_fitness_score

        if not admitted:
            copy.record(island=program.metadata.get("island"))
            copy.fail("not let in")
            copy.end()
            return
        failed = failure(program.metrics)
        score = None if failed else get_fitness_score(program.metrics, self.features)
        fitness = None if score is None else self._primary(program.metrics, score)
        copy.record(
            fitness=fitness,
            combined=score,
            metrics=program.metrics,
            code=program.code,
            fitness_delta=None if fitness is None else 0.0,
            edit_summary=f"Copied to island {program.metadata.get('island')}",
            island=program.metadata.get("island"),
            correct=not failed,
        )
        if failed:
            copy.fail(f"evaluation failed: {failed}")
        copy.end()

    @quietly
    def act(self, action_type: str, details: Mapping[str, Any], number: int | None = None) -> None:
        """Something happened that is neither an iteration nor an individual."""
        at = self.latest if number is None else number
        spans.action(action_type, {"generation": at, **details}, run=self.run, generation=at)

    @quietly
    def sampled(self, parent: Any) -> None:
        """The parent of the iteration that is being submitted."""
        self.parent_id = parent.id

    @quietly
    def archive_changed(self, program: Any, before: set[str], after: set[str]) -> None:
        """A program has perhaps come into the archive, and another one left."""
        if before != after:
            changes = {"added": sorted(after - before), "removed": sorted(before - after)}
            self.act("archive_updated", {"individual_id": program.id, **changes, "archive_size": len(after)})

    @quietly
    def best_changed(self, program: Any, before: str | None, after: str | None) -> None:
        """A program is perhaps the best one so far."""
        if before != after:
            score = (program.metrics or {}).get("combined_score")
            self.act("best_updated", {"individual_id": after, "previous": before or "", "combined_score": score})

    @quietly
    def islands_migrated(self, migrants: list[Any]) -> None:
        """Copies of programs have come to other islands; `migrated` has had each."""
        moves = [
            {"individual_id": each.id, "parent_id": each.parent_id, "island": each.metadata.get("island")}
            for each in migrants
        ]
        self.act("migration", {"migrants": len(moves), "moves": moves})

    @quietly
    def loop_ended(self, controller: Any, target: float | None) -> None:
        """No more iterations are begun; why, if not because all are done."""
        self.stopping = True
        best = controller.database.get_best_program()
        if controller.early_stopping_triggered:
            self.reason = "early_stopping"
        elif controller.shutdown_event.is_set():
            self.reason = "shutdown"
        elif target is not None and best is not None and best.metrics.get("combined_score", float("-inf")) >= target:
            self.reason = "target_score"

    @quietly
    def end(self, error: BaseException | None) -> None:
        """The search has ended, by itself, for a reason, or with an exception."""
        self.stopping = True
        for begun in list(self.iterations.values()):
            self.abandon(begun)
        if self.reason or self.abandoned:
            self.act("search_stopped", {"reason": self.reason or "done", "abandoned": sorted(self.abandoned)})
        if error is not None:
            self.run.fail(error)
        elif self.reason == "shutdown":
            self.run.fail("interrupted: OpenEvolve was told to stop by a signal")
        self.run.end(total_generations=len(self.completed))


_KINDS: Mapping[int, Mapping[str, str]] = {
    tally.API: {},
    tally.EMBED: {attributes.GEN_AI_OPERATION_NAME: "embeddings"},
    tally.NOVELTY: {attributes.LLM_ROLE: "novelty"},
}
"""How `tally.account` knows a kind of cost."""


def _is_migrant(program: Any) -> bool:
    return bool(program.metadata.get("migrant"))


def _setup_of_spawned_workers() -> Callable[[], object] | None:
    """What sets up a worker that was spawned as this process is, if this process was set up by ``configure``."""
    telemetry = configured.current()
    return None if telemetry is None else telemetry.setup
