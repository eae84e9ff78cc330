"""The licences page has one for every package that is locked for users."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_dependency_has_a_licence_on_the_page() -> None:
    """A package that was added or renamed since the page was written is named, and fails the check."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "licences.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
