"""Asks PyPI's advisories about every package that requirements/ locks, with pip-audit in an environment of its own.

In: requirements/*.txt. Out: what pip-audit found, and exit code 1 where a package has a known vulnerability. On failure: where
advisories cannot be had, a line for each file says what was not audited and why, and the exit code is 0: a machine without the
network can still run `make check`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 15
"""Seconds for an answer."""


def audited(path: Path) -> tuple[list[str], str]:
    """The vulnerabilities of what a file locks, and what could not be asked for; empty where all could."""
    # What is locked is whole and has hashes: nothing is resolved or installed.
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off", "--timeout", str(TIMEOUT), "--requirement", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    flaws = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for each in packages
        for flaw in each.get("vulns", ())
    ]
    # Also what a mirror without advisories answers, for each package.
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    return flaws, f"no advisories are to be had for {len(skipped)} of {len(packages)} packages" if skipped else ""


def main() -> int:
    """Audit each file; 1 where something was found."""
    found: set[str] = set()
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        flaws, why = audited(path)
        if why:
            print(f"NOT AUDITED: {path.relative_to(ROOT)}: {why}", file=sys.stderr)
        else:
            print(f"audited: {path.relative_to(ROOT)}")
        found.update(flaws)
    for each in sorted(found):
        print(each, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
