"""Records ShinkaEvolve's searches: call `instrument()` before the search; nothing else changes.

In: shinka-evolve 0.0.7, used as ``ShinkaEvolveRunner(...).run()``, ``run_async()``, or as its command line under
``opentelemetry-instrument``. Out: a run per search. A generation is what shinka calls one: a slot with one proposal, which is an
individual. On failure: each hook logs its own errors once and lets the search continue; a method that this version of shinka lacks is
skipped with a warning.

- **An individual** is a program, or a proposal that came to nothing: its patch could not be applied, it was not novel, or it was never
  submitted. It carries its calls, its parent, and in its metadata its inspirations and the patch's name. Its id is chosen before its
  first call, and shinka's program gets the same id.
- **Scores** are shinka's combined score; if the evaluator left none, there is none, although shinka stores 0.
- **Costs** of an individual are shinka's own; those of the meta recommendations belong to its generation, not to it.
- **A copy** on another island has the mutation type ``copy`` and the original as its parent; shinka gives it none.
- **The front**, with ``objectives``, is that of all programs of the run so far; shinka has none.
- **A search that continues** in the same results folder continues its run. If the programs there are another run's, or were not recorded,
  they become individuals of generation 0, ``restored``.
- **Over budget**, if a search is to stop then, shinka's own cost limit is lowered to what it has spent: it starts no further proposal
  and waits for those under way.
- **Cancelled proposals**, of which shinka keeps nothing, are failed individuals; their generations are not completed.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry import context as otel

from genesis_otel import attributes, spans
from genesis_otel._emit import pareto
from genesis_otel._emit.context import place_of
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._hooks import Original, Patched, as_role, in_environment, say_if_newer, undo, wrap
from genesis_otel.instrumentation._shinka import llm
from genesis_otel.instrumentation._shinka.search import Options, Search
from genesis_otel.instrumentation._when_imported import WhenImported

__all__ = ["instrument", "is_instrumented", "uninstrument"]

NEWEST_RUN = (0, 0, 7)
"""The newest version with which the tests have run."""

_patched: Patched = []
_searches: dict[str, Search] = {}
"""The running searches, by their results folder, which every object of shinka's knows."""
_evaluators: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""The runners' evaluators, at their original paths."""
_options = Options()
_environment = threading.Lock()


def instrument(
    *,
    task: str | None = None,
    run_id: str | None = None,
    objectives: Mapping[str, str] | None = None,
    stop_over_budget: bool | None = None,
) -> None:
    """Record every search of this process from now on. A repeated call only changes the arguments it is given.

    :param task: what is evolved; by default the name of the evaluator's folder.
    :param run_id: the next run's id; by default that of the run which the search continues, or a new one.
    :param objectives: metrics, and whether more (``max``) or less (``min``) of each is better.
    :param stop_over_budget: whether a search ends at its next step once it has cost more than its budget; by default the value of
        ``configure()`` or ``GENESIS_OTEL_STOP_OVER_BUDGET``, or false.
    :raises ValueError: an objective's direction is neither ``max`` nor ``min``.
    :raises ImportError: shinka is not installed.
    """
    global _options
    pareto.directions(objectives or {})
    told = Options(task, run_id, dict(objectives or {}), stop_over_budget)
    if is_instrumented():
        if told != Options():
            _options = told
        return
    if find_spec("shinka") is None:
        raise ImportError("shinka-evolve is not installed")
    _options = told
    _waiting.begin()


RUNNER = "shinka.core.async_runner"


