"""*Traces*: the raw spans. In: a trace id, from a link or typed in, or filters on a list of traces. Out: Grafana's trace view,
what the trace was about with links back to its run, generation and individuals, and a list to choose from.
"""

from __future__ import annotations

from typing import Any

from genesis_otel.queries import part
from grafana.source.boards.llm import RUNS_IN_RANGE
from grafana.source.columns import at_least, called, color, colored, limits, link, long_text, unit, unpriced, width
from grafana.source.dashboard import a_dashboard
from grafana.source.links import LINEAGE, RUN, TO_RUN, TRACE, to_dashboard
from grafana.source.panels import a_stat, a_table, over_time, row, trace_view
from grafana.source.sql import COPIED, SPAN_BEGAN, SPAN_TOOK, TOOK
from grafana.source.targets import value
from grafana.source.variables import OF_RUNS, TASK, choice, datasource, listed, typed

FAILED = part("status_is_error")
THIS_TRACE = value("trace")

# Of a span of unknown duration, only its end is known; a trace of which only one time is known has no duration.
WHOLE = f"""if(
            countIf({SPAN_TOOK} IS NOT NULL) = 0, NULL,
            (max(toUnixTimestamp64Nano({SPAN_BEGAN}) + ifNull({SPAN_TOOK}, 0)) - min(toUnixTimestamp64Nano({SPAN_BEGAN}))) / 1e9
        )"""

# A trace's time range, from the table made for it, so that raw spans of other days are not read.
OF_TRACE = f"""
TraceId = {THIS_TRACE}
    AND Timestamp >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = {THIS_TRACE})
    AND Timestamp <= (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = {THIS_TRACE})
"""

SPANS = f"""
SELECT
    TraceId AS traceID,
    SpanId AS spanID,
    ParentSpanId AS parentSpanID,
    ServiceName AS serviceName,
    SpanName AS operationName,
    toUnixTimestamp64Milli({SPAN_BEGAN} AS began) + toFloat64(toUnixTimestamp64Nano(began) % 1000000) / 1e6 AS startTime,
    ifNull({SPAN_TOOK}, 0) / 1e6 AS duration,
    arrayMap(key -> map('key', key, 'value', SpanAttributes[key]), mapKeys(SpanAttributes)) AS tags,
    arrayMap(key -> map('key', key, 'value', ResourceAttributes[key]), mapKeys(ResourceAttributes)) AS serviceTags,
    SpanKind AS kind,
    if({FAILED}, 2, 0) AS statusCode,
    StatusMessage AS statusMessage,
    TraceState AS traceState,
    arrayMap(
        (name, time, attributes) -> tuple(
            name,
            toString(toUnixTimestamp64Milli(time)),
            arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes))
        )::Tuple(name String, timestamp String, fields Array(Map(String, String))),
        Events.Name, Events.Timestamp, Events.Attributes
    ) AS logs,
    arrayMap(
        (trace, span, attributes) -> tuple(
            trace,
            span,
            arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes))
        )::Tuple(traceID String, spanID String, tags Array(Map(String, String))),
        Links.TraceId, Links.SpanId, Links.Attributes
    ) AS references
FROM otel_traces
WHERE {OF_TRACE}
ORDER BY startTime
LIMIT 1 BY spanID
LIMIT 5000
"""

RECORDS = f"""
SELECT began AS time, SpanName AS span, nanoseconds / 1e9 AS took, run_id, generation, individual_id, what, error, span_id
FROM (
    SELECT
        {SPAN_BEGAN} AS began, SpanName, {part("span_took", part("span_least"))} AS nanoseconds, SpanId AS span_id,
        SpanAttributes['genesis.run.id'] AS run_id,
        toInt32OrNull(SpanAttributes['genesis.generation.number']) AS generation,
        SpanAttributes['genesis.individual.id'] AS individual_id,
        multiIf(
            SpanAttributes['genesis.record'] != '', SpanAttributes['genesis.record'],
            SpanAttributes['gen_ai.request.model'] != '', 'LLM call',
            ''
        ) AS what,
        if({FAILED} OR has(Events.Name, 'exception'), if(StatusMessage = '', 'failed', StatusMessage), '') AS error
    FROM otel_traces
    WHERE {OF_TRACE}
)
ORDER BY took DESC NULLS LAST, span_id
LIMIT 1 BY span_id
LIMIT 200
"""

