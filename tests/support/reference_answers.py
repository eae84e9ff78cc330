"""The reference's statements, and what each has to answer about the tests' known search.

In: ``docs/reference.md``, and the facts of :mod:`tests.support.searched`. Out: statements by title, with ids replaced by those of the search,
and answers worked out from the facts in Python. On failure: a statement without a title fails the test that imports this.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.searched import (
    BEST,
    EMBED_COST,
    FACTS,
    GOING_ON,
    LINEAGE_OF_BEST,
    MODELS,
    NOVELTY_COST,
    RUN,
    TASK,
    Fact,
    children,
    cost,
    delta,
    metrics,
    score,
    seconds,
    summary,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
NAMES_IN_REFERENCE = {"run_20240115_142345": RUN, "your_run_id": RUN, "YOUR_RUN_ID": RUN, "run_12345": RUN}
REFUSED = "Find generations with breakthroughs (>10% improvement)"


def reference_queries() -> dict[str, str]:
    """The reference's statements by title, with ids replaced by those of the search; one title occurs twice."""
    found: dict[str, str] = {}
    for block in re.findall(r"```sql\n(.*?)```", REFERENCE.read_text(), re.DOTALL):
        for statement in re.split(r";\s*$", block, flags=re.MULTILINE):
            if not re.sub(r"--[^\n]*", "", statement).strip():
                continue
            match = re.search(r"-- (.*)", statement)
            assert match
            title = match[1]
            found[title if title not in found else f"{title}, again"] = re.sub(
                r"'([^']*)'", lambda quoted: f"'{NAMES_IN_REFERENCE.get(quoted[1], quoted[1])}'", statement
            ).replace("ind_gen10_best", BEST)
    return found


REFERENCE_QUERIES = reference_queries()

Rows = list[tuple[Any, ...]]


def generations() -> list[int]:
    return sorted({fact.generation for fact in FACTS})


def of(generation: int) -> list[Fact]:
    return [fact for fact in FACTS if fact.generation == generation]


def best(generation: int) -> float:
    return max(score(fact) for fact in of(generation))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def average(generation: int) -> float:
    return mean([fact.fitness for fact in of(generation) if fact.fitness is not None])


def front(generation: int) -> list[Fact]:
    """By definition: those that no other dominates in accuracy and size; best first."""
    living = [fact for fact in of(generation) if fact.fitness is not None]

    def beaten(one: Fact) -> bool:
        return any(
            score(each) >= score(one) and each.size <= one.size and (score(each), -each.size) != (score(one), -one.size)
            for each in living
        )

    return sorted((fact for fact in living if not beaten(fact)), key=lambda fact: -score(fact))


def costs(fact: Fact) -> tuple[float, float, float]:
    made = children()
    other = (EMBED_COST, NOVELTY_COST) if fact.fitness is not None else (0.0, 0.0)
    return (cost(made.index(fact)) if fact in made else 0.0, *other)


def total_cost(generation: int) -> float:
    return sum(sum(costs(fact)) for fact in of(generation))


def improvements() -> dict[int, float]:
    return {later: best(later) - best(before) for before, later in pairwise(generations())}


def edges() -> list[tuple[Fact, str, float]]:
    return [(fact, parent, delta(fact, parent)) for fact in FACTS for parent in fact.parents]


def by_how(values: list[tuple[str, float]]) -> dict[str, list[float]]:
    grouped = defaultdict(list)
    for how, value in values:
        grouped[how].append(value)
    return grouped


def quantile(values: list[float], share: float) -> float:
    ordered, place = sorted(values), share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def calls() -> dict[str, list[tuple[float, float]]]:
    """Cost and seconds of each model's calls, including the failed one."""
    made: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for position, _ in enumerate(children()):
        made[MODELS[position % 2]].append((cost(position), seconds(position)))
    made[MODELS[0]].append((0.0, 0.1))
    return made


def scores_by_how() -> dict[str, list[float]]:
    return by_how([(fact.how, score(fact)) for fact in FACTS if fact.generation])


def everyone() -> list[Fact]:
    return sorted((fact for fact in FACTS if fact.fitness is not None), key=lambda fact: -score(fact))


def as_json(fact: Fact) -> dict[str, float]:
    return metrics(fact)


