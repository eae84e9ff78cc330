"""Handles and ids across threads, tasks, forks and child processes."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import tally
from tests.support.recording import Recorded, attributes_of, ids_of


def test_handles_work_from_threads(recorded: Recorded) -> None:
    """Individuals of one generation, created by many threads at once, all count, and none is mixed up with another."""
    run = spans.run("t", run_id="r")
    generation = run.generation(1)

    def evolve(number: int) -> None:
        with generation.individual(str(number)) as individual:
            spans.llm_call("m", role=str(number)).end()
            tally.account({names.RUN_ID: "r", names.INDIVIDUAL_ID: str(number)}, 1.0)
            individual.record(fitness=float(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(evolve, range(200)))
    generation.end()
    (found,) = recorded.records("generation")
    assert (found[names.GENERATION_NUM_INDIVIDUALS], found[names.GENERATION_BEST_SCORE]) == (200, 199.0)
    assert found[names.GENERATION_TOTAL_COST] == 200.0
    parents = {ids_of(span)[1]: attributes_of(span)[names.INDIVIDUAL_ID] for span in recorded.named("individual")}
    assert len(parents) == 200
    for call in recorded.named("chat m"):
        assert call.parent
        assert parents[call.parent.span_id] == attributes_of(call)[names.LLM_ROLE]


def test_a_handle_ends_once_among_many_threads(recorded: Recorded) -> None:
    """Ended by eight threads at once, whether held or not, an individual is one span."""
    for hold in (False, True):
        generation = spans.generation(int(hold), run_id="r", hold_individuals=hold)
        individual = generation.individual("a")
        barrier = threading.Barrier(8)

        def end(one: spans.Individual = individual, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            one.end()

        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(end)
        generation.end()
    assert len(recorded.named("individual")) == 2


def test_tasks_keep_their_own_individual(recorded: Recorded) -> None:
    """`async with` works, and interleaved tasks each see their own individual as the current one."""

    async def evolve(generation: spans.Generation, number: int) -> None:
        async with generation.individual(str(number)):
            for _ in range(3):
                await asyncio.sleep(0)
                async with spans.llm_call("m", role=str(number)):
                    await asyncio.sleep(0)

    async def search() -> None:
        async with spans.run("t", run_id="r") as run, run.generation(1) as generation:
            await asyncio.gather(*(evolve(generation, number) for number in range(10)))

    asyncio.run(search())
    calls = recorded.named("chat m")
    assert len(calls) == 30
    assert all(attributes_of(call)[names.INDIVIDUAL_ID] == attributes_of(call)[names.LLM_ROLE] for call in calls)


def test_a_cancelled_task_leaves_an_error(recorded: Recorded) -> None:
    """A call that is cancelled midway ends with an error, and the cancellation propagates."""

    async def ask() -> None:
        async with spans.llm_call("m"):
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert attributes_of(recorded.one("chat m"))[names.ERROR_TYPE] == "asyncio.exceptions.CancelledError"


def test_a_block_may_end_in_another_context_than_it_began(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """Ended by hand in a thread, or by a generator that another task closes: no error is logged and no context
    leaks."""
    caplog.set_level(logging.DEBUG)

    async def stream() -> AsyncIterator[int]:
        async with spans.llm_call("m"):
            yield 1
            yield 2

    async def consume() -> None:
        source = stream()
        await anext(source)
        await asyncio.create_task(source.aclose())  # type: ignore[attr-defined]

    asyncio.run(consume())
    with spans.individual("a", run_id="r") as individual:
        ender = threading.Thread(target=individual.end)
        ender.start()
        ender.join()
    entered = contextvars.copy_context()
    other = spans.individual("b", run_id="r")
    entered.run(other.__enter__)
    other.__exit__(None, None, None)
    assert len(recorded.spans) == 3
    assert not trace.get_current_span().get_span_context().is_valid
    assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == []


CHILD = """
import os
from opentelemetry import trace
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from genesis_otel import attributes, spans

def line(span):
    context = span.context
    return f"{span.name}|{context.trace_id}|{span.parent.span_id}|{span.attributes['genesis.individual.id']}\\n"

provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(attributes.CORRELATION.__contains__))
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
trace.set_tracer_provider(provider)
with spans.attached(spans.from_environment()):
    with spans.evaluation("j"):
        trace.get_tracer("theirs").start_span("inner").end()
"""


def test_context_crosses_into_a_subprocess(recorded: Recorded) -> None:
    """With `environ()` in its environment, a subprocess's evaluation is a child of the individual and names it."""
    with spans.generation(3, run_id="r").individual("ä, b=c;d") as individual:
        environment = {**os.environ, **individual.environ()}
        assert spans.environ() == individual.environ()
    answer = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = [line.split("|") for line in answer.stdout.splitlines()]
    trace_id, span_id = ids_of(recorded.one("individual"))
    assert [line[0] for line in lines] == ["action job_submitted", "inner", "evaluation"]
    assert {line[1] for line in lines} == {str(trace_id)}
    assert [line[2] for line in lines if line[0] != "inner"] == [str(span_id)] * 2
    assert {line[3] for line in lines} == {"ä, b=c;d"}


def test_context_crosses_a_fork(recorded: Recorded) -> None:
    """A forked child continues within the open individual, and starts generations without repeating ids."""
    with spans.run("t", run_id="r") as run, run.generation(1), spans.individual("a"):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn about forks while threads run, and other tests have left some running.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            spans.llm_call("m").end()
            run.generation(1).end()
            found = [recorded.one("chat m"), recorded.one("generation")]
            os.write(writer, json.dumps([(*ids_of(s), s.parent.span_id if s.parent else 0) for s in found]).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        call, again = json.loads(os.read(reader, 10_000))
        os.close(reader)
    assert (call[0], call[2]) == ids_of(recorded.one("individual"))
    assert again[0] == ids_of(recorded.one("generation"))[0]
    assert again[1] != ids_of(recorded.one("generation"))[1]


def test_a_forked_child_that_leaves_a_block_of_its_parents_ends_nothing(recorded: Recorded) -> None:
    """Neither the individual that it makes current, as workers do, nor a block that was open at the fork: else the individual would have a
    second row, without the scores."""
    with spans.run("t", run_id="r") as run, run.generation(1) as generation:
        individual = generation.individual("a")
        reader, writer = os.pipe()
        before = len(recorded.spans)
        block = individual.llm_call("m")
        with block:
            with warnings.catch_warnings():
                # Newer Pythons warn about forks while threads run, and other tests have left some running.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                try:
                    with individual:
                        spans.action("tried")
                    block.__exit__(None, None, None)
                    names_found = [span.name for span in recorded.spans[before:]]
                    os.write(writer, json.dumps(names_found).encode())
                finally:
                    os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        assert json.loads(os.read(reader, 10_000)) == ["action tried"]
        os.close(reader)
        individual.record(fitness=1.0)
        individual.end()
    (found,) = recorded.records("individual")
    assert found[names.INDIVIDUAL_FITNESS_SCORE] == 1.0


def test_neither_a_seed_nor_a_fork_repeats_an_id(recorded: Recorded) -> None:
    """Searches seed `random`, and forked workers share its state: their spans still have distinct ids."""
    for _ in range(2):
        random.seed(7)
        spans.llm_call("m").end()
    reader, writer = os.pipe()
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            spans.llm_call("m").end()
            os.write(writer, (json.dumps(ids_of(recorded.spans[-1])) + "\n").encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        forked = [tuple(json.loads(line)) for line in lines]
    assert len({*map(ids_of, recorded.spans), *forked}) == 4
