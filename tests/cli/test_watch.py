"""`watch`: a running search, in a real terminal and without one, until it ends, fails, or its store becomes
unreachable."""

from __future__ import annotations

import contextlib
import copy
import fcntl
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
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pyte
import pytest
from clickhouse_connect.driver.client import Client
from rich.cells import cell_len

from genesis_otel import queries
from genesis_otel._cli.app import main
from genesis_otel._cli.watch_screen import SPARKS, State, lines, screen, sparkline
from genesis_otel._read.watch import Look, look
from genesis_otel._serve import client as store_process
from genesis_otel._store.connection import open_embedded
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.support.environment import take_settings_out
from tests.support.pipeline import free_ports
from tests.support.searched import BEST, FACTS, GOING_ON, LATER, RUN, TASK, end_store, fill, search_spans

PATIENCE = 120.0
HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]x[/red][/]\u202egnp\n\x9b31m"
"""Clears the screen, sets the window's title, has markup with one closing tag too many, changes the text direction."""

SEARCH = """
import sys
import genesis_otel

genesis_otel.configure()
number = 0
for before in sys.argv[2:]:
    genesis_otel.run(before, run_id=before).end()
    print("ended", flush=True)
    sys.stdin.readline()
with genesis_otel.run("packing", run_id=sys.argv[1], config={"num_generations": 4}) as run:
    print("begun", flush=True)
    for order in map(str.strip, sys.stdin):
        if order == "generation":
            with run.generation(number) as generation, generation.individual(f"ind_{number}") as individual:
                individual.record(fitness=0.5 + number / 10)
            number += 1
        elif order == "submit":
            held = run.generation(number)
            tried = held.individual("ind_held")
            job = tried.evaluation("job_held")
        elif order == "break":
            job.fail(ZeroDivisionError("division by zero"))
            job.end()
        elif order == "fail":
            raise RuntimeError("the search broke")
        print(order, flush=True)
"""
"""A search that follows orders, one per line, and ends when there are no more."""


class Search:
    """A search in a separate process; with ``after``, it has not begun when this returns."""

    def __init__(self, run_id: str, *after: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SEARCH, run_id, *after],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout and self.process.stdout.readline() == ("ended\n" if after else "begun\n")

    def begin(self) -> None:
        """Begin the run itself, after those that have ended."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "begun\n"

    def tell(self, *orders: str) -> None:
        assert self.process.stdin and self.process.stdout
        for order in orders:
            self.process.stdin.write(f"{order}\n")
            self.process.stdin.flush()
            if order != "fail":
                assert self.process.stdout.readline() == f"{order}\n"

    def end(self) -> None:
        """End the search, and wait until its spans have arrived."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Screen(pyte.Screen):
    """A terminal's screen, with the alternate screen that full-screen programs use and leave."""

    OTHER = 1049
    kept: Any = None

    def set_mode(self, *modes: int, **options: Any) -> None:
        super().set_mode(*modes, **options)
        if self.OTHER in modes:
            self.save_cursor()
            self.kept = copy.deepcopy(self.buffer)
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        super().reset_mode(*modes, **options)
        if self.OTHER in modes:
            self.buffer = self.kept
            self.restore_cursor()


