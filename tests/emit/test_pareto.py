"""The Pareto front: which individuals no other is better than in every respect."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys

import pytest

from genesis_otel._emit import pareto

BOTH = {"accuracy": "max", "code_size": "min"}


def test_the_front_is_what_no_other_dominates() -> None:
    """More accurate or smaller than every other keeps an individual on the front; worse in both takes it off."""
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


def test_equal_individuals_share_the_front() -> None:
    """Two individuals with the same values are both on the front."""
    assert pareto.front(BOTH, [[0.9, 10], [0.9, 10], [0.1, 11]]) == [0, 1]


def test_an_individual_without_a_number_for_every_objective_is_left_out() -> None:
    """An objective that is missing, NaN or infinite takes an individual out, not the others."""
    assert pareto.front(BOTH, [[math.nan, 1], [None, 1], [0.5, None], [0.1, 5], [math.inf, 9]]) == [3]


@pytest.mark.parametrize("values", [[], [[math.nan, 1.0]]])
def test_nobody_makes_no_front(values: list[list[float]]) -> None:
    """Where nobody can be compared, the front is empty."""
    assert pareto.front(BOTH, values) == []


def test_a_direction_is_max_or_min() -> None:
    """Any other word is refused, by name."""
    with pytest.raises(ValueError, match="sideways"):
        pareto.directions({"accuracy": "sideways"})


def test_the_library_loads_where_a_front_is_wanted_and_only_there() -> None:
    """Importing the module loads neither numpy nor moocore."""
    code = "import sys, genesis_otel._emit.pareto; sys.exit(bool({'numpy', 'moocore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
