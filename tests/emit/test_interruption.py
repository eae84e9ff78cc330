"""Exceptions of a search's own signal handlers arrive where they were raised, whatever their class; telemetry's own
errors do not."""

from __future__ import annotations

import ast
import asyncio
import builtins
import errno
import functools
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import genesis_otel
from genesis_otel._emit.interruption import foreign, ignored, uninterrupted
from genesis_otel._emit.values import text
from tests.support.recording import Recorded


def raised_by(step: Any) -> BaseException:
    try:
        step()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def in_a_handler(handler: Any) -> BaseException:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        return raised_by(lambda: signal.raise_signal(signal.SIGUSR1))
    finally:
        signal.signal(signal.SIGUSR1, before)


def raises(kind: type[BaseException], number: int, frame: FrameType | None) -> None:
    raise kind("by a handler")


class Limit:
    """A handler that is a method and calls others."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind

    def __call__(self, *told: Any) -> None:
        self._deeper()

    def _deeper(self) -> None:
        raise self._kind("by a handler")


@pytest.mark.parametrize("kind", [TimeoutError, OSError, FileNotFoundError, ValueError, RuntimeError, KeyError])
@pytest.mark.parametrize("handler", [lambda kind: functools.partial(raises, kind), Limit], ids=["function", "object"])
def test_a_handlers_exception_is_the_searchs(kind: type[Exception], handler: Any) -> None:
    """An exception of any class from a signal handler's frame, or from what it calls, belongs to the search."""
    assert foreign(in_a_handler(handler(kind)))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_exceptions_that_end_a_program_or_task_are_the_searchs(kind: type[BaseException]) -> None:
    """Ctrl-C, exit() and a cancelled task are never an error of telemetry, wherever they occur."""
    assert foreign(kind())


def test_a_converted_exception_in_a_generator_is_the_searchs() -> None:
    """A handler's StopIteration that interrupts a generator leaves it as a RuntimeError, and still belongs to the
    search."""

    def interrupted() -> Any:
        signal.raise_signal(signal.SIGUSR1)
        yield 1

    before = signal.signal(signal.SIGUSR1, functools.partial(raises, StopIteration))
    try:
        error = raised_by(lambda: next(interrupted()))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert isinstance(error, RuntimeError) and foreign(error)


def test_telemetrys_own_errors_are_its_own() -> None:
    """Errors of the operating system have an errno, and errors from broken values come from no handler."""

    class Broken:
        def __str__(self) -> str:
            raise TimeoutError("no database")

    assert not foreign(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
    assert not foreign(raised_by(lambda: os.stat("/nowhere/at/all")))  # noqa: PTH116
    assert not foreign(raised_by(lambda: str(Broken())))
    assert "Broken" in text(Broken())


def test_every_error_of_ours_that_looks_like_the_operating_systems_has_an_errno() -> None:
    """Without one, an OSError that telemetry itself raises would count as the search's, and end it."""
    kinds = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, OSError)}
    package = Path(genesis_otel.__file__).parent
    bare = [
        f"{path.name}:{made.lineno}"
        for path in package.rglob("*.py")
        if "demo" not in path.parts
        for raised in ast.walk(ast.parse(path.read_text()))
        if isinstance(raised, ast.Raise)
        for made in [raised.exc]
        if isinstance(made, ast.Call)
        and isinstance(made.func, ast.Name)
        and made.func.id in kinds
        and len(made.args) < 2
    ]
    assert bare == []


def test_an_interrupted_step_completes_before_the_exception_arrives() -> None:
    """A step that a handler interrupts is started again and completes; then the first exception is raised."""
    done: list[int] = []

    def step() -> None:
        done.append(len(done))
        if len(done) < 3:
            signal.raise_signal(signal.SIGUSR1)

    error = in_a_handler_around(lambda: uninterrupted(step))
    assert (len(done), str(error)) == (3, "1")


def in_a_handler_around(step: Any) -> BaseException:
    """What comes out of a step that raises the signal. `os.kill` may give it to a thread of the engine, and it then arrives after the step."""
    calls: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        calls.append(1)
        raise TimeoutError(str(len(calls)))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        return raised_by(step)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_only_telemetrys_own_errors_are_ignored() -> None:
    """`ignored` swallows an OSError of the system, and lets a handler's OSError pass."""
    with ignored(OSError):
        os.stat("/nowhere/at/all")  # noqa: PTH116

    def step() -> None:
        with ignored(OSError):
            signal.raise_signal(signal.SIGUSR1)

    assert isinstance(in_a_handler_around(step), TimeoutError)


def test_a_record_is_complete_when_a_handler_interrupts_its_end(recorded: Recorded) -> None:
    """An individual whose end is interrupted by a handler's exception while its metrics are described is recorded
    whole, and the exception arrives."""
    import genesis_otel

    individual = genesis_otel.individual(run_id="r", individual_id="i")

    class Slow(dict[str, float]):
        armed = True

        def __iter__(self) -> Any:
            if Slow.armed:
                Slow.armed = False
                signal.raise_signal(signal.SIGUSR1)
            return super().__iter__()

    individual.record(fitness=1.0, metrics=Slow(a=float("nan")), code="x = 1")
    error = in_a_handler_around(individual.end)
    assert isinstance(error, TimeoutError)
    (found,) = recorded.records("individual")
    assert found["genesis.individual.fitness_score"] == 1.0
    assert found["genesis.individual.code"] == "x = 1"
