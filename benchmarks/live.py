"""What the store process costs beside a search that goes on, and how soon its rows can be read.

Run: python benchmarks/live.py [--rate N] [--seconds N] [--looked SECONDS] [--shape NAME]. Prints CPU of the store process as a share of
one core, and the age at which a span is first seen.

A search records spans at an even pace, by default 15 a second of individuals with code, two calls with prompts of 5 and 50 kB, and an
evaluation; see ``shapes.py``. It is watched twice, after the rounds in which the store takes a search for a short one:
- *nobody looks*: nothing but inserts, merges and the store's own looks at its spool;
- *somebody looks*: a reader asks every quarter of a second which spans are there. What it costs to answer is the store's, too.
A span's age counts from its end to the answer that first has it, so it includes the quarter of a second and the answer's own time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from collector import StoreOf
from rounds import ROOT, Limit, console, environment, middle, python, table, tree_cpu, verdict
from shapes import SHAPES

sys.path.insert(0, str(ROOT))
import genesis_otel
from genesis_otel._store.tables import LANDING
from tests.support.pipeline import running

SHARE = 5.0
"""Percent of a core that the store process may take while nobody looks."""
AGE = 2.0
"""Seconds after its end in which a span can be read."""
WARM = 25.0
"""Seconds before the first watch: the store's start, and the rounds after which it takes a search to go on."""
BETWEEN = 0.25
"""Seconds between two of the reader's questions."""


class Watched(NamedTuple):
    """A stretch of the search."""

    cpu: float
    """Percent of a core."""
    spans: int
    """That came in it."""
    ages: list[float]
    """Seconds; empty where nobody looked."""


def send(shape: str, rate: float) -> None:
    """Record spans at an even pace until killed: the search, in a process of its own."""
    tracer = genesis_otel.configure().provider.get_tracer("benchmark")
    due = time.monotonic()
    print("ready", flush=True)
    for made in itertools.chain.from_iterable(map(SHAPES[shape].spans, itertools.count())):
        tracer.start_span(made.name, kind=made.kind, attributes=made.attributes).end()
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


@contextlib.contextmanager
def search(store: StoreOf, shape: str, rate: float) -> Iterator[None]:
    """A search that goes on."""
    told = environment(store.tree, CLICKHOUSE_URL=f"chdb://{store.folder}")
    command = python(__file__, "--send", "--shape", shape, "--rate", str(rate))
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sender:
        try:
            assert sender.stdout
            assert sender.stdout.readline() == b"ready\n"
            yield
            assert sender.poll() is None, "the search has ended"
        finally:
            sender.kill()


def watched(store: StoreOf, seconds: float, *, looked: bool) -> Watched:
    """What a stretch costs; with ``looked`` how old spans are when they are first seen."""
    assert store.process
    ages: list[float] = []
    with contextlib.closing(store.client()) as client:

        def ends() -> dict[str, int]:
            asked = f"SELECT SpanId, toUnixTimestamp64Nano(Timestamp) + toInt64(Duration) FROM {LANDING}"
            return {str(span): int(end) for span, end in client.query(asked).result_rows}

        seen = set(ends())
        at_first, before, begun = len(seen), tree_cpu(store.process.pid), time.monotonic()
        while looked and time.monotonic() - begun < seconds:
            time.sleep(BETWEEN)
            there = ends()
            now = time.time_ns()
            ages.extend((now - there[span]) / 1e9 for span in there.keys() - seen)
            seen |= there.keys()
        time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
        took = time.monotonic() - begun
        used = tree_cpu(store.process.pid) - before
        return Watched(used / took * 100, len(ends()) - at_first, ages)


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="mix")
    parser.add_argument("--rate", type=float, default=15.0, help="spans a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long nobody looks")
    parser.add_argument("--looked", type=float, default=30.0, help="how long somebody does")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send:
        send(given.shape, given.rate)
    with tempfile.TemporaryDirectory() as name:
        store = StoreOf(Path(name) / "store")
        with running(store), search(store, given.shape, given.rate):
            time.sleep(WARM)
            alone = watched(store, given.seconds, looked=False)
            console.print("nobody looks: done", style="dim")
            beside = watched(store, given.looked, looked=True)
    assert alone.spans, "nothing came while nobody looked"
    assert beside.ages, "nothing came while somebody looked"
    rows = {
        "nobody looks": (f"{alone.cpu:.1f}", f"{alone.spans}", "", ""),
        "somebody looks": (
            f"{beside.cpu:.1f}",
            f"{beside.spans}",
            f"{middle(beside.ages):.2f}",
            f"{max(beside.ages):.2f}",
        ),
    }
    headings = ("", "store process, % of a core", "spans", "age when seen, s: median", "oldest")
    table(f"{given.rate:g} spans of {given.shape} a second", headings, rows)
    return verdict(
        [
            Limit("store process while nobody looks, % of a core", alone.cpu, SHARE),
            Limit("the oldest span when it is first seen, s", max(beside.ages), AGE),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
