"""What each panel of the dashboards, and each named query, costs on a thousand runs or ten thousand: 10 M individuals and 20 M LLM calls.

Run: python benchmarks/panels.py [--runs N] [--keep FOLDER] [--only TEXT] [--rounds N] [--plans]. Prints the time of each query, that of a
whole dashboard with four queries at a time, cold and warm, and the limits that are missed; the exit code is 1 if any is. 10,000 runs take
13 GB of disk and a quarter of an hour to generate.

Queries go through the HTTP front of a store process (`genesis-otel serve`), as Grafana sends them, for a run in the middle and each
dashboard's own time range; named queries with their defaults, and that run. Limits apply to a single warm query: 100 ms for one run, 300 ms
over all runs. The fastest round counts: on a shared machine it is closest to the query's real cost; the median and the CPU of the store
process are shown beside it. Cold is a dashboard's first load from a new store process whose files are not in the page cache.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import clickhouse_connect
import psutil
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from searches import filled  # noqa: E402

from genesis_otel import queries  # noqa: E402
from genesis_otel._serve.folder import ENGINE, running  # noqa: E402
from genesis_otel._serve.http.login import READER  # noqa: E402
from tests.support.dashboards import dashboards, queries_of  # noqa: E402
from tests.support.grafana_query import ALL, TimeRange, Value, sent  # noqa: E402

OF_ONE_RUN = ("genesis-run", "genesis-lineage", "genesis-traces")
LIMITS = {True: 100.0, False: 300.0}
"""Milliseconds for a query about one run, and over all runs."""

AT_A_TIME = 4
"""Queries that a browser sends at a time."""

NAMED = "queries"
"""The board of the named queries."""

GIVEN = {"individual_ids": "individual", "individual_id": "individual", "trace_id": "trace", "run_ids": "run"}
"""Which of the chosen values a parameter without a default gets in a named query."""

console = Console(width=160)


class Asked(NamedTuple):
    """A query as it is sent."""

    board: str
    name: str
    sql: str
    parameters: Mapping[str, Any]
    of_one_run: bool

    def __str__(self) -> str:
        return f"{self.board}/{self.name}"

    @property
    def limit(self) -> float:
        """Its limit in milliseconds."""
        return LIMITS[self.of_one_run]


class Measured(NamedTuple):
    """A query and its times, in milliseconds."""

    asked: Asked
    fastest: float
    median: float
    cpu: float

    @property
    def missed(self) -> bool:
        """Whether it exceeds its limit."""
        return self.fastest > self.asked.limit


class Whole(NamedTuple):
    """A dashboard and the times of all its queries, four at a time, in milliseconds."""

    board: str
    cold: float
    warm: float


@contextlib.contextmanager
def served(folder: Path, *, cold: bool = False) -> Iterator[tuple[Client, psutil.Process]]:
    """A reader of the store, and its store process."""
    if cold:
        forget(folder / ENGINE)
    environ = os.environ | {"CLICKHOUSE_URL": f"chdb://{folder}"}
    command = [sys.executable, "-m", "genesis_otel", "serve"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while (address := running(folder)) is None:
            if process.poll() is not None:
                raise SystemExit(f"the store process ended with {process.returncode}")
            time.sleep(0.1)
        with contextlib.closing(
            clickhouse_connect.get_client(
                host=address.host, port=address.port, username=READER, password=address.reader, autogenerate_session_id=False
            )
        ) as client:  # fmt: skip
            yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        # With ten million individuals it takes minutes, beside other work, to close.
        process.wait(600)


def forget(folder: Path) -> None:
    """Drop the folder's files from the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


FEWEST = 10
"""Searches: every tenth has raw spans."""


def chosen(client: Client, runs: int) -> dict[str, Value]:
    """A run in the middle that has raw spans, its best individual, one of its traces, and the newest runs."""
    run = f"run_{max(FEWEST, runs // 20 * FEWEST):06d}"
    best = "SELECT argMax(individual_id, fitness_score), argMax(trace_id, fitness_score) FROM individuals WHERE run_id = {run:String}"
    individual, trace = client.query(best, parameters={"run": run}).result_rows[0]
    several = tuple(f"run_{number:06d}" for number in range(runs - 3, runs + 1))
    return {
        "datasource": "", "run": run, "individual": individual, "trace": trace, "x": "accuracy", "y": "size",
        "only": "all traces", "slower": "0", "budget": "50", "runs": several,
    }  # fmt: skip


