"""The Pareto front: individuals that no other dominates."""

from __future__ import annotations

import itertools
import math
import random

import moocore  # type: ignore[import-untyped]
import pytest

from genesis_otel._emit import pareto

BOTH = {"accuracy": "max", "code_size": "min"}


def test_the_front_is_what_no_other_dominates() -> None:
    """An individual that beats every other in accuracy or size is on the front; one that is worse in both is not."""
    assert pareto.front(BOTH, [[0.9, 10], [0.9, 20], [0.5, 5], [0.4, 6]]) == [0, 2]


def test_the_front_agrees_with_the_definition() -> None:
    """For random populations with ties, the front is what the pairwise definition says."""
    dice = random.Random(7)
    for objectives in (BOTH, {"a": "max"}, {"a": "min", "b": "min", "c": "max", "d": "minimize"}):
        signs = [1 if more else -1 for more in pareto.directions(objectives)]
        population = [[float(dice.randint(0, 5)) for _ in objectives] for _ in range(60)]
        signed = [[sign * value for sign, value in zip(signs, row, strict=True)] for row in population]
        dominated = {
            one
            for one, other in itertools.permutations(range(60), 2)
            if all(b >= a for a, b in zip(signed[one], signed[other], strict=True)) and signed[one] != signed[other]
        }
        assert pareto.front(objectives, population) == [each for each in range(60) if each not in dominated]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_the_front_is_that_of_moocore(objectives: int) -> None:
    """On random populations with ties and signed zeros, the front is the one that moocore finds; rows with NaN are on
    neither."""
    dice = random.Random(objectives)
    for size in (1, 2, 30, 30, 30, 30, 300):
        names = {f"objective {number}": dice.choice(["max", "min"]) for number in range(objectives)}
        rows = [[dice.choice([dice.randint(-2, 2), dice.random(), -0.0]) for _ in names] for _ in range(size)]
        kept = moocore.is_nondominated(rows, maximise=pareto.directions(names), keep_weakly=True)
        best = [position for position, keep in enumerate(kept) if keep]
        assert pareto.front(names, rows) == best
        holes = [[math.nan, *row[1:]] for row in rows]
        assert pareto.front(names, rows + holes) == best


def test_equal_individuals_share_the_front() -> None:
    """Two individuals with the same values are both on the front."""
    assert pareto.front(BOTH, [[0.9, 10], [0.9, 10], [0.1, 11]]) == [0, 1]


def test_an_individual_without_a_number_for_every_objective_is_left_out() -> None:
    """A missing, NaN or infinite objective excludes that individual and no other."""
    assert pareto.front(BOTH, [[math.nan, 1], [None, 1], [0.5, None], [0.1, 5], [math.inf, 9]]) == [3]


@pytest.mark.parametrize("values", [[], [[math.nan, 1.0]]])
def test_without_individuals_the_front_is_empty(values: list[list[float]]) -> None:
    """Without comparable individuals the front is empty."""
    assert pareto.front(BOTH, values) == []


def test_a_direction_is_max_or_min() -> None:
    """Any other word is rejected with an error that names it."""
    with pytest.raises(ValueError, match="sideways"):
        pareto.directions({"accuracy": "sideways"})
