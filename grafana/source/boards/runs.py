"""*Runs*: which searches are worth their money, which are stuck, and why.

In: runs that were alive in the time range, of the chosen tasks. Out: one row per run, with links to everything about it.
"""

from __future__ import annotations

from typing import Any

from genesis_otel._read.health import QUIET, SILENT, STALLED
from genesis_otel.queries import part
from grafana.source.alerts import CALLS_AT_LEAST, THRESHOLDS
from grafana.source.columns import (
    GOOD_WHEN_LOW,
    STATUS_COLORS,
    UNPRICED,
    UNPRICED_POINTS,
    called,
    colored,
    gauge,
    hidden,
    limits,
    links,
    long_text,
    sparkline,
    unit,
    unpriced,
    width,
)
from grafana.source.dashboard import a_dashboard
from grafana.source.links import COMPARE, RUN, RUNS, SOURCE, TIMES_OF_ROW, TO_RUN, TO_TRACE, to_dashboard, way
from grafana.source.panels import a_stat, a_table, folded, over_time, row
from grafana.source.sql import (
    ALIVE_RUNS,
    COPIED,
    FOLDED,
    IN_RANGE,
    MOST_RUNS,
    PLANNED,
    TOOK,
    climb,
    cost,
    over_budget,
    programs,
    spent,
    spent_on,
    state,
    with_zeros,
)
from grafana.source.variables import NEWEST_RUNS, TASK, choice, datasource

OVERVIEW = f"""
WITH
    -- One row per run and one per generation, from the individuals at once: to sort them twice would take as long again.
    found_at AS (
        SELECT run_id, generation, grouping(generation) = 1 AS whole, max(top) AS peak, {part("finding")}
        FROM ({climb(ALIVE_RUNS)})
        GROUP BY GROUPING SETS ((run_id), (run_id, generation))
    ),
    found AS (
        SELECT
            run_id,
            anyIf(best_score, whole) AS best_score,
            anyIf(newest, whole) AS newest,
            anyIf(stagnant, whole) AS stagnant,
            anyIf(improvements, whole) AS improvements,
            anyIf(waited, whole) AS waited,
            anyIf(gained, whole) AS gained,
            anyIf(individuals, whole) AS all_individuals,
            anyIf((failed + incorrect) / nullIf(individuals, 0), whole) AS failed_share,
            -- Over the newest ten generations.
            sumIf(failed + incorrect, place <= 10) / greatest(1, sumIf(individuals, place <= 10)) AS failing,
            arraySort(point -> point.1, groupArrayIf((generation, best_so_far), NOT whole AND best_so_far IS NOT NULL)) AS points,
            arrayMap(point -> point.2, arrayFilter(
                (point, n) -> (n - 1) % greatest(1, intDiv(length(points), 60)) = 0 OR n = length(points),
                points, arrayEnumerate(points)
            )) AS trend
        FROM (
            SELECT
                *, {part("by_then", "(run_id, whole)")} AS best_so_far,
                if(whole, NULL, row_number() OVER (PARTITION BY run_id, whole ORDER BY generation DESC)) AS place
            FROM found_at
        )
        GROUP BY run_id
    )
SELECT
    p.run_id AS run_id,
    p.task_name AS task,
    multiIf(
        p.status != 'running', p.status,
        {over_budget("c.cost", "p.budget")}, 'over budget',
        l.recent_errors > {THRESHOLDS["LLM error rate"]}, 'LLM errors',
        f.failing > 0.5, 'failing',
        f.stagnant, 'stagnant',
        f.improvements > 0, 'improving',
        'running'
    ) AS health,
    if(p.planned > 0, least(1, (f.newest + if(p.open OR f.all_individuals = 0, 0, 1)) / p.planned), NULL) AS progress,
    f.best_score AS best,
    f.trend AS trend,
    f.waited AS waited,
    c.cost AS cost,
    c.unpriced AS unpriced,
    f.gained / nullIf(c.cost, 0) AS gain_per_dollar,
    f.all_individuals AS individuals,
    f.failed_share AS failed,
    if(p.open, p.silent_seconds, NULL) AS silent,
    p.seconds AS took,
    p.start_time AS started,
    toString(toUnixTimestamp64Milli(p.start_time)) AS from_ms,
    if(p.status = 'running', 'now', toString(toUnixTimestamp64Milli(p.last_seen) + 1000)) AS to_time
FROM (
    SELECT *, {PLANNED} AS planned
    FROM ({state(ALIVE_RUNS)})
) AS p
LEFT JOIN found AS f ON f.run_id = p.run_id
LEFT JOIN ({cost(ALIVE_RUNS)}) AS c ON c.run_id = p.run_id
LEFT JOIN (
    SELECT run_id, countIf(status != 'ok') / count() AS recent_errors
    FROM llm_logs FINAL
    WHERE {ALIVE_RUNS} AND timestamp > now64(3) - INTERVAL 15 MINUTE
    GROUP BY run_id
    HAVING count() >= {CALLS_AT_LEAST}
) AS l ON l.run_id = p.run_id
ORDER BY p.open DESC, started DESC, run_id
"""