def range_of(board: Mapping[str, dict[str, str]]) -> TimeRange:
    """The dashboard's own range, in steps that fit a panel."""
    hours = {"h": 1, "d": 24}[board["time"]["from"][-1]] * int(board["time"]["from"][4:-1])
    now = datetime.now(timezone.utc)
    return TimeRange(now - timedelta(hours=hours), now, max(10, hours * 3600 // 1000))


def of_dashboards(known: Mapping[str, Value]) -> Iterator[Asked]:
    """The dashboards' queries."""
    for board in dashboards().values():
        values = {each["name"]: ALL if each.get("includeAll") else known[each["name"]] for each in board["templating"]["list"]}  # fmt: skip
        everything = {"task": ("task_1",), "run": (str(known["run"]),), "model": ("gpt-4.1",)}
        for asked in queries_of(board):
            sql = sent(asked.sql, values, range_of(board), everything)
            yield Asked(asked.board, f"{asked.title}/{asked.ref}", sql, {}, asked.board in OF_ONE_RUN)


def of_names(known: Mapping[str, Value]) -> Iterator[Asked]:
    """The named queries."""
    for name in queries.names():
        query = queries.load(name)
        told = {each.name: known[GIVEN[each.name]] for each in query.parameters if each.name in GIVEN}
        given: dict[str, Any] = {key: [value] if key.endswith("s") else value for key, value in told.items()}
        of_run = any(each.name == "run_id" and each.default != "" for each in query.parameters)
        if of_run:
            given["run_id"] = known["run"]
        if any(each.default is None and each.name not in given for each in query.parameters):
            continue
        yield Asked(NAMED, name, query.sql, queries.values(query, given), of_run or bool(given))


def together(client: Client, asked: Sequence[Asked]) -> float:
    """Milliseconds for all of them, four at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for _ in pool.map(lambda each: ask(client, each), asked):
            pass
    return 1000 * (time.perf_counter() - began)


def ask(client: Client, asked: Asked) -> None:
    """Run a query until its last byte has arrived."""
    client.raw_query(asked.sql, parameters=dict(asked.parameters), fmt="Native")


def alone(client: Client, process: psutil.Process, asked: Asked, rounds: int) -> Measured:
    """A query by itself, warm."""
    ask(client, asked)
    took, before = [], sum(process.cpu_times()[:2])
    for _ in range(rounds):
        began = time.perf_counter()
        ask(client, asked)
        took.append(1000 * (time.perf_counter() - began))
    cpu = 1000 * (sum(process.cpu_times()[:2]) - before) / rounds
    return Measured(asked, min(took), statistics.median(took), cpu)


def by_board(asked: Iterable[Asked]) -> dict[str, list[Asked]]:
    """Each board's queries."""
    boards: dict[str, list[Asked]] = {}
    for each in asked:
        boards.setdefault(each.board, []).append(each)
    return boards


def main() -> int:
    """The command; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000, help="how many searches, 10 or more; 1000 individuals each")
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts")
    parser.add_argument("--keep", type=Path, help="a folder for the store, to be used again")
    parser.add_argument("--only", default="", help="queries whose dashboard/panel contains this, without cold ones")
    parser.add_argument("--plans", action="store_true", help="what ClickHouse reads for the slowest five")
    told = parser.parse_args()
    if told.runs < FEWEST:
        parser.error(f"--runs: at least {FEWEST}, of which one has raw spans")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (told.keep or Path(temporary)).resolve()
        filled(folder, told.runs, console)
        with served(folder) as (client, _):
            sql = "SELECT (SELECT count() FROM individuals), (SELECT count() FROM llm_logs), (SELECT count() FROM otel_traces)"
            console.print("{:,} individuals, {:,} LLM calls, {:,} raw spans".format(*client.query(sql).result_rows[0]))
            known = chosen(client, told.runs)
        boards = by_board(each for each in (*of_dashboards(known), *of_names(known)) if told.only in str(each))
        found, wholes = [], []
        for board, asked in boards.items():
            with served(folder, cold=not told.only) as (client, process):
                cold = together(client, asked)
                for one in asked:
                    found.append(alone(client, process, one, told.rounds))
                    show(found[-1])
                warm = min(together(client, asked) for _ in range(told.rounds))
                wholes.append(Whole(board, cold, warm))
        summary(found, wholes)
        if told.plans:
            with served(folder) as (client, _):
                plans(client, found)
    return 1 if any(each.missed for each in found) else 0


def show(each: Measured) -> None:
    """A line for a query."""
    console.print(
        f"{each.fastest:7.0f} ms  median {each.median:5.0f}  CPU {each.cpu:5.0f}  {'MISSED' if each.missed else '      '}  {each.asked}"
    )


def summary(found: Sequence[Measured], wholes: Sequence[Whole]) -> None:
    """How many queries are within their limit, and the times of whole dashboards."""
    table = Table("", "queries", "median ms", "slowest ms", "limit ms", "missed")
    for one_run, what in ((True, "of one run"), (False, "over all runs")):
        times = [each.fastest for each in found if each.asked.of_one_run is one_run]
        if times:
            missed = sum(each > LIMITS[one_run] for each in times)
            cells = (statistics.median(times), max(times), LIMITS[one_run])
            table.add_row(what, str(len(times)), *(f"{cell:.0f}" for cell in cells), str(missed))
    console.print(table)
    table = Table("all queries of, four at a time", "first time ms", "warm ms")
    for whole in wholes:
        table.add_row(whole.board, f"{whole.cold:.0f}", f"{whole.warm:.0f}")
    console.print(table)


def plans(client: Client, found: Sequence[Measured]) -> None:
    """What the slowest five queries read."""
    for each in sorted(found, key=lambda one: -one.fastest)[:5]:
        console.rule(f"{each.asked}: {each.fastest:.0f} ms")
        plan = client.query(f"EXPLAIN indexes = 1 {each.asked.sql}", parameters=dict(each.asked.parameters))
        console.print("\n".join(row[0] for row in plan.result_rows), markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