def _patch() -> None:
    say_if_newer("shinka-evolve", NEWEST_RUN)
    for module, owner, name, around in (
        (RUNNER, "ShinkaEvolveRunner", "__init__", _init_runner),
        (RUNNER, "ShinkaEvolveRunner", "run_async", _run_async),
        (RUNNER, "ShinkaEvolveRunner", "_restore_resume_progress", _restore_resume_progress),
        (RUNNER, "ShinkaEvolveRunner", "_generate_initial_program", _generate_initial_program),
        (RUNNER, "ShinkaEvolveRunner", "_setup_initial_program_with_metadata", _setup_initial_program),
        (RUNNER, "ShinkaEvolveRunner", "_start_proposals", _start_proposals),
        (RUNNER, "ShinkaEvolveRunner", "_generate_evolved_proposal", _generate_evolved_proposal),
        (RUNNER, "ShinkaEvolveRunner", "_save_patch_attempt_async", _save_patch_attempt),
        (RUNNER, "ShinkaEvolveRunner", "_record_terminal_failed_proposal", _record_failed_proposal),
        (RUNNER, "ShinkaEvolveRunner", "_persist_completed_job", _persist_completed_job),
        (RUNNER, "ShinkaEvolveRunner", "_apply_persisted_program_side_effects", _apply_side_effects),
        (
            "shinka.core.async_novelty_judge",
            "AsyncNoveltyJudge",
            "assess_novelty_with_rejection_sampling_async",
            _assess_novelty,
        ),
        ("shinka.core.async_summarizer", "AsyncMetaSummarizer", "update_meta_memory_async", _update_meta_memory),
        ("shinka.core.prompt_evolver", "AsyncSystemPromptEvolver", "evolve", _evolve_prompt),
        ("shinka.database.async_dbase", "AsyncProgramDatabase", "sample_with_fix_mode_async", _sample),
        ("shinka.database.async_dbase", "AsyncProgramDatabase", "add_program_async", _add_program),
        ("shinka.database.dbase", "ProgramDatabase", "_update_archive", _update_archive),
        ("shinka.database.dbase", "ProgramDatabase", "_update_best_program", _update_best_program),
        ("shinka.database.islands", "CombinedIslandManager", "copy_program_to_islands", _copy_to_islands),
        ("shinka.database.islands", "CombinedIslandManager", "_copy_program_to_island", _copy_to_island),
        ("shinka.database.islands", "CombinedIslandManager", "perform_migration", _migrate),
        ("shinka.launch.scheduler", "JobScheduler", "run", _run_job),
        ("shinka.launch.scheduler", "JobScheduler", "submit_async", _submit_job),
        ("shinka.launch.scheduler", "JobScheduler", "get_job_results", _get_job_results),
        ("shinka.launch.scheduler", "", "submit_local", _submit_local),
        ("shinka.launch.scheduler", "", "submit_slurm_conda", _submit_slurm),
        ("shinka.launch.scheduler", "", "submit_slurm_docker", _submit_slurm),
        ("shinka.embed.embedding", "AsyncEmbeddingClient", "__init__", _init_embeddings),
        ("shinka.embed.embedding", "AsyncEmbeddingClient", "embed_async", llm.embed),
        ("shinka.llm.llm", "", "query_async", llm.query),
        ("shinka.llm.query", "", "get_async_client_llm", llm.client),
    ):
        wrap(_patched, "shinka", _owner(module, owner), name, around)


_waiting = WhenImported(RUNNER, _patch)


def uninstrument() -> None:
    """Undo `instrument`; a running search continues unrecorded as far as possible."""
    global _options
    _waiting.stop()
    undo(_patched)
    _options = Options()
    _searches.clear()


def is_instrumented() -> bool:
    """Whether this process records its searches."""
    return bool(_patched) or _waiting.is_waiting()


def _owner(module: str, name: str) -> Any:
    """A module, or the class of that name in it; None if this version has none."""
    try:
        found = import_module(module)
    except ImportError:
        return None
    return getattr(found, name, None) if name else found


def _search_of(runner: Any) -> Search | None:
    return _searches.get(str(Path(runner.results_dir).absolute()))


def _search_at(database: Any) -> Search | None:
    """The search of a database, or of anything that knows its configuration."""
    path = getattr(database.config, "db_path", None)
    return _searches.get(str(Path(path).absolute().parent)) if path else None


def _search_around(path: str) -> Search | None:
    """The search in whose results a generation has this file or folder: ``gen_3/main.py``, ``gen_3/results``."""
    return _searches.get(str(Path(path).absolute().parent.parent))


def _current() -> Search | None:
    """The search that the current context belongs to."""
    run_id = place_of().run_id
    return next((search for search in _searches.values() if search.run.id == run_id), None)


def _within(handle: Any, role: str = "mutation") -> AbstractContextManager[None]:
    """A block whose calls belong to a handle and have the role ``role``, whoever records them."""
    try:
        return spans.attached(otel.set_value(attributes.LLM_ROLE, role, handle.context))
    except Exception as error:
        pass_on(error)
        warn_once("shinka within", "Calls are recorded without their role", exc_info=True)
        return nullcontext()


# --- the search -------------------------------------------------------------------------------------------------------


def _init_runner(original: Original, self: Any, *args: Any, **kwargs: Any) -> None:
    # The command line passes the evaluator's text, and the runner puts a copy into the results.
    told = kwargs.get("job_config", args[1] if len(args) > 1 else None)
    evaluator = getattr(told, "eval_program_path", None)
    original(self, *args, **kwargs)
    _evaluators[self] = str(evaluator or "")


