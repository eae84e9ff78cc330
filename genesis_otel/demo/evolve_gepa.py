"""The demo's search run by GEPA, in its own process: ``python -m genesis_otel.demo.evolve_gepa``.

In: an `Order` as one JSON object on standard input; ``OPENAI_API_KEY`` in the environment. Out: the recorded search, and GEPA's own files
in the results folder. Its log and its errors go to standard output and standard error, which the demo keeps in a file. On failure: a
traceback and exit code 1; everything recorded until then is kept.
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
    """Run the search that standard input describes."""
    order = Order(**json.load(sys.stdin))
    # Otherwise LiteLLM fetches its prices over the network.
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
    # The package has a function of the same name.
    gepa = importlib.import_module("gepa.optimize_anything")
    gepa.optimize_anything(
        seed_candidate=(PROBLEM / "initial_program.py").read_text(encoding="utf-8"),
        evaluator=evaluate,
        config=gepa.GEPAConfig(
            engine=gepa.EngineConfig(
                run_dir=order.results,
                seed=order.seed,
                max_candidate_proposals=order.iterations,
                # An invalid program scores nothing, and the search continues.
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
    """A program's score and its objectives, all of which GEPA maximises."""
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
