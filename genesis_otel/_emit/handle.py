"""What all handles on open spans have in common.

In: a started span, and its place. Out: the context for what happens within it; a ``with`` block, sync or async, that
makes it current and ends it; and ``end()``, from any thread. On failure: an exception of the block is recorded and
propagates; an error of telemetry itself never comes out, but is logged once.
"""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode
from opentelemetry.util.types import AttributeValue

from genesis_otel import attributes as names
from genesis_otel._emit import configured
from genesis_otel._emit import context as _context
from genesis_otel._emit import opened as _opened
from genesis_otel._emit.context import Place
from genesis_otel._emit.interruption import foreign, pass_on, retake, uninterrupted
from genesis_otel._emit.opened import closed, opened
from genesis_otel._emit.values import nanoseconds, reason, text
from genesis_otel._log import warn_once

Value = str | int | float | bool

Self = TypeVar("Self", bound="Handle")
P = ParamSpec("P")


def quietly(method: Callable[Concatenate[Self, P], None]) -> Callable[Concatenate[Self, P], None]:
    """Log, once, what a method raises, instead of raising it into the search. A signal handler's exception is passed on, after
    the ``end`` that it interrupted is done."""
    ends = method.__name__ == "end"

    @functools.wraps(method)
    def call(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except BaseException as error:
            if foreign(error):
                if ends:
                    self._end_again(functools.partial(method, self, *args, **kwargs))
                raise
            name = f"{type(self).__name__}.{method.__name__}"
            warn_once(name, "%s failed; what it should have recorded is lost", name, exc_info=True)

    return call


class Handle:
    """An open span and its place. Use it in a ``with`` or ``async with`` block, or call :meth:`end`."""

    __slots__ = (
        *("__weakref__", "_again", "_base", "_context", "_done", "_once", "_place", "_process", "_refers", "_span"),
        "_token",
    )

    def __init__(self, span: Span, base: Context, place: Place) -> None:
        self._span = span
        self._base = base
        self._place = place
        self._context: Context | None = None
        self._token: Token[Context] | None = None
        # Acquired by whoever ends the span first; released only if a signal handler's exception interrupted that.
        self._once = threading.Lock()
        self._done = self._again = False
        # Whether this refers to a handle of another process.
        self._refers = False
        self._process = _opened.process
        opened(self, is_run=self._is_run)

    _is_run = False

    @property
    def span(self) -> Span:
        """The OpenTelemetry span, for attributes and events of your own."""
        return self._span

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as a reference: made current in another process, it tells spans there where they belong, and is ended here."""
        told = self._span.get_span_context()
        telemetry = configured.current()
        setup = None if telemetry is None else telemetry.reference_setup
        there = (told.trace_id, told.span_id, int(told.trace_flags))
        return _referred, (type(self), there, self._place, self._reference(), setup)

    def _reference(self) -> tuple[Any, ...]:
        """What else another process must know about it, for :meth:`_restore`."""
        return ()

    def _restore(self, *told: Any) -> None:
        """Become a reference to what :meth:`_reference` described."""

    @property
    def run_id(self) -> str:
        """The run that this belongs to, or ''."""
        return self._place.run_id

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of an individual's parents; empty for anything else."""
        return ()

    @property
    def context(self) -> Context:
        """The OpenTelemetry context for what happens within: pass it on, or attach it in another thread."""
        if self._context is None:
            self._context = _context.placed(trace.set_span_in_context(self._span, self._base), self._place)
        return self._context

    def environ(self) -> dict[str, str]:
        """Environment variables that carry :attr:`context` into a subprocess."""
        return _context.environ(self.context)

    def fail(self, error: BaseException | object) -> None:
        """Record a failure: an exception, or a text that says why."""
        failed(self._span, error)

    def end(self) -> None:
        """End the span. A second call does nothing."""
        if self._first():
            self._finish({}, None)

    def _finish(self, attributes: Mapping[str, AttributeValue], end_time: object) -> None:
        finish(self._span, attributes, nanoseconds(end_time, "end_time") or None)
        self._done = True

    def _end_again(self, end: Callable[[], None]) -> None:
        def complete() -> None:
            if not self._done and self._span.is_recording():
                self._again = True
                if self._once.locked():
                    self._once.release()
                end()

        uninterrupted(complete)

    def _first(self) -> bool:
        if not self._once.acquire(blocking=False):
            return False
        closed(self)
        return True

    def __enter__(self: Self) -> Self:
        before = otel.get_current()
        try:
            self._token = otel.attach(self.context)
        except BaseException as error:
            # A signal handler's exception: the block is not entered, and will not be left.
            otel.attach(before)
            self.fail(error)
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        try:
            if self._token is not None:
                _context.detach(self._token)
                self._token = None
            if error is not None:
                uninterrupted(functools.partial(self._raised, error))
        finally:
            # A forked child that leaves a block of its parent's ends nothing: the parent does, with what it knows by then.
            if self._process is _opened.process:
                self.end()

    def _raised(self, error: BaseException) -> None:
        if is_failure(error):
            self.fail(error)

    async def __aenter__(self: Self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_back)


def _referred(
    kind: type[Self],
    there: tuple[int, int, int],
    place: Place,
    told: tuple[Any, ...],
    setup: Callable[[], object] | None,
) -> Self:
    """The handle, in this process, that a pickled one stands for: it ends nothing and records nothing itself."""
    if setup is not None and configured.current() is None:
        setup()
    trace_id, span_id, flags = there
    context = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))
    handle = kind.__new__(kind)
    Handle.__init__(handle, trace.NonRecordingSpan(context), Context(), place)
    handle._refers = Handle._first(handle)
    handle._restore(*told)
    return handle


