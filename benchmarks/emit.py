"""What an ended span costs the search: this package's way beside the SDK's own and the first logger's.

Run: python benchmarks/emit.py [--spans N]. Prints µs a span and ratios of one run; only the ratios mean anything.

A span is started with an individual's 14 attributes and ended; each way does that in a process of its own, and its
receiver is another process on loopback. *Calling thread* is the wall time from before the start to after the end, while the way's
own threads work; *CPU in all* is the process's, until everything has arrived where the way sends it.
- *plain*: the SDK's span without a processor: what nobody can save; *with its scores*, the four events that an individual
  has for its metrics, too.
- *durable*: with ``DurableSpanProcessor``: on disk when end() returns. ``spooled`` is how a search with the embedded store runs,
  ``to ClickHouse`` hands over to a ClickHouse over HTTP, too (chDB, the engine itself, behind the store process).
- *individual()*: the same through ``spans.individual()``, which counts, computes and names what a caller of the bare SDK
  would have to; without processors, and as ``configure()`` sets it up.
- *batch + OTLP*: the SDK's ``BatchSpanProcessor`` and OTLP/HTTP, its queue made so long that it drops nothing.
- *first logger*: one insert over HTTP for each individual, by clickhouse-connect, as the first logger does it, into the engine
  behind the store process; and, as the least it can cost, with a receiver that stores nothing and only says yes, and no
  question for the columns' types.
What the first logger costs is mostly its database: chDB behind the store process answers slower than a ClickHouse server may, and
a receiver that stores nothing faster than any: the truth for a server lies between the two rows.
Fastest of three rounds each, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.httpclient import HttpClient
from ingest import individual
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from rich.console import Console
from rich.table import Table
from urllib3 import BaseHTTPResponse, PoolManager

from genesis_otel import spans
from genesis_otel._serve import client as store_process
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._ship.redact import redactor
from genesis_otel._ship.spool.queue import status as spool_status
from genesis_otel.attributes import (
    EVENT_EVALUATION_RESULT,
    GEN_AI_EVALUATION_NAME,
    GEN_AI_EVALUATION_SCORE_VALUE,
)
from genesis_otel.configuration import CorrelationProcessor
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import DurableSpanProcessor

ROUNDS = 3
WARM_UP = 200
"""Spans before the clock starts: connections are made, and caches filled."""
Measured = tuple[float, float]
"""Seconds a span on the calling thread, and of CPU in all."""


def measured(count: int, end_one: Callable[[int], object], arrive: Callable[[], object]) -> Measured:
    for number in range(WARM_UP):
        end_one(number)
    arrive()
    cpu, begun = time.process_time(), time.perf_counter()
    for number in range(count):
        end_one(number)
    wall = time.perf_counter() - begun
    arrive()
    return wall / count, (time.process_time() - cpu) / count


def bare(processor: SpanProcessor | None, count: int, *, deliver: bool = False, scores: bool = False) -> Measured:
    """The SDK's span; with ``deliver`` its processor is waited for, with ``scores`` it has the events of an individual."""
    provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    tracer = provider.get_tracer("benchmark")

    def end_one(number: int) -> None:
        span = tracer.start_span("individual", attributes=individual(number))
        if scores:
            for name in ("fitness", "combined", "accuracy", "size"):
                score = {GEN_AI_EVALUATION_NAME: name, GEN_AI_EVALUATION_SCORE_VALUE: number / 7}
                span.add_event(EVENT_EVALUATION_RESULT, score)
        span.end()

    def arrive() -> None:
        if processor is not None and deliver and not processor.force_flush(60_000):
            sys.exit("it has not arrived within a minute")

    return measured(count, end_one, arrive)


def emitted(durable: SpanProcessor | None, count: int) -> Measured:
    """``spans.individual()``, with the processors of ``configure()`` before ``durable``."""
    provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
    if durable is not None:
        provider.add_span_processor(CorrelationProcessor())
        provider.add_span_processor(LLMSpanProcessor(durable, redact=redactor()))
    trace.set_tracer_provider(provider)
    generation = spans.run("benchmark").generation(0)

    def end_one(number: int) -> None:
        made = generation.individual(f"ind_{number}", parent_id=f"ind_{number - 1}")
        made.record(fitness=number / 7, combined=number / 3, metrics={"accuracy": number / 7, "size": number})
        made.end()

    return measured(count, end_one, lambda: None)


def first_logger(folder: Path, count: int, sink: str = "") -> Measured:
    """An insert for each individual, into a table of the same columns; with ``sink`` the inserts go there."""
    client = store_process.open_store(folder)
    client.command(
        "CREATE TABLE IF NOT EXISTS first_logger (run_id String, individual_id String, generation Int32, parent_id String, "
        "mutation_type String, fitness_score Float64, combined_score Float64, metrics String, is_pareto Bool, "
        "api_cost Float64, embed_cost Float64, novelty_cost Float64, code_hash String, code_size Int32, "
        "timestamp DateTime64(3) DEFAULT now64(3)) ENGINE = MergeTree ORDER BY (run_id, generation, timestamp)"
    )
    columns = [str(row[0]) for row in client.query("DESCRIBE TABLE first_logger").result_rows][:-1]
    types = client.create_insert_context("first_logger", columns).column_types if sink else None
    if sink:
        PoolManager().request("GET", sink)
        assert isinstance(client, HttpClient)
        client.http = Elsewhere(sink)

    def insert(number: int) -> None:
        metrics = json.dumps({"accuracy": number / 7, "size": number})
        row = ["run", f"ind_{number}", 0, f"ind_{number - 1}", "mutate", number / 7, number / 3, metrics, False]
        row += [0.01, 0.0, 0.0, f"{number:064x}", 100]
        client.insert("first_logger", [row], column_names=columns, column_types=types)

    found = measured(count, insert, lambda: None)
    if sink:
        taken = int(PoolManager().request("GET", sink).data)
        assert taken == count + WARM_UP, f"{taken} of the inserts went to the sink"
    return found


