"""From end() to rows that can be queried: this package's way beside inserting prepared columns into the landing table.

Run: python benchmarks/ingest.py [--spans N]. Prints spans/s and ratios of one run; only the ratios mean anything.

All ways write the same spans to the same engine (chDB, a fresh folder each round), into ``otel_traces`` with all its views:
- *prepared columns* is the floor: the columns are built before the clock starts, and go in by inserts of as many rows as a
  batch of ours has; *in one block*, by a single insert, which no exporter with bounded memory can do;
- *end() to rows* is a search with the embedded store as ``configure()`` sets it up: its spans have been started before the
  clock is; they are ended one after the other, the store process drains meanwhile, and the clock stops when a query
  through the store process counts them all;
- *spool to rows* is what the store process or an exporter's thread does, alone, with all spans in the spool beforehand.
Fastest of three rounds each, in turn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import TracerProvider
from rich.console import Console
from rich.table import Table

from genesis_otel import attributes
from genesis_otel._serve import client as store_process
from genesis_otel._ship import rows
from genesis_otel._ship.contract import Limits
from genesis_otel._ship.delivery import drain
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._ship.insert import Prepared
from genesis_otel._store import connection, schema, tables
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import DurableSpanProcessor

ROUNDS = 3


def individual(number: int) -> dict[str, str | int | float | bool]:
    """The attributes of an individual's span."""
    return {
        attributes.RECORD: "individual",
        attributes.RUN_ID: "run_20240115_142345",
        attributes.GENERATION: number // 20,
        attributes.INDIVIDUAL_ID: f"ind_{number}",
        attributes.INDIVIDUAL_PARENT_ID: f"ind_{number // 2}",
        attributes.INDIVIDUAL_MUTATION_TYPE: "mutate",
        attributes.INDIVIDUAL_FITNESS_SCORE: number / 7,
        attributes.INDIVIDUAL_COMBINED_SCORE: number / 3,
        attributes.INDIVIDUAL_METRICS: f'{{"accuracy": {number / 7}, "size": {number}}}',
        attributes.INDIVIDUAL_IS_PARETO: number % 20 == 0,
        attributes.INDIVIDUAL_API_COST: 0.01,
        attributes.INDIVIDUAL_CODE_HASH: f"{number:064x}",
        attributes.LINEAGE_PARENT_ID: f"ind_{number // 2}",
        attributes.LINEAGE_FITNESS_DELTA: 0.01,
    }


class Kept(ClickHouseSpanExporter):
    """Keeps what it is given: for the columns that are prepared beforehand."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []

    def prepare(self, spans: Sequence[bytes]) -> Prepared:
        self.rows += spans
        return Prepared([], "")

    def send(self, prepared: Prepared) -> None:
        pass


def end_spans(folder: Path, count: int) -> None:
    processor = DurableSpanProcessor(None, folder, encode=rows.encode)
    provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("benchmark")
    for number in range(count):
        tracer.start_span("individual", attributes=individual(number)).end()
    processor.shutdown()


def database(engine: Path, name: str) -> Client:
    client = connection.open_embedded(engine)
    client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    client.command(f"CREATE DATABASE {name}")
    client.database = name
    schema.init_schema(client)
    return client


def stored(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM individuals")))


def prepared(engine: Path, columns: dict[str, list[object]], count: int, block: int) -> float:
    client = database(engine, "prepared")
    types = client.create_insert_context(tables.LANDING).column_types
    blocks = [[values[at : at + block] for values in columns.values()] for at in range(0, count, block)]
    begun = time.perf_counter()
    for each in blocks:
        client.insert(
            tables.LANDING,
            each,
            column_names=list(columns),
            column_types=types,
            column_oriented=True,
            settings=tables.INSERT_SETTINGS,
        )
    assert stored(client) == count
    seconds = time.perf_counter() - begun
    client.close()
    return seconds


def from_spool(engine: Path, folder: Path, count: int) -> float:
    client = database(engine, "ours")

    def connect() -> Client:
        opened = connection.open_embedded(engine)
        opened.database = "ours"
        return opened

    end_spans(folder, count)
    exporter = ClickHouseSpanExporter(connect)
    begun = time.perf_counter()
    drain(folder, exporter)
    assert stored(client) == count
    seconds = time.perf_counter() - begun
    exporter.shutdown()
    client.close()
    shutil.rmtree(folder)
    return seconds


SEARCH = """
import sys, time
from ingest import individual, stored
from genesis_otel import configure
from genesis_otel import _destinations

count = int(sys.argv[2])
telemetry = configure(clickhouse_url=f"chdb://{sys.argv[1]}")
client = _destinations.open_client(telemetry.settings, start=True)
stored(client)
tracer = telemetry.provider.get_tracer("benchmark")
spans = [tracer.start_span("individual", attributes=individual(number)) for number in range(count)]
begun = time.perf_counter()
for span in spans:
    span.end()
ended = time.perf_counter()
while stored(client) < count:
    time.sleep(0.1)  # a question takes the store process some 4 ms
print(time.perf_counter() - begun, ended - begun)
client.close()
telemetry.shutdown()
"""


def end_to_rows(folder: Path, count: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(folder), str(count)],
        cwd=Path(__file__).parent,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = store_process.running(folder)
    if address is not None:
        os.kill(address.pid, signal.SIGTERM)
        while store_process.running(folder):
            time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    return float(done.stdout.split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=120_000)
    count = parser.parse_args().spans
    folder = Path(tempfile.mkdtemp())
    try:
        engine = folder / "engine"
        keeper = connection.open_embedded(engine)
        kept = Kept()
        end_spans(folder / "kept", count)
        drain(folder / "kept", kept)
        found = [rows.fields(row) for row in kept.rows]
        columns = {name: [row[name] for row in found] for name in rows.COLUMNS}
        del kept, found
        ways: dict[str, list[float]] = {
            "prepared columns": [],
            "prepared columns, in one block": [],
            "spool to rows": [],
            "end() to rows": [],
        }
        floor, one_block, half, whole = ways.values()
        for each in range(ROUNDS):
            floor.append(prepared(engine, columns, count, Limits.max_rows))
            one_block.append(prepared(engine, columns, count, count))
            half.append(from_spool(engine, folder / "spool", count))
            whole.append(end_to_rows(folder / f"store{each}", count))
        keeper.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = Table(title=f"{count:,} individual spans into otel_traces and its views, fastest of {ROUNDS}")
    for heading in ("way", "spans/s", "rate beside prepared columns"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way, seconds in ways.items():
        table.add_row(way, f"{count / min(seconds):,.0f}", f"{min(floor) / min(seconds):.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
