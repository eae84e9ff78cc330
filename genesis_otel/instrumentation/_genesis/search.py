"""What Genesis' process knows of a search, as spans: the run, its generations, its individuals and their jobs.

In: Genesis' own objects, as its methods are called. Out: a generation and an individual per slot of Genesis' generations; the individual
ends when Genesis logs it, the generation when Genesis counts it. On failure: each method catches its own errors and logs them once;
the search continues. What was started and comes to nothing because the search ends leaves neither an individual nor a generation:
Genesis has none, and repeats that generation when it resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genesis_otel import spans
from genesis_otel._emit import opened, tally
from genesis_otel._emit.context import place_of
from genesis_otel._emit.handle import is_failure
from genesis_otel._emit.member import Member, front_of
from genesis_otel._emit.stopper import Stopper
from genesis_otel._emit.values import number
from genesis_otel.instrumentation._hooks import quietly

KEPT = 64 * 1024
"""How many characters are kept at the end of a job's output."""

VALIDATION = "Validation failed"
"""The start of Genesis' reason why a program ran but is incorrect; any other error kept it from its result."""

IN_LLM_LOGS = ("llm_result", "thought")
"""Of Genesis' data on a patch, what its calls already contain: prompt, answer and history, each time in full."""


@dataclass(frozen=True)
class Options:
    """The arguments of `instrument`."""

    task: str | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    stop_over_budget: bool | None = None


class Enough(int):
    """The number of completed generations, as an object that always counts as enough when Genesis compares it with the requested
    number: Genesis has no other way to be told to stop."""

    def __ge__(self, other: object) -> bool:
        """Always true."""
        return True

    def __lt__(self, other: object) -> bool:
        """Always false."""
        return False


@dataclass
class Proposal:
    """A generation's program, from the first question to a model to the evaluated program."""

    number: int
    generation: spans.Generation
    individual: spans.Individual
    submitted: int | None = None
    """When its job was started, in nanoseconds."""
    job: spans.Evaluation | None = None
    finished: int | None = None
    """When the job was seen to have ended."""
    results: Mapping[str, Any] | None = None
    program: Any = None


