"""A search of Genesis in a separate process, for tests/genesis/: ``genesis_driver.py HOW FOLDER GENERATIONS``."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import genesis_otel
from tests.support.genesis_model import EVALUATE, SEED


def search(folder: Path, generations: int, **told: Any) -> None:
    """Run it, in the environment that the caller has prepared."""
    from genesis.core import EvolutionConfig, EvolutionRunner
    from genesis.database import DatabaseConfig
    from genesis.launch import LocalJobConfig

    (folder / "initial.py").write_text(SEED)
    (folder / "evaluate.py").write_text(EVALUATE)
    evolution: dict[str, Any] = {
        "patch_types": ["full", "diff"],
        "patch_type_probs": [0.6, 0.4],
        "num_generations": generations,
        "max_parallel_jobs": 2,
        "llm_models": ["gpt-4.1-mini"],
        "llm_kwargs": {"temperatures": [0.5], "max_tokens": 1000},
        "meta_llm_models": ["gpt-4.1-nano"],
        "meta_llm_kwargs": {"temperatures": [0.0]},
        "embedding_model": "text-embedding-3-small",
        "init_program_path": str(folder / "initial.py"),
        "results_dir": str(folder / "packing" / "results"),
        **told,
    }
    runner = EvolutionRunner(
        evo_config=EvolutionConfig(**evolution),
        job_config=LocalJobConfig(eval_program_path=str(folder / "evaluate.py")),
        db_config=DatabaseConfig(num_islands=2),
        verbose=False,
    )
    runner.run()


def recorded(folder: Path, generations: int) -> None:
    """With one line before the search."""
    genesis_otel.configure()
    genesis_otel.instrument()
    search(folder, generations)


def spawned(folder: Path, generations: int) -> None:
    """With spawned process pools."""
    multiprocessing.set_start_method("spawn")
    genesis_otel.instrument()
    search(folder, generations)


def stopping(folder: Path, generations: int) -> None:
    """Stops when its budget, given in the environment, is spent."""
    genesis_otel.instrument(stop_over_budget=True)
    search(folder, generations)


def objectives(folder: Path, generations: int) -> None:
    """With objectives and a task name, instrumented after Genesis was imported."""
    from genesis.core import EvolutionRunner  # noqa: F401

    genesis_otel.instrument(task="by_name", objectives={"combined_score": "max", "size": "min"})
    search(folder, generations)


def untouched(folder: Path, generations: int) -> None:
    """Without an added line, for `opentelemetry-instrument`."""
    search(folder, generations)


def logger_alone(folder: Path, generations: int) -> None:
    """With only another logger."""
    genesis_otel.install_logger()
    search(folder, generations)


def crashing(folder: Path, generations: int) -> None:
    """Genesis itself ends the search with an exception when it makes its first patch."""
    genesis_otel.instrument()
    search(folder, generations, patch_types=["paper"], patch_type_probs=[1.0])


def crashing_logger_alone(folder: Path, generations: int) -> None:
    """The same, with only another logger."""
    genesis_otel.install_logger()
    search(folder, generations, patch_types=["paper"], patch_type_probs=[1.0])


if __name__ == "__main__":
    how, place, count = sys.argv[1:]
    hows = (recorded, spawned, stopping, objectives, untouched, logger_alone, crashing, crashing_logger_alone)
    {each.__name__: each for each in hows}[how](Path(place), int(count))
