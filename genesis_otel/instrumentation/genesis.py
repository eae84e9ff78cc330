"""Records Genesis' searches: call `instrument()` before the search; nothing else changes.

In: Genesis from its repository (it is on no package index), used as ``EvolutionRunner(...).run()``, or as its command line under
``opentelemetry-instrument``. Out: a run per search; a generation, which in Genesis is one program, has one individual with its LLM
calls and its evaluation. On failure: each hook logs its own errors once and lets the search continue; a method that this version of
Genesis lacks is skipped with a warning.

- **Genesis' logger** becomes ours (:func:`~genesis_otel.instrumentation.genesis_logger.install_logger`); for a search recorded here, its
  flat calls tell the spans what Genesis knows.
- **LLM calls and embeddings** carry run, generation and individual, Genesis' own cost, and the answer's tokens. A failed attempt is a
  separate call. If another instrumentation records the client, it records the calls, with its own cost.
- **A failed program** has no score, although Genesis stores 0. It is `failed` if an error kept it from its result, `incorrect` if it ran
  but did not pass. An incorrect program with a score keeps the score.
- **The front** of a generation is what Genesis calls its front: its correct program. With ``objectives`` it is the front of the run so far.
- **Counts** are of programs: Genesis stores a program again when it recomputes its embeddings, and counts it each time.
- **An interrupt or an error** ends the run as `failed`. Unfinished programs are named in `search_stopped` and are not individuals:
  Genesis does not have them, and proposes them again when it resumes. A resumed search is the same run.
- **Over budget**, if a search is to stop then, no further program is proposed; those under way are evaluated and stored.
- **A program's id** is chosen before its first LLM call, which carries it; Genesis' program gets the same id.
- **Jobs** find the individual in ``TRACEPARENT`` and ``BAGGAGE``, both local ones and Slurm's.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry import context as otel

from genesis_otel import spans
from genesis_otel._emit import pareto
from genesis_otel._emit.context import detach, place_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._genesis import llm, pool
from genesis_otel.instrumentation._genesis.logger import GenesisLogger
from genesis_otel.instrumentation._genesis.search import Options, Proposal, Search
from genesis_otel.instrumentation._hooks import Original, Patched, as_role, in_environment, is_put, undo, wrap
from genesis_otel.instrumentation._when_imported import WhenImported
from genesis_otel.instrumentation.genesis_logger import install_logger

__all__ = ["instrument", "is_installed", "is_instrumented", "uninstrument"]

Hook = tuple[Any, str, Original]

_patched: Patched = []
_logger = GenesisLogger()
_wanted = False


def instrument(
    *,
    task: str | None = None,
    objectives: Mapping[str, str] | None = None,
    stop_over_budget: bool | None = None,
) -> None:
    """Record every search of this process from now on. A repeated call only changes the arguments it is given.

    Genesis is not imported here, because that takes seconds and loads its ``.env``: it is patched when it is imported.

    :param task: what is evolved; by default the name of the folder above the results.
    :param objectives: metrics, and whether more (``max``) or less (``min``) of each is better: public or private ones, by name.
    :param stop_over_budget: whether a search ends at its next step once it has cost more than its budget; by default the value of
        ``configure()`` or ``GENESIS_OTEL_STOP_OVER_BUDGET``, or false.
    :raises ValueError: an objective's direction is neither ``max`` nor ``min``.
    """
    global _wanted
    pareto.directions(objectives or {})
    told = Options(task, dict(objectives or {}), stop_over_budget)
    if not _wanted or told != Options():
        _logger.options = told
    # Before Genesis is imported, since its own logger connects at import.
    install_logger(_logger)
    if not _wanted:
        _wanted = True
        for module, hooks in HOOKS.items():
            WhenImported(module, functools.partial(_patch, hooks)).begin()


def _patch(hooks: Callable[[], Iterable[Hook]]) -> None:
    if not _wanted:
        return
    try:
        for owner, name, around in hooks():
            if not is_put(_patched, owner, name):
                wrap(_patched, "Genesis", owner, name, around)
    except Exception as error:
        pass_on(error)
        warn_once("genesis hooks", "Genesis' searches are not recorded, only its logger's calls", exc_info=True)


def _of_calls() -> Iterable[Hook]:
    from genesis.llm import embedding
    from genesis.llm import llm as clients
    from genesis.llm import query as queries

    return (
        (embedding.EmbeddingClient, "get_embedding", llm.get_embedding),
        (queries, "get_client_llm", llm.get_client_llm),
        (clients, "query", llm.query),
        (clients.LLMClient, "batch_query", functools.partial(_fill_pool, clients)),
        (clients.LLMClient, "batch_kwargs_query", functools.partial(_fill_pool, clients)),
    )


def _of_searches() -> Iterable[Hook]:
    from genesis.core import novelty_judge, runner, summarizer
    from genesis.database import dbase
    from genesis.launch import scheduler

    return (
        (runner.EvolutionRunner, "run", _run),
        (runner.EvolutionRunner, "_run_generation_0", _run_generation_0),
        (runner.EvolutionRunner, "_submit_new_job", _submit_new_job),
        (runner.EvolutionRunner, "_process_completed_job", _process_completed_job),
        (runner.EvolutionRunner, "_log_generation_to_clickhouse", _log_generation),
        (dbase.ProgramDatabase, "add", _add),
        (scheduler.JobScheduler, "run", _run_job),
        (scheduler.JobScheduler, "get_job_results", _get_job_results),
        (scheduler, "submit_local", _submit),
        (scheduler, "submit_slurm_docker", _submit),
        (scheduler, "submit_slurm_conda", _submit),
        (novelty_judge.NoveltyJudge, "check_llm_novelty", _check_novelty),
        (summarizer.MetaSummarizer, "update_meta_memory", _update_meta_memory),
    )


HOOKS = {"genesis.llm.llm": _of_calls, "genesis.core.runner": _of_searches}
"""The patches, by the module whose import also loads all other modules that they patch."""


def uninstrument() -> None:
    """Undo `instrument`, except for the logger: a running search continues unrecorded as far as possible."""
    global _wanted
    _wanted = False
    undo(_patched)
    _logger.options = Options()


def is_instrumented() -> bool:
    """Whether this process records its searches, including those of a Genesis that is not imported yet."""
    return _wanted


def is_installed() -> bool:
    """Whether this environment's package ``genesis`` is the right one: several packages have that name."""
    found = find_spec("genesis")
    folders = found.submodule_search_locations if found is not None else None
    return any((Path(each) / "utils" / "clickhouse_logger.py").is_file() for each in folders or ())