RUNNING = f"""
SELECT
    countIf(status = 'running') AS running,
    countIf(status = 'stalled') AS stalled,
    (SELECT count() {IN_RANGE.strip()}) - count() AS not_shown
FROM ({state(ALIVE_RUNS)})
"""

SPENT = f"SELECT sum(cost) AS cost, sum(unpriced) AS unpriced FROM ({spent(ALIVE_RUNS)}) WHERE $__timeFilter(timestamp)"

# Hours in which at least one run was working, counting overlaps once: from each time that it began, or was resumed, to the newest individual
# before the next. An individual from before the first, by another machine's clock, took no time.
SCORED_PER_HOUR = f"""
SELECT sum(individuals) / nullIf(sum(greatest(0, dateDiff('millisecond', greatest(began, ifNull(busy_until, began)), ended))) / 3600000, 0) AS individuals
FROM (
    SELECT
        individuals, began, ended,
        max(ended) OVER (ORDER BY began, run_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS so_far,
        if(so_far = toDateTime64(0, 3), NULL, so_far) AS busy_until
    FROM (
        SELECT
            i.run_id AS run_id, count() AS individuals, max(i.timestamp) AS ended,
            greatest(if(b.began = 0, ended, b.began), toDateTime64($__fromTime, 3)) AS began
        FROM (
            SELECT run_id, timestamp
            FROM ({programs(ALIVE_RUNS)})
            WHERE NOT copied AND $__timeFilter(timestamp)
        ) AS i
        LEFT ASOF JOIN (
            SELECT DISTINCT run_id, start_time AS began FROM evolution_runs_log WHERE {ALIVE_RUNS}
        ) AS b ON b.run_id = i.run_id AND b.began <= i.timestamp
        GROUP BY run_id, b.began
    )
)
"""

CALLS = f"FROM llm_logs FINAL WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp)"

BEST_SO_FAR = f"""
SELECT $__timeInterval(timestamp) AS time, run_id, any(sign) * max(top) AS best
FROM ({climb(ALIVE_RUNS)})
WHERE top IS NOT NULL AND $__timeFilter(timestamp)
GROUP BY time, run_id
ORDER BY time
"""

COST_SO_FAR = f"""
SELECT time, run_id, sum(cost) OVER (PARTITION BY run_id ORDER BY time) AS cost, sum(calls) OVER (PARTITION BY run_id ORDER BY time) AS unpriced
FROM (
    SELECT $__timeInterval(timestamp) AS time, run_id, sum(cost) AS cost, sum(unpriced) AS calls
    FROM ({spent(ALIVE_RUNS)})
    WHERE $__timeFilter(timestamp)
    GROUP BY time, run_id
)
ORDER BY time
"""

# Of a running search, the last whole interval is there, even if nothing came in it.
THROUGHPUT = with_zeros(
    f"""
    SELECT $__timeInterval(at) AS time, run_id, sum(made) / $__interval_s * 3600 AS individuals
    FROM (
        SELECT timestamp AS at, run_id, 1 AS made FROM ({programs(ALIVE_RUNS)}) WHERE NOT copied
        UNION ALL
        SELECT greatest(min(log.start_time), least(now(), $__toTime) - $__interval_s), run_id, 0
        FROM evolution_runs_log AS log
        WHERE {ALIVE_RUNS}
        GROUP BY run_id
        HAVING {part("told_status")} = 'running'
    )
    WHERE $__timeFilter(at)
    GROUP BY time, run_id
    """,
    "run_id",
)

MONEY = """
    sum(cost) AS total_cost,
    sum(unpriced) AS unpriced,
    sumIf(cost, purpose = 'failures') AS failures,
    sumIf(cost, purpose = 'incorrect') AS incorrect,
    sumIf(cost, purpose = 'duplicates') AS duplicates,
    (failures + incorrect + duplicates) / nullIf(total_cost, 0) AS for_nothing"""
"""What was spent, and how much of it bought no new program."""

MONEY_BY_RUN = f"""
SELECT run_id,{MONEY}
FROM ({spent_on(ALIVE_RUNS)})
WHERE $__timeFilter(timestamp)
GROUP BY run_id
ORDER BY total_cost DESC, run_id
"""

