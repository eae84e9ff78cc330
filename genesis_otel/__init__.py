"""Observability for LLM-driven evolutionary code search: OpenTelemetry in, seven ClickHouse tables out.

In: the names below, loaded when they are first used, so that importing the package costs nothing. Out: see
:mod:`genesis_otel.spans` for what a search records, and :func:`configure` for where it goes. On failure: a name that needs
a package which is not installed raises ImportError at its first use. A signal handler that interrupts the loading cannot use these names:
where handlers record, import :mod:`genesis_otel.spans` before they are installed.

>>> import genesis_otel
>>> genesis_otel.configure()  # doctest: +SKIP
>>> with genesis_otel.run("circle_packing") as run:
...     ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genesis_otel._version import __version__

__all__ = [
    "__version__",
    "action",
    "attached",
    "configure",
    "connect",
    "environ",
    "evaluation",
    "from_environment",
    "generation",
    "individual",
    "install_logger",
    "instrument",
    "lineage",
    "llm_call",
    "pareto_front",
    "run",
]

ELSEWHERE = {
    "configure": "genesis_otel.configuration",
    "connect": "genesis_otel.reading",
    "install_logger": "genesis_otel.instrumentation.genesis_logger",
    "instrument": "genesis_otel.instrumentation.installed",
}
"""Where the names are that are not in :mod:`genesis_otel.spans`."""

if TYPE_CHECKING:
    from genesis_otel.configuration import configure
    from genesis_otel.instrumentation.genesis_logger import install_logger
    from genesis_otel.instrumentation.installed import instrument
    from genesis_otel.reading import connect
    from genesis_otel.spans import (
        action,
        attached,
        environ,
        evaluation,
        from_environment,
        generation,
        individual,
        lineage,
        llm_call,
        pareto_front,
        run,
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(ELSEWHERE.get(name, "genesis_otel.spans"))
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
