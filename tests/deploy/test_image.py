"""deploy/Dockerfile without a Docker engine: its steps, run in a folder, on the files that its build would see.

The folder stands for the root of the image, and a fresh environment of this Python for the base image. The steps
install from the package index (or pip's cache), as a build does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from genesis_otel import __version__
from genesis_otel._store import tables
from tests.support.pipeline import PASSWORD, Store, running

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"][
    "schema"
]

PIP_CACHE = subprocess.run(
    [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
).stdout.strip()


# --- what a build sees ------------------------------------------------------------------------------------------------


def expression(pattern: str) -> str:
    """A pattern of .dockerignore as a regular expression: `*` stays within a folder, `**` does not."""
    parts = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[[^]]+\]|\\?.", pattern)
    return "".join(parts.get(token, token if token[0] in "[\\" else re.escape(token)) for token in tokens)


def let_through(folder: Path, ignore: str) -> list[str]:
    """The files of a folder that .dockerignore leaves in a build: of the patterns that match a file or one of its
    folders, the last one decides."""
    patterns = []
    for line in ignore.splitlines():
        if (text := line.strip()) and not line.startswith("#"):
            excepted, text = text.startswith("!"), text.removeprefix("!").strip()
            clean = os.path.normpath(text).lstrip("/")
            patterns.append((re.compile(expression(clean)), clean, excepted))

    def kept(name: str) -> bool:
        above = [name, *(str(each) for each in PurePosixPath(name).parents)]
        fitting = [excepted for pattern, _, excepted in patterns if any(pattern.fullmatch(each) for each in above)]
        return not fitting or fitting[-1]

    found = []
    for at, folders, files in os.walk(folder):
        where = Path(at).relative_to(folder)
        # As in Docker, an ignored folder is entered only if an exception may be inside.
        folders[:] = [
            each
            for each in folders
            if kept(name := (where / each).as_posix())
            or any(excepted and (text.startswith(f"{name}/") or "*" in text) for _, text, excepted in patterns)
        ]
        found += [name for each in files if kept(name := (where / each).as_posix())]
    return sorted(found)


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("", ["README.md", "a/b/temporary.txt", "a/temporary.txt", "docs/SECRET.md", "docs/a.md"]),
        ("*/temp*", ["README.md", "a/b/temporary.txt", "docs/SECRET.md", "docs/a.md"]),
        ("**/temp*", ["README.md", "docs/SECRET.md", "docs/a.md"]),
        ("*.md", ["a/b/temporary.txt", "a/temporary.txt", "docs/SECRET.md", "docs/a.md"]),
        ("# *\n/docs/\na", ["README.md"]),
        ("*\n!docs\ndocs/S?CRET.md", ["docs/a.md"]),
        ("*\n!docs/a.md\n!a/b", ["a/b/temporary.txt", "docs/a.md"]),
        ("!docs\n*", []),
    ],
)
def test_the_ignored_files_are_those_that_docker_ignores(tmp_path: Path, ignore: str, kept: list[str]) -> None:
    """Patterns have Docker's meaning: relative to the root, in order, with exceptions."""
    for name in ("README.md", "a/temporary.txt", "a/b/temporary.txt", "docs/a.md", "docs/SECRET.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert let_through(tmp_path, ignore) == kept


# --- the build --------------------------------------------------------------------------------------------------------


@dataclass
class Image:
    """The result of a build: a root folder, and how a container of it starts."""

    root: Path
    at: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def inside(self, path: str) -> Path:
        """The path here for a path of the image."""
        return self.root / os.path.normpath(os.path.join(self.at, path)).lstrip("/")  # noqa: PTH118 - not a path of this machine

    def environment(self) -> dict[str, str]:
        """A container's environment: none of the caller's variables, except those that say how to reach a package
        index."""
        own = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_")) or "proxy" in name.lower()
        }
        return {
            **own,
            "PATH": f"{self.root}/usr/local/bin:{self.root}/venv/bin:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
        }


