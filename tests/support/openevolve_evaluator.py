"""An evaluator for OpenEvolve with everything that one may do: stages of a cascade, artifacts, failures that follow from the program.

``evaluate`` is what is called where no cascade is on: ``DIRECTION`` in the environment makes it an error that is to be small. Who fails
is decided by how many came before, which files in the folder ``TURNS`` tell.
"""

import os
import time
from itertools import count
from pathlib import Path
from typing import Any

from openevolve.evaluation_result import EvaluationResult  # type: ignore[import-untyped]

from genesis_otel.demo.circle_packing import evaluator as packing

SECRET = "sk-proj-" + 2 * "aB3dE5gH7jK9mN1pQ2"


def _turn(of: str) -> int:
    """How many evaluations came before, in any process."""
    folder = Path(os.environ["TURNS"])
    for number in count():
        try:
            (folder / f"{of}_{number}").touch(exist_ok=False)
            return number
        except FileExistsError:
            continue
    raise AssertionError("there is always another number")


def evaluate(program_path: str) -> Any:
    """Only metrics, or an error to be minimised."""
    metrics = packing.evaluate(program_path)
    if _turn("evaluate") % 5 == 3:
        raise ConnectionError("the machine is gone for a moment")
    if os.environ.get("DIRECTION") == "min":
        return {"error": 1 - metrics["accuracy"], "size": metrics["size"], "combined_score": metrics["accuracy"] - 1}
    return EvaluationResult(metrics=metrics, artifacts={"stdout": f"packed with {SECRET}\n", "radii": 26})


def evaluate_stage1(program_path: str) -> Any:
    """Raises if the program does."""
    return EvaluationResult(metrics=packing.evaluate(program_path), artifacts={"stdout": "stage 1\n"})


def evaluate_stage2(program_path: str) -> dict[str, float]:
    """Fails for two programs in four: with an exception, or by taking too long."""
    turn = _turn("stage2")
    if turn % 4 == 1:
        raise ArithmeticError(f"stage 2 does not like {turn}")
    if turn % 4 == 2:
        time.sleep(1.6)
    return {"robustness": turn / 100}


def evaluate_stage3(program_path: str) -> dict[str, float]:
    """Fails for every third program."""
    turn = _turn("stage3")
    if turn % 3 == 1:
        raise ArithmeticError(f"stage 3 does not like {turn}")
    return {"stress": float(turn)}
