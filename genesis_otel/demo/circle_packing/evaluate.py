"""What ShinkaEvolve runs for every program of the demo's search: `evaluator` as a command.

In: ``--program_path`` and ``--results_dir``. Out: ``metrics.json`` and ``correct.json`` there. On failure: an invalid program is recorded
as not correct, with the reason, and without a score.
"""

import argparse
import json
from pathlib import Path

from genesis_otel.demo.circle_packing import evaluator


def main() -> None:
    """Evaluate one program."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--program_path", required=True)
    arguments.add_argument("--results_dir", type=Path, required=True)
    told = arguments.parse_args()
    metrics, error = {}, None
    try:
        found = evaluator.evaluate(told.program_path)
        metrics = {"combined_score": found.pop("combined_score"), "public": found, "private": {}}
    except Exception as raised:  # whatever the program does
        error = f"{type(raised).__name__}: {raised}"
    told.results_dir.mkdir(parents=True, exist_ok=True)
    (told.results_dir / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (told.results_dir / "correct.json").write_text(
        json.dumps({"correct": error is None, "error": error}), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
