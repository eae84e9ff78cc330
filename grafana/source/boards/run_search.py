"""How a run searches: which mutations work, how diverse and large its programs are, its islands, cells and best individuals.

In: the run of the dashboard *Run*. Out: a folded row of its panels.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders

from genesis_otel.queries import part
from grafana.source.columns import (
    GOOD_WHEN_LOW,
    UNPRICED,
    called,
    color,
    gauge,
    limits,
    link,
    long_text,
    right_axis,
    unit,
    width,
)
from grafana.source.links import LINEAGE, TO_LINEAGE, TO_TRACE, to_dashboard
from grafana.source.panels import a_table, bars, by_number, folded, over_time
from grafana.source.sql import BUCKET, COST_OF_EACH, EDGE_ORDER, LATEST, LATEST_FRONT, THIS_RUN, climb, edges, programs
from grafana.source.targets import named, value

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
SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET})) AS time, toString(mutation_type) AS mutation_type, count() AS better
FROM ({edges(THIS_RUN)})
WHERE gain > 0
GROUP BY time, mutation_type
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
    if(count(height) = 0, NULL, {part("of_best", "code_size")}) AS "best individual"
FROM ({climb(THIS_RUN)})
WHERE code_size > 0 AND NOT copied
GROUP BY generation
ORDER BY generation
"""

ISLANDS = f"""
SELECT time, concat('island ', island) AS island, sign * max(best) OVER (PARTITION BY island ORDER BY time) AS best
FROM (
    SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET})) AS time, toString(island) AS island, any(sign) AS sign, max(height) AS best
    FROM ({climb(THIS_RUN)})
    WHERE island != '' AND height IS NOT NULL
    GROUP BY time, island
)
ORDER BY time
"""

CELLS = f"""
SELECT island, cell, individuals, failed, best_score, best_individual AS individual_id, best_generation AS generation
FROM ({named("cells", run_id=value("run"), limit="200")})
ORDER BY best_score IS NULL, island, cell
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
    ORDER BY {EDGE_ORDER}
    LIMIT 1 BY child_id
) AS l ON l.child_id = i.individual_id
LEFT JOIN (SELECT individual_id, argMax(code, {LATEST}) AS code FROM individuals WHERE {THIS_RUN} GROUP BY individual_id) AS c
    ON c.individual_id = i.individual_id
LEFT JOIN ({COST_OF_EACH}) AS s
    ON s.individual_id = i.individual_id
ORDER BY i.height DESC, i.place
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


def panels() -> builders.Row:
    """The folded row."""
    return folded(
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
                "individual_id": [*called("by"), *TO_LINEAGE],
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
                "individual_id": [*called("individual"), *TO_LINEAGE, *width(230)],
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
                "individual_id": [*called("first individual"), *TO_LINEAGE, *width(280)],
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
    )
