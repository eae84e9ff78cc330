"""From spans to queryable rows: directly, through a collector, and without this package.

Run: python benchmarks/collector.py [--shape NAME] [--units N] [--rounds N] [--against COMMIT]. Prints spans/s and CPU per span; only the
ratios mean anything. Needs the collector (`make collector`).

The search, the store process and anything between them are separate processes, and the tables are empty before each round. The clock runs
from the first span's start until a query counts the last row. CPU is the total that all of them used meanwhile.
- *direct*: ``configure()`` with the store's URL, into ``otel_traces`` with all its views;
- *direct, earlier*: the same with search and store of an earlier commit, on which the limits are based;
- *collector*: ``configure()`` with the collector's URL; the collector of ``otel-collector/config.yaml`` with its queue on disk;
- *SDK and collector*: the SDK's ``BatchSpanProcessor`` and OTLP exporter, and a collector configured as in its documentation (a batch
  processor, the clickhouse exporter with asynchronous inserts), which keep spans in memory; into ``otel_traces`` without the seven tables.
By default the spans are those of individuals with code, two calls with prompts of 5 and 50 kB, and an evaluation; see ``shapes.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rounds import (
    REFERENCE,
    ROOT,
    Limit,
    environment,
    in_turn,
    middle,
    python,
    ratio,
    table,
    tree_cpu,
    tree_of,
    verdict,
)
from shapes import SHAPES, counted

sys.path.insert(0, str(ROOT))
from genesis_otel._store import tables
from tests.support.pipeline import CONFIGS, PASSWORD, READER, Collector, Store, binary, environment_of, running
from tests.support.waiting import until

UNITS = {"mix": 1_500, "individual": 40_000, "traceloop": 8_000, "openinference": 8_000, "huge": 10}
LOOK = 0.2
"""Seconds between two queries for the row count; each costs the store process a few milliseconds."""
PATIENCE = 300.0
RATE, CPU = 0.6, 2.0
"""Relative to the direct way of ``rounds.REFERENCE``: the minimum rate and the maximum CPU."""

EARLIER, WITHOUT, PLAIN = "direct, earlier", "SDK and collector", "plain"
WITHOUT_CPU = 2.0
"""Limits for filling seven more tables, with a disk in between."""
PLAIN_CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${env:OTELCOL_HTTP_PORT}", max_request_body_size: 67108864}}}}
processors: {batch: {timeout: 5s, send_batch_size: 100000}}
extensions: {health_check: {endpoint: "127.0.0.1:${env:OTELCOL_HEALTH_PORT}"}}
exporters:
  clickhouse:
    endpoint: ${env:CLICKHOUSE_ENDPOINT}
    database: ${env:CLICKHOUSE_DATABASE}
    username: ${env:CLICKHOUSE_USER}
    password: ${env:CLICKHOUSE_PASSWORD}
    create_schema: false
service:
  extensions: [health_check]
  pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [clickhouse]}}
  telemetry: {metrics: {level: none}}
"""
"""As in the exporter's documentation: batches of 5 s or 100,000 spans, and defaults for everything else."""


class Measured(NamedTuple):
    """One round: spans per second, and microseconds of CPU per span in each process."""

    rate: float
    search: float
    middle: float
    store: float

    @property
    def cpu(self) -> float:
        """All of them."""
        return self.search + self.middle + self.store


class StoreOf(Store):
    """The store process of a commit."""

    tree = ROOT

    def start(self) -> None:
        """Start it, and wait until it answers."""
        told = {
            "CLICKHOUSE_URL": f"chdb://{self.folder}",
            "GENESIS_OTEL_SERVE_PASSWORD": PASSWORD,
            "GENESIS_OTEL_SERVE_READER_PASSWORD": READER,
        }
        with (self.folder.parent / "store.log").open("ab") as log:
            command = python("-m", "genesis_otel", "serve", "--port", str(self.port))
            self.process = subprocess.Popen(
                command, env=environment(self.tree, **told), cwd=self.folder.parent, stdout=log, stderr=log
            )
        until((self.folder / "serve.json").exists, "the store's start")


class Place(NamedTuple):
    """Where a way's spans go: its collector, if any, and the store, which all ways of a commit share."""

    store: Store
    collector: Collector | None
    database: str
    tree: Path


