"""A coevolution of OpenEvolve that logs what it does: ``openevolve_coevolution.py FOLDER URL RUN_ID ROUNDS RESUME``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from openevolve.coevolution import Population, run_coevolution  # type: ignore[import-untyped]
from openevolve.config import Config  # type: ignore[import-untyped]

from tests.support.openevolve_settings import write_down


def config(url: str, seed: int) -> Any:
    """The configuration of one population, with two islands and two workers."""
    told = Config.from_dict(
        {
            "log_level": "ERROR",
            "random_seed": seed,
            "llm": {"primary_model": "gpt-4.1-mini"},
            "database": {"num_islands": 2, "migration_interval": 2, "population_size": 10},
            "evaluator": {"parallel_evaluations": 2, "max_retries": 0},
        }
    )
    for model in (told.llm, *told.llm.models, *told.llm.evaluator_models):
        model.api_base, model.api_key, model.retries, model.retry_delay = url, "sk-test", 1, 0
    return told


def evaluate(path: str, population: str, opponents: Any) -> dict[str, float]:
    """A score against these opponents; a program that fails loses."""
    from genesis_otel.demo.circle_packing import evaluator

    try:
        accuracy = evaluator.evaluate(path)["accuracy"]
    except Exception:
        return {"combined_score": -1.0}
    return {"combined_score": accuracy - len(opponents) / 10, "accuracy": accuracy}


def main() -> None:
    folder, url, run_id, rounds, resume = Path(sys.argv[1]), *sys.argv[2:6]
    folder.mkdir(exist_ok=True)
    write_down(folder)
    import genesis_otel
    from genesis_otel.demo.evolve import PROBLEM
    from genesis_otel.instrumentation.openevolve import instrument

    genesis_otel.configure(data_dir=folder.parent)
    instrument(run_id=run_id or None)
    seed = PROBLEM / "initial_program.py"
    result = run_coevolution(
        {"red": Population(seed, config(url, 5)), "blue": Population(seed, config(url, 6))},
        evaluate,
        output_dir=str(folder / "out"),
        evaluation_id="packing",
        rounds=int(rounds),
        iterations_per_phase=4,
        resume=resume == "yes",
    )
    print(*(program.id for program in result.champions.values()))


if __name__ == "__main__":
    main()
