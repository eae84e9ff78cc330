"""Faults seen from within a search: programs that end spans while everything goes wrong.

In: ``python -m tests.faults.programs NAME FOLDER SEED SECONDS``. Out: on standard output the id of each span whose end
returned, one per line, and finally ``= raised N`` and ``= passed N``: exceptions that signal handlers raised, and those
that arrived. On failure: an exit code, or a hang, which the tests look for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

import genesis_otel
from genesis_otel import attributes as names
from genesis_otel import processor as durable_module
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel.processor import DurableSpanProcessor, Limits

SMALL = Limits(segment_bytes=20_000, flush_interval=0.01, shutdown_timeout=5.0)


class Lines(SpanExporter):
    """An exporter that appends the ids of its spans to a file, one write per batch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, batch: Sequence[ReadableSpan]) -> SpanExportResult:
        text = "".join(f"{span.context.span_id:016x}\n" for span in batch if span.context)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
        return SpanExportResult.SUCCESS


def set_up(folder: Path, exporter: SpanExporter | None = None) -> tuple[Tracer, DurableSpanProcessor]:
    """Record as `configure` does, with a spool of small segments."""
    durable = DurableSpanProcessor(exporter, folder, limits=SMALL)
    provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
    provider.add_span_processor(LLMSpanProcessor(durable, prices=False))
    trace.set_tracer_provider(provider)
    return provider.get_tracer("faults"), durable


def say(span: trace.Span) -> None:
    """Report a span, which is promised only from here on. Through a pipe, which works on a full disk; one write is
    atomic."""
    os.write(1, b"%016x\n" % span.get_span_context().span_id)


def end(tracer: Tracer, size: int = 200) -> None:
    span = tracer.start_span("span", attributes={"x": "y" * size})
    span.end()
    say(span)


class TooSlowError(OSError):
    """A search's own signal exception, which has no errno."""


LIMITS: tuple[Callable[[], BaseException], ...] = (
    TimeoutError,
    TooSlowError,
    functools.partial(FileNotFoundError, errno.ENOENT, "raised by a handler, with a number"),
    ValueError,
    KeyError,
    RuntimeError,
    MemoryError,
    KeyboardInterrupt,
    SystemExit,
    asyncio.CancelledError,
    GeneratorExit,
)
"""What handlers raise. Not TypeError: Python swallows one that arrives while it asks an object for its length, as it
does with lists of OpenTelemetry's SDK (`PyObject_LengthHint`)."""


class Alarm:
    """SIGALRM at random moments: its handler ends a span of its own, or raises one of ``LIMITS`` if that is enabled."""

    def __init__(self, tracer: Tracer, chance: random.Random, *, raises: bool, forks: bool = False) -> None:
        self._tracer, self._chance, self._raises, self.forks = tracer, chance, raises, forks
        self.armed = self.child = self._stopped = False
        self.raised = self.passed = 0
        self.latest: BaseException | None = None
        self.inside: Callable[[], bool] = bool
        signal.signal(signal.SIGALRM, self)
        self.again()

    def again(self) -> None:
        if not self._stopped:
            signal.setitimer(signal.ITIMER_REAL, self._chance.uniform(0.00005, 0.002))

    def stop(self) -> None:
        self._stopped = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self._go_off()
        finally:
            # Only now: a timer that is faster than its handler would leave no time for anything else.
            self.again()

    def _go_off(self) -> None:
        what = self._chance.random()
        if self.forks and what < 0.05:
            child = os.fork()
            if child == 0:
                self.stop()
                end(self._tracer)
                if not (self.armed and self.inside()) or self._chance.random() < 0.5:
                    os._exit(0)
                # Otherwise it would return into the write that was interrupted, and be gone after it.
                self.child = True
                return
            os.waitpid(child, 0)
        elif self.armed and self._raises and what < 0.5:
            self.armed = False
            self.raised += 1
            self.latest = self._chance.choice(LIMITS)()
            raise self.latest
        else:
            end(self._tracer)

    def through(self, step: Callable[[], object]) -> None:
        """Do something that an alarm may interrupt with an exception, and check that the exception arrives."""
        self.armed = True
        try:
            step()
        except BaseException as error:
            if error is not self.latest:
                raise
            self.passed += 1
        self.armed = False


def alarms(folder: Path, chance: random.Random, seconds: float) -> None:
    """A search whose evaluations are limited by SIGALRM, and whose handler records too."""
    tracer, durable = set_up(folder)
    alarm = Alarm(tracer, chance, raises=True)
    deadline = time.monotonic() + seconds
    with genesis_otel.run("alarms") as run, run.generation(1) as generation:
        while time.monotonic() < deadline:
            individual = generation.individual()
            individual.record(fitness=1.0, metrics={"a": 1.0}, code="x = 1\n" * 20)
            evaluation = individual.evaluation()
            for handle in (evaluation, individual):
                alarm.through(handle.end)
                if handle.span.is_recording():
                    # The alarm came before the first instruction of end(), so the end has not begun.
                    handle.end()
                say(handle.span)
        alarm.stop()
    for span in (generation.span, run.span):
        say(span)
    os.write(1, b"= raised %d\n= passed %d\n" % (alarm.raised, alarm.passed))
    durable.shutdown()


