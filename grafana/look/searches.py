"""Searches to be drawn: a long one, nine short ones, one that runs, in a store of `genesis-otel serve`.

In: a store that runs. Out: a database for each scene, filled through the exporter, and what a person who looks at it has chosen.
The searches are made up, with a seed: what is drawn today is drawn tomorrow. Their spans are the real API's.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._ship.delivery.spool_state import SpoolState
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store import schema
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.support.grafana_query import TimeRange
from tests.support.pipeline import Store
from tests.support.recording import record, store_spans

TASK = "circle_packing"
LONG, RUNNING = "run_long", "run_running"
SHORT = tuple(f"run_short_{number}" for number in range(1, 10))
MODELS = (("gpt-4.1", "openai", 0.004), ("claude-sonnet-4-5", "anthropic", 0.012), ("local-coder", "vllm", None))
"""Model, provider, USD a call; None is one whose price nobody knows."""
WAYS = ("diff", "full", "crossover")
SECOND = 1_000_000_000


class Search(NamedTuple):
    """A search to be made up."""

    run_id: str
    generations: int
    individuals: int
    """A generation."""
    seconds_ago: int
    seconds: float
    """A generation takes."""
    ends: bool = True


class Scene(NamedTuple):
    """What is in a store, and how far back its reader looks."""

    name: str
    searches: tuple[Search, ...]
    hours: float

    @property
    def chosen(self) -> str:
        """The run that is looked at; empty where there is none."""
        return self.searches[0].run_id if self.searches else ""

    @property
    def times(self) -> TimeRange:
        """What the time picker says."""
        now = datetime.now(timezone.utc)
        return TimeRange(now - timedelta(hours=self.hours), now + timedelta(minutes=1), max(10, int(self.hours * 12)))


HOUR = 3600
SCENES = (
    Scene("long", (Search(LONG, 90, 6, 8 * HOUR, 300.0),), 12),
    Scene("nine", tuple(Search(run, 4, 4, 2 * HOUR * n, 12.0) for n, run in enumerate(SHORT, 1)), 24),
    Scene("running", (Search(RUNNING, 12, 5, 720, 60.0, ends=False),), 1),
    Scene("none", (), 24),
)


def told(search: Search) -> Sequence[ReadableSpan]:
    """The ended spans of a search."""
    dice = random.Random(search.run_id)
    began = time.time_ns() - search.seconds_ago * SECOND
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run(
            TASK,
            run_id=search.run_id,
            config={"num_generations": search.generations + 10, "seed": len(search.run_id)},
            population_size=search.individuals,
            objectives={"radii": "max", "size": "min"},
            start_time=began,
        )
        population: list[tuple[str, float]] = []
        for number in range(search.generations):
            start = began + int(number * search.seconds * SECOND)
            generation = run.generation(number, start_time=start)
            each = search.seconds / search.individuals
            for place in range(search.individuals):
                now = start + int(place * each * SECOND)
                _individual(dice, generation, population, f"g{number}_{place}", now, each)
            generation.end(end_time=start + int(search.seconds * SECOND))
        if search.ends:
            run.end(end_time=began + int(search.generations * search.seconds * SECOND))
        return recorded.spans


def _individual(
    dice: random.Random,
    generation: spans.Generation,
    population: list[tuple[str, float]],
    name: str,
    now: int,
    seconds: float,
) -> None:
    """One program: now and then better than its parent, sometimes broken, its model sometimes silent."""
    parent = max(dice.sample(population, min(3, len(population))), key=lambda pair: pair[1], default=None)
    way = dice.choice(WAYS) if parent else "init"
    parents = (parent[0],) if parent else ()
    individual = generation.individual(name, parents=parents, mutation_type=way, start_time=now)
    asked = int(seconds * SECOND * dice.uniform(0.2, 0.6))
    if parent:
        model, provider, price = dice.choice(MODELS)
        call = individual.llm_call(model, provider=provider, role="mutation", messages="Improve it.", start_time=now)
        if dice.random() < 0.04:
            call.fail(TimeoutError("429 Too Many Requests: rate limit"))
            call.end(now + asked)
            individual.fail("its model did not answer")
            individual.end(now + asked)
            return
        call.first_token(now + asked // 8)
        tokens = dice.randint(300, 3000)
        reason = "length" if dice.random() < 0.05 else "stop"
        call.response(
            name,
            input_tokens=4 * tokens,
            output_tokens=tokens,
            finish_reason=reason,
            cost=price and price * tokens / 1000,
        )
        call.end(now + asked)
    job = individual.evaluation(f"job_{name}", start_time=now + asked)
    ended = now + int(seconds * SECOND * dice.uniform(0.7, 0.95))
    if dice.random() < 0.08:
        job.fail(ZeroDivisionError("division by zero"))
        individual.fail("its evaluation failed")
    else:
        score = (parent[1] if parent else 1.6) + dice.gauss(-0.02, 0.05)
        size = dice.randint(600, 4000)
        job.result(correct=True, combined_score=score)
        individual.record(
            fitness=score,
            metrics={"radii": score, "size": size},
            code=f"# {name}\n".ljust(size, "x"),
            edit_summary=f"Change {name}: move circles away from the border, and grow them.",
            island=dice.randint(0, 2),
        )
        population.append((name, score))
    job.end(ended)
    individual.end(ended)


@contextlib.contextmanager
def filled(store: Store, scene: Scene) -> Iterator[Client]:
    """A client on a database of the scene's own, with its searches."""
    database = f"look_{scene.name}"
    with contextlib.closing(store.client()) as client:
        client.command(f"CREATE DATABASE {database}")

    def opened() -> Client:
        return store.client(database=database)

    with contextlib.closing(opened()) as client:
        schema.init_schema(client, traces_ttl_days=0)
        exporter = ClickHouseSpanExporter(opened)
        for search in scene.searches:
            store_spans(exporter, told(search))
        if scene.searches:
            state = SpoolState(store.folder / "spool", 0.0).due(delivered=1)
            assert state is not None
            store_spans(exporter, [state])
        exporter.shutdown()
        yield client
