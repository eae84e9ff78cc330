"""A Genesis search for a program whose VALUE is pi."""

from __future__ import annotations

import sys
from pathlib import Path

import genesis_otel

HERE = Path(__file__).resolve().parent


def search(results: Path, generations: int = 4) -> None:
    """Run it."""
    from genesis.core import EvolutionConfig, EvolutionRunner
    from genesis.database import DatabaseConfig
    from genesis.launch import LocalJobConfig

    evolution = EvolutionConfig(
        num_generations=generations,
        patch_types=["full"],
        patch_type_probs=[1.0],
        llm_models=["gpt-4.1-mini"],
        llm_kwargs={"temperatures": [0.7]},
        init_program_path=str(HERE / "initial.py"),
        results_dir=str(results / "pi" / "results"),
    )
    job = LocalJobConfig(eval_program_path=str(HERE / "evaluate.py"))
    EvolutionRunner(evo_config=evolution, job_config=job, db_config=DatabaseConfig(), verbose=False).run()


if __name__ == "__main__":
    genesis_otel.configure()
    genesis_otel.instrument()
    search(Path(sys.argv[1]).resolve())
