"""*Lineage*: where programs come from. In: a run and one of its individuals, by default the best. Out: the tree, and the path
to the individual, with what each step gained and cost and what the model was asked.
"""

from __future__ import annotations

from typing import Any

from genesis_otel.queries import part
from grafana.source.columns import (
    UNPRICED,
    called,
    color,
    colored,
    limits,
    link,
    links,
    long_text,
    point_size,
    unit,
    width,
)
from grafana.source.dashboard import a_dashboard
from grafana.source.links import LINEAGE, TO_TRACE, TRACE, to_dashboard
from grafana.source.panels import a_stat, a_table, node_graph, scatter
from grafana.source.sql import COPIED, COST_OF_EACH, EDGE_ORDER, LATEST, LATEST_FRONT, THIS_RUN, climb, edges, programs
from grafana.source.targets import named, value
from grafana.source.variables import ONE_RUN, TASK, choice, datasource

SHOWN = 150
"""How many of the best individuals the tree shows, each with all its ancestors: a browser copes with a few hundred nodes."""

DEEPEST = 500
"""How many steps back ancestors are followed."""

# The best first: it is shown if none is chosen.
INDIVIDUALS = f"""
SELECT individual_id
FROM ({climb(THIS_RUN)})
ORDER BY height DESC NULLS LAST, place
LIMIT 1000
"""

SIGN = f"if((SELECT count() FROM ({part('minimised', THIS_RUN)})) > 0, -1, 1)"
"""Turns a difference of scores into a gain."""

# Each individual once, however often its span was delivered.
OF_THE_RUN = f"""
SELECT p.*, s.cost AS cost, s.unpriced AS unpriced
FROM ({programs(THIS_RUN)}) AS p
LEFT JOIN ({COST_OF_EACH}) AS s ON s.individual_id = p.individual_id AND NOT p.copied
"""

# What the tree shows: the best individuals, the chosen one and its children, and the first-parent ancestors of all of these. Individuals
# are represented by their index in the array of those with a parent, because a recursion costs ten milliseconds per step. The ids are one
# scalar, which ClickHouse computes once; as a subquery it would be analysed, the search for ancestors included, at each place that names it.
# So is a scalar where it is named in a subquery: where the search starts is a column.
SHOWN_IDS = f"""(
    SELECT arrayJoin((
        WITH
            (
                SELECT (groupArray(child_id), groupArray(parent_id), uniqExact(generation))
                FROM (
                    SELECT child_id, parent_id, generation
                    FROM code_lineages
                    WHERE {THIS_RUN} AND parent_id != '' AND parent_id != child_id
                    ORDER BY {EDGE_ORDER}
                    LIMIT 1 BY child_id
                )
            ) AS known,
            (
                SELECT groupArray(individual_id)
                FROM (
                    SELECT individual_id
                    FROM ({programs(THIS_RUN)})
                    WHERE score IS NOT NULL
                    ORDER BY {SIGN} * score DESC, timestamp, individual_id
                    LIMIT {SHOWN}
                )
            ) AS best,
            arraySlice(arrayFilter((child, parent) -> parent = {value("individual")}, known.1, known.2), 1, 50) AS children,
            arrayMap(parent -> transform(parent, known.1, arrayEnumerate(known.1), 0), known.2) AS up
        SELECT arrayConcat(started, arrayMap(place -> known.1[place], reached), arrayMap(place -> known.2[place], reached))
        FROM (
            SELECT
                started,
                arrayFold(
                    (places, step) -> arrayDistinct(arrayConcat(places, arrayFilter(place -> place > 0, arrayMap(place -> up[place], places)))),
                    range(least({DEEPEST}, 20 + 2 * known.3)),
                    arrayFilter(place -> place > 0, arrayMap(id -> transform(id, known.1, arrayEnumerate(known.1), 0), started))
                ) AS reached
            FROM (SELECT arrayConcat(best, [{value("individual")}], children) AS started)
        )
    ))
)"""

