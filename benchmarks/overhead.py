"""What recording costs a whole search: OpenEvolve's, real, with a model that answers at once.

Run: python benchmarks/overhead.py [--iterations N] [--rounds N] [--pace P] [--llm RECORDER]. Prints seconds of CPU and ratios, and fails (exit
code 1) where a limit is missed; only the ratios mean anything, and an instant model makes that of CPU as bad as it can be: a real one
keeps a search waiting, which costs no CPU. With a pace there is a limit of the wall instead.

The same search of the demo's problem runs in turn, in a process of its own each time:
- *without*: this package is not imported;
- *off*: ``instrument()``, and no configuration;
- *recorded*: ``configure()`` with the embedded store, and ``instrument()`` with objectives.
CPU is that of the search's process and all its workers; the store process, which is its own and outlives the search, is told apart.
The model is a process of its own and is not counted. Searches begin with the same seed, and differ by chance all the same: who
evaluates what when decides which program comes next. So there are rounds, each in another order, and the median of their ratios; the
first round is not counted: it compiles what is imported, as an installation does, and warms the disk.
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
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from genesis_otel._serve import client as store_process
from genesis_otel.demo import model
from genesis_otel.demo.evolve import PROBLEM

WAYS = ("without", "off", "recorded")
CPU_LIMIT, WALL_LIMIT = 1.10, 1.02
"""What a recorded search may take, × without: CPU where the model answers at once, and time where it takes a second."""


class Measured(NamedTuple):
    """Seconds that a search took."""

    cpu: float
    wall: float
    store: float
    """CPU of the store process."""


def search(way: str, folder: Path, url: str, iterations: int, llm: Any) -> None:
    """The search itself, in its own process."""
    if way == "recorded":
        import genesis_otel

        genesis_otel.configure(data_dir=folder)
    if way != "without":
        from genesis_otel.instrumentation.openevolve import instrument

        instrument(objectives={"accuracy": "max", "size": "min"}, llm=llm)
    from openevolve import run_evolution  # type: ignore[import-untyped]
    from openevolve.config import Config  # type: ignore[import-untyped]

    told: Any = Config.from_dict(
        {
            "log_level": "ERROR",
            "random_seed": 1,
            "checkpoint_interval": 50,
            "llm": {"primary_model": "gpt-4.1-mini"},
            "database": {"num_islands": 2},
            "evaluator": {"cascade_evaluation": False, "max_retries": 0, "parallel_evaluations": 2},
        }
    )
    for one in (told.llm, *told.llm.models, *told.llm.evaluator_models):
        one.api_base, one.api_key, one.retries, one.retry_delay = url, "sk-none", 1, 0
    files = (str(PROBLEM / "initial_program.py"), str(PROBLEM / "evaluator.py"))
    run_evolution(*files, config=told, iterations=iterations, output_dir=str(folder / "out"))


@contextlib.contextmanager
def served(pace: float) -> Iterator[str]:
    """The model's address; a new one for each search, since which answer is due depends on how many it has given."""
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
    # Where Python may not keep what it compiles, each worker would compile this package anew, and only this one in a checkout.
    left_out = ("OTEL_", "GENESIS_", "CLICKHOUSE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    with served(given.pace) as url:
        command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--url", url]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--iterations", str(given.iterations), "--llm", given.llm],
            env={**kept, "NO_PROXY": "127.0.0.1"},
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
    return Measured(used.ru_utime + used.ru_stime, wall, store)


def ratios(found: dict[str, list[Measured]], way: str, field: str) -> list[float]:
    pairs = zip(found[way], found["without"], strict=True)
    return sorted(getattr(one, field) / getattr(other, field) for one, other in pairs)


def report(found: dict[str, list[Measured]], given: argparse.Namespace) -> bool:
    """Print what was measured; whether it is within its limit."""
    title = f"{given.iterations} iterations, pace {given.pace:g}, median of {len(found['without'])}"
    table = Table(title=f"{title}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for heading in ("way", "CPU, s", "× without", "wall, s", "× without", "store process, CPU s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")

    def ratio(way: str, field: str) -> str:
        each = ratios(found, way, field)
        return f"{statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})"

    for way, rounds in found.items():
        cpu, wall, store = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(way, f"{cpu:.2f}", ratio(way, "cpu"), f"{wall:.2f}", ratio(way, "wall"), f"{store:.2f}")
    console = Console(width=110)
    console.print(table)
    field, limit = ("wall", WALL_LIMIT) if given.pace else ("cpu", CPU_LIMIT)
    within = statistics.median(ratios(found, "recorded", field)) <= limit
    console.print(f"limit of recorded: {field} {limit:.2f} x without: {'kept' if within else 'MISSED'}")
    return within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pace", type=float, default=0, help="How slow the model is: 0 at once, 7 about a second.")
    parser.add_argument("--llm", default="auto", help="Who records the calls: auto, genesis, openai, none.")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="Print what was measured as JSON.")
    given = parser.parse_args()
    if given.serve:
        with model.serving(pace=given.pace) as url:
            print(url, flush=True)
            signal.pause()
    if given.way:
        search(given.way, given.folder, given.url, given.iterations, given.llm)
        return
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
    elif not report(found, given):
        sys.exit(1)


if __name__ == "__main__":
    main()
