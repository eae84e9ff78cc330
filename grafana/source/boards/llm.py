"""*LLM latency and cost*: how long models take, where a generation's time goes, and what it all costs.

In: a time range, runs, models. Out: percentiles, errors, tokens, costs, the slowest calls; for the newest of the chosen runs,
how each generation's time divides into waiting, model, evaluation and the search itself (`llm_time`).
"""

from __future__ import annotations

from typing import Any

from genesis_otel.queries import part
from grafana.source.boards import llm_time
from grafana.source.columns import (
    GOOD_WHEN_LOW,
    UNPRICED,
    UNPRICED_POINTS,
    UNTIMED,
    YIELD_COLUMNS,
    called,
    color,
    colored,
    limits,
    long_text,
    unit,
    unpriced,
    width,
)
from grafana.source.dashboard import a_dashboard
from grafana.source.links import LLM, TO_RUN, TO_TRACE
from grafana.source.panels import a_stat, a_table, folded, over_time
from grafana.source.sql import FIRST_TOKEN, RATE_LIMITED, TOOK, TRUNCATED, earned, with_zeros
from grafana.source.targets import among
from grafana.source.variables import IN_TIME, OF_RUNS, OF_TASK, TASK, choice, datasource, newest

WHERE = f"$__timeFilter(timestamp) AND {OF_RUNS} AND $__conditionalAll({among('model', 'model')}, $model)"
CALLS = f"FROM llm_logs FINAL WHERE {WHERE}"
"""FINAL: a call that was delivered twice counts once. It costs nothing for merged rows, and all but the newest rows are merged."""
CHATS = f"{CALLS} AND operation != 'embeddings'"

RUNS_IN_RANGE = f"""
SELECT run_id
FROM evolution_runs
WHERE {OF_TASK} AND {IN_TIME}
ORDER BY start_time DESC, run_id
LIMIT 1000
"""

MODELS = "SELECT DISTINCT toString(model) AS model FROM llm_logs WHERE $__timeFilter(timestamp) AND model != '' ORDER BY model"


SAID = {
    column: f"if(llm_logs.{column} = '', '(not recorded)', toString(llm_logs.{column}))"
    for column in ("model", "role", "provider", "finish_reason")
}
"""A call's own value as a label: without one, a series would be named by its number alone."""


def latency(column: str) -> str:
    """Percentiles by time and by the value of ``column``."""
    return f"""
SELECT
    $__timeInterval(timestamp) AS time,
    {SAID[column]} AS {column},
    quantile(0.5)({TOOK}) AS p50,
    quantile(0.95)({TOOK}) AS p95,
    quantile(0.99)({TOOK}) AS p99
{CALLS}
GROUP BY time, {column}
ORDER BY time
"""


def summary(column: str) -> str:
    """One row per value of ``column``. Times are of the calls whose duration is known, tokens and cost per call means over the calls that have them."""
    return f"""
SELECT
    {SAID[column]} AS {column},
    count() AS calls,
    sum(cost) AS total_cost,
    countIf(llm_logs.unpriced) AS unpriced,
    total_cost / nullIf(calls - unpriced, 0) AS cost_per_call,
    countIf(status != 'ok') / count() AS errors,
    countIf(status != 'ok' AND {RATE_LIMITED}) AS rate_limited,
    countIf({TRUNCATED}) / nullIf(countIf(finish_reason != ''), 0) AS truncated,
    quantile(0.5)({TOOK}) AS p50,
    quantile(0.95)({TOOK}) AS p95,
    quantile(0.99)({TOOK}) AS p99,
    quantile(0.5)({FIRST_TOKEN}) AS first_token,
    sumIf(output_tokens, {TOOK} IS NOT NULL) / sumIf({TOOK}, output_tokens > 0) AS tokens_per_second,
    sum(input_tokens) / nullIf(countIf(input_tokens > 0), 0) AS input,
    sum(cached_tokens) / nullIf(sum(input_tokens), 0) AS cached,
    sum(output_tokens) / nullIf(countIf(output_tokens > 0), 0) AS output
{CALLS}
GROUP BY {column}
ORDER BY total_cost DESC, calls DESC
LIMIT 100
"""


