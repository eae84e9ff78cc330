"""Runs the tests of each framework and instrumentation against the oldest and the newest version that pyproject.toml allows, and
tests of the package with the oldest of everything that it requires.

In: the name of one of :data:`TESTS`, or :data:`OLDEST`, or none for all of them, the checkout's environment and the package index. Out:
pytest's result for each version. Every version is installed into its own folder under build/versions, without its dependencies, and takes
precedence over the environment; the oldest of everything gets an environment. What `make test` runs with is the newest, if the lock is. On
failure: exit code 1, after all versions have been tested.

    python scripts/versions.py [NAME]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

CALLS = ["tests/whole/test_openevolve_calls.py", "tests/whole/test_instrument.py"]
TESTS = {
    "openevolve": [
        "tests/whole/test_openevolve.py",
        "tests/whole/test_openevolve_records.py",
        "tests/whole/test_openevolve_coevolution.py",
        "tests/whole/test_openevolve_off.py",
        *CALLS,
    ],
    "gepa": ["tests/whole/test_gepa.py", "tests/whole/test_gepa_calls.py"],
    "opentelemetry-instrumentation-genai-openai": CALLS,
    "openinference-instrumentation-openai": CALLS,
}
"""What is tested, and by which tests."""

WITHOUT = {
    # OpenEvolve has these since 0.4.1: coevolution, seeds of islands, rewrites among diffs.
    ("openevolve", "0.4.0"): "not coevolution and not island_seeds and not rewrites"
}
"""For a version that lacks features: the tests that it can run, as an argument to pytest's -k."""

OLDEST = "oldest"
"""The oldest versions of the package's own requirements and of those of :data:`EXTRAS`, all together."""
EXTRAS = ("", "embedded", "mcp", "ui")
USERS = [
    "tests/cli/test_check.py",
    "tests/cli/test_help.py",
    "tests/cli/test_mcp.py",
    "tests/emit/test_spans.py",
    "tests/serve/test_front.py",
    "tests/ship/test_otlp.py",
    "tests/store/test_prices.py",
    "tests/whole/test_config.py",
]
"""Where most of them are used."""
TOOLS = ("hypothesis", "numpy", "psutil", "pytest", "pytest-timeout")
"""What these tests need besides, of the extra `dev`."""


def required() -> list[Requirement]:
    """Everything that pyproject.toml names."""
    return [Requirement(line) for line in metadata.requires("genesis-otel") or ()]


def allowed(name: str) -> Requirement:
    """The range in pyproject.toml."""
    return next(one for one in required() if one.name == name)


def oldest(one: Requirement) -> str:
    """The first version of a range."""
    return next(each.version for each in one.specifier if each.operator == ">=")


def run_oldest() -> bool:
    """Whether the tests pass with the oldest of everything."""
    print(OLDEST, flush=True)
    folder = ROOT / "build" / "versions" / OLDEST
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    ours = [
        one
        for one in required()
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in EXTRAS)
    ]
    pins = {f"{one.name}=={oldest(one)}" for one in ours}
    tools = {f"{name}{allowed(name).specifier}" for name in TOOLS}
    pip = [python, "-m", "pip", "install", "--quiet", "--editable", str(ROOT), *sorted(pins | tools)]
    subprocess.run(pip, check=True, cwd=ROOT)
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *USERS]
    return subprocess.run(tests, check=False, cwd=ROOT).returncode == 0


def put(wanted: str, folder: Path) -> str:
    """Install a version into a folder; returns which version that is."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--pre"]
    subprocess.run([*pip, "--target", str(folder), wanted], check=True, cwd=ROOT)
    (found,) = metadata.distributions(path=[str(folder)])
    return found.version


def run(name: str, folder: Path, version: str) -> bool:
    """Whether the tests pass with a version."""
    print(f"{name} {version}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS[name]]
    if (name, version) in WITHOUT:
        command += ["-k", WITHOUT[name, version]]
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return subprocess.run(command, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}).returncode == 0


def main() -> None:
    """Test the oldest and the newest version of each."""
    known = [*TESTS, OLDEST]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(known)}")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in known]:
        parser.error(f"not known: {', '.join(unknown)}; there are {', '.join(known)}")
    failed = []
    for name in names or known:
        if name == OLDEST:
            failed += [] if run_oldest() else [OLDEST]
            continue
        told = allowed(name)
        seen: set[str] = set()
        for label, wanted in (("oldest", f"{name}=={oldest(told)}"), ("newest", f"{name}{told.specifier}")):
            folder = ROOT / "build" / "versions" / f"{name}-{label}"
            version = put(wanted, folder)
            if version not in seen and not run(name, folder, version):
                failed.append(f"{name} {version}")
            seen.add(version)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
