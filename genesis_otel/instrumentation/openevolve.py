"""Records OpenEvolve's searches: call `instrument()` before the search; nothing else changes.

In: OpenEvolve 0.4, used through ``run_evolution()``, ``OpenEvolve(...)``, or its command line: the call can
be in the evaluator's file, or use ``python -m genesis_otel.instrumentation.openevolve_run`` instead of
``openevolve-run``. Out: one run per search; an iteration is a generation with one individual (OpenEvolve has no
generations), and the seed is generation 0. LLM calls and evaluations are recorded in the worker process where
they happen, forked or spawned. On failure: each hook logs its own errors once and lets the search go on; a method
that this version of OpenEvolve lacks is skipped with a warning.

- **is_pareto**: with ``objectives``, the front is that of all programs of the run so far, and each generation records it
  as of the arrival of its child. The individual's span is ended in the main process after that, with ``is_pareto``
  according to that front.
- **fitness** is the first objective to be maximised, or else the score that OpenEvolve uses; ``combined_score`` is always
  the latter.
- **mutation types** are ``init``, ``diff`` or ``full`` (per iteration, with ``full_rewrite_probability``), and ``migration``:
  a copy on another island, which has its own id and may become a parent. All seeds are individuals of generation 0.
- **a failure** (no edit in the answer, an LLM that does not answer, a worker that died) is an individual with an
  error and an action ``proposal_failed``; a failed evaluation is ``job_failed``, with its artifacts as output. A program that fails
  in a later stage of a cascade keeps the score with which OpenEvolve continues, but still counts as a failure: it cannot be the best
  or on the front. Iterations in progress when the search stopped are listed in ``search_stopped``.
- **what the evaluator records** in its thread, such as calls to a model, belongs to the individual that it evaluates.
- **a cell** of OpenEvolve's grid is the one that a program fell into when it was added; ``cell_taken`` records that the program
  holds it, and which one it replaced.
- **a coevolution** is one run: its generations are numbered across all phases, and islands are prefixed with their population's
  name (``red/0``).
- **a search that loads a checkpoint** continues the run of the one that saved it: best, front, generations and parents' scores
  count. So does one whose database has that search's programs already: ``run()`` called again, or ``db_path``. If their run is another
  one, or was not recorded, these programs become individuals of generation 0, ``restored``. A new search in the same folder is a new run.
- **over budget**, if the search is to stop then, it is stopped as by Ctrl-C once a child has been added, and a checkpoint is saved;
  iterations in progress are abandoned.
- **without configuration** nothing is recorded, and a search finds, asks and writes the same, byte for byte.
- **the child's id** is chosen before its LLM call, which carries it, and OpenEvolve's program gets it, too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry import context as otel
from opentelemetry.context import Context

from genesis_otel import spans
from genesis_otel._emit import forgotten, pareto
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._store import prices
from genesis_otel.instrumentation._hooks import Original, Patched, as_role, put, say_if_newer, undo, wrap
from genesis_otel.instrumentation._openevolve import llm as llm_calls
from genesis_otel.instrumentation._openevolve import outcome, worker
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint, load
from genesis_otel.instrumentation._openevolve.coevolution import Coevolution
from genesis_otel.instrumentation._openevolve.llm import Recorder
from genesis_otel.instrumentation._openevolve.run import Options
from genesis_otel.instrumentation._openevolve.search import Search

__all__ = ["instrument", "is_instrumented", "uninstrument"]

FRAMEWORK = "OpenEvolve"
NEWEST_RUN = (0, 4, 1)
"""The newest version that the tests have been run with."""

_patched: Patched = []
_searches: weakref.WeakKeyDictionary[object, Search] = weakref.WeakKeyDictionary()
"""The running searches, by their database."""
_ended: weakref.WeakKeyDictionary[object, Checkpoint] = weakref.WeakKeyDictionary()
"""What the latest search of a database has left, for one that continues with it."""
_options = Options()
_recorder: Recorder = "none"
_coevolution: ContextVar[Coevolution | None] = ContextVar("genesis_otel_coevolution", default=None)
_here: Context | None = None
"""The context for calls from threads without their own, while the main thread waits for them."""


def instrument(
    *,
    task: str | None = None,
    run_id: str | None = None,
    objectives: Mapping[str, str] | None = None,
    llm: Recorder = "auto",
    worker_setup: Callable[[], object] | None = None,
    stop_over_budget: bool | None = None,
) -> None:
    """Record every search of this process from now on. A further call only replaces these arguments, if any are given.

    :param task: what is evolved; by default the name of the evaluator's folder.
    :param run_id: the next run's id; by default that of the checkpoint that a search resumes from, or a new one per search.
    :param objectives: metrics and whether more (``max``) or less (``min``) of each is better.
    :param llm: who records the LLM calls: ``openai`` is OpenTelemetry's instrumentation of OpenAI's client,
        ``genesis`` our own spans, ``none`` an instrumentation of yours. ``auto`` uses whichever is active, or else our
        own spans; if OpenTelemetry's is installed, it starts at the first call of a client that is not OpenEvolve's, or at
        once if ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` is set to anything but ``SPAN_ONLY``.
    :param worker_setup: called in a spawned worker, to set up OpenTelemetry there; it must be importable by its
        name. By default what ``genesis_otel.configure()`` did here; a forked worker needs no setup.
    :param stop_over_budget: whether a search ends at its next step once it has cost more than its budget; by default as set by
        ``configure()`` or ``GENESIS_OTEL_STOP_OVER_BUDGET``, else false.
    :raises ValueError: an objective's direction is neither ``max`` nor ``min``.
    :raises ImportError: OpenEvolve is not installed.
    """
    global _options, _recorder
    pareto.directions(objectives or {})
    told = Options(task, run_id, dict(objectives or {}), llm, worker_setup, stop_over_budget)
    if is_instrumented():
        if told != Options():
            _options = told
        return
    from openevolve import controller, database, embedding, evaluator, process_parallel  # type: ignore[import-untyped]
    from openevolve.llm import ensemble, openai  # type: ignore[import-untyped]

    say_if_newer("openevolve", NEWEST_RUN)
    _options, _recorder = told, llm_calls.choose(llm)
    worker.original_iteration = getattr(process_parallel, "_run_iteration_worker", None)
    put(_patched, FRAMEWORK, process_parallel, "_run_iteration_worker", lambda _: worker.run_iteration)
    for owner, name, around in (
        (controller.OpenEvolve, "run", _run),
        (controller.OpenEvolve, "_save_checkpoint", _save_checkpoint),
        (controller.OpenEvolve, "_load_checkpoint", _load_checkpoint),
        (process_parallel.ProcessParallelController, "run_evolution", _run_evolution),
        (process_parallel.ProcessParallelController, "_submit_iteration", _submit_iteration),
        (process_parallel.ProcessParallelController, "_create_database_snapshot", _create_database_snapshot),
        (database.ProgramDatabase, "sample_from_island", _sample_from_island),
        (database.ProgramDatabase, "add", _add),
        (database.ProgramDatabase, "_update_archive", _update_archive),
        (database.ProgramDatabase, "_update_best_program", _update_best_program),
        (database.ProgramDatabase, "migrate_programs", _migrate_programs),
        (database.ProgramDatabase, "_llm_judge_novelty", _llm_judge_novelty),
        (database.ProgramDatabase, "_calculate_feature_coords", _calculate_feature_coords),
        (evaluator.Evaluator, "evaluate_program", _evaluate_program),
        (evaluator.Evaluator, "_process_evaluation_result", _process_evaluation_result),
        (openai.OpenAILLM, "_call_api", _call_api),
        (embedding.EmbeddingClient, "__init__", _init_embeddings),
        (ensemble, "_create_model", _create_model),
    ):
        wrap(_patched, FRAMEWORK, owner, name, around)
    if find_spec("openevolve.coevolution"):  # since 0.4.1
        from openevolve import coevolution

        wrap(_patched, FRAMEWORK, coevolution, "_run_coevolution", _run_coevolution)
        wrap(_patched, FRAMEWORK, controller.OpenEvolve, "__init__", _init_controller)


def uninstrument() -> None:
    """Undo `instrument`; a running search continues unrecorded if it can."""
    global _options, _recorder
    undo(_patched)
    worker.original_iteration = None
    llm_calls.stop()
    _options, _recorder = Options(), "none"
    _searches.clear()
    _ended.clear()


def is_instrumented() -> bool:
    """Whether this process records its searches."""
    return bool(_patched)


def instrument_worker(ticket: worker.Ticket) -> None:
    """Set up a worker like the main process; a forked one already is."""
    if is_instrumented():
        return
    if ticket.setup is not None:
        ticket.setup()
    instrument(llm=ticket.recorder)


def _search_of(owner: Any) -> Search | None:
    """The search that a database, or an object with one, belongs to."""
    database = getattr(owner, "database", owner)
    return None if database is None else _searches.get(database)


# --- the search -------------------------------------------------------------------------------------------------------


async def _run(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    global _options
    if not forgotten.records():
        forgotten.at_run(_options.run_id or "of OpenEvolve")
        return await original(self, *args, **kwargs)
    try:
        search = _searches.get(self.database)
        if search is None:
            iterations, checkpoint = _run_arguments(*args, **kwargs)
            before = _left_in(self.database) if checkpoint is None else load(checkpoint)
            search = _searches[self.database] = Search(self, _options, iterations, before)
            if checkpoint is None and self.database.programs:
                search.loaded(self.database)
            _options = replace(_options, run_id=None)
            # Once here, rather than in each worker forked from here.
            prices.load()
    except Exception as error:
        pass_on(error)
        warn_once("run", "A search is not recorded", exc_info=True)
        return await original(self, *args, **kwargs)
    failure: BaseException | None = None
    try:
        return await original(self, *args, **kwargs)
    except BaseException as raised:
        failure = raised
        raise
    finally:
        search.end(failure)
        _ended[self.database] = search.left()
        _searches.pop(self.database, None)


def _left_in(database: Any) -> Checkpoint:
    """What is known of a search that loads no checkpoint: nothing, unless its database has programs already, from a search before or from
    ``db_path``. OpenEvolve then repeats the last iteration."""
    if not database.programs:
        return Checkpoint()
    path = database.config.db_path
    before = _ended.get(database) or (load(Path(path)) if path else Checkpoint())
    return before._replace(last_iteration=database.last_iteration - 1)


def _run_arguments(
    iterations: int | None = None,
    target_score: object = None,
    checkpoint_path: str | None = None,
    *_: object,
    **__: object,
) -> tuple[int | None, Path | None]:
    """From the arguments of OpenEvolve's ``run``: the number of iterations, and the checkpoint that it resumes from."""
    return iterations, Path(checkpoint_path) if checkpoint_path and Path(checkpoint_path).exists() else None


def _load_checkpoint(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    result = original(self, *args, **kwargs)
    if search := _search_of(self):
        search.loaded(self.database)
    return result


async def _run_evolution(
    original: Original,
    self: Any,
    start_iteration: int,
    max_iterations: int,
    target_score: float | None = None,
    checkpoint_callback: Callable[[int], object] | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if search := _search_of(self):
        search.loop_begins(self)
    try:
        result = await original(
            self, start_iteration, max_iterations, target_score, checkpoint_callback, *args, **kwargs
        )
    finally:
        if search := _search_of(self):
            search.loop_ended(self, target_score)
    if search is not None and search.stopper.stops and checkpoint_callback is not None:
        # OpenEvolve saves no checkpoint of a search that is told to stop: with a larger budget, it can resume from this one.
        checkpoint_callback(self.database.last_iteration)
    return result


def _save_checkpoint(original: Original, self: Any, iteration: int) -> Any:
    result = original(self, iteration)
    if search := _search_of(self):
        search.checkpoint_saved(Path(self.output_dir) / "checkpoints" / f"checkpoint_{iteration}", iteration)
    return result


# --- two populations that take turns ----------------------------------------------------------------------------------


async def _run_coevolution(original: Original, *args: Any, **kwargs: Any) -> Any:
    """Each phase runs its own engine, in this task."""
    global _options
    if not forgotten.records():
        return await original(*args, **kwargs)  # its phases log that
    try:
        whole = Coevolution(_options, *args, **kwargs)
        _options = replace(_options, run_id=None)
    except Exception as error:
        pass_on(error)
        warn_once("coevolution", "A coevolution is recorded as a run per phase", exc_info=True)
        return await original(*args, **kwargs)
    before = _coevolution.set(whole)
    failure: BaseException | None = None
    try:
        return await original(*args, **kwargs)
    except BaseException as raised:
        failure = raised
        raise
    finally:
        _coevolution.reset(before)
        whole.end(failure)


def _init_controller(original: Original, self: Any, *args: Any, **kwargs: Any) -> None:
    original(self, *args, **kwargs)
    whole = _coevolution.get()
    if whole is None:
        return
    try:
        _searches[self.database] = whole.phase(self)
    except Exception as error:
        pass_on(error)
        warn_once("phase", "A phase of a coevolution is recorded as a separate run", exc_info=True)


# --- iterations -------------------------------------------------------------------------------------------------------


def _submit_iteration(original: Original, self: Any, iteration: int, island_id: int | None = None) -> Any:
    search = _search_of(self)
    if search is None:
        return original(self, iteration, island_id)
    if search.is_over():
        return None  # as if it could not be submitted
    number = search.generation_of(iteration)
    search.submitting = (number, island_id)
    try:
        future = original(self, iteration, island_id)
    finally:
        search.submitting = None
    search.submitted(number, future)
    return future


def _sample_from_island(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    parent, inspirations = original(self, *args, **kwargs)
    if search := _search_of(self):
        search.sampled(parent)
    return parent, inspirations


def _create_database_snapshot(original: Original, self: Any) -> Any:
    snapshot = original(self)
    search = _search_of(self)
    ticket = search.ticket(instrument_worker) if search is not None else None
    if ticket is not None:
        snapshot[worker.TICKET] = ticket
    return snapshot


async def _evaluate_program(original: Original, self: Any, program_code: str, program_id: str = "") -> Any:
    search = _search_of(self)
    seed = None if search is None else search.seed(program_id)
    if seed is None:
        return await worker.evaluate(original, self, program_code, program_id)
    with spans.attached(seed):
        return await worker.evaluate(original, self, program_code, program_id)


def _process_evaluation_result(original: Original, self: Any, result: Any) -> Any:
    # Not wrapped around the evaluation: OpenEvolve shows the model a failed program's traceback, and we must not appear in it.
    outcome.attempted(result)
    return original(self, result)


# --- the database -----------------------------------------------------------------------------------------------------


def _add(original: Original, self: Any, program: Any, *args: Any, **kwargs: Any) -> Any:
    search = _search_of(self)
    if search is None:
        return original(self, program, *args, **kwargs)
    with search.adding(program) as done:
        # The only model calls here are OpenEvolve's about the program's novelty.
        with as_role("novelty"), _calls_belong_here():
            admitted = original(self, program, *args, **kwargs)
        done(admitted)
        search.actions.cells_changed(program, self)
    if search.is_looping:
        search.is_over()
    return admitted


def _calculate_feature_coords(original: Original, self: Any, program: Any) -> Any:
    bins = original(self, program)
    # This is called for hundreds of programs per iteration, when a parent is chosen.
    if (search := _search_of(self)) and search.actions.being_added == program.id:
        search.actions.fell_into(program, self, bins)
    return bins


def _update_archive(original: Original, self: Any, program: Any) -> Any:
    search = _search_of(self)
    before = set(self.archive)
    result = original(self, program)
    if search is not None:
        search.actions.archive_changed(program, before, set(self.archive))
    return result


def _update_best_program(original: Original, self: Any, program: Any) -> Any:
    before = self.best_program_id
    result = original(self, program)
    if search := _search_of(self):
        search.actions.best_changed(program, before, self.best_program_id)
    return result


def _migrate_programs(original: Original, self: Any) -> Any:
    before = set(self.programs)
    result = original(self)
    if search := _search_of(self):
        search.actions.islands_migrated([each for name, each in self.programs.items() if name not in before])
    return result


def _llm_judge_novelty(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    with as_role("novelty"), _calls_belong_here():
        return original(self, *args, **kwargs)


# --- LLM calls --------------------------------------------------------------------------------------------------------


@contextmanager
def _calls_belong_here() -> Iterator[None]:
    """A block whose calls belong to the current context, even in threads that OpenEvolve starts without passing it on."""
    global _here
    before, _here = _here, otel.get_current()
    try:
        yield
    finally:
        _here = before


async def _call_api(original: Original, self: Any, params: dict[str, Any]) -> Any:
    context = otel.get_current() if _here is None else _here
    return await original(self, llm_calls.carrying(self, params, context, _recorder))


def _init_embeddings(original: Original, self: Any, *args: Any, **kwargs: Any) -> None:
    original(self, *args, **kwargs)
    try:
        llm_calls.observe_embeddings(self, _recorder)
    except Exception as error:
        pass_on(error)
        warn_once("embeddings", "Embeddings are not recorded", exc_info=True)


def _create_model(original: Original, model_cfg: Any) -> Any:
    model = original(model_cfg)
    try:
        if _options.llm != "none":
            llm_calls.observe_other(model)
    except Exception as error:
        pass_on(error)
        warn_once("model", "A model's calls are not recorded", exc_info=True)
    return model
