"""*Run*: one search, from what it found to what it is doing right now.

In: a run. Out: its progress, what it cost, its front, its mutations, its failures and its jobs. Everything is read by the
run's id, first in every sort key, so that a panel costs what the run is, not what the store is. Times outside the dashboard's
range are not cut off: Grafana offers to zoom to them. Two of its folded rows are in `run_search` and `run_jobs`.
"""

from __future__ import annotations

from typing import Any

from genesis_otel._read.health import QUIET, SILENT
from genesis_otel.queries import part
from grafana.source.boards import run_jobs, run_search
from grafana.source.columns import (
    GOOD_WHEN_LOW,
    STATUS_COLORS,
    UNPRICED,
    UNPRICED_POINTS,
    YIELD_COLUMNS,
    as_line,
    called,
    color,
    limit_line,
    limits,
    link,
    long_text,
    not_drawn,
    point_size,
    right_axis,
    unit,
    width,
)
from grafana.source.dashboard import a_dashboard, breakthroughs
from grafana.source.links import RUN, TIMES_OF_ROW, TO_TRACE, to_dashboard
from grafana.source.panels import a_stat, a_table, bars, by_number, folded, over_time, row, scatter
from grafana.source.sql import (
    BUCKET,
    PLANNED,
    THIS_RUN,
    burn,
    climb,
    cost,
    found,
    front,
    objectives,
    programs,
    spent,
    spent_on,
    state,
    value_of,
)
from grafana.source.targets import named, value
from grafana.source.variables import ONE_RUN, TASK, choice, datasource, typed

STATE = f"""
SELECT
    status, error, if(open, silent_seconds, NULL) AS silent, seconds AS took,
    toString(toUnixTimestamp64Milli(start_time)) AS from_ms,
    if(status = 'running', 'now', toString(toUnixTimestamp64Milli(last_seen) + 1000)) AS to_time
FROM ({state(THIS_RUN)})
"""

FOUND = found(THIS_RUN)

COST = f"SELECT cost, unpriced FROM ({cost(THIS_RUN)})"

COST_PER_IMPROVEMENT = f"""
SELECT if(improvements > 0, c.cost / improvements, NULL) AS cost, c.unpriced AS unpriced
FROM ({FOUND}) AS f
INNER JOIN ({cost(THIS_RUN)}) AS c ON c.run_id = f.run_id
"""

SINCE = f'SELECT waited AS individuals, waited / patience AS "of patience" FROM ({FOUND})'

PROGRESS = f"""
SELECT concat(toString(g.generation), if(r.planned > 0, concat(' of ', toString(r.planned)), '')) AS generation
FROM (SELECT {PLANNED} AS planned FROM evolution_runs WHERE {THIS_RUN}) AS r
CROSS JOIN (SELECT maxOrNull(generation) AS generation FROM individuals WHERE {THIS_RUN}) AS g
"""

FITNESS = f"""
SELECT
    toStartOfInterval(timestamp, toIntervalSecond({BUCKET})) AS time,
    any(sign) * max(height) AS "best in interval",
    {part("mean", "score")} AS mean,
    any(sign) * max(top) AS "best so far"
FROM ({climb(THIS_RUN)})
GROUP BY time
ORDER BY time
"""

BREAKTHROUGHS = f"""
SELECT
    timestamp AS time,
    concat('Generation ', toString(generation)) AS title,
    concat(individual_id, ': ', {part("written", "assumeNotNull(score)")}, ' (', if(sign > 0, '+', '-'), {part("written", "gain")}, ')') AS text,
    mutation_type AS tags
FROM ({climb(THIS_RUN)})
WHERE improved
ORDER BY gain DESC
LIMIT 50
"""

OTHERWISE = f"toFloat64OrNull({value('budget')})"

BUDGET = f"""
SELECT share AS "share of budget", round(allowed - cost, 12) AS "left", burn AS "per hour", projected AS "projected total", seconds_left AS "time left", budget_seconds AS "budget lasts"
FROM ({burn(THIS_RUN, OTHERWISE)})
"""

# Also the intervals in which nothing was spent: without a point, the rate would go on as high as before.
SPENT = f"""
WITH {BUCKET} AS seconds
SELECT
    time, sum(cost) OVER (ORDER BY time) AS "spent so far",
    ifNull((SELECT any(budget) FROM evolution_runs WHERE {THIS_RUN}), {OTHERWISE}) AS budget, cost * 3600 / seconds AS "USD per hour", sum(calls) OVER (ORDER BY time) AS unpriced
FROM (
    SELECT toStartOfInterval(timestamp, toIntervalSecond(seconds)) AS time, sum(cost) AS cost, sum(unpriced) AS calls
    FROM ({spent(THIS_RUN)})
    GROUP BY time
    ORDER BY time WITH FILL STEP toIntervalSecond(seconds)
)
ORDER BY time
"""

YIELD = named("model_yield", run_id=value("run"))