def run(
    image: Image, command: list[str], variables: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=image.inside("."),
        env={**image.environment(), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def steps(dockerfile: str) -> Iterator[tuple[str, dict[str, str], str]]:
    """The instructions, with their options and arguments."""
    lines = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            options = dict(re.findall(r"--(\w+)=(\S+) ", re.match(r"((?:--\w+=\S+ +)*)", rest)[1]))  # type: ignore[index]
            yield name, options, re.sub(r"^(?:--\w+=\S+ +)*", "", rest).strip()


def copy(image: Image, context: Path, options: dict[str, str], rest: str) -> None:
    """COPY: files into a folder or to a name; of a folder, its contents."""
    *sources, target = shlex.split(rest)
    assert len(sources) == 1 or target.endswith("/"), "more than one is copied into a folder, whose name ends in /"
    for source in sources:
        origin, aim = context / source, image.inside(target)
        assert origin.exists(), f"the build does not see {source}"
        if origin.is_dir():
            shutil.copytree(origin, aim, dirs_exist_ok=True)
            continue
        if target.endswith("/"):
            aim = aim / origin.name
        aim.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, aim)
        if "chmod" in options:
            aim.chmod(int(options["chmod"], 8))


def build(root: Path, context: Path) -> Image:
    """Execute the Dockerfile, step by step."""
    image = Image(root)
    for name, options, rest in steps(DOCKERFILE.read_text(encoding="utf-8")):
        if name == "FROM":
            image.inside("home").mkdir(parents=True)
            subprocess.run([sys.executable, "-m", "venv", str(root / "venv")], check=True, timeout=120)
        elif name == "WORKDIR":
            image.at = rest
            image.inside(".").mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            copy(image, context, options, rest)
        elif name == "RUN":
            assert not re.search(r"(?<![\w.])/|\$|~", rest), "a path of the image would be one of this machine"
            # The step's cache is pip's cache on this machine.
            told = {"PIP_CACHE_DIR": PIP_CACHE} if "type=cache" in options.get("mount", "") else {}
            run(image, ["sh", "-c", rest], told)
        elif name == "USER":
            pass  # another user could not read the folders of a test; test_services.py checks which user it is
        elif name == "ENTRYPOINT":
            image.entrypoint = tuple(json.loads(rest))
        elif name == "CMD":
            image.command = tuple(json.loads(rest))
        else:
            pytest.fail(f"this test does not know {name}")
    return image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of the service `schema`, built only from what the build sees."""
    context = tmp_path_factory.mktemp("context")
    for name in let_through(ROOT, (DOCKERFILE.parent / f"{DOCKERFILE.name}.dockerignore").read_text(encoding="utf-8")):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, context / name)
    return build(tmp_path_factory.mktemp("image"), context)


def container(
    image: Image, *command: str, host: str = "", secrets: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the entry point with a command, or the image's default; its secrets are in another folder than in a
    container."""
    program = shutil.which(image.entrypoint[0], path=image.environment()["PATH"])
    assert program, f"the image has no {image.entrypoint[0]}"
    text = Path(program).read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\n") and stat.S_IMODE(Path(program).stat().st_mode) == 0o755
    told = ["sh", "-c", text.replace("/run/genesis", str(secrets)), *image.entrypoint, *(command or image.command)]
    return run(image, told, {"CLICKHOUSE_HOST": host}, check=False)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that the service mounts, with the password of a store of these tests."""
    (tmp_path / "password").write_text(PASSWORD)
    return tmp_path


def test_the_build_sees_its_files_and_no_others() -> None:
    """Docker sends exactly what the steps copy: no tests, no data, no files that a run left behind."""
    copied = [
        part
        for name, _, rest in steps(DOCKERFILE.read_text(encoding="utf-8"))
        if name == "COPY"
        for part in shlex.split(rest)[:-1]
    ]
    seen = let_through(ROOT, (DOCKERFILE.parent / f"{DOCKERFILE.name}.dockerignore").read_text(encoding="utf-8"))
    assert all(any(name == part or name.startswith(f"{part}/") for part in copied) for name in seen)
    assert all(any(name == part or name.startswith(f"{part}/") for name in seen) for part in copied)
    assert not [name for name in seen if "__pycache__" in name]


def test_the_image_is_built_as_compose_builds_it() -> None:
    """The service names this Dockerfile and the checkout; the Python of its base is one that the package supports."""
    assert (ROOT / SERVICE["build"]["dockerfile"]).samefile(DOCKERFILE)
    assert (ROOT / "docker-compose.yml").parent.joinpath(SERVICE["build"]["context"]).samefile(ROOT)
    base = re.search(r"^FROM python:(3\.\d+)\.", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert base and f"Python :: {base[1]}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_image_has_what_is_locked(image: Image) -> None:
    """It contains only this package, its locked dependencies, and Python's own pip; the embedded engine is not in
    it."""
    listed = json.loads(run(image, ["pip", "list", "--format=json", "--disable-pip-version-check"]).stdout)
    there = {re.sub("[-_.]+", "-", each["name"]).lower(): each["version"] for each in listed}
    locked = {
        pin
        for name in ("image", "build")
        for pin in re.findall(
            r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE
        )
    }
    assert there.pop("genesis-otel") == __version__ and there.pop("pip")
    there.pop("setuptools", None)  # with Python 3.11 and older
    assert set(there.items()) <= locked
    assert "chdb" not in there and "clickhouse-connect" in there
    run(image, ["pip", "check", "--disable-pip-version-check"])


def test_the_image_has_the_dashboards(image: Image) -> None:
    """The wheel that it builds contains the whole package, including SQL and Grafana's files."""
    files = run(image, ["pip", "show", "--files", "--disable-pip-version-check", "genesis-otel"]).stdout
    for path in (*ROOT.glob("genesis_otel/sql/**/*.sql"), *ROOT.glob("grafana/dashboards/*.json")):
        assert re.search(rf"genesis_otel/.*{re.escape(path.name)}$", files, re.MULTILINE), path


def test_the_image_s_command_answers(image: Image, secrets: Path) -> None:
    """The entry point passes its arguments on."""
    done = container(image, "--help", secrets=secrets)
    assert done.returncode == 0, done.stderr
    assert "reprice" in done.stdout
    assert container(image, "--version", secrets=secrets).stdout.split()[-1] == __version__


def test_the_image_creates_the_tables(image: Image, secrets: Path, tmp_path: Path) -> None:
    """At every start the service creates database and tables in a store with the password from its file, does nothing
    the second time, and writes nothing into the image, which is read-only there."""
    store = Store(tmp_path / "store")
    before = sorted(path for path in image.root.rglob("*") if "__pycache__" not in path.parts)
    with running(store):
        first, second = (container(image, host=f"127.0.0.1:{store.port}", secrets=secrets) for _ in range(2))
        assert first.returncode == second.returncode == 0, first.stderr + second.stderr
        # By hand, as in docker-compose.yml.
        by_hand = container(image, "reprice", host=f"127.0.0.1:{store.port}", secrets=secrets)
        assert by_hand.returncode == 0, by_hand.stderr
        with contextlib.closing(store.client(database="genesis")) as client:
            made = {row[0] for row in client.query("SHOW TABLES").result_rows}
    assert {*tables.TABLES, tables.LANDING} <= made
    assert len(first.stdout.splitlines()) > len(second.stdout.splitlines())
    assert PASSWORD not in first.stdout + first.stderr
    assert sorted(path for path in image.root.rglob("*") if "__pycache__" not in path.parts) == before


def test_the_image_says_why_it_fails(image: Image, secrets: Path) -> None:
    """Without ClickHouse, or without the password's file, the service ends with a non-zero exit code, which Compose
    sees, and a reason."""
    refused = container(image, host="127.0.0.1:9", secrets=secrets)
    assert refused.returncode != 0 and "127.0.0.1:9" in refused.stderr
    without = container(image, secrets=secrets / "nothing")
    assert without.returncode != 0 and "password" in without.stderr
