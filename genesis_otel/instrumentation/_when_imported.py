"""Patches a package when it is imported, not before: importing a framework takes seconds, and evaluations may not need it.

In: a module's name, and a patch to run once the module has been executed, or at once if it already has. Out: the package's own modules.
On failure: the import goes on, and what the patch raised is logged once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once


class WhenImported(MetaPathFinder):
    """Finds one module as Python does, and runs the patch after its execution."""

    def __init__(self, module: str, patch: Callable[[], None]) -> None:
        self._module = module
        self._patch = patch

    def begin(self) -> None:
        """Patch, or wait for the import."""
        if self._module in sys.modules:
            self._patch()
        else:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def is_waiting(self) -> bool:
        """Whether the module has not been imported yet."""
        return self in sys.meta_path

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's own spec, whose execution ends with the patch."""
        if name != self._module:
            return None
        self.stop()
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def execute_and_patch(module: ModuleType) -> None:
                execute(module)
                try:
                    self._patch()
                except Exception as error:
                    pass_on(error)
                    warn_once(f"patch {name}", "%s is not recorded", name, exc_info=True)

            loader.exec_module = execute_and_patch
        return spec
