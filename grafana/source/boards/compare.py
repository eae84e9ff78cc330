"""*Compare*: two or more searches side by side. In: runs, mostly of one task. Out: what each found for its cost and time."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue as Setting

from genesis_otel.queries import part
from grafana.source.columns import GOOD_WHEN_LOW, band, called, color, colored, gauge, limits, unit, unpriced, width
from grafana.source.dashboard import a_dashboard
from grafana.source.links import COMPARE, TO_RUN
from grafana.source.panels import a_table, by_number, scatter
from grafana.source.sql import (
    FOLDED,
    SUCCESS,
    TOOK,
    cost,
    edges,
    found,
    front,
    objectives,
    programs,
    spent_so_far,
    state,
    steps,
    value_of,
)
from grafana.source.targets import runs_among, value
from grafana.source.variables import NEWEST_RUNS, TASK, choice, datasource

OF_RUNS = runs_among("runs")

BAND = {"A": "green", "B": "blue", "C": "orange"}
"""The groups with the most runs, which are drawn as bands, and their colours."""

# About 200 points per run: what a panel of this width can show.
POINTS = 200

SIDE_BY_SIDE = f"""
SELECT
    r.run_id AS run_id,
    r.status AS status,
    f.best_score AS best,
    f.best_generation AS reached_in_generation,
    f.individuals AS individuals,
    i.distinct AS distinct_programs,
    (f.failed + f.incorrect) / nullIf(f.individuals, 0) AS failed,
    f.improvements AS improvements,
    c.cost AS cost,
    c.unpriced AS unpriced,
    f.gained / nullIf(c.cost, 0) AS gain_per_dollar,
    r.seconds AS took,
    l.p95 AS llm_p95,
    l.models AS models
FROM ({state(OF_RUNS)}) AS r
LEFT JOIN ({found(OF_RUNS)}) AS f ON f.run_id = r.run_id
LEFT JOIN (
    SELECT run_id, uniqExactIf(code_hash, code_hash != '') / nullIf(countIf(code_hash != ''), 0) AS distinct
    FROM ({programs(OF_RUNS)})
    WHERE NOT copied
    GROUP BY run_id
) AS i ON i.run_id = r.run_id
LEFT JOIN ({cost(OF_RUNS)}) AS c ON c.run_id = r.run_id
LEFT JOIN (
    SELECT
        run_id,
        quantile(0.95)({TOOK}) AS p95,
        arrayStringConcat(arraySort(groupUniqArray(toString(model))), ', ') AS models
    FROM llm_logs FINAL
    WHERE {OF_RUNS}
    GROUP BY run_id
) AS l ON l.run_id = r.run_id
ORDER BY if(r.direction = 'min', -1, 1) * best DESC NULLS LAST, run_id
"""

# One row per run and generation: the best so far, the money spent and the time elapsed when the last individual of it and of those before
# it had finished. Each chart below plots this against a different column. What was spent by then is that of all calls until then, as on
# the page: some are made outside of generations, or in one without an individual.
JOURNEY = f"""
SELECT
    b.run_id AS run_id,
    b.generation AS generation,
    b.score AS score,
    c.so_far AS spent,
    {part("lasted", "r.start_time", "greatest(r.start_time, b.until)")} AS seconds,
    b.place AS place,
    b.places AS places
FROM (
    SELECT
        run_id, generation, best_so_far AS score, max(seen) OVER of_run AS until, row_number() OVER of_run AS place,
        count() OVER (PARTITION BY run_id) AS places
    FROM ({steps(OF_RUNS)})
    WINDOW of_run AS (PARTITION BY run_id ORDER BY generation)
) AS b
INNER JOIN (SELECT run_id, start_time FROM ({FOLDED}) WHERE {OF_RUNS}) AS r ON r.run_id = b.run_id
LEFT ASOF JOIN ({spent_so_far(OF_RUNS)}) AS c ON c.run_id = b.run_id AND c.timestamp <= b.until
"""


def score_by(x: str) -> str:
    """The best score so far of each run by a column of the journey, thinned to what can be seen."""
    return f"""
SELECT run_id, toFloat64({x}) AS x, score
FROM ({JOURNEY})
WHERE {x} IS NOT NULL AND ((place - 1) % greatest(1, intDiv(places, {POINTS})) = 0 OR place = places)
ORDER BY run_id, x
"""


MUTATIONS = f"""
SELECT run_id, toString(mutation_type) AS mutation_type, pairs, beaten / pairs AS success, mean_gain, best_gain
FROM (
    SELECT run_id, mutation_type, {SUCCESS}, {part("mean", "gain")} AS mean_gain, max(gain) AS best_gain
    FROM ({edges(OF_RUNS)})
    WHERE generation > 0
    GROUP BY run_id, mutation_type
)
ORDER BY mutation_type, success DESC
"""

MODELS = f"""
SELECT
    run_id,
    toString(model) AS model,
    count() AS calls,
    sum(cost) AS cost,
    countIf(llm_logs.unpriced) AS unpriced,
    quantile(0.5)({TOOK}) AS p50,
    quantile(0.95)({TOOK}) AS p95,
    countIf(status != 'ok') / count() AS errors