# Of `OF_THE_RUN` as a subquery, ClickHouse would analyse every column, which takes a tenth of the whole time.
NODES = f"""
SELECT
    i.individual_id AS id,
    substringUTF8(i.individual_id, 1, 12) AS title,
    concat(toString(i.mutation_type), ', generation ', toString(i.generation)) AS subtitle,
    if(i.outcome = 'ok', ifNull({part("written", "i.fitness_score")}, 'no score'), i.outcome) AS mainstat,
    concat(if(s.cost > 0 AND s.cost < 0.0001, '< ', ''), '$', toString(if(s.cost > 0, greatest(0.0001, round(s.cost, 4)), 0)), if(s.unpriced > 0, concat(' + ', toString(s.unpriced), ' unpriced'), '')) AS secondarystat,
    toFloat64(i.individual_id = {value("individual")}) AS arc__chosen,
    toFloat64(i.outcome != 'ok' AND NOT arc__chosen) AS arc__failed,
    toFloat64(i.individual_id IN (SELECT individual_id FROM ({LATEST_FRONT})) AND NOT arc__chosen AND NOT arc__failed) AS arc__front,
    toFloat64(1 - arc__chosen - arc__failed - arc__front) AS arc__other,
    l.edit AS detail__edit,
    i.metrics AS detail__metrics,
    i.trace_id AS detail__trace_id
FROM ({programs(THIS_RUN)}) AS i
LEFT JOIN ({COST_OF_EACH}) AS s ON s.individual_id = i.individual_id AND NOT i.copied
LEFT JOIN (
    SELECT child_id, argMin(edit_summary, position) AS edit
    FROM code_lineages
    WHERE {THIS_RUN} AND parent_id != '' AND parent_id != child_id
    GROUP BY child_id
) AS l ON l.child_id = i.individual_id
WHERE i.individual_id IN {SHOWN_IDS}
ORDER BY i.generation, i.individual_id
"""

# Those to copies, too.
GRAPH_EDGES = f"""
WITH there AS (SELECT individual_id FROM individuals WHERE {THIS_RUN} AND individual_id IN {SHOWN_IDS})
SELECT
    concat(parent_id, ' > ', child_id) AS id,
    parent_id AS source,
    child_id AS target,
    if(ifNull(gain, 0) = 0, '', concat(if(gain > 0, '+', ''), ifNull({part("written", "gain")}, ''))) AS mainstat,
    toString(mutation_type) AS secondarystat,
    if(ifNull(gain, 0) > 0, 2, 1) AS thickness
FROM ({part("edges_of", THIS_RUN, "parent_id != '' AND parent_id != child_id")})
WHERE child_id IN there AND parent_id IN there
ORDER BY id
"""

PATH_IDS = part("ancestry", THIS_RUN, value("individual"))

# The recursion is the most expensive part: a scalar, which ClickHouse computes once however often it is named.
WAY = f"(SELECT groupArray((id, mutation_type, edit_summary)) FROM ({PATH_IDS}))"

PATH = f"""
SELECT
    i.generation AS generation,
    a.id AS individual_id,
    a.mutation_type AS mutation_type,
    if(i.outcome = 'ok', i.fitness_score, NULL) AS score,
    {SIGN} * (score - lagInFrame(score, 1, NULL) OVER (ORDER BY a.place)) AS gain,
    i.cost AS cost,
    i.unpriced AS unpriced,
    a.edit_summary AS edit,
    l.models AS models,
    l.prompt AS prompt,
    l.response AS response,
    i.trace_id AS trace_id
FROM (
    SELECT step.1 AS id, step.2 AS mutation_type, step.3 AS edit_summary, step.4 AS place
    FROM (SELECT arrayJoin(arrayMap((step, place) -> (step.1, step.2, step.3, place), {WAY}, arrayEnumerate({WAY}))) AS step)
) AS a
LEFT JOIN ({OF_THE_RUN}) AS i ON i.individual_id = a.id
LEFT JOIN (
    SELECT
        individual_id,
        arrayStringConcat(arraySort(groupUniqArray(toString(model))), ', ') AS models,
        argMax(substringUTF8(messages, 1, 20000), timestamp) AS prompt,
        argMax(substringUTF8(response, 1, 20000), timestamp) AS response
    FROM llm_logs
    WHERE {THIS_RUN} AND operation != 'embeddings' AND role IN ('mutation', '')
        AND individual_id IN (SELECT arrayJoin({WAY}).1)
    GROUP BY individual_id
) AS l ON l.individual_id = a.id
ORDER BY a.place
"""