WASTED = f"SELECT purpose, sum(cost) AS cost FROM ({spent_on(THIS_RUN)}) GROUP BY purpose ORDER BY cost DESC"

FRONT_OVER_TIME = f"""
SELECT
    generation,
    count() AS members,
    countIf(generation = first) AS "new members"
FROM (
    SELECT generation, individual_id, min(generation) OVER (PARTITION BY individual_id) AS first
    FROM ({front(THIS_RUN)})
)
GROUP BY generation
ORDER BY generation
"""


X, Y = value_of("x"), value_of("y")
FRONT = [
    f"""
SELECT {X} AS x, {Y} AS "other individuals", individual_id, toString(generation) AS generation
FROM ({programs(THIS_RUN)}) AS individuals
WHERE score IS NOT NULL AND individual_id NOT IN (SELECT individual_id FROM ({front(THIS_RUN)}))
ORDER BY individuals.generation DESC, individual_id
LIMIT 2000
""",
    f"""
SELECT {X} AS x, {Y} AS "earlier fronts", individual_id, toString(generation) AS generation
FROM ({front(THIS_RUN)}) AS fronts
WHERE fronts.generation < (SELECT max(generation) FROM pareto_fronts WHERE {THIS_RUN})
ORDER BY fronts.generation DESC, x
LIMIT 1000
""",
    f"""
SELECT {X} AS x, {Y} AS "dominated on it", individual_id
FROM ({named("pareto_latest", run_id=value("run"))})
WHERE dominated
ORDER BY x
""",
    f"""
SELECT {X} AS x, {Y} AS "front of the last generation", individual_id
FROM ({named("pareto_latest", run_id=value("run"))})
WHERE NOT ifNull(dominated, false)
ORDER BY x
""",
]


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    return a_dashboard(
        RUN,
        "Run",
        "One search: what it has found, what it costs, what it is doing, and what goes wrong.",
        [
            datasource(),
            TASK,
            ONE_RUN,
            choice(
                "x",
                "Front: x",
                objectives(THIS_RUN, but="''"),
                by_time=True,
                description="Objective on the x axis of the Pareto scatter plot.",
            ),
            choice(
                "y",
                "Front: y",
                objectives(THIS_RUN, but=value("x")),
                by_time=True,
                description="Objective on the y axis.",
            ),
            typed("budget", "Budget (USD)", description="For a run that was started without one."),
        ],
        [
            a_stat(
                "Status",
                "As last reported by the run; `stalled` after 15 minutes without a sign of life. The link fits the time range to the run.",
                f"SELECT status, from_ms, to_time FROM ({STATE})",
                colors=STATUS_COLORS,
                columns={
                    "status": link("Fit the time range to the run", to_dashboard(RUN, times=TIMES_OF_ROW, run="$run"))
                },
                shown="status",
                empty="No such run",
            ),
            a_stat(
                "Generation",
                "The newest generation that has an individual, out of the total if the configuration gives it.",
                PROGRESS,
                empty="None yet",
            ),
            a_stat(
                "Best score",
                "In the run's direction, among all individuals that neither failed nor are incorrect.",
                f"SELECT best_score AS best FROM ({FOUND})",
                steps=((None, "green"),),
                decimals=4,
            ),
            a_stat(
                "Since the last improvement",
                "Individuals since the last one that beat all before it, and the share of the run's patience that they are: of the number "
                "that it may well need, which is twice its longest wait, ten generations, at least 50.",
                SINCE,
                unit="none",
                columns={
                    # Short enough for half a tile on a narrow screen.
                    "individuals": called("waited"),
                    "of patience": [
                        *called("patience"),
                        *unit("percentunit", 0),
                        *limits(((None, "green"), (1, "yellow"), (2, "red"))),
                    ],
                },
            ),
            a_stat(
                "Cost",
                "USD so far: LLM calls and additionally recorded costs. Calls without a known price are not included.",
                COST,
                unit="currencyUSD",
                decimals=2,
                columns=UNPRICED,
            ),
            a_stat(
                "Cost per improvement",
                "USD for each individual that beat all before it.",
                COST_PER_IMPROVEMENT,
                unit="currencyUSD",
                decimals=2,
                columns=UNPRICED,
                empty="No improvement",
            ),
            a_stat(
                "Failed individuals",
                "Share of all individuals that failed, and share that ran but are incorrect.",
                f"SELECT failed / individuals AS failed, incorrect / individuals AS incorrect FROM ({FOUND}) WHERE individuals > 0",
                unit="percentunit",
                decimals=1,
                steps=GOOD_WHEN_LOW,
                columns={"failed": [], "incorrect": []},
            ),
            a_stat(
                "Last sign of life",
                "Seconds since anything was recorded for the run, while it is running.",
                f"SELECT silent FROM ({STATE})",
                unit="s",
                steps=((None, "green"), (QUIET, "yellow"), (SILENT, "red")),
                empty="Not running",
            ),
            a_stat(
                "Budget",
                "The share of its budget that the run has spent (its own, or the one above) and what is left of it, below zero if it was exceeded; the cost of its last hour; its "
                "projected cost at the end and time left, assuming that the remaining generations are like those before (known if "
                "the configuration gives their number); and how long the rest of the budget lasts. Calls without a price are not "
                "included.",
                BUDGET,
                size=(24, 3),
                unit="currencyUSD",
                decimals=2,
                columns={
                    "share of budget": [
                        *unit("percentunit", 0),
                        *limits(((None, "green"), (0.8, "yellow"), (1, "red"))),
                    ],
                    "left": limits(((None, "red"), (0, "text"))),
                    "per hour": [],
                    "projected total": [],
                    "time left": unit("s", 1),
                    "budget lasts": unit("s", 1),
                },
                # Of a run that has ended, no time is left; without a budget, there is no share of it.
                empty="–",
            ),
            over_time(
                "Fitness over time",
                "Best and mean score of individuals as they arrived. Marks are breakthroughs: individuals better than all before.",
                FITNESS,
                gaps=True,
                columns={"best in interval": color("purple"), "mean": color("blue"), "best so far": color("green")},
                empty="No individual with a score yet.",
            ),
            by_number(
                "Fitness by generation",
                "Best and mean score per generation; a generation without a score is a gap.",
                named("fitness_trajectory", run_id=value("run")),
                "generation",
                columns={
                    "best_score": [*called("best"), *color("green")],
                    "avg_score": [*called("mean"), *color("blue")],
                    "total_cost": not_drawn(),
                    "pareto_size": not_drawn(),
                    "unpriced": not_drawn(),
                },
                empty="No generation has ended yet.",
            ),
            over_time(
                "Cost burn",
                "USD so far against the budget, and the rate of spending (right axis).",
                SPENT,
                unit="currencyUSD",
                columns={
                    "spent so far": color("blue"),
                    "budget": [*color("red"), *limit_line()],
                    "USD per hour": [*right_axis(), *color("orange")],
                    **UNPRICED_POINTS,
                },
                minimum=0,
                empty="Nothing has cost anything yet.",
            ),
            by_number(
                "Cost by generation",
                "USD per generation, and per individual in it.",
                f"SELECT * FROM ({named('generation_costs', run_id=value('run'))}) WHERE generation IS NOT NULL",
                "generation",
                unit="currencyUSD",
                style="bars",
                columns={
                    "total_cost": [*called("cost"), *color("blue")],
                    "cost_per_individual": [*called("per individual"), *as_line(), *color("orange")],
                    **UNPRICED_POINTS,
                },
            ),
            row("Pareto front"),
            scatter(
                "Pareto front",
                "The trade-off between two objectives, chosen above: the front of the last generation, earlier fronts, and all "
                "other individuals. A member is dominated if another one is no worse in any of the run's objectives and better in one, "
                "whatever the search says.",
                FRONT,
                x_title="${x:text}",
                y_title="${y:text}",
                columns={
                    "other individuals": color("gray"),
                    "earlier fronts": color("blue"),
                    "dominated on it": [*color("orange"), *point_size(9)],
                    "front of the last generation": [*color("green"), *point_size(9)],
                },
                empty="This run has recorded no front.",
            ),
            by_number(
                "Front over time",
                "How many individuals were on each generation's front, and how many of them were new to it. A front without new "
                "members has stopped improving.",
                FRONT_OVER_TIME,
                "generation",
                size=(12, 10),
                columns={"members": color("blue"), "new members": color("green")},
                minimum=0,
                empty="This run has recorded no front.",
            ),
            folded(
                "Where the money goes",
                a_table(
                    "What money bought",
                    "Gain and improvements per dollar, by model and by mutation type, each with a 90 % bootstrap interval over "
                    "individuals (none if there are few, or without an improvement). Overlapping intervals mean that the two "
                    "cannot be told apart.",
                    YIELD,
                    YIELD_COLUMNS,
                    size=(24, 9),
                    empty="No call was recorded.",
                ),
                bars(
                    "Spent on",
                    "USD by purpose: failed and incorrect individuals, and programs that were proposed before, bought nothing.",
                    WASTED,
                    unit="currencyUSD",
                    size=(24, 6),
                    empty="Nothing has cost anything yet.",
                ),
            ),
            run_search.panels(),
            run_jobs.panels(),
            folded(
                "How it was started",
                a_table(
                    "Run",
                    "What the run recorded about itself; click for the full configuration.",
                    f"""
SELECT task_name AS task, error, direction, toString(objectives) AS objectives, start_time AS started, population_size, cluster_type, database_path, config, trace_id
FROM evolution_runs WHERE {THIS_RUN}
""",
                    {
                        "started": width(180),
                        "population_size": width(125),
                        "cluster_type": width(110),
                        "database_path": width(220),
                        "config": long_text(),
                        "trace_id": [*called("trace"), *TO_TRACE],
                    },
                    size=(24, 4),
                ),
            ),
        ],
        refresh="1m",
        annotations=[breakthroughs(BREAKTHROUGHS)],
    )
