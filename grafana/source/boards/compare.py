"""*Compare*: two or more searches side by side. In: runs, of one task mostly. Out: what each found for its money and its time."""

from __future__ import annotations

from typing import Any

from grafana.source import panels
from grafana.source.panels import (
    COMPARE,
    NEWEST_RUNS,
    TASK,
    TO_RUN,
    a_dashboard,
    a_table,
    choice,
    color,
    colored,
    gauge,
    runs_among,
    scatter,
    unit,
    width,
)
from grafana.source.sql import cost, edges, found, programs, spent, state, steps

OF_RUNS = runs_among("runs")

# Some 200 points a run: what a picture of this width can show.
POINTS = 200

SIDE_BY_SIDE = f"""
SELECT
    r.run_id AS run_id,
    r.task_name AS task,
    r.status AS status,
    r.direction AS direction,
    f.best_score AS best,
    f.best_generation AS reached_in_generation,
    i.generations AS generations,
    f.individuals AS individuals,
    i.distinct AS distinct_programs,
    f.failed / f.individuals AS failed,
    f.incorrect / f.individuals AS incorrect,
    f.improvements AS improvements,
    c.cost AS cost,
    c.unpriced AS unpriced,
    if(f.improvements > 0, c.cost / f.improvements, NULL) AS cost_per_improvement,
    greatest(0, dateDiff('second', r.start_time, f.last)) AS took,
    l.calls AS llm_calls,
    l.p50 AS llm_p50,
    l.p95 AS llm_p95,
    l.errors AS llm_errors,
    l.models AS models
FROM ({state(OF_RUNS)}) AS r
LEFT JOIN ({found(OF_RUNS)}) AS f ON f.run_id = r.run_id
LEFT JOIN (
    SELECT
        run_id,
        uniqExact(generation) AS generations,
        uniqExactIf(code_hash, code_hash != '') / nullIf(countIf(code_hash != ''), 0) AS distinct
    FROM ({programs(OF_RUNS)})
    WHERE NOT copied
    GROUP BY run_id
) AS i ON i.run_id = r.run_id
LEFT JOIN ({cost(OF_RUNS)}) AS c ON c.run_id = r.run_id
LEFT JOIN (
    SELECT
        run_id,
        count() AS calls,
        quantile(0.5)(execution_time) AS p50,
        quantile(0.95)(execution_time) AS p95,
        countIf(status != 'ok') / count() AS errors,
        arrayStringConcat(arraySort(groupUniqArray(toString(model))), ', ') AS models
    FROM llm_logs
    WHERE {OF_RUNS}
    GROUP BY run_id
) AS l ON l.run_id = r.run_id
ORDER BY if(r.direction = 'min', -1, 1) * best DESC NULLS LAST, run_id
"""

# One row a run and a generation: the best so far, what had been spent, and how long it had gone on. Each picture below is
# this, by another one of its columns.
JOURNEY = f"""
SELECT
    b.run_id AS run_id,
    b.generation AS generation,
    b.best_so_far AS score,
    sum(c.cost) OVER of_run AS spent,
    greatest(0, dateDiff('millisecond', r.start_time, max(b.seen) OVER of_run)) / 1000 AS seconds,
    row_number() OVER of_run AS place,
    count() OVER (PARTITION BY b.run_id) AS places
FROM ({steps(OF_RUNS)}) AS b
INNER JOIN (SELECT run_id, start_time FROM evolution_runs WHERE {OF_RUNS}) AS r ON r.run_id = b.run_id
LEFT JOIN (
    SELECT run_id, generation, sum(cost) AS cost FROM ({spent(OF_RUNS)}) GROUP BY run_id, generation
) AS c ON c.run_id = b.run_id AND c.generation = b.generation
WINDOW of_run AS (PARTITION BY b.run_id ORDER BY b.generation)
"""


def score_by(x: str) -> str:
    """The best score so far of each run by a column of the journey, thinned to what can be seen."""
    return f"""
SELECT run_id, toFloat64({x}) AS x, score
FROM ({JOURNEY})
WHERE (place - 1) % greatest(1, intDiv(places, {POINTS})) = 0 OR place = places
ORDER BY run_id, x
"""


MUTATIONS = f"""
SELECT
    run_id,
    toString(mutation_type) AS mutation_type,
    count() AS tried,
    countIf(gain > 0) / count() AS success,
    avg(gain) AS mean_gain,
    max(gain) AS best_gain
FROM ({edges(OF_RUNS)})
WHERE generation > 0
GROUP BY run_id, mutation_type
ORDER BY mutation_type, success DESC
"""

