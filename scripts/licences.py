"""Writes docs/licences.md: the licence of every package that a search may have installed along with this one.

In: requirements/image.txt and requirements/demo.txt, and the metadata of the packages in this environment. Out: the page. On
failure: a package that is not installed here keeps its previous entry, or is listed as unknown, which --check reports.

    python scripts/licences.py            write the page
    python scripts/licences.py --check    write nothing; exit code 1 if a locked package is missing, or its licence unknown
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
FILES = ("image", "demo")
UNKNOWN = "unknown"
HEAD = """# Licences of dependencies

What `pip install 'genesis-otel[embedded,openevolve,ui]'` brings, by the packages' own metadata; written by
`python scripts/licences.py`. genesis-otel itself is under the [Apache licence](../LICENSE).

| package | licence |
|---|---|
"""


def locked() -> list[str]:
    """The names of all packages locked for users."""
    lines = "\n".join((ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8") for name in FILES)
    return sorted({name.lower() for name in re.findall(r"^([A-Za-z0-9][\w.-]*)==", lines, re.MULTILINE)})


def listed() -> dict[str, str]:
    """The present entries of the page."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    return dict(re.findall(r"^\| ([a-z0-9][\w.-]*) \| ([^|]+) \|$", text, re.MULTILINE))


def licence(name: str, before: str) -> str:
    """A package's licence according to its metadata."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return before

    def field(name: str) -> str:
        return about[name].strip() if name in about else ""

    classified = [
        each.rpartition(" :: ")[2] for each in about.get_all("Classifier") or [] if each.startswith("License ::")
    ]
    told = field("License-Expression") or ", ".join(classified) or field("License")
    # Some packages put the whole text there.
    return " ".join(told.splitlines()[0].split())[:60] if told else before


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    before = listed()
    if "--check" in arguments:
        missing = [name for name in locked() if before.get(name, UNKNOWN) == UNKNOWN]
        for name in missing:
            print(f"docs/licences.md does not give the licence of {name}", file=sys.stderr)
        return 1 if missing else 0
    rows = [f"| {name} | {licence(name, before.get(name, UNKNOWN))} |" for name in locked()]
    PAGE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
