"""The command: what it answers and suggests next, and that a mistake gives one line and an exit code, never a
traceback."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import __version__, queries
from genesis_otel._cli.app import main
from genesis_otel._cli.grid import ROWS_OF_A_TABLE
from genesis_otel._cli.tables import Format, write
from genesis_otel._read.format import ago, visible
from genesis_otel._serve import client as store_process
from genesis_otel._settings import Server, load_settings
from genesis_otel._ship import codec
from genesis_otel._ship import rows as _rows
from genesis_otel._ship.spool import dead_letters
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel._store.tables import TABLES
from genesis_otel.processor import DurableSpanProcessor
from tests.support.between import Answer, Between, Request, between, inserts_only, login
from tests.support.environment import take_settings_out
from tests.support.pipeline import free_ports, until
from tests.support.searched import (
    BEST,
    FACTS,
    GOING_ON,
    LATER,
    LINEAGE_OF_BEST,
    RUN,
    TASK,
    end_store,
    fill,
    search_spans,
)

COMMANDS = ("init", "check", "serve", "demo", "runs", "lineage", "query", "spool")
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\rover\n\tnext\x00\u2028"
"""Clears the screen, sets the window's title, changes colours and the text direction, returns to the start of the
line."""
CLEAR = "\x1b[2J"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder for the commands of this test."""
    data = tmp_path / "data"
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
    yield data
    end_store(data / "store")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filled: Path) -> None:
    """Each test starts in an empty folder, without the settings of whoever runs it, on the filled store."""
    take_settings_out(monkeypatch)
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(filled))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TERM", "xterm-256color")
    time.tzset()


Run = Any


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit code, standard output, standard error."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return ran


