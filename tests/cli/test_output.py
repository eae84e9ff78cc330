"""What is written: nothing stored controls a terminal, and files get it unchanged."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from genesis_otel._cli.tables import Format, write
from genesis_otel._money import dollars, exceeding
from genesis_otel._read.format import ago, counted, visible
from tests.support.command import Run, on_terminal, started, without_styles
from tests.support.searched import (
    FACTS,
    end_store,
    fill,
    search_spans,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\rover\n\tnext\x00\u2028"
"""Clears the screen, sets the window's title, changes colours and the text direction, returns to the start of the
line."""


CLEAR = "\x1b[2J"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a run whose ids, summaries and prompts contain control sequences."""
    data = tmp_path_factory.mktemp("hostile")
    facts = [FACTS[0]._replace(id=f"seed{HOSTILE}"), FACTS[3]._replace(id=f"i{HOSTILE}", parents=(f"seed{HOSTILE}",))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.searched.FACTS", facts)
        patch.setattr("tests.support.searched.summary", lambda fact: f"{HOSTILE} summary")
        fill(data / "store", search_spans(f"run{HOSTILE}", facts=facts))
    yield data
    end_store(data / "store")


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("lineage", "latest"),
        ("lineage", "nobody"),
        ("lineage", f"x{CLEAR}"),
        *(("query", "SELECT * FROM llm_logs, individuals", "-f", format) for format in ("table", "csv", "tsv", "json")),
        ("query", "SELECT edit_summary AS `a\x1b[2J` FROM code_lineages"),
        ("query", f"SELECT nothing AS '{CLEAR}'"),
        ("query", f"zzz{CLEAR}"),
        ("query", "top_individuals"),
    ],
)
def test_no_stored_text_reaches_a_terminal_raw(
    arguments: tuple[str, ...], hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, summaries, prompts, column names and mistyped arguments are shown as text, and none of them controls the
    terminal."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(hostile))
    shown = without_styles(on_terminal(*arguments))
    assert shown.strip()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028]", shown), arguments


def test_files_get_what_is_stored(run: Run, hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or file has the text unchanged: only terminals need escaping."""
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(hostile))
    (row,) = json.loads(run("runs", "--format", "json")[1])
    assert row["run_id"] == f"run{HOSTILE}"
    sql = "SELECT DISTINCT edit_summary FROM code_lineages"
    assert run("query", sql, "-f", "csv")[1] == f'edit_summary\n"{HOSTILE} summary"\n'


def test_csv_is_readable_by_others() -> None:
    """Quotes, commas, line ends and empty fields are read back correctly by Python's own reader."""
    values = ['a "b"', "c,d", "e\nf", "g\r\nh", "", " i ", "'j'"]
    for rows in ([tuple(values)], [(value,) for value in values]):
        names = [f"n{at}" for at in range(len(rows[0]))]
        out = io.StringIO()
        assert write(names, [rows], Format.csv, out=out) == len(rows)
        told = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
        assert told == [names, *map(list, rows)]


def test_lone_surrogates_can_be_written() -> None:
    """Text that cannot be encoded is written as escapes, on a terminal and elsewhere."""
    assert visible("lone \udc80 and \x1b[0m\n") == "lone \\udc80 and \\x1b[0m\\n"
    process = started("query", "SELECT 'é' AS c", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, b"c\n\\xe9\n", b"")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, ""),
        (0, "$0.00"),
        (2.1e-6, "$0.0000021"),
        (0.00004999, "$0.000050"),
        (0.00005, "$0.0001"),
        (0.0586, "$0.0586"),
        (1, "$1.00"),
        (12345.678, "$12,345.68"),
    ],
)
def test_only_nothing_costs_nothing(amount: float | None, text: str) -> None:
    """No cost is too small to be told from 0, and an unknown one is no number."""
    assert dollars(amount) == text


def test_a_sum_looks_the_same_in_any_order() -> None:
    """Sums that differ in their last bit only are the same text, also halfway between two texts."""
    for amount in (0.11065, 1.005, 0.00025):
        assert {dollars(math.nextafter(amount, 0)), dollars(math.nextafter(amount, 9))} == {dollars(amount)}


def test_a_cost_over_its_budget_looks_like_more() -> None:
    """The two amounts have as many digits as it takes to tell them apart; calls without a price are counted."""
    assert exceeding(2, 1) == "$2.00, more than its budget of $1.00"
    assert exceeding(2.004, 2, 3) == "$2.004 + 3 unpriced, more than its budget of $2"


def test_one_is_not_many() -> None:
    """A number stands with the singular only if it is one."""
    assert [counted(each, "step") for each in (0, 1, 2, 1200)] == ["0 steps", "1 step", "2 steps", "1,200 steps"]


def test_how_long_ago() -> None:
    """Seconds, minutes, hours, days."""
    assert [ago(each) for each in (0.4, 119, 180, 7300, 200_000, None)] == [
        *("0 s ago", "119 s ago", "3 min ago", "2 h ago", "2 d ago", "")
    ]


def test_columns_with_the_same_name() -> None:
    """A JSON object has each name once: a second column of the same name gets a number."""
    out = io.StringIO()
    assert write(["a", "a"], [[(1, 2)]], Format.json, out=out) == 1
    assert json.loads(out.getvalue()) == [{"a": 1, "a_2": 2}]
