"""A search of ShinkaEvolve that packs circles, recorded: ``python examples/shinka/search.py RESULTS``."""

from __future__ import annotations

import os
import sys

from genesis_otel.demo import model
from genesis_otel.demo.evolve import PROBLEM


def search(results: str) -> None:
    """Run it: six programs, on one island."""
    from shinka.core import EvolutionConfig, ShinkaEvolveRunner
    from shinka.database import DatabaseConfig
    from shinka.launch import LocalJobConfig

    runner = ShinkaEvolveRunner(
        EvolutionConfig(
            task_sys_msg="Pack circles into a square.",
            num_generations=6,
            llm_models=["gpt-4.1-mini"],
            init_program_path=str(PROBLEM / "initial_program.py"),
            results_dir=results,
        ),
        LocalJobConfig(eval_program_path=str(PROBLEM / "evaluate.py"), python_executable=sys.executable),
        DatabaseConfig(num_islands=1),
        verbose=False,
    )
    runner.run()


if __name__ == "__main__":
    import genesis_otel

    genesis_otel.configure()
    genesis_otel.instrument()
    with model.serving(pace=0) as url:
        os.environ |= {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none-needed", "NO_PROXY": "127.0.0.1"}
        search(sys.argv[1])
