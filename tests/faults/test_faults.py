"""Whatever happens to a search, its workers, its store and its disk: spans that ended are stored, or counted as lost;
none is stored twice; nothing hangs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.scenes import SCENES


@pytest.mark.parametrize("name", SCENES)
def test_ended_spans_are_stored_or_counted(name: str, seed: int, tmp_path: Path) -> None:
    """Ended = stored + counted, duplicates = 0, every program ends, and the exceptions of signal handlers arrive."""
    ledger = SCENES[name](tmp_path / "run" / "spool", random.Random(seed), 1.5)
    assert not ledger.holds(), ledger
