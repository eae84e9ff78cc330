"""Builds the live page from page/ into the package, or checks that what is committed is what page/ builds.

In: Node and npm, and page/package-lock.json, which pins every version. Out: genesis_otel/_ui/static/page.{js,css}. With --check
nothing is written: the exit code is 1 if a file differs, and 0 with a message if Node, or what npm installs, is not available.

    python scripts/build_page.py [--check]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, BUILT = ROOT / "page", ROOT / "genesis_otel" / "_ui" / "static"
FILES = ("page.js", "page.css")


def install() -> str:
    """Install what the lock file names; returns why that is impossible, or nothing."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"{tool} is not on the PATH"
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent"], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else f"npm ci failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"


def build(folder: Path) -> None:
    """Build into ``folder``."""
    subprocess.run(["node", "build.js", os.path.relpath(folder, SOURCE)], cwd=SOURCE, check=True)


def main() -> int:
    """Build or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    told = parser.parse_args()
    missing = install()
    if missing:
        print(f"THE PAGE WAS NOT {'COMPARED' if told.check else 'BUILT'}: {missing}", file=sys.stderr)
        return 0 if told.check else 1
    if not told.check:
        build(BUILT)
        return 0
    with tempfile.TemporaryDirectory() as made:
        build(Path(made))
        differing = [name for name in FILES if (Path(made) / name).read_bytes() != (BUILT / name).read_bytes()]
    for name in differing:
        print(f"{(BUILT / name).relative_to(ROOT)} is not what page/ builds: run make page", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