FROM llm_logs FINAL
WHERE {OF_RUNS}
GROUP BY run_id, model
ORDER BY model, run_id
"""

# One row per setting and run, which a transformation pivots to one column per run; settings equal in all runs are left out.
SETTINGS = f"""
SELECT setting, run_id AS run, value
FROM (
    SELECT *, count() OVER of_setting AS told_by, min(value) OVER of_setting AS least, max(value) OVER of_setting AS most
    FROM (
        SELECT run_id, first.1 AS top, inner.1 AS below, if(below = '', top, concat(top, '.', below)) AS setting, inner.2 AS value
        FROM (
            SELECT run_id, arrayJoin(JSONExtractKeysAndValuesRaw(config)) AS first
            FROM evolution_runs
            WHERE {OF_RUNS}
        )
        ARRAY JOIN if(startsWith(first.2, '{{') AND first.2 != '{{}}', JSONExtractKeysAndValuesRaw(first.2), [('', first.2)]) AS inner
    )
    WINDOW of_setting AS (PARTITION BY setting)
)
WHERE least != most OR told_by < (SELECT uniqExact(run_id) FROM evolution_runs WHERE {OF_RUNS})
ORDER BY setting, run
LIMIT 2000
"""

FRONTS = f"""
SELECT run_id, {value_of("x")} AS x, {value_of("y")} AS y, individual_id
FROM ({front(f"{OF_RUNS} AND (run_id, generation) IN (SELECT run_id, max(generation) FROM pareto_fronts WHERE {OF_RUNS} GROUP BY run_id)")})
ORDER BY run_id, x
LIMIT 2000
"""

# Runs started alike: the same task, direction and configuration, whatever the random seed.
ALIKE = f"""
SELECT run_id, task_name, group, dense_rank() OVER (ORDER BY runs DESC, group) AS place
FROM (
    SELECT run_id, task_name, group, count() OVER (PARTITION BY group) AS runs
    FROM (
        SELECT
            run_id, task_name,
            cityHash64(task_name, direction, replaceRegexpAll(config, '"(random_)?seed"\\\\s*:\\\\s*[^,}}]*', '')) AS group
        FROM evolution_runs
        WHERE {OF_RUNS}
    )
)
"""

GROUPS = f"""
SELECT
    ['A', 'B', 'C'][place] AS band,
    any(task_name) AS task,
    uniqExact(run_id) AS runs,
    arrayStringConcat(arraySort(groupUniqArray(run_id)), ', ') AS of
FROM ({ALIKE})
WHERE place <= 3
GROUP BY place
ORDER BY place
"""

LINES = ",".join(
    f"""
    if(countIf(place = {number}) > 0, quantileExactInclusiveIf(0.5)(best, place = {number}), NULL) AS {band},
    if(countIf(place = {number}) > 2, quantileExactInclusiveIf(0.75)(best, place = {number}), NULL) AS "{band} upper quartile",
    if(countIf(place = {number}) > 2, quantileExactInclusiveIf(0.25)(best, place = {number}), NULL) AS "{band} lower quartile" """
    for number, band in enumerate(BAND, 1)
)

# A run that ended keeps its best score for later generations. Quartiles of fewer than three runs mean nothing. Inclusive: `quantileExact`
# does not interpolate, so that the median of two runs would be the higher of them.
BANDS = f"""
WITH
    curves AS (
        SELECT run_id, arraySort(point -> point.1, groupArray((generation, assumeNotNull(best_so_far)))) AS points
        FROM ({steps(OF_RUNS)})
        WHERE best_so_far IS NOT NULL
        GROUP BY run_id
    ),
    (SELECT max(arrayMax(points.1)) FROM curves) AS newest
SELECT
    generation,{LINES}
