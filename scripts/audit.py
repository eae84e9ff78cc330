"""Checks every package that requirements/ locks against PyPI's advisories, with pip-audit in its own environment.

In: requirements/*.txt. Out: what pip-audit found, and exit code 1 if a package has a known vulnerability. On failure: if advisories
cannot be fetched, a line per file says what was not audited and why, and the exit code is 0: a machine without network access can
still run `make check`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 15
"""Seconds to wait for an answer."""


def audited(path: Path) -> tuple[list[str], str]:
    """The vulnerabilities among a file's packages, and why some could not be checked; the latter is empty if all could."""
    # The lock file is complete and has hashes, so nothing is resolved or installed.
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
        return [], (done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1]
    flaws = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for each in packages
        for flaw in each.get("vulns", ())
    ]
    # A mirror without advisories also answers this, for each package.
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    return flaws, f"no advisories are available for {len(skipped)} of {len(packages)} packages" if skipped else ""


def main() -> int:
    """Audit each file; returns 1 if anything was found."""
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
