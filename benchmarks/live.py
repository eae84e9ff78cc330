"""What the store process costs during a search, and how soon the search's rows can be read.

Run: python benchmarks/live.py [--rate N] [--seconds N] [--looked SECONDS] [--shape NAME]. Prints CPU of the store process as a share of
one core, and the age at which a span is first seen.

A search records spans at an even pace, by default 15 per second of individuals with code, two calls with prompts of 5 and 50 kB, and an
evaluation; see ``shapes.py``. It is measured twice, after the time in which the store treats a search as a short one:
- *nobody looks*: only inserts, merges and the store's polling of its spool;
- *somebody looks*: a reader queries every quarter of a second which spans are there; the cost of answering counts for the store, too.
A span's age counts from its end to the first answer that includes it, so it includes the quarter of a second and the answer's own time.
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
"""The maximum percentage of a core for the store process while nobody looks."""
AGE = 2.0
"""The maximum seconds from a span's end until it can be read."""
WARM = 25.0
"""Seconds before the first measurement: the store's start, and the time after which it treats a search as a long one."""
BETWEEN = 0.25
"""Seconds between two of the reader's queries."""


class Watched(NamedTuple):
    """A measured stretch of the search."""

    cpu: float
    """Percent of a core."""
    spans: int
    """The spans that arrived in it."""
    ages: list[float]
    """Seconds; empty if nobody looked."""


def send(shape: str, rate: float) -> None:
    """The search, in a separate process: record spans at an even pace until killed."""
    tracer = genesis_otel.configure().provider.get_tracer("benchmark")
    due = time.monotonic()
    print("ready", flush=True)
    for made in itertools.chain.from_iterable(map(SHAPES[shape].spans, itertools.count())):
        tracer.start_span(made.name, kind=made.kind, attributes=made.attributes).end()
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))


@contextlib.contextmanager
def search(store: StoreOf, shape: str, rate: float) -> Iterator[None]:
    """A running search."""
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
    """Measure a stretch; with ``looked`` also how old spans are when first seen."""
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