SUMMARY_COLUMNS = {
    "calls": width(80),
    "total_cost": [*called("cost"), *unit("currencyUSD", 2), *width(85)],
    "unpriced": [*unpriced(), *width(85)],
    "cost_per_call": [*called("$/call"), *unit("currencyUSD", 4), *width(85)],
    "errors": [*unit("percentunit", 1), *limits(GOOD_WHEN_LOW), *width(75)],
    "rate_limited": width(100),
    "truncated": [*unit("percentunit", 1), *limits(GOOD_WHEN_LOW), *width(90)],
    "p50": [*unit("s"), *width(72)],
    "p95": [*unit("s"), *limits(((None, "green"), (30, "yellow"), (120, "red"))), *width(72)],
    "p99": [*unit("s"), *width(72)],
    "first_token": [*unit("s"), *width(95)],
    "tokens_per_second": [*called("tokens/s"), *unit("short", 1), *width(90)],
    "input": [*called("in/call"), *unit("locale", 0), *width(96)],
    "cached": [*unit("percentunit", 0), *width(80)],
    "output": [*called("out/call"), *unit("locale", 0), *width(96)],
}

FIRST_TOKENS = f"""
SELECT
    $__timeInterval(timestamp) AS time,
    toString(model) AS model,
    quantile(0.5)({FIRST_TOKEN}) AS p50,
    quantile(0.95)({FIRST_TOKEN}) AS p95
{CHATS} AND {FIRST_TOKEN} IS NOT NULL
GROUP BY time, model
ORDER BY time
"""

SPEED = f"""
SELECT $__timeInterval(timestamp) AS time, toString(model) AS model, sum(output_tokens) / sum({TOOK}) AS speed
{CHATS} AND output_tokens > 0 AND {TOOK} IS NOT NULL
GROUP BY time, model
ORDER BY time
"""

ERRORS = f"""
SELECT
    $__timeInterval(timestamp) AS time,
    countIf({RATE_LIMITED}) AS "rate limited",
    countIf(NOT {RATE_LIMITED}) AS "other errors"
{CALLS} AND status != 'ok'
GROUP BY time
ORDER BY time
"""

# Selected in a separate query: in the same one, `run_id` and `model` in the condition would refer to the aggregates of those names.
KINDS_OF_ERROR = f"""
SELECT
    kind AS error,
    count() AS calls,
    max(timestamp) AS latest,
    argMax(of_model, timestamp) AS model,
    argMax(of_run, timestamp) AS run_id,
    argMax(trace_id, timestamp) AS trace_id
FROM (
    SELECT
        replaceRegexpAll(substringUTF8(error, 1, 160), '[0-9]+', 'N') AS kind,
        toString(model) AS of_model,
        run_id AS of_run,
        timestamp,
        trace_id
    {CALLS} AND status != 'ok'
)
GROUP BY kind
ORDER BY calls DESC, error
LIMIT 50
"""


def calls_by(order: str, which: str = "1") -> str:
    """Twenty calls with their prompts and answers. They are chosen from a few columns; prompts are read for those twenty only."""
    return f"""
SELECT
    timestamp AS time, {TOOK} AS took, toString(model) AS model, toString(role) AS role, run_id, generation, individual_id,
    input_tokens AS input, output_tokens AS output, {part("call_cost")} AS cost, toString(status) AS status, substringUTF8(messages, 1, 20000) AS prompt,
    substringUTF8(response, 1, 20000) AS response, error, trace_id
FROM llm_logs FINAL
WHERE (run_id, timestamp, trace_id, span_id) IN (
    SELECT run_id, timestamp, trace_id, span_id {CALLS} AND {which} ORDER BY {order} DESC, timestamp, span_id LIMIT 20
)
ORDER BY {order} DESC
"""


CALL_COLUMNS = {
    "time": width(170),
    "took": [*unit("s"), *width(80)],
    "model": width(150),
    "role": width(90),
    "run_id": [*called("run"), *TO_RUN, *width(220)],
    "generation": width(95),
    "individual_id": [*called("individual"), *width(150)],
    "input": width(75),
    "output": width(75),
    "cost": [*unit("currencyUSD", 4), *width(90)],
    "status": [*colored(), *width(75)],
    "prompt": long_text(),
    "response": long_text(),
    "error": long_text(),
    "trace_id": [*called("trace"), *TO_TRACE],
}

COST = f"""
SELECT $__timeInterval(timestamp) AS time, {SAID["model"]} AS model, sum(cost) AS cost, countIf(llm_logs.unpriced) AS unpriced
{CALLS}
GROUP BY time, model
ORDER BY time
"""

COST_BY_ROLE = f"""
SELECT $__timeInterval(timestamp) AS time, {SAID["role"]} AS role, sum(cost) AS cost, countIf(llm_logs.unpriced) AS unpriced
{CALLS}
GROUP BY time, role
ORDER BY time
"""