def finalisers(folder: Path, chance: random.Random, seconds: float) -> None:
    """Evaluations as generators that are never closed: the garbage collector ends them in the middle of any code."""
    tracer, durable = set_up(folder)
    gc.set_threshold(chance.randint(20, 200), 2, 2)

    def evaluated() -> Iterator[trace.Span]:
        with genesis_otel.individual(run_id="r") as individual:
            yield individual.span

    left: list[trace.Span] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        generator = evaluated()
        left.append(next(generator))
        cycle: list[Any] = [generator]
        cycle.append(cycle)
        del generator, cycle
        end(tracer)
    gc.collect()
    for span in left:
        say(span)
    durable.shutdown()


def forks(folder: Path, chance: random.Random, seconds: float) -> None:
    """Forks in the middle of ends and flushes, of this thread and of others; the children record and exit."""
    tracer, durable = set_up(folder, Lines(folder.parent / "stored"))
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            end(tracer)
            time.sleep(0.0005)

    def flushing() -> None:
        while not stop.is_set():
            durable.force_flush(30)

    threads = [threading.Thread(target=each) for each in (busy, flushing)]
    for thread in threads:
        thread.start()
    alarm = Alarm(tracer, chance, raises=False, forks=True)
    # Before it, an end() that continues in both processes is an end in each of them.
    alarm.inside = lambda: durable._turn.busy
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        span = tracer.start_span("span")
        alarm.armed = True
        span.end()
        alarm.armed = False
        if alarm.child:
            os._exit(0)
        say(span)
        if chance.random() < 0.05:
            # A handler that forks during a fork blocks forever in Python's own concurrent.futures.
            alarm.forks = False
            child = os.fork()
            alarm.forks = True
            if child == 0:
                alarm.stop()
                end(tracer)
                durable.force_flush(50)
                end(tracer)
                os._exit(0)
            os.waitpid(child, 0)
    alarm.stop()
    stop.set()
    for thread in threads:
        thread.join()
    durable.shutdown()


def full_disk(folder: Path, chance: random.Random, seconds: float) -> None:
    """A disk that is full now and then, and possibly at the end; then an orderly end, or none."""
    durable_module.HELD_BYTES = 60_000
    tracer, durable = set_up(folder)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    end(tracer)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        room = chance.random() < 0.5
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited if room else (2_000, unlimited[1]))
        for _ in range(chance.randint(1, 200)):
            end(tracer, chance.randint(10, 1500))
    if chance.random() < 0.5:
        os._exit(0)
    durable.shutdown()


def on_and_on(folder: Path, chance: random.Random, seconds: float) -> None:
    """A search with two forked workers."""
    tracer, durable = set_up(folder)
    end(tracer)
    mother = os.getpid()
    for _ in range(2):
        if os.getpid() == mother:
            os.fork()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        end(tracer)
        time.sleep(0.0003)
    durable.shutdown()
    if os.getpid() != mother:
        os._exit(0)


def clock(folder: Path, chance: random.Random, seconds: float) -> None:
    """The clock is set forwards and backwards by hours while spans end."""
    tracer, durable = set_up(folder, Lines(folder.parent / "stored"))
    shift = [0.0]
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + shift[0]
    time.time_ns = lambda: now_ns() + int(shift[0] * 1e9)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        shift[0] = chance.uniform(-100_000, 100_000)
        for path in folder.glob("q2-*/*.seg"):
            with contextlib.suppress(FileNotFoundError):  # delivered in the meantime
                os.utime(path, (time.time(), time.time()))
        for _ in range(20):
            end(tracer)
    durable.shutdown()


def configured(folder: Path, chance: random.Random, seconds: float) -> None:
    """A search as users have it: `configure`, and the destination from the environment, which is harmed until a file
    ``enough`` exists."""
    telemetry = genesis_otel.configure(data_dir=folder.parent / "data", exit_timeout=60.0)
    tracer = trace.get_tracer("faults")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (folder.parent / "enough").exists():
        # Actions, since they have a table in which each is one row.
        action = {names.RECORD: names.RECORD_ACTION, names.RUN_ID: "r", names.ACTION_TYPE: "a"}
        span = tracer.start_span("action a", attributes=action)
        span.end()
        say(span)
        time.sleep(0.002)
    telemetry.shutdown()


PROGRAMS = {
    program.__name__: program for program in (alarms, finalisers, forks, full_disk, on_and_on, clock, configured)
}

if __name__ == "__main__":
    name, where, seed, duration = sys.argv[1:]
    PROGRAMS[name](Path(where), random.Random(int(seed)), float(duration))
