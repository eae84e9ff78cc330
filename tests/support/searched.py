"""A small search in two forms: as facts, and as the spans that the real API makes of them.

The facts are few enough to work out every answer by hand, and include one of everything: gains and losses, a program
proposed twice, two parents, a failed evaluation, a failed call, two models, a run that ended and one that is running.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from genesis_otel import spans
from genesis_otel._serve import client as store_process
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store import connection, schema
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.support.recording import record

TASK, RUN, GOING_ON = "circle_packing", "run_20240115_142345", "run_20240116_090000"
CONFIG = {"evolution": {"num_generations": 5}}
SECOND = 1_000_000_000
MODELS = ("gpt-4.1-mini", "claude-3-5-sonnet-20241022")


class Fact(NamedTuple):
    """An individual: fitness None is a failed evaluation; its code's size is ``size``."""

    id: str
    generation: int
    parents: tuple[str, ...]
    how: str
    fitness: float | None
    size: int


FACTS = (
    Fact("seed_a", 0, (), "init", 0.50, 60),
    Fact("seed_b", 0, (), "init", 0.40, 40),
    Fact("seed_broken", 0, (), "init", None, 10),
    Fact("one_a", 1, ("seed_a",), "mutate", 0.55, 70),
    Fact("one_b", 1, ("seed_b",), "mutate", 0.60, 75),
    Fact("one_c", 1, ("seed_a", "seed_b"), "crossover", 0.45, 45),
    Fact("two_a", 2, ("one_b",), "mutate", 0.80, 90),
    Fact("two_b", 2, ("one_a",), "mutate", 0.50, 65),
    Fact("two_c", 2, ("one_b",), "mutate", 0.60, 75),
    Fact("three_a", 3, ("two_a", "two_b"), "crossover", 0.82, 95),
    Fact("three_b", 3, ("two_a",), "mutate", 0.78, 85),
    Fact("three_best", 3, ("two_a",), "mutate", 0.95, 120),
    Fact("four_a", 4, ("three_best",), "mutate", 0.97, 121),
)
LATER = tuple(fact._replace(id=f"later_{fact.id}") for fact in FACTS[:2])
"""The individuals of the running run."""
BEST = "four_a"
OF_BEST = next(fact for fact in FACTS if fact.id == BEST)
LINEAGE_OF_BEST = ["seed_b", "one_b", "two_a", "three_best", "four_a"]
EMBED_COST, NOVELTY_COST = 0.0001, 0.0002


def children() -> list[Fact]:
    """Individuals made by a model; the n-th of them by ``MODELS[n % 2]`` for ``cost(n)`` in ``seconds(n)``."""
    return [fact for fact in FACTS if fact.parents]


def cost(number: int) -> float:
    return 0.001 * (number + 1)


def seconds(number: int) -> float:
    return 0.5 * (number + 1)


def finish(number: int) -> str:
    """Why the answer ended: every fifth one was truncated."""
    return "length" if number % 5 == 4 else "stop"


def score(fact: Fact) -> float:
    return fact.fitness or 0.0


def metrics(fact: Fact) -> dict[str, float]:
    return {"accuracy": score(fact), "size": fact.size}


def summary(fact: Fact) -> str:
    return f"why {fact.id} should be better"


def delta(fact: Fact, parent: str) -> float:
    (told,) = (each for each in FACTS if each.id == parent)
    return score(fact) - score(told)


def island(fact: Fact) -> str:
    """That of its first seed, except for one that has moved: "1" for the second seed's, otherwise "0"."""
    if fact.id == "three_b":
        return "0"
    mother = next((each for each in FACTS if each.id in fact.parents[:1]), None)
    return island(mother) if mother else str(int(fact.id.endswith("seed_b")))