PATH_COST = f"SELECT sum(cost) AS cost, sum(unpriced) AS unpriced FROM ({OF_THE_RUN}) WHERE individual_id IN (SELECT id FROM ({PATH_IDS}))"

PATH_SCORES = f"""
SELECT toFloat64(generation) AS x, if(outcome = 'ok', fitness_score, NULL) AS "score of the path", individual_id
FROM ({programs(THIS_RUN)})
WHERE individual_id IN (SELECT id FROM ({PATH_IDS}))
ORDER BY x
"""

ALL_SCORES = f"""
SELECT toFloat64(generation) AS x, score AS "all individuals", individual_id
FROM ({programs(THIS_RUN)}) AS individuals
WHERE score IS NOT NULL
ORDER BY individuals.generation DESC, individual_id
LIMIT 5000
"""

CHILDREN = f"""
SELECT
    c.child_id AS individual_id, c.mutation_type AS mutation_type, i.generation AS generation, i.outcome AS status,
    if(i.outcome = 'ok', i.fitness_score, NULL) AS score, c.gain AS gain, c.edit_summary AS edit, i.trace_id AS trace_id
FROM ({edges(THIS_RUN)}) AS c
LEFT JOIN ({OF_THE_RUN}) AS i ON i.individual_id = c.child_id
WHERE c.parent_id = {value("individual")}
ORDER BY gain DESC NULLS LAST
LIMIT 200
"""

BREAKTHROUGHS = f"""
SELECT
    child_id AS individual_id, parent_id, generation, mutation_type, gain, edit_summary AS edit, trace_id
FROM ({edges(THIS_RUN)})
WHERE gain > 0
ORDER BY gain DESC, generation
LIMIT 50
"""

DEAD_ENDS = f"""
SELECT if(count() = 0, NULL, countIf(individual_id NOT IN (SELECT parent_id FROM ({edges(THIS_RUN)}))) / count()) AS share
FROM (SELECT individual_id, generation, max(generation) OVER () AS newest FROM ({programs(THIS_RUN)}) WHERE NOT copied)
WHERE generation < newest
"""

CHOSEN = f"FROM individuals WHERE {THIS_RUN} AND individual_id = {value('individual')} ORDER BY {LATEST} DESC LIMIT 1"

