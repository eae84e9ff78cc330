"""The package installs beside what its users have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "beside.py"


def test_it_resolves_beside_genesis() -> None:
    """Pip finds versions of genesis-otel[embedded] and of Genesis' pins that go together. It asks the package index, without
    which this fails; `make beside` asks for every framework."""
    answer = subprocess.run([sys.executable, SCRIPT, "genesis"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "genesis: resolves\n"), answer.stdout + answer.stderr