def cell(fact: Fact) -> dict[str, int]:
    """A cell of a grid with one feature, in bins of 50."""
    return {"size": fact.size // 50}


def output(fact: Fact) -> str:
    return f"evaluated {fact.id} ☃\n" * 2


def search_spans(run_id: str = RUN, *, ends: bool = True, facts: Sequence[Fact] = FACTS) -> Sequence[ReadableSpan]:
    """The ended spans of the search, which began an hour ago at the earliest; one that does not end is a running
    run."""
    began = time.time_ns() - 3600 * SECOND
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run(
            TASK,
            run_id=run_id,
            config=CONFIG,
            population_size=3,
            database_path="/results/x.db",
            objectives={"accuracy": "max", "size": "min"},
            start_time=began,
        )
        now, made = began, 0
        for number in sorted({fact.generation for fact in facts}):
            generation = run.generation(number, hold_individuals=True, start_time=now)
            for fact in (each for each in facts if each.generation == number):
                individual = generation.individual(
                    fact.id, parents=fact.parents, mutation_type=fact.how, start_time=now
                )
                if fact.parents:
                    call = individual.llm_call(
                        MODELS[made % 2], provider="openai", messages=f"Improve {fact.parents[0]}.", start_time=now
                    )
                    call.first_token(now + SECOND // 4)
                    call.response(
                        f"{fact.id}!",
                        input_tokens=100,
                        cached_tokens=20,
                        output_tokens=10,
                        finish_reason=finish(made),
                        cost=cost(made),
                    )
                    now += int(seconds(made) * SECOND)
                    call.end(now)
                    made += 1
                job = individual.evaluation(f"job_{fact.id}", start_time=now)
                now += SECOND
                if fact.fitness is None:
                    job.fail(ZeroDivisionError("division by zero"))
                    job.result(output={"stderr": "dividing\n", "attempt": 2})
                    individual.fail("its evaluation failed")
                    individual.record(code=code(fact), island=island(fact), cell=cell(fact))
                else:
                    job.result(correct=True, combined_score=fact.fitness, output=output(fact))
                    individual.record(
                        fitness=fact.fitness,
                        combined=fact.fitness / 2,
                        metrics=metrics(fact),
                        code=code(fact),
                        edit_summary=summary(fact),
                        island=island(fact),
                        cell=cell(fact),
                        embed_cost=EMBED_COST,
                        novelty_cost=NOVELTY_COST,
                    )
                job.end(now)
                individual.end(now)
                now += SECOND // 10
            if number == 1:
                lost = generation.llm_call(MODELS[0], messages="Improve.", start_time=now)
                lost.fail(TimeoutError("no answer"))
                lost.end(now + SECOND // 10)
            now += SECOND
            generation.end(end_time=now)
        run.action("archive_updated", {"size": 3}, time=now)
        if ends:
            run.end(end_time=now + SECOND)
        return recorded.spans


def code(fact: Fact) -> str:
    """A program of the fact's size; two facts with the same fitness and size have the same program."""
    return json.dumps([fact.fitness, fact.size]).ljust(fact.size)


def end_store(folder: Path) -> None:
    """End the store process of a folder, if one runs."""
    address = store_process.running(folder)
    if address:
        process = psutil.Process(address.pid)
        process.terminate()
        process.wait(60)


def fill(folder: Path, *batches: Sequence[ReadableSpan]) -> None:
    """Put spans into the store of a folder, through its store process."""
    exporter = ClickHouseSpanExporter(lambda: store_process.open_store(folder, start=True))
    for batch in batches:
        assert exporter.export(batch) is SpanExportResult.SUCCESS
    exporter.shutdown()


@contextlib.contextmanager
def stored(
    engine: Path, database: str, *batches: Sequence[ReadableSpan], traces_ttl_days: int | None = 0
) -> Iterator[Client]:
    """A client on a database of this name in an engine's folder, with these spans in its tables; dropped at the end."""

    def opened() -> Client:
        client = connection.open_embedded(engine)
        client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
        client.database = database
        return client

    client = opened()
    schema.init_schema(client, traces_ttl_days=traces_ttl_days)
    exporter = ClickHouseSpanExporter(opened)
    for batch in batches:
        assert exporter.export(batch) is SpanExportResult.SUCCESS
    exporter.shutdown()
    yield client
    client.command(f"DROP DATABASE {database} SYNC")
    client.close()
