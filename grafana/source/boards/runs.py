"""*Runs*: which of the searches is worth its money, which one is stuck, and why.

In: runs that were alive in the time range, of the chosen tasks. Out: a row a run, with links to everything about it.
"""

from __future__ import annotations

from typing import Any

from genesis_otel._read.health import QUIET, SILENT, STAGNANT
from grafana.source import panels
from grafana.source.panels import (
    GOOD_WHEN_LOW,
    RUN,
    RUNS,
    STATUS_COLORS,
    TASK,
    TIMES_OF_ROW,
    TO_TRACE,
    a_dashboard,
    a_stat,
    a_table,
    colored,
    gauge,
    hidden,
    limits,
    link,
    over_time,
    row,
    sparkline,
    to_dashboard,
    unit,
    width,
)
from grafana.source.sql import ALIVE, ALIVE_RUNS, PLANNED, SCORED, spent

OVERVIEW = f"""
WITH
    picked AS ({ALIVE}),
    -- One row a generation, so that what comes after works on thousands of rows and not on millions.
    by_generation AS (
        SELECT
            run_id,
            generation,
            uniqExact(individual_id) AS individuals,
            countIf(status != 'ok') AS failed,
            maxOrNullIf(fitness_score, status = 'ok' AND isFinite(fitness_score)) AS best,
            sum(api_cost + embed_cost + novelty_cost) AS cost,
            max(timestamp) AS seen
        FROM individuals
        WHERE run_id IN (SELECT run_id FROM picked)
        GROUP BY run_id, generation
    ),
    rising AS (
        SELECT *, max(best) OVER (PARTITION BY run_id ORDER BY generation) AS so_far
        FROM by_generation
    ),
    climbed AS (
        SELECT *, so_far > lagInFrame(so_far, 1, so_far) OVER (PARTITION BY run_id ORDER BY generation) AS improved
        FROM rising
    ),
    found AS (
        SELECT
            run_id,
            sum(c.individuals) AS individuals,
            max(c.generation) AS generation,
            max(c.best) AS best,
            countIf(c.improved) AS improvements,
            max(c.generation) - greatest(maxIf(c.generation, c.improved), min(c.generation)) AS since_improvement,
            sum(c.cost) AS cost,
            max(c.seen) AS seen,
            -- Of the newest ten generations.
            sumIf(c.failed, c.place <= 10) / greatest(1, sumIf(c.individuals, c.place <= 10)) AS failing,
            arraySort(point -> point.1, groupArray((c.generation, c.so_far))) AS points,
            arrayMap(point -> point.2, arrayFilter(
                (point, n) -> (n - 1) % greatest(1, intDiv(length(points), 60)) = 0 OR n = length(points),
                points, arrayEnumerate(points)
            )) AS trend
        FROM (SELECT *, row_number() OVER (PARTITION BY run_id ORDER BY generation DESC) AS place FROM climbed) AS c
        GROUP BY run_id
    )
SELECT
    p.run_id AS run_id,
    p.task_name AS task,
    p.status AS status,
    multiIf(
        p.status != 'running', p.status,
        silent > {SILENT}, 'silent',
        l.recent_errors > 0.3, 'LLM errors',
        f.failing > 0.5, 'failing',
        f.since_improvement >= {STAGNANT}, 'stagnant',
        'improving'
    ) AS health,
    if(planned > 0, least(1, (f.generation + if(p.status = 'running', 0, 1)) / planned), NULL) AS progress,
    f.generation AS generation,
    f.individuals AS individuals,
    f.best AS best,
    f.trend AS trend,
    f.since_improvement AS since_improvement,
    greatest(f.cost, l.cost, g.cost) AS cost,
    if(f.improvements > 0, cost / f.improvements, NULL) AS cost_per_improvement,
    l.recent_errors AS llm_errors,
    greatest(p.start_time, f.seen, g.seen, l.seen, a.seen) AS seen,
    if(p.status = 'running', greatest(0, dateDiff('second', seen, now64(3))), NULL) AS silent,
    p.start_time AS started,
    dateDiff('second', p.start_time, seen) AS took,
    toString(toUnixTimestamp64Milli(p.start_time)) AS from_ms,
    toString(toUnixTimestamp64Milli(if(p.status = 'running', now64(3), seen)) + 1000) AS to_ms
FROM (
    SELECT
        *,
        {PLANNED} AS planned
    FROM picked
) AS p
LEFT JOIN found AS f ON f.run_id = p.run_id
LEFT JOIN (
    SELECT run_id, sum(total_cost) AS cost, max(timestamp) AS seen
    FROM generations
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS g ON g.run_id = p.run_id
LEFT JOIN (
    SELECT
        run_id,
        sum(cost) AS cost,
        max(timestamp) AS seen,
        countIf(status != 'ok' AND timestamp > now64(3) - INTERVAL 15 MINUTE)
            / greatest(1, countIf(timestamp > now64(3) - INTERVAL 15 MINUTE)) AS recent_errors
    FROM llm_logs
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS l ON l.run_id = p.run_id
LEFT JOIN (
    SELECT run_id, max(timestamp) AS seen
    FROM agent_actions
    WHERE run_id IN (SELECT run_id FROM picked)
    GROUP BY run_id
) AS a ON a.run_id = p.run_id
"""


