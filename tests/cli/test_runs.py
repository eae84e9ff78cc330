"""`runs`: the list of runs, in a pipe and in a terminal, filtered, and when there are none."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from genesis_otel import spans
from tests.support.command import Run, on_terminal, without_styles
from tests.support.recording import record
from tests.support.searched import (
    FACTS,
    GOING_ON,
    RUN,
    TASK,
    fill,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_runs_piped(run: Run) -> None:
    """Tab-separated with a header row; the newest run first; unrounded numbers."""
    code, out, err = run("runs")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out), delimiter="\t"))
    assert [row["run_id"] for row in rows] == [GOING_ON, RUN]
    assert [rows[1][name] for name in ("task_name", "status", "generations", "individuals", "best_score")] == [
        *(TASK, "completed", "5", str(len(FACTS)), "0.97")
    ]


def test_runs_on_a_terminal() -> None:
    """A table with status, generations, individuals, failures, best score, cost and the last sign of life; in a narrow
    terminal the task and shortened ids remain. The cost says how many calls it leaves out: one has no price."""
    shown = without_styles(on_terminal("runs"))
    assert re.search(
        rf"{RUN} +{TASK} +completed +5 +13 +1 +0\.97 +\$0\.0586 +\+ 1 unpriced +[\d-]+ [\d:]+ +\d+ min ago\n", shown
    )
    narrow = without_styles(on_terminal("runs", columns=80))
    assert re.search(r"run_20…142345 +circle_packing +completed +0\.97 +\$0\.0586 +\+ 1 unpriced\n", narrow)
    assert not [line for line in narrow.splitlines() if len(line) > 80]
    one_by_one = without_styles(on_terminal("runs", columns=40))
    assert re.search(rf"run +{RUN}", one_by_one) and re.search(r"cost +\$0\.0586", one_by_one)


def test_runs_with_filters(run: Run) -> None:
    """--task, --status and --limit filter; if nothing is left, the exit code is 3 and the message says what was looked for."""
    ids = [row["run_id"] for row in json.loads(run("runs", "--status", "stalled", "--format", "json")[1])]
    assert ids == [GOING_ON]
    assert len(json.loads(run("runs", "--limit", "1", "-f", "json")[1])) == 1
    code, out, err = run("runs", "--task", "another", "--status", "failed")
    assert (code, out, err) == (3, "", "Error: there is no run of the task 'another' that is failed\n")
    assert "; a run is running, completed, failed, stopped, stalled" in run("runs", "--status", "finished")[2]


def test_runs_of_an_empty_store(run: Run, empty: Path) -> None:
    """Before anything was recorded, the command works, says that there is nothing, and how to record something."""
    code, out, err = run("runs")
    assert (code, out) == (3, "") and "`genesis-otel demo` records one" in err
    assert run("lineage", "latest")[0] == 3


def test_a_task_is_its_newest_run_even_if_ids_begin_with_it(
    run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches that name their runs after the task: its name stands for the newest of them, unless a run has it as its id; the beginning
    of several ids, which is no task, is refused as before."""
    recorded = record(monkeypatch)
    for run_id in ("pack-1", "pack-2", "another"):
        spans.run("pack", run_id=run_id).end()
    fill(empty / "store", recorded.spans)

    def shown(name: str) -> tuple[int, list[str]]:
        code, out, _ = run("show", name, "--format", "json")
        return code, [each["run_id"] for each in json.loads(out or "[]")]

    assert shown("pack") == (0, ["another"])
    assert shown("pack-") == (2, [])
    assert shown("pack-1") == (0, ["pack-1"])
    spans.run("other", run_id="pack").end()
    fill(empty / "store", recorded.spans[-2:])
    assert shown("pack") == (0, ["pack"])
