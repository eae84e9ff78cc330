"""*Run*: one search, from what it found to what it is doing right now.

In: a run. Out: its progress, what it cost, its front, its mutations, its failures and its jobs. Everything is read by the
run's id, first in every sort key, so that a panel costs what the run is, not what the store is. Times outside the dashboard's
range are not cut off: Grafana offers to zoom to them.
"""

from __future__ import annotations

from typing import Any

from genesis_otel._read.health import QUIET, SILENT
from grafana.source.columns import (
    GOOD_WHEN_LOW,
    STATUS_COLORS,
    UNPRICED,
    UNPRICED_POINTS,
    YIELD_COLUMNS,
    as_line,
    called,
    color,
    gauge,
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
from grafana.source.links import LINEAGE, RUN, TIMES_OF_ROW, TO_TRACE, to_dashboard
from grafana.source.panels import a_stat, a_table, bars, by_number, folded, over_time, row, scatter
from grafana.source.sql import (
    PLANNED,
    THIS_RUN,
    burn,
    climb,
    cost,
    edges,
    found,
    front,
    jobs,
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

LATEST_FRONT = named("pareto_latest", run_id=value("run"))

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
CROSS JOIN (SELECT max(generation) AS generation FROM individuals WHERE {THIS_RUN}) AS g
"""

# About 300 buckets over the life of the run, whatever its length; a browser need not draw more.
BUCKET = f"""
(SELECT greatest(1, intDiv(dateDiff('second', min(timestamp), max(timestamp)), 300)) FROM individuals WHERE {THIS_RUN})
"""

FITNESS = f"""
SELECT
    toStartOfInterval(timestamp, toIntervalSecond({BUCKET.strip()})) AS time,
    any(sign) * max(height) AS "best in interval",
    avg(score) AS mean,
    any(sign) * max(top) AS "best so far"
FROM ({climb(THIS_RUN)})
GROUP BY time
ORDER BY time
"""

BREAKTHROUGHS = f"""
SELECT
    timestamp AS time,
    concat('Generation ', toString(generation)) AS title,
    concat(individual_id, ': ', toString(round(assumeNotNull(score), 6)), ' (', if(sign > 0, '+', '-'), toString(round(gain, 6)), ')') AS text,
    mutation_type AS tags
FROM ({climb(THIS_RUN)})
WHERE improved
ORDER BY gain DESC
LIMIT 50
"""

OTHERWISE = f"toFloat64OrNull({value('budget')})"

BUDGET = f"""
SELECT share AS "share of budget", allowed - cost AS "left", burn AS "per hour", projected AS "projected total", seconds_left AS "time left", budget_seconds AS "budget lasts"
FROM ({burn(THIS_RUN, OTHERWISE)})
"""

SPENT = f"""
SELECT
    time, sum(cost) OVER (ORDER BY time) AS "spent so far",
    ifNull((SELECT any(budget) FROM evolution_runs WHERE {THIS_RUN}), {OTHERWISE}) AS budget, cost * 3600 / seconds AS "USD per hour", sum(calls) OVER (ORDER BY time) AS unpriced
FROM (
    SELECT
        {BUCKET.strip()} AS seconds,
        toStartOfInterval(timestamp, toIntervalSecond(seconds)) AS time,
        sum(cost) AS cost,
        sum(unpriced) AS calls
    FROM ({spent(THIS_RUN)})
    GROUP BY time, seconds
)
ORDER BY time
"""

QUEUE = f"""
SELECT job, individual_id, generation, submitted, seconds AS waits
FROM ({named("running_jobs", run_id=value("run"), limit="200")})
ORDER BY submitted
"""

EVALUATION_TIME = f"""
SELECT
    toStartOfInterval(ended, toIntervalSecond({BUCKET.strip()})) AS time,
    quantile(0.5)(seconds) AS p50, quantile(0.95)(seconds) AS p95, quantile(0.99)(seconds) AS p99
FROM ({jobs(THIS_RUN)})
WHERE ended IS NOT NULL
GROUP BY time
ORDER BY time
"""

# The job seconds in a bucket divided by its length: the mean number of concurrent jobs. Jobs that have not ended last until now, or,
# in a run that has ended, until the bucket of their submission: nothing more is known of them.
WORKERS = f"""
SELECT
    bucket AS time,
    sum(greatest(0, dateDiff('millisecond', greatest(submitted, bucket), least(until, bucket + toIntervalSecond(width))))) / 1000 / any(width) AS busy
FROM (
    SELECT
        submitted, {BUCKET.strip()} AS width,
        ifNull(ended, if((SELECT any(status) FROM evolution_runs WHERE {THIS_RUN}) IN ('', 'running'), now64(3), submitted)) AS until,
        toStartOfInterval(submitted, toIntervalSecond(width)) AS begun,
        arrayJoin(range(toUInt64(least(1000, intDiv(dateDiff('second', begun, until), width) + 1)))) AS number,
        begun + toIntervalSecond(number * width) AS bucket
    FROM ({jobs(THIS_RUN)})
)
GROUP BY time
ORDER BY time
"""

YIELD = f"SELECT * FROM ({named('model_yield', run_id=value('run'))})"

WASTED = f"SELECT purpose, sum(cost) AS cost FROM ({spent_on(THIS_RUN)}) GROUP BY purpose ORDER BY cost DESC"

JOBS_OVER_TIME = f"""
SELECT time, sum(delta) OVER (ORDER BY time) AS running, completed, failed
FROM (
    SELECT
        toStartOfInterval(timestamp, toIntervalSecond({BUCKET.strip()})) AS time,
        toInt64(countIf(action_type = 'job_submitted')) - toInt64(countIf(action_type != 'job_submitted')) AS delta,
        countIf(action_type = 'job_completed') AS completed,
        countIf(action_type = 'job_failed') AS failed
    FROM agent_actions FINAL
    WHERE {THIS_RUN} AND action_type IN ('job_submitted', 'job_completed', 'job_failed')
    GROUP BY time
)
ORDER BY time
"""

DIVERSITY = f"""
SELECT
    generation,
    uniqExact(code_hash) AS "distinct programs",
    count() AS individuals,
    uniqExact(code_hash) / count() AS share
FROM ({programs(THIS_RUN)})
WHERE code_hash != '' AND NOT copied
GROUP BY generation
ORDER BY generation
"""

SIZES = f"""
SELECT
    generation,
    avg(code_size) AS mean,
    if(count(height) = 0, NULL, argMaxIf(code_size, (height, -place), height IS NOT NULL)) AS "best individual"
FROM ({climb(THIS_RUN)})
WHERE code_size > 0 AND NOT copied
GROUP BY generation
ORDER BY generation
"""

MUTATIONS = f"""
SELECT
    e.mutation_type AS mutation_type,
    e.total AS individuals,
    s.improvements AS better_than_parent,
    s.total AS of_pairs,
    s.success_rate AS success,
    s.avg_gain AS mean_gain,
    g.best_improvement AS best_gain,
    e.failed / e.total AS failed,
    e.incorrect / e.total AS incorrect,
    e.avg_fitness AS mean_score,
    e.best_fitness AS best_score
FROM (
    SELECT *, count AS total FROM ({named("mutation_effectiveness", run_id=value("run"))})
) AS e
LEFT JOIN ({named("mutation_success_rate", run_id=value("run"))}) AS s ON s.mutation_type = e.mutation_type
LEFT JOIN ({named("mutation_gains", run_id=value("run"))}) AS g ON g.mutation_type = e.mutation_type
ORDER BY success DESC
"""

GAINS = f"""
SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET.strip()})) AS time, toString(mutation_type) AS mutation_type, count() AS better
FROM ({edges(THIS_RUN)})
WHERE gain > 0
GROUP BY time, mutation_type
ORDER BY time
"""

ISLANDS = f"""
SELECT time, concat('island ', island) AS island, sign * max(best) OVER (PARTITION BY island ORDER BY time) AS best
FROM (
    SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET.strip()})) AS time, toString(island) AS island, any(sign) AS sign, max(height) AS best
    FROM ({climb(THIS_RUN)})
    WHERE island != '' AND height IS NOT NULL
    GROUP BY time, island
)
ORDER BY time
"""

TOP = f"""
SELECT
    i.individual_id AS individual_id, i.generation AS generation, i.mutation_type AS mutation_type,
    i.score AS score, i.combined_score AS combined, i.individual_id IN (SELECT individual_id FROM ({LATEST_FRONT})) AS on_front,
    s.cost AS cost, s.unpriced AS unpriced, i.code_size AS bytes, i.metrics AS metrics,
    l.edit_summary AS edit, c.code AS code, i.trace_id AS trace_id