def set_up(folder: Path, stack: contextlib.ExitStack, earlier: Path, configs: Mapping[str, Path]) -> dict[str, Place]:
    """All ways, by name, ready for spans until ``stack`` is closed."""
    stores = {}
    for name, tree in (("store", ROOT), ("earlier", earlier)):
        (folder / name).mkdir()
        stores[name] = StoreOf(folder / name / "store")
        stores[name].tree = tree
    store, before = stores.values()
    stack.enter_context(running(store, before))
    places = {"direct": Place(store, None, "default", ROOT), EARLIER: Place(before, None, "default", earlier)}
    with contextlib.closing(store.client()) as client:
        client.command(f"CREATE DATABASE {PLAIN}")
        landing = next(tables.statements(tables.LANDING))
        client.command(landing.replace(f" {tables.LANDING} ", f" {PLAIN}.{tables.LANDING} ", 1))
    (folder / "plain.yaml").write_text(PLAIN_CONFIG)
    for name, config in {**configs, WITHOUT: folder / "plain.yaml"}.items():
        database = PLAIN if name == WITHOUT else "default"
        collector = Collector(binary(), folder / name, [config], environment_of(store, database))
        stack.enter_context(running(collector))
        places[name] = Place(store, collector, database, ROOT)
    return places


def measure(way: str, place: Place, shape: str, units: int) -> Measured:
    """One round of a way, starting from empty tables."""
    spans = SHAPES[shape].each * units
    rows, question = sum(SHAPES[shape].rows.values()) * units, counted(SHAPES[shape])
    if way == WITHOUT:
        rows, question = spans, f"SELECT count() FROM {PLAIN}.{tables.LANDING}"
    with tempfile.TemporaryDirectory() as name, contextlib.closing(place.store.client()) as client:
        for table_name in (tables.LANDING,) if way == WITHOUT else (tables.LANDING, *tables.STORED_IN.values()):
            client.command(f"TRUNCATE TABLE {place.database}.{table_name}")
        told = {"GENESIS_OTEL_DATA_DIR": str(Path(name) / "data")}
        if place.collector is None:
            told["CLICKHOUSE_URL"] = f"http://genesis:{PASSWORD}@127.0.0.1:{place.store.port}/default"
        else:
            told["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{place.collector.http}"
        with search(way, shape, units, environment(place.tree, **told), Path(name)) as sender:
            processes = (sender, place.collector.process if place.collector else None, place.store.process)
            pids = [[each.pid] if each else [] for each in processes]
            before, begun = [tree_cpu(*each) for each in pids], time.perf_counter()
            assert sender.stdin
            sender.stdin.write(b"\n")
            sender.stdin.flush()
            while (found := int(str(client.command(question)))) < rows:
                assert time.perf_counter() < begun + PATIENCE, f"{found} of {rows} rows have come by {way}"
                time.sleep(LOOK)
            seconds = time.perf_counter() - begun
            used = [(tree_cpu(*each) - was) / spans * 1e6 for each, was in zip(pids, before, strict=True)]
    return Measured(spans / seconds, *used)


@contextlib.contextmanager
def search(way: str, shape: str, units: int, told: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A search process that is ready to emit its spans."""
    sender = Path(__file__).with_name("sender.py")
    command = python(sender, "plain" if way == WITHOUT else "configured", shape, str(units))
    with (folder / "search.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=told, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n", (folder / "search.log").read_text()
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="mix")
    parser.add_argument("--units", type=int, help="how many of the shape; by default what takes some seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", default=REFERENCE, metavar="COMMIT")
    parser.add_argument(
        "--config", type=Path, default=CONFIGS / "config.yaml", help="another configuration of the collector"
    )
    given = parser.parse_args()
    units = given.units or UNITS[given.shape]
    with tempfile.TemporaryDirectory() as name, tree_of(given.against) as earlier, contextlib.ExitStack() as stack:
        places = set_up(Path(name), stack, earlier, {"collector": given.config})
        found: dict[str, list[Measured]] = in_turn(
            list(places), given.rounds, lambda way: measure(way, places[way], given.shape, units)
        )

    def beside(way: str, field: str, other: str = EARLIER) -> float:
        return ratio([getattr(each, field) for each in found[way]], [getattr(each, field) for each in found[other]])

    rows = {}
    for way, rounds in found.items():
        medians = [middle(list(values)) for values in zip(*rounds, strict=True)]
        cells = (f"{medians[0]:,.0f}", f"{beside(way, 'rate'):.2f}", f"{middle([each.cpu for each in rounds]):.0f}")
        rows[way] = (*cells, f"{beside(way, 'cpu'):.2f}", *(f"{value:.0f}" for value in medians[1:]))
    headings = (
        "",
        "spans/s",
        f"× {given.against}",
        "CPU µs a span",
        f"× {given.against}",
        "search",
        "in the middle",
        "store",
    )
    spans = units * SHAPES[given.shape].each
    table(f"{spans:,} spans ({given.shape}), to rows; medians of {given.rounds}", headings, rows)
    return verdict(
        [
            Limit(
                f"rate of the collector way beside the direct way of {given.against}",
                beside("collector", "rate"),
                RATE,
                at_most=False,
            ),
            Limit(
                f"CPU of the collector way beside the direct way of {given.against}", beside("collector", "cpu"), CPU
            ),
            Limit(f"CPU of the collector way beside {WITHOUT}", beside("collector", "cpu", WITHOUT), WITHOUT_CPU),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
