"""Records GEPA's searches: `instrument()` before the search, and nothing else changes.

In: gepa 0.1.4, used as ``gepa.optimize()``, ``optimize_anything()`` or ``dspy.GEPA``: all come through
``GEPAEngine.run``, which is wrapped and given one more callback. Out: a run per search; an iteration is a generation,
the seed's evaluation is generation 0. On failure: what a callback of ours raises is logged once and goes no further.

- **An individual** is a proposed candidate, rejected ones too. Its code is the text of its component, or, with several
  components, a JSON object of them. Its score is GEPA's average over the validation set; a rejected candidate was not
  evaluated there and has none, only ``minibatch_score`` among its metrics.
- **The front** is GEPA's own mapping when the iteration ends.
- **A resumed search** is a run of its own. Candidates that it finds in its state are individuals of generation 0.
- **LLM calls** come from the instrumentation of the client in use. They carry the individual in the thread that calls
  ``run()``, and the generation where an iteration makes several proposals at once. Pools of threads drop the context,
  unless OpenTelemetry's threading instrumentation is active.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from opentelemetry import context as otel

from genesis_otel import spans
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once

__all__ = ["instrument", "is_instrumented", "uninstrument"]

NEWEST_RUN = (0, 1, 4)
"""The newest version that the tests have run with."""

Original = Callable[..., Any]

_patched: list[tuple[Any, str, Original]] = []
_task = "gepa"
_run_id: str | None = None


def instrument(*, task: str = "gepa", run_id: str | None = None) -> None:
    """Record every search of this process from now on; called again, it takes over what it is told.

    :param task: what is optimised.
    :param run_id: the next run's id; by default a new one each.
    :raises ImportError: gepa is not installed.
    """
    global _task, _run_id
    from gepa.core.engine import GEPAEngine

    _task, _run_id = task, run_id
    if is_instrumented():
        return
    installed = version("gepa")
    if tuple(int(part) for part in installed.split(".")[:3] if part.isdigit()) > NEWEST_RUN:
        warn_once("gepa version", "gepa %s is newer than the newest that was tested, 0.1.4", installed)
    for name, around in (("run", _run), ("_report_rejected_proposal", _report_rejected)):
        original = getattr(GEPAEngine, name, None)
        if original is None:
            warn_once(f"gepa {name}", "This version of gepa has no %s: what happens there is not recorded", name)
            continue
        _patched.append((GEPAEngine, name, original))
        setattr(GEPAEngine, name, _wrapped(around, original))


def uninstrument() -> None:
    """Undo `instrument`; a search that runs is recorded to its end."""
    while _patched:
        owner, name, original = _patched.pop()
        setattr(owner, name, original)


def is_instrumented() -> bool:
    """Whether this process records its searches."""
    return bool(_patched)


def _wrapped(around: Callable[..., Any], original: Original) -> Original:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    return call


def _run(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    global _run_id
    owners = [each for each in (self, self.reflective_proposer, self.merge_proposer) if each is not None]
    try:
        search = _Search(self, _task, _run_id)
        before = [(owner, owner.callbacks) for owner in owners]
    except Exception as error:
        pass_on(error)
        warn_once("gepa run", "A search is not recorded", exc_info=True)
        return original(self, *args, **kwargs)
    _run_id = None
    failure: BaseException | None = None
    # New lists: the caller's may be shared by several searches.
    for owner, callbacks in before:
        owner.callbacks = [*(callbacks or ()), search]
    try:
        with spans.attached(search.run.context):
            try:
                return original(self, *args, **kwargs)
            finally:
                search.leave()
    except BaseException as raised:
        failure = raised
        raise
    finally:
        for owner, callbacks in before:
            owner.callbacks = callbacks
        search.finish(failure)


def _report_rejected(original: Original, self: Any, proposal: Any, *args: Any, **kwargs: Any) -> Any:
    search = next((each for each in self.callbacks or () if isinstance(each, _Search)), None)
    if search is not None:
        search.rejecting = proposal
    try:
        return original(self, proposal, *args, **kwargs)
    finally:
        if search is not None:
            search.rejecting = None


def _quietly(method: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(method)
    def call(*args: Any) -> None:
        try:
            method(*args)
        except Exception as error:
            pass_on(error)
            warn_once(f"gepa {method.__name__}", "%s of a search is not recorded", method.__name__, exc_info=True)

    return call


def _code(candidate: Mapping[str, str]) -> str:
    return next(iter(candidate.values())) if len(candidate) == 1 else json.dumps(dict(candidate), indent=2)


@dataclass
class _Proposal:
    """A candidate that has been begun and not ended; ``number`` is GEPA's, once it is accepted."""

    individual: spans.Individual
    parents: tuple[int, ...]
    number: int | None = None
    candidate: dict[str, str] = field(default_factory=dict)


