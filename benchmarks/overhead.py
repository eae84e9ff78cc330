"""What recording costs a whole, real OpenEvolve search, with a model that answers at once.

Run: python benchmarks/overhead.py [--iterations N] [--rounds N] [--pace P] [--llm RECORDER]. Prints seconds of CPU and ratios, and fails (exit
code 1) if a limit is missed; only the ratios mean anything, and an instant model is the worst case for CPU: a real one makes the search
wait, which costs no CPU. With a pace, the limit applies to wall time instead.

The same search of the demo's problem runs in these ways in turn, each time in a separate process:
- *without*: this package is not imported;
- *off*: ``instrument()``, and no configuration;
- *recorded*: ``configure()`` with the embedded store, and ``instrument()`` with objectives.
CPU is that of the search's process and all its workers; the store process, which is separate and outlives the search, is reported
separately. The model runs in another process and is not counted. Searches start with the same seed but still differ by chance: timing
decides which program comes next, and the evaluations of one search take 0.15 s of CPU and those of another 0.9. So each search is counted
as if its evaluations had taken the median of all, the rounds run in varying order, and the median of their ratios counts; the first
round is not counted: it compiles the imported modules, as an installation does, and warms the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import searched
from rich.table import Table
from rounds import Limit, console, verdict

from genesis_otel._serve import client as store_process
from genesis_otel.demo import model

WAYS = ("without", "off", "recorded")
CPU_LIMIT, WALL_LIMIT = 1.25, 1.02
"""The maximum for a recorded search relative to *without*: CPU if the model answers at once, and time if it takes a second.

With an instant model, 160 iterations take 2.7 s, and a tenth of that cannot be kept: imports, most of them the SDK's, the price list, and
starting the run take 0.17 s, and would leave 100 µs for each of a thousand spans. The SDK alone takes 110 there: between two spans
everything else runs, so that nothing of them is in the processor's caches."""
STORE_LIMIT = 1.0
"""Seconds of CPU of the store process, which creates a new store, beside a search whose model answers at once."""


class Measured(NamedTuple):
    """Seconds that a search took."""

    cpu: float
    """Excluding the evaluations."""
    evaluations: float
    wall: float
    store: float
    """CPU of the store process."""


@contextlib.contextmanager
def served(pace: float) -> Iterator[str]:
    """The address of a new model for each search, since its next answer depends on how many it has given."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--pace", str(pace)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def measure(way: str, folder: Path, given: argparse.Namespace) -> Measured:
    folder.mkdir()
    # If Python may not write bytecode, each worker compiles this package again; in a checkout, only this package.
    left_out = ("OTEL_", "GENESIS_", "CLICKHOUSE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    with served(given.pace) as url:
        evaluations = folder / "evaluations"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, searched.__file__, way, str(folder), url, str(given.iterations), given.llm],
            env={**kept, "NO_PROXY": "127.0.0.1", searched.EVALUATIONS: str(evaluations)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, way
    store = 0.0
    address = store_process.running(folder / "store")
    if address is not None:
        owner = psutil.Process(address.pid)
        times = owner.cpu_times()
        store = times.user + times.system
        owner.send_signal(signal.SIGTERM)
        with contextlib.suppress(psutil.NoSuchProcess):
            owner.wait(30)
    evaluated = sum(map(float, evaluations.read_text().split()))
    return Measured(used.ru_utime + used.ru_stime - evaluated, evaluated, wall, store)


def alike(found: dict[str, list[Measured]]) -> dict[str, list[Measured]]:
    """The same, as if each search had evaluated for as long as the median of all."""
    usual = statistics.median(one.evaluations for rounds in found.values() for one in rounds)
    return {way: [one._replace(cpu=one.cpu + usual) for one in rounds] for way, rounds in found.items()}


def ratios(found: dict[str, list[Measured]], way: str, field: str) -> list[float]:
    pairs = zip(found[way], found["without"], strict=True)
    return sorted(getattr(one, field) / getattr(other, field) for one, other in pairs)


def report(found: dict[str, list[Measured]], given: argparse.Namespace) -> int:
    """Print the results, and judge."""
    found = alike(found)
    title = f"{given.iterations} iterations, pace {given.pace:g}, median of {len(found['without'])}"
    table = Table(title=f"{title}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for heading in ("way", "CPU, s", "× without", "wall, s", "× without", "store process, CPU s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")

    def ratio(way: str, field: str) -> str:
        each = ratios(found, way, field)
        return f"{statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})"

    for way, rounds in found.items():
        cpu, _, wall, store = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(way, f"{cpu:.2f}", ratio(way, "cpu"), f"{wall:.2f}", ratio(way, "wall"), f"{store:.2f}")
    console.print(table)

    def beside(field: str) -> float:
        return statistics.median(ratios(found, "recorded", field))

    if given.pace:
        return verdict([Limit("wall of a recorded search, beside one without", beside("wall"), WALL_LIMIT)])
    store = statistics.median(one.store for one in found["recorded"])
    return verdict(
        [
            Limit("CPU of a recorded search, beside one without", beside("cpu"), CPU_LIMIT),
            Limit("the store process, CPU s", store, STORE_LIMIT),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pace", type=float, default=0, help="How slow the model is: 0 at once, 7 about a second.")
    parser.add_argument("--llm", default="auto", help="Who records the calls: auto, genesis, openai, none.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="Print what was measured as JSON.")
    given = parser.parse_args()
    if given.serve:
        with model.serving(pace=given.pace) as url:
            print(url, flush=True)
            signal.pause()
    folder = Path(tempfile.mkdtemp())
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    try:
        for number in range(given.rounds + 1):
            for way in (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]):
                measured = measure(way, folder / f"{way}_{number}", given)
                if number:
                    found[way].append(measured)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(json.dumps({way: [one._asdict() for one in rounds] for way, rounds in found.items()}))
        return 0
    return report(found, given)


if __name__ == "__main__":
    sys.exit(main())
