"""Writes ``requirements/*.txt``: every package that this checkout installs for itself, by version and hash.

In: pyproject.toml and the package index. Out: a file per entry of :data:`LOCKS`, valid for every supported Python and platform, with
a seal over its lines and what they were made from. On failure: uv's error, and its exit code; the file in question is
unchanged, or without a seal, which --check reports.

    make lock                                lock what pyproject.toml wants and is not locked yet; keep the rest
    make lock ARGS=--upgrade                 the newest version of everything
    make lock ARGS=--upgrade-package=NAME    the newest version of one package
    python scripts/lock.py --check           write nothing; exit code 1 and a line per file that this script did not write

uv is used because its one resolution covers every Python and platform; pip-tools resolves for the Python it runs on.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"

LOCKS = {
    # First: the others take their versions from it, since they share an environment.
    "dev": ["--extra=dev"],
    "demo": ["--extra=embedded", "--extra=openevolve", "--extra=ui"],
    # Only the package's own dependencies, for deploy/Dockerfile.
    "image": [],
    # What builds the package, and urllib3-future: installed first, because pip checks no hash of what it fetches for a build.
    "build": [],
}
"""The files, and uv's arguments for each."""

# A build fetches packages that are in no file, so nothing is built except the one package that must be (docs/grafana.md). In this
# order: for pip the second line overrides part of the first.
SOURCES = ["--only-binary=:all:", "--no-binary=urllib3-future"]

HEADER = "\n".join(
    ["# Written by `make lock`: do not edit. What each file is for: scripts/lock.py.", *SOURCES, "# seal: "]
)


def wanted() -> dict[str, Any]:
    """What the files are made from."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    return {
        # hatchling asks for editables only when it builds an editable wheel.
        "build": [*content["build-system"]["requires"], "editables>=0.5,<1"],
        "python": project["requires-python"],
        "dependencies": project["dependencies"],
        "extras": project["optional-dependencies"],
        "options": [SOURCES, LOCKS],
    }


def sealed(lines: str) -> str:
    """A file's text: its lines, under the seal that matches them and pyproject.toml."""
    digest = hashlib.sha256((json.dumps(wanted(), sort_keys=True) + lines).encode()).hexdigest()
    return f"{HEADER}{digest}\n{lines}"


def lines_of(path: Path) -> str:
    """A file's lines below the header."""
    return re.sub(rf"\A{re.escape(HEADER)}[0-9a-f]{{64}}\n", "", path.read_text(encoding="utf-8"))


def lock(name: str, arguments: list[str]) -> None:
    """Let uv resolve, and seal its output."""
    path = FOLDER / f"{name}.txt"
    told = wanted()
    oldest = told["python"].split(",")[0].removeprefix(">=")
    command = [sys.executable, "-m", "uv", "pip", "compile", "-" if name == "build" else "pyproject.toml", *LOCKS[name]]
    command += ["--quiet", "--no-header", f"--output-file={path}"]
    command += ["--universal", f"--python-version={oldest}", f"--python={sys.executable}", "--no-python-downloads"]
    command += ["--generate-hashes", "--no-emit-index-url", *SOURCES]
    if name != "dev":
        command += [f"--constraints={FOLDER / 'dev.txt'}"]
    done = subprocess.run([*command, *arguments], input="\n".join(told["build"]), text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    path.write_text(sealed(lines_of(path)), encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def main(arguments: list[str]) -> None:
    """Write the files, or check them."""
    if arguments != ["--check"]:
        for name in LOCKS:
            lock(name, arguments)
        return
    paths = [FOLDER / f"{name}.txt" for name in LOCKS]
    foreign = [
        path for path in paths if not path.exists() or path.read_text(encoding="utf-8") != sealed(lines_of(path))
    ]
    for path in foreign:
        print(f"{path.relative_to(ROOT)} is not what `make lock` wrote for this pyproject.toml", file=sys.stderr)
    if foreign:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