MONEY_BY_TASK = f"""
SELECT r.task_name AS task,{MONEY}
FROM ({spent_on(ALIVE_RUNS)}) AS s
INNER JOIN (SELECT run_id, task_name FROM ({FOLDED})) AS r ON r.run_id = s.run_id
WHERE $__timeFilter(timestamp)
GROUP BY task
ORDER BY total_cost DESC, task
"""

# A bar is centred on its time: noon, or, of a day that is not whole, the moment of the time range that is nearest to it.
MONEY_BY_DAY = f"""
SELECT
    greatest($__fromTime, least($__toTime, toStartOfDay(toDateTime(timestamp)) + INTERVAL 12 HOUR)) AS time,
    purpose, sum(cost) AS cost
FROM ({spent_on(ALIVE_RUNS)})
WHERE $__timeFilter(timestamp)
GROUP BY time, purpose
ORDER BY time
"""

FAILED_SHARE = f"""
SELECT $__timeInterval(timestamp) AS time, run_id, countIf(outcome = 'failed') / count() AS failed, countIf(outcome = 'incorrect') / count() AS incorrect
FROM ({programs(ALIVE_RUNS)})
WHERE NOT copied AND $__timeFilter(timestamp)
GROUP BY time, run_id
ORDER BY time
"""

FAILURES = f"""
SELECT timestamp AS time, run_id, what, error, generation, individual_id, trace_id
FROM (
    SELECT timestamp, run_id, concat('LLM call ', model) AS what, error, generation, individual_id, trace_id
    FROM llm_logs FINAL
    WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp) AND status != 'ok'
    UNION ALL
    SELECT timestamp, run_id, if(status = 'incorrect', 'incorrect individual', 'individual') AS what, error, generation, individual_id, trace_id
    FROM individuals FINAL
    WHERE {ALIVE_RUNS} AND $__timeFilter(timestamp) AND status != 'ok' AND NOT {COPIED}
)
ORDER BY timestamp DESC
LIMIT 100
"""

TICKED = "${runs:queryparam}"
"""The runs that are ticked above, as URL parameters."""

USD = unit("currencyUSD", 2)
MONEY_COLUMNS = {
    "total_cost": [*called("cost"), *USD, *width(80)],
    "unpriced": [*unpriced(), *width(85)],
    "failures": [*USD, *width(80)],
    "incorrect": [*USD, *width(80)],
    "duplicates": [*USD, *width(90)],
    "for_nothing": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW), *width(100)],
}

