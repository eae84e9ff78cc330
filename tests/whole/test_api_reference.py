"""The API reference: built from docstrings without a warning, with every public name in it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sphinx.util.inventory import InventoryFile

import genesis_otel

ROOT = Path(__file__).parents[2]
INTERNAL = {"genesis_otel.demo", "genesis_otel.instrumentation.openevolve_run"}
"""Modules without an underscore that are not meant to be imported: the command and ``python -m`` run them."""


def public_modules() -> Iterator[ModuleType]:
    """Every module of the package that others may import."""
    for found in pkgutil.walk_packages(genesis_otel.__path__, "genesis_otel."):
        if any(part.startswith("_") for part in found.name.split(".")):
            continue
        if found.ispkg or any(found.name == each or found.name.startswith(f"{each}.") for each in INTERNAL):
            continue
        yield importlib.import_module(found.name)


MODULES = [genesis_otel, *public_modules()]


def public_names(module: ModuleType) -> list[str]:
    """The names that a module exports; for ``attributes``, its constants."""
    if module.__name__ == "genesis_otel.attributes":
        return [name for name in vars(module) if name.isupper()]
    names: list[str] = module.__all__
    return names


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every name that the reference describes, in the pages that `make docs` builds."""
    out = tmp_path_factory.mktemp("docs")
    recipe = re.search(r"^\t\$\(BIN\)/sphinx-build (.*) build/docs$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *recipe[1].split(), str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    inventory = InventoryFile.loads((out / "objects.inv").read_bytes(), uri="")
    return {name for kind, objects in inventory.data.items() if kind.startswith("py:") for name in objects}


def test_every_public_module_has_all() -> None:
    """Each public module has ``__all__``, whose names exist, once each; except ``attributes``, whose constants are all
    public."""
    assert len(MODULES) >= 8
    for module in MODULES:
        names = public_names(module)
        assert names and len(set(names)) == len(names), module.__name__
        assert all(hasattr(module, name) and not name.startswith("_") for name in set(names) - {"__version__"})


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType, reference: set[str]) -> None:
    """`make docs` emits no warning and describes each name that a public module exports, under a name that can be
    imported."""
    names = set(public_names(module)) - {"__version__"}
    if module is genesis_otel:
        # The package re-exports names of some of its modules.
        instrumentation = "genesis_otel.instrumentation"
        lenders = (
            *("genesis_otel.spans", "genesis_otel.configuration", "genesis_otel.reading"),
            *(f"{instrumentation}.installed", f"{instrumentation}.genesis_logger"),
        )
        described = {name for name in names if {f"{lender}.{name}" for lender in lenders} & reference}
    else:
        described = {name for name in names if f"{module.__name__}.{name}" in reference}
    assert names - described == set()


def test_every_public_function_and_class_has_a_docstring() -> None:
    """So does every public method of such a class: the reference leaves out whatever has no docstring."""
    bare = []
    for module in MODULES:
        for name in public_names(module):
            value = getattr(module, name)
            if not callable(value):
                continue
            bare += [f"{module.__name__}.{name}"] if not inspect.getdoc(value) else []
            if inspect.isclass(value):
                bare += [
                    f"{module.__name__}.{name}.{method}"
                    for method, found in inspect.getmembers(value)
                    if not method.startswith("_") and callable(found) and not inspect.getdoc(found)
                ]
    assert bare == []