class Elsewhere(PoolManager):
    """Sends every request to one address."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> BaseHTTPResponse:
        return super().request(method, self._address, *args, **kwargs)


WAYS: dict[str, Callable[[Path, str, int], Measured]] = {
    "plain": lambda folder, sink, count: bare(None, count),
    "plain, with its scores": lambda folder, sink, count: bare(None, count, scores=True),
    "durable, spooled": lambda folder, sink, count: bare(DurableSpanProcessor(None, folder / "spool-a"), count),
    "durable, to ClickHouse": lambda folder, sink, count: bare(
        DurableSpanProcessor(
            ClickHouseSpanExporter(lambda: store_process.open_store(folder / "store")), folder / "spool-b"
        ),
        count,
        deliver=True,
    ),
    "individual(), no processor": lambda folder, sink, count: emitted(None, count),
    "individual(), spooled": lambda folder, sink, count: emitted(DurableSpanProcessor(None, folder / "spool-c"), count),
    "batch + OTLP": lambda folder, sink, count: bare(
        BatchSpanProcessor(OTLPSpanExporter(f"{sink}/v1/traces"), max_queue_size=count + 1000),
        count,
        deliver=True,
    ),
    "first logger": lambda folder, sink, count: first_logger(folder / "store", count // 50),
    "first logger, no database": lambda folder, sink, count: first_logger(folder / "store", count // 10, sink),
}


class Sink(BaseHTTPRequestHandler):
    """Reads, and says yes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    taken = 0

    def do_POST(self) -> None:
        length = self.headers["Content-Length"]
        while length is None and (size := int(self.rfile.readline(), 16)):
            self.rfile.read(size + 2)
        self.rfile.read(int(length) if length is not None else 2)
        Sink.taken += 1
        self.answer(b"")

    def do_GET(self) -> None:
        """How many posts came since it was last asked."""
        taken, Sink.taken = Sink.taken, 0
        self.answer(b"%d" % taken)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve_sink() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


def measure(way: str, folder: Path, sink: str, count: int) -> Measured:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--sink", sink, "--spans", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, cpu = json.loads(done.stdout)
    # A way that loses spans is not measured but caught.
    waiting = sum(spool_status(spool).waiting for spool in folder.glob("spool-*"))
    assert waiting == (count + WARM_UP if way == "durable, spooled" else waiting)
    for spool in folder.glob("spool-*"):
        shutil.rmtree(spool)
    if way == "durable, to ClickHouse":
        assert waiting == 0
        client = store_process.open_store(folder / "store")
        assert int(str(client.command("SELECT count() FROM otel_traces"))) == count + WARM_UP
        client.command("TRUNCATE TABLE otel_traces")
        client.close()
    return wall, cpu


def verdict(said: str, ratio: float, reached: bool) -> str:
    return f"{'reached' if reached else 'MISSED '}  {said}: {ratio:,.2f}"


def report(found: dict[str, list[Measured]], count: int) -> None:
    wall = {way: min(each for each, _ in rounds) * 1e6 for way, rounds in found.items()}
    cpu = {way: min(each for _, each in rounds) * 1e6 for way, rounds in found.items()}
    table = Table(title=f"{count:,} individual spans, µs a span, fastest of {ROUNDS}")
    for heading in ("way", "calling thread", "× plain", "CPU in all", "× batch + OTLP"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way in found:
        beside = (wall[way] / wall["plain"], cpu[way] / cpu["batch + OTLP"])
        table.add_row(way, f"{wall[way]:,.1f}", f"{beside[0]:,.2f}", f"{cpu[way]:,.1f}", f"{beside[1]:,.2f}")
    console = Console(width=110)
    console.print(table)
    durable, first, least = wall["durable, spooled"], wall["first logger"], wall["first logger, no database"]
    times, whole = durable / wall["plain"], cpu["durable, to ClickHouse"] / cpu["batch + OTLP"]
    emitted = wall["individual(), spooled"] / wall["plain, with its scores"]
    for line in (
        verdict("durable beside plain, calling thread, at most 3", times, times <= 3),
        verdict("individual(), as configured, beside plain with its scores, at most 3", emitted, emitted <= 3),
        verdict("durable to ClickHouse beside batch + OTLP, CPU in all, less than 1", whole, whole < 1),
        verdict("the first logger beside durable, at least 100", first / durable, first / durable >= 100),
        verdict(
            "the first logger without a database beside durable, at least 100", least / durable, least / durable >= 100
        ),
        f"         the same beside what durable adds to plain: {least / (durable - wall['plain']):,.0f}",
    ):
        console.print(line, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=10_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sink", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(WAYS[given.way](given.folder, given.sink, given.spans)), flush=True)
        os._exit(0)  # what waits at exit is not what is measured
    if given.sink == "serve":
        serve_sink()
    folder = Path(tempfile.mkdtemp())
    sink = subprocess.Popen([sys.executable, __file__, "--sink", "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        address = f"http://127.0.0.1:{int(sink.stdout.readline())}"
        store_process.ensure_store_process(folder / "store")
        found: dict[str, list[Measured]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, rounds in found.items():
                rounds.append(measure(way, folder, address, given.spans))
        report(found, given.spans)
    finally:
        sink.kill()
        sink.wait()
        store = store_process.running(folder / "store")
        if store is not None:
            os.kill(store.pid, signal.SIGTERM)
            while store_process.running(folder / "store"):
                time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
