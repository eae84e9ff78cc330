"""An OpenEvolve search of the demo's circle packing, with two workers."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import Any

import genesis_otel
from genesis_otel.demo import model
from genesis_otel.demo.evolve import PROBLEM
from genesis_otel.instrumentation.openevolve import instrument


def search(url: str, iterations: int, folder: str) -> Any:
    """Run it; what comes back is OpenEvolve's result."""
    from openevolve import run_evolution  # type: ignore[import-untyped]
    from openevolve.config import Config, LLMConfig, LLMModelConfig  # type: ignore[import-untyped]

    config = Config(
        log_level="WARNING",
        llm=LLMConfig(
            api_base=url,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            models=[LLMModelConfig(name="gpt-4.1-mini")],
            retry_delay=1,
        ),
    )
    config.evaluator.cascade_evaluation = False
    config.evaluator.parallel_evaluations = 2
    program, evaluator = PROBLEM / "initial_program.py", PROBLEM / "evaluator.py"
    return run_evolution(str(program), str(evaluator), config=config, iterations=iterations, output_dir=folder)


if __name__ == "__main__":
    genesis_otel.configure()
    instrument(objectives={"accuracy": "max", "size": "min"})
    with contextlib.ExitStack() as stack:
        asked = os.environ.get("OPENAI_BASE_URL") or stack.enter_context(model.serving())
        search(asked, int(sys.argv[1]) if sys.argv[1:] else 10, stack.enter_context(tempfile.TemporaryDirectory()))
