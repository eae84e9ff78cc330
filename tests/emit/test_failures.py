"""Failures stay failures, and what is not a failure is not recorded as one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._store import schema
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import Recorded, attributes_of, store_spans


def rows(connect: Connect, recorded: Recorded, *queries: str) -> list[Any]:
    """The rows that queries find once the spans are in a store."""
    schema.init_schema(connect(), traces_ttl_days=0)
    store_spans(ClickHouseSpanExporter(connect=connect), recorded.spans)
    return [list(connect().query(query).result_rows) for query in queries]


def test_an_evaluation_that_is_not_correct_makes_its_individual_incorrect(recorded: Recorded, connect: Connect) -> None:
    """The individual's row is `incorrect`, not an error, has `correct`, and counts neither as the best nor for the
    front."""
    with spans.run("t", run_id="r", objectives={"fitness": "max"}) as run, run.generation(0) as generation:
        for name, correct, fitness in (("a", True, 1.0), ("b", False, 9.0), ("c", None, 0.5)):
            with generation.individual(name) as individual:
                with individual.evaluation() as evaluation:
                    evaluation.result(correct=correct)
                individual.record(fitness=fitness)
    query = "SELECT individual_id, status, correct, fitness_score FROM individuals ORDER BY individual_id"
    individuals, front = rows(connect, recorded, query, "SELECT individual_id FROM pareto_fronts")
    assert individuals == [("a", "ok", True, 1.0), ("b", "incorrect", False, 9.0), ("c", "ok", None, 0.5)]
    assert front == [("a",)]
    ended = attributes_of(recorded.one("generation"))
    assert (ended[names.GENERATION_BEST_SCORE], ended[names.GENERATION_AVG_SCORE]) == (1.0, 0.75)
    assert json.loads(ended[names.GENERATION_METADATA])["incorrect"] == 1
    assert json.loads(ended[names.GENERATION_METADATA])["failed"] == 0


def test_the_latest_evaluation_counts_and_record_overrides_it(recorded: Recorded) -> None:
    """A correct second try replaces the first; `record(correct=...)` takes precedence over both; an evaluation finds
    its individual by context too."""
    with spans.individual("again") as individual:
        for correct in (False, True):
            with individual.evaluation() as evaluation:
                evaluation.result(correct=correct)
    with spans.individual("told") as individual:
        individual.record(correct=False)
        with spans.evaluation() as evaluation:
            evaluation.result(correct=True)
    with spans.individual("current"), spans.evaluation() as evaluation:
        evaluation.result(correct=False)
    found = {each[names.INDIVIDUAL_ID]: each[names.INDIVIDUAL_CORRECT] for each in recorded.records("individual")}
    assert found == {"again": True, "told": False, "current": False}


def test_copies_and_failures_are_no_discoveries(recorded: Recorded) -> None:
    """A generation's best, mean and front leave out individuals that failed, are incorrect or were copied."""
    with spans.run("t", objectives={"accuracy": "max"}) as run, run.generation(0) as generation:
        for mutation, fitness, error in (
            ("mutate", 0.5, None),
            ("migration", 3.0, None),
            ("copy", 3.0, None),
            ("mutate", 4.0, "out of memory"),
        ):
            individual = generation.individual(mutation_type=mutation)
            individual.record(fitness=fitness, metrics={"accuracy": fitness})
            if error:
                individual.fail(error)
            individual.end()
    ended = attributes_of(recorded.one("generation"))
    assert (ended[names.GENERATION_BEST_SCORE], ended[names.GENERATION_AVG_SCORE]) == (0.5, 0.5)
    assert ended[names.GENERATION_PARETO_SIZE] == 1


