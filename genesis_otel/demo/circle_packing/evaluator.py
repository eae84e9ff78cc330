"""Scores a circle packing: OpenEvolve calls this for every program of the demo's search.

In: the path of a program with a function ``pack()``. Out: metrics, the same for the same program on any machine:
work is counted in calls, not in seconds. On failure: raises, with the reason, if a program does not compile, crashes,
packs invalidly or works too long.
"""

import math
import runpy
import sys
from pathlib import Path
from types import FrameType

BEST_KNOWN = 2.635
"""Sum of radii of the best known packing of 26 circles."""

COUNT = 26
MAX_CALLS = 3_000_000
TOLERANCE = 1e-9
PRICE_OF_A_BYTE = 5e-6
"""The price of a byte of code in the combined score: of two equally good programs, the shorter one is better."""


def evaluate(program_path: str) -> dict[str, float]:
    """Run the program and measure its packing."""
    points, radii, calls = _run(program_path)
    _check(points, radii)
    size = Path(program_path).stat().st_size
    accuracy = sum(radii) / BEST_KNOWN
    return {
        "combined_score": accuracy - size * PRICE_OF_A_BYTE,
        "accuracy": accuracy,
        "size": float(size),
        "calls": float(calls),
        "sum_radii": sum(radii),
        "smallest_radius": min(radii),
    }


def _run(program_path: str) -> tuple[list[tuple[float, float]], list[float], int]:
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls > MAX_CALLS:
                raise TimeoutError(f"more than {MAX_CALLS} calls")

    program = runpy.run_path(program_path)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        points, radii = program["pack"]()
    finally:
        sys.setprofile(before)
    return points, radii, calls


def _check(points: list[tuple[float, float]], radii: list[float]) -> None:
    if not len(points) == len(radii) == COUNT:
        raise ValueError(f"{len(points)} centres and {len(radii)} radii instead of {COUNT}")
    for i, ((x, y), radius) in enumerate(zip(points, radii, strict=True)):
        if not 0 < radius <= min(x, y, 1 - x, 1 - y) + TOLERANCE:
            raise ValueError(f"circle {i} does not lie in the square")
        for j in range(i):
            if math.dist((x, y), points[j]) < radius + radii[j] - TOLERANCE:
                raise ValueError(f"circles {j} and {i} overlap")
