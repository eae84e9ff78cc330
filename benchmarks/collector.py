"""From end() to rows that can be queried: the direct way, through the collector, and through rotel.

Run: python benchmarks/collector.py [--spans N]. Prints spans/s and CPU a span of one run; only the ratios mean anything.

All ways end the same spans in this process through the durable processor, and write to the same store process (a fresh
folder each round) over HTTP, into ``otel_traces`` with all its views:
- *direct*: this package's exporter inserts them;
- *collector*: over OTLP to the collector of ``otel-collector/config.yaml``, with its queue on disk (`make collector` builds it);
- *rotel*: over OTLP to rotel (PyPI ``rotel``, `pip install rotel`; left out where it is not), which has no queue on disk.
The clock runs from the first end() to the row that a query counts last. CPU is what each process used meanwhile: this one,
which stands for the search, the one in the middle, and the store. Medians of three rounds each, in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from ingest import individual
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from genesis_otel._destinations import OTLP_LIMITS
from genesis_otel._ship.contract import Limits
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._store import schema
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import DurableSpanProcessor
from tests.support.pipeline import (
    CONFIGS,
    PASSWORD,
    Collector,
    Store,
    binary,
    environment_of,
    free_ports,
    running,
    until,
)

ROUNDS = 3


class Measured(NamedTuple):
    """One round: spans a second, and microseconds of CPU a span in each process."""

    rate: float
    search: float
    middle: float
    store: float


class Rotel(Store):
    """rotel in front of a store."""

    def __init__(self, folder: Path, store: Store) -> None:
        super().__init__(folder)
        self.grpc = free_ports(1)[0]
        self.store = store

    def start(self) -> None:
        found = importlib.util.find_spec("rotel")
        assert found and found.origin
        with (self.folder / "rotel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(found.origin).with_name("rotel-agent")), "start"],
                env={
                    "PATH": os.environ["PATH"],
                    "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{self.port}",
                    "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{self.grpc}",
                    "ROTEL_EXPORTER": "clickhouse",
                    "ROTEL_CLICKHOUSE_EXPORTER_ENDPOINT": self.store.url,
                    "ROTEL_CLICKHOUSE_EXPORTER_DATABASE": "default",
                    "ROTEL_CLICKHOUSE_EXPORTER_USER": "genesis",
                    "ROTEL_CLICKHOUSE_EXPORTER_PASSWORD": PASSWORD,
                    "ROTEL_CLICKHOUSE_EXPORTER_ASYNC_INSERT": "false",
                    "ROTEL_TRACES_BATCH_MAX_SIZE": "8192",
                    "ROTEL_TELEMETRY": "false",
                },
                stdout=log,
                stderr=log,
            )
        until(lambda: self.answers() or self.process is None or self.process.poll() is not None, "rotel's start")

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(psutil.net_connections()) and any(
                each.laddr and each.laddr.port == self.port and each.status == "LISTEN"
                for each in psutil.net_connections()
            )
        return False


@contextlib.contextmanager
def way(name: str, folder: Path, store: Store) -> Iterator[tuple[SpanExporter, Limits, int | None]]:
    """The exporter of a way, its limits, and the process in the middle."""
    if name == "direct":
        yield ClickHouseSpanExporter(store.client), Limits(), None
        return
    middle: Collector | Rotel
    if name == "collector":
        middle = Collector(binary(), folder, [CONFIGS / "config.yaml"], environment_of(store))
        port = middle.http
    else:
        middle = Rotel(folder, store)
        port = middle.port
    with running(middle):
        assert middle.process
        yield OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces"), OTLP_LIMITS, middle.process.pid


def cpu(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measure(name: str, count: int, folder: Path) -> Measured:
    store = Store(folder / "store")
    (folder / "middle").mkdir()
    with running(store), way(name, folder / "middle", store) as (exporter, limits, middle):
        with contextlib.closing(store.client()) as client:
            schema.init_schema(client)
            assert store.process
            processor = DurableSpanProcessor(exporter, folder / "spool", limits=limits)
            provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
            provider.add_span_processor(processor)
            tracer = provider.get_tracer("benchmark")
            spans = [tracer.start_span("individual", attributes=individual(number)) for number in range(count)]
            before = [time.process_time(), cpu(middle), cpu(store.process.pid)]
            begun = time.perf_counter()
            for span in spans:
                span.end()
            while int(str(client.command("SELECT count() FROM individuals"))) < count:
                time.sleep(0.1)
            seconds = time.perf_counter() - begun
            after = [time.process_time(), cpu(middle), cpu(store.process.pid)]
            processor.shutdown()
    used = [(end - start) / count * 1e6 for start, end in zip(before, after, strict=True)]
    return Measured(count / seconds, *used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spans", type=int, default=40_000)
    count = parser.parse_args().spans
    console = Console(width=110)
    ways = ["direct", "collector"]
    if importlib.util.find_spec("rotel"):
        ways.append("rotel")
    else:
        console.print("rotel is not installed, and left out: pip install rotel")
    rounds: dict[str, list[Measured]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name in ways:
            with tempfile.TemporaryDirectory() as folder:
                rounds[name].append(measure(name, count, Path(folder)))
                console.print(f"round {number + 1}, {name}: {rounds[name][-1].rate:,.0f} spans/s", highlight=False)
    middle = {
        name: Measured(*(statistics.median(values) for values in zip(*of, strict=True))) for name, of in rounds.items()
    }
    table = Table(title=f"{count:,} individuals, from end() to rows of the seven tables; medians of {ROUNDS}")
    for column in ("", "spans/s", "of direct", "CPU µs a span", "of direct", "search", "in the middle", "store"):
        table.add_column(column, justify="right")
    direct = middle["direct"]
    for name, each in middle.items():
        whole = sum(each[1:])
        table.add_row(
            name,
            f"{each.rate:,.0f}",
            f"{each.rate / direct.rate:.2f}",
            f"{whole:.0f}",
            f"{whole / sum(direct[1:]):.2f}",
            *(f"{value:.0f}" for value in each[1:]),
        )
    console.print(table)


if __name__ == "__main__":
    main()
