"""Has OpenAI client calls recorded that are not OpenEvolve's own, such as an evaluator's, once there are any.

In: the first such call. Out: OpenTelemetry's instrumentation of that client, if installed. It is started only then: its import takes
0.2 s of CPU, and each of its calls twice the time of one of ours, while OpenEvolve's own clients are recorded by `llm.Call`.
On failure: what is wrong is logged once, and the calls go on unrecorded.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import MethodType
from typing import Any

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation._when_imported import WhenImported
from genesis_otel.instrumentation.installed import CONTENT

METHODS = (
    ("openai.resources.chat.completions", ("Completions", "AsyncCompletions"), ("create", "parse")),
    ("openai.resources.embeddings", ("Embeddings", "AsyncEmbeddings"), ("create",)),
    ("openai.resources.responses", ("Responses", "AsyncResponses"), ("create", "parse", "stream")),
)
"""The methods that OpenTelemetry's instrumentation records."""
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MARK = "genesis_otel_original"

_watched: list[_Watched] = []
_coming: list[WhenImported] = []
"""Modules not imported yet: the client imports them at its first call."""
_started = False
_lock = threading.RLock()


def _forked() -> None:
    """In a forked child: another thread of the parent may have held the lock, and will never release it here."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)


class _Watched:
    """A client's method, replaced by a function until somebody calls it."""

    def __init__(self, owner: type, name: str, original: Callable[..., Any]) -> None:
        self.owner = owner
        self.name = name
        self.original = original
        self.is_put_back = False

        @functools.wraps(original)
        def blocking(client: Any, *args: Any, **kwargs: Any) -> Any:
            return self.called()(client, *args, **kwargs)

        @functools.wraps(original)
        async def awaited(client: Any, *args: Any, **kwargs: Any) -> Any:
            return await self.called()(client, *args, **kwargs)

        self.function = awaited if inspect.iscoroutinefunction(original) else blocking
        setattr(self.function, MARK, original)
        setattr(owner, name, self.function)

    def called(self) -> Callable[..., Any]:
        """The function to call instead."""
        if self.stands():
            _start()
        # If somebody has wrapped the function, it is their wrapper that records the call, and it calls us.
        method: Callable[..., Any] = getattr(self.owner, self.name) if self.is_put_back else self.original
        return method

    def stands(self) -> bool:
        """Whether our function is still in place."""
        return inspect.getattr_static(self.owner, self.name, None) is self.function

    def put_back(self) -> None:
        """Restore the method, unless somebody has replaced ours."""
        if self.stands():
            setattr(self.owner, self.name, self.original)
            self.is_put_back = True


def watch() -> None:
    """Wait for the first call."""
    if _watched or _coming or find_spec("opentelemetry.instrumentation.genai") is None:
        return
    for module, owners, methods in METHODS:
        coming = WhenImported(module, functools.partial(_watch, module, owners, methods))
        _coming.append(coming)
        coming.begin()


def _watch(module: str, owners: Sequence[str], methods: Sequence[str]) -> None:
    for owner in owners:
        client = getattr(sys.modules[module], owner, None)
        for name in methods:
            original = inspect.getattr_static(client, name, None)
            if isinstance(client, type) and inspect.isfunction(original):
                _watched.append(_Watched(client, name, original))


def is_told() -> bool:
    """Whether the environment sets content capture to anything but our default, which only OpenTelemetry's instrumentation understands."""
    wanted = os.environ.get(CAPTURE)
    return wanted is not None and wanted != CONTENT[CAPTURE]


def beneath(method: Callable[..., Any]) -> Callable[..., Any]:
    """A client's method, without our replacement."""
    if type(method) is not MethodType:  # a proxy: somebody has wrapped our replacement
        return method
    original = getattr(method, MARK, None)
    return method if original is None else original.__get__(method.__self__)


def stop() -> None:
    """Stop waiting, and stop what was started."""
    global _started
    with _lock:
        _put_all_back()
        if _started:
            from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

            OpenAIInstrumentor().uninstrument()
            _started = False


def begin() -> bool:
    """Start OpenTelemetry's instrumentation; returns whether it is now active."""
    global _started
    try:
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        for name, value in CONTENT.items():
            os.environ.setdefault(name, value)
        instrumentor = OpenAIInstrumentor()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()
            _started = True
        return bool(instrumentor.is_instrumented_by_opentelemetry)
    except ImportError:
        return False
    except Exception as error:
        pass_on(error)
        warn_once("openai", "OpenTelemetry's instrumentation of OpenAI's client could not be started", exc_info=True)
        return False


def _start() -> None:
    with _lock:
        if _watched:
            _put_all_back()
            begin()


def _put_all_back() -> None:
    while _coming:
        _coming.pop().stop()
    while _watched:
        _watched.pop().put_back()