async def _run_async(original: Original, self: Any) -> Any:
    global _options
    folder = str(Path(self.results_dir).absolute())
    try:
        search = _searches[folder] = Search(self, _options, _evaluators.get(self))
        _options = replace(_options, run_id=None)
    except Exception as error:
        pass_on(error)
        warn_once("shinka run", "A search is not recorded", exc_info=True)
        return await original(self)
    failure: BaseException | None = None
    limit = self.evo_config.max_api_costs
    try:
        with _within(search.run):
            return await original(self)
    except BaseException as raised:
        failure = raised
        raise
    finally:
        search.end(self, failure)
        _searches.pop(folder, None)
        self.evo_config.max_api_costs = limit


async def _restore_resume_progress(original: Original, self: Any) -> Any:
    result = await original(self)
    if search := _search_of(self):
        search.restored(self.db)
    return result


async def _evolve_prompt(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    with as_role("prompt"):
        prompt, kind, cost = await original(self, *args, **kwargs)
    if search := _current():
        search.prompt_evolved(prompt, kind, cost)
    return prompt, kind, cost


# --- proposals --------------------------------------------------------------------------------------------------------


async def _generate_initial_program(original: Original, self: Any) -> Any:
    return await _as_seed(self, functools.partial(original, self))


async def _setup_initial_program(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    return await _as_seed(self, functools.partial(original, self, *args, **kwargs))


async def _as_seed(runner: Any, work: Callable[[], Any]) -> Any:
    search = _search_of(runner)
    folder = Path(runner.results_dir) / "gen_0"
    begun = search.begin(0, "init", folder) if search is not None else None
    if search is None or begun is None:
        return await work()
    try:
        with _within(begun.individual):
            result = await work()
    except BaseException as error:
        search.abandoned(0, error)
        raise
    search.selected(runner.llm_selection, 0)
    search.completed(0)
    return result


async def _start_proposals(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    if search is not None and search.is_over(self):
        return None
    return await original(self, *args, **kwargs)


async def _generate_evolved_proposal(
    original: Original, self: Any, generation: int, task_id: str, exec_fname: str, *args: Any, **kwargs: Any
) -> Any:
    search = _search_of(self)
    begun = search.begin(generation, "mutate", Path(exec_fname).parent) if search is not None else None
    if search is None or begun is None:
        return await original(self, generation, task_id, exec_fname, *args, **kwargs)
    try:
        with _within(begun.individual):
            return await original(self, generation, task_id, exec_fname, *args, **kwargs)
    except BaseException as error:
        search.abandoned(generation, error)
        raise


async def _sample(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    parent, archive, top, needs_fix = await original(self, *args, **kwargs)
    search, place = _current(), place_of()
    if search is not None and isinstance(place.generation, int):
        search.sampled(place.generation, parent, archive or (), top or ())
    return parent, archive, top, needs_fix


async def _save_patch_attempt(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    result = await original(self, *args, **kwargs)
    if search := _search_of(self):
        search.attempted(kwargs)
    return result


async def _assess_novelty(original: Original, self: Any, exec_fname: str, *args: Any, **kwargs: Any) -> Any:
    with as_role("novelty"):
        accepted, told = await original(self, exec_fname, *args, **kwargs)
    if search := _current():
        search.judged(Path(exec_fname).parent, accepted, told)
    return accepted, told


async def _record_failed_proposal(original: Original, self: Any, **kwargs: Any) -> Any:
    result = await original(self, **kwargs)
    if search := _search_of(self):
        search.given_up(self, kwargs)
    return result


# --- evaluations ------------------------------------------------------------------------------------------------------


def _run_job(original: Original, self: Any, program: str, results_dir: str) -> Any:
    """The seed's evaluation, from start to end, in a thread."""
    with _submitting(program) as search:
        results, seconds = original(self, program, results_dir)
    if search is not None:
        search.loaded(Path(results_dir), results)
    return results, seconds


def _submit_job(original: Original, self: Any, program: str, results_dir: str) -> Any:
    with _submitting(program):
        return original(self, program, results_dir)


@contextmanager
def _submitting(program: str) -> Iterator[Search | None]:
    """A block, in a thread without a context, that starts a program's job: the job belongs to the program's evaluation."""
    search = _search_around(program)
    job = search.submitting(Path(program)) if search is not None else None
    if job is None:
        yield search
        return
    with _within(job, "judge"):
        yield search


def _submit_local(original: Original, *args: Any, env_overrides: Mapping[str, str] | None = None, **kwargs: Any) -> Any:
    return original(*args, env_overrides={**(env_overrides or {}), **spans.environ()}, **kwargs)


def _submit_slurm(original: Original, *args: Any, **kwargs: Any) -> Any:
    """Slurm gives a job the environment of the process that submits it, which holds the context for that moment."""
    with _environment, in_environment(spans.environ()):
        return original(*args, **kwargs)


def _get_job_results(original: Original, self: Any, job_id: Any, results_dir: str) -> Any:
    results = original(self, job_id, results_dir)
    if search := _search_around(results_dir):
        search.loaded(Path(results_dir), results)
    return results


# --- programs ---------------------------------------------------------------------------------------------------------


async def _add_program(original: Original, self: Any, program: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_at(self.sync_db)
    if search is not None:
        search.naming(program)
    added = await original(self, program, *args, **kwargs)
    # The seed is stored only here.
    if search is not None and added and program.generation == 0:
        search.stored(program)
    return added


async def _persist_completed_job(original: Original, self: Any, job: Any) -> Any:
    result = await original(self, job)
    search = _search_of(self)
    if search is not None and result.success:
        if result.persisted_event is not None:
            search.stored(result.persisted_event.program)
        elif job.discard_if_completed:
            search.abandoned(job.generation, "all generations were completed before")
    return result


async def _apply_side_effects(original: Original, self: Any, persisted_event: Any) -> Any:
    search, program = _search_of(self), persisted_event.program
    if search is None:
        return await original(self, persisted_event)
    try:
        with _within(search.place_of(program.generation)):
            return await original(self, persisted_event)
    finally:
        search.selected(self.llm_selection, program.generation, program)
        search.completed(program.generation, (program.metadata or {}).get("meta_cost"))


async def _update_meta_memory(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    search, place = _current(), place_of()
    if search is None:
        return await original(self, *args, **kwargs)
    number = place.generation if isinstance(place.generation, int) else None
    programs = len(self.sync_summarizer.evaluated_since_last_meta)
    # Not of the program that merely happens to be the last of those summarised.
    with _within(search.run if number is None else search.place_of(number), "meta"):
        recommendations, cost = await original(self, *args, **kwargs)
    if programs:
        told = {
            "programs": programs,
            "cost": cost,
            "succeeded": bool(recommendations),
            "response": recommendations or "",
        }
        search.act("meta_recommendations", told, number)
    return recommendations, cost


def _update_archive(original: Original, self: Any, program: Any) -> Any:
    search = _search_at(self)
    before = _archive(self) if search is not None else set()
    result = original(self, program)
    if search is not None:
        search.archive_changed(program, before, _archive(self))
    return result


def _archive(database: Any) -> set[str]:
    try:
        return {row[0] for row in database.cursor.execute("SELECT program_id FROM archive").fetchall()}
    except Exception as error:
        pass_on(error)
        warn_once("shinka archive", "Changes of the archive are not recorded", exc_info=True)
        return set()


def _update_best_program(original: Original, self: Any, program: Any) -> Any:
    before = self.best_program_id
    result = original(self, program)
    if search := _search_at(self):
        search.best_changed(program, before, self.best_program_id)
    return result


def _copy_to_islands(original: Original, self: Any, program: Any) -> Any:
    made = original(self, program)
    if search := _search_at(self):
        # On the islands from the second one on, in this order.
        for island, program_id in enumerate(made, 1):
            search.copied(program_id, island, program)
    return made


def _copy_to_island(original: Original, self: Any, source: Any, island: int, *args: Any, **kwargs: Any) -> Any:
    made = original(self, source, island, *args, **kwargs)
    if search := _search_at(self):
        search.spawned(made, island, source)
    return made


def _migrate(original: Original, self: Any, generation: int) -> Any:
    search = _search_at(self)
    before = _islands(self) if search is not None else {}
    result = original(self, generation)
    if search is not None and result:
        after = _islands(self)
        moves = [
            {"individual_id": name, "from": before[name], "to": island}
            for name, island in sorted(after.items())
            if before.get(name, island) != island
        ]
        search.act("migration", {"migrants": len(moves), "moves": moves}, generation)
    return result


def _islands(manager: Any) -> dict[str, int]:
    try:
        return dict(manager.cursor.execute("SELECT id, island_idx FROM programs").fetchall())
    except Exception as error:
        pass_on(error)
        warn_once("shinka islands", "Migrations are recorded without their moves", exc_info=True)
        return {}


def _init_embeddings(original: Original, self: Any, *args: Any, **kwargs: Any) -> None:
    original(self, *args, **kwargs)
    try:
        llm.embedding_client(self)
    except Exception as error:
        pass_on(error)
        warn_once("embeddings", "Embeddings are not recorded", exc_info=True)
