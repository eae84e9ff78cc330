"""What is published: the wheel and the sdist of this checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def built(kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=200)
    (path,) = folder.iterdir()
    return path


def ours() -> set[str]:
    """The files of this checkout: what git has, and what it would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    return {each for each in listed.splitlines() if (ROOT / each).exists()}


def test_the_sdist_has_the_files_of_the_checkout(tmp_path: Path) -> None:
    """Each file of the checkout, and nothing that tools have left in it."""
    with tarfile.open(built("sdist", tmp_path)) as sdist:
        found = {each.partition("/")[2] for each in sdist.getnames()}
    assert found == ours() | {"PKG-INFO"}


def test_the_wheel_has_the_package_and_grafanas_files(tmp_path: Path) -> None:
    """Each file of the package, dashboards and provisioning included, its licence, and nothing else."""
    with zipfile.ZipFile(built("wheel", tmp_path)) as wheel:
        found = {each for each in wheel.namelist() if ".dist-info/" not in each}
        assert any(each.endswith(".dist-info/licenses/LICENSE") for each in wheel.namelist())
    of_grafana = {f"genesis_otel/{each}" for each in ours() if each.startswith(("grafana/dashboards/", "grafana/prov"))}
    assert len(of_grafana) > 7
    assert found == {each for each in ours() if each.startswith("genesis_otel/")} | of_grafana
