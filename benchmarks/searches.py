"""Generates a store with any number of searches for benchmarks, with a thousand individuals and two thousand LLM calls each.

In: a folder like that of `genesis-otel serve`, and the number of searches. Out: that folder with its tables filled; a folder that already
has as many is left unchanged. On failure: what ClickHouse raises, and the next call starts over.

The engine generates the rows directly in the tables (the views are tested elsewhere): 50 generations of 20, a best with an ancestor in
each generation, fronts, jobs, and the raw spans of every tenth search. Searches are spread over 30 days, the newest five are running. Three
models share the calls 6 : 3 : 1, and the slowest calls take 50 times as long as most. Rows arrive in chronological order, two seconds late.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from clickhouse_connect.driver.client import Client
from rich.console import Console

from genesis_otel._serve.folder import CALLS_ONCE, ENGINE
from genesis_otel._store import connection, schema, tables

GENERATIONS, POPULATION, CALLS = 50, 20, 2
INDIVIDUALS = GENERATIONS * POPULATION
AT_ONCE = 250
"""Searches per insert: half a million calls in a part, and less than a gigabyte of memory."""

# A search takes about six hours: one individual every 20 seconds.
BEGAN = "{now:DateTime64(3)} - toIntervalSecond(intDiv((1 + {runs:UInt32} - run) * 2592000, {runs:UInt32}) + 3600)"
GOES_ON = "run > {runs:UInt32} - 5"
NAME = "concat('run_', leftPad(toString(run), 6, '0'))"
# Each program's parent is one of the previous generation; number 0 of each generation is the best, and a child of the previous number 0.
IDS = (
    "lower(hex(MD5(concat(run_id, toString(n))))) AS id, "
    f"if(generation = 0, '', lower(hex(MD5(concat(run_id, toString((generation - 1) * {POPULATION} + intDiv(n % {POPULATION}, 3))))))) AS parent"
)
TRACE = "lower(hex(MD5(concat('g', run_id, toString(generation))))) AS trace, hex(cityHash64(run_id, 'g', generation)) AS of_generation"
EACH = f"""(
    SELECT
        intDiv(number, {INDIVIDUALS}) + {{first:UInt32}} AS run, number % {INDIVIDUALS} AS n, intDiv(n, {POPULATION}) AS generation,
        {NAME} AS run_id, {BEGAN} AS began, began + toIntervalSecond(n * 20) AS at, {IDS}, {TRACE},
        generation / {GENERATIONS} + if(n % {POPULATION} = 0, 0.05, 0.04 * sin(n + run)) AS score,
        if(generation = 0, 'init', ['mutate', 'mutate', 'crossover', 'rewrite'][n % 4 + 1]) AS how,
        concat('{{"accuracy":', toString(score), ',"size":', toString(500 + n % 700), ',"speed":', toString(n % 13), '}}') AS metrics,
        n % 19 = 3 AS fails
    FROM numbers({{count:UInt32}} * {INDIVIDUALS})
)"""
EACH_GENERATION = f"(SELECT * FROM {EACH} WHERE n % {POPULATION} = 0)"
EACH_RUN = (
    f"(SELECT number + {{first:UInt32}} AS run, {NAME} AS run_id, {BEGAN} AS began FROM numbers({{count:UInt32}}))"
)
WHICH = "cityHash64(run_id, n, call) % 10"
PRICE = f"multiIf({WHICH} < 6, 0.0004, {WHICH} < 9, 0.002, 0.006)"
PAID = f"arraySum(call -> {PRICE}, range({CALLS}))"

FILL = (
    f"""INSERT INTO evolution_runs_log (run_id, start_time, end_time, task_name, config, status, total_generations, population_size, told_at, ingested_at)
    SELECT run_id, began, if({GOES_ON}, toDateTime64(0, 3), began + 21000), concat('task_', toString(run % 7)),
    '{{"evolution":{{"num_generations":60}},"llm":{{"model":"gpt-4.1"}}}}', if({GOES_ON}, 'running', 'completed'), 50, 20, began + 21000, began + 21002 FROM {EACH_RUN}""",
    f"""INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, combined_score, metrics,
    is_pareto, api_cost, code_hash, code_size, code, status, error, trace_id, span_id, ingested_at)
    SELECT run_id, id, generation, at + 18, parent, how, score, score, metrics, n % {POPULATION} < 5, {PAID}, hex(cityHash64(n % 900)), 1000,
    repeat(concat('x = ', toString(n), '\\n'), 100), if(fails, 'error', 'ok'), if(fails, 'ValueError: overlap', ''), trace, hex(cityHash64(run_id, n)), at + 20
    FROM {EACH}""",
    f"""INSERT INTO generations (run_id, generation, timestamp, num_individuals, best_score, avg_score, pareto_size, total_cost, task_name, trace_id, span_id, ingested_at)
    SELECT run_id, generation, at + 400, 20, generation / {GENERATIONS} + 0.05, generation / {GENERATIONS}, 5, 0.06, 'task', trace, of_generation, at + 402
    FROM {EACH_GENERATION}""",
    f"""INSERT INTO pareto_fronts (run_id, generation, timestamp, individual_id, fitness_score, combined_score, metrics, trace_id, span_id, position, ingested_at)
    SELECT run_id, generation, at, id, score, score, metrics, trace, of_generation, n % {POPULATION}, at + 2 FROM {EACH} WHERE n % {POPULATION} < 5""",
    f"""INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, edit_summary, trace_id, span_id, ingested_at)
    SELECT run_id, id, parent, generation, how, at, if(parent = '', 0, 0.02 * sin(n)), 'shifted every second row and shrank the others', trace,
    hex(cityHash64(run_id, n)), at + 2 FROM {EACH}""",
    f"""INSERT INTO llm_logs (id, timestamp, model, messages, response, cost, execution_time, run_id, generation, individual_id, role, operation, status,
    error, input_tokens, output_tokens, cached_tokens, time_to_first_token, cost_source, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), at + call * 4, multiIf({WHICH} < 6, 'gpt-4.1-mini', {WHICH} < 9, 'gpt-4.1', 'claude-sonnet-4'),
    concat('[{{"role":"user","content":"', randomPrintableASCII(300), repeat(' improve this program', 30), '"}}]'), repeat('def pack(): ... ', 40),
    {PRICE}, 0.5 + 50 * pow(cityHash64(run_id, n, call, 't') % 1000 / 1000, 6), run_id, generation, id, if(call = 0, 'mutation', 'novelty'), 'chat',
    if(n % 31 = 5, 'error', 'ok'), if(n % 31 = 5, 'RateLimitError: 429', ''), 3000, 400, 900, 0.3, 'genai-prices', trace, hex(cityHash64(run_id, n, call, 'llm')),
    at + call * 4 + 6 FROM (SELECT *, arrayJoin(range({CALLS})) AS call FROM {EACH})""",
    f"""INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, generation, individual_id, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), at + 10 + after * 6, if(after = 0, 'job_submitted', if(fails, 'job_failed', 'job_completed')),
    concat('{{"job_id":"job_', toString(n), '"}}'), '{{}}', run_id, generation, id, trace, hex(cityHash64(run_id, n, after, 'job')), at + 12 + after * 6
    FROM (SELECT *, arrayJoin([0, 1]) AS after FROM {EACH})""",
)

_SPAN = (
    "Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, SpanAttributes, Duration, StatusCode"
)
_TENTH = f"run % 10 = 0 OR {GOES_ON}"
SPANS = (
    f"""INSERT INTO otel_traces ({_SPAN})
    SELECT at + span.2, trace, hex(cityHash64(run_id, n, span.1)), if(span.1 = 'individual', of_generation, hex(cityHash64(run_id, n, 'individual'))),
    span.1 AS name, 'Internal', 'search',
    map('genesis.run.id', run_id, 'genesis.generation.number', toString(generation), 'genesis.individual.id', id, 'genesis.record', name),
    span.3 * 1000000000, 'Unset'
    FROM (SELECT *, arrayJoin([('individual', 0, 18), ('evaluation', 10, 6), ('chat gpt-4.1', 0, 3), ('chat gpt-4.1-mini', 4, 3)]) AS span FROM {EACH} WHERE {_TENTH})""",
    f"""INSERT INTO otel_traces ({_SPAN})
    SELECT at, trace, of_generation, '', 'generation', 'Internal', 'search',
    map('genesis.run.id', run_id, 'genesis.generation.number', toString(generation), 'genesis.record', 'generation'), 400000000000, 'Unset'
    FROM {EACH_GENERATION} WHERE {_TENTH}""",
)

SPOOLS = """INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), {now:DateTime64(3)} - toIntervalSecond(intDiv(number, 4) * 60) AS at, 'spool_state', concat('{"host":"machine_', toString(number % 4),
    '","folder":"/home/somebody/.local/share/genesis-otel/spool/0123456789abcdef","waiting":', toString(number % 300),
    ',"bytes":65536,"oldest_seconds":0.7,"writers":1,"dead_letters":0,"dropped":0}'), '{}', hex(MD5(toString(number))), hex(cityHash64(number, 'spool')), at + 2
    FROM numbers(4 * 30 * 1440)"""
"""Four machines that have been searching for a month without a pause."""

TRACE_TIMES = "INSERT INTO otel_traces_trace_id_ts SELECT TraceId, min(Timestamp), max(Timestamp) FROM otel_traces GROUP BY TraceId"

WHOLE: dict[str, int] = {
    "min_insert_block_size_rows": 1_000_000,
    "min_insert_block_size_bytes": 1 << 30,
    "insert_deduplicate": 0,
    "throw_on_max_partitions_per_insert_block": 0,
}
"""An insert becomes one part, or a few."""


def filled(folder: Path, runs: int, console: Console) -> None:
    """Make sure that the store in ``folder`` has this many searches."""
    with contextlib.closing(connection.open_embedded(folder / ENGINE)) as client:
        schema.init_schema(client, traces_ttl_days=0)
        if client.command("SELECT count() FROM evolution_runs_log") == runs:
            return
        for view, _, _ in tables.views():
            client.command(f"DROP VIEW IF EXISTS {view} SYNC")
        for table in (*tables.STORED_IN.values(), "otel_traces", "otel_traces_trace_id_ts"):
            client.command(f"TRUNCATE TABLE {table} SYNC")
        asked = {"runs": runs, "now": str(client.command("SELECT toString(now64(3))"))}
        with console.status("making searches ...") as status:
            for first in range(1, runs + 1, AT_ONCE):
                status.update(f"making search {first} of {runs} ...")
                some = {"first": first, "count": min(AT_ONCE, runs + 1 - first)}
                for statement in (*FILL, *SPANS):
                    client.command(statement, parameters=asked | some, settings=WHOLE)
            client.command(SPOOLS, parameters=asked, settings=WHOLE)
            client.command(TRACE_TIMES, settings=WHOLE)
            status.update("merging ...")
            merge(client)
            # As in a store that grew: a store process without this examines all calls for duplicates, beside what is measured.
            examined = client.command("SELECT toUnixTimestamp64Milli(max(ingested_at)) FROM llm_logs")
            (folder / CALLS_ONCE).write_text(str(examined))


def merge(client: Client) -> None:
    """Merge into few parts, as on a server after some minutes."""
    for table in (*tables.STORED_IN.values(), "otel_traces"):
        client.command(f"OPTIMIZE TABLE {table}")