HERE = link("Show this individual", to_dashboard(LINEAGE, run="$run", individual="individual_id"))


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    signed = unit("short", 5)
    return a_dashboard(
        LINEAGE,
        "Lineage",
        "Where programs come from: the tree of a search, and the path to its best program.",
        [
            datasource(),
            TASK,
            ONE_RUN,
            choice(
                "individual",
                "Individual",
                INDIVIDUALS,
                by_time=True,
                description="The 1,000 best, best first. Open others through their links.",
            ),
        ],
        [
            a_stat(
                "Score",
                "Of the chosen individual.",
                f"SELECT if(status = 'ok', fitness_score, NULL) AS score {CHOSEN}",
                steps=((None, "green"),),
                decimals=5,
                size=(4, 4),
            ),
            a_stat("Generation", "Of the chosen individual.", f"SELECT generation {CHOSEN}", unit="none", size=(4, 4)),
            a_stat(
                "Steps from its seed",
                "Mutations that led to it.",
                f"SELECT if(count() = 0, NULL, toInt64(count()) - 1) AS steps FROM ({PATH_IDS})",
                unit="none",
                size=(4, 4),
            ),
            a_stat(
                "Cost of its path",
                "USD for all of its ancestors and itself.",
                PATH_COST,
                unit="currencyUSD",
                columns=UNPRICED,
                size=(4, 4),
            ),
            a_stat(
                "Children",
                "Programs made from it.",
                f"SELECT uniqExact(child_id) AS children FROM code_lineages WHERE {THIS_RUN} AND parent_id = {value('individual')} AND NOT {COPIED}",
                size=(4, 4),
            ),
            a_stat(
                "Dead ends",
                "Share of the run's individuals, except for the newest generation, that have no children.",
                DEAD_ENDS,
                unit="percentunit",
                size=(4, 4),
            ),
            node_graph(
                "Tree",
                f"The {SHOWN} best individuals and the chosen one with its children, each with its ancestors. Rings: green for the "
                "chosen one, blue for the front, red for failed ones. Edges show what the child gained, in the run's direction. Click a node for links.",
                NODES,
                GRAPH_EDGES,
                {
                    # Links go on columns that only nodes or only edges have: both have an `id`, and each would get the other's links.
                    "title": links(
                        ("Show this individual", to_dashboard(LINEAGE, run="$run", individual="id")),
                        ("Open the trace", to_dashboard(TRACE, trace="detail__trace_id")),
                    ),
                    "source": link("Show the parent", to_dashboard(LINEAGE, run="$run", individual="source")),
                    "target": link("Show the child", to_dashboard(LINEAGE, run="$run", individual="target")),
                    "arc__chosen": color("green"),
                    "arc__front": color("blue"),
                    "arc__failed": color("red"),
                    "arc__other": color("gray"),
                    "detail__edit": called("edit"),
                    "detail__metrics": called("metrics"),
                    "detail__trace_id": called("trace"),
                },
                size=(24, 16),
            ),
            a_table(
                "Path to the individual",
                "From the seed onwards: what each step changed, gained and cost, what the model was asked and what it answered.",
                PATH,
                {
                    "generation": width(95),
                    "individual_id": [*called("individual"), *HERE, *width(230)],
                    "mutation_type": width(120),
                    "score": signed,
                    "gain": [*signed, *limits(((None, "red"), (0, "text"), (1e-12, "green")))],
                    "cost": unit("currencyUSD", 4),
                    **UNPRICED,
                    "edit": long_text(),
                    "prompt": long_text(),
                    "response": long_text(),
                    "trace_id": [*called("trace"), *TO_TRACE],
                },
                size=(24, 10),
            ),
            scatter(
                "The path among all individuals",
                "Every individual by its generation, and the path to the chosen one.",
                [ALL_SCORES, PATH_SCORES],
                x_title="generation",
                x_unit="none",
                y_title="score",
                columns={
                    "all individuals": color("gray"),
                    "score of the path": [*color("green"), *point_size(8)],
                },
            ),
            a_table(
                "Largest gains",
                "The mutations with the largest gain over their parent: the breakthroughs.",
                BREAKTHROUGHS,
                {
                    "individual_id": [*called("individual"), *HERE],
                    "parent_id": called("parent"),
                    "generation": width(95),
                    "mutation_type": width(120),
                    "gain": signed,
                    "edit": long_text(),
                    "trace_id": [*called("trace"), *TO_TRACE],
                },
                size=(12, 10),
                empty="No individual was better than its parent.",
            ),
            a_table(
                "Its children",
                "Programs made from the chosen individual, largest gain first.",
                CHILDREN,
                {
                    "individual_id": [*called("individual"), *HERE],
                    "mutation_type": width(120),
                    "generation": width(95),
                    "status": colored(),
                    "score": signed,
                    "gain": signed,
                    "edit": long_text(),
                    "trace_id": [*called("trace"), *TO_TRACE],
                },
                size=(12, 9),
                empty="Nothing has been made from it yet.",
            ),
            a_table(
                "Most prolific parents",
                "The programs most often chosen as parents, and how their children did.",
                f"""
SELECT parent_id AS individual_id, num_children AS children, successful_children AS better, avg_improvement AS mean_gain
FROM ({named("prolific_parents", run_id=value("run"))})
""",
                {"individual_id": [*called("individual"), *HERE], "children": [], "better": [], "mean_gain": signed},
                size=(12, 9),
                empty="No individual has children.",
            ),
        ],
    )
