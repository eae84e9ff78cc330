"""`query`: SQL and named queries, in every format, read-only, of any size."""

from __future__ import annotations

import csv
import io
import json
import re
import sys

import pytest

from genesis_otel import queries
from genesis_otel._cli.grid import ROWS_OF_A_TABLE
from tests.support.command import Run, on_terminal, started, without_styles
from tests.support.searched import (
    BEST,
    FACTS,
    LATER,
    RUN,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_query_in_every_format(run: Run) -> None:
    """The same rows as TSV, CSV, JSON and a plain table: strings unchanged, times in UTC, NULL as empty."""
    sql = (
        "SELECT 'a\tb\\\\c\"d,é' AS text, toDateTime64('2024-01-15 14:23:45.123', 3, 'Europe/Berlin') AS time, NULL AS nothing, "
        "0.1 + 0.2 AS sum, nan AS none, [1, 2] AS list, map('k', true) AS map, toUUID('550e8400-e29b-41d4-a716-446655440000') AS id"
    )
    assert run("query", sql)[1].splitlines() == [
        "text\ttime\tnothing\tsum\tnone\tlist\tmap\tid",
        'a\\tb\\\\c"d,é\t2024-01-15T13:23:45.123Z\t\\N\t0.30000000000000004\tnan\t[1, 2]\t{"k": true}\t550e8400-e29b-41d4-a716-446655440000',
    ]
    (row,) = csv.DictReader(io.StringIO(run("query", sql, "--format", "csv")[1]))
    assert (row["text"], row["nothing"], row["list"]) == ('a\tb\\c"d,é', "", "[1, 2]")
    assert json.loads(run("query", sql, "--format", "json")[1]) == [
        {
            "text": 'a\tb\\c"d,é',
            "time": "2024-01-15T13:23:45.123Z",
            "nothing": None,
            "sum": 0.1 + 0.2,
            "none": None,
            "list": [1, 2],
            "map": {"k": True},
            "id": "550e8400-e29b-41d4-a716-446655440000",
        }
    ]
    table = run("query", sql, "--format", "table")[1].splitlines()
    assert "2024-01-15 13:23:45" in table[2] and "0.3 " in table[2]


def test_query_without_rows(run: Run) -> None:
    """No rows is a valid answer: only the names, or an empty list."""
    sql = "SELECT run_id, generation FROM generations WHERE run_id = 'nobody'"
    assert run("query", sql) == (0, "run_id\tgeneration\n", "")
    assert run("query", sql, "-f", "json") == (0, "[]\n", "")
    assert run("query", sql, "-f", "table")[0] == 0


def test_query_by_name(run: Run) -> None:
    """A name, with hyphens too, parameters, latest and a prefix of a run's id."""
    rows = json.loads(run("query", "top-individuals", "-p", f"run_id={RUN[:12]}", "-p", "limit=2", "-f", "json")[1])
    assert [row["individual_id"] for row in rows] == [BEST, "three_best"]
    assert LATER[0].id in run("query", "top_individuals")[1]
    listed = json.loads(run("query", "--list", "--format", "json")[1])
    assert [row["name"] for row in listed] == list(queries.names())
    code, out, _ = run("query", "--show", "breakthroughs")
    assert code == 0 and "threshold Float64 (default: '0.1')" in out and "improvement >" in out
    ids = "individual_ids=['two_a', 'nobody']"
    detail = json.loads(run("query", "individuals_in_detail", "-p", f"run_id={RUN}", "-p", ids, "-f", "json")[1])
    assert [row["individual_id"] for row in detail] == ["two_a"]
    assert run("query", "top_individuals", "-p", "run_id=nobody")[0] == 3
    # As from a variable that a script has not set; where all runs are the default, it is that.
    code, out, err = run("query", "top_individuals", "-p", "run_id=")
    assert (code, out) == (3, "") and "the name of the run is empty" in err
    assert run("query", "llm_costs", "-p", "run_id=") == run("query", "llm_costs")
    code, _, err = run("query", "top_individuals", "-p", "limit=many")
    assert code == 1 and "limit" in err


def test_query_with_parameters_and_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL parameters are bound by the server, whatever they contain; - reads the SQL from standard input."""
    hostile = "x' OR 1 = 1; DROP TABLE individuals --\\"
    _, out, _ = run("query", "SELECT {t:String} AS t, '50%' AS p", "-p", f"t={hostile}", "-f", "json")
    assert json.loads(out) == [{"t": hostile, "p": "50%"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("-- how many\nSELECT count() AS n\nFROM individuals;\n"))
    assert run("query", "-") == (0, f"n\n{len(FACTS) + len(LATER)}\n", "")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert run("query", "-")[0] == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE individuals",
        "INSERT INTO generations (run_id) VALUES ('x')",
        "ALTER TABLE llm_logs DELETE WHERE 1",
        "TRUNCATE TABLE individuals",
        "CREATE TABLE t (n Int8) ENGINE = Memory",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1; DROP TABLE individuals",
        "SELECT * FROM individuals INTO OUTFILE 'x'",
    ],
)
def test_query_only_reads(statement: str, run: Run) -> None:
    """Any statement that would write is refused with a line that says why, and changes nothing."""
    before = run("query", "table_rows")
    code, out, err = run("query", statement)
    assert (code, out) == (1, "") and err.startswith("Error: ")
    assert run("query", "table_rows") == before
    if not re.search("OUTFILE|;", statement):
        assert "Only read-only statements are allowed here" in err


def test_a_narrow_terminal_cuts_ids_before_it_gives_up_columns(run: Run) -> None:
    """In few columns an answer stays a table, with ids cut in the middle; a wide terminal and a pipe have them whole."""
    narrow = without_styles(on_terminal("query", "run_costs", columns=75))
    assert re.search(r"^run_20…142345 +circle_packing ", narrow, re.MULTILINE)
    assert RUN in on_terminal("query", "run_costs", columns=200) and RUN in run("query", "run_costs")[1]


def test_query_says_what_is_wrong(run: Run) -> None:
    """ClickHouse's own message without its client's, and the remedy if it is known."""
    code, out, err = run("query", "SELECT * FROM nothing")
    assert (code, out) == (1, "") and "nothing" in err and "SHOW TABLES lists" in err and "http" not in err
    assert "--format table, tsv, csv or json" in run("query", "SELECT 1 FORMAT JSON")[2]
    assert "one statement at a time" in run("query", "SELECT 1; SELECT 2")[2]
    assert "Set its value with --param" in run("query", "SELECT {n:Int8}")[2]
    assert "Syntax error" in run("query", "SELEC 1")[2]


def test_query_passes_answers_of_any_size(run: Run) -> None:
    """More rows than a table shows: the table says so, every other format has all of them."""
    sql = "SELECT number FROM numbers(150000)"
    code, out, err = run("query", sql, "-f", "table")
    assert code == 0 and out.count("\n") == ROWS_OF_A_TABLE + 2 and "--format csv, tsv or json to get all" in err
    assert run("query", sql)[1].count("\n") == 150_001
    assert len(json.loads(run("query", sql, "-f", "json")[1])) == 150_000


@pytest.mark.parametrize("format", ["tsv", "table"])
def test_query_reads_no_more_than_it_writes(format: str) -> None:
    """An answer without end is over once `head` has its lines, or a table its rows."""
    with started("query", "SELECT number FROM system.numbers", "--format", format) as process:
        try:
            assert process.stdout and process.stdout.readline()
            if format == "tsv":
                process.stdout.close()
                assert process.wait(100) == 0
            else:
                said = process.communicate(timeout=100)[1]
                assert process.returncode == 0 and b"to get all" in said
        finally:
            process.kill()


@pytest.mark.parametrize(
    "asked",
    [
        ("spool", "dead"),
        ("dedupe", "--dry-run"),
        ("reprice", "--dry-run"),
        ("runs", "--close-stalled", "--task", "none"),
    ],
)
def test_nothing_is_an_empty_list_in_json(asked: tuple[str, ...], run: Run) -> None:
    """What reads the output of a command as JSON finds a list, and people a message beside it."""
    code, out, err = run(*asked, "--format", "json")
    assert (code, out) == (0, "[]\n") and err
    assert run(*asked)[1] == ""
