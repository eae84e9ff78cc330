"""What the views of llm_logs cost in CPU of the process: per LLM call, and per insert, however small.

Run: python benchmarks/llm_view.py [--before FILE]. FILE has the table llm_logs and its views in another version, for instance
the files genesis_otel/sql/llm_*.sql of an earlier commit in one, which is measured beside this one: only the ratio of paired rounds means anything on a busy machine.

The views are measured alone on ``otel_traces`` (chDB, a fresh folder), beside the views of the whole schema and a landing table without
any view, whose cost is subtracted. Calls are those that ``llm_call()`` records, with prompts of 5 and 50 kB, and a traceloop call in
numbered attributes. An insert of one span is timed with such a call, and with an individual's span, which is not a call.
Medians of the rounds, and a verdict.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.table import Table
from rounds import Limit, console, verdict
from shapes import message, text

from genesis_otel._store import connection, tables
from genesis_otel.queries import composed

ROUNDS = 9
CALLS = 1_000
START = time.time_ns()
CALL_LIMIT = 50.0
"""µs of a call with a prompt of 5 kB."""
INSERT_LIMIT = 60.0
"""ms of an insert of one span, in the views of the whole schema."""

COLUMNS = (
    *("Timestamp", "TraceId", "SpanId", "SpanName", "ScopeName", "SpanAttributes", "Duration", "StatusCode"),
    *("Events.Timestamp", "Events.Name", "Events.Attributes"),
)
PLACE = {"genesis.run.id": "run_1", "genesis.generation.number": "3", "genesis.individual.id": "ind_7"}
USAGE = {
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": "1200",
    "gen_ai.usage.output_tokens": "400",
    "gen_ai.usage.cache_read.input_tokens": "100",
}


def ours(size: int, seed: int) -> dict[str, str]:
    """A call as ``llm_call()`` records it."""
    asked = [message("system", "You improve programs."), message("user", text(size, seed))]
    return {
        **PLACE,
        **USAGE,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.id": f"chatcmpl-{seed}",
        "gen_ai.response.finish_reasons": '["stop"]',
        "gen_ai.usage.cost": "0.0071",
        "genesis.llm.cost_source": "price-list",
        "genesis.llm.role": "mutation",
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps([message("assistant", text(1500, seed)) | {"finish_reason": "stop"}]),
    }


def traceloop(size: int, seed: int) -> dict[str, str]:
    """The same call in numbered attributes."""
    return {
        **PLACE,
        **USAGE,
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "You improve programs.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": text(size, seed),
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": text(1500, seed),
        "gen_ai.completion.0.finish_reason": "stop",
    }


def individual(size: int, seed: int) -> dict[str, str]:
    """An individual's span, which is not a call."""
    return {**PLACE, "genesis.record": "individual", "genesis.individual.code": text(size, seed)}


def block(call: Callable[[int, int], Mapping[str, str]], size: int, count: int, salt: int) -> list[list[Any]]:
    """Rows of ``otel_traces``, by column; no two blocks are equal."""
    rows = [
        (START + seed, f"{salt:016x}{seed:016x}", f"{seed:016x}", "call", "genesis_otel", call(size, seed), 10**9, "Ok")
        for seed in range(count)
    ]
    return [*map(list, zip(*rows, strict=True)), *([[] for _ in range(count)] for _ in range(3))]


def database(engine: Path, name: str, llm_logs: str | None) -> Client:
    """A landing table with the table ``llm_logs`` and its views from a text of SQL, or without views."""
    client = connection.open_embedded(engine)
    client.command(f"CREATE DATABASE {name}")
    client.database = name
    client.command(next(tables.statements(tables.LANDING)))
    for statement in re.split(r";\s*$", composed(llm_logs or ""), flags=re.MULTILINE):
        if "CREATE" in statement:
            client.command(statement)
    return client


def inserted(client: Client, columns: list[list[Any]]) -> float:
    """Seconds of CPU of this process, the engine's threads included, for one insert."""
    begun = time.process_time()
    client.insert(tables.LANDING, columns, column_names=COLUMNS, column_oriented=True, settings=tables.INSERT_SETTINGS)
    return time.process_time() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another text of the table llm_logs and its views")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help="an insert")
    options = parser.parse_args()
    sql = Path(tables.__file__).parents[1] / "sql"
    texts: dict[str, str | None] = {
        "no view": None,
        "these views": "\n".join((sql / f"{file}.sql").read_text() for file in ("llm_logs", *tables.CALLS)),
        "all views": "\n".join((sql / f"{file}.sql").read_text() for file in tables.FILES),
    }
    if options.before is not None:
        texts["before"] = options.before.read_text()
    shapes = {
        "call, prompt of 5 kB, µs": (ours, 5_000, options.calls),
        "call, prompt of 50 kB, µs": (ours, 50_000, max(2, options.calls // 4)),
        "traceloop's call, 5 kB, µs": (traceloop, 5_000, options.calls),
        "insert of one call, ms": (ours, 5_000, 1),
        "insert of one individual, ms": (individual, 3_000, 1),
    }
    folder = Path(tempfile.mkdtemp())
    taken: dict[tuple[str, str], list[float]] = {(shape, name): [] for shape in shapes for name in texts}
    try:
        clients = {name: database(folder, f"d{at}", sql) for at, (name, sql) in enumerate(texts.items())}
        for client in clients.values():
            # Background merges would be counted with whatever runs beside them.
            client.command(f"SYSTEM STOP MERGES {client.database}.{tables.LANDING}")
        for salt in range(options.rounds + 1):
            for shape, (call, size, count) in shapes.items():
                columns = block(call, size, count, salt)
                for name in sorted(clients, reverse=salt % 2 == 0):
                    seconds = inserted(clients[name], columns)
                    if salt:  # the first round warms up
                        taken[shape, name].append(seconds)
        for client in clients.values():
            client.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = Table(title=f"CPU of views, median of {options.rounds} rounds, the landing table's own subtracted")
    for heading in ("", *list(texts)[1:]):
        table.add_column(heading, justify="right" if heading else "left")
    cost: dict[tuple[str, str], float] = {}
    fixed = {}
    for name in list(texts)[1:]:
        for shape, (_, _, count) in reversed(shapes.items()):
            pairs = zip(taken[shape, name], taken[shape, "no view"], strict=True)
            seconds = statistics.median(with_view - without for with_view, without in pairs)
            if count == 1:
                fixed[name] = seconds
            cost[shape, name] = seconds * 1e3 if count == 1 else (seconds - fixed[name]) / count * 1e6
    for shape in shapes:
        table.add_row(shape, *(f"{cost[shape, name]:,.1f}" for name in list(texts)[1:]))
    console.print(table)
    call_cost = cost["call, prompt of 5 kB, µs", "these views"]
    insert_cost = max(cost[shape, "all views"] for shape in ("insert of one call, ms", "insert of one individual, ms"))
    return verdict(
        [
            Limit("a call with a prompt of 5 kB, µs", call_cost, CALL_LIMIT),
            Limit("an insert of one span, all views, ms", insert_cost, INSERT_LIMIT),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
