"""The demo's search as GEPA does it, in a process of its own: ``python -m genesis_otel.demo.evolve_gepa``.

In: one JSON object on standard input, an `Order`; ``OPENAI_API_KEY`` in the environment. Out: the recorded search, and GEPA's own files in
the results folder. Its log and its errors go to standard output and standard error, which the demo keeps in a file. On failure: a
traceback and exit code 1; what was recorded until then is there.
"""

import importlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genesis_otel.demo.circle_packing import evaluator
from genesis_otel.demo.evolve import INSTRUCTIONS, OBJECTIVES, PROBLEM, TASK, Order

QUESTION = f"""{INSTRUCTIONS}
# Current Program
```python
<curr_param>
```

# What it scored
<side_info>

Answer with one sentence and the whole new program within ``` blocks."""


def main() -> int:
    """Run the search that standard input orders."""
    order = Order(**json.load(sys.stdin))
    # Else LiteLLM asks the network for its prices.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from genesis_otel.configuration import configure
    from genesis_otel.instrumentation.gepa import instrument

    telemetry = configure(**order.settings)
    instrument(task=TASK, run_id=order.run_id, objectives=OBJECTIVES)
    try:
        _search(order)
    finally:
        telemetry.shutdown()
    return 0


def _search(order: Order) -> None:
    # A module of the name of its function.
    gepa = importlib.import_module("gepa.optimize_anything")
    gepa.optimize_anything(
        seed_candidate=(PROBLEM / "initial_program.py").read_text(encoding="utf-8"),
        evaluator=evaluate,
        config=gepa.GEPAConfig(
            engine=gepa.EngineConfig(
                run_dir=order.results,
                seed=order.seed,
                max_candidate_proposals=order.iterations,
                # A program that is wrong scores nothing, and the search goes on.
                raise_on_exception=False,
                cache_evaluation=True,
                cache_evaluation_storage="memory",
                frontier_type="objective",
                display_progress_bar=False,
            ),
            reflection=gepa.ReflectionConfig(
                reflection_lm=_model(order), reflection_prompt_template=QUESTION, skip_perfect_score=False
            ),
        ),
    )


def evaluate(program: str) -> tuple[float, dict[str, Any]]:
    """The score of a program, and what its objectives are; GEPA maximises all of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(program, encoding="utf-8")
        metrics = evaluator.evaluate(str(path))
    score = metrics.pop("combined_score")
    return score, {"scores": {"accuracy": metrics["accuracy"], "shortness": 1000 / metrics["size"]}, **metrics}


def _model(order: Order) -> Callable[[Any], str]:
    """GEPA's own clients, each asked as often as its weight says."""
    from gepa.lm import LM

    clients = [LM(f"openai/{name}", api_base=order.api_base, temperature=0.7) for name in order.models]
    chance = random.Random(order.seed)  # noqa: S311 (not for secrets)

    def ask(prompt: Any) -> str:
        (client,) = chance.choices(clients, list(order.models.values()))
        return client(prompt)

    return ask


if __name__ == "__main__":
    sys.exit(main())
