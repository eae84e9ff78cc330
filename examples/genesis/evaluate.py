"""How near a program's VALUE is to pi: what Genesis starts as a job. It prints nothing: Genesis cannot store a first program whose output
has quotes or line breaks."""

from __future__ import annotations

import argparse
import json
import math
import runpy
from pathlib import Path


def main() -> None:
    """Evaluate one program, and write down what came out where Genesis looks for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--program_path")
    parser.add_argument("--results_dir", type=Path)
    told = parser.parse_args()
    metrics, error = {}, None
    try:
        value = float(runpy.run_path(told.program_path)["VALUE"])
        metrics = {"combined_score": -abs(value - math.pi), "public": {"value": value}, "private": {}}
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    (told.results_dir / "metrics.json").write_text(json.dumps(metrics))
    (told.results_dir / "correct.json").write_text(json.dumps({"correct": error is None, "error": error}))


if __name__ == "__main__":
    main()