def started(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """The command in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def on_terminal(*arguments: str, columns: int = 200) -> str:
    """What the command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Python's own terminal size: readline, if anything has loaded it, sets COLUMNS.
        env=dict(os.environ),
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while select.select([ours], [], [], 150)[0] and (piece := os.read(ours, 65536)):
            shown += piece
    process.wait(60)
    os.close(ours)
    # On a busy machine it logs that it waits for the store; only the awaited output matters.
    return "".join(line for line in shown.decode().replace("\r\n", "\n").splitlines(True) if "s at most" not in line)


def without_styles(shown: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


# --- itself -----------------------------------------------------------------------------------------------------------


def test_version_and_help(run: Run) -> None:
    """--version prints the package's; --help lists every command and the exit codes; each command's help has an
    example."""
    assert run("--version") == (0, f"{__version__}\n", "")
    code, out, _ = run("--help")
    assert code == 0
    assert all(re.search(rf"│ {command}\b", out) for command in COMMANDS)
    assert re.search(r"Exit codes: 0 done, 1 failed", out)
    for command in COMMANDS:
        code, out, _ = run(command, "--help")
        assert code == 0 and f"genesis-otel {command}" in out


def test_wrong_use_is_exit_code_2(run: Run) -> None:
    """Unknown commands and options, values of a wrong type, missing arguments: 2, with a line on standard error."""
    for arguments in (
        ("runz",),
        ("runs", "--limit", "many"),
        ("runs", "--limit", "0"),
        ("lineage", "latest", "best", "more"),
        ("diff",),
        ("query",),
        ("query", " "),
        ("query", "SELECT 1", "--format", "xml"),
        ("query", "SELECT 1", "--param", "x"),
        ("query", "SELECT 1", "--param", "x=1"),
        ("query", "no_such_query"),
        ("query", "best_of_task"),
        ("query", "top_individuals", "--param", "depth=1"),
        ("query", "individuals_in_detail", "--param", "individual_ids=a"),
        ("query", "SELECT 1", "--show"),
        ("init", "--llm-logs-ttl-days", "-1"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "") and err, arguments


def test_an_unexpected_error_gives_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours gives one line that says so; with -v it includes the traceback."""

    def broken(*_: object, **__: object) -> list[dict[str, Any]]:
        raise KeyError("lost")

    monkeypatch.setattr(queries, "ask", broken)
    code, out, err = run("runs")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "KeyError: 'lost' (a bug in genesis-otel" in err
    process = started("-v", "lineage", "nobody")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 3 and b"Traceback" in said


# --- runs -------------------------------------------------------------------------------------------------------------


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


# --- lineage ----------------------------------------------------------------------------------------------------------


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
    narrow = without_styles(on_terminal("lineage", RUN, columns=70))
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


# --- query ------------------------------------------------------------------------------------------------------------


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
        assert "only read-only statements are allowed here" in err


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


def test_a_reader_that_stops_early(filled: Path) -> None:
    """`| head` ends the command silently and without an error."""
    process = started("query", "SELECT number, randomPrintableASCII(100) FROM numbers(3000000)")
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "--help"), ("show",)])
def test_nobody_reads_what_typer_and_rich_write(arguments: tuple[str, ...], filled: Path) -> None:
    """A reader who has gone before the first line is no failure, whoever writes."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "genesis_otel", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_any_output_it_still_answers(filled: Path) -> None:
    """Standard output and standard error that are closed change no exit code."""
    for arguments, code in (("runs", 0), ("nosuch", 2)):
        command = ["sh", "-c", f'exec "$0" -m genesis_otel {arguments} >&- 2>&-', sys.executable]
        assert subprocess.run(command, timeout=120, check=False).returncode == code


def test_ctrl_c_is_quiet(filled: Path) -> None:
    """An interrupted command ends at once with 130 and without output."""
    process = started(
        "query", "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1", start_new_session=True
    )
    asked = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%' AND query NOT LIKE '%processes%'"
    with contextlib.closing(store_process.open_store(filled / "store", start=True)) as client:
        until(lambda: client.command(asked) == 1, "the query")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"")


# --- what terminals must not obey ---------------------------------------------------------------------------------------


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


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_has_the_messages_of_the_reference(run: Run, filled: Path) -> None:
    """The three lines that the reference promises, word for word; then where spans go and what is there."""
    code, out, err = run("check")
    assert (code, err) == (0, "")
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    promised = re.search(r"You should see:\n   ```\n(.*?)   ```", reference, re.DOTALL)
    assert promised
    lines = [line.strip() for line in promised[1].splitlines()]
    assert out.splitlines()[: len(lines)] == lines
    assert f"Spans go to chdb://{filled}/store." in out and f"individuals {len(FACTS) + len(LATER)}," in out


def test_the_script_of_the_reference_is_check(filled: Path) -> None:
    """`python scripts/test_clickhouse.py` says the same, and fails in the same way."""
    script = Path(__file__).parents[2] / "scripts" / "test_clickhouse.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(
        "✅ ClickHouse connection successful!\nConnected to database: "
    )
    env = {**os.environ, "CLICKHOUSE_URL": "ftp://somewhere"}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "https" not in done.stdout


def test_check_on_an_empty_store(run: Run, empty: Path) -> None:
    """The tables are created at the first connection; if they are empty, the command says how to get data."""
    code, out, _ = run("check")
    assert code == 0 and "No data in tables yet." in out and "genesis-otel demo" in out


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://127.0.0.1:{closed}/default", "Connection refused at http://127.0.0.1:{closed}: check host and port"),
        (
            "http://genesis:wrong@127.0.0.1:{store}/default",
            "refused the user or the password: check the user:password@",
        ),
        ("http://no-such-host.invalid/default", "cannot be resolved: check it in CLICKHOUSE_URL"),
        ("http://127.0.0.1:9000/default", "needs its HTTP interface: 8123 for http, 8443 for https"),
        ("localhost:8123", "Its form is http(s)://user:password@host:port/database"),
        ("clickhouse://user:secret@host/db", "Its form is http(s)://user:password@host:port/database"),
        ("chdb:relative", "has no absolute folder after chdb://"),
    ],
)
def test_check_names_the_remedy(url: str, remedy: str, run: Run, filled: Path) -> None:
    """Every connection problem gives one line with the remedy, without the password, and exit code 1."""
    address = store_process.running(filled / "store")
    assert address
    places = {"closed": free_ports(1)[0], "store": address.port}
    code, out, err = run("--url", url.format(**places), "check")
    assert (code, out) == (1, "")
    assert remedy.format(**places) in err and err.count("\n") == 1
    assert "wrong" not in err.replace("wrong version", "") and "secret" not in err


