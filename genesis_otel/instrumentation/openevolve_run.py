"""``openevolve-run``, recorded: ``python -m genesis_otel.instrumentation.openevolve_run program.py evaluator.py ...``

In: the arguments of ``openevolve-run``, and the environment, which says where spans go. Out: its exit code. On
failure: where spans cannot go anywhere, that is said once and the search runs unrecorded.
"""

import sys

from openevolve.cli import main as run  # type: ignore[import-untyped]

from genesis_otel.configuration import ensure_configured
from genesis_otel.instrumentation.openevolve import instrument


def main() -> int:
    """Run it."""
    ensure_configured()
    instrument()
    return int(run())


if __name__ == "__main__":
    sys.exit(main())