# Traces are selected from the seven tables, which are sorted by run, rather than by scanning all raw spans.
# How long a trace took is known from its raw spans, as long as they are kept: records have a start or an end, not both.
# The list is a scalar: ClickHouse evaluates it once, but a named subquery at each of the four places that read it.
TRACES = f"""
WITH (
    SELECT groupArray((trace_id, run_id, generation, first, last, individuals, calls, failed, cost, unpriced, slowest_call))
    FROM (
        SELECT
            trace_id,
            any(run_id) AS run_id,
            max(generation) AS generation,
            min(timestamp) AS first,
            max(timestamp) AS last,
            sum(individual) AS individuals,
            sum(call) AS calls,
            sum(failure) AS failed,
            sum(paid) AS cost,
            sum(without_price) AS unpriced,
            max(took) AS slowest_call
        FROM (
            SELECT trace_id, run_id, generation, timestamp, toUInt8(NOT {COPIED}) AS individual, 0 AS call, toUInt8(status != 'ok' AND NOT {COPIED}) AS failure, 0. AS paid, 0 AS without_price, CAST(NULL AS Nullable(Float64)) AS took
            FROM individuals FINAL
            WHERE $__timeFilter(timestamp) AND {OF_RUNS}
            UNION ALL
            SELECT trace_id, run_id, generation, timestamp, 0, 1, toUInt8(status != 'ok'), cost, llm_logs.unpriced, {TOOK}
            FROM llm_logs FINAL
            WHERE $__timeFilter(timestamp) AND {OF_RUNS}
        )
        WHERE trace_id != ''
        GROUP BY trace_id
        HAVING ({value("only")} != 'with failures' OR failed > 0) AND (toFloat64OrZero({value("slower")}) <= 0 OR slowest_call >= toFloat64OrZero({value("slower")}))
        ORDER BY last DESC
        LIMIT 200
    )
) AS listed
SELECT
    l.1 AS trace_id, l.2 AS run_id, l.3 AS generation, l.5 AS last, s.took AS took, l.6 AS individuals,
    l.7 AS llm_calls, l.8 AS failed, l.9 AS cost, l.10 AS unpriced, l.11 AS slowest_call
FROM (SELECT arrayJoin(listed) AS l) AS t
LEFT JOIN (
    SELECT
        TraceId AS trace,
        {WHOLE} AS took
    FROM otel_traces
    WHERE TraceId IN listed.1 AND Timestamp >= arrayMin(listed.4) - INTERVAL 1 DAY AND Timestamp <= arrayMax(listed.5) + INTERVAL 1 SECOND
    GROUP BY trace
) AS s ON s.trace = l.1
ORDER BY last DESC, trace_id
"""

PER_TIME = f"""
SELECT time, sum(calls) AS "LLM calls", sum(evaluated) AS individuals
FROM (
    SELECT $__timeInterval(timestamp) AS time, count() AS calls, 0 AS evaluated
    FROM llm_logs FINAL WHERE $__timeFilter(timestamp) AND {OF_RUNS} GROUP BY time
    UNION ALL
    SELECT $__timeInterval(timestamp) AS time, 0, count()
    FROM individuals FINAL WHERE $__timeFilter(timestamp) AND {OF_RUNS} AND NOT {COPIED} GROUP BY time
)
GROUP BY time
ORDER BY time
"""