TOKENS = f"""
SELECT
    $__timeInterval(timestamp) AS time,
    sum(input_tokens - least(cached_tokens, input_tokens)) AS input,
    sum(cached_tokens) AS cached,
    sum(output_tokens - least(reasoning_tokens, output_tokens)) AS output,
    sum(reasoning_tokens) AS reasoning
{CALLS}
GROUP BY time
ORDER BY time
"""

TOKENS_A_CALL = f"""
SELECT
    $__timeInterval(timestamp) AS time,
    sum(input_tokens) / nullIf(countIf(input_tokens > 0), 0) AS input,
    sum(output_tokens) / nullIf(countIf(output_tokens > 0), 0) AS output,
    sum(reasoning_tokens) / nullIf(countIf(output_tokens > 0), 0) AS reasoning
{CHATS}
GROUP BY time
HAVING sum(input_tokens + output_tokens) > 0
ORDER BY time
"""

FINISHES = f"""
SELECT $__timeInterval(timestamp) AS time, toString(llm_logs.finish_reason) AS finish_reason, count() AS calls
{CHATS} AND llm_logs.finish_reason != ''
GROUP BY time, finish_reason
ORDER BY time
"""

RATE = with_zeros(
    f"""
    SELECT $__timeInterval(timestamp) AS time, toString(model) AS model, count() * 60 / $__interval_s AS calls
    {CALLS}
    GROUP BY time, model
    """,
    "model",
)

