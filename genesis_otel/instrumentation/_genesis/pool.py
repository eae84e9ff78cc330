"""Genesis' process pools, which ask several questions at once: their calls are recorded where they are made.

In: Genesis' functions for such a pool, and the context in which the pool is filled. Out: functions that can be sent to a spawned
process, which they set up like this one; a forked process already is. On failure: the questions are asked all the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from genesis_otel import spans
from genesis_otel._emit import configured
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._hooks import as_role, role_here

CLIENTS = "genesis.llm.llm"
FUNCTIONS = ("query_fn", "sample_kwargs_query_fn")
"""What Genesis runs in its pools."""

Setup = Callable[[], object]

_replaced: dict[str, Callable[..., Any]] = {}
"""Genesis' own functions while a pool is being filled; a forked process has them, too."""


@dataclass(frozen=True)
class Asking:
    """One of Genesis' functions, with what a process that was not forked needs to know."""

    name: str
    environ: Mapping[str, str]
    role: str
    setup: Setup | None
    instrument: Callable[[], None]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        here: AbstractContextManager[None] = nullcontext()
        try:
            # A forked process already has both the setup and the context.
            if configured.current() is None and self.setup is not None:
                self.setup()
            self.instrument()
            here = self._belonging()
        except Exception as error:
            pass_on(error)
            warn_once("genesis pool", "A pool's process cannot record what it does", exc_info=True)
        with here:
            return self._original()(*args, **kwargs)

    def _original(self) -> Callable[..., Any]:
        found: Callable[..., Any] = _replaced.get(self.name) or getattr(importlib.import_module(CLIENTS), self.name)
        return found

    @contextmanager
    def _belonging(self) -> Iterator[None]:
        with spans.attached(spans.from_environment(self.environ)), as_role(self.role):
            yield


@contextmanager
def filled(clients: Any, instrument: Callable[[], None]) -> Iterator[None]:
    """A block in which Genesis fills a pool; during it the functions are replaced in Genesis' module."""
    telemetry = configured.current()
    setup = None if telemetry is None else telemetry.setup
    for name in FUNCTIONS:
        if hasattr(clients, name):
            _replaced[name] = getattr(clients, name)
            setattr(clients, name, Asking(name, spans.environ(), role_here(), setup, instrument))
    try:
        yield
    finally:
        while _replaced:
            setattr(clients, *_replaced.popitem())
