"""What GEPA's engine does in a search, as spans: the run, its iterations as generations, its candidates as individuals.

In: GEPA's own objects, as its callbacks and the wrapped methods pass them; they are live, so they are read but never kept or changed.
Out: a generation per iteration, an individual per proposal, an evaluation per batch on which a candidate is evaluated. On failure:
each method catches its own errors and logs them once; the search continues.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context

from genesis_otel import attributes, spans
from genesis_otel._emit import opened, tally
from genesis_otel._emit.member import Member
from genesis_otel._emit.run import given_id
from genesis_otel._emit.stopper import Stopper
from genesis_otel._log import first_line
from genesis_otel.instrumentation._gepa import evaluations, kept
from genesis_otel.instrumentation._gepa.calls import PLACES, Places, belonging
from genesis_otel.instrumentation._gepa.objects import Candidate, code_of, config_of, limit_of, metrics_of
from genesis_otel.instrumentation._gepa.proposals import Proposal, Reflection, reflections
from genesis_otel.instrumentation._hooks import quietly


def seed_of(run_id: str) -> str:
    """The individual id of a run's seed."""
    return f"{run_id}-0"


class Search:
    """A search running in this process: a callback for this one GEPA search."""

    def __init__(
        self,
        engine: Any,
        task: str,
        run_id: str | None,
        objectives: Mapping[str, str] | None,
        stop_over_budget: bool | None = None,
    ) -> None:
        self.folder = engine.run_dir
        self.resumed = kept.is_resumed(self.folder)
        before = kept.load(self.folder)
        self.run = spans.run(
            task,
            run_id=run_id or given_id() or before.run_id,
            config=config_of(engine),
            objectives=objectives,
            database_path=str(self.folder or ""),
        )
        self.stopper = Stopper(self.run, stop_over_budget)
        self.known = bool(before.run_id) and before.run_id == self.run.id
        """Whether this run contains the earlier part of a resumed search."""
        self.process = before.processes if self.known else 0
        """How many processes worked on this run before."""
        self.ids = list(before.candidates) if self.known else []
        """The individuals' ids, by GEPA's candidate numbers."""
        self.proposed = 0
        """Individuals of the open generation."""
        self.max_metric_calls = limit_of(engine.stop_callback, "max_metric_calls")
        self.generation: spans.Generation | None = None
        self.open: list[Proposal] = []
        self.selected: list[tuple[int, Candidate]] = []
        self.reflections: list[Reflection] = []
        """What this iteration proposes by reflection, in GEPA's order."""
        self.merging: tuple[int, ...] = ()
        self.rejecting: Any = None
        self.places = Places(owners=self.owners)
        self.begun = False
        self.completed = 0
        self.handled = sys.exc_info()[1]
        """An exception that the caller is already handling: the search is not dying of that one."""
        self._token: Any = None

    def __deepcopy__(self, memo: object) -> Search:
        return self

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        # Whoever pickles the callbacks gets one that does nothing: spans belong to this process.
        return object, ()

    @quietly
    def is_over(self) -> bool:
        """Whether no further iteration should start, because the budget is spent."""
        before = self.stopper.stops
        if self.stopper.is_due() and not before:
            self.run.action("search_stopped", {"reason": "over_budget"})
        return self.stopper.stops

    # --- where things belong --------------------------------------------------------------------------------------------

    @property
    def context(self) -> Context:
        """The context of the run, for the thread that calls ``run()``."""
        return otel.set_value(PLACES, self.places, self.run.context)

    def _within(self, context: Context, role: str) -> Context:
        return otel.set_value(PLACES, self.places, otel.set_value(attributes.LLM_ROLE, role, context))

    def _id(self, number: int) -> str:
        return self.ids[number] if number < len(self.ids) else ""

    def _new_id(self) -> str:
        # An iteration in which a process died is started again by the next process.
        name = seed_of(self.run.id) if self.completed == 0 else f"{self.run.id}-{self.completed}"
        again = f".{self.proposed}" if self.proposed else ""
        self.proposed += 1
        return f"{name}{again}-r{self.process}" if self.process else f"{name}{again}"

    def _accepted(self, number: int, proposal: Proposal) -> None:
        proposal.number = number
        self.ids[number:] = [proposal.individual.id]
        if self.folder and self.begun:
            kept.save(self.folder, kept.Kept(self.run.id, tuple(self.ids), self.process + 1))

    def _enter(self, generation: spans.Generation) -> None:
        self._token = otel.attach(otel.set_value(PLACES, self.places, generation.context))

    def leave(self) -> None:
        """Return to the run's context, in the thread that calls ``run()``."""
        if self._token is not None:
            otel.detach(self._token)
            self._token = None

    def _dying_of(self) -> BaseException | None:
        """The exception passing through GEPA's ``finally``, if that is why an iteration ends."""
        raised = sys.exc_info()[1]
        return None if raised is self.handled else raised

    # --- proposals ------------------------------------------------------------------------------------------------------

    def _begin(self, parents: tuple[int, ...], kind: str, candidate: Candidate, *, has_text: bool) -> Proposal:
        generation = self.generation or self.run.generation(0)
        individual = generation.individual(
            self._new_id(), mutation_type=kind, parents=[self._id(each) for each in parents]
        )
        begun = Proposal(individual, parents, dict(candidate), has_text=has_text)
        self.open.append(begun)
        return begun

    def _pending(self, parents: tuple[int, ...], candidate: Candidate) -> Proposal:
        """The proposal that an event concerns."""
        found = self._written(candidate, parents)
        return found or self._begin(parents, "reflection", candidate, has_text=True)

    def _written(self, candidate: Candidate, parents: tuple[int, ...] | None = None) -> Proposal | None:
        for each in self.open:
            open_still = each.number is None and each.has_text and parents in (None, each.parents)
            if open_still and each.candidate == candidate:
                return each
        return None

    @contextmanager
    def proposing(self, jobs: Sequence[Any]) -> Iterator[Callable[[Sequence[Any]], None]]:
        """A block in which GEPA has new texts written; yields a function to call with them."""
        self._reflect(jobs)
        alone = self.reflections[0].proposal.individual.context if len(self.reflections) == 1 else None
        context = alone if alone is not None else (self.generation or self.run).context
        with spans.attached(self._within(context, "mutation")):
            yield self._texts

    @quietly
    def _reflect(self, jobs: Sequence[Any]) -> None:
        self.reflections = reflections(self.open, jobs)

    @quietly
    def _texts(self, answers: Sequence[Any]) -> None:
        for each, answer in zip(self.reflections, answers, strict=False):
            each.proposal.written(answer[0] if answer else None)

    def proposal_on(self, dataset: object) -> Proposal | None:
        """The proposal that reflects on a dataset."""
        return next((each.proposal for each in self.reflections if each.dataset is dataset), None)

    @quietly
    def reflection_failed(self, proposal: Proposal | None, error: Exception) -> None:
        """Reflection yielded no text for the proposal."""
        if proposal is not None:
            proposal.error = error  # GEPA may retry

    def context_of(self, proposal: Proposal | None) -> Context | None:
        """The context for a proposal's calls."""
        return None if proposal is None else self._within(proposal.individual.context, "mutation")

    def owners(self) -> list[Context]:
        """Where each of the prompts belongs that GEPA sends at once."""
        return [
            self._within(each.proposal.individual.context, "mutation")
            for each in self.reflections
            for _ in range(each.prompts())
        ]

    # --- evaluations ----------------------------------------------------------------------------------------------------

    def evaluated(self, candidate: Candidate, size: int, evaluate: Callable[[], Any], *, full: bool) -> Any:
        """Evaluate a candidate within its individual."""
        return self.evaluated_at_once([(candidate, size)], lambda: [evaluate()], full=full)[0]

    def evaluated_at_once(
        self, items: Sequence[tuple[Candidate, int]], evaluate: Callable[[], Sequence[Any]], *, full: bool
    ) -> Sequence[Any]:
        """Evaluate candidates, each on its number of examples; the results are GEPA's ``EvaluationBatch`` or tuples."""
        with ExitStack() as stack:
            begun = [self._evaluation(candidate, size, full=full) for candidate, size in items]
            for each in begun:
                if each is not None:
                    stack.push(evaluations.ending(each[0]))
            for (candidate, _), each in zip(items, begun, strict=True):
                if each is not None:
                    self.places.of_candidates[id(candidate)] = each[1]
                    stack.callback(self.places.of_candidates.pop, id(candidate), None)
            alone = begun[0][1] if len(begun) == 1 and begun[0] is not None else None
            with belonging(alone or self._within(otel.get_current(), "evaluation")):
                results = evaluate()
            for each, result in zip(begun, results, strict=False):
                if each is not None:
                    self._result(each[0], result)
            return results

    @quietly
    def _evaluation(self, candidate: Candidate, size: int, *, full: bool) -> tuple[spans.Evaluation, Context]:
        details: dict[str, Any] = {"on": "valset" if full else "minibatch", "examples": size}
        proposal = self._written(candidate)
        if proposal is None and self.merging and not full:
            proposal = self._begin(self.merging, "merge", candidate, has_text=True)
        if proposal is None and self.resumed and not self.begun:
            details["again"] = True  # GEPA evaluates the seed before it reads its state
            context = spans.at(self.run.id, None, self._id(0))
        elif proposal is not None:
            context = proposal.individual.context
        else:
            number = next((number for number, each in self.selected if each == candidate), None)
            context = (self.generation or self.run).context
            if number is not None and self.generation is not None:
                context = spans.at(self.run.id, self.completed, self._id(number))
        with spans.attached(context):
            evaluation = spans.evaluation(details=details)
        return evaluation, self._within(evaluation.context, "evaluation")

    @quietly
    def _result(self, evaluation: spans.Evaluation, result: Any) -> None:
        evaluations.ended(evaluation, result)

    # --- the seed -------------------------------------------------------------------------------------------------------

    @quietly
    def on_optimization_start(self, event: Any) -> None:
        """Before the seed is evaluated."""
        if not self.resumed:
            self.generation = self.run.generation(0)
            self._enter(self.generation)
            self._begin((), "init", event["seed_candidate"], has_text=True)

    # --- iterations -----------------------------------------------------------------------------------------------------

    @quietly
    def on_iteration_start(self, event: Any) -> None:
        """An iteration starts; GEPA has just saved its state."""
        state = event["state"]
        self._begin_with(state)
        self._end_generation(state)
        self.selected, self.reflections, self.merging = [], [], ()
        self.completed, self.proposed = event["iteration"], 0
        self.generation = self.run.generation(event["iteration"])
        self._enter(self.generation)

    def _begin_with(self, state: Any) -> None:
        """Record whose state it is, and what it brought along."""
        if self.begun:
            return
        self.begun = True
        # What a process found after its last save is lost.
        del self.ids[len(state.program_candidates) :]
        if self.folder:
            kept.save(self.folder, kept.Kept(self.run.id, tuple(self.ids), self.process + 1))
        if not self.resumed:
            return
        for number in range(len(self.ids)):
            tally.run_tally(self.run.id).learn(self._member(state, number))
        if len(self.ids) == len(state.program_candidates):
            return
        self.generation = self.run.generation(0)
        for number in range(len(self.ids), len(state.program_candidates)):
            parents = [each for each in state.parent_program_for_candidate[number] if each is not None]
            restored = self._begin(tuple(parents), "restored", state.program_candidates[number], has_text=True)
            self._accepted(number, restored)

    def _member(self, state: Any, number: int) -> Member:
        score = state.get_program_average_val_subset(number)[0]
        return Member(self._id(number), score, score, metrics_of(state, number), None, 0.0, failed=False)

    @quietly
    def on_candidate_selected(self, event: Any) -> None:
        """A candidate was selected as a parent."""
        self.selected.append((event["candidate_idx"], dict(event["candidate"])))

    @quietly
    def on_proposal_start(self, event: Any) -> None:
        """A child of it is about to be proposed."""
        parent = dict(event["parent_candidate"])
        numbers = [number for number, candidate in self.selected if candidate == parent]
        self._begin(tuple(numbers[:1]), "reflection", parent, has_text=False)

    @quietly
    def on_evaluation_start(self, event: Any) -> None:
        """A merge is evaluated, before GEPA reports the merge."""
        parents = tuple(event["parent_ids"] or ())
        self.merging = parents if event["candidate_idx"] is None and len(parents) > 1 else ()

    @quietly
    def on_merge_attempted(self, event: Any) -> None:
        """Two candidates have been merged, and evaluated on a minibatch."""
        parents = tuple(event["parent_ids"])
        if self._written(event["merged_candidate"], parents) is None:
            self._begin(parents, "merge", event["merged_candidate"], has_text=True)

    @quietly
    def on_valset_evaluated(self, event: Any) -> None:
        """A candidate has been accepted, or is the seed."""
        if self.resumed and not self.begun:
            return
        found = self._pending(tuple(event["parent_ids"]), event["candidate"])
        self._accepted(event["candidate_idx"], found)
        details = {"individual_id": found.individual.id, "candidate": found.number, "score": event["average_score"]}
        found.individual.action("candidate_accepted", details)

    @quietly
    def on_candidate_rejected(self, event: Any) -> None:
        """A proposal was not good enough, or was not chosen."""
        proposal = self.rejecting
        if proposal is None:
            found = next(each for each in self.open if each.number is None)
            self._reject(found, event["reason"], {"minibatch_score": event["new_score"]})
            return
        found = self._pending(tuple(proposal.parent_program_ids), proposal.candidate)
        # Lists, because an example can be in a minibatch twice.
        metrics = {
            "minibatch_score": event["new_score"],
            "minibatch": [str(each) for each in proposal.subsample_indices or ()],
            "minibatch_scores": list(proposal.subsample_scores_after or ()),
        }
        self._reject(found, event["reason"], metrics)

    @quietly
    def on_merge_rejected(self, event: Any) -> None:
        """A merge was not good enough, or was never evaluated."""
        parents = tuple(event["parent_ids"])
        waiting = [each for each in self.open if each.number is None and each.parents == parents]
        if waiting:
            self._reject(waiting[0], event["reason"], {})

    def _reject(self, found: Proposal, reason: str, metrics: dict[str, Any]) -> None:
        self.open.remove(found)
        found.individual.action("candidate_rejected", {"individual_id": found.individual.id, "reason": reason})
        found.individual.record(metrics=metrics, code=code_of(found.candidate))
        found.individual.end()

    @quietly
    def on_error(self, event: Any) -> None:
        """An iteration raised."""
        error = event["exception"]
        for each in self.open:
            if each.number is None:
                each.fail(error)
        details = {"generation": event["iteration"], "error": first_line(error)}
        (self.generation or self.run).action("iteration_failed", details)

    @quietly
    def on_iteration_end(self, event: Any) -> None:
        """An iteration has ended, in whatever way."""
        self._end_generation(event["state"], self._dying_of())

    @quietly
    def on_optimization_end(self, event: Any) -> None:
        """The search stopped by itself."""
        state = event["final_state"]
        self._begin_with(state)
        self._end_generation(state)
        self.completed = max(self.completed, state.i + 2)

    # --- what GEPA's state says -----------------------------------------------------------------------------------------

    def _end_generation(self, state: Any, error: BaseException | None = None) -> None:
        self.leave()
        generation = self.generation
        if generation is None:
            return
        self.generation = None
        front = sorted(set().union(*state.get_pareto_front_mapping().values()))
        for each in self.open:
            if each.number is None:
                each.fail(error or "no candidate came of it")
            else:
                score = state.get_program_average_val_subset(each.number)[0]
                each.individual.record(
                    fitness=score,
                    combined=score,
                    metrics=metrics_of(state, each.number),
                    code=code_of(each.candidate),
                    is_pareto=each.number in front,
                )
            each.individual.end()
        self.open = []
        if error is not None and self.folder:
            # The state is that of the iteration's start: whoever resumes from there repeats this iteration.
            opened.closed(generation)
            return
        generation.pareto_front(self._member(state, number) for number in front)
        left = None if self.max_metric_calls is None else max(0, self.max_metric_calls - state.total_num_evals)
        generation.end(metadata={"metric_calls": state.total_num_evals, "metric_calls_left": left})
        self.completed += 1

    @quietly
    def finish(self, failure: BaseException | None) -> None:
        """The search has ended, by itself or with an exception: leave nothing open."""
        self.leave()
        for each in self.open:
            each.fail(failure or "the search ended")
            each.individual.end()
        if self.generation is not None:
            self.generation.end()
            self.completed += 1
        if failure is not None:
            self.run.fail(failure)
        self.run.end(total_generations=self.completed or None)