def test_a_failure_is_one_line(filled: Path) -> None:
    """In a separate process too, only the error is written, and no log line of the client."""
    process = started("--url", f"http://u:secret@127.0.0.1:{free_ports(1)[0]}/d", "runs")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"Error: Connection refused at http://127.0.0.1:") and err.count(b"\n") == 1


def test_check_without_a_store(run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CLICKHOUSE_URL and without the embedded store: the reference's words, and both remedies."""
    monkeypatch.setitem(sys.modules, "chdb", None)
    code, _, err = run("check")
    assert code == 1 and "ClickHouse logging disabled" in err
    assert "pip install 'genesis-otel[embedded]'" in err and "set CLICKHOUSE_URL" in err


def test_check_without_the_client(filled: Path) -> None:
    """A package that is missing is named with how to install it, as the reference has it."""
    code = "import sys; sys.modules['clickhouse_connect'] = None; from genesis_otel._cli.app import main; sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: clickhouse-connect not installed: pip install clickhouse-connect\n"


def test_check_with_a_collector(run: Run, monkeypatch: pytest.MonkeyPatch, filled: Path) -> None:
    """If spans go to a collector, it is checked too; the store is the one that the collector fills, named or asked
    for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_ports(1)[0]}")
    code, out, err = run("--url", f"chdb://{filled}/store", "check")
    assert (
        code == 1
        and "which does not accept them: Connection refused at http://127.0.0.1" in err
        and "Spans go to" not in out
    )
    taken = Answer(200, {"Content-Type": "application/x-protobuf"})
    with between(behaviour=lambda server, request: taken) as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        code, out, err = run("check")
        assert code == 1 and "spans go to a collector: set CLICKHOUSE_URL" in err and "Spans go to" in out
        code, out, _ = run("--url", f"chdb://{filled}/store", "check")
        assert code == 0 and f"Spans go to {endpoint}/v1/traces (http/protobuf)." in out
        collector.behaviour = login
        code, _, err = run("--url", f"chdb://{filled}/store", "check")
        assert code == 1 and "a web page" in err


def test_check_tries_what_a_search_does(run: Run, filled: Path) -> None:
    """A user who may only read, a login page, an old proxy: none of them passes, and each is named."""
    address = store_process.running(filled / "store")
    assert address
    code, out, err = run("--url", f"http://reader:{address.reader}@127.0.0.1:{address.port}/default", "check")
    assert (code, out) == (1, "") and "can only read" in err and err.count("\n") == 1
    with between(address.port, inserts_only(login(Between.__new__(Between), Request("", "", {}, b"")))) as server:
        code, out, err = run("--url", f"http://genesis:{address.secret}@127.0.0.1:{server.port}/default", "check")
        assert (code, out) == (1, "") and "a web page" in err
        server.behaviour = inserts_only(DENIED)
        code, out, err = run("--url", f"http://genesis:{address.secret}@127.0.0.1:{server.port}/default", "check")
        assert (code, out) == (1, "") and "it lacks the grant INSERT(Timestamp, TraceId) ON default.otel_traces" in err


DENIED = Answer(
    403,
    {"X-ClickHouse-Exception-Code": "497"},
    b"Code: 497. DB::Exception: u: Not enough privileges. To execute this query, it's necessary to have the grant "
    b"INSERT(Timestamp, TraceId) ON default.otel_traces. (ACCESS_DENIED) (version 25.3.1.1)",
)


@pytest.mark.parametrize("command", [["runs"], ["check"], ["query", "SELECT 1"], ["lineage", "latest"], ["reprice"]])
def test_reading_creates_nothing(command: list[str], run: Run, filled: Path, tmp_path: Path) -> None:
    """Reading creates neither a mistyped database nor a mistyped folder; both are named, with the command that creates them."""
    url = server_url(filled, "mistyped")
    code, out, err = run("--url", url, *command)
    assert (
        (code, out) == (1, "")
        and "the database 'mistyped' does not exist" in err
        and "genesis-otel init creates it" in err
    )
    code, out, err = run("--url", f"chdb://{tmp_path}/mistyped", *command)
    assert (code, out) == (1, "") and f"there is no store in {tmp_path}/mistyped" in err
    assert not (tmp_path / "mistyped").exists()
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        assert not client.command("EXISTS DATABASE mistyped")


def test_check_on_a_database_without_tables(run: Run, filled: Path) -> None:
    """The check connects, creates nothing, and says who creates the tables."""
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE bare")
        code, out, _ = run("--url", server_url(filled, "bare"), "check")
        assert code == 0 and "Tables: none yet; the first insert of a search creates them" in out
        assert client.command("SELECT count() FROM system.tables WHERE database = 'bare'") == 0


def test_a_server_that_hangs_is_waited_for_within_a_bound(empty: Path) -> None:
    """No command waits forever: it says what it is waiting for, and then that no answer came."""
    commands = (["runs"], ["check"], ["spool", "drain", "--timeout", "3"], ["query", "SELECT 1"], ["init"])
    with between() as server:
        server.behaviour = server.hangs
        url = f"http://u:secret@127.0.0.1:{server.port}/d"
        spooled(load_settings().spool_folder(Server(url)), search_spans()[:2])
        # At the same time: each waits for ten seconds.
        processes = [started("--url", url, *command) for command in commands]
        try:
            said = [process.communicate(timeout=120) for process in processes]
        finally:
            for process in processes:
                process.kill()
    for command, process, (out, err) in zip(commands, processes, said, strict=True):
        assert (process.returncode, out) == (1, b""), command
        told = err.decode().splitlines()
        assert (
            f"waiting for http://127.0.0.1:{server.port}" in told[0]
            or f"waiting for http://u:***@127.0.0.1:{server.port}" in told[0]
        ), command
        assert "s at most" in told[0] and told[-1].startswith("Error: ") and b"secret" not in err, command
        assert "did not answer in time" in told[-1] or "did not accept them within 3 s" in told[-1], command


def test_a_store_process_that_is_stopped(run: Run, empty: Path) -> None:
    """It holds the folder and does not answer: after a limited wait the error says so, with its process id."""
    assert run("runs")[0] == 3
    address = store_process.running(empty / "store")
    assert address
    os.kill(address.pid, signal.SIGSTOP)
    try:
        process = started("runs")
        out, err = process.communicate(timeout=120)
    finally:
        os.kill(address.pid, signal.SIGCONT)
    assert (process.returncode, out) == (1, b"")
    assert b"waiting for http://127.0.0.1" in err and f"Process {address.pid} holds the store in".encode() in err


def test_check_when_recording_is_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working store is reported even if recording is off, and the output says that it is off."""
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "false")
    code, out, _ = run("check")
    assert code == 0 and "Recording is off: GENESIS_OTEL_ENABLED is false." in out


