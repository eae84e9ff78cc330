"""What each panel of the dashboards costs on a thousand runs: 1 M individuals and 2 M LLM calls.

Run: python benchmarks/panels.py [--runs N] [--keep FOLDER] [--only TEXT] [--check]. Prints each query's median of three, the
limits that are missed, and the slowest five with what ClickHouse reads for them.

The searches are made by the engine itself, straight in the tables (the views are tested elsewhere): 50 generations of 20, a best
with an ancestor in each generation, fronts, jobs, and the raw spans of every tenth run; runs lie over 30 days, the newest five go
on. Each query is asked as Grafana sends it, for a run in the middle, with its dashboard's own time range, by this process: the
engine's time, without Grafana and the network. Limits: 100 ms for panels of one run, 300 ms for panels over all runs. On another
machine the times are others; the distance to the limits is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from genesis_otel._store import connection, schema, tables  # noqa: E402
from tests.support.dashboards import Asked, dashboards, queries_of  # noqa: E402
from tests.support.grafana_query import ALL, TimeRange, Value, sent  # noqa: E402

GENERATIONS, POPULATION, CALLS = 50, 20, 2
OF_ONE_RUN = ("genesis-run", "genesis-lineage", "genesis-traces")
LIMITS = {True: 100.0, False: 300.0}
"""Milliseconds: for panels of one run, and over all runs."""

SECONDS = "toUInt32(number * 20)"
"""A run takes some six hours: an individual each 20 seconds."""

BEGAN = "now64(3) - toIntervalSecond((1 + {runs:UInt32} - {run:UInt32}) * 2592000 / {runs:UInt32} + 3600)"
RUN = "concat('run_', leftPad(toString({run:UInt32}), 6, '0'))"
ID = f"lower(hex(MD5(concat({RUN}, toString(number)))))"
# Each program has one of the generation before as its parent; number 0 of each generation is the best, and its ancestor's child.
PARENT = f"if(number < {POPULATION}, '', lower(hex(MD5(concat({RUN}, toString(intDiv(number, {POPULATION}) * {POPULATION} - {POPULATION} + intDiv(number % {POPULATION}, 3)))))))"
SCORE = f"intDiv(number, {POPULATION}) / {GENERATIONS} + (if(number % {POPULATION} = 0, 0.05, 0.04 * sin(number + {{run:UInt32}})))"
TRACE = f"lower(hex(MD5(concat('g', {RUN}, toString(intDiv(number, {POPULATION}))))))"
AT = f"began + toIntervalSecond({SECONDS})"
EACH = f"FROM (SELECT number, {BEGAN} AS began FROM numbers({GENERATIONS * POPULATION}))"
HOW = "['mutate', 'mutate', 'crossover', 'rewrite'][number % 4 + 1]"
METRICS = "concat('{\"accuracy\":', toString(score), ',\"size\":', toString(500 + number % 700), ',\"speed\":', toString(number % 13), '}')"

FILL = (
    f"""INSERT INTO evolution_runs_log (run_id, start_time, end_time, task_name, config, status, total_generations, population_size, told_at)
    SELECT {RUN}, {BEGAN}, if({{run:UInt32}} > {{runs:UInt32}} - 5, toDateTime64(0, 3), {BEGAN} + 21000), concat('task_', toString({{run:UInt32}} % 7)),
    '{{"evolution":{{"num_generations":60}},"llm":{{"model":"gpt-4.1"}}}}', if({{run:UInt32}} > {{runs:UInt32}} - 5, 'running', 'completed'), 50, 20, {BEGAN} + 21000""",
    f"""INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, combined_score, metrics,
    is_pareto, api_cost, code_hash, code_size, code, status, error, trace_id, span_id)
    SELECT {RUN}, {ID}, intDiv(number, {POPULATION}), {AT} + 18, {PARENT}, if(number < {POPULATION}, 'init', {HOW}), {SCORE} AS score, score, {METRICS},
    number % {POPULATION} < 5, 0.002, hex(cityHash64(number % 900)), 1000, repeat(concat('x = ', toString(number), '\\n'), 100),
    if(number % 19 = 3, 'error', 'ok'), if(number % 19 = 3, 'ValueError: overlap', ''), {TRACE}, hex(cityHash64({RUN}, number)) {EACH}""",
    f"""INSERT INTO generations (run_id, generation, timestamp, num_individuals, best_score, avg_score, pareto_size, total_cost, task_name, trace_id, span_id)
    SELECT {RUN}, number, {BEGAN} + (number + 1) * 400, 20, number / {GENERATIONS} + 0.05, number / {GENERATIONS}, 5, 0.06, 'task',
    lower(hex(MD5(concat('g', {RUN}, toString(number))))), hex(cityHash64({RUN}, 'g', number)) FROM numbers({GENERATIONS})""",
    f"""INSERT INTO pareto_fronts (run_id, generation, timestamp, individual_id, fitness_score, combined_score, metrics, trace_id, span_id, position)
    SELECT {RUN}, intDiv(number, {POPULATION}), {AT}, {ID}, {SCORE} AS score, score, {METRICS}, {TRACE}, hex(cityHash64({RUN}, 'g', intDiv(number, {POPULATION}))),
    number % {POPULATION} {EACH} WHERE number % {POPULATION} < 5""",
    f"""INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, edit_summary, trace_id, span_id)
    SELECT {RUN}, {ID}, {PARENT}, intDiv(number, {POPULATION}), if(number < {POPULATION}, 'init', {HOW}), {AT}, if(number < {POPULATION}, 0, 0.02 * sin(number)),
    'shifted every second row and shrank the others', {TRACE}, hex(cityHash64({RUN}, number)) {EACH}""",
    f"""INSERT INTO llm_logs (id, timestamp, model, messages, response, cost, execution_time, run_id, generation, individual_id, role, operation, status,
    error, input_tokens, output_tokens, cached_tokens, time_to_first_token, cost_source, trace_id, span_id)
    SELECT generateUUIDv4(), {AT} + call * 4, ['gpt-4.1', 'gpt-4.1-mini', 'claude-sonnet-4'][number % 3 + 1], concat('[{{"role":"user","content":"', randomPrintableASCII(300),
    repeat(' improve this program', 30), '"}}]'), repeat('def pack(): ... ', 40), 0.001, 1 + (number * 7 + call) % 40 / 10, {RUN}, intDiv(number, {POPULATION}), {ID},
    if(call = 0, 'mutation', 'novelty'), 'chat', if(number % 31 = 5, 'error', 'ok'), if(number % 31 = 5, 'RateLimitError: 429', ''), 3000, 400, 900, 0.3,
    'genai-prices', {TRACE}, hex(cityHash64({RUN}, number, call, 'llm')) FROM (SELECT *, arrayJoin(range({CALLS})) AS call {EACH})""",
    f"""INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, generation, individual_id, trace_id, span_id)
    SELECT generateUUIDv4(), {AT} + 10 + after * 6, if(after = 0, 'job_submitted', if(number % 19 = 3, 'job_failed', 'job_completed')),
    concat('{{"job_id":"job_', toString(number), '"}}'), '{{}}', {RUN}, intDiv(number, {POPULATION}), {ID}, {TRACE}, hex(cityHash64({RUN}, number, after, 'job'))
    FROM (SELECT *, arrayJoin([0, 1]) AS after {EACH})""",
)

SPOOLS = """INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, trace_id, span_id)
    SELECT generateUUIDv4(), now64(3) - toIntervalSecond(intDiv(number, 4) * 60), 'spool_state', concat('{"host":"machine_', toString(number % 4),
    '","folder":"/home/somebody/.local/share/genesis-otel/spool/0123456789abcdef","waiting":', toString(number % 300),
    ',"bytes":65536,"oldest_seconds":0.7,"writers":1,"dead_letters":0,"dropped":0}'), '{}', hex(MD5(toString(number))), hex(cityHash64(number, 'spool'))
    FROM numbers(4 * 30 * 1440)"""
"""Four machines that have searched for a month without a pause."""

_SPAN = (
    "Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, SpanAttributes, Duration, StatusCode"
)
_NAMES = f"map('genesis.run.id', {RUN}, 'genesis.generation.number', toString(intDiv(number, {POPULATION})), 'genesis.individual.id', {ID}, 'genesis.record', name)"
SPANS = (
    f"""INSERT INTO otel_traces ({_SPAN})
    SELECT {AT} + span.2, {TRACE}, hex(cityHash64({RUN}, number, span.1)), if(span.1 = 'individual', hex(cityHash64({RUN}, 'g', intDiv(number, {POPULATION}))),
    hex(cityHash64({RUN}, number, 'individual'))), span.1 AS name, 'Internal', 'search', {_NAMES}, span.3 * 1000000000, 'Unset'
    FROM (SELECT *, arrayJoin([('individual', 0, 18), ('evaluation', 10, 6), ('chat gpt-4.1', 0, 3), ('chat gpt-4.1-mini', 4, 3)]) AS span {EACH})""",
    f"""INSERT INTO otel_traces ({_SPAN})
    SELECT {BEGAN} + number * 400, lower(hex(MD5(concat('g', {RUN}, toString(number))))), hex(cityHash64({RUN}, 'g', number)), '', 'generation', 'Internal', 'search',
    map('genesis.run.id', {RUN}, 'genesis.generation.number', toString(number), 'genesis.record', 'generation'), 400000000000, 'Unset' FROM numbers({GENERATIONS})""",
)

console = Console(width=140)


class Measured(NamedTuple):
    """A query, and what it cost."""

    asked: Asked
    sql: str
    rows: int
    milliseconds: float

    @property
    def limit(self) -> float:
        """What it may cost."""
        return LIMITS[self.asked.board in OF_ONE_RUN]


def opened(folder: Path, runs: int) -> Client:
    """A store with so many runs in it, made unless it is there."""
    client = connection.open_embedded(folder)
    schema.init_schema(client, traces_ttl_days=0)
    if client.command("SELECT count() FROM evolution_runs_log") == runs:
        return client
    for view, _, _ in tables.views():
        client.command(f"DROP VIEW IF EXISTS {view} SYNC")
    for table in (*tables.STORED_IN.values(), "otel_traces", "otel_traces_trace_id_ts"):
        client.command(f"TRUNCATE TABLE {table} SYNC")
    with console.status("making searches ...") as status:
        for run in range(1, runs + 1):
            status.update(f"making search {run} of {runs} ...")
            for statement in (*FILL, *(SPANS if run % 10 == 0 or run > runs - 5 else ())):
                client.command(statement, parameters={"run": run, "runs": runs})
            if run % 100 == 0:
                merge(client)
        client.command(SPOOLS)
        client.command(
            "INSERT INTO otel_traces_trace_id_ts SELECT TraceId, min(Timestamp), max(Timestamp) FROM otel_traces GROUP BY TraceId"
        )
        status.update("telling when rows came ...")
        for table, stored in tables.STORED_IN.items():
            happened = "told_at" if table == "evolution_runs" else "timestamp"
            client.command(
                f"ALTER TABLE {stored} UPDATE ingested_at = {happened} + 2 WHERE 1 SETTINGS mutations_sync = 1"
            )
        status.update("merging ...")
        merge(client)
    return client


def merge(client: Client) -> None:
    """Few parts, as a server has them after some minutes."""
    for table in (*tables.STORED_IN.values(), "otel_traces"):
        client.command(f"OPTIMIZE TABLE {table}")


def chosen(board: Mapping[str, object], client: Client, runs: int) -> dict[str, Value]:
    """The variables: a run in the middle that has raw spans, its best individual, one of its traces."""
    run = f"run_{runs // 20 * 10:06d}"
    best = "SELECT argMax(individual_id, fitness_score), argMax(trace_id, fitness_score) FROM individuals WHERE run_id = {run:String}"
    individual, trace = client.query(best, parameters={"run": run}).result_rows[0]
    several = tuple(f"run_{number:06d}" for number in range(runs - 3, runs + 1))
    known: dict[str, Value] = {
        "datasource": "", "run": run, "individual": individual, "trace": trace, "x": "accuracy", "y": "size",
        "only": "all traces", "slower": "0", "budget": "50", "runs": several,
    }  # fmt: skip
    variables: list[dict[str, object]] = board["templating"]["list"]  # type: ignore[index]
    return {str(each["name"]): ALL if each.get("includeAll") else known[str(each["name"])] for each in variables}


def range_of(board: Mapping[str, dict[str, str]]) -> TimeRange:
    """The dashboard's own range, in steps that fit a panel."""
    hours = {"h": 1, "d": 24}[board["time"]["from"][-1]] * int(board["time"]["from"][4:-1])
    now = datetime.now(timezone.utc)
    return TimeRange(now - timedelta(hours=hours), now, max(10, hours * 3600 // 1000))


def measured(client: Client, runs: int, rounds: int, only: str) -> Iterator[Measured]:
    """Each query, warm."""
    for board in dashboards().values():
        values, times = chosen(board, client, runs), range_of(board)
        everything = {"task": ("task_1",), "run": (str(values.get("run", "")),), "model": ("gpt-4.1",)}
        for asked in queries_of(board):
            if only not in str(asked):
                continue
            sql = sent(asked.sql, values, times, everything)
            rows = len(client.query(sql).result_rows)
            took = []
            for _ in range(rounds):
                began = time.perf_counter()
                client.query(sql)
                took.append(1000 * (time.perf_counter() - began))
            yield Measured(asked, sql, rows, statistics.median(took))


def main() -> int:
    """The command; 1 if `--check` and a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000, help="how many searches; 1000 individuals each")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--keep", type=Path, help="a folder for the store, to be used again")
    parser.add_argument("--only", default="", help="queries whose dashboard/panel contains this")
    parser.add_argument("--check", action="store_true", help="end with 1 if a limit is missed")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        client = opened(told.keep or Path(temporary), told.runs)
        counts = client.query(
            "SELECT (SELECT count() FROM individuals), (SELECT count() FROM llm_logs), (SELECT count() FROM otel_traces)"
        )
        console.print("{:,} individuals, {:,} LLM calls, {:,} raw spans".format(*counts.result_rows[0]))
        found = []
        for each in measured(client, told.runs, told.rounds, told.only):
            found.append(each)
            console.print(
                f"{each.milliseconds:7.0f} ms {'MISSED' if each.milliseconds > each.limit else '      '} {each.rows:6} rows  {each.asked}"
            )
        summary(client, found)
        client.close()
    return 1 if told.check and any(each.milliseconds > each.limit for each in found) else 0


def summary(client: Client, found: list[Measured]) -> None:
    """How many keep to their limit, and the slowest five with what is read for them."""
    table = Table("panels", "queries", "median ms", "slowest ms", "limit ms", "missed")
    for one_run, what in ((True, "of one run"), (False, "over all runs")):
        times = [each.milliseconds for each in found if (each.asked.board in OF_ONE_RUN) is one_run]
        if times:
            missed = sum(each > LIMITS[one_run] for each in times)
            table.add_row(
                what,
                str(len(times)),
                f"{statistics.median(times):.0f}",
                f"{max(times):.0f}",
                f"{LIMITS[one_run]:.0f}",
                str(missed),
            )
    console.print(table)
    for each in sorted(found, key=lambda one: -one.milliseconds)[:5]:
        console.rule(f"{each.asked}: {each.milliseconds:.0f} ms")
        try:
            console.print(client.command(f"EXPLAIN indexes = 1 {each.sql}"), markup=False, highlight=False)
        except Error as error:
            console.print(f"no plan: {error}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