class Search:
    """A search running in this process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.run: spans.Run | None = None
        self.stopper: Stopper | None = None
        self.open: dict[int, Proposal] = {}
        """By generation: what is being proposed or evaluated."""
        self.complete: dict[int, Proposal] = {}
        """By generation: what has ended but has not been counted by Genesis."""
        self.abandoned: list[int] = []
        self.front: list[Member] = []

    @quietly
    def begun(self, run: spans.Run) -> None:
        """Genesis has logged the run, which may be a resumed one."""
        self.run = run
        self.stopper = Stopper(run, self.options.stop_over_budget)
        self.front = list(tally.run_tally(run.id).front)

    @property
    def is_stopped(self) -> bool:
        """Whether the search ends because its budget is spent."""
        return self.stopper is not None and self.stopper.stops

    @quietly
    def is_over(self, runner: Any) -> bool:
        """Whether no further program should be proposed, because the budget is spent; Genesis ends once none is under way."""
        if self.stopper is None or not self.stopper.is_due():
            return False
        if not runner.running_jobs:
            runner.completed_generations = Enough(runner.completed_generations)
        return True

    @quietly
    def finish(self, failure: BaseException | None) -> None:
        """The search has ended, by itself or with an exception."""
        why = "" if failure is None else f"{type(failure).__name__}: {failure}".removesuffix(": ")
        for each in list(self.open.values()):
            self.abandon(each, why or "the search ended")
        for uncounted in list(self.complete):
            self.counted(uncounted, {})
        if self.run is None:
            return
        if self.abandoned or self.is_stopped:
            reason = why or ("over_budget" if self.is_stopped else "")
            self.run.action("search_stopped", {"reason": reason, "abandoned": sorted(self.abandoned)})
        if failure is not None and is_failure(failure):
            self.run.fail(failure)
        self.run.end()

    # --- a generation's program ---------------------------------------------------------------------------------------

    @quietly
    def begin(self, number: int, mutation_type: str) -> Proposal | None:
        """Genesis starts a generation; its program's id is chosen here, because its calls carry it."""
        if self.run is None:
            return None
        generation = self.run.generation(number)
        begun = Proposal(number, generation, generation.individual(mutation_type=mutation_type))
        self.open[number] = begun
        return begun

    def here(self) -> Proposal | None:
        """The program that this thread is working on."""
        place = place_of()
        proposal = self.open.get(place.generation) if isinstance(place.generation, int) else None
        return proposal if proposal is not None and proposal.individual.id == place.individual_id else None

    @quietly
    def queued(self, proposal: Proposal, details: Mapping[str, Any], patch: object) -> None:
        """Its job has been started; ``patch`` is what Genesis knows of the proposal."""
        known = patch if isinstance(patch, Mapping) else {}
        proposal.individual.parents = details.get("parent_id") or ()
        proposal.individual.mutation_type = known.get("patch_type") or "unknown"
        proposal.job = proposal.individual.evaluation(
            details.get("job_id"),
            details=details,
            metadata={name: value for name, value in known.items() if name not in IN_LLM_LOGS},
            start_time=proposal.submitted,
        )

    @quietly
    def stored(self, proposal: Proposal, told: Mapping[str, Any]) -> None:
        """Genesis has its program, evaluated, in its database, and logs it."""
        program, results = proposal.program, proposal.results or {}
        metrics, verdict = results.get("metrics") or {}, results.get("correct") or {}
        error = _error(metrics, verdict, program)
        score = number(told.get("combined_score"), "combined_score") if "combined_score" in metrics else None
        of_program = {"public": program.public_metrics, "private": program.private_metrics, "correct": program.correct}
        if verdict.get("error"):
            of_program["error"] = verdict["error"]
        if program.text_feedback:
            of_program["text_feedback"] = program.text_feedback
        if proposal.job is not None:
            proposal.job.result(
                correct=program.correct,
                combined_score=None if error else score,
                details={
                    **{name: told.get(name) for name in ("api_cost", "embed_cost", "novelty_cost")},
                    **{each: str(results.get(f"{each}_log") or "")[-KEPT:] for each in ("stdout", "stderr")},
                    **({"error": verdict["error"]} if verdict.get("error") else {}),
                },
            )
            if error:
                proposal.job.fail(error)
            proposal.job.end(proposal.finished)
        individual = proposal.individual
        individual.parents, individual.mutation_type = program.parent_id or (), told.get("mutation_type") or ""
        if error:
            individual.fail(error)
        individual.record(
            fitness=score,
            combined=score,
            metrics=of_program,
            code=program.code,
            edit_summary=str((program.metadata or {}).get("patch_description") or "")[:500],
            is_pareto=self._on_front(program, score, of_program, error),
            api_cost=told.get("api_cost"),
            embed_cost=told.get("embed_cost"),
            novelty_cost=told.get("novelty_cost"),
            code_hash=told.get("code_hash"),
            code_size=told.get("code_size"),
            island=program.island_idx,
            correct=program.correct,
        )
        individual.end()
        self.open.pop(proposal.number, None)
        self.complete[proposal.number] = proposal

    @quietly
    def abandon(self, proposal: Proposal, why: str) -> None:
        """The program comes to nothing. Its calls are already recorded."""
        self.open.pop(proposal.number, None)
        self.abandoned.append(proposal.number)
        if proposal.job is not None:
            proposal.job.fail(f"abandoned: {why}")
            proposal.job.end()
        opened.closed(proposal.individual)
        opened.closed(proposal.generation)

    # --- generations --------------------------------------------------------------------------------------------------

    @quietly
    def counted(self, number: int, told: Mapping[str, Any]) -> None:
        """Genesis has counted a generation and logged its front, or will not get to it."""
        proposal = self.complete.pop(number)
        if self.options.objectives:
            front = [each.as_front_member() for each in self.front]
        else:
            front = told.get("front") or [_front_member(proposal.program)] * proposal.program.correct
        proposal.generation.pareto_front(front)
        # Best and mean are computed: Genesis' own include the 0 of failed programs.
        proposal.generation.end(total_cost=told.get("total_cost"), metadata=told.get("metadata"))

    def ended(self, number: int | str | None) -> spans.Generation | None:
        """A generation whose individual has ended, as long as it is not counted."""
        found = self.complete.get(number) if isinstance(number, int) else None
        return found.generation if found is not None else None

    def was_counted(self, number: object) -> bool:
        """Whether an earlier process of the run, or this one, has recorded a generation to its end."""
        return self.run is not None and number not in self.open and number in tally.run_tally(self.run.id).generations

    def _on_front(self, program: Any, score: float | None, metrics: Mapping[str, Any], error: str) -> bool:
        """Genesis' front of a generation is whatever is correct in it; with objectives it is that of the run so far."""
        if not self.options.objectives:
            return bool(program.correct)
        values = {**metrics, **(program.private_metrics or {}), **(program.public_metrics or {})}
        member = Member(program.id, score, score, values, len(program.code), 0.0, bool(error), not program.correct)
        if not member.counts:
            return False
        self.front = front_of(self.options.objectives, [*self.front, member])
        return member in self.front


def _front_member(program: Any) -> dict[str, Any]:
    return {
        "individual_id": program.id,
        "fitness_score": program.combined_score,
        "combined_score": program.combined_score,
        "metrics": {"public": program.public_metrics, "private": program.private_metrics},
    }


def _error(metrics: Mapping[str, Any], verdict: Mapping[str, Any], program: Any) -> str:
    """What kept a program from its result; empty if it has one, even an incorrect one."""
    said = str(verdict.get("error") or "")
    if not metrics:
        return said or "the evaluation left no metrics"
    return said if not program.correct and not program.combined_score and not said.startswith(VALIDATION) else ""