class Terminal:
    """The command on a terminal, as its user sees it."""

    def __init__(self, *arguments: str, columns: int = 100, rows: int = 40, **environment: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genesis_otel", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **environment},
            start_new_session=True,
            # A terminal of its own, so that ^C is a signal to it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, shown: Callable[[str], object]) -> str:
        """Keep reading until the screen is as expected."""
        deadline = time.monotonic() + PATIENCE
        while not shown(self.text):
            assert time.monotonic() < deadline and self.read(), self.text
        return self.text

    def read(self) -> bool:
        """Read for at most two seconds; False at the end."""
        if not select.select([self.ours], [], [], 2)[0]:
            return self.process.poll() is None
        try:
            piece = os.read(self.ours, 65536)
        except OSError:  # the end of a terminal
            return False
        self.raw += piece
        self.stream.feed(piece)
        return bool(piece)

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, self.text
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        os.close(self.ours)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder for this test's commands and searches, without the settings of whoever runs it."""
    take_settings_out(monkeypatch)
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "data"
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield folder
    end_store(folder / "store")


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Opens terminals, and closes them."""
    opened: list[Terminal] = []

    def open_one(*arguments: str, **options: Any) -> Terminal:
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def search(data: Path) -> Iterator[Callable[[str], Search]]:
    """Begins searches, and ends them."""
    begun: list[Search] = []

    def begin(run_id: str, *after: str) -> Search:
        begun.append(Search(run_id, *after))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


Terminals = Callable[..., Terminal]
Searches = Callable[..., Search]

# --- in a terminal ----------------------------------------------------------------------------------------------------


def test_a_running_search_until_its_end(search: Searches, terminal: Terminals) -> None:
    """Events are on the screen while they happen; when the run has ended, so has the command, with 0 and the last state
    still shown."""
    going = search("run_live")
    going.tell("generation")
    seen = terminal("watch", "run_li", "--interval", "0.5")
    seen.until(lambda text: "● running" in text and "best         0.5" in text and "1 of 4 done" in text)
    going.tell("generation", "generation", "submit")
    text = seen.until(lambda text: "1 running" in text and "best         0.7" in text)
    assert re.search(r"\d+ s +job_held +gen 3 +ind_held", text)
    assert "+0.2 since generation 0" in text and f"{SPARKS[0]}" in text and "3 of 4 done" in text
    going.tell("break")
    text = seen.until(lambda text: "0 running" in text and "failures" in text)
    assert re.search(r"job_failed +gen 3 +ind_held +division by zero", text)
    assert seen.process.poll() is None
    going.end()
    assert seen.end() == 0
    assert "● completed" in seen.text and "took" in seen.text
    assert not seen.screen.cursor.hidden


def test_a_run_that_has_not_begun(search: Searches, terminal: Terminals) -> None:
    """It waits while a search records here: starting a search and watching it at once is not an error."""
    later = search("run_second", "run_first")
    seen = terminal("watch", "run_second", "--interval", "0.5")
    time.sleep(2)
    assert seen.process.poll() is None
    later.begin()
    seen.until(lambda text: "● running" in text and "run_second" in text)


def test_a_run_that_fails(search: Searches, terminal: Terminals) -> None:
    """It ends the command like a successful run: watching has succeeded."""
    going = search("run_broken")
    going.tell("generation")
    seen = terminal("watch", "latest", "--interval", "0.5")
    seen.until(lambda text: "● running" in text)
    going.tell("fail")
    going.end()
    assert seen.end() == 0
    assert "● failed" in seen.text


def test_ctrl_c(search: Searches, terminal: Terminals) -> None:
    """It ends watching with 130, leaves the last state and a restored terminal, and does not affect the search."""
    going = search("run_on")
    going.tell("generation")
    seen = terminal("watch", "latest")
    seen.until(lambda text: "● running" in text)
    seen.press(b"\x03")
    assert seen.end() == 130
    assert "● running" in seen.text and "Traceback" not in seen.text
    assert not seen.screen.cursor.hidden and seen.raw.rfind(b"\x1b[?1049l") > seen.raw.rfind(b"\x1b[?1049h") >= 0
    going.tell("generation")


def test_sigterm(search: Searches, terminal: Terminals) -> None:
    """`timeout` and `kill` restore the terminal too."""
    search("run_on").tell("generation")
    seen = terminal("watch", "latest")
    seen.until(lambda text: "● running" in text)
    seen.process.terminate()
    assert seen.end() == 128 + signal.SIGTERM
    assert not seen.screen.cursor.hidden and seen.raw.endswith(b"\n")
    assert seen.raw.rfind(b"\x1b[?1049l") > seen.raw.rfind(b"\x1b[?1049h")


def test_a_store_that_becomes_unreachable_and_returns(data: Path, terminal: Terminals) -> None:
    """The header says so meanwhile, with the last state below it; when the store answers again, everything continues as
    before."""
    port = free_ports(1)[0]
    secrets = {
        "GENESIS_OTEL_SERVE_PASSWORD": "of-the-owner-of-it",
        "GENESIS_OTEL_SERVE_READER_PASSWORD": "of-those-who-read",
    }
    fill(data / "store", search_spans(GOING_ON, ends=False, facts=LATER))
    end_store(data / "store")
    url = f"http://reader:{secrets['GENESIS_OTEL_SERVE_READER_PASSWORD']}@127.0.0.1:{port}/default"
    with served(port, **secrets) as store:
        seen = terminal("watch", "latest", "--interval", "0.5", CLICKHOUSE_URL=url)
        seen.until(lambda text: "● stalled" in text)
        store.kill()
        store.wait(60)
        text = seen.until(lambda text: "The store is away since" in text and "Connection refused" in text)
        assert "individuals  2" in text
    with served(port, **secrets):
        seen.until(lambda text: "The store is away" not in text and "● stalled" in text)
        assert seen.process.poll() is None
        seen.press(b"\x03")
        assert seen.end() == 130
    assert b"Traceback" not in seen.raw and secrets["GENESIS_OTEL_SERVE_READER_PASSWORD"].encode() not in seen.raw


def test_the_store_process_is_killed(search: Searches, terminal: Terminals, data: Path) -> None:
    """The embedded store's process starts again, and what happened meanwhile is shown."""
    going = search("run_on")
    going.tell("generation")
    seen = terminal("watch", "latest", "--interval", "0.5")
    seen.until(lambda text: "best         0.5" in text)
    address = store_process.running(data / "store")
    assert address
    psutil.Process(address.pid).kill()
    going.tell("generation")
    seen.until(lambda text: "best         0.6" in text and "The store is away" not in text)
    assert b"Traceback" not in seen.raw


def test_the_engine_is_not_loaded(search: Searches, terminal: Terminals) -> None:
    """Beside a search the command reads through the store process: chDB is not in its memory."""
    search("run_on").tell("generation")
    seen = terminal("watch", "latest")
    seen.until(lambda text: "● running" in text)
    loaded = Path(f"/proc/{seen.process.pid}/maps").read_text()
    assert "python" in loaded and "chdb" not in loaded


@pytest.mark.parametrize(("columns", "rows"), [(60, 24), (60, 12), (20, 8), (200, 60)])
def test_any_size(columns: int, rows: int, data: Path, terminal: Terminals) -> None:
    """The important values are visible in a narrow terminal and a low one, and no line is wrapped."""
    fill(data / "store", search_spans())
    seen = terminal("watch", RUN, columns=columns, rows=rows)
    assert seen.end() == 0
    assert "best         0.97"[: columns - 1] in seen.text
    if columns >= 60:
        assert f"{TASK}  {RUN}" in seen.text and "● completed" in seen.text
        assert "$0.0586" in seen.text and "p95" in seen.text and "12 completed" in seen.text
    labels = re.findall(r"^(best|individuals|cost|LLM|jobs) ", seen.text, re.MULTILINE)
    assert len(labels) == len(set(labels))


def test_no_colour(data: Path, terminal: Terminals) -> None:
    """NO_COLOR is respected: the same content without colour."""
    fill(data / "store", search_spans())
    colours = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|38;\d|9[0-7])[;m]")
    plain, coloured = terminal("watch", RUN, NO_COLOR="1"), terminal("watch", RUN)
    assert plain.end() == coloured.end() == 0
    assert "● completed" in plain.text
    assert colours.search(coloured.raw) and not colours.search(plain.raw)