RUNNING = f"SELECT countIf(status = 'running') FROM ({ALIVE.strip()})"

SPENT = f"SELECT sum(cost) FROM ({spent(f'{ALIVE_RUNS} AND $__timeFilter(timestamp)')})"

SCORED_PER_HOUR = f"""
SELECT count() / greatest(1 / 60, dateDiff('second', min(timestamp), max(timestamp)) / 3600)
FROM individuals
WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp)
"""

CALLS = f"FROM llm_logs WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp)"

BEST_SO_FAR = f"""
SELECT time, run_id, max(best) OVER (PARTITION BY run_id ORDER BY time) AS best
FROM (
    SELECT $__timeInterval(timestamp) AS time, run_id, max(fitness_score) AS best
    FROM individuals
    WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp) AND {SCORED}
    GROUP BY time, run_id
)
ORDER BY time
"""

COST_SO_FAR = f"""
SELECT time, run_id, sum(cost) OVER (PARTITION BY run_id ORDER BY time) AS cost
FROM (
    SELECT $__timeInterval(timestamp) AS time, run_id, sum(cost) AS cost
    FROM ({spent(f"{ALIVE_RUNS} AND $__timeFilter(timestamp)")})
    GROUP BY time, run_id
)
ORDER BY time
"""

THROUGHPUT = f"""
SELECT $__timeInterval(timestamp) AS time, run_id, count() / $__interval_s * 3600 AS individuals
FROM individuals
WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp)
GROUP BY time, run_id
ORDER BY time
"""

FAILED_SHARE = f"""
SELECT $__timeInterval(timestamp) AS time, run_id, countIf(status != 'ok') / count() AS failed
FROM individuals
WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp)
GROUP BY time, run_id
ORDER BY time
"""

FAILURES = f"""
SELECT timestamp AS time, run_id, what, error, generation, individual_id, trace_id
FROM (
    SELECT timestamp, run_id, concat('LLM call ', model) AS what, error, generation, individual_id, trace_id
    FROM llm_logs
    WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp) AND status != 'ok'
    UNION ALL
    SELECT timestamp, run_id, 'individual' AS what, error, generation, individual_id, trace_id
    FROM individuals
    WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp) AND status != 'ok'
)
ORDER BY timestamp DESC
LIMIT 100
"""

