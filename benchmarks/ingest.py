"""What moving spans from the spool into the tables costs: this package against prepared columns and an earlier commit.

Run: python benchmarks/ingest.py [--shape NAME] [--rounds N] [--against COMMIT]. Prints CPU, of the inserting process and of the store with
its engine and all its views; only the ratios mean anything.

All ways insert the same spans into ``otel_traces`` of a store process over HTTP, starting from empty tables:
- *prepared columns* is the floor: the columns are built before the clock starts, and clickhouse-connect inserts them;
- *spool to rows* is what an exporter's thread does, with all spans already in the spool: read, prepare, insert, remove from the queue;
- *earlier* is the same by an earlier commit, whose store has the views of that commit.
Stores and spools are in memory, if there is room. An insert has 1, 20 or 500 spans, as during a search, or as many as a batch may have, as in a burst.
By default the spans are those of individuals with code, two calls with prompts of 5 and 50 kB, and an evaluation; see ``shapes.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from collector import StoreOf
from rounds import (
    REFERENCE,
    ROOT,
    Limit,
    console,
    environment,
    in_memory,
    in_turn,
    middle,
    python,
    ratio,
    table,
    tree_cpu,
    tree_of,
    verdict,
)
from shapes import SHAPES

sys.path.insert(0, str(ROOT))
from clickhouse_connect.driver.client import Client

from genesis_otel._store.tables import INSERT_SETTINGS, LANDING, STORED_IN
from genesis_otel.processor import Limits
from tests.support.pipeline import PASSWORD, running

HERE = Path(__file__).parent
NOBODY = "http://genesis:none@127.0.0.1:9/default"
"""A port where nothing listens: spans for it stay in the spool."""
SPANS = {1: 20, 20: 200, 500: 1_500, 0: 4_000}
"""Spans per round, by spans per insert; 0 means as many as our batches have."""
AS_FLOOR = 0.95
"""Minimum rate per CPU relative to prepared columns."""
ONE = 60.0
"""Maximum milliseconds of the store for an insert of one span."""
WAYS = ("prepared columns", "spool to rows", "earlier")


class Spools(NamedTuple):
    """The spools of a commit: one unit for warming up, and all units."""

    warm: Path
    whole: Path


def spooled(tree: Path, shape: str, units: int, folder: Path) -> Path:
    """A spool with the spans of ``units``, written by a commit's search."""
    told = environment(tree, CLICKHOUSE_URL=NOBODY, GENESIS_OTEL_DATA_DIR=str(folder))
    command = python(HERE / "sender.py", "configured", shape, str(units))
    with subprocess.Popen(
        command, env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as sender:
        assert sender.stdin
        assert sender.stdout
        assert sender.stdout.readline() == b"ready\n"
        sender.stdin.write(b"\n")
        sender.stdin.flush()
        sender.stdout.readline()
        sender.kill()
    (spool,) = (folder / "spool").iterdir()
    # The search itself tried to deliver its first spans, and where that batch ends is noted: it would be an insert of its own.
    for cut in spool.glob("*/cut"):
        cut.unlink()
    return spool


def emptied(store: StoreOf) -> None:
    """Empty the tables."""
    with contextlib.closing(store.client()) as client:
        for name in (LANDING, *STORED_IN.values()):
            client.command(f"TRUNCATE TABLE {name}")


def drained(store: StoreOf, spools: Spools, rows: int) -> tuple[float, float, int]:
    """Seconds of CPU of a drain and of the store, and the number of spans inserted."""
    assert store.process
    with tempfile.TemporaryDirectory(dir=in_memory()) as folder:
        warm, whole = (shutil.copytree(spool, Path(folder) / spool.parent.parent.name) for spool in spools)
        command = python(HERE / "drainer.py", warm, whole, str(store.port), str(rows))
        with subprocess.Popen(
            command,
            env=environment(store.tree, STORE_PASSWORD=PASSWORD),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as drainer:
            assert drainer.stdin
            assert drainer.stdout
            assert drainer.stdout.readline() == b"ready\n"
            before = tree_cpu(store.process.pid)
            drainer.stdin.write(b"\n")
            drainer.stdin.flush()
            seconds, count = drainer.stdout.readline().split()
            used = tree_cpu(store.process.pid) - before
    assert (landed := rows_in(store)) >= int(count) > 0, f"{landed} of {count.decode()} spans have come"
    return float(seconds), used, int(count)


def rows_in(store: StoreOf) -> int:
    """Spans in the landing table."""
    return store.count(f"SELECT count() FROM {LANDING}")


def columns_of(client: Client) -> dict[str, list[Any]]:
    """The landing table's columns in the form that clickhouse-connect inserts, in the order in which the spans began, as in the spool:
    in the table's own order, which is by name, an insert of a few would have spans of one kind alone, and use only its views."""
    found = client.query(
        f"SELECT * FROM {LANDING} WHERE SpanAttributes['genesis.run.id'] != '' ORDER BY Timestamp",
        query_formats={"DateTime64*": "int"},
        column_oriented=True,
    )
    return dict(zip(found.column_names, map(list, found.result_columns), strict=True))


def prepared(store: StoreOf, columns: dict[str, list[Any]], rows: int) -> tuple[float, float, int]:
    """The same as :func:`drained`, for prepared columns."""
    assert store.process
    count = len(columns["Timestamp"])
    with contextlib.closing(store.client()) as client:
        types = client.create_insert_context(LANDING, list(columns)).column_types
        parts = [[values[at : at + rows] for values in columns.values()] for at in range(0, count, rows)]
        before, begun = tree_cpu(store.process.pid), time.process_time()
        for part in parts:
            client.insert(
                LANDING,
                part,
                column_names=list(columns),
                column_types=types,
                column_oriented=True,
                settings=INSERT_SETTINGS,
            )
        used = time.process_time() - begun, tree_cpu(store.process.pid) - before
    assert (landed := rows_in(store)) == count, f"{landed} of {count} spans have come"
    return *used, count


def measured(size: int, shape: str, rounds: int, stores: dict[str, StoreOf], folder: Path) -> dict[str, list[Any]]:
    """All ways with inserts of ``size`` spans: microseconds of CPU per span, of the inserting process and of the store."""
    units = max(1, SPANS[size] // SHAPES[shape].each)
    spools = {
        name: Spools(
            spooled(store.tree, shape, 1, folder / f"{name}-{size}-warm"),
            spooled(store.tree, shape, units, folder / f"{name}-{size}-whole"),
        )
        for name, store in stores.items()
    }
    emptied(stores["spool to rows"])
    drained(stores["spool to rows"], spools["spool to rows"], 0)
    with contextlib.closing(stores["spool to rows"].client()) as client:
        columns = columns_of(client)
    # The batches of a burst: as many rows as the byte limit allows.
    burst = batch_rows(spools["spool to rows"].whole, units, shape)

    def one(way: str) -> tuple[float, float]:
        store = stores.get(way, stores["spool to rows"])
        emptied(store)
        if way == "prepared columns":
            inserter, engine, count = prepared(store, columns, size or burst)
        else:
            inserter, engine, count = drained(store, spools[way], size)
        return inserter / count * 1e6, engine / count * 1e6

    return in_turn(WAYS, rounds, one)


def batch_rows(spool: Path, units: int, shape: str) -> int:
    """Spans in one of our batches, within its limits of rows and bytes."""
    size = sum(file.stat().st_size for file in spool.rglob("*") if file.is_file())
    spans = units * SHAPES[shape].each
    return max(1, min(Limits().max_rows, Limits().max_bytes * spans // max(1, size)))


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="mix")
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=SPANS, default=list(SPANS), help="spans an insert; 0: a burst"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", default=REFERENCE, metavar="COMMIT")
    given = parser.parse_args()
    found: dict[int, dict[str, list[Any]]] = {}
    folder = tempfile.TemporaryDirectory(dir=in_memory())
    with folder as name, tree_of(given.against) as earlier, contextlib.ExitStack() as stack:
        stores = {}
        for way, tree in (("spool to rows", ROOT), ("earlier", earlier)):
            (Path(name) / way).mkdir()
            stores[way] = StoreOf(Path(name) / way / "store")
            stores[way].tree = tree
        stack.enter_context(running(*stores.values()))
        for size in given.sizes:
            found[size] = measured(size, given.shape, given.rounds, stores, Path(name))
            console.print(f"{size or 'a burst'}: done", style="dim")
    limits = []
    rows = {}
    for size, ways in found.items():
        whole = {way: [sum(each) for each in rounds] for way, rounds in ways.items()}
        inserts = f"{size} an insert" if size else "a burst"
        for way, rounds in ways.items():
            inserter, engine = (middle(list(values)) for values in zip(*rounds, strict=True))
            beside = [f"{ratio(whole[way], whole[other]):.2f}" for other in ("prepared columns", "earlier")]
            rows[f"{inserts}: {way}"] = (f"{middle(whole[way]):,.0f}", f"{inserter:,.0f}", f"{engine:,.0f}", *beside)
        limits.append(
            Limit(f"{inserts}: CPU beside {given.against}", ratio(whole["spool to rows"], whole["earlier"]), 1.0)
        )
        if size == 0:
            floor = ratio(whole["prepared columns"], whole["spool to rows"])
            limits.append(Limit("a burst: the rate of prepared columns, in CPU", floor, AS_FLOOR, at_most=False))
        if size == 1 and given.shape != "huge":
            engine = middle([each[1] for each in ways["spool to rows"]]) / 1e3
            limits.append(Limit("an insert of one span, ms of the store", engine, ONE))
    headings = ("", "CPU µs a span", "inserting", "store", "× prepared", f"× {given.against}")
    table(f"Spans of {given.shape} into all tables; medians of {given.rounds}", headings, rows)
    return verdict(limits)


if __name__ == "__main__":
    sys.exit(main())
