"""What benchmarks share: CPU of processes, alternating rounds, medians of pairs, limits and their verdict, and checkouts of earlier commits.

Other work on a machine slows one round and not the next. So all ways take turns, in alternating order, a way is compared with another of
the same round, and the median of these ratios counts. CPU is compared rather than time wherever CPU is what matters. A benchmark exits
with code 1 if a limit is missed; no test depends on one.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "004817d"
"""The commit whose numbers the limits are based on."""
MEMORY = Path("/dev/shm")  # noqa: S108 (a new folder is made in it)
"""Where Linux has a file system in memory."""
ROOM = 2 << 30
console = Console(width=120, highlight=False)


def tree_cpu(*pids: int) -> float:
    """Seconds of CPU of processes and of their running and ended children."""
    seconds = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    seconds += times.user + times.system
            times = process.cpu_times()
            seconds += times.children_user + times.children_system
    return seconds


def in_memory() -> Path | None:
    """A folder in memory for files whose disk is not what is measured; None, which is the usual one, if there is little room.

    ext4 without a journal looks at each file that was deleted in the last seconds for each new one: up to 30 ms an insert, charged to the
    store that had more tables emptied before.
    """
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM else None


def in_turn(ways: Sequence[str], rounds: int, measure: Callable[[str], Any]) -> dict[str, list[Any]]:
    """The results of ``measure`` for each way, by round; every second round runs in reverse order."""
    found: dict[str, list[Any]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in reversed(ways) if number % 2 else ways:
            found[way].append(measure(way))
    return found


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def ratio(mine: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(one / other for one, other in zip(mine, others, strict=True))


class Limit(NamedTuple):
    """A limit, and the measured value."""

    text: str
    value: float
    bound: float
    at_most: bool = True

    @property
    def kept(self) -> bool:
        """Whether the limit is met."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def verdict(limits: Sequence[Limit]) -> int:
    """Print each limit; return the exit code."""
    for each in limits:
        bound = f"{'at most' if each.at_most else 'at least'} {each.bound:g}"
        console.print(f"{'within' if each.kept else 'BEYOND'}  {each.text}: {each.value:.2f} ({bound})")
    load, cores = os.getloadavg(), os.cpu_count()
    console.print(f"load of the machine: {load[0]:.1f} now, {load[2]:.1f} in 15 minutes, on {cores} cores", style="dim")
    return 0 if all(each.kept for each in limits) else 1


def table(title: str, headings: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Print a table; the first column names the row."""
    made = Table(title=title)
    for at, heading in enumerate(headings):
        made.add_column(heading, justify="right" if at else "left")
    for name, cells in rows.items():
        made.add_row(name, *cells)
    console.print(made)


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The files of an earlier commit, in a separate folder; it uses the installed packages."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def environment(tree: Path, **more: str) -> dict[str, str]:
    """The environment of a process that imports the package from ``tree`` and is configured only by ``more``."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GENESIS_", "CLICKHOUSE_"))
    }
    return {**kept, "PYTHONPATH": str(tree), "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore", **more}


def python(*arguments: str | Path) -> list[str]:
    """A command that this interpreter runs."""
    return [sys.executable, *map(str, arguments)]
