"""`lineage`: the ancestors of an individual, and how runs and individuals are named."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.command import Run, on_terminal, without_styles
from tests.support.searched import (
    BEST,
    GOING_ON,
    LATER,
    LINEAGE_OF_BEST,
    RUN,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_lineage_of_the_best(run: Run) -> None:
    """The chain from the seed to the best individual, with each step's gain, summary, model, cost and trace."""
    code, out, err = run("lineage", RUN, "--format", "json")
    assert (code, err) == (0, "")
    steps = json.loads(out)
    assert [step["individual_id"] for step in steps] == LINEAGE_OF_BEST
    assert steps[0]["gain"] is None and steps[-1]["gain"] == pytest.approx(0.02)
    assert steps[-1]["edit_summary"] == f"why {BEST} should be better"
    assert all(re.fullmatch("[0-9a-f]{32}", step["trace_id"]) for step in steps)


def test_lineage_on_a_terminal() -> None:
    """A table whose title names both; in a terminal for which it is too wide, a step is a list."""
    shown = without_styles(on_terminal("lineage", RUN))
    assert shown.startswith(f"{BEST} of {RUN}, in 4 steps\n")
    assert re.search(r"1  one_b +mutate +0\.6 +\+0\.2 +why one_b should be better +claude\S+ +\$0\.0023  \w{32}", shown)
    assert "other parents" not in shown
    assert "two_b" in without_styles(on_terminal("lineage", RUN, "three_a"))
    narrow = without_styles(on_terminal("lineage", RUN, columns=80))
    assert re.search(r"4  four_a +mutate +0\.97 +\+0\.02 +why four_a should be better +\$0\.0103\n", narrow)
    assert not [line for line in narrow.splitlines() if len(line) > 80]
    narrow = without_styles(on_terminal("lineage", RUN, columns=60))
    assert re.search(r"trace +\w{32}", narrow)


def test_lineage_by_a_part_of_an_id(run: Run) -> None:
    """A unique prefix of an id, and latest; for an unknown or ambiguous one, similar ids are listed."""
    steps = json.loads(run("lineage", "run_20240115", "three_be", "-f", "json")[1])
    assert steps[-1]["individual_id"] == "three_best"
    assert json.loads(run("lineage", "latest", "-f", "json")[1])[-1]["individual_id"] == LATER[0].id
    code, out, err = run("lineage", "run_2024")
    assert (code, out) == (2, "") and RUN in err and GOING_ON in err
    code, out, err = run("lineage", "run_20240155_142345")
    assert (code, out) == (3, "") and f"nearest: {RUN}" in err
    code, out, err = run("lineage", RUN, "three_beast")
    assert (code, out) == (3, "") and "nearest: three_best" in err