class _Search:
    """A search that runs: a callback of GEPA. Its events hold live objects, which are read and never kept or changed."""

    def __init__(self, engine: Any, task: str, run_id: str | None) -> None:
        self.run = spans.run(
            task,
            run_id=run_id,
            config={
                "seed": engine.seed,
                "frontier_type": engine.frontier_type,
                "perfect_score": engine.perfect_score,
                "components": sorted(engine.seed_candidate),
                "merge": engine.merge_proposer is not None,
                "adapter": type(engine.adapter).__name__,
                "max_metric_calls": getattr(engine.stop_callback, "max_metric_calls", None),
            },
            database_path=str(engine.run_dir or ""),
        )
        self.generation: spans.Generation | None = None
        self.open: list[_Proposal] = []
        self.selected: list[tuple[int, dict[str, str]]] = []
        self.rejecting: Any = None
        self.begun = False
        self._tokens: list[Any] = []

    def __deepcopy__(self, memo: object) -> _Search:
        return self

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        # Whoever pickles the callbacks gets one that does nothing: spans belong to this process.
        return object, ()

    def _id(self, number: int) -> str:
        return f"{self.run.id}-{number}"

    def _enter(self, handle: spans.Generation | spans.Individual) -> None:
        self._tokens.append(otel.attach(handle.context))

    def leave(self) -> None:
        """Go back to the run's context, in the thread that calls ``run()``."""
        while self._tokens:
            otel.detach(self._tokens.pop())

    def _begin(self, parents: tuple[int, ...], kind: str, candidate: Mapping[str, str]) -> _Proposal:
        generation = self.generation or self.run.generation(0)
        individual = generation.individual(mutation_type=kind, parents=[self._id(each) for each in parents])
        begun = _Proposal(individual, parents, candidate=dict(candidate))
        self.open.append(begun)
        return begun

    def _pending(self, parents: tuple[int, ...], candidate: Mapping[str, str]) -> _Proposal:
        """The proposal that an event is about; the candidate decides between several of the same parents."""
        waiting = [each for each in self.open if each.number is None and each.parents == parents]
        same = [each for each in waiting if each.candidate == candidate]
        if found := next(iter(same or waiting), None):
            return found
        return self._begin(parents, "reflection", candidate)

    # --- the seed -----------------------------------------------------------------------------------------------------

    @_quietly
    def on_optimization_start(self, event: Any) -> None:
        self.generation = self.run.generation(0)
        self._enter(self._begin((), "init", event["seed_candidate"]).individual)

    # --- iterations ---------------------------------------------------------------------------------------------------

    @_quietly
    def on_iteration_start(self, event: Any) -> None:
        self._end_generation(event["state"])
        self.selected = []
        self.generation = self.run.generation(event["iteration"])
        self._enter(self.generation)

    @_quietly
    def on_candidate_selected(self, event: Any) -> None:
        self.selected.append((event["candidate_idx"], dict(event["candidate"])))

    @_quietly
    def on_proposal_start(self, event: Any) -> None:
        parent = dict(event["parent_candidate"])
        numbers = [number for number, candidate in self.selected if candidate == parent]
        begun = self._begin(tuple(numbers[:1]), "reflection", parent)
        # With several at once no call can be told to be one's: then they are the generation's.
        several = len(self.selected) > 1 and self.generation is not None
        self._enter(self.generation if several and self.generation else begun.individual)

    @_quietly
    def on_proposal_end(self, event: Any) -> None:
        waiting = [each for each in self.open if each.number is None]
        if len(waiting) == 1:
            waiting[0].candidate.update(event["new_instructions"])

    @_quietly
    def on_merge_attempted(self, event: Any) -> None:
        self._enter(self._begin(tuple(event["parent_ids"]), "merge", event["merged_candidate"]).individual)

    @_quietly
    def on_valset_evaluated(self, event: Any) -> None:
        found = self._pending(tuple(event["parent_ids"]), event["candidate"])
        found.number, found.candidate = event["candidate_idx"], dict(event["candidate"])
        found.individual.id = self._id(found.number)

    @_quietly
    def on_candidate_rejected(self, event: Any) -> None:
        proposal = self.rejecting
        if proposal is not None:
            found = self._pending(tuple(proposal.parent_program_ids), proposal.candidate)
            found.candidate = dict(proposal.candidate)
        else:
            found = next(each for each in self.open if each.number is None)
        self._reject(found, event["reason"], {"minibatch_score": event["new_score"]})

    @_quietly
    def on_merge_rejected(self, event: Any) -> None:
        parents = tuple(event["parent_ids"])
        waiting = [each for each in self.open if each.number is None and each.parents == parents]
        if waiting:  # GEPA rejects merges that it never attempted, too
            self._reject(waiting[0], event["reason"], {})

    def _reject(self, found: _Proposal, reason: str, metrics: dict[str, float]) -> None:
        self.open.remove(found)
        found.individual.action("candidate_rejected", {"individual_id": found.individual.id, "reason": reason})
        found.individual.record(metrics=metrics, code=_code(found.candidate))
        found.individual.end()

    @_quietly
    def on_error(self, event: Any) -> None:
        for each in self.open:
            if each.number is None:
                each.individual.fail(event["exception"])
        self.run.action("iteration_failed", {"generation": event["iteration"], "error": str(event["exception"])})

    @_quietly
    def on_iteration_end(self, event: Any) -> None:
        self._end_generation(event["state"])

    @_quietly
    def on_optimization_end(self, event: Any) -> None:
        self._end_generation(event["final_state"])

    # --- what GEPA's state says ---------------------------------------------------------------------------------------

    def _end_generation(self, state: Any) -> None:
        self.leave()
        if self.generation is None:
            return
        if not self.begun:
            self.begun = True
            known = {each.number for each in self.open}
            for number, candidate in enumerate(state.program_candidates):
                if number not in known:
                    parents = [each for each in state.parent_program_for_candidate[number] if each is not None]
                    restored = self._begin(tuple(parents), "restored", candidate)
                    restored.number, restored.individual.id = number, self._id(number)
        front = sorted(set().union(*state.get_pareto_front_mapping().values()))
        for each in self.open:
            if each.number is None:
                each.individual.fail("no candidate came of it")
            else:
                score = state.get_program_average_val_subset(each.number)[0]
                each.individual.record(
                    fitness=score,
                    combined=score,
                    metrics=_metrics(state, each.number),
                    code=_code(each.candidate),
                    is_pareto=each.number in front,
                )
            each.individual.end()
        self.open = []
        self.generation.pareto_front(
            {
                "individual_id": self._id(number),
                "fitness_score": state.get_program_average_val_subset(number)[0],
                "combined_score": state.get_program_average_val_subset(number)[0],
                "metrics": _metrics(state, number),
            }
            for number in front
        )
        self.generation.end(metadata={"metric_calls": state.total_num_evals})
        self.generation = None

    @_quietly
    def finish(self, failure: BaseException | None) -> None:
        """The search has ended, by itself or with an exception: nothing stays open."""
        for each in self.open:
            each.individual.fail(failure or "the search ended")
            each.individual.end()
        if self.generation is not None:
            self.generation.end()
        if failure is not None:
            self.run.fail(failure)
        self.run.end()


def _metrics(state: Any, number: int) -> dict[str, Any]:
    """The means of the objectives, and the score of each validation example."""
    objectives = dict(state.prog_candidate_objective_scores[number] or {})
    return {
        **objectives,
        "scores": {str(key): score for key, score in state.prog_candidate_val_subscores[number].items()},
    }
