"""Searches of the released ShinkaEvolve, and the rows that it has stored.

In: a folder, an endpoint, and settings. Out: the runner when it has ended; the rows of its database. On failure: what
shinka raises.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.support.shinka_endpoint import EVALUATE, INITIAL

MODEL = "gpt-4.1-mini"


def runner(
    folder: Path,
    *,
    generations: int = 6,
    seed: int = 1,
    islands: int = 2,
    models: tuple[str, ...] = (MODEL, "gpt-4.1"),
    initial: str = INITIAL,
    evaluate: str = EVALUATE,
    jobs: int = 2,
    proposals: int = 2,
    evo: dict[str, Any] | None = None,
    db: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
) -> Any:
    """A search that is ready to run; its files are in ``results`` of the folder."""
    import numpy as np
    from shinka.core import EvolutionConfig, ShinkaEvolveRunner
    from shinka.database import DatabaseConfig

    base = os.environ["OPENAI_BASE_URL"]
    # A custom model is identified by its URL.
    models = tuple(f"local/own@{base}" if name == "local" else name for name in models)
    random.seed(seed)
    np.random.seed(seed)
    problem = folder / "raise_a_number"
    problem.mkdir(exist_ok=True)
    (problem / "initial.py").write_text(initial)
    (problem / "evaluate.py").write_text(evaluate)
    settings: dict[str, Any] = {
        "num_generations": generations,
        "llm_models": list(models),
        "llm_kwargs": {"temperatures": [0.5], "max_tokens": 1000},
        "meta_rec_interval": 3,
        "meta_llm_models": [MODEL],
        "novelty_llm_models": [MODEL],
        "embedding_model": "text-embedding-3-small",
        "code_embed_sim_threshold": 0.9999,
        "init_program_path": str(problem / "initial.py"),
        "results_dir": str(folder / "results"),
        "max_patch_resamples": 2,
        "max_patch_attempts": 2,
        "max_novelty_attempts": 2,
    }
    return ShinkaEvolveRunner(
        EvolutionConfig(**{**settings, **(evo or {})}),
        jobs_of(str(problem / "evaluate.py"), job or {}),
        DatabaseConfig(num_islands=islands, archive_size=4, migration_interval=3, migration_rate=0.5, **(db or {})),
        verbose=False,
        max_evaluation_jobs=jobs,
        max_proposal_jobs=proposals,
    )


def jobs_of(program: str, settings: dict[str, Any]) -> Any:
    """Local jobs, or Slurm jobs if there is a partition."""
    from shinka.launch import LocalJobConfig
    from shinka.launch.scheduler import SlurmCondaJobConfig

    if "partition" in settings:
        return SlurmCondaJobConfig(eval_program_path=program, **settings)
    told = {"time": "00:00:20", **settings}
    return LocalJobConfig(eval_program_path=program, python_executable=sys.executable, **told)


def stored(folder: Path, table: str = "programs") -> list[dict[str, Any]]:
    """The rows of a table of shinka's, with JSON columns parsed."""
    database = sqlite3.connect(folder / "results" / "programs.sqlite")
    database.row_factory = sqlite3.Row
    try:
        rows = [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
    finally:
        database.close()
    for row in rows:
        for name in (
            "metadata",
            "details",
            "public_metrics",
            "private_metrics",
            "archive_inspiration_ids",
            "top_k_inspiration_ids",
        ):
            if name in row:
                row[name] = json.loads(row[name] or "{}")
    return rows
