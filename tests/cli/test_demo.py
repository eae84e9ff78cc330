"""`demo`: a real search, offline, and what it says about it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from genesis_otel._store.tables import TABLES
from tests.support.command import Run
from tests.support.searched import (
    TASK,
    end_store,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_demo(run: Run, empty: Path, tmp_path: Path) -> None:
    """A real search of a few iterations, offline; it shows what was stored, and where."""
    folder = tmp_path / "kept"
    try:
        code, out, err = run("demo", "--iterations", "3", "--data-dir", str(folder))
        assert code == 0, err
        assert all(re.search(rf"{table}\W+\d", out) for table in TABLES)
        assert f"export GENESIS_OTEL_DATA_DIR={folder}" in err
        os.environ["GENESIS_OTEL_DATA_DIR"] = str(folder)
        (row,) = json.loads(run("runs", "-f", "json")[1])
        assert row["task_name"] == TASK and row["status"] == "completed"
    finally:
        end_store(folder / "store")


def test_demo_reports_a_missing_key(run: Run, empty: Path) -> None:
    """--real without a key."""
    code, _, err = run("demo", "--real")
    assert code == 1 and "OPENAI_API_KEY" in err
