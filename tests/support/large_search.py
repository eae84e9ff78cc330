"""Generates a store with a few large searches for the page's tests and benchmark: any number of individuals each, one seed apart.

In: a folder like that of `genesis-otel serve`, the number of individuals of each search, and how many searches. Out: that folder with its
tables filled; one that already has them is left unchanged, but one of another schema is filled anew. On failure: what ClickHouse raises, and the next call starts over.

The engine generates the rows directly in the tables (the views are tested elsewhere). Scores begin below zero; one individual in nine
fails and one in thirteen is incorrect; four islands, between which one in fifty is copied; parents are mostly recent, and one in four
children has two; cells of a grid of ten by ten; one to three calls each by three models, of which one in thirty-one fails; a job each; the
choice of models once a generation; the spans of every trace. The first search goes on, the others have ended.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from clickhouse_connect.driver.client import Client

from genesis_otel._serve.folder import ENGINE
from genesis_otel._store import connection, schema, tables, version

ISLANDS = 4
PACE = 2
"""Seconds from one individual to the next."""

NAME = "concat('search_', toString({seed:UInt32}), '_of_', toString({individuals:UInt32}))"
LENGTH = f"{{individuals:UInt32}} * {PACE}"
BEGAN = f"{{now:DateTime64(3)}} - toIntervalSecond({LENGTH} + 60)"
GENERATIONS = "intDiv({individuals:UInt32} - 1, {population:UInt32}) + 1"
CHANCE = "(cityHash64({seed:UInt32}, n, %s) %% 1000003 / 1000003)"
SCORE = "6 * (1 - exp(-4 * {0} / {{individuals:UInt32}})) - 5 - 3 * pow(cityHash64({{seed:UInt32}}, {0}, 2) % 1000003 / 1000003, 2)"
# Parents are of earlier generations and of the same island, unless they are copied from another.
ABOVE = "toUInt32(floor(generation * {population:UInt32} * pow(%s, 0.25)))"
IDENTITY = "lower(hex(MD5(concat(run_id, toString(%s)))))"
EACH = f"""(
    SELECT
        number AS n, intDiv(n, {{population:UInt32}}) AS generation, {NAME} AS run_id, {BEGAN} AS began,
        began + toIntervalMillisecond(n * {PACE * 1000} + cityHash64(n) % 1500) AS at,
        generation > 0 AND n % 50 = 7 AS copied, n % {ISLANDS} AS island,
        least({ABOVE % (CHANCE % 1)}, generation * {{population:UInt32}} - 1) AS drawn,
        generation > 0 ? (copied ? drawn : intDiv(drawn, {ISLANDS}) * {ISLANDS} + island) : 0 AS above,
        generation > 0 AND n % 4 = 2 AND NOT copied AS crossed, intDiv(above, 2) AS beside,
        {IDENTITY % "n"} AS id, generation > 0 ? {IDENTITY % "above"} : '' AS parent, {IDENTITY % "beside"} AS second,
        lower(hex(MD5(concat('g', run_id, toString(generation))))) AS trace, hex(cityHash64(run_id, 'g', generation)) AS of_generation,
        {SCORE.format("if(copied, above, n)")} AS score, {SCORE.format("above")} AS score_above,
        multiIf(copied, 'migration', generation = 0, 'init', crossed, 'crossover', ['diff', 'full', 'diff'][n % 3 + 1]) AS how,
        n % 9 = 4 AND NOT copied AS fails, n % 13 = 5 AND NOT copied AND NOT fails AS wrong,
        1 + cityHash64(n, 'calls') % 3 AS calls
    FROM numbers({{individuals:UInt32}})
)"""
EACH_GENERATION = f"(SELECT * FROM {EACH} WHERE n % {{population:UInt32}} = 0)"
PRICE = "[0.0004, 0.002, 0.006][cityHash64(n, call) % 3 + 1]"
MODEL = "['gpt-4.1-mini', 'gpt-4.1', 'claude-sonnet-4'][cityHash64(n, call) % 3 + 1]"
CODE = (
    "arrayStringConcat(arrayMap(line -> concat('    x', toString(line), ' = step(', toString(cityHash64(line, "
    "intDiv(n + 7 * line, 40)) % 1000), ')  # keeps the distance\\n'), range(60)))"
)
SUMMARY = "concat('shifted row ', toString(n % 17), ' by ', toString(n % 23), ' and shrank the circles beside it, so that they no longer overlap at the edge')"

FILL = (
    f"""INSERT INTO evolution_runs_log (run_id, start_time, end_time, task_name, config, status, total_generations, population_size, told_at, ingested_at)
    SELECT {NAME}, {BEGAN}, if({{seed:UInt32}} = 1, toDateTime64(0, 3), {{now:DateTime64(3)}}), 'circle_packing',
    concat('{{"seed":', toString({{seed:UInt32}}), ',"evolution":{{"num_generations":', toString(2 * ({GENERATIONS})), '}}}}'),
    if({{seed:UInt32}} = 1, 'running', 'completed'), {GENERATIONS}, {{population:UInt32}}, {{now:DateTime64(3)}}, {{now:DateTime64(3)}}""",
    f"""INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, combined_score, metrics,
    is_pareto, api_cost, code_hash, code_size, code, island, cell, status, correct, error, trace_id, span_id, ingested_at)
    SELECT run_id, id, generation, at + 18, parent, how, fails ? NULL : score, fails ? NULL : score,
    concat('{{"accuracy":', toString(score), ',"size":', toString(500 + n % 700), ',"speed":', toString(n % 13), '}}'),
    n % {{population:UInt32}} < 5, 0.004, hex(cityHash64(n % 900)), length({CODE}), {CODE}, toString(island),
    concat('{{"complexity":', toString(cityHash64(n) % 10), ',"diversity":', toString(cityHash64(n, 'd') % 10), '}}'),
    multiIf(fails, 'error', wrong, 'incorrect', 'ok'), NOT wrong, if(fails, 'ValueError: circles overlap', ''), trace,
    hex(cityHash64(run_id, n, 'individual')), at + 20
    FROM {EACH}""",
    f"""INSERT INTO generations (run_id, generation, timestamp, num_individuals, best_score, avg_score, pareto_size, total_cost, task_name, trace_id, span_id, ingested_at)
    SELECT run_id, generation, at + toIntervalSecond({{population:UInt32}} * {PACE}), {{population:UInt32}}, score, score - 1, 5, 0.06, 'circle_packing', trace, of_generation,
    at + toIntervalSecond({{population:UInt32}} * {PACE} + 2) FROM {EACH_GENERATION}""",
    f"""INSERT INTO pareto_fronts (run_id, generation, timestamp, individual_id, fitness_score, combined_score, metrics, trace_id, span_id, position, ingested_at)
    SELECT run_id, generation, at, id, score, score, concat('{{"accuracy":', toString(score), ',"size":', toString(500 + n % 700), '}}'), trace, of_generation,
    n % {{population:UInt32}}, at + 2 FROM {EACH} WHERE n % {{population:UInt32}} < 5 AND NOT fails""",
    f"""INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, edit_summary, trace_id, span_id, position, ingested_at)
    SELECT run_id, id, place = 0 ? parent : second, generation, how, at + 18, fails ? NULL : score - score_above, {SUMMARY}, trace, hex(cityHash64(run_id, n, 'individual')), place, at + 20
    FROM (SELECT *, arrayJoin(crossed ? [0, 1] : [0]) AS place FROM {EACH}) WHERE generation > 0""",
    f"""INSERT INTO llm_logs (id, timestamp, model, messages, response, cost, execution_time, run_id, generation, individual_id, role, operation, status,
    error, input_tokens, output_tokens, cached_tokens, time_to_first_token, cost_source, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), at + call * 4, {MODEL}, concat('[{{"role":"user","content":"', hex(randomFixedString(150)), repeat(' improve this program', 20), '"}}]'),
    repeat('def pack(): ... ', 40), {PRICE}, 0.5 + 40 * pow(cityHash64(run_id, n, call, 't') % 1000 / 1000, 6), run_id, generation, id,
    if(call = 0, 'mutation', 'novelty'), 'chat', if(n % 31 = 5, 'error', 'ok'), if(n % 31 = 5, 'RateLimitError: 429', ''), 3000, 400, 900, 0.3, 'genai-prices',
    trace, hex(cityHash64(run_id, n, call, 'llm')), at + call * 4 + 6
    FROM (SELECT *, arrayJoin(range(calls)) AS call FROM {EACH} WHERE NOT copied)""",
    f"""INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, generation, individual_id, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), at + 10 + after * 6, if(after = 0, 'job_submitted', if(fails, 'job_failed', 'job_completed')),
    concat('{{"job_id":"job_', toString(n), '"}}'), '{{}}', run_id, generation, id, trace, hex(cityHash64(run_id, n, after, 'job')), at + 12 + after * 6
    FROM (SELECT *, arrayJoin([0, 1]) AS after FROM {EACH} WHERE NOT copied)""",
    f"""INSERT INTO agent_actions (id, timestamp, action_type, details, metadata, run_id, generation, individual_id, trace_id, span_id, ingested_at)
    SELECT generateUUIDv4(), at, 'model_selection', concat('{{"strategy":"ucb","models":{{"gpt-4.1":{{"posterior":', toString({CHANCE % 3}), '}},"gpt-4.1-mini":{{"posterior":',
    toString({CHANCE % 4}), '}}}}}}'), '{{}}', run_id, generation, '', trace, hex(cityHash64(run_id, n, 'choice')), at + 2 FROM {EACH_GENERATION}""",
    f"""INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, SpanAttributes, Duration, StatusCode)
    SELECT at + span.2, trace, hex(cityHash64(run_id, n, span.1)), if(span.1 = 'individual', of_generation, hex(cityHash64(run_id, n, 'individual'))),
    span.1 AS name, 'Internal', 'search',
    map('genesis.run.id', run_id, 'genesis.generation.number', toString(generation), 'genesis.individual.id', id, 'genesis.record', name), span.3 * 1000000000, 'Unset'
    FROM (SELECT *, arrayJoin([('individual', 0, 18), ('evaluation', 10, 6), ('chat gpt-4.1', 0, 3)]) AS span FROM {EACH})""",
)
WHOLE: dict[str, int] = {
    "min_insert_block_size_rows": 1_000_000,
    "min_insert_block_size_bytes": 1 << 30,
    "insert_deduplicate": 0,
}
"""An insert becomes one part, or a few."""


def filled(folder: Path, individuals: int, searches: int = 2) -> list[str]:
    """Make sure that the store in ``folder`` has these searches, and return their ids."""
    names = [f"search_{seed}_of_{individuals}" for seed in range(1, searches + 1)]
    with contextlib.closing(connection.open_embedded(folder / ENGINE)) as client:
        # An upgrade makes rows of the raw spans, which say next to nothing here, and as many as there were.
        is_kept = version.is_current(client)
        schema.init_schema(client, traces_ttl_days=0)
        if is_kept and client.command("SELECT count() FROM individuals") == individuals * searches:
            return names
        for view, _, _ in tables.views():
            client.command(f"DROP VIEW IF EXISTS {view} SYNC")
        for table in (*tables.STORED_IN.values(), "otel_traces", "otel_traces_trace_id_ts"):
            client.command(f"TRUNCATE TABLE {table} SYNC")
        asked = {
            "individuals": individuals,
            # 20 for a thousand, 200 for a hundred thousand.
            "population": round(20 * math.sqrt(individuals / 1000)),
            "now": str(client.command("SELECT toString(now64(3))")),
        }
        for seed in range(1, searches + 1):
            for statement in FILL:
                client.command(statement, parameters=asked | {"seed": seed}, settings=WHOLE)
        trace_times(client)
    return names


def trace_times(client: Client) -> None:
    """Fill the table of when traces were, and merge into few parts, as on a server after some minutes."""
    client.command(
        "INSERT INTO otel_traces_trace_id_ts SELECT TraceId, min(Timestamp), max(Timestamp) FROM otel_traces GROUP BY TraceId",
        settings=WHOLE,
    )
    for table in (*tables.STORED_IN.values(), "otel_traces"):
        client.command(f"OPTIMIZE TABLE {table}")
