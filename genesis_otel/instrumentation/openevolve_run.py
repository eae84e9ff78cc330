"""``openevolve-run``, recorded: ``python -m genesis_otel.instrumentation.openevolve_run program.py evaluator.py ...``

In: the arguments of ``openevolve-run``, ``--task`` and ``--run-id``, and the environment, which says where spans go. Out: its exit
code. On failure: if spans have nowhere to go, that is logged once and the search runs unrecorded.
"""

import argparse
import sys

from openevolve.cli import main as run  # type: ignore[import-untyped]

from genesis_otel.configuration import ensure_configured
from genesis_otel.instrumentation.openevolve import instrument


def main() -> int:
    """Run ``openevolve-run``, recorded."""
    ours = argparse.ArgumentParser(prog="openevolve_run", add_help=False, allow_abbrev=False)
    ours.add_argument("--task", help="What is evolved; by default the name of the evaluator's folder")
    ours.add_argument("--run-id", help="The run's id; a known run is resumed")
    told, sys.argv[1:] = ours.parse_known_args()
    if {"-h", "--help"} & set(sys.argv):
        print(f"{ours.format_help()}\nand all options of openevolve-run:\n")
    else:
        ensure_configured()
        instrument(task=told.task, run_id=told.run_id)
    return int(run())


if __name__ == "__main__":
    sys.exit(main())
