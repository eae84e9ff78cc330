"""A function whose calls are recorded: what ``@evaluation`` and ``@llm_call`` return.

In: a function of any kind (plain, ``async``, a generator, an asynchronous generator), and a recorder that starts a handle and passes
results to it. Out: a function of the same kind, name and signature, which takes and returns the very same objects. On failure: an
exception of the function is recorded and propagates; what cannot be recorded of a result is dropped with one warning.

A generator is recorded from its first step to its last, and its handle is current only while its own code runs, not in between, while
its consumer's code does. The four kinds are written out, although they are alike in pairs: code that awaits cannot be shared with code that
does not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Protocol, TypeVar, cast

from genesis_otel._emit.context import attached
from genesis_otel._emit.handle import Handle
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once

F = TypeVar("F", bound=Callable[..., Any])
H = TypeVar("H", bound=Handle)

PARTS_KEPT = 100_000
"""How many parts of a generator's result are recorded: the first ones."""


class Recorder(Protocol[H]):
    """Records the calls of a function."""

    def begin(self, arguments: Mapping[str, Any]) -> H:
        """A call starts, with these arguments by name."""

    def result(self, handle: H, result: object) -> None:
        """The call has returned."""

    def part(self, handle: H, part: object) -> None:
        """The generator has yielded its next part."""

    def parts(self, handle: H, parts: list[object]) -> None:
        """The generator is done, with these parts."""


Begin = Callable[[tuple[Any, ...], dict[str, Any]], H]
"""Starts the handle of a call with these arguments."""


def decorated(function: F, recorder: Recorder[H]) -> F:
    """``function``, with its calls recorded."""
    try:
        signature: inspect.Signature | None = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None  # a function written in C

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> H:
        arguments: Mapping[str, Any] = kwargs
        if signature is not None:
            try:
                arguments = {**signature.bind_partial(*args, **kwargs).arguments, **kwargs}
            except TypeError:
                pass  # the call itself raises what is wrong with it
        return recorder.begin(arguments)

    kinds: tuple[tuple[Callable[[Any], bool], Callable[..., Any]], ...] = (
        (inspect.isasyncgenfunction, _asynchronous_generator),
        (inspect.iscoroutinefunction, _coroutine),
        (inspect.isgeneratorfunction, _generator),
    )
    kind = next((kind for is_kind, kind in kinds if is_kind(function)), _plain)
    return cast(F, kind(function, recorder, begin))


def _plain(function: Callable[..., Any], recorder: Recorder[H], begin: Begin[H]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as handle:
            result = function(*args, **kwargs)
            _tell(recorder.result, handle, result)
            return result

    return call


def _coroutine(function: Callable[..., Any], recorder: Recorder[H], begin: Begin[H]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with begin(args, kwargs) as handle:
            result = await function(*args, **kwargs)
            _tell(recorder.result, handle, result)
            return result

    return call


def _generator(function: Callable[..., Any], recorder: Recorder[H], begin: Begin[H]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        handle, parts = begin(args, kwargs), list[object]()
        with ending(handle):
            inner = function(*args, **kwargs)
            step = functools.partial(next, inner)
            while True:
                with attached(handle.context):
                    try:
                        part = step()
                    except StopIteration as stop:
                        _tell(recorder.parts, handle, parts)
                        return stop.value
                _take(recorder, handle, parts, part)
                try:
                    sent = yield part
                except GeneratorExit:
                    with attached(handle.context):
                        inner.close()
                    _tell(recorder.parts, handle, parts)
                    raise
                except BaseException as thrown:
                    step = functools.partial(inner.throw, thrown)
                else:
                    step = functools.partial(inner.send, sent)

    return call


def _asynchronous_generator(function: Callable[..., Any], recorder: Recorder[H], begin: Begin[H]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        handle, parts = begin(args, kwargs), list[object]()
        with ending(handle):
            inner = function(*args, **kwargs)
            step = functools.partial(inner.asend, None)
            while True:
                with attached(handle.context):
                    try:
                        part = await step()
                    except StopAsyncIteration:
                        _tell(recorder.parts, handle, parts)
                        return
                _take(recorder, handle, parts, part)
                try:
                    sent = yield part
                except GeneratorExit:
                    with attached(handle.context):
                        await inner.aclose()
                    _tell(recorder.parts, handle, parts)
                    raise
                except BaseException as thrown:
                    step = functools.partial(inner.athrow, thrown)
                else:
                    step = functools.partial(inner.asend, sent)

    return call


class ending:  # noqa: N801 - read as a word, like contextlib.closing
    """A block at whose end a handle ends, without being current in it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        # As a handle's own block does; nothing was made current.
        self._handle.__exit__(kind, error, trace)


def _take(recorder: Recorder[H], handle: H, parts: list[object], part: object) -> None:
    if len(parts) < PARTS_KEPT:
        parts.append(part)
    _tell(recorder.part, handle, part)


def _tell(tell: Callable[[H, Any], None], handle: H, result: Any) -> None:
    try:
        tell(handle, result)
    except Exception as error:
        pass_on(error)
        name = f"{type(handle).__name__} {tell.__name__}"
        warn_once(name, "What a decorated function returned could not be recorded", exc_info=True)