ANSWERS: dict[str, Callable[[], Rows]] = {
    "Active runs": lambda: [(GOING_ON, TASK, 0)],
    "Compare configurations": lambda: [(run, TASK, {"evolution": {"num_generations": 5}}) for run in (GOING_ON, RUN)],
    "Fitness trajectory": lambda: [(g, best(g), average(g), total_cost(g)) for g in generations()],
    "Cost per generation": lambda: [(g, total_cost(g), total_cost(g) / len(of(g))) for g in generations()],
    # The first generation has nothing to compare with; NULL sorts last.
    "Identify breakthrough generations (large improvement)": lambda: [
        *sorted([(g, best(g), gain) for g, gain in improvements().items()], key=lambda row: -row[2]),
        (generations()[0], best(generations()[0]), None),
    ],
    "Top 10 individuals ever created": lambda: [
        (fact.id, fact.generation, score(fact), fact.how, as_json(fact)) for fact in everyone()[:10]
    ],
    "Duplicates (same code hash)": lambda: [(2,)],
    "Mutation type effectiveness": lambda: sorted(
        [(how, len(scores), mean(scores), max(scores)) for how, scores in scores_by_how().items()],
        key=lambda row: -row[2],
    ),
    "Pareto frontier members across all generations": lambda: [
        (g, fact.id, score(fact), score(fact) / 2) for g in generations() for fact in front(g)
    ],
    "Pareto frontier size over time": lambda: [(g, len(front(g))) for g in generations()],
    "Latest Pareto frontier": lambda: [
        (fact.id, score(fact), score(fact) / 2, as_json(fact)) for fact in front(generations()[-1])
    ],
    "Compare Pareto fronts across generations": lambda: [
        (g, fact.id, score(fact), fact.size) for g in generations() for fact in front(g)
    ],
    "Most successful mutations (biggest improvements)": lambda: sorted(
        [
            (fact.id, parent, fact.generation, fact.how, gain, summary(fact))
            for fact, parent, gain in edges()
            if gain > 0
        ],
        key=lambda row: -row[4],
    )[:10],
    "Mutation success rate": lambda: [
        (how, len(gains), sum(gain > 0 for gain in gains), sum(gain > 0 for gain in gains) / len(gains), mean(gains))
        for how, gains in by_how([(fact.how, gain) for fact, _, gain in edges()]).items()
    ],
    "Trace lineage of best individual": lambda: [
        (fact.id, fact.parents[0] if fact.parents else "", fact.generation, fact.how, summary(fact))
        for fact in FACTS
        if fact.id in LINEAGE_OF_BEST
    ],
    "Most prolific parents (many children)": lambda: [
        *(
            (parent, len(gains), mean(gains), sum(gain > 0 for gain in gains))
            for parent, gains in by_how([(parent, gain) for _, parent, gain in edges()]).items()
        ),
        ("", sum(not fact.parents for fact in FACTS), None, 0),
    ],
    "Best score per generation": lambda: [
        (g, best(g), average(g), len(front(g)), total_cost(g)) for g in generations()
    ],
    "Top 10 individuals across all generations": lambda: [
        (fact.id, fact.generation, score(fact), score(fact) / 2, fact.how) for fact in everyone()[:10]
    ],
    "Total costs by run": lambda: [
        (RUN, TASK, sum(map(total_cost, generations())), len(generations())),
        (GOING_ON, TASK, 2 * (EMBED_COST + NOVELTY_COST), 1),
    ],
    "LLM costs by model": lambda: sorted(
        [(model, len(made), sum(c for c, _ in made), mean([s for _, s in made])) for model, made in calls().items()],
        key=lambda row: -row[2],
    ),
    "Most successful mutations (positive fitness delta)": lambda: sorted(
        [
            (how, len(gains), mean(gains), max(gains))
            for how, gains in by_how([(fact.how, gain) for fact, _, gain in edges() if gain > 0]).items()
        ],
        key=lambda row: -row[2],
    ),
    "Build phylogenetic tree": lambda: [
        (fact.id, parent, fact.generation, fact.how, delta(fact, parent) if parent else None)
        for fact in FACTS
        for parent in fact.parents or ("",)
    ],
    "Track how Pareto frontier changes over time": lambda: [
        (g, len(front(g)), score(front(g)[0]), score(front(g)[-1]) / 2) for g in generations()
    ],
    "Find best individual across all runs for a task": lambda: [
        (RUN, BEST, 4, score(everyone()[0]), as_json(everyone()[0]))
    ],
    "Evolution progress dashboard": lambda: [
        (g, best(g), average(g), len(front(g)), total_cost(g), len(front(g))) for g in generations()
    ],
    "Cost breakdown by component": lambda: [
        (
            *(sum(costs(fact)[kind] for fact in FACTS) for kind in range(3)),
            sum(sum(costs(fact)) for fact in FACTS),
        )
    ],
    "Mutation type effectiveness, again": lambda: [
        (how, len(scores), mean(scores), quantile(scores, 0.5), quantile(scores, 0.9))
        for how, scores in scores_by_how().items()
    ],
    REFUSED: lambda: sorted(
        [(g, best(g), gain, gain / best(g - 1)) for g, gain in improvements().items() if gain / best(g - 1) > 0.1],
        key=lambda row: -row[3],
    ),
    "LLM cost by model": lambda: sorted(
        [
            (model, len(made), sum(c for c, _ in made), mean([c for c, _ in made]), sum(s for _, s in made))
            for model, made in calls().items()
        ],
        key=lambda row: -row[2],
    ),
}
"""What each of the reference's queries has to answer, in its order; where it has none, any."""

UNORDERED = {
    "Cost per generation",
    "Compare Pareto fronts across generations",
    "Mutation success rate",
    "Mutation type effectiveness, again",
    "Most prolific parents (many children)",
    "Build phylogenetic tree",
    "Trace lineage of best individual",
    "Top 10 individuals ever created",  # two individuals have the same score
    "Top 10 individuals across all generations",
}
LEFT_OUT = {"start_time", "code_hash"}
"""Columns that nobody can work out from the facts."""


def comparable(names: list[str], rows: list[Any], *, ordered: bool) -> list[Any]:
    """Rows without the columns that the facts lack; JSON parsed, floats rounded."""

    def plain(value: Any) -> Any:
        if isinstance(value, (int, float)):
            return round(float(value), 9)
        if isinstance(value, str) and value.startswith("{"):
            return plain(json.loads(value))
        if isinstance(value, dict):
            return tuple(sorted((name, plain(each)) for name, each in value.items()))
        return value

    kept = [place for place, name in enumerate(names) if name not in LEFT_OUT]
    result = [tuple(plain(row[place]) for place in kept) for row in rows]
    return result if ordered else sorted(result, key=repr)


def columns_of_answer(names: list[str]) -> list[str]:
    return [name for name in names if name not in LEFT_OUT]
