"""Replaces Genesis' own logger by ``ch_logger``, wherever Genesis imports it.

In: ``genesis.utils.clickhouse_logger``, already imported or not; Genesis imports it within functions, in nine places. Out: that module
has our ``ch_logger`` and ``ClickHouseLogger``, and so has every module that imported them from it before. On failure: nothing here
imports Genesis, and nothing raises if it is not installed.

Call it before Genesis logs anything: its own logger connects, and creates its own tables, on import.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from genesis_otel.clickhouse_logger import ClickHouseLogger, ch_logger

__all__ = ["install_logger"]

MODULE = "genesis.utils.clickhouse_logger"
PACKAGE = __name__.partition(".")[0]

_logger: ClickHouseLogger | None = None


def install_logger(logger: ClickHouseLogger | None = None) -> None:
    """Make Genesis log to this package. A further call without a logger changes nothing.

    :param logger: by default the one already installed, or ``ch_logger``.
    """
    global _logger
    _logger = logger or _logger or ch_logger
    if not any(isinstance(each, _Replacement) for each in sys.meta_path):
        sys.meta_path.insert(0, _Replacement())
    module = sys.modules.get(MODULE)
    if module is not None:
        _replace(module)


class _Replacement(MetaPathFinder, Loader):
    """Finds and loads the module, so that its packages are imported and hold it as they would hold Genesis' own."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, origin=__file__) if fullname == MODULE else None

    def exec_module(self, module: ModuleType) -> None:
        _replace(module)


def _replace(module: ModuleType) -> None:
    """Put our names into the module, and into every module that imported the previous ones, Genesis' own or ours."""
    for name, ours in (("ch_logger", _logger), ("ClickHouseLogger", ClickHouseLogger)):
        before = vars(module).get(name)
        setattr(module, name, ours)
        if before is None or before is ours:
            continue
        for other in list(sys.modules.values()):
            if isinstance(other, ModuleType) and other.__name__.partition(".")[0] != PACKAGE:
                for held in [held for held, value in list(vars(other).items()) if value is before]:
                    setattr(other, held, ours)