FROM (
    SELECT * FROM ({climb(THIS_RUN)})
    WHERE height IS NOT NULL
    ORDER BY height DESC, place
    LIMIT 20
) AS i
LEFT JOIN (
    SELECT child_id, edit_summary
    FROM code_lineages
    WHERE {THIS_RUN}
    ORDER BY position, timestamp
    LIMIT 1 BY child_id
) AS l ON l.child_id = i.individual_id
LEFT JOIN (SELECT individual_id, argMax(code, timestamp) AS code FROM individuals WHERE {THIS_RUN} GROUP BY individual_id) AS c
    ON c.individual_id = i.individual_id
LEFT JOIN (SELECT individual_id, sum(cost) AS cost, sum(unpriced) AS unpriced FROM ({spent(THIS_RUN)}) GROUP BY individual_id) AS s
    ON s.individual_id = i.individual_id
ORDER BY i.height DESC, i.place
"""

FAILURES = f"""
SELECT timestamp AS time, what, if(incorrect AND error = '', 'incorrect', error) AS error, generation, individual_id, trace_id
FROM ({named("failures", run_id=value("run"), limit="100")})
ORDER BY time DESC
"""

OUTPUT = f"""
SELECT timestamp AS time, name, text, failed, generation, individual_id, trace_id
FROM ({named("evaluation_output", run_id=value("run"), individual_ids="emptyArrayString()", failed="0", characters="2000", limit="100")})
ORDER BY time DESC
"""

CELLS = f"""
SELECT island, cell, individuals, failed, best_score, best_individual AS individual_id, best_generation AS generation
FROM ({named("cells", run_id=value("run"), limit="200")})
ORDER BY best_score IS NULL, island, cell
"""

COMPONENTS = f"""
SELECT part.1 AS component, part.2 AS cost
FROM (
    SELECT arrayJoin([
        ('mutation', total_mutation_cost), ('embedding', total_embedding_cost), ('novelty', total_novelty_cost),
        ('beside the individuals', greatest(0, run_cost - total_cost)), (if(unpriced > 0, concat(toString(unpriced), ' unpriced calls'), ''), 0)
    ]) AS part
    FROM ({named("cost_breakdown", run_id=value("run"))})
)
WHERE component != ''
"""

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
SELECT {X} AS x, {Y} AS "front of the last generation", individual_id
FROM ({LATEST_FRONT})
WHERE NOT ifNull(dominated, false)
ORDER BY x
""",
    f"""
SELECT {X} AS x, {Y} AS "dominated on it", individual_id
FROM ({LATEST_FRONT})
WHERE dominated
ORDER BY x
""",
]

