"""Calls of OpenAI's client that are not OpenEvolve's own, as of an evaluator that asks a model: who records them, once there are any.

In: the first such call. Out: OpenTelemetry's instrumentation of that client, if it is installed. It is started then and not before:
its import takes 0.2 s of CPU, and each call of it twice what one of ours does, while OpenEvolve's own clients are recorded by `llm.Call`.
On failure: what is wrong is said once, and the calls go on unrecorded.
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
from genesis_otel._emit.values import warn_once
from genesis_otel.instrumentation._when_imported import WhenImported
from genesis_otel.instrumentation.installed import CONTENT

METHODS = (
    ("openai.resources.chat.completions", ("Completions", "AsyncCompletions"), ("create", "parse")),
    ("openai.resources.embeddings", ("Embeddings", "AsyncEmbeddings"), ("create",)),
    ("openai.resources.responses", ("Responses", "AsyncResponses"), ("create", "parse", "stream")),
)
"""What OpenTelemetry's instrumentation records."""
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MARK = "genesis_otel_original"

_watched: list[_Watched] = []
_coming: list[WhenImported] = []
"""Modules that nobody has imported yet: the client does so at a first call."""
_started = False
_lock = threading.RLock()


def _forked() -> None:
    """In a forked child: another thread of the parent may have been at it, and will never end here."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)


class _Watched:
    """A method of a client, with a function in its place until somebody calls it."""

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
        """What is to be called in its place."""
        if self.stands():
            _start()
        # Where somebody has wrapped the function, it is them who record the call, and they come by here.
        method: Callable[..., Any] = getattr(self.owner, self.name) if self.is_put_back else self.original
        return method

    def stands(self) -> bool:
        """Whether nobody has put anything else there."""
        return inspect.getattr_static(self.owner, self.name, None) is self.function

    def put_back(self) -> None:
        """Leave the method as it was."""
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
    """Whether the environment tells OpenTelemetry's instrumentation to leave contents out, or something else that it alone understands."""
    wanted = os.environ.get(CAPTURE)
    return wanted is not None and wanted != CONTENT[CAPTURE]


def beneath(method: Callable[..., Any]) -> Callable[..., Any]:
    """A client's method, without what is put in its place here."""
    if type(method) is not MethodType:  # a proxy: somebody has wrapped what is put there
        return method
    original = getattr(method, MARK, None)
    return method if original is None else original.__get__(method.__self__)


def stop() -> None:
    """Wait no more, and end what was started."""
    global _started
    with _lock:
        _put_all_back()
        if _started:
            from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

            OpenAIInstrumentor().uninstrument()
            _started = False


def begin() -> bool:
    """Start OpenTelemetry's instrumentation; whether it is active now."""
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
        warn_once("openai", "OpenTelemetry's instrumentation of OpenAI's client does not start", exc_info=True)
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
