"""requirements/*.txt, written by `make lock`: what `make demo`, `make test` and the image install is what
pyproject.toml allows."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
CONTENT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = CONTENT["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
LOCKS = {
    "build": None,
    "image": [],
    "demo": ["embedded", "openevolve", "ui"],
    "dev": ["dev"],
}
"""The extras that each file is for; `build` has what builds the package."""


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def requirements(name: str) -> list[Requirement]:
    """The pins of a file, each with its marker."""
    return [Requirement(line) for line in re.findall(r"^([a-z0-9].*?)(?: \\)?$", text_of(name), re.MULTILINE)]


def environment_of(python: str, system: str) -> dict[str, str]:
    """The markers' values on another kind of machine."""
    platform = {"linux": "Linux", "darwin": "Darwin"}[system]
    mine = {name: str(value) for name, value in default_environment().items()}
    return mine | {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": system,
        "platform_system": platform,
        "extra": "",
    }


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def wanted(name: str) -> Iterator[Requirement]:
    """The packages that pyproject.toml requires in a file; an extra of this package stands for its contents."""
    extras = LOCKS[name]
    if extras is None:
        yield from map(Requirement, CONTENT["build-system"]["requires"])
        return
    waiting = list(map(Requirement, PROJECT["dependencies"]))
    waiting += [Requirement(each) for extra in extras for each in PROJECT["optional-dependencies"][extra]]
    while waiting:
        requirement = waiting.pop()
        if requirement.name == PROJECT["name"]:
            waiting += [
                Requirement(each) for extra in requirement.extras for each in PROJECT["optional-dependencies"][extra]
            ]
        else:
            yield requirement


@pytest.mark.parametrize("system", ["linux", "darwin"])
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_lock_has_one_version_within_each_range(name: str, python: str, system: str) -> None:
    """For each Python and system, a file has every package at most once, and what pyproject.toml requires within its
    range."""
    environment = environment_of(python, system)
    pinned: dict[str, str] = {}
    for each in requirements(name):
        if applies(each, environment):
            (pin,) = each.specifier
            assert pin.operator == "==" and each.name not in pinned
            pinned[each.name] = pin.version
    named = [each for each in wanted(name) if applies(each, environment)]
    assert named
    for each in named:
        assert each.specifier.contains(pinned[each.name.lower()], prereleases=True), each


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_lock_has_hashes_and_no_index(name: str) -> None:
    """Each package has its hashes; no file names an index, and only allowed packages are built from source."""
    lines = text_of(name).splitlines()
    packages = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    assert packages.splitlines()[:2] == ["--only-binary=:all:", "--no-binary=urllib3-future"]
    entry = r"[a-z0-9-]+==[\w.!]+(?: ; [^\\\n]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\\n|\n|\Z))+"
    assert re.fullmatch(rf"(?:{entry})+", packages.split("\n", 2)[2])
    assert len(requirements(name)) == len(re.findall("^[a-z0-9-]+==", packages, re.MULTILINE))
    assert "://" not in text_of(name) and "--index" not in text_of(name)


def test_the_files_agree() -> None:
    """A package in two files has the same version in both, since an environment may be installed from both."""
    whole = {str(each) for each in requirements("dev")}
    for name in ("demo", "image"):
        assert {each.name for each in requirements(name)} < {each.name for each in requirements("dev")}
    for python in PYTHONS:
        environment = environment_of(python, "linux")
        pins = {each.name: each.specifier for each in map(Requirement, whole) if applies(each, environment)}
        for name in ("demo", "image", "build"):
            for each in requirements(name):
                if applies(each, environment):
                    assert pins.get(each.name, each.specifier) == each.specifier, (name, each.name)


def test_the_pythons_are_those_of_the_package() -> None:
    """The tested versions are the first that pyproject.toml admits, without a gap; it admits all later ones."""
    admitted = SpecifierSet(PROJECT["requires-python"])
    every = [python for python in (f"3.{minor}" for minor in range(100)) if python in admitted]
    assert every[: len(PYTHONS)] == PYTHONS and every[-1] == "3.99"


# --- what writes them, and what installs them -------------------------------------------------------------------------


def checked(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts" / "lock.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the check reads."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/lock.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_lock_is_up_to_date(checkout: Path) -> None:
    """The files are those that the script wrote for this pyproject.toml."""
    done = checked(checkout)
    assert done.returncode == 0, done.stderr


def test_a_changed_range_needs_a_new_lock(checkout: Path) -> None:
    """If pyproject.toml requires something else, the check names each file."""
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"rich>=13.8,<16"', '"rich>=13.9,<16"'))
    done = checked(checkout)
    assert done.returncode == 1
    assert re.findall(r"requirements/(\w+)\.txt", done.stderr) == ["dev", "demo", "image", "build"]


@pytest.mark.parametrize("change", [("==", "==1."), ("sha256:", "sha256:0"), ("# seal", "# steal")])
def test_an_edited_lock_is_detected(checkout: Path, change: tuple[str, str]) -> None:
    """A version, hash or header changed by hand is detected, and so is a missing file."""
    path = checkout / "requirements" / "demo.txt"
    path.write_text(path.read_text().replace(*change, 1))
    (checkout / "requirements" / "build.txt").unlink()
    done = checked(checkout)
    assert done.returncode == 1 and re.findall(r"requirements/(\w+)\.txt", done.stderr) == ["demo", "build"]


@pytest.mark.parametrize("name", ["demo", "dev"])
def test_make_installs_what_is_locked(name: str, tmp_path: Path) -> None:
    """Each pip of a target checks hashes or installs no dependencies, and downloads nothing for a build; a new lock is
    installed."""
    stamp = tmp_path / "venv" / f".{name}"
    command = ["make", "--dry-run", f"PYTHON={sys.executable}", f"VENV={stamp.parent}", str(stamp)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    build, locked, editable = re.findall(r"/pip install (.*)", said)
    assert "--require-hashes --requirement requirements/build.txt" in build
    assert f"--require-hashes --requirement requirements/{name}.txt" in locked and "--no-build-isolation" in locked
    assert "--no-deps --no-build-isolation --editable ." in editable
    stamp.parent.mkdir()
    stamp.touch()
    assert "up to date" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    newer = [*command, f"--what-if=requirements/{name}.txt"]
    assert "pip install" in subprocess.run(newer, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_urllib3_is_the_real_one() -> None:
    """grafana-client's HTTP library was built here, beside urllib3 and not in its place."""
    files = [str(path) for path in importlib.metadata.files("urllib3-future") or []]
    assert any(path.startswith("urllib3_future/") for path in files)
    assert not [path for path in files if path.startswith("urllib3/") or path.endswith(".pth")]