def test_a_limited_terminal(data: Path, terminal: Terminals) -> None:
    """Without UTF-8 the curve is drawn in ASCII; a dumb terminal gets lines."""
    fill(data / "store", search_spans())
    poor = terminal("watch", RUN, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert poor.end() == 0
    assert "* completed" in poor.text and "\\u" not in poor.text and poor.raw.isascii()
    dumb = terminal("watch", RUN, TERM="dumb", columns=400)
    assert dumb.end() == 0
    assert "Z  completed  generation 4" in dumb.text and b"\x1b" not in dumb.raw


def test_stored_text_does_not_control_the_terminal(
    data: Path, terminal: Terminals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control sequences and markup in ids, names and errors are shown as text, on a terminal and in lines."""
    facts = [FACTS[0]._replace(id=f"seed{HOSTILE}"), FACTS[2]._replace(id=f"bad{HOSTILE}")]
    monkeypatch.setattr("tests.support.searched.FACTS", facts)
    monkeypatch.setattr("tests.support.searched.TASK", f"task{HOSTILE}")
    fill(data / "store", search_spans(f"run{HOSTILE}", facts=facts))
    seen = terminal("watch", "latest", columns=200)
    assert seen.end() == 0
    assert "● completed" in seen.text and "Traceback" not in seen.text
    for name in ("task", "run", "seed"):
        assert f"{name}\\x1b[2J\\x1b]0;owned\\x07[red]x[/red][/]" in seen.text
    assert not re.search(rb"\x1b\[2J|\x1b\]|\x07|\xc2\x9b|\xe2\x80\xae", seen.raw)
    assert seen.screen.title == ""


# --- without one ------------------------------------------------------------------------------------------------------


def test_one_line_per_change(search: Searches) -> None:
    """In a pipe each change is a line with its time in UTC, and so is a new failure; without a change there is no
    line."""
    going = search("run_piped")
    going.tell("generation")
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "watch", "run_piped", "-i", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr

    def line(wanted: str) -> str:
        while wanted not in (told := process.stdout.readline()):  # type: ignore[union-attr]
            assert told
        return told

    # A store process that takes long to start is waited for, with a line of its own.
    assert any("Watching run_piped (packing)" in told for told in process.stderr)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  running  ", line("best 0.5"))
    going.tell("generation")
    line("best 0.6")
    going.tell("submit")
    line("jobs 1 running")
    going.tell("break")
    assert line("failure").rstrip().endswith("job_failed  gen 2  ind_held  division by zero")
    going.end()
    last, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "  completed  " in last.splitlines()[-1] and "\x1b" not in last


def test_an_unreachable_store_without_a_terminal(data: Path, tmp_path: Path) -> None:
    """Reported once on standard error, and so is its return: standard output stays line by line."""
    fill(data / "store", search_spans(GOING_ON, ends=False, facts=LATER))
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "genesis_otel", "watch", "latest", "-i", "0.5"], stdout=subprocess.PIPE, stderr=said
        )
        assert process.stdout and b"stalled" in process.stdout.readline()
        address = store_process.running(data / "store")
        assert address
        psutil.Process(address.pid).kill()
        deadline = time.monotonic() + PATIENCE
        while "answers again" not in (text := (tmp_path / "said").read_text()):
            assert process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (130, b"")
    assert text.count("The store is away") == 1 and "Traceback" not in text


def test_a_real_search_from_its_beginning_to_its_end(data: Path, terminal: Terminals) -> None:
    """An OpenEvolve search in a separate process is watched: at its end the screen equals `runs`."""
    with subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "demo", "-n", "8"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as demo:
        deadline = time.monotonic() + PATIENCE
        while not listed():
            assert demo.poll() is None and time.monotonic() < deadline
        seen = terminal("watch", "latest", "-i", "0.5")
        seen.until(lambda text: TASK in text)
        assert seen.end() == 0
        assert demo.wait(PATIENCE) == 0
    (row,) = listed()
    assert row["run_id"] in seen.text and "● completed" in seen.text
    assert f"individuals  {row['individuals']}" in seen.text
    assert f"cost         ${row['cost']:,.4f}" in seen.text


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_runs_that_do_not_exist(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For no run at all, an unknown run, and an ambiguous prefix: a line that says so, and the exit code of `runs`."""
    assert main(["watch"]) == 3
    assert "there are no runs yet: `genesis-otel demo` records one" in capsys.readouterr().err
    fill(data / "store", search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    assert main(["watch", "nobody"]) == 3
    assert "no run or task is named 'nobody'; nearest: run_" in capsys.readouterr().err
    assert main(["watch", "run_2024"]) == 2
    assert "several ids start with 'run_2024'" in capsys.readouterr().err
    assert main(["watch", "latest", "--interval", "0"]) == 2
    capsys.readouterr()


def test_a_store_that_never_existed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This is not a lost store: the mistake is reported at once, with exit code 1."""
    assert main(["--url", f"http://127.0.0.1:{free_ports(1)[0]}/x", "watch", "latest"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "Connection refused" in said.err


# --- queries and screen -----------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(store: Client, engine: Path) -> Callable[..., Client]:
    """Fills the tables with spans, through the real exporter."""

    def connect() -> Client:
        client = open_embedded(engine)
        client.database = store.database
        return client

    def fill_with(*batches: Sequence[Any]) -> Client:
        exporter = ClickHouseSpanExporter(connect)
        for batch in batches:
            exporter.export(batch)
        exporter.shutdown()
        return store

    return fill_with


def busy() -> Sequence[Any]:
    """The running search, with an evaluation that has not ended."""
    spans = search_spans(GOING_ON, ends=False, facts=LATER)
    return [
        span
        for span in spans
        if not (span.name == "evaluation" and LATER[1].id in str((span.attributes or {}).values()))
    ]


def test_the_queries_of_a_look(recorded: Callable[..., Client]) -> None:
    """Its queries give the facts of the search, and only of that run."""
    client = recorded(search_spans(), busy())
    ended = look(client, RUN)
    wanted = {
        "task_name": TASK,
        "status": "completed",
        "planned": 5,
        "generations": 5,
        "generation": 4,
        "individuals": 13,
        "failed_individuals": 1,
        "best_score": 0.97,
        "best_individual": BEST,
        "best_generation": 4,
        "llm_calls": 11,
        "failed_llm_calls": 1,
        "completed_jobs": 12,
        "failed_jobs": 1,
    }
    assert {name: ended.pulse[name] for name in wanted} == wanted
    (row,) = (each for each in queries.ask(client, "runs") if each["run_id"] == RUN)
    assert ended.pulse["cost"] == pytest.approx(row["cost"])  # the order in which they are added differs
    assert [each["best_so_far"] for each in ended.best] == [0.5, 0.6, 0.8, 0.95, 0.97]
    assert ended.jobs == []
    assert {(each["what"], each["individual_id"]) for each in ended.failures} == {
        ("job_failed", "seed_broken"),
        ("LLM call gpt-4.1-mini", ""),
    }
    times = [each["timestamp"] for each in ended.events]
    assert times == sorted(times, reverse=True) and len(times) == 30
    going = look(client, GOING_ON)
    assert not going.ended
    assert [(job["job"], job["individual_id"], job["running"]) for job in going.jobs] == [
        (f"job_{LATER[1].id}", LATER[1].id, 1)
    ]
    assert (going.pulse["p50"], going.pulse["recent_individuals"], going.per_minute("individuals")) == (None, 0, 0)


def test_a_run_without_its_start(store: Client) -> None:
    """It is shown with the rows that exist: its individuals, possibly all without a score."""
    store.insert(
        "individuals",
        [["r", "a", 3, "error", datetime.now(timezone.utc), float("nan")]],
        column_names=["run_id", "individual_id", "generation", "status", "timestamp", "fitness_score"],
    )
    found = look(store, "r")
    text = shown(found)
    assert "● start unknown" in text and "best         none yet" in text and "1 failed (100%)" in text
    assert not found.ended


def test_scores_that_are_hardly_numbers(store: Client) -> None:
    """Enormous, infinite and equal scores can be drawn as well."""
    scores = [-1e308, float("inf"), float("nan"), 1e308, 1e308]
    store.insert(
        "individuals",
        [["r", f"i{n}", n, "ok", score] for n, score in enumerate(scores)],
        column_names=["run_id", "individual_id", "generation", "status", "fitness_score"],
    )
    found = look(store, "r")
    assert [row["best_so_far"] for row in found.best] == [-1e308, -1e308, -1e308, 1e308, 1e308]
    assert f"1e+308   {SPARKS[0] * 3}{SPARKS[-1] * 2}" in shown(found)
    assert sparkline([0.5, 0.5], 10) == SPARKS[4] * 2
    assert sparkline([], 10) == sparkline([1.0], 0) == ""
    assert len(sparkline([float(n) for n in range(1000)], 40)) == 40


def test_a_look_is_cheap_beside_other_runs(recorded: Callable[..., Client]) -> None:
    """The queries read the run's rows: as many rows of other runs add next to nothing."""
    client = recorded(busy())
    client.command(
        "INSERT INTO agent_actions (run_id, timestamp, action_type, span_id) "
        "SELECT concat('other_', toString(number % 50)), now64(3), 'job_failed', toString(number) FROM numbers(300000)"
    )
    client.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp) "
        "SELECT concat('other_', toString(number % 50)), toString(number), now64(3) FROM numbers(300000)"
    )
    for table in ("agent_actions", "individuals"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    for name in ("pulse", "best_so_far", "running_jobs", "events"):
        query = queries.load(name)
        told = queries.values(query, {"run_id": GOING_ON})
        assert client.query(query.sql, parameters=told).result_rows
        plan = "\n".join(
            row[0] for row in client.query(f"EXPLAIN indexes = 1 {query.sql}", parameters=told).result_rows
        )
        read = [(int(some), int(every)) for some, every in re.findall(r"Granules: (\d+)/(\d+)", plan)]
        assert any(every > 10 for _, every in read), plan
        assert all(some <= 2 for some, _ in read), plan


@pytest.mark.parametrize("width", [20, 40, 60, 100])
@pytest.mark.parametrize("height", [5, 12, 24, 60])
def test_the_screen_fits(width: int, height: int, recorded: Callable[..., Client]) -> None:
    """No line is wider, and there are not more lines, than the screen has room for; wide characters count as two."""
    found = look(recorded(search_spans(), busy()), GOING_ON)
    wide = found._replace(run_id="進化" * 50, jobs=list(found.jobs) * 10)
    told = screen(State(wide, "進" * 200, datetime.now(timezone.utc)), width, height, wide.at + 700)
    assert 0 < len(told) <= height
    assert all(cell_len(line.plain) <= width for line in told)
    assert told[1].plain.startswith("The store is away")


def test_silence_is_shown(recorded: Callable[..., Client]) -> None:
    """A killed run is stalled: its header shows how long it has been silent, and that grows between two looks."""
    found = look(recorded(busy()), GOING_ON)
    # How many minutes depends on when its spans were made, and on how long the tests before took.
    assert re.search(r"silent for 6\d min: is it still alive\?", shown(found))
    later = "\n".join(line.plain for line in screen(State(found), 100, 40, found.at + 7260))
    assert "silent for 3 h: is it still alive?" in later and "This screen is 2 h old" in later


def test_a_short_run_took_some_time(recorded: Callable[..., Client]) -> None:
    """The duration of a run that ended is written as `show` writes it: one of 15 ms did not take 0 s."""
    found = look(recorded(search_spans()), RUN)
    brief = found._replace(pulse={**found.pulse, "seconds": 0.015})
    (line,) = lines(None, brief)
    assert line.endswith("  took 15 ms") and "took 15 ms   ended " in shown(brief)


def test_what_lasted_an_unknown_time_has_no_duration(recorded: Callable[..., Client]) -> None:
    """Of a run whose start is unknown there is neither a duration nor a rate over the whole run, and of a job no wait; the rest is shown."""
    found = look(recorded(search_spans(), busy()), RUN)
    unknown = found._replace(pulse={**found.pulse, "seconds": None})
    (line,) = lines(None, unknown)
    assert "took" not in line and "took" not in shown(unknown) and " ended " in shown(unknown)
    assert "/min" in shown(found) and "/min" not in shown(unknown)
    going = look(recorded(), GOING_ON)
    unknown = going._replace(
        pulse={**going.pulse, "seconds": None}, jobs=[{**row, "seconds": None} for row in going.jobs]
    )
    (job,) = {row["job"] for row in going.jobs[:1]}
    assert re.search(rf" – +{job} ", shown(unknown)) and "individuals" in shown(unknown)


def test_lines_are_for_changes(recorded: Callable[..., Client]) -> None:
    """The same state twice gives no line; failures from before the start are not reported as new."""
    found = look(recorded(search_spans()), RUN)
    assert len(list(lines(None, found))) == 1
    assert list(lines(found, look(recorded(), RUN))) == []
    before = found._replace(failures=found.failures[1:])
    (line,) = lines(before, found)
    assert "failure" in line and "TimeoutError: no answer" in line


def shown(found: Look) -> str:
    return "\n".join(line.plain for line in screen(State(found), 100, 40, found.at))


def listed() -> list[Any]:
    """The output of `runs` in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "genesis_otel", "runs", "-f", "json"], capture_output=True, check=False, timeout=PATIENCE
    )
    return list(json.loads(done.stdout or b"[]"))


@contextlib.contextmanager
def served(port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The store in the foreground, on a known port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "serve", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert process.stdout and process.stdout.readline()
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
