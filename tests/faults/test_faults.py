"""Whatever happens to a search, its workers, its store and its disk: what ended is stored, or counted as lost; nothing twice; nobody hangs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.scenes import SCENES


@pytest.mark.parametrize("name", SCENES)
def test_what_ended_is_stored_or_counted(name: str, seed: int, tmp_path: Path) -> None:
    """Ended = stored + counted, doubled = 0, every program comes to its end, and what signal handlers raise arrives."""
    ledger = SCENES[name](tmp_path / "run" / "spool", random.Random(seed), 1.5)
    assert not ledger.holds(), ledger