OPEN = link("Open the run", to_dashboard(RUN, run="run_id", times=TIMES_OF_ROW))


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    by_run = "${__field.labels.run_id}"
    return a_dashboard(
        RUNS,
        "Runs",
        "Every search: which one is worth its money, which one is stuck, and why.",
        [panels.datasource(), TASK],
        [
            a_stat("Running", "Searches that have begun and not ended.", RUNNING, steps=((None, "blue"),)),
            a_stat(
                "Spent",
                "USD for LLM calls in the time range, in all runs.",
                SPENT,
                unit="currencyUSD",
                empty="0",
                size=(4, 4),
            ),
            a_stat(
                "Individuals an hour",
                "Programs evaluated an hour, from the first to the last one in the time range.",
                SCORED_PER_HOUR,
                decimals=0,
                size=(4, 4),
            ),
            a_stat("LLM calls", "Calls of models in the time range.", f"SELECT count() {CALLS}", size=(4, 4)),
            a_stat(
                "LLM errors",
                "Share of LLM calls that failed in the time range.",
                f"SELECT if(count() = 0, NULL, countIf(status != 'ok') / count()) {CALLS}",
                unit="percentunit",
                decimals=1,
                steps=GOOD_WHEN_LOW,
                empty="No calls",
                size=(4, 4),
            ),
            a_stat(
                "LLM p95",
                "95 of 100 LLM calls were faster.",
                f"SELECT if(count() = 0, NULL, quantile(0.95)(execution_time)) {CALLS}",
                unit="s",
                empty="No calls",
                size=(5, 4),
            ),
            a_table(
                "Runs",
                "The newest 200 that were alive in the time range. *Health* says why a run needs you: `silent` (no sign of life "
                f"for {SILENT // 60} minutes), `LLM errors` (more than 30 % of the calls of the last 15 minutes), `failing` "
                "(more than half of the individuals of the last ten generations), `stagnant` (no better program for "
                f"{STAGNANT} generations). *Progress* is known where the configuration says how many generations there will be.",
                OVERVIEW,
                {
                    "run_id": [*OPEN, *width(260)],
                    "task": width(150),
                    "status": [*colored(), *width(100)],
                    "health": [*colored(STATUS_COLORS), *width(110)],
                    "progress": [*gauge(), *width(130)],
                    "generation": width(100),
                    "individuals": width(100),
                    "best": [*unit("short", 4), *width(90)],
                    "trend": [*sparkline(), *width(160)],
                    "since_improvement": [
                        *unit("none"),
                        *limits(((None, "green"), (STAGNANT, "yellow"), (2 * STAGNANT, "red"))),
                    ],
                    "cost": unit("currencyUSD", 2),
                    "cost_per_improvement": unit("currencyUSD", 2),
                    "llm_errors": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW)],
                    "silent": [*unit("s"), *limits(((None, "green"), (QUIET, "yellow"), (SILENT, "red")))],
                    "started": width(170),
                    "took": unit("s"),
                    "seen": hidden(),
                    "from_ms": hidden(),
                    "to_ms": hidden(),
                },
                size=(24, 12),
                empty="No run in this time range. `genesis-otel demo` makes one.",
            ),
            over_time(
                "Best score so far",
                "The best program of each run up to each moment.",
                BEST_SO_FAR,
                name=by_run,
                style="steps",
            ),
            over_time(
                "Cost so far",
                "USD that each run has spent in the time range.",
                COST_SO_FAR,
                name=by_run,
                unit="currencyUSD",
            ),
            over_time(
                "Individuals an hour",
                "How fast each run evaluates programs. A fall to nothing is a search that waits.",
                THROUGHPUT,
                name=by_run,
                minimum=0,
            ),
            over_time(
                "Failed individuals",
                "Share of each run's individuals that failed.",
                FAILED_SHARE,
                name=by_run,
                unit="percentunit",
                minimum=0,
            ),
            row("What went wrong"),
            a_table(
                "Latest failures",
                "LLM calls and individuals that failed, in all runs, newest first; the trace shows what was around them.",
                FAILURES,
                {
                    "time": width(180),
                    "run_id": [*panels.TO_RUN, *width(260)],
                    "what": width(200),
                    "error": panels.long_text(),
                    "trace_id": TO_TRACE,
                },
                size=(24, 9),
                empty="No failures in this time range.",
            ),
        ],
        since="now-7d",
    )
