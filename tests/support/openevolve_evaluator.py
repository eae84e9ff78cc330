"""An evaluator for OpenEvolve with everything that one may do: stages of a cascade, artifacts, failures that follow from the program.

Which of them a program meets is decided by its text, so that it meets the same one whenever it is evaluated. ``evaluate`` is what
is called where no cascade is on; ``DIRECTION`` in the environment makes it an error that is to be small.
"""

import hashlib
import os
import time
from typing import Any

from openevolve.evaluation_result import EvaluationResult  # type: ignore[import-untyped]

from genesis_otel.demo.circle_packing import evaluator as packing

SECRET = "sk-proj-" + 2 * "aB3dE5gH7jK9mN1pQ2"


def _chance(program_path: str) -> int:
    with open(program_path, "rb") as file:  # noqa: PTH123  # as evaluators do
        return int(hashlib.sha256(file.read()).hexdigest()[:4], 16)


def evaluate(program_path: str) -> Any:
    """Metrics alone, or an error to be minimised."""
    metrics = packing.evaluate(program_path)
    if os.environ.get("DIRECTION") == "min":
        return {"error": 1 - metrics["accuracy"], "size": metrics["size"], "combined_score": metrics["accuracy"] - 1}
    return EvaluationResult(metrics=metrics, artifacts={"stdout": f"packed with {SECRET}\n", "radii": 26})


def evaluate_stage1(program_path: str) -> Any:
    """Raises where the program does."""
    return EvaluationResult(metrics=packing.evaluate(program_path), artifacts={"stdout": "stage 1\n"})


def evaluate_stage2(program_path: str) -> dict[str, float]:
    """Fails for every third program: with an exception, or because it takes too long."""
    chance = _chance(program_path)
    if chance % 6 == 0:
        time.sleep(float(os.environ["TOO_LONG"]))
    if chance % 3 == 0:
        raise ArithmeticError(f"stage 2 does not like {chance}")
    return {"robustness": chance % 100 / 100}


def evaluate_stage3(program_path: str) -> dict[str, float]:
    """Fails for every fifth program."""
    chance = _chance(program_path)
    if chance % 5 == 0:
        raise ArithmeticError(f"stage 3 does not like {chance}")
    return {"stress": chance % 7}
