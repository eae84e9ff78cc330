"""Asks pip whether genesis-otel[embedded] can be installed alongside its users' frameworks.

In: the name of one of :data:`BESIDE`, or none for all of them, and the package index. Out: pip's answer for each; nothing is
installed. On failure: exit code 1 and pip's reasons, whether a conflict or an index that does not answer.

    python scripts/beside.py [NAME]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BESIDE = {
    # Genesis pins these: instructor 1.7 wants rich < 14.
    "genesis": ["instructor>=1.7,<1.8", "rich<14"],
    # shinka pins httpx 0.27.
    "shinka": ["shinka-evolve==0.0.7"],
    "gepa": ["gepa"],
    "dspy": ["dspy"],
}
"""What genesis-otel must resolve alongside, as arguments to pip."""


def ask(name: str) -> subprocess.CompletedProcess[str]:
    """Pip's answer: exit code 0 if it finds a set of versions that fit together."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    return subprocess.run(
        [*command, f"{ROOT}[embedded]", *BESIDE[name]], capture_output=True, text=True, check=False, timeout=250
    )


def main(names: list[str]) -> None:
    """Ask for each, and print the result."""
    failed = False
    for name in names or BESIDE:
        answer = ask(name)
        failed = failed or answer.returncode != 0
        print(f"{name}: {'resolves' if answer.returncode == 0 else answer.stderr}", flush=True)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
