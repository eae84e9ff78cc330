"""Spans spooled as rows against pickled spans: CPU per span of end() and of the drain.

Run: python benchmarks/rows.py [--individuals N] [--rounds N]. Only the ratios of paired rounds mean anything on a busy machine.

All ways insert the same spans into ``otel_traces`` of the same engine (chDB, a fresh folder), with all its views, starting from:
- *prepared columns*, the floor: columns built before the clock starts, in one insert, as clickhouse-connect writes them;
- *rows*, the spool of this version: what ``end()`` wrote is joined and sent;
- *pickles*, the spool of the previous version: what ``end()`` wrote is read and converted to rows first;
- *rows, value by value*: the same rows for a table of another layout, which needs different bytes.
The drain is measured from the spool's files to the last row, as CPU of the process including the engine's threads. ``end()`` is the CPU
of the thread for the span's record only. Two shapes: *plain*, an individual of 1 kB; *mix*, an individual with 3 kB of code, two calls
with prompts of 5 and of 50 kB, an evaluation and its job. Prints medians and a verdict.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.table import Table
from rounds import Limit, console, verdict
from shapes import message, place, text

from genesis_otel import attributes as names
from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.delivery.insert import InsertExporter
from genesis_otel._ship.encoding import codec, rows
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._ship.spool.writer import Writer
from genesis_otel._store import connection, schema, tables

RATIO = 0.95
"""The least rate of the drain, in CPU, relative to prepared columns, in either shape."""
MORE = 8.0
"""The maximum extra µs at end() for a row instead of a pickle."""

FLOOR, ROWS, PICKLES, OTHER = "prepared columns", "rows", "pickles", "rows, value by value"


def recorded(count: int, record: Callable[[Any, int], None]) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(names.SCOPE)
    for number in range(count):
        record(tracer, number)
    return list(kept.get_finished_spans())


def individual(number: int) -> dict[str, Any]:
    return place(number) | {
        names.RECORD: names.RECORD_INDIVIDUAL,
        names.INDIVIDUAL_PARENT_ID: f"ind_{number // 2}",
        names.INDIVIDUAL_MUTATION_TYPE: "mutate",
        names.INDIVIDUAL_FITNESS_SCORE: number / 7,
        names.INDIVIDUAL_COMBINED_SCORE: number / 3,
        names.INDIVIDUAL_METRICS: json.dumps({"accuracy": number / 7, "size": number}),
        names.INDIVIDUAL_IS_PARETO: number % 20 == 0,
        names.INDIVIDUAL_API_COST: 0.01,
        names.INDIVIDUAL_CODE_HASH: f"{number:064x}",
        names.LINEAGE_PARENT_ID: f"ind_{number // 2}",
        names.LINEAGE_FITNESS_DELTA: 0.01,
    }


def plain(tracer: Any, number: int) -> None:
    tracer.start_span("individual", attributes=individual(number)).end()


def mix(tracer: Any, number: int) -> None:
    own = individual(number) | {names.INDIVIDUAL_CODE: text(3_000, number)}
    with tracer.start_as_current_span("individual", attributes=own) as span:
        span.add_event(
            "gen_ai.evaluation.result", {"gen_ai.evaluation.name": "fitness", "gen_ai.evaluation.score.value": 0.5}
        )
        for size in (5_000, 50_000):
            tracer.start_span("chat gpt-4o", attributes=call(size, number)).end()
        job = place(number) | {names.EVALUATION_JOB_ID: f"job {number}", names.ACTION_TYPE: "job_submitted"}
        tracer.start_span("action job_submitted", attributes=job | {names.RECORD: names.RECORD_ACTION}).end()
        tracer.start_span("evaluation", attributes=job | {names.RECORD: names.RECORD_EVALUATION}).end()


def call(size: int, number: int) -> dict[str, Any]:
    asked = [message("system", "You improve programs."), message("user", text(size, number))]
    return place(number) | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{number}-{size}",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 400,
        "gen_ai.usage.cost": 0.0071,
        "genesis.llm.cost_source": "price-list",
        "genesis.llm.role": "mutation",
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps([message("assistant", text(1_500, number), finish_reason="stop")]),
    }


def ended(spans: list[ReadableSpan], encode: Callable[[ReadableSpan], bytes]) -> float:
    """Seconds of CPU of the thread for the records of ``spans``."""
    begun = time.thread_time()
    for span in spans:
        encode(span)
    return time.thread_time() - begun


class Way:
    """A separate database, and the spool in front of it."""

    def __init__(self, folder: Path, at: int, way: str) -> None:
        self.way, self.folder, self.database = way, folder, f"d{at}"
        self.client = connection.open_embedded(folder / "engine")
        self.client.command(f"CREATE DATABASE {self.database}")
        self.client.database = self.database
        if way == OTHER:
            create = next(tables.statements(tables.LANDING))
            self.client.command(create.replace("Timestamp DateTime64(9)", "Timestamp DateTime64(6)", 1))
        schema.init_schema(self.client)
        self.exporter = InsertExporter(self.connect)
        described = self.client.create_insert_context(tables.LANDING)
        self.types = dict(zip(described.column_names, described.column_types, strict=True))

    def connect(self) -> Client:
        opened = connection.open_embedded(self.folder / "engine")
        opened.database = self.database
        return opened

    def delivered(self, spans: list[ReadableSpan], turn: int) -> float:
        """Seconds of CPU from the spool, or from columns, to rows."""
        spool = self.folder / f"spool-{self.database}"
        encode = codec.encode if self.way == PICKLES else rows.encode
        limits = Limits(segment_bytes=4 << 30, spool_bytes=32 << 30, max_bytes=1 << 30)  # one batch, as the floor has
        with contextlib.closing(
            Writer(spool, segment_bytes=limits.segment_bytes, spool_bytes=limits.spool_bytes)
        ) as writer:
            for span in spans:
                writer.append(encode(span))
        found = [rows.fields(rows.encode(span)) for span in spans]
        columns = {name: [row[name] for row in found] for name in rows.COLUMNS}
        del found
        begun = time.process_time()
        if self.way == FLOOR:
            self.client.insert(
                tables.LANDING,
                list(columns.values()),
                column_names=list(columns),
                column_types=[self.types[name] for name in columns],
                column_oriented=True,
                settings=tables.INSERT_SETTINGS | {"insert_deduplication_token": str(turn)},
            )
        else:
            assert drain(spool, self.exporter, limits) == len(spans)
        seconds = time.process_time() - begun
        shutil.rmtree(spool)
        held = int(str(self.client.command(f"SELECT count() FROM {tables.LANDING}")))
        assert held == len(spans), f"{self.way}: {held:,} of {len(spans):,} rows"
        for table in (tables.LANDING, *tables.STORED_IN.values()):
            self.client.command(f"TRUNCATE TABLE {table}")
        return seconds

    def close(self) -> None:
        self.exporter.shutdown()
        self.client.close()


@contextlib.contextmanager
def ways() -> Iterator[list[Way]]:
    folder = Path(tempfile.mkdtemp())
    made: list[Way] = []
    try:
        made.extend(Way(folder, at, way) for at, way in enumerate((FLOOR, ROWS, PICKLES, OTHER)))
        # Background merges would be counted with whatever runs beside them.
        made[0].client.command("SYSTEM STOP MERGES")
        yield made
    finally:
        for way in made:
            way.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--individuals", type=int, default=600, help="of the mix; five times as many plain ones")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    shapes = {
        "plain": recorded(options.individuals * 5, plain),
        "mix": recorded(options.individuals, mix),
    }
    table = Table(title=f"µs of CPU a span, median of {options.rounds} rounds")
    for heading in ("", "end()", "drain", "prepared columns ÷ this"):
        table.add_column(heading, justify="right" if heading else "left")
    limits = []
    with ways() as made:
        for shape, spans in shapes.items():
            ends: dict[str, list[float]] = {ROWS: [], PICKLES: []}
            drains: dict[str, list[float]] = {way.way: [] for way in made}
            for turn in range(options.rounds + 1):
                for way in made if turn % 2 else made[::-1]:
                    seconds = way.delivered(spans, turn) / len(spans) * 1e6
                    if turn:  # the first round warms up
                        drains[way.way].append(seconds)
                for name, encode in ((ROWS, rows.encode), (PICKLES, codec.encode)):
                    ends[name].append(ended(spans, encode) / len(spans) * 1e6)
            ratios = {
                name: statistics.median(floor / own for floor, own in zip(drains[FLOOR], found, strict=True))
                for name, found in drains.items()
            }
            for name, found in drains.items():
                end = f"{statistics.median(ends[name]):,.1f}" if name in ends else ""
                table.add_row(f"{shape}: {name}", end, f"{statistics.median(found):,.1f}", f"{ratios[name]:.2f}")
            more = statistics.median(row - old for row, old in zip(ends[ROWS], ends[PICKLES], strict=True))
            limits.append(Limit(f"{shape}: the rate of prepared columns, in CPU", ratios[ROWS], RATIO, at_most=False))
            limits.append(Limit(f"{shape}: more at end() than a pickle, µs", more, MORE))
    console.print(table)
    return verdict(limits)


if __name__ == "__main__":
    sys.exit(main())
