"""Runs the tests of each framework and instrumentation against the oldest and the newest version that pyproject.toml allows.

In: the name of one of :data:`TESTS`, or none for all of them, the checkout's environment and the package index. Out: pytest's result for
each version. Every version is installed into its own folder under build/versions, without its dependencies, and takes precedence over
the environment. On failure: exit code 1, after all versions have been tested.

    python scripts/versions.py [NAME]
"""

from __future__ import annotations

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
    "gepa": ["tests/whole/test_gepa.py"],
    "opentelemetry-instrumentation-genai-openai": CALLS,
    "openinference-instrumentation-openai": CALLS,
}
"""What is tested, and by which tests."""

WITHOUT = {
    # OpenEvolve has these since 0.4.1: coevolution, seeds of islands, rewrites among diffs.
    ("openevolve", "0.4.0"): "not coevolution and not island_seeds and not rewrites"
}
"""For a version that lacks features: the tests that it can run, as an argument to pytest's -k."""


def allowed(name: str) -> Requirement:
    """The range in pyproject.toml."""
    told = (Requirement(line) for line in metadata.requires("genesis-otel") or ())
    return next(one for one in told if one.name == name)


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


def main(names: list[str]) -> None:
    """Test the oldest and the newest version of each."""
    failed = []
    for name in names or TESTS:
        told = allowed(name)
        oldest = next(one.version for one in told.specifier if one.operator == ">=")
        seen: set[str] = set()
        for label, wanted in (("oldest", f"{name}=={oldest}"), ("newest", f"{name}{told.specifier}")):
            folder = ROOT / "build" / "versions" / f"{name}-{label}"
            version = put(wanted, folder)
            if version not in seen and not run(name, folder, version):
                failed.append(f"{name} {version}")
            seen.add(version)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