LAST = (names.GEN_AI_OPERATION_NAME, names.GEN_AI_REQUEST_MODEL, names.RECORD, *names.CORRELATION)
"""What makes a span a row. A provider with an attribute limit keeps the attributes that were set last."""


def in_order(attributes: Mapping[str, AttributeValue]) -> Mapping[str, AttributeValue]:
    """Attributes, with those that must not be dropped at the end."""
    ordered = dict(attributes)
    for name in LAST:
        if name in ordered:
            ordered[name] = ordered.pop(name)
    return ordered


def finish(span: Span, attributes: Mapping[str, AttributeValue], moment: int | None) -> None:
    """End a span with its last attributes, even if a signal handler raises meanwhile: its exception is then raised afterwards."""
    try:
        try:
            if attributes:
                span.set_attributes(in_order(attributes))
        finally:
            span.end(moment)
    except BaseException as error:
        if foreign(error):
            uninterrupted(functools.partial(_finish_again, span, attributes, moment))
        raise


def _finish_again(span: Span, attributes: Mapping[str, AttributeValue], moment: int | None) -> None:
    if span.is_recording():
        span.set_attributes(in_order(attributes))
        span.end(moment)
    else:
        retake(span)


def failed(span: Span, error: object) -> None:
    """Set a span's status to error, with the exception as its event."""
    if not span.is_recording():
        return
    try:
        if not isinstance(error, BaseException):
            span.set_status(StatusCode.ERROR, text(error))
            return
        span.set_status(StatusCode.ERROR, reason(error))
        # Done by hand: the SDK asks the exception for its text, which may raise.
        described = {"exception.type": error_type(error), "exception.message": text(error)}
        try:
            described["exception.stacktrace"] = text("".join(traceback.format_exception(error)))
        except Exception as broken:
            pass_on(broken)
        span.add_event("exception", described)
    except Exception as error:
        pass_on(error)
        warn_once("fail", "An error could not be recorded", exc_info=True)


def is_failure(error: BaseException) -> bool:
    """Whether an exception that leaves a block is a failure: ``sys.exit(0)`` is not, nor is a generator that its consumer
    closes early."""
    if isinstance(error, SystemExit):
        return error.code is not None and error.code != 0
    return not isinstance(error, GeneratorExit)


def error_type(error: BaseException) -> str:
    """The name of an exception's class, with its module if that is not built in."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