FROM (
    SELECT
        g.place AS place,
        arrayJoin(range(0, newest + 1, greatest(1, intDiv(newest, {POINTS})))) AS generation,
        points[arrayLastIndex(point -> point.1 <= generation, points)].2 AS best,
        points[1].1 <= generation AS begun
    FROM curves AS c
    INNER JOIN ({ALIKE}) AS g ON g.run_id = c.run_id
)
WHERE begun
GROUP BY generation
ORDER BY generation
"""

NO_RUNS = "Choose two or more runs above."


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    return a_dashboard(
        COMPARE,
        "Compare",
        "Two or more searches side by side: by generation, cost and time.",
        [
            datasource(),
            TASK,
            choice(
                "runs", "Runs", NEWEST_RUNS, multi=True, description="Choose two or more; in *Runs* they can be ticked."
            ),
            choice(
                "x",
                "Front: x",
                objectives(OF_RUNS, but="''"),
                description="Objective on the x axis of the Pareto fronts.",
            ),
            choice("y", "Front: y", objectives(OF_RUNS, but=value("x")), description="Objective on the y axis."),
        ],
        [
            a_table(
                "Side by side",
                "One row per run, best first: what it found, what it cost, and how long it took.",
                SIDE_BY_SIDE,
                {
                    "run_id": [*called("run"), *TO_RUN, *width(190)],
                    "status": [*colored(), *width(95)],
                    "best": [*unit("short", 5), *color("green"), *width(95)],
                    "reached_in_generation": [*called("reached in"), *width(100)],
                    "individuals": width(95),
                    "distinct_programs": [*called("distinct"), *gauge(), *width(120)],
                    "failed": [*unit("percentunit", 0), *limits(GOOD_WHEN_LOW), *width(75)],
                    "improvements": width(115),
                    "cost": [*unit("currencyUSD", 2), *width(85)],
                    "unpriced": [*unpriced(), *width(85)],
                    "gain_per_dollar": [*unit("short", 3), *width(115)],
                    "took": [*unit("s"), *width(90)],
                    "llm_p95": [*called("LLM p95"), *unit("s"), *width(85)],
                    "models": width(158),
                },
                size=(24, 7),
                empty=NO_RUNS,
            ),
            *(
                scatter(
                    f"Score by {by}",
                    f"The best score so far: which run gets further {meaning}.",
                    [score_by(column)],
                    x_title=axis,
                    x_unit=x_unit,
                    y_title="best score so far",
                    series="run_id",
                    lines=True,
                    size=(8, 10),
                    empty=NO_RUNS,
                )
                for by, column, axis, x_unit, meaning in (
                    ("generation", "generation", "generation", "none", "with the same number of generations"),
                    ("cost", "spent", "spent", "currencyUSD", "with the same money"),
                    ("wall time", "seconds", "since its start", "s", "in the same time"),
                )
            ),
            by_number(
                "Similar runs as one band",
                "The median of the best score so far over runs with the same task, direction and configuration (except for the seed), with "
                "quartiles if there are three or more. Two bands that do not overlap differ by more than luck.",
                BANDS,
                "generation",
                columns={
                    name: settings
                    for group, hue in BAND.items()
                    for name, settings in (
                        (group, [*color(hue), Setting("custom.fillOpacity", 0)]),
                        (f"{group} upper quartile", band(f"{group} lower quartile", hue)),
                        (f"{group} lower quartile", band(None, hue)),
                    )
                },
                size=(16, 10),
                empty=NO_RUNS,
            ),
            a_table(
                "Bands",
                "The runs in each band; the three groups with the most runs.",
                GROUPS,
                {"band": width(70), "task": width(120), "runs": width(65)},
                size=(8, 10),
                empty=NO_RUNS,
            ),
            scatter(
                "Pareto fronts",
                "The last front of each run, by the two objectives chosen above.",
                [FRONTS],
                x_title="${x:text}",
                y_title="${y:text}",
                series="run_id",
                size=(8, 10),
                empty="These runs have recorded no front.",
            ),
            a_table(
                "Mutation types",
                "How often each mutation type beat its parent, in each run: a share of the pairs of child and parent.",
                MUTATIONS,
                {
                    "run_id": [*called("run"), *TO_RUN],
                    "mutation_type": width(120),
                    "success": gauge(),
                    "mean_gain": unit("short", 5),
                    "best_gain": unit("short", 5),
                },
                size=(16, 10),
                empty=NO_RUNS,
            ),
            a_table(
                "Models",
                "How each run used each model.",
                MODELS,
                {
                    "run_id": [*called("run"), *TO_RUN, *width(184)],
                    "model": width(140),
                    "calls": width(65),
                    "cost": [*unit("currencyUSD", 2), *width(75)],
                    "unpriced": [*unpriced(), *width(85)],
                    "p50": [*unit("s"), *width(70)],
                    "p95": [*unit("s"), *width(70)],
                    "errors": [*unit("percentunit", 1), *limits(GOOD_WHEN_LOW), *width(75)],
                },
                size=(12, 9),
                empty=NO_RUNS,
            ),
            a_table(
                "What was set differently",
                "Configuration settings that are not the same in all runs, one column per run.",
                SETTINGS,
                {},
                size=(12, 9),
                matrix=("setting", "run", "value"),
                empty="The configurations are the same.",
            ),
        ],
    )