OPEN = links(
    ("Open the run", to_dashboard(RUN, run="run_id", times=TIMES_OF_ROW)),
    ("Compare with the runs ticked above", to_dashboard(COMPARE, runs="run_id", times=TICKED)),
)


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    by_run = "${__field.labels.run_id}"
    return a_dashboard(
        RUNS,
        "Runs",
        "All searches: which are worth their money, which are stuck, and why.",
        [
            datasource(),
            TASK,
            choice("runs", "To compare", NEWEST_RUNS, multi=True, description="Tick runs, then follow *Compare*."),
        ],
        [
            a_stat(
                "Running",
                "Searches that have begun and not ended, and how many of them show no sign of life any more. This dashboard is about the newest "
                f"{MOST_RUNS} runs that were alive in the time range: *not shown* is the number of older ones, which no panel counts. "
                "Choose a task or a shorter time range to see them.",
                RUNNING,
                steps=((None, "blue"),),
                size=(6, 4),
                columns={
                    "running": [],
                    "stalled": limits(((None, "text"), (1, "red"))),
                    "not_shown": [*called("not shown"), *limits(((None, "text"), (1, "orange")))],
                },
            ),
            a_stat(
                "Spent",
                "USD in the time range, for the runs shown. Calls without a known price are not included.",
                SPENT,
                unit="currencyUSD",
                columns=UNPRICED,
                empty="0",
                size=(4, 4),
            ),
            a_stat(
                "Individuals per hour",
                "Programs evaluated per hour in which at least one search was running.",
                SCORED_PER_HOUR,
                unit="locale",
                decimals=0,
                size=(4, 4),
            ),
            a_stat("LLM calls", "Model calls in the time range.", f"SELECT count() {CALLS}", size=(3, 4)),
            a_stat(
                "LLM errors",
                "Share of LLM calls that failed in the time range.",
                f"SELECT if(count() = 0, NULL, countIf(status != 'ok') / count()) {CALLS}",
                unit="percentunit",
                decimals=1,
                steps=GOOD_WHEN_LOW,
                empty="No calls",
                size=(3, 4),
            ),
            a_stat(
                "LLM p95",
                "95 % of the LLM calls whose duration is known were faster.",
                f"SELECT quantile(0.95)({TOOK}) {CALLS}",
                unit="s",
                empty="Not known",
                size=(4, 4),
            ),
            a_table(
                "Runs",
                f"The newest {MOST_RUNS} runs that were alive in the time range, running ones first. *Status* shows why a run needs attention: `stalled` (no "
                f"sign of life for {STALLED // 60} minutes), `over budget` (it has spent more than its own budget), `LLM errors` (more than "
                f"{THRESHOLDS['LLM error rate']:.0%} of the calls of the last 15 minutes, if there were {CALLS_AT_LEAST}), `failing` "
                "(more than half of the individuals of the last ten generations), `stagnant` (no better program for longer than this run's "
                "own pace suggests: twice its longest wait, ten generations, at least 50 individuals). *Waited* is the number of individuals since the "
                "best one. *Progress* is known if the configuration gives the number of generations. *Failed* includes incorrect "
                "individuals.",
                OVERVIEW,
                {
                    "run_id": [*called("run"), *OPEN, *width(228)],
                    "task": width(130),
                    "health": [*called("status"), *colored(STATUS_COLORS), *width(100)],
                    "progress": [*gauge(), *width(110)],
                    "best": [*unit("short", 4), *width(90)],
                    "trend": [*sparkline(), *width(130)],
                    "waited": [*unit("none"), *width(80)],
                    "cost": [*unit("currencyUSD", 2), *width(85)],
                    "unpriced": [*unpriced(), *width(85)],
                    "gain_per_dollar": [*unit("short", 3), *width(115)],
                    "individuals": [*unit("none"), *width(95)],
                    "failed": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW), *width(75)],
                    "silent": [
                        *called("last sign"),
                        *unit("s"),
                        *limits(((None, "green"), (QUIET, "yellow"), (SILENT, "red"))),
                        *width(100),
                    ],
                    "took": [*unit("s"), *width(90)],
                    "started": hidden(),
                    "from_ms": hidden(),
                    "to_time": hidden(),
                },
                size=(24, 12),
                empty="No run in this time range. `genesis-otel demo` creates one.",
            ),
            over_time(
                "Best score so far",
                "The best score each run had reached at each moment.",
                BEST_SO_FAR,
                name=by_run,
                style="steps",
            ),
            over_time(
                "Cost so far",
                "USD that each run has spent in the time range.",
                COST_SO_FAR,
                name=f"${{__field.name}} {by_run}",
                unit="currencyUSD",
                columns=UNPRICED_POINTS,
                minimum=0,
            ),
            over_time(
                "Individuals per hour by run",
                "How fast each run evaluates programs. A drop to zero means that the search is waiting.",
                THROUGHPUT,
                name=by_run,
                minimum=0,
            ),
            over_time(
                "Failed individuals",
                "Share of each run's individuals that failed, and share that ran but are incorrect.",
                FAILED_SHARE,
                name=f"${{__field.name}} {by_run}",
                unit="percentunit",
                minimum=0,
            ),
            folded(
                "Where the money went",
                a_table(
                    "Cost by run",
                    "USD in the time range, and how much of it went to individuals that failed or are incorrect, and to programs "
                    "that the run had already proposed.",
                    MONEY_BY_RUN,
                    {"run_id": [*called("run"), *TO_RUN, *width(200)], **MONEY_COLUMNS},
                    size=(12, 9),
                    empty="Nothing was spent in this time range.",
                ),
                a_table(
                    "Cost by task",
                    "The same, for the runs shown of each task together.",
                    MONEY_BY_TASK,
                    {"task": width(150), **MONEY_COLUMNS},
                    size=(12, 9),
                    empty="Nothing was spent in this time range.",
                ),
                over_time(
                    "Cost by day",
                    "USD per day, by what it was spent on.",
                    MONEY_BY_DAY,
                    name="${__field.labels.purpose}",
                    unit="currencyUSD",
                    style="bars",
                    stacked=True,
                    size=(24, 8),
                    empty="Nothing was spent in this time range.",
                ),
            ),
            row("What went wrong"),
            a_table(
                "Latest failures",
                "LLM calls and individuals that failed, newest first; the trace shows the context.",
                FAILURES,
                {
                    "time": width(180),
                    "run_id": [*called("run"), *TO_RUN, *width(230)],
                    "what": width(200),
                    "error": long_text(),
                    "generation": width(95),
                    "individual_id": [*called("individual"), *width(230)],
                    "trace_id": [*called("trace"), *TO_TRACE],
                },
                size=(24, 9),
                empty="No failures in this time range.",
            ),
        ],
        since="now-7d",
        refresh="30s",
        more=[way("Compare ticked runs", f"/d/{COMPARE}?{SOURCE}&{TICKED}")],
    )
