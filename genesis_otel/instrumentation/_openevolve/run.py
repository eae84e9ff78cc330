"""Begins the run of an OpenEvolve search, as the arguments of `instrument` and OpenEvolve's configuration describe it.

In: OpenEvolve's controller, the arguments, and the checkpoint that the search resumes from, if any. Out: the run's span: a new run, or
that of the checkpoint. On failure: raises.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genesis_otel import spans
from genesis_otel._emit.run import given_id
from genesis_otel.instrumentation._framework_config import as_json
from genesis_otel.instrumentation._openevolve.checkpoint import Checkpoint
from genesis_otel.instrumentation._openevolve.llm import Recorder


@dataclass(frozen=True)
class Options:
    """The arguments of `instrument`."""

    task: str | None = None
    run_id: str | None = None
    objectives: Mapping[str, str] = field(default_factory=dict)
    llm: Recorder = "auto"
    worker_setup: Callable[[], object] | None = None
    stop_over_budget: bool | None = None


def begin_run(controller: Any, options: Options, iterations: int | None, before: Checkpoint) -> spans.Run:
    """Begin the run of a search.

    :param iterations: as given to OpenEvolve's ``run``.
    :param before: what the checkpoint says that the search resumes from.
    """
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


def task_name(evaluation_file: str) -> str:
    """The name of the evaluator's folder, as in OpenEvolve's examples; ``openevolve`` if that folder is temporary."""
    path = Path(evaluation_file).absolute()
    temporary = Path(tempfile.gettempdir()).absolute()
    if path.parent == temporary or (path.parent.name.startswith("openevolve_") and temporary in path.parents):
        return "openevolve"
    return path.parent.name or os.fspath(path.stem)
