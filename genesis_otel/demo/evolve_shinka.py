"""The demo's search run by ShinkaEvolve, in its own process: ``python -m genesis_otel.demo.evolve_shinka``.

In: an `Order` as one JSON object on standard input; ``OPENAI_API_KEY`` in the environment. Out: the recorded search, and shinka's own
files in the results folder. Its log and its errors go to standard output and standard error, which the demo keeps in a file. On
failure: a traceback and exit code 1; everything recorded until then is kept.
"""

import json
import os
import random
import sys
from typing import Any

from genesis_otel.demo.evolve import INSTRUCTIONS, OBJECTIVES, PROBLEM, TASK, WORKERS, Order


def main() -> int:
    """Run the search that standard input describes."""
    order = Order(**json.load(sys.stdin))
    os.environ["OPENAI_BASE_URL"] = order.api_base
    from genesis_otel.configuration import configure
    from genesis_otel.instrumentation.shinka import instrument

    telemetry = configure(**order.settings)
    instrument(task=TASK, run_id=order.run_id, objectives=OBJECTIVES)
    try:
        _runner(order).run()
    finally:
        telemetry.shutdown()
    return 0


def _runner(order: Order) -> Any:
    import numpy as np
    from shinka.core import EvolutionConfig, ShinkaEvolveRunner
    from shinka.database import DatabaseConfig
    from shinka.launch import LocalJobConfig

    random.seed(order.seed)
    np.random.seed(order.seed)
    models = list(order.models)
    return ShinkaEvolveRunner(
        EvolutionConfig(
            task_sys_msg=INSTRUCTIONS,
            # shinka counts the initial program as a generation.
            num_generations=order.iterations + 1,
            llm_models=models,
            llm_kwargs={"temperatures": [0.7], "max_tokens": 4096},
            meta_rec_interval=10,
            meta_llm_models=models[:1],
            novelty_llm_models=models[:1],
            code_embed_sim_threshold=0.9999,
            init_program_path=str(PROBLEM / "initial_program.py"),
            results_dir=order.results,
            max_patch_resamples=1,
            max_novelty_attempts=2,
        ),
        LocalJobConfig(
            eval_program_path=str(PROBLEM / "evaluate.py"), python_executable=sys.executable, time="00:00:30"
        ),
        # Small, so that within tens of programs some migrate between the islands and displace each other in the archive.
        DatabaseConfig(num_islands=2, archive_size=12, migration_interval=7),
        verbose=False,
        max_evaluation_jobs=WORKERS,
        max_proposal_jobs=WORKERS,
    )


if __name__ == "__main__":
    sys.exit(main())