ABOUT = f"FROM otel_traces WHERE {OF_TRACE}"


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    return a_dashboard(
        TRACE,
        "Traces",
        "From a generation down to the one call that made it slow: the spans of a trace, and traces to choose from.",
        [
            datasource(),
            typed("trace", "Trace", description="A trace id, as linked from every table of these dashboards."),
            TASK,
            choice("run", "Run", RUNS_IN_RANGE, multi=True, everything=True, by_time=True),
            listed("only", "Show", ["all traces", "with failures"]),
            typed("slower", "Calls slower than (s)", "0", "Traces with an LLM call of at least this many seconds."),
        ],
        [
            a_stat("Spans", "In this trace.", f"SELECT uniqExact(SpanId) {ABOUT}", size=(4, 3)),
            a_stat(
                "Took",
                "From the start of the first span to the end of the last.",
                f"SELECT {WHOLE} {ABOUT}",
                unit="s",
                size=(4, 3),
            ),
            a_stat(
                "Failed spans",
                "Spans with an error.",
                f"SELECT uniqExactIf(SpanId, {FAILED}) {ABOUT}",
                steps=((None, "green"), (1, "red")),
                size=(4, 3),
            ),
            a_stat(
                "LLM calls",
                "In this trace.",
                f"SELECT count() FROM llm_logs FINAL WHERE trace_id = {THIS_TRACE} AND run_id = (SELECT any(SpanAttributes['genesis.run.id']) {ABOUT} AND SpanAttributes['genesis.run.id'] != '')",
                size=(4, 3),
            ),
            a_table(
                "Belongs to",
                "Link back: the run and its task.",
                f"""
SELECT run_id, task_name AS task, status
FROM evolution_runs
WHERE run_id IN (SELECT SpanAttributes['genesis.run.id'] {ABOUT} AND SpanAttributes['genesis.run.id'] != '')
""",
                {
                    "run_id": [*called("run"), *TO_RUN, *at_least(100)],
                    "task": at_least(75),
                    "status": [*colored(), *width(88)],
                },
                size=(8, 3),
                empty="Choose a trace below.",
            ),
            trace_view(
                "Trace",
                "The spans of the trace on a timeline; click a span for its attributes and events.",
                SPANS,
            ),
            a_table(
                "Spans, longest first",
                "What each span was about, with a link to the individual's lineage.",
                RECORDS,
                {
                    "time": width(200),
                    "took": unit("s"),
                    "run_id": [*called("run"), *TO_RUN, *width(230)],
                    "generation": width(95),
                    "individual_id": [
                        *called("individual"),
                        *link("Show its lineage", to_dashboard(LINEAGE, run="run_id", individual="individual_id")),
                        *width(230),
                    ],
                    "what": called("record"),
                    "span_id": [*called("span id"), *width(160)],
                    "error": long_text(),
                },
                size=(24, 9),
                empty="Choose a trace below.",
            ),
            row("Traces to choose from"),
            over_time(
                "What was recorded",
                "LLM calls and individuals in the time range.",
                PER_TIME,
                size=(24, 6),
                columns={"LLM calls": color("blue"), "individuals": color("green")},
                style="bars",
                stacked=True,
            ),
            a_table(
                "Traces",
                "A trace is a generation (or an iteration, if the search has no generations). The latest 200 of the time range. "
                "*Took* is the time from the start of the first span to the end of the last, while the raw spans are kept; for a "
                "running generation, so far.",
                TRACES,
                {
                    "trace_id": [
                        *called("trace"),
                        *link("Show this trace", to_dashboard(TRACE, trace="trace_id", run="run_id")),
                        *width(280),
                    ],
                    "run_id": [*called("run"), *link("Open the run", to_dashboard(RUN, run="run_id")), *width(230)],
                    "generation": width(95),
                    "last": [*called("latest"), *width(170)],
                    "took": [*unit("s"), *width(90)],
                    "individuals": width(95),
                    "llm_calls": [*called("LLM calls"), *width(90)],
                    "failed": [*limits(((None, "text"), (1, "red"))), *width(70)],
                    "cost": [*unit("currencyUSD", 4), *width(90)],
                    "unpriced": [*unpriced(), *width(85)],
                    "slowest_call": [*unit("s"), *width(100)],
                },
                size=(24, 12),
                empty="No trace in this time range.",
            ),
        ],
    )
