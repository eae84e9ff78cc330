"""Waiting for what another process or thread does.

In: a condition. Out: it holds. On failure: a test that would wait forever fails, and says for what it waited.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

LONGEST = 150.0
"""Seconds: a process starts within that on a busy machine. No test passes or fails by how long it took."""


def until(true: Callable[[], object], what: str, seconds: float = LONGEST) -> None:
    """Wait until ``true()``; the limit only ends a test that hangs."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen in {seconds:.0f} s")
        time.sleep(0.05)
