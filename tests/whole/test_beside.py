"""The package installs beside what its users have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "beside.py"


def test_it_resolves_beside_genesis() -> None:
    """Pip finds compatible versions for genesis-otel[embedded] and Genesis' pins. This needs the package index and
    fails without it; `make beside` checks every framework."""
    answer = subprocess.run([sys.executable, SCRIPT, "genesis"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "genesis: resolves\n"), answer.stdout + answer.stderr