MODELS = f"""
SELECT
    run_id,
    toString(model) AS model,
    count() AS calls,
    sum(cost) AS cost,
    countIf(llm_logs.unpriced) AS unpriced,
    quantile(0.5)(execution_time) AS p50,
    quantile(0.95)(execution_time) AS p95,
    countIf(status != 'ok') / count() AS errors
FROM llm_logs
WHERE {OF_RUNS}
GROUP BY run_id, model
ORDER BY model, run_id
"""

# A setting of one run a row; those that all runs have alike are left out.
SETTINGS = f"""
SELECT setting, arrayStringConcat(arrayMap(pair -> concat(pair.1, ': ', pair.2), arraySort(groupArray((run_id, value)))), '\\n') AS values
FROM (
    SELECT run_id, first.1 AS top, inner.1 AS below, if(below = '', top, concat(top, '.', below)) AS setting, inner.2 AS value
    FROM (
        SELECT run_id, arrayJoin(JSONExtractKeysAndValuesRaw(config)) AS first
        FROM evolution_runs
        WHERE {OF_RUNS}
    )
    ARRAY JOIN if(startsWith(first.2, '{{') AND first.2 != '{{}}', JSONExtractKeysAndValuesRaw(first.2), [('', first.2)]) AS inner
)
GROUP BY setting
HAVING uniqExact(value) > 1 OR uniqExact(run_id) < (SELECT uniqExact(run_id) FROM evolution_runs WHERE {OF_RUNS})
ORDER BY setting
LIMIT 200
"""

FRONTS = f"""
SELECT run_id, fitness_score AS x, combined_score AS combined, individual_id
FROM pareto_fronts
WHERE {OF_RUNS} AND (run_id, generation) IN (SELECT run_id, max(generation) FROM pareto_fronts WHERE {OF_RUNS} GROUP BY run_id)
ORDER BY run_id, x
LIMIT 2000
"""

NO_RUNS = "Choose two runs or more above."


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    return a_dashboard(
        COMPARE,
        "Compare",
        "Two or more searches side by side: by generation, by money, by time.",
        [
            panels.datasource(),
            TASK,
            choice("runs", "Runs", NEWEST_RUNS, multi=True, description="Two or more of them."),
        ],
        [
            a_table(
                "Side by side",
                "A row a run, the best first: what it found, for how much, in how long.",
                SIDE_BY_SIDE,
                {
                    "run_id": [*TO_RUN, *width(260)],
                    "status": colored(),
                    "best": [*unit("short", 5), *color("green")],
                    "distinct_programs": gauge(),
                    "failed": [*unit("percentunit", 1), *panels.limits(panels.GOOD_WHEN_LOW)],
                    "incorrect": [*unit("percentunit", 1), *panels.limits(panels.GOOD_WHEN_LOW)],
                    "cost": unit("currencyUSD", 2),
                    **panels.UNPRICED,
                    "cost_per_improvement": unit("currencyUSD", 2),
                    "took": unit("s"),
                    "llm_p50": unit("s"),
                    "llm_p95": unit("s"),
                    "llm_errors": [*unit("percentunit", 1), *panels.limits(panels.GOOD_WHEN_LOW)],
                },
                size=(24, 7),
                empty=NO_RUNS,
            ),
            *(
                scatter(
                    f"Score by {by}",
                    f"The best score so far: who gets further {meaning}.",
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
            scatter(
                "Pareto fronts",
                "The last front of each run: fitness and combined score of its members.",
                [FRONTS],
                x_title="fitness score",
                y_title="combined score",
                series="run_id",
                size=(8, 10),
                empty="These runs have recorded no front.",
            ),
            a_table(
                "Mutation types",
                "How often each kind of mutation was better than its parent, in each run.",
                MUTATIONS,
                {"run_id": TO_RUN, "success": gauge(), "mean_gain": unit("short", 5), "best_gain": unit("short", 5)},
                size=(16, 10),
                empty=NO_RUNS,
            ),
            a_table(
                "Models",
                "What each run asked of each model.",
                MODELS,
                {
                    "run_id": TO_RUN,
                    "cost": unit("currencyUSD", 2),
                    **panels.UNPRICED,
                    "p50": unit("s"),
                    "p95": unit("s"),
                    "errors": [*unit("percentunit", 1), *panels.limits(panels.GOOD_WHEN_LOW)],
                },
                size=(12, 9),
                empty=NO_RUNS,
            ),
            a_table(
                "What was set differently",
                "Settings of the runs' configurations that are not the same in all of them.",
                SETTINGS,
                {"values": panels.long_text()},
                size=(12, 9),
                empty="The configurations are the same.",
            ),
        ],
    )
