"""The demo's search, in its own process: ``python -m genesis_otel.demo.evolve``.

In: an `Order` as one JSON object on standard input; ``OPENAI_API_KEY`` in the environment. Out: the recorded search, and OpenEvolve's
own files in the results folder. Its log and its errors go to standard output and standard error, which the demo keeps in a file.
On failure: a traceback and exit code 1; everything recorded until then is kept.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROBLEM = Path(__file__).with_name("circle_packing")
TASK = PROBLEM.name
OBJECTIVES = {"accuracy": "max", "size": "min"}
WORKERS = 2

INSTRUCTIONS = """\
You improve a Python program that packs 26 circles into the unit square. The sum of their radii is what counts: the
best packing that is known reaches 2.635. A packing is valid if every circle lies within the square and no two of
them overlap; anything else scores nothing, and so does a program that does not compile, crashes or makes more than
three million calls.

The program has three parts that can be changed apart from each other. start() says where the circles begin: a square
grid, shifted rows, rings. improve() moves them to make room: a local search with a number of rounds and a step, which
may become smaller with time. radii() says how large they can be where they are: all the same, or each as its
neighbours and the border allow. A better packing with longer code and a slightly poorer one with shorter code are both
of use, because a byte of code has a small price.

Change one thing at a time and say in one sentence why it should help. Keep the names and signatures of the functions,
and leave everything outside of the marked block as it is. Nothing but the standard library is at hand, and chance is
seeded: the same program always has the same score.
"""


@dataclass(frozen=True)
class Order:
    """What the search should do."""

    run_id: str
    results: str
    api_base: str
    models: dict[str, float]
    """Models, with how often each is asked."""
    iterations: int
    seed: int
    retries: int
    retry_delay: int
    settings: dict[str, Any]
    """As for `configure`."""

    def to_json(self) -> str:
        """The order in the form that the process reads."""
        return json.dumps(asdict(self))


def main() -> int:
    """Run the search that standard input describes."""
    order = Order(**json.load(sys.stdin))
    from genesis_otel.configuration import configure
    from genesis_otel.instrumentation.openevolve import instrument

    telemetry = configure(**order.settings)
    instrument(task=TASK, run_id=order.run_id, objectives=OBJECTIVES)
    try:
        best = asyncio.run(_search(order))
    finally:
        telemetry.shutdown()
    return 0 if best is not None else 1


async def _search(order: Order) -> Any:
    from openevolve import OpenEvolve  # type: ignore[import-untyped]

    search = OpenEvolve(
        initial_program_path=str(PROBLEM / "initial_program.py"),
        evaluation_file=str(PROBLEM / "evaluator.py"),
        config=_config(order),
        output_dir=order.results,
    )
    return await search.run(iterations=order.iterations)


def _config(order: Order) -> Any:
    from openevolve.config import (  # type: ignore[import-untyped]
        Config,
        DatabaseConfig,
        EvaluatorConfig,
        LLMConfig,
        LLMModelConfig,
        PromptConfig,
    )

    return Config(
        max_iterations=order.iterations,
        checkpoint_interval=10,
        random_seed=order.seed,
        llm=LLMConfig(
            api_base=order.api_base,
            api_key="${OPENAI_API_KEY}",
            models=[LLMModelConfig(name=name, weight=weight) for name, weight in order.models.items()],
            retries=order.retries,
            retry_delay=order.retry_delay,
        ),
        prompt=PromptConfig(system_message=INSTRUCTIONS),
        # Small, so that within tens of iterations programs migrate between the islands and displace each other in the archive.
        database=DatabaseConfig(population_size=40, archive_size=12, num_islands=2, migration_interval=4),
        evaluator=EvaluatorConfig(timeout=30, max_retries=0, cascade_evaluation=False, parallel_evaluations=WORKERS),
    )


if __name__ == "__main__":
    sys.exit(main())
