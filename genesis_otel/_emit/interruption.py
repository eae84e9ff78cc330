"""Whose exception it is: that of a telemetry step, or the search's, raised by a signal handler during the step.

In: an exception that came out of a telemetry step. Out: whether it belongs to the search, which must then receive it. The class
does not decide: ``TimeoutError`` may come from the network or from the search's alarm. On failure: nothing here raises
anything but what was raised before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

PACKAGE = __name__.partition(".")[0]
ATTEMPTS = 8
"""Maximum attempts at a step: a timer that fires faster than a step can run must not block it forever."""


def foreign(error: BaseException) -> bool:
    """Whether ``error`` is not telemetry's: raised by a signal handler, or thrown into the thread or task from outside."""
    if not isinstance(error, Exception):
        # KeyboardInterrupt, SystemExit, asyncio's CancelledError, greenlet's GreenletExit: telemetry raises none of them.
        return True
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration | StopAsyncIteration):
        # Python turns these two into a RuntimeError in a generator.
        error = error.__cause__
    return _in_handler(error.__traceback__) or (isinstance(error, OSError) and _thrown(error))


def pass_on(error: BaseException) -> None:
    """Raise ``error`` again if it is not telemetry's."""
    if foreign(error):
        raise error


class ignored:  # noqa: N801 - read as a word, like contextlib.suppress
    """Continue after a block that raised one of ``kinds``, unless the exception is not telemetry's."""

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(error, self._kinds) and not foreign(error)


def uninterrupted(step: Callable[[], object]) -> None:
    """Run ``step`` to its end, starting over if need be; the exception that interrupted it is raised afterwards.

    :param step: must be safe to start again.
    """
    interruption: BaseException | None = None
    for _ in range(ATTEMPTS):
        try:
            step()
            break
        except BaseException as error:
            if not foreign(error):
                if interruption is None:
                    raise
                break
            interruption = interruption or error
    if interruption is not None:
        try:
            raise interruption
        finally:
            # Otherwise the exception and this frame keep each other alive until the garbage collector runs.
            del interruption


def retake(span: Any) -> None:
    """Ensure that a span whose ``end()`` was interrupted is recorded.

    The SDK marks a span as ended before it passes it to the processors; interrupted in between, it never would pass it on.
    """
    processors = getattr(getattr(span, "_span_processor", None), "_span_processors", ())
    for processor in processors:
        take = getattr(processor, "retake", None)
        if take is not None:
            take(span)


def _in_handler(trace: TracebackType | None) -> bool:
    """Whether a signal handler is among the frames: Python passes it the very frame that it interrupts."""
    interrupted = None
    while trace is not None:
        if interrupted is not None and _handles(trace.tb_frame, interrupted):
            return True
        interrupted, trace = trace.tb_frame, trace.tb_next
    return False


def handler_within(code: CodeType) -> bool:
    """Whether this runs in a signal handler that interrupted the function of ``code``, or in something that the handler calls."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not code:
        if frame.f_back is not None and _handles(frame, frame.f_back):
            return True
        frame = frame.f_back
    return False


def _handles(frame: FrameType, interrupted: FrameType) -> bool:
    """Whether ``frame`` received ``interrupted``: among its positional arguments, or in ``*args``."""
    code, values = frame.f_code, frame.f_locals
    for value in (values.get(name) for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 1]):
        if value is interrupted or (type(value) is tuple and any(each is interrupted for each in value)):
            return True
    return False


def _thrown(error: OSError) -> bool:
    """Whether an OSError came into a frame of ours from outside: the operating system's own has an errno."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return error.errno is None and str(module).partition(".")[0] == PACKAGE
