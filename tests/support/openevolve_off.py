"""A fully deterministic search of OpenEvolve: ``openevolve_off.py FOLDER URL [instrumented]``.

One worker, seeded ids in every process; hashes are determined by ``PYTHONHASHSEED``.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from pathlib import Path

SEEDED = random.Random("main")


def seeded_id() -> uuid.UUID:
    return uuid.UUID(int=SEEDED.getrandbits(128), version=4)


def main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    uuid.uuid4 = seeded_id
    os.register_at_fork(after_in_child=lambda: SEEDED.seed("worker"))
    if sys.argv[3:]:
        from genesis_otel.instrumentation.openevolve import instrument

        instrument(objectives={"accuracy": "max", "size": "min"})
    from openevolve import run_evolution  # type: ignore[import-untyped]
    from openevolve.config import Config  # type: ignore[import-untyped]

    problem = Path(__file__).parents[2] / "genesis_otel" / "demo" / "circle_packing"
    told = Config.from_dict(
        {
            "log_level": "ERROR",
            "random_seed": 5,
            "checkpoint_interval": 4,
            "llm": {"primary_model": "gpt-4.1-mini", "retries": 1, "retry_delay": 0, "api_key": "sk-test"},
            "database": {"num_islands": 2, "migration_interval": 2},
            "evaluator": {"cascade_evaluation": False, "max_retries": 0, "parallel_evaluations": 1},
        }
    )
    for model in (told.llm, *told.llm.models, *told.llm.evaluator_models):
        model.api_base, model.api_key = url, "sk-test"
    SEEDED.seed("main")  # imports may have generated ids
    run_evolution(
        str(problem / "initial_program.py"),
        str(problem / "evaluator.py"),
        config=told,
        iterations=12,
        output_dir=str(folder),
        cleanup=False,
    )


if __name__ == "__main__":
    main()
