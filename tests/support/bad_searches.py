"""Searches that went badly, as facts, and as the spans that the real API makes of them: only failures, nothing but negative scores, several
processes, a spent budget, calls that fail, spans that arrive twice, hostile names."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.recording import record

SECOND = 1_000_000_000
FAILED, UNSCORED, INCORRECT = "failed", "unscored", "incorrect"
HOSTILE = "'; DROP TABLE x -- $' $& $$ \\"

Outcome = float | str


class Part(NamedTuple):
    """What one process records of a search."""

    outcomes: Sequence[Outcome]
    """A score for each individual, or why it has none."""
    ago: float
    """Minutes since the process began; it makes an individual every second."""
    ends: bool = True


class Search(NamedTuple):
    """A search that went badly, in one process or several."""

    parts: Sequence[Part]
    task: str = "task"
    model: str = "model"
    budget: float | None = None
    direction: str | None = None
    errors: int = 0
    """Every how many calls one fails; never if 0."""
    twice: bool = False
    """Whether half of its spans are delivered again."""
    config: Mapping[str, Any] = MappingProxyType({"num_generations": 9})


WELL: Sequence[Outcome] = (1.0, 2.0, FAILED, 3.0, 2.5, 4.0)
SEARCHES = {
    "only failures & no score": Search([Part([FAILED] * 6, 40)], task="$'"),
    "below zero": Search([Part([-5.0, -3.0, -1e9, -3.0, -2.5], 40)], task="$$"),
    "less is better #1": Search([Part([5.0, 3.0, 4.0, -1.0, 0.0], 40)], direction="min"),
    "resumed + twice": Search([Part(WELL, 55, ends=False), Part((1.0, 5.0), 45), Part((4.5, 6.0), 35)]),
    "several processes'": Search([Part(WELL, 40, ends=False), Part((2.2, 3.5, FAILED), 40, ends=False), Part((), 38)]),
    "budget of $0": Search([Part(WELL, 1, ends=False)], budget=0.0),
    "budget of $0 & unspent": Search([Part((), 1, ends=False)], budget=0.0),
    "overspent 🧬": Search([Part(WELL, 1, ends=False)], budget=0.05, model="it's \"quoted\" $'"),
    "one": Search([Part([0.5], 40)], model="$$ `"),
    "unscored": Search([Part([UNSCORED] * 4, 40)]),
    "incorrect": Search([Part([INCORRECT, 7.0, INCORRECT, 8.0], 40)]),
    "never ended": Search([Part(WELL, 3 * 24 * 60, ends=False)]),
    "silent": Search([Part(WELL, 30, ends=False)]),
    "calls fail": Search([Part([1.0] * 30, 2, ends=False)], errors=2),
    "told twice": Search([Part((*WELL, INCORRECT) * 2, 40)], errors=3, twice=True),
    "few calls told twice": Search(
        [Part([float(number) for number in range(15)], 1, ends=False)], errors=2, twice=True
    ),
    "well": Search([Part(WELL, 1, ends=False)], budget=100.0),
    "nobody": Search([Part((), 40)]),
    HOSTILE: Search([Part(WELL, 40)], task=HOSTILE, model=HOSTILE),
}


def spans_of(run_id: str, search: Search) -> Iterator[Sequence[ReadableSpan]]:
    """The spans of each process of a search, and those that are delivered again."""
    for number, part in enumerate(search.parts):
        with pytest.MonkeyPatch.context() as patch:
            recorded = record(patch, through=LLMSpanProcessor)
            _process(run_id, search, part, number)
            made = recorded.spans
        yield made
        if search.twice:
            yield made[1:]


def batches() -> Iterator[Sequence[ReadableSpan]]:
    """All of them: the n-th that each search sends goes in with the n-th of the others, because an insert takes a second."""
    for several in itertools.zip_longest(*(spans_of(*named) for named in SEARCHES.items()), fillvalue=()):
        yield [span for each in several for span in each]


def _process(run_id: str, search: Search, part: Part, number: int) -> None:
    now = time.time_ns() - int(part.ago * 60) * SECOND
    run = spans.run(
        search.task, run_id=run_id, budget=search.budget, direction=search.direction, config=search.config, start_time=now
    )  # fmt: skip
    for place, outcome in enumerate(part.outcomes):
        generation = run.generation(10 * number + place // 2, start_time=now)
        individual = generation.individual(f"{number}#{place}", mutation_type="init", start_time=now)
        call = individual.llm_call(search.model, messages="Improve.", start_time=now)
        if search.errors and place % search.errors == 0:
            call.fail(TimeoutError("429"))
        else:
            call.response("Done.", input_tokens=10, output_tokens=10, cost=0.01 * (place + 1))
        now += SECOND // 2 + place * 1000
        call.end(now)
        job = individual.evaluation(f"{number} {place}", start_time=now)
        if outcome == FAILED:
            job.fail(ZeroDivisionError(HOSTILE))
            individual.fail(HOSTILE)
        elif outcome == UNSCORED:
            individual.record(code="unscored")
        else:
            score = 9.0 if isinstance(outcome, str) else outcome
            job.result(correct=outcome != INCORRECT, combined_score=score)
            individual.record(fitness=score, code=f"code {place % 3}")
        now += SECOND // 2
        job.end(now)
        individual.end(now)
        if place % 2 or place == len(part.outcomes) - 1:
            generation.end(end_time=now)
    if part.ends:
        run.end(end_time=now + SECOND)
