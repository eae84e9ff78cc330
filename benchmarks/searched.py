"""One OpenEvolve search, for `overhead.py`: both the program and the evaluator file.

In: as a program, how and where it is recorded. Out: OpenEvolve's own files, and a line per evaluation with its CPU time, in the file that
``EVALUATIONS`` names. Nothing of this package is imported unless the search is recorded.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

PROBLEM = Path(__file__).parents[1] / "genesis_otel" / "demo" / "circle_packing"
EVALUATIONS = "OVERHEAD_EVALUATIONS"


def evaluate(program_path: str) -> Any:
    """The demo's evaluation; its CPU time varies by chance and is subtracted from the search's."""
    measure = runpy.run_path(str(PROBLEM / "evaluator.py"))["evaluate"]
    began = time.thread_time()
    try:
        return measure(program_path)
    finally:
        with open(os.environ[EVALUATIONS], "a") as file:  # noqa: PTH123 - one write of one line
            file.write(f"{time.thread_time() - began}\n")


def search(way: str, folder: str, url: str, iterations: int, llm: Any) -> None:
    """Search for the given number of iterations."""
    if way == "recorded":
        import genesis_otel

        genesis_otel.configure(data_dir=folder)
    if way != "without":
        from genesis_otel.instrumentation.openevolve import instrument

        instrument(objectives={"accuracy": "max", "size": "min"}, llm=llm)
    from openevolve import run_evolution  # type: ignore[import-untyped]
    from openevolve.config import Config  # type: ignore[import-untyped]

    told: Any = Config.from_dict(
        {
            "log_level": "ERROR",
            "random_seed": 1,
            "checkpoint_interval": 50,
            "llm": {"primary_model": "gpt-4.1-mini"},
            "database": {"num_islands": 2},
            "evaluator": {"cascade_evaluation": False, "max_retries": 0, "parallel_evaluations": 2},
        }
    )
    for one in (told.llm, *told.llm.models, *told.llm.evaluator_models):
        one.api_base, one.api_key, one.retries, one.retry_delay = url, "sk-none", 1, 0
    files = (str(PROBLEM / "initial_program.py"), __file__)
    run_evolution(*files, config=told, iterations=iterations, output_dir=str(Path(folder) / "out"))


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