YIELD = f"{earned(f'run_id IN {newest(20)}')}\nORDER BY what, gain_per_dollar DESC NULLS LAST, name"


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    of_model, of_role = "${__field.name} ${__field.labels.model}", "${__field.name} ${__field.labels.role}"
    model = "${__field.labels.model}"
    return a_dashboard(
        LLM,
        "LLM latency and cost",
        "How long models take, where a generation's time goes, and what it costs.",
        [
            datasource(),
            TASK,
            choice("run", "Run", RUNS_IN_RANGE, multi=True, everything=True, by_time=True),
            choice("model", "Model", MODELS, multi=True, everything=True, by_time=True),
        ],
        [
            a_stat(
                "Calls",
                "Model calls, including embeddings. Of *untimed* ones the duration is unknown: no latency on this dashboard includes them.",
                f"SELECT count() AS calls, countIf({TOOK} IS NULL) AS untimed {CALLS}",
                columns=UNTIMED,
            ),
            a_stat(
                "p50",
                "Half of the calls whose duration is known were faster.",
                f"SELECT quantile(0.5)({TOOK}) {CALLS}",
                unit="s",
            ),
            a_stat(
                "p95",
                "95 % of the calls whose duration is known were faster.",
                f"SELECT quantile(0.95)({TOOK}) {CALLS}",
                unit="s",
                steps=((None, "green"), (30, "yellow"), (120, "red")),
            ),
            a_stat(
                "p99",
                "99 % of the calls whose duration is known were faster.",
                f"SELECT quantile(0.99)({TOOK}) {CALLS}",
                unit="s",
            ),
            a_stat(
                "First token p50",
                "From the request to the first token, for streamed calls.",
                f"SELECT quantile(0.5)({FIRST_TOKEN}) {CHATS}",
                unit="s",
                empty="Not streamed",
            ),
            a_stat(
                "Errors",
                "Share of calls that failed.",
                f"SELECT if(count() = 0, NULL, countIf(status != 'ok') / count()) {CALLS}",
                unit="percentunit",
                decimals=1,
                steps=GOOD_WHEN_LOW,
            ),
            a_stat(
                "Rate limited",
                "Calls that the provider rejected (rate limit, quota or overload).",
                f"SELECT countIf(status != 'ok' AND {RATE_LIMITED}) {CALLS}",
                steps=((None, "green"), (1, "yellow"), (100, "red")),
            ),
            a_stat(
                "Cost",
                "USD for calls. Calls without a known price are not included.",
                f"SELECT sum(cost) AS cost, countIf(llm_logs.unpriced) AS unpriced {CALLS}",
                unit="currencyUSD",
                decimals=2,
                columns=UNPRICED,
            ),
            a_table(
                "By model",
                "All figures per model; times are of the calls whose duration is known.",
                summary("model"),
                {"model": width(220), **SUMMARY_COLUMNS},
                size=(24, 7),
            ),
            over_time(
                "Latency by model",
                "How long calls took, where it is known.",
                latency("model"),
                name=of_model,
                unit="s",
                minimum=0,
            ),
            over_time(
                "Cost by model",
                "USD over time, and the calls without a price.",
                COST,
                name=of_model,
                unit="currencyUSD",
                columns=UNPRICED_POINTS,
                style="bars",
                stacked=True,
            ),
            folded(
                "Which model is worth its money",
                a_table(
                    "What money bought",
                    "Gain and improvements per dollar, by model and by mutation type, of the newest 20 of the chosen runs, each "
                    "with a 90 % bootstrap interval over individuals. Gains of different tasks have different units: choose one "
                    "task.",
                    YIELD,
                    YIELD_COLUMNS,
                    size=(24, 9),
                    empty="No call in the time range.",
                ),
            ),
            llm_time.panels(),
            folded(
                "Latency",
                over_time(
                    "Latency by role",
                    "The same by what the search makes the call for: mutation, novelty, meta, judge.",
                    latency("role"),
                    name=of_role,
                    unit="s",
                    minimum=0,
                ),
                over_time(
                    "Time to first token",
                    "From the request to the first token: the cost of a provider's queue.",
                    FIRST_TOKENS,
                    name=of_model,
                    unit="s",
                    size=(12, 8),
                    minimum=0,
                    empty="No call was streamed.",
                ),
                over_time(
                    "Tokens per second",
                    "Output tokens divided by the duration of their calls.",
                    SPEED,
                    name=model,
                    size=(12, 8),
                    minimum=0,
                ),
                over_time("Calls per minute", "Number of calls that began.", RATE, name=model, size=(12, 8), minimum=0),
            ),
            folded(
                "Calls",
                a_table(
                    "By role",
                    "All figures per role; times are of the calls whose duration is known.",
                    summary("role"),
                    {"role": width(160), **SUMMARY_COLUMNS},
                    size=(24, 6),
                ),
                a_table(
                    "By provider",
                    "The same by provider.",
                    summary("provider"),
                    {"provider": width(220), **SUMMARY_COLUMNS},
                    size=(24, 6),
                ),
                a_table(
                    "Slowest calls",
                    "The twenty calls that took longest, of those whose duration is known, with prompt and answer; the trace shows what waited for them.",
                    calls_by("execution_time", f"{TOOK} IS NOT NULL"),
                    CALL_COLUMNS,
                    size=(24, 10),
                ),
                a_table(
                    "Latest calls",
                    "The latest prompts and answers.",
                    calls_by("timestamp"),
                    CALL_COLUMNS,
                    size=(24, 10),
                ),
            ),
            folded(
                "Errors and truncated answers",
                over_time(
                    "Errors and rate limits",
                    "Calls that failed.",
                    ERRORS,
                    style="bars",
                    stacked=True,
                    columns={"rate limited": color("orange"), "other errors": color("red")},
                    empty="No call has failed.",
                ),
                a_table(
                    "Kinds of errors",
                    "Failed calls with similar errors grouped (numbers shown as N), and the latest of each group.",
                    KINDS_OF_ERROR,
                    {
                        "error": long_text(),
                        "latest": width(170),
                        "run_id": [*called("run"), *TO_RUN],
                        "trace_id": [*called("trace"), *TO_TRACE],
                    },
                    size=(12, 8),
                    empty="No call has failed.",
                ),
                over_time(
                    "Finish reasons",
                    "Why answers ended: `stop` is complete, `length` (or `max_tokens`) was truncated, and a truncated answer is "
                    "seldom a program.",
                    FINISHES,
                    name="${__field.labels.finish_reason}",
                    style="bars",
                    stacked=True,
                    empty="No call recorded a finish reason.",
                ),
                over_time(
                    "Tokens per call",
                    "Mean over the calls that report tokens: a growing prompt makes each call more expensive and slower.",
                    TOKENS_A_CALL,
                    columns={"input": color("blue"), "output": color("green"), "reasoning": color("purple")},
                    minimum=0,
                    empty="No call recorded its tokens.",
                ),
            ),
            folded(
                "Cost and tokens",
                over_time(
                    "Cost by role",
                    "USD over time, and the calls without a price.",
                    COST_BY_ROLE,
                    name=of_role,
                    unit="currencyUSD",
                    columns=UNPRICED_POINTS,
                    style="bars",
                    stacked=True,
                    size=(12, 8),
                ),
                over_time(
                    "Tokens",
                    "Input tokens, how many of them came from the provider's cache, output tokens, and how many of them were for reasoning.",
                    TOKENS,
                    columns={
                        "input": color("blue"),
                        "cached": color("light-blue"),
                        "output": color("green"),
                        "reasoning": color("purple"),
                    },
                    style="bars",
                    stacked=True,
                    size=(12, 8),
                ),
            ),
        ],
        refresh="5m",
    )
