"""Records GEPA's searches: call `instrument()` before the search; nothing else changes.

In: gepa 0.1.4, used as ``gepa.optimize()``, ``optimize_anything()`` or ``dspy.GEPA``: all go through ``GEPAEngine.run``, which is
wrapped and given one more callback. Out: a run per search; an iteration is a generation, and the seed's evaluation is generation 0.
On failure: an error in one of our hooks is logged once and goes no further; a method that this version of GEPA lacks is skipped with
a warning.

- **An individual** is a proposed candidate, rejected ones included. Its code is the text of its component, or, with several
  components, a JSON object of them. Its score is GEPA's average over the validation set; a rejected candidate was not evaluated
  there and has no score, only ``minibatch_score`` and ``minibatch_scores`` among its metrics.
- **An evaluation** is a batch of examples on which a candidate is evaluated, with the score of each. It has failed if every example
  raised; GEPA's score of such an example is a score like any other.
- **LLM calls** through GEPA's own client (LiteLLM) and through DSPy are recorded, also from their thread pools: reflection calls
  with the proposal (role ``mutation``), calls within an evaluation with the candidate (role ``evaluation``). Any other client needs
  its own instrumentation, or ``llm_call``.
- **The front** is GEPA's own mapping at the end of the iteration.
- **A resumed search** continues its run, whose id is kept beside the state. If an earlier part was not recorded, the candidates of
  the state become individuals of generation 0, ``restored``.
- **Over budget**, if a search is to stop then, GEPA is asked to stop before the next iteration.
- **A search that dies** has failed, an interrupt included. If it can be resumed, the iteration in which it died leaves no
  generation behind: GEPA starts that iteration again.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from genesis_otel import spans
from genesis_otel._emit import pareto
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.run import new_id
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._gepa import calls
from genesis_otel.instrumentation._gepa.search import Search, seed_of
from genesis_otel.instrumentation._hooks import Original, Patched, is_put, put, say_if_newer, undo, wrap

__all__ = ["instrument", "is_instrumented", "uninstrument"]

NEWEST_RUN = (0, 1, 4)
"""The newest version with which the tests have run."""

_patched: Patched = []
_task = "gepa"
_run_id: str | None = None
_objectives: Mapping[str, str] | None = None
_stop_over_budget: bool | None = None


def instrument(
    *,
    task: str | None = None,
    run_id: str | None = None,
    objectives: Mapping[str, str] | None = None,
    stop_over_budget: bool | None = None,
) -> None:
    """Record every search of this process from now on; a repeated call only changes the arguments it is given.

    :param task: what is optimised; ``gepa`` by default.
    :param run_id: the next run's id; by default that of the run whose state the search resumes, or a new one.
    :param objectives: metrics, and whether more (``max``) or less (``min``) of each is better, for readers; GEPA maximises, and the
        front is its own.
    :param stop_over_budget: whether a search ends at its next step once it has cost more than its budget; by default the value of
        ``configure()`` or ``GENESIS_OTEL_STOP_OVER_BUDGET``, or false.
    :raises ValueError: an objective's direction is neither ``max`` nor ``min``.
    :raises ImportError: gepa is not installed.
    """
    global _task, _run_id, _objectives, _stop_over_budget
    pareto.directions(objectives or {})
    from gepa.core.engine import GEPAEngine
    from gepa.lm import LM
    from gepa.proposer.reflective_mutation.reflection_lm import StatelessReflectionLM
    from gepa.proposer.reflective_mutation.reflective_mutation import ReflectiveMutationProposer

    _task, _run_id, _objectives = task or _task, run_id or _run_id, objectives or _objectives
    _stop_over_budget = _stop_over_budget if stop_over_budget is None else stop_over_budget
    if is_instrumented():
        return
    say_if_newer("gepa", NEWEST_RUN)
    # The package has a function of the same name.
    anything = importlib.import_module("gepa.optimize_anything")
    adapter = importlib.import_module("gepa.adapters.optimize_anything_adapter.optimize_anything_adapter")
    for owner, name, around in (
        (GEPAEngine, "run", _run),
        (GEPAEngine, "_should_stop", _should_stop),
        (GEPAEngine, "_report_rejected_proposal", _report_rejected),
        (GEPAEngine, "_batch_evaluate", functools.partial(_batch_evaluate, full=True)),
        (ReflectiveMutationProposer, "_batch_evaluate", functools.partial(_batch_evaluate, full=False)),
        (ReflectiveMutationProposer, "_propose_texts_batch_safe", _propose_all),
        (ReflectiveMutationProposer, "propose_new_texts", _propose),
        (StatelessReflectionLM, "_batch_complete", _complete_all),
        (LM, "__call__", _ask),
        (LM, "batch_complete", _ask),
        (anything, "_generate_seed_candidate", _generate_seed),
        (
            getattr(adapter, "OptimizeAnythingAdapter", None),
            "_call_evaluator",
            functools.partial(calls.with_candidate, 1),
        ),
    ):
        wrap(_patched, "gepa", owner, name, around)


def uninstrument() -> None:
    """Undo `instrument`; a running search is recorded to its end."""
    global _task, _run_id, _objectives, _stop_over_budget
    undo(_patched)
    _task, _run_id, _objectives, _stop_over_budget = "gepa", None, None, None


def is_instrumented() -> bool:
    """Whether this process records its searches."""
    return bool(_patched)


# --- what GEPA loads on demand ----------------------------------------------------------------------------------------


def _wrap_loaded() -> None:
    """Wrap those modules, already loaded, that call models, and the thread pools in which they do."""
    if not is_instrumented():
        return
    if "dspy" in sys.modules:
        with contextlib.suppress(ImportError):  # versions before 3.4 call LiteLLM
            importlib.import_module("dspy.clients.execution")
    dspy = getattr(sys.modules.get("dspy.teleprompt.gepa.gepa_utils"), "DspyAdapter", None)
    for owner, name, around in (
        (sys.modules.get("litellm"), "completion", calls.completion),
        (sys.modules.get("litellm"), "acompletion", calls.acompletion),
        (sys.modules.get("dspy.clients.execution"), "_attempt", calls.attempt),
        (sys.modules.get("dspy.clients.execution"), "_aattempt", calls.aattempt),
        (dspy, "evaluate", functools.partial(calls.with_candidate, 2)),
    ):
        # Whatever is not loaded, or not in this version, is not needed: something else makes the calls.
        if hasattr(owner, name) and not is_put(_patched, owner, name):
            wrap(_patched, "gepa", owner, name, around)
    for module in (
        "litellm.batch_completion.main",
        "dspy.utils.parallelizer",
        "gepa.adapters.optimize_anything_adapter.optimize_anything_adapter",
        "gepa.adapters.langchain_adapter.langchain_adapter",
    ):
        owner = sys.modules.get(module)
        if hasattr(owner, "ThreadPoolExecutor") and not is_put(_patched, owner, "ThreadPoolExecutor"):
            put(_patched, "gepa", owner, "ThreadPoolExecutor", lambda _: calls.CarryingPool)


def _ask(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        for module in ("litellm", "litellm.batch_completion.main"):
            importlib.import_module(module)
        _wrap_loaded()
    except ImportError:
        pass  # the call itself raises what is missing
    except Exception as error:
        pass_on(error)
        warn_once("gepa litellm", "Calls of GEPA's own client are not recorded", exc_info=True)
    return original(self, *args, **kwargs)


# --- the search -------------------------------------------------------------------------------------------------------


def _generate_seed(original: Original, *args: Any, **kwargs: Any) -> Any:
    global _run_id
    known = _run_id or new_id()
    with spans.attached(calls.searching(spans.at(known, 0, seed_of(known)))):
        try:
            seed = original(*args, **kwargs)
        except BaseException as error:
            with spans.run(_task, run_id=known) as run:
                run.fail(error)
            raise
    _run_id = known
    return seed


def _run(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    global _run_id
    owners = [each for each in (self, self.reflective_proposer, self.merge_proposer) if each is not None]
    try:
        _wrap_loaded()
        search = Search(self, _task, _run_id, _objectives, _stop_over_budget)
        before = [(owner, owner.callbacks) for owner in owners]
        evaluators = [(owner, owner.evaluator) for owner in owners if hasattr(owner, "evaluator")]
    except Exception as error:
        pass_on(error)
        warn_once("gepa run", "A search is not recorded", exc_info=True)
        return original(self, *args, **kwargs)
    _run_id = None
    failure: BaseException | None = None
    # New lists, since several searches may share the caller's.
    for owner, callbacks in before:
        owner.callbacks = [*(callbacks or ()), search]
    for owner, evaluate in evaluators:
        owner.evaluator = _evaluating(search, evaluate, full=owner is self)
    try:
        with spans.attached(search.context):
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
        for owner, evaluate in evaluators:
            owner.evaluator = evaluate
        search.finish(failure)


def _search_of(owner: Any) -> Search | None:
    """The search of an engine or a proposer."""
    return next((each for each in getattr(owner, "callbacks", None) or () if isinstance(each, Search)), None)


def _should_stop(original: Original, self: Any, state: Any) -> Any:
    search = _search_of(self)
    if search is not None and search.is_over():
        self.request_stop()
    return original(self, state)


def _report_rejected(original: Original, self: Any, proposal: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    if search is not None:
        search.rejecting = proposal
    try:
        return original(self, proposal, *args, **kwargs)
    finally:
        if search is not None:
            search.rejecting = None


# --- evaluations ------------------------------------------------------------------------------------------------------


def _evaluating(search: Search, evaluate: Original, *, full: bool) -> Original:
    """The function with which the engine evaluates its seed, or the merge proposer a merge."""

    @functools.wraps(evaluate)
    def evaluator(batch: Sequence[Any], candidate: dict[str, str]) -> Any:
        return search.evaluated(candidate, len(batch), lambda: evaluate(batch, candidate), full=full)

    return evaluator


def _batch_evaluate(original: Original, self: Any, items: Sequence[Any], *, full: bool) -> Any:
    search = _search_of(self)
    if search is None:
        return original(self, items)
    if getattr(self.adapter, "batch_evaluate", None) is None:
        # GEPA then evaluates one after the other itself: record each in its place.
        return [
            search.evaluated(item[0], len(item[1]), functools.partial(_one, original, self, item), full=full)
            for item in items
        ]
    sizes = [(candidate, len(batch)) for candidate, batch in items]
    return search.evaluated_at_once(sizes, lambda: original(self, items), full=full)


def _one(original: Original, self: Any, item: Any) -> Any:
    return original(self, [item])[0]


# --- proposals --------------------------------------------------------------------------------------------------------


def _propose_all(original: Original, self: Any, jobs: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    if search is None:
        return original(self, jobs, *args, **kwargs)
    with search.proposing(jobs) as done:
        answers = original(self, jobs, *args, **kwargs)
        done(answers)
    return answers


def _propose(original: Original, self: Any, candidate: Any, dataset: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    if search is None:
        return original(self, candidate, dataset, *args, **kwargs)
    proposal = search.proposal_on(dataset)
    with calls.belonging(search.context_of(proposal)):
        try:
            return original(self, candidate, dataset, *args, **kwargs)
        except Exception as error:
            # GEPA continues without it, and only logs the error.
            search.reflection_failed(proposal, error)
            raise


def _complete_all(original: Original, self: Any, prompts: Sequence[Any], messages: Sequence[Any]) -> Any:
    here = calls.places()
    owners = [] if here is None else here.owners()
    if here is None or len(owners) != len(prompts):
        return original(self, prompts, messages)
    if len(prompts) < 2 or getattr(self.lm, "batch_complete", None) is not None:
        with here.asking(messages, owners):
            return original(self, prompts, messages)
    # GEPA then asks one after the other itself: record each in its place.
    answers = []
    for prompt, message, owner in zip(prompts, messages, owners, strict=True):
        with calls.belonging(owner):
            answers.extend(original(self, [prompt], [message]))
    return answers