def test_invalid_settings_are_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid setting is named, without its value."""
    monkeypatch.setenv("GENESIS_OTEL_EXIT_TIMEOUT", "soon")
    code, out, err = run("runs")
    assert (code, out) == (1, "") and "exit_timeout" in err.lower() and "soon" not in err


# --- init -------------------------------------------------------------------------------------------------------------


def test_init_sets_retention_and_reports_it(run: Run, empty: Path) -> None:
    """Retention is set and reported; a second time there is nothing to do; 0 keeps everything again."""
    code, out, _ = run("init", "--llm-logs-ttl-days", "30", "--agent-actions-ttl-days", "60", "--traces-ttl-days", "7")
    assert code == 0
    assert "llm_logs keeps rows for 30 days" in out and "agent_actions keeps rows for 60 days" in out
    assert "otel_traces keeps rows for 7 days" in out
    assert run("init") == (0, "Nothing to do: the tables are up to date.\n", "")
    assert "llm_logs keeps all rows" in run("init", "--llm-logs-ttl-days", "0")[1]


def server_url(data: Path, database: str) -> str:
    """The store process as the ClickHouse server that clients see."""
    address = store_process.running(data / "store")
    assert address
    return f"http://genesis:{address.secret}@127.0.0.1:{address.port}/{database}"


def test_init_fills_the_tables_from_a_collectors_otel_traces(run: Run, filled: Path) -> None:
    """With spans that a collector stored before: --backfill says what the tables gained, and the second time that there
    is nothing to do."""
    url = server_url(filled, "theirs")
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE theirs")
        client.command("CREATE TABLE theirs.otel_traces AS default.otel_traces ENGINE = MergeTree ORDER BY Timestamp")
        client.command("INSERT INTO theirs.otel_traces SELECT * FROM default.otel_traces")
    code, out, err = run("--url", url, "init", "--backfill")
    assert code == 0
    assert "created table individuals" in out and "otel_traces\n" not in out
    assert re.search(r"^20\d\d-\d\d-\d\d \d\d:00: [\d,]+ spans, [\d,]+ rows gained$", err, re.MULTILINE)
    gained = int(re.search(r"The tables gained .*individuals (\d+)", out)[1])  # type: ignore[index]
    assert run("--url", url, "query", "SELECT count() AS n FROM individuals")[1] == f"n\n{gained}\n"
    assert run("query", "SELECT count() AS n FROM individuals")[1] == f"n\n{gained}\n"
    code, out, _ = run("--url", url, "init", "--backfill")
    assert (code, out) == (
        0,
        "Nothing to do: the tables are up to date.\nNothing to backfill: every span of a search has its rows.\n",
    )


def test_init_takes_over_the_first_loggers_tables(run: Run, filled: Path) -> None:
    """For a database of the first logger, given by its URL: check says what to do, init keeps every row, and then check
    finds no fault."""
    url = server_url(filled, "first_logger")
    with contextlib.closing(store_process.open_store(filled / "store")) as client:
        client.command("CREATE DATABASE first_logger")
        client.command(
            "CREATE TABLE first_logger.llm_logs (id UUID, timestamp DateTime64(3), model String, messages String, response String, "
            "thought String, cost Float64, execution_time Float64, metadata String) ENGINE = MergeTree ORDER BY timestamp"
        )
        client.command(
            "INSERT INTO first_logger.llm_logs SELECT generateUUIDv4(), now64(3), 'gpt-4', '[]', 'r', 't', 0.5, 1, '{}' FROM numbers(5)"
        )
    code, _, err = run("--url", url, "check")
    assert code == 1 and "genesis-otel init" in err
    code, out, _ = run("--url", url, "init")
    assert code == 0 and "took over 5 rows of the first logger's llm_logs" in out
    assert run("--url", url, "query", "SELECT count() AS n, sum(cost) AS cost FROM llm_logs")[1] == "n\tcost\n5\t2.5\n"
    assert run("--url", url, "check")[0] == 0


# --- the spool --------------------------------------------------------------------------------------------------------


def spooled(folder: Path, spans: Sequence[ReadableSpan]) -> None:
    """Spans in a spool, left by a process that has died."""
    processor = DurableSpanProcessor(None, folder)
    for span in spans:
        processor.on_end(span)
    processor.shutdown()


def test_spool_of_the_embedded_store(run: Run, empty: Path) -> None:
    """Waiting spans are shown, and drain delivers them through the store process; then none is waiting."""
    spans = search_spans()
    spooled(empty / "store" / "spool", spans)
    (status,) = json.loads(run("spool", "--format", "json")[1])
    assert (status["waiting"], status["dead"], status["dropped"], status["writers"]) == (len(spans), 0, 0, 0)
    assert run("spool", "drain") == (0, f"{len(spans)} spans delivered, 0 still wait.\n", "")
    assert run("spool", "drain")[1] == "0 spans delivered, 0 still wait.\n"
    assert json.loads(run("runs", "-f", "json")[1])[0]["run_id"] == RUN


def test_a_reader_sees_spans_that_waited(run: Run, empty: Path) -> None:
    """After a search was killed, with no store process left, the first command already shows its run."""
    spooled(empty / "store" / "spool", search_spans())
    assert json.loads(run("lineage", "latest", "-f", "json")[1])[-1]["individual_id"] == BEST


def test_spool_of_a_server(run: Run, filled: Path, empty: Path) -> None:
    """Spans for a server wait in a separate spool; if it is unreachable, that is reported and nothing is lost; when it
    is back, drain delivers them."""
    url = server_url(filled, "by_drain")
    spool = load_settings().spool_folder(Server(url))
    spans = search_spans()
    spooled(spool, spans)
    away = f"http://genesis:x@127.0.0.1:{free_ports(1)[0]}/by_drain"
    spooled(load_settings().spool_folder(Server(away)), spans[:3])
    code, out, err = run("--url", away, "spool", "drain")
    assert (code, out) == (1, "") and "3 spans still wait" in err and "Connection refused" in err
    code, _, err = run("--url", away, "spool")
    assert code == 0 and f"Spans for another destination wait in {spool}" in err
    assert run("--url", url, "spool", "drain") == (0, f"{len(spans)} spans delivered, 0 still wait.\n", "")
    assert run("--url", url, "query", "SELECT count() AS n FROM generations")[1] == "n\n5\n"


@pytest.mark.parametrize("encode", [_rows.encode, codec.encode], ids=["row", "pickle of an earlier version"])
def test_dead_letters(encode: Callable[[ReadableSpan], bytes], run: Run, empty: Path) -> None:
    """Refused spans are listed with the reason, and can be sent again."""
    spool = empty / "store" / "spool"
    assert run("spool", "dead") == (0, "", "No span was refused.\n")
    span = search_spans()[0]
    spool.mkdir(parents=True, exist_ok=True)
    dead_letters.bury(spool, encode(span), "Code: 6, CANNOT_PARSE_TEXT")
    (letter,) = json.loads(run("spool", "dead", "--format", "json")[1])
    assert (letter["reason"], letter["span"], letter["run_id"]) == ("Code: 6, CANNOT_PARSE_TEXT", span.name, RUN)
    assert json.loads(run("spool", "--format", "json")[1])[0]["dead"] == 1
    assert "1 were refused" in run("check")[1]
    assert run("spool", "requeue")[1].startswith("1 spans are back in the spool")
    assert run("spool", "drain")[1].endswith("0 still wait.\n")
    assert spool_status(spool).dead == 0
    assert json.loads(run("runs", "-f", "json")[1])[0]["run_id"] == RUN


def test_no_spool_when_recording_is_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With recording off there is no spool, and the command says so."""
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "false")
    code, _, err = run("spool")
    assert code == 1 and "recording is off" in err


# --- serve ------------------------------------------------------------------------------------------------------------


def test_serve_in_the_foreground(run: Run, empty: Path) -> None:
    """It prints its address, answers there, prevents a second one, and ends at Ctrl-C."""
    port = free_ports(1)[0]
    process = started("serve", "--port", str(port), start_new_session=True)
    assert process.stdout
    said = process.stdout.readline().decode()
    assert said.startswith(f"chdb://{empty}/store answers on http://127.0.0.1:{port} to user genesis")
    assert run("--url", server_url(empty, "default"), "query", "SELECT 1 AS one")[1] == "one\n1\n"
    code, _, err = run("serve")
    assert code == 1 and f"process {process.pid} already serves" in err
    process.send_signal(signal.SIGINT)
    _, err_bytes = process.communicate(timeout=120)
    assert process.returncode == 0 and b"Traceback" not in err_bytes


def test_serve_is_for_the_embedded_store(run: Run) -> None:
    """With a server's URL there is nothing to serve."""
    code, _, err = run("--url", "http://somewhere:8123/db", "serve")
    assert code == 1 and "only the embedded store has a store process" in err


# --- demo -------------------------------------------------------------------------------------------------------------


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
