"""docker-compose.yml and the files that it mounts, read and run without a Docker engine: for tests/deploy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
USERS = ET.parse(DEPLOY / "clickhouse" / "users.xml").getroot()  # noqa: S314 - our own file
PRODUCTION = ROOT / "docs" / "production.md"


def mounts(name: str) -> dict[str, str]:
    """The mounts of a service: a path of the checkout or the name of a volume for each path inside."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[name]["volumes"]}


def here(name: str, path: str, volumes: dict[str, Path] | None = None) -> Path:
    """The path on this machine for a path inside a service; folders stand for volumes."""
    for target, source in sorted(mounts(name).items(), reverse=True):
        if path == target or path.startswith(f"{target}/"):
            found = ROOT / source if source.startswith("./") else (volumes or {})[source]
            return found / path[len(target) :].lstrip("/") if path != target else found
    raise AssertionError(f"{name} sees no {path}")


def volumes_of(secrets: Path) -> dict[str, Path]:
    """The folders that the first start has filled, by volume."""
    return {
        volume: secrets / target.removeprefix("/secrets/")
        for target, volume in mounts("secrets").items()
        if target.startswith("/secrets/")
    }


def run_secrets(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", *(str(here("secrets", path)) for path in SERVICES["secrets"]["entrypoint"][1:]), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "SECRETS": str(folder),
            "USERS_XML": str(DEPLOY / "clickhouse" / "users.xml"),
            # Any program will do: the image's own is not available here.
            "BUSYBOX": sys.executable,
        },
        capture_output=True,
        text=True,
        check=check,
        timeout=200,
    )


def as_user(server: Path, user: str, statements: list[str]) -> list[Any]:
    """The result of each statement as that user: rows, or the code of the error."""
    for path in (server / "secrets" / "clickhouse").glob("*.xml"):
        shutil.copyfile(path, server / "users.d" / path.name)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "support" / "as_user.py"), user],
        input=json.dumps(statements),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=server,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(statements)
    return answers


def statements() -> list[str]:
    blocks = re.findall(r"```sql\n(.*?)```", PRODUCTION.read_text(encoding="utf-8"), re.DOTALL)
    found = [each.strip() for block in blocks for each in re.split(r";\s*$", block, flags=re.MULTILINE)]
    return [each for each in found if re.sub(r"--[^\n]*", "", each).strip()]
