"""The Pareto front of a population.

In: the objectives (``{"accuracy": "max", "code_size": "min"}``) and each individual's values. Out: the individuals that no
other dominates. On failure: an individual without a finite number for every objective is left out (an infinity would be the
whole front), and an objective whose direction cannot be read raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

DIRECTIONS = {"max": True, "maximize": True, "maximise": True, "min": False, "minimize": False, "minimise": False}


def directions(objectives: Mapping[str, str]) -> list[bool]:
    """Of each objective, whether more is better.

    :raises ValueError: a direction is none of ``max``, ``min`` and their long forms.
    """
    try:
        return [DIRECTIONS[str(direction).lower()] for direction in objectives.values()]
    except KeyError as error:
        raise ValueError(f"an objective's direction is 'max' or 'min', not {error}") from None


def front(objectives: Mapping[str, str], values: Sequence[Sequence[float | None]]) -> list[int]:
    """The positions in ``values`` that are not dominated, in their order; equal points stay together on the front.

    :param values: a row an individual, with its value of each objective in the order of ``objectives``.
    """
    maximise = directions(objectives)
    complete = [
        (position, row)
        for position, row in enumerate(values)
        if all(value is not None and math.isfinite(value) for value in row)
    ]
    if not complete or not maximise:
        return []
    # numpy and the library load where a front is wanted, and only there.
    import moocore  # type: ignore[import-untyped]

    kept = moocore.is_nondominated([row for _, row in complete], maximise=maximise, keep_weakly=True)
    return [position for (position, _), keep in zip(complete, kept, strict=True) if keep]


def undominated(
    objectives: Mapping[str, str], row: Sequence[float | None], others: Iterable[Sequence[float | None]]
) -> bool:
    """Whether a row has a finite number for every objective, and none of the others is better in one and as good in the rest."""
    signs = [1.0 if maximise else -1.0 for maximise in directions(objectives)]

    def seen(values: Sequence[float | None]) -> list[float] | None:
        known = [sign * value for sign, value in zip(signs, values, strict=True) if isinstance(value, (int, float))]
        return known if len(known) == len(signs) and all(map(math.isfinite, known)) else None

    own = seen(row)
    if own is None:
        return False
    rivals = (rival for rival in map(seen, others) if rival is not None)
    return not any(rival != own and all(map(float.__ge__, rival, own)) for rival in rivals)