ACTIONS = f"""
SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET.strip()})) AS time, toString(action_type) AS action, count() AS actions
FROM agent_actions FINAL
WHERE {THIS_RUN}
GROUP BY time, action
ORDER BY time
"""

OF_INDIVIDUAL = link("Show its lineage", to_dashboard(LINEAGE, run="$run", individual="individual_id"))


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
            folded(
                "How it searches",
                a_table(
                    "Mutation types",
                    "How each mutation type performs: how often its programs beat their parent, and by how much. Success is a share of the pairs of "
                    "child and parent: a child of two parents counts twice.",
                    MUTATIONS,
                    {
                        "mutation_type": width(170),
                        "individuals": width(100),
                        "better_than_parent": [*called("better than a parent"), *width(150)],
                        "of_pairs": [*called("of pairs"), *width(95)],
                        "success": gauge(),
                        "failed": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW), *width(90)],
                        "incorrect": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW), *width(100)],
                        "mean_gain": unit("short", 4),
                        "best_gain": unit("short", 4),
                        "mean_score": unit("short", 4),
                        "best_score": unit("short", 4),
                    },
                    size=(24, 6),
                ),
                by_number(
                    "Diversity",
                    "Distinct programs among all of a generation: if far below the total, the search is repeating itself.",
                    DIVERSITY,
                    "generation",
                    size=(8, 8),
                    columns={
                        "individuals": color("blue"),
                        "distinct programs": color("green"),
                        "share": [*right_axis(), *unit("percentunit", 0), *color("orange")],
                    },
                    minimum=0,
                    empty="No code was recorded.",
                ),
                by_number(
                    "Size of programs",
                    "Size in bytes: growth without gain is bloat.",
                    SIZES,
                    "generation",
                    size=(8, 8),
                    unit="bytes",
                    columns={"mean": color("blue"), "best individual": color("green")},
                    minimum=0,
                    empty="No code was recorded.",
                ),
                over_time(
                    "Improvements by mutation type",
                    "Individuals better than their parent, as they arrived.",
                    GAINS,
                    name="${__field.labels.mutation_type}",
                    size=(8, 8),
                    style="bars",
                    stacked=True,
                    empty="No individual was better than its parent.",
                ),
                over_time(
                    "Best score by island",
                    "The best score each island had reached at each moment. Islands that rise together exchange too much; one "
                    "that stays flat only costs.",
                    ISLANDS,
                    name="${__field.labels.island}",
                    style="steps",
                    size=(10, 8),
                    empty="This search has no islands.",
                ),
                a_table(
                    "Islands",
                    "What each island has found, and how many of its individuals have a parent on another island.",
                    named("islands", run_id=value("run")),
                    {
                        "best_score": [*called("best"), *unit("short", 5), *width(85)],
                        "island": width(60),
                        "failed": width(70),
                        "incorrect": width(80),
                        "arrived": width(75),
                        "avg_score": [*called("mean"), *unit("short", 4), *width(80)],
                        "individuals": width(95),
                        "best_generation": [*called("reached in"), *width(90)],
                        "best_individual": [
                            *called("by"),
                            *link("Show its lineage", to_dashboard(LINEAGE, run="$run", individual="best_individual")),
                            *width(140),
                        ],
                    },
                    size=(14, 8),
                    empty="This search has no islands.",
                ),
                a_table(
                    "Cells",
                    "The cells of the feature grid (MAP-Elites), per island: how many individuals fell into each, and the best of "
                    "them. Empty cells have not been explored.",
                    CELLS,
                    {
                        "island": width(90),
                        "cell": long_text(),
                        "best_score": [*called("best"), *unit("short", 5)],
                        "individual_id": [*called("by"), *OF_INDIVIDUAL],
                        "generation": [*called("in generation"), *width(110)],
                    },
                    size=(24, 8),
                    empty="This search has no feature grid.",
                ),
                a_table(
                    "Top individuals",
                    "The best programs over all generations. The id links to the ancestors, the trace to how the program was made.",
                    TOP,
                    {
                        "individual_id": [*called("individual"), *OF_INDIVIDUAL, *width(230)],
                        "generation": width(95),
                        "mutation_type": width(120),
                        "score": [*unit("short", 5), *width(100)],
                        "combined": [*unit("short", 5), *width(100)],
                        "on_front": width(85),
                        "cost": [*unit("currencyUSD", 4), *width(90)],
                        **UNPRICED,
                        "bytes": unit("bytes"),
                        "metrics": long_text(),
                        "edit": long_text(),
                        "code": long_text(),
                        "trace_id": [*called("trace"), *TO_TRACE],
                    },
                    size=(24, 10),
                ),
                a_table(
                    "Programs proposed more than once",
                    "Identical code, by its hash, with the first individual that had it: the calls for the others bought nothing.",
                    f"SELECT first_individual AS individual_id, count AS proposed, code_hash FROM ({named('duplicates', run_id=value('run'))}) LIMIT 50",
                    {
                        "individual_id": [*called("first individual"), *OF_INDIVIDUAL, *width(280)],
                        "proposed": [*called("times proposed"), *width(120)],
                        "code_hash": [],
                    },
                    size=(12, 7),
                    empty="No program was proposed twice.",
                ),
                bars(
                    "Cost by component",
                    "What the individuals cost in USD: mutations, embeddings, novelty judgements.",
                    COMPONENTS,
                    size=(12, 7),
                    unit="currencyUSD",
                ),
            ),
            folded(
                "What it is doing",
                over_time(
                    "Jobs",
                    "Evaluations that are running, and those that ended.",
                    JOBS_OVER_TIME,
                    style="steps",
                    columns={"failed": color("red"), "completed": color("green"), "running": color("blue")},
                    minimum=0,
                    empty="No job was recorded.",
                ),
                over_time(
                    "Evaluation time",
                    "From a job's submission to its end, including the wait for a worker.",
                    EVALUATION_TIME,
                    unit="s",
                    columns={"p50": color("green"), "p95": color("orange"), "p99": color("red")},
                    minimum=0,
                    empty="No job has ended yet.",
                ),
                over_time(
                    "Workers busy",
                    "How many evaluations run at a time, on average. If this is below the number of workers, the search does not "
                    "keep them busy.",
                    WORKERS,
                    columns={"busy": color("blue")},
                    minimum=0,
                    empty="No job was recorded.",
                ),
                a_table(
                    "Running jobs",
                    "Jobs submitted and not yet ended, longest-waiting first.",
                    QUEUE,
                    {
                        "waits": [*unit("s"), *limits(((None, "green"), (300, "yellow"), (1800, "red")))],
                        "individual_id": [*called("individual"), *OF_INDIVIDUAL],
                    },
                    size=(12, 8),
                    empty="No job is running.",
                ),
                over_time(
                    "Actions",
                    "Everything else that the search recorded: archive updates, islands, restarts.",
                    ACTIONS,
                    name="${__field.labels.action}",
                    style="bars",
                    stacked=True,
                    empty="No action was recorded.",
                ),
                a_table(
                    "Failures",
                    "LLM calls, evaluations and individuals that failed, newest first.",
                    FAILURES,
                    {
                        "time": width(180),
                        "error": long_text(),
                        "generation": width(95),
                        "individual_id": [*called("individual"), *OF_INDIVIDUAL],
                        "trace_id": [*called("trace"), *TO_TRACE],
                    },
                    size=(12, 8),
                    empty="Nothing has failed.",
                ),
                a_table(
                    "Evaluation output",
                    "What evaluations printed, raised or reported, newest first: one row per text, showing its end.",
                    OUTPUT,
                    {
                        "time": width(180),
                        "name": width(110),
                        "text": long_text(),
                        "failed": width(80),
                        "generation": width(95),
                        "individual_id": [*called("individual"), *OF_INDIVIDUAL],
                        "trace_id": [*called("trace"), *TO_TRACE],
                    },
                    size=(24, 8),
                    empty="No evaluation output was recorded.",
                ),
            ),
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
