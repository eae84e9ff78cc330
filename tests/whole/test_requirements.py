"""What the package and its tests import is named where it is installed from: pyproject.toml, or a recipe of the Makefile.

What another distribution brings is not enough: opentelemetry-exporter-otlp-proto-http 1.45.0 brought no requests, and
clickhouse-connect brings no lz4 for Python 3.14.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

THROUGH = {
    "anyio": "starlette",
    "chdb-core": "chdb",
    "numpy": "openevolve",
    "openai": "openevolve",
    "pydantic": "mcp",
}
"""Only for these it is enough that another distribution requires them: they are part of its own interface."""
OF_USERS = {"pandas", "polars", "pyarrow"}
"""Asked for by who calls `frame()`; the error says what to install."""
NOT_HERE = {"compression", "genesis", "shinka", "tomli"}
"""Modules that the development environment lacks: frameworks that it cannot have, and what depends on the Python."""
ELSEWHERE = {
    "genesis": (["tests/genesis/source.py"], ["embedded"]),
    "frameworks": (["tests/shinka/records.py", "tests/shinka/trouble.py", "tests/shinka/demo.py"], ["embedded"]),
}
"""Targets of the Makefile with an environment of their own: which tests they run there, and which extras it has."""


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports when it runs; not those that only type checkers see. With ``from a import b``, ``a.b``."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


@cache
def owners() -> dict[str, str]:
    """The distribution that each installed module is from."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or ():
            if file.suffix in (".py", ".so"):
                parts = [*file.parts[:-1], file.name.partition(".")[0]]
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[module] = name
    return found


def owner(module: str) -> str | None:
    """The distribution of a module or of what it contains; None if it is of this checkout, of Python, or not installed."""
    if module.partition(".")[0] in {*sys.stdlib_module_names, *NOT_HERE, "genesis_otel", "tests"}:
        return None
    parts = module.split(".")
    upwards = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(owners()[each] for each in upwards if each in owners())


def named(*extras: str) -> set[str]:
    """The distributions that pyproject.toml names, for the package alone or with extras."""
    lines = [*PROJECT["dependencies"]]
    lines += [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def unnamed(files: list[Path], known: set[str]) -> dict[str, str]:
    """Distributions that files import and that are not known, with one of the files."""
    known = known | {name for name, through in THROUGH.items() if through in known}
    pairs = ((owner(module), path) for path in files for module in imports(path))
    return {name: str(path.relative_to(ROOT)) for name, path in pairs if name is not None and name not in known}


def test_what_the_package_imports_is_required_by_name() -> None:
    """Every distribution whose modules the package imports is a requirement or in an extra."""
    extras = set(PROJECT["optional-dependencies"]) - {"dev"}
    assert unnamed(sorted((ROOT / "genesis_otel").rglob("*.py")), named(*extras) | OF_USERS) == {}


@pytest.mark.parametrize("name", sorted(THROUGH))
def test_what_comes_through_another_is_required_by_it(name: str) -> None:
    """The exceptions are required, without an extra, by the distribution that they are said to come through."""
    told = (Requirement(line) for line in importlib.metadata.requires(THROUGH[name]) or ())
    wanted = {
        canonicalize_name(each.name) for each in told if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    assert name in wanted


def loaded(path: Path) -> set[Path]:
    """A file of tests, and the other files of tests that it imports."""
    found: set[Path] = set()
    waiting = [path, ROOT / "tests" / "conftest.py", path.parent / "conftest.py"]
    while waiting:
        file = waiting.pop()
        if file not in found and file.exists():
            found.add(file)
            for module in imports(file):
                if module.startswith("tests."):
                    place = ROOT.joinpath(*module.split("."))
                    waiting += [place.with_suffix(".py"), place.parent.with_suffix(".py")]
    return found


@pytest.mark.parametrize("target", sorted(ELSEWHERE))
def test_an_environment_of_its_own_has_what_its_tests_import(target: str) -> None:
    """`make genesis` and `make frameworks` install what the tests that they run import, tests/conftest.py included."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (testing,) = re.findall(r"^TESTING := (.*)$", makefile, re.MULTILINE)
    (recipe,) = re.findall(rf"^{target}:.*\n((?:\t.*\n|    .*\n)+)", makefile, re.MULTILINE)
    words = re.findall(r"[a-z][\w.-]+", recipe.replace("$(TESTING)", testing))
    tests, extras = ELSEWHERE[target]
    assert all(each in recipe for each in tests)
    known = named(*extras) | {canonicalize_name(word) for word in words}
    # NumPy is ShinkaEvolve's own requirement.
    known |= {"numpy"} if target == "frameworks" else set()
    files = sorted(set[Path]().union(*(loaded(ROOT / each) for each in tests)))
    assert len(files) > len(tests) and unnamed(files, known) == {}
