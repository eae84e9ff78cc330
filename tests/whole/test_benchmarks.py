"""Every benchmark still runs: in its smallest size, or as far as its arguments where it needs what is not always there. No time is judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import without_settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALLEST = {
    "emit": ("--units", "50", "--rounds", "1", "--against", "HEAD"),
    "ingest": ("--sizes", "1", "--rounds", "1", "--against", "HEAD"),
    "live": ("--seconds", "12", "--looked", "1"),
    "llm_view": ("--rounds", "1", "--calls", "2"),
    "overhead": ("--iterations", "2", "--rounds", "1"),
    "panels": ("--runs", "10", "--rounds", "1", "--only", "queries/run_costs"),
    "prices": ("--calls", "2"),
    "redact": (),
    "rows": ("--individuals", "2", "--rounds", "1"),
    # They need the collector's binary and a browser.
    "collector": ("--help",),
    "draw_page": ("--help",),
    "open_page": ("--help",),
}
"""The arguments of each."""
PARTS = {"drainer", "rounds", "searched", "searches", "sender", "shapes"}
"""What the benchmarks import or start."""


def test_every_benchmark_is_tried() -> None:
    """No benchmark is left out here, and none is gone."""
    assert {file.stem for file in BENCHMARKS.glob("*.py")} == SMALLEST.keys() | PARTS


@pytest.mark.parametrize("name", SMALLEST)
def test_it_runs(name: str, tmp_path: Path) -> None:
    """It ends with a verdict, whichever, and not with an error."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *SMALLEST[name]],
        env=without_settings(GENESIS_OTEL_DATA_DIR=str(tmp_path), TMPDIR=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr and "Error" not in done.stderr, done.stderr
    assert done.stdout