@pytest.mark.parametrize("code", [None, 0])
def test_an_exit_without_an_error_completes_the_run(recorded: Recorded, code: int | None) -> None:
    """`sys.exit(0)` propagates through the blocks, and none of them has an error."""
    with pytest.raises(SystemExit), spans.run("t") as run, run.generation(0) as generation, generation.individual():
        sys.exit(code)
    assert {span.status.status_code for span in recorded.spans} == {StatusCode.UNSET}
    ended = attributes_of(recorded.one("run t"))
    assert ended[names.RUN_STATUS] == "completed"
    assert names.RUN_ERROR not in ended


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit("no GPU"), "SystemExit: no GPU"),
        (KeyboardInterrupt(), "KeyboardInterrupt: interrupted (Ctrl-C)"),
        (asyncio.CancelledError(), "CancelledError: the task was cancelled"),
        (RuntimeError("lost"), "RuntimeError: lost"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_run_says_why_it_failed(recorded: Recorded, connect: Connect, error: BaseException, said: str) -> None:
    """The reason is in the column `error`, beside the status `failed`."""
    with pytest.raises(type(error)), spans.run("t", run_id="r"):
        raise error
    assert rows(connect, recorded, "SELECT status, error FROM evolution_runs") == [[("failed", said)]]


def test_a_cancelled_search_says_so(recorded: Recorded) -> None:
    """Cancelling its task leaves the run failed, with the reason."""

    async def search() -> None:
        async with spans.run("t"):
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(search())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    ended = attributes_of(recorded.one("run t"))
    assert (ended[names.RUN_STATUS], ended[names.RUN_ERROR]) == ("failed", "CancelledError: the task was cancelled")


INTERRUPTED = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from genesis_otel import spans

def line(span):
    return f"{span.name}|{span.attributes.get('genesis.run.status')}|{span.attributes.get('genesis.run.error')}\\n"

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
trace.set_tracer_provider(provider)
with spans.run("t"):
    print("begun", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_says_so() -> None:
    """Interrupting a search at the terminal ends its run as failed, with the interruption as the reason."""
    environment = {**os.environ, "GENESIS_OTEL_QUIET": "true"}
    search = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment,
    )  # fmt: skip
    assert search.stdout
    assert [search.stdout.readline(), search.stdout.readline()] == ["run.start t|running|None\n", "begun\n"]
    search.send_signal(signal.SIGINT)
    out, _ = search.communicate(timeout=60)
    assert out == "run t|failed|KeyboardInterrupt: interrupted (Ctrl-C)\n"
    assert search.returncode != 0


def test_a_stream_that_its_consumer_closes_is_no_error(recorded: Recorded) -> None:
    """Sync and async: the call's status is ok and its finish reason `abandoned`; a reason that was received before
    stays."""

    def stream(finish_reason: str) -> Iterator[str]:
        with spans.llm_call("m") as call:
            call.response("a", finish_reason=finish_reason)
            yield "a"
            yield "b"

    async def later() -> AsyncIterator[str]:
        async with spans.llm_call("m"):
            yield "a"
            yield "b"

    async def consume() -> None:
        source = later()
        await anext(source)
        await source.aclose()  # type: ignore[attr-defined]

    for reason in ("", "stop"):
        source = stream(reason)
        next(source)
        source.close()  # type: ignore[attr-defined]
    asyncio.run(consume())
    calls = recorded.named("chat m")
    assert {call.status.status_code for call in calls} == {StatusCode.UNSET}
    assert all(not call.events and names.ERROR_TYPE not in attributes_of(call) for call in calls)
    reasons = [attributes_of(call)[names.GEN_AI_RESPONSE_FINISH_REASONS] for call in calls]
    assert reasons == [("abandoned",), ("stop",), ("abandoned",)]


def test_the_zero_of_a_failure_is_not_a_parents_score(recorded: Recorded, connect: Connect) -> None:
    """A placeholder that an evaluator writes instead of a score is not compared with a child's: the child's gain is
    unknown, like the parent's score."""
    with spans.run("t", run_id="zero") as run, run.generation(0) as generation:
        with generation.individual("parent") as parent:
            parent.record(fitness=0.0, metrics={"error": "boom"})
            parent.fail("boom")
        with generation.individual("child", parent_id="parent") as child:
            child.record(fitness=0.5)
    scores, gains = rows(
        connect,
        recorded,
        "SELECT fitness_score FROM individuals WHERE individual_id = 'parent'",
        "SELECT fitness_delta FROM code_lineages WHERE child_id = 'child'",
    )
    assert scores == gains == [(None,)]
