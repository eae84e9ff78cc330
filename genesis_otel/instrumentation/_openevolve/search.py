"""Records a search in OpenEvolve's main process as spans: the run, its iterations as generations, its individuals.

In: OpenEvolve's own objects, as its methods are called. Out: a generation and an individual per iteration, ended when
the child has been added to the database or when there will be none. On failure: each method catches its own errors and logs them
once; the search goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from opentelemetry.context import Context

from genesis_otel import attributes, spans
from genesis_otel._emit import configured, opened, tally
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.stopper import Stopper
from genesis_otel.instrumentation._hooks import quietly
from genesis_otel.instrumentation._openevolve.actions import Actions
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint, save
from genesis_otel.instrumentation._openevolve.outcome import failure
from genesis_otel.instrumentation._openevolve.run import Options, begin_run
from genesis_otel.instrumentation._openevolve.scores import Scores, is_migrant
from genesis_otel.instrumentation._openevolve.worker import TICKET, Answer, Ticket, outcomes


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
        before: Checkpoint | None = None,
        whole: Whole | None = None,
    ) -> None:
        config = controller.config
        before = before or Checkpoint()
        self.whole = whole
        self.run = begin_run(controller, options, iterations, before) if whole is None else whole.run
        self.stopper = Stopper(self.run, options.stop_over_budget) if whole is None else whole.stopper
        self.loop: Any = None
        """OpenEvolve's controller of the worker processes, once it is running."""
        self.options = options
        self.mutation_type = "diff" if config.diff_based_evolution else "full"
        self.setup = options.worker_setup or _setup_of_spawned_workers()
        known = tally.run_tally(self.run.id)
        self.scores = Scores(known, options.objectives, config.database.feature_dimensions, before.failed)
        self.actions = Actions(self.run, None if whole is None else whole.population)
        self.iterations: dict[int, Iteration] = {}
        """Open iterations, by generation."""
        self.seeds: dict[str, Iteration] = {}
        """Seeds being evaluated, by id."""
        self.initial: spans.Generation | None = None
        """The generation of the seeds, until the first iteration begins."""
        self.seed_metadata: list[dict[str, Any]] = []
        self.continues = before.run_id == self.run.id
        """Whether the programs of a loaded checkpoint are individuals of this run already."""
        self.is_looping = False
        self.offset: int | None = 0 if whole is None else None
        """Offset from an iteration's number to its generation's."""
        self.completed = {*before.completed, *(number for number in known.generations if isinstance(number, int))}
        self.abandoned: list[int] = []
        self.highest = float("-inf")
        """The highest ``combined_score`` of a child of this search: OpenEvolve compares no other with its target."""
        self.stopping = False
        self.reason = ""
        self.submitting: tuple[int, int | None] | None = None
        self.parent_id = ""
        self.lock = threading.RLock()

    @quietly
    def loaded(self, database: Any) -> None:
        """Take over a loaded checkpoint: its programs count, and so does what was recorded after it."""
        known = set(tally.run_tally(self.run.id).fitness)
        self.scores.learn(database.programs.values())
        self.completed = self.completed or set(range(database.last_iteration + 1))
        self.actions.latest = database.last_iteration
        if not self.continues:
            self._restore(database.programs, known)

    def _restore(self, programs: Mapping[str, Any], known: set[str]) -> None:
        """Record programs that no search of this run has found, nor restored."""
        new = [program for name, program in programs.items() if name not in known]
        if not new:
            return
        self.initial = self.run.generation(0)
        on_front = {member.individual_id for member in self.scores.front}
        for program in sorted(new, key=lambda each: (each.iteration_found, each.generation)):
            metrics = program.metrics or {}
            error = self.scores.broken.get(program.id) or failure(metrics)
            score, fitness = self.scores.of(metrics, error)
            individual = self.initial.individual(
                program.id,
                parent_id=program.parent_id if program.parent_id in programs else "",
                mutation_type="restored",
            )
            is_pareto = program.id in on_front
            found = {"iteration_found": program.iteration_found}
            self._record(individual, program, error, score, fitness, is_pareto, metadata=found)
            individual.end()

    def _record(
        self,
        individual: spans.Individual,
        program: Any,
        error: str,
        score: float | None,
        fitness: float | None,
        is_pareto: bool,
        **more: Any,
    ) -> None:
        """What is told of every program.

        :param error: why its evaluation failed; empty if it did not.
        :param more: what is told of this one besides.
        """
        individual.record(
            fitness=fitness,
            combined=score,
            metrics=program.metrics or {},
            code=program.code,
            edit_summary=program.metadata.get("changes"),
            is_pareto=is_pareto if self.options.objectives else None,
            island=self.actions.island(program.metadata.get("island")),
            correct=not error,
            **more,
        )
        if error:
            individual.fail(f"evaluation failed: {error}")

    def left(self) -> Checkpoint:
        """What a search has to know that continues with the programs of this one."""
        return Checkpoint(self.run.id, frozenset(self.completed), frozenset(self.scores.broken))

    @quietly
    def checkpoint_saved(self, folder: Path, iteration: int) -> None:
        """Note in a new checkpoint which run it belongs to."""
        save(folder, self.run.id, self.completed, self.scores.broken)
        self.actions.act("checkpoint_saved", {"iteration": iteration})

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
            initial.pareto_front(self.scores.front)
        initial.end(metadata=told[0] if len(told) == 1 else {"seeds": told} if told else None)

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
        individual.record(island=self.actions.island(island))
        begun = Iteration(number, generation, individual, island)
        self.iterations[number] = begun
        return begun

    @quietly
    def sampled(self, parent: Any) -> None:
        """Remember the parent of the iteration being submitted."""
        self.parent_id = parent.id

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
        self.actions.adding(program.id)
        if begun is None and self.whole is not None and program.id in self.whole.individuals:
            # A phase begins with the programs of earlier phases, whose individuals are already recorded.
            with spans.attached(self.whole.place_of(program.id)):
                yield lambda admitted: None
            return
        if begun is None:
            copy = self.copied(program) if is_migrant(program) else None
            # OpenEvolve may ask models whether to admit a copy: those calls belong to the copy.
            with spans.attached(self.run.context if copy is None else copy.context):
                yield lambda admitted: None if copy is None else self.migrated(copy, program, admitted is not None)
            return
        self.actions.latest = begun.number
        self.arrived(begun.number)
        try:
            with spans.attached(begun.individual.context):
                yield lambda admitted: self.added(begun, program, admitted is not None)
        except Exception as error:
            pass_on(error)
            # It was evaluated, but OpenEvolve cannot place it, and drops it.
            begun.individual.record(
                code=program.code, metrics=program.metrics, edit_summary=program.metadata.get("changes")
            )
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
            self.scores.broken[program.id] = error
        score, fitness = self.scores.of(metrics, error)
        told = metrics.get("combined_score")
        if admitted and not begun.is_seed and isinstance(told, (int, float)):
            self.highest = max(self.highest, told)
        # Held until the end: individuals must end in the order in which the front grows.
        with self.lock:
            on_front = not error and self.scores.extend_front(program, fitness, score)
            self._record(
                individual,
                program,
                error,
                score,
                fitness,
                on_front,
                fitness_delta=None if error else self.scores.gain(program, fitness),
                cell=self.actions.cell,
                metadata=None if admitted else {"admitted": False},
            )
            usage = program.metadata.get("token_usage") or {}
            self._close(
                begun,
                {
                    "island": self.actions.island(program.metadata.get("island", begun.island)),
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
        self._close(begun, {"island": self.actions.island(begun.island), "error": str(error)})

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
                begun.generation.pareto_front(self.scores.front)
            begun.generation.end(metadata=metadata)

    # --- copies on other islands --------------------------------------------------------------------------------------

    @quietly
    def copied(self, program: Any) -> spans.Individual:
        """A program is copied to another island; the copy is a separate individual, and may become a parent."""
        return spans.individual(
            program.id,
            parent_id=program.parent_id,
            mutation_type="migration",
            generation=self.actions.latest,
            run=self.run,
        )

    @quietly
    def migrated(self, copy: spans.Individual, program: Any, admitted: bool) -> None:
        """The copy is on that island, or was not admitted: then it has no score, only the cost of the model calls about it."""
        if self.whole is not None:
            self.whole.individuals[program.id] = self.actions.latest
        if not admitted:
            copy.record(island=self.actions.island(program.metadata.get("island")))
            copy.fail("not admitted")
            copy.end()
            return
        failed = self.scores.broken.get(program.parent_id) or failure(program.metrics)
        if failed:
            self.scores.broken[program.id] = failed
        score, fitness = self.scores.of(program.metrics, failed)
        copy.record(
            fitness=fitness,
            combined=score,
            metrics=program.metrics,
            code=program.code,
            fitness_delta=None if fitness is None or failed else 0.0,
            edit_summary=f"Copied to island {program.metadata.get('island')}",
            island=self.actions.island(program.metadata.get("island")),
            cell=self.actions.cell,
            correct=not failed,
        )
        if failed:
            copy.fail(f"evaluation failed: {failed}")
        copy.end()

    # --- the end ------------------------------------------------------------------------------------------------------

    @quietly
    def loop_ended(self, controller: Any, target: float | None) -> None:
        """No more iterations will begin; determine why, unless all are done."""
        self.stopping = True
        if controller.early_stopping_triggered:
            self.reason = "early_stopping"
        elif self.stopper.stops:
            self.reason = "over_budget"
        elif controller.shutdown_event.is_set():
            self.reason = "shutdown"
        elif target is not None and self.highest >= target:
            self.reason = "target_score"

    @quietly
    def end(self, error: BaseException | None) -> None:
        """The search has ended: normally, early for some reason, or with an exception."""
        self.stopping = True
        for begun in [*self.seeds.values(), *self.iterations.values()]:
            self.abandon(begun)
        self.loop_begins()
        if self.reason or self.abandoned:
            reason = self.reason or ("done" if error is None else "failed")
            self.actions.act("search_stopped", {"reason": reason, "abandoned": sorted(self.abandoned)})
        # After a second Ctrl-C, OpenEvolve exits with 0.
        if self.reason == "shutdown" and (error is None or isinstance(error, SystemExit)):
            self.run.fail("interrupted: OpenEvolve was told to stop by a signal")
        elif error is not None:
            self.run.fail(error)
        if self.whole is None:
            self.run.end(total_generations=len(self.completed))


_MUTATIONS: Mapping[str, str] = {"diff": "diff", "full_rewrite": "full"}
"""OpenEvolve's names for an iteration's mode, and the mutation types."""

_KINDS: Mapping[int, Mapping[str, str]] = {
    tally.API: {},
    tally.EMBED: {attributes.GEN_AI_OPERATION_NAME: "embeddings"},
    tally.NOVELTY: {attributes.LLM_ROLE: "novelty"},
}
"""The attributes by which `tally.account` recognises a kind of cost."""


def _setup_of_spawned_workers() -> Callable[[], object] | None:
    """A function that sets up a spawned worker like this process, if this process was set up by ``configure``."""
    telemetry = configured.current()
    return None if telemetry is None else telemetry.setup
