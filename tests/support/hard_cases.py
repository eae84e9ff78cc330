"""Searches that are hard to count, recorded through the real API, and the true values of each, worked out by hand.

One store holds a search that was resumed, finished programs out of order and has failures, scores below zero, NaN and
an infinity, an incorrect program with the highest score of all, copies, calls without a price and costs beyond its
calls; one that minimises; one whose calls name no individual; one that died; and one that is running.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.recording import record

TASK = "hard"
SECOND = 1_000_000_000
PRICED, UNPRICED = "gpt-4.1-mini", "house-model"
OBJECTIVES = {"accuracy": "max", "size": "min"}


class Fact(NamedTuple):
    """An individual, in the order in which it finished. ``fitness`` None is a failed evaluation."""

    id: str
    generation: int
    parent: str
    how: str
    fitness: float | None
    model: str = ""
    correct: bool = True
    told: dict[str, float] = {}


class Truth(NamedTuple):
    """The values that every reader must show for a search."""

    best_score: float | None
    best_individual: str
    best_generation: int
    improvements: int
    gained: float
    since_improvement: int | None
    individuals: int
    failed: int
    incorrect: int
    cost: float
    unpriced: int
    status: str
    front: tuple[str, ...] = ()


UPWARDS = "upwards, resumed"
BEFORE = (
    Fact("seed_low", 0, "", "init", -5.0, told={"embed_cost": 0.003}),
    Fact("seed_broken", 0, "", "init", None),
    Fact("one_better", 1, "seed_low", "diff", -3.0, PRICED),
    Fact("one_nan", 1, "seed_low", "diff", math.nan, UNPRICED),
    Fact("one_inf", 1, "seed_low", "diff", math.inf, PRICED),
    Fact("one_wrong", 1, "seed_low", "diff", 7.5, PRICED, correct=False),
    Fact("one_copied", 1, "one_better", "migration", -3.0),
    # The third generation is faster than the second.
    Fact("three_early", 3, "one_better", "diff", -1.0, PRICED),
    Fact("two_late", 2, "one_better", "diff", -1.0, UNPRICED),
    Fact("two_worse", 2, "one_better", "diff", -4.0, PRICED),
)
AFTER = (
    Fact("four_best", 4, "three_early", "diff", -0.5, PRICED),
    Fact("five_flat", 5, "four_best", "diff", -0.75, PRICED, told={"api_cost": 0.5}),
    Fact("six_broken", 6, "four_best", "diff", None, PRICED),
)
DOWNWARDS = "downwards"
DOWN = (
    Fact("d_seed", 0, "", "init", 10.0, told={"api_cost": 0.01}),
    Fact("d_broken", 0, "", "init", None, told={"api_cost": 0.01}),
    Fact("d_lower", 1, "d_seed", "diff", 4.0, told={"api_cost": 0.01}),
    Fact("d_higher", 1, "d_seed", "diff", 12.0, told={"api_cost": 0.01}),
    Fact("d_wrong", 2, "d_lower", "diff", -3.0, correct=False, told={"api_cost": 0.01}),
    Fact("d_best", 2, "d_lower", "diff", 2.5, told={"api_cost": 0.01}),
    Fact("d_copied", 2, "d_best", "migration", 2.5),
)
FLAT = "flat"
DEAD = "dead"
GOING_ON = "going on"
CALL = 0.001
"""USD of each call that has a price."""
OF_THE_RUN = 0.02
"""USD of a call that belongs to the run as a whole."""

TRUTHS = {
    # Eight priced calls and that of the run; the seed's embedding, and the cost of five_flat beyond its call. The cost
    # of the abandoned call is unknown.
    UPWARDS: Truth(
        -0.5,
        "four_best",
        4,
        3,
        4.5,
        2,
        12,
        2,
        1,
        8 * CALL + OF_THE_RUN + 0.003 + 0.5 - CALL,
        3,
        "completed",
        ("five_flat",),
    ),
    DOWNWARDS: Truth(2.5, "d_best", 2, 2, 7.5, 0, 6, 1, 1, 0.06, 0, "completed"),
    # The individual's cost is that of its call.
    FLAT: Truth(1.0, "f_seed", 0, 0, 0.0, 0, 1, 0, 0, 0.2, 0, "failed"),
    DEAD: Truth(1.0, "x_seed", 0, 0, 0.0, 0, 1, 0, 0, 0.0, 0, "stalled"),
    GOING_ON: Truth(None, "", 0, 0, 0.0, None, 1, 1, 0, 0.0, 0, "running"),
}


def hard_spans() -> Sequence[ReadableSpan]:
    """The ended spans of all searches, which began an hour ago at the earliest."""
    began = time.time_ns() - 3600 * SECOND
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        later = _upwards(began)
        _resumed(later)
        run = spans.run(TASK, run_id=DOWNWARDS, direction="min", start_time=began)
        run.end(end_time=_told(run, DOWN, began) + SECOND)
        run = spans.run(TASK, run_id=FLAT, start_time=began)
        generation = run.generation(0, start_time=began)
        call = generation.llm_call(PRICED, messages="Improve.", start_time=began)
        call.response("!", input_tokens=10, output_tokens=1, cost=0.2)
        call.end(began + SECOND)
        individual = generation.individual("f_seed", mutation_type="init", start_time=began)
        individual.record(fitness=1.0, api_cost=0.2)
        individual.end(began + 2 * SECOND)
        generation.end(total_cost=0.2, end_time=began + 3 * SECOND)
        run.fail("the cluster went away")
        run.end(end_time=began + 4 * SECOND)
        _told(spans.run(TASK, run_id=DEAD, start_time=began), (Fact("x_seed", 0, "", "init", 1.0),), began)
        now = time.time_ns() - SECOND
        _told(spans.run(TASK, run_id=GOING_ON, start_time=now), (Fact("g_seed", 0, "", "init", None),), now, 0)
        return recorded.spans


def _upwards(began: int) -> int:
    """The search until its process is killed."""
    config = {"max_iterations": 24, "evolution": {"num_generations": 60}}
    run = spans.run(TASK, run_id=UPWARDS, config=config, objectives=OBJECTIVES, start_time=began)
    now = _told(run, BEFORE, began)
    lost = run.llm_call(PRICED, messages="Improve.", start_time=now)
    lost.fail(TimeoutError("no answer"))
    lost.end(now + SECOND)
    call = run.llm_call(PRICED, messages="What was learnt?", role="meta", start_time=now)
    call.response("A lot.", input_tokens=10, output_tokens=3, cost=OF_THE_RUN)
    call.end(now + SECOND)
    return now + 2 * SECOND


def _resumed(now: int) -> None:
    """The same search, continued by another process with a different number of generations."""
    run = spans.run(TASK, run_id=UPWARDS, config={"max_iterations": 40}, objectives=OBJECTIVES, start_time=now)
    now = _told(run, AFTER, now)
    # Like OpenEvolve's migrants: after their generation has ended. The costs it reports are its original's.
    copied = spans.individual(
        "four_copied", parent_id="four_best", mutation_type="migration", generation=4, run=run, start_time=now
    )
    copied.record(fitness=-0.5, api_cost=1.0, fitness_delta=0.0)
    copied.end(now + SECOND)
    run.end(end_time=now + 2 * SECOND)


def _told(run: spans.Run, facts: Sequence[Fact], now: int, step: int = 10 * SECOND) -> int:
    """Individuals in the order of ``facts``, with each generation open from its first individual to its last."""
    last = {fact.generation: fact.id for fact in facts}
    begun: dict[int, Any] = {}
    for fact in facts:
        if fact.generation not in begun:
            begun[fact.generation] = run.generation(fact.generation, start_time=now)
        individual = begun[fact.generation].individual(
            fact.id, parent_id=fact.parent, mutation_type=fact.how, start_time=now
        )
        if fact.model:
            call = individual.llm_call(fact.model, messages=f"Improve {fact.parent}.", start_time=now)
            call.response(
                f"{fact.id}!", input_tokens=100, output_tokens=10, cost=CALL if fact.model == PRICED else None
            )
            call.end(now + step // 2)
        now += step
        if fact.fitness is None:
            individual.fail("its evaluation failed")
            individual.record(**fact.told)
        else:
            metrics = {"accuracy": fact.fitness, "size": 10.0, **({} if fact.correct else {"correct": False})}
            individual.record(fitness=fact.fitness, metrics=metrics, **fact.told)
        individual.end(now)
        if last[fact.generation] == fact.id:
            begun[fact.generation].end(end_time=now)
    return now