def _search_of(runner: Any) -> Search | None:
    return _logger.searches.get(getattr(runner, "run_id", ""))


def _here() -> Proposal | None:
    """The program that this thread is working on, of whichever search."""
    return next((found for each in _logger.searches.values() if (found := each.here())), None)


# --- the search -------------------------------------------------------------------------------------------------------


def _run(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    run_id = getattr(self, "run_id", "")
    search = _logger.searches[run_id] = Search(_logger.options)
    # The run becomes current once Genesis logs it.
    token = otel.attach(otel.get_current())
    failure: BaseException | None = None
    try:
        return original(self, *args, **kwargs)
    except BaseException as raised:
        failure = raised
        raise
    finally:
        detach(token)
        search.finish(failure)
        _logger.searches.pop(run_id, None)


def _run_generation_0(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    proposal = search.begin(0, "init") if search is not None else None
    with _at(search, proposal):
        return original(self, *args, **kwargs)


def _submit_new_job(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    search, number = _search_of(self), getattr(self, "next_generation_to_submit", None)
    planned = getattr(getattr(self, "evo_config", None), "num_generations", 0)
    if search is None or not isinstance(number, int) or number >= planned:
        return original(self, *args, **kwargs)
    if search.is_over(self):
        return None
    # The mutation type is known once the patch is made.
    with _at(search, search.begin(number, "unknown"), until_stored=False):
        return original(self, *args, **kwargs)


def _process_completed_job(original: Original, self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    proposal = search.open.get(getattr(job, "generation", -1)) if search is not None else None
    if proposal is not None:
        proposal.finished = time.time_ns()
    with _at(search, proposal):
        return original(self, job, *args, **kwargs)


@contextmanager
def _at(search: Search | None, proposal: Proposal | None, *, until_stored: bool = True) -> Iterator[None]:
    """A block in which a program is made. An exception ends the program; with ``until_stored``, so does a block that stores none."""
    stopped = "Genesis stored no program"
    try:
        with nullcontext() if proposal is None else spans.attached(proposal.individual.context):
            yield
        stopped = stopped if until_stored else ""
    except BaseException as raised:
        stopped = type(raised).__name__
        raise
    finally:
        if stopped and search is not None and proposal is not None and proposal.number in search.open:
            search.abandon(proposal, stopped)


def _log_generation(original: Original, self: Any, generation: int, programs: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        # Only the latest row of each: a program is stored again whenever its embedding is.
        programs = list({each.id: each for each in sorted(programs, key=lambda program: program.timestamp)}.values())
    except Exception as error:
        pass_on(error)
        warn_once("genesis programs", "A generation's programs are counted as often as they are stored", exc_info=True)
    try:
        return original(self, generation, programs, *args, **kwargs)
    finally:
        _logger.counted(getattr(self, "run_id", ""), generation)


# --- programs and their jobs ------------------------------------------------------------------------------------------


def _add(original: Original, self: Any, program: Any, *args: Any, **kwargs: Any) -> Any:
    proposal = _here()
    if proposal is None or proposal.program is not None or getattr(program, "generation", -1) != proposal.number:
        return original(self, program, *args, **kwargs)
    program.id = proposal.individual.id
    result = original(self, program, *args, **kwargs)
    proposal.program = program
    return result


def _run_job(original: Original, self: Any, exec_fname: Any, results_dir: Any, *args: Any, **kwargs: Any) -> Any:
    """The first program's job, for which Genesis waits; it logs no action for it."""
    proposal = _here()
    if proposal is not None:
        proposal.job = proposal.individual.evaluation(details={"exec_fname": str(exec_fname)})
    outcome = original(self, exec_fname, results_dir, *args, **kwargs)
    if proposal is not None and isinstance(outcome, tuple):
        proposal.results, proposal.finished = outcome[0], time.time_ns()
    return outcome


def _get_job_results(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    results = original(self, *args, **kwargs)
    if proposal := _here():
        proposal.results = results
    return results


def _submit(original: Original, *args: Any, **kwargs: Any) -> Any:
    """A job is started, with an environment that Genesis copies from this process."""
    proposal = _here()
    if proposal is None:
        return original(*args, **kwargs)
    proposal.submitted = time.time_ns()
    with in_environment(proposal.individual.environ()):
        return original(*args, **kwargs)


# --- LLM calls --------------------------------------------------------------------------------------------------------


def _fill_pool(clients: Any, original: Original, *args: Any, **kwargs: Any) -> Any:
    with pool.filled(clients, instrument):
        return original(*args, **kwargs)


def _check_novelty(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    with as_role("novelty"):
        return original(self, *args, **kwargs)


def _update_meta_memory(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    """Genesis reviews several programs: the calls belong to the generation in which it does so, or at the end to the run."""
    place = place_of()
    search = _logger.searches.get(place.run_id)
    generation = search.ended(place.generation) if search is not None else None
    with nullcontext() if generation is None else spans.attached(generation.context), as_role("meta"):
        return original(self, *args, **kwargs)
