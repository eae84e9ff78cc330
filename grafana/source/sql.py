"""SQL that more than one dashboard builds on, once each. In: conditions. Out: text; nothing is asked here."""

from __future__ import annotations

from grafana.source.panels import OF_TASK, value

THIS_RUN = f"run_id = {value('run')}"
"""The one run of a dashboard."""

SCORED = "status = 'ok' AND isFinite(fitness_score)"
"""Individuals with a score that counts."""

RATE_LIMITED = "match(error, '(?i)rate.?limit|too many requests|overloaded|quota|\\\\b429\\\\b')"
"""Calls that a provider turned away for want of room."""

ALIVE = f"""
SELECT run_id, task_name, status, start_time, end_time, config
FROM evolution_runs
WHERE {OF_TASK} AND start_time <= $__toTime AND (status = 'running' OR end_time >= $__fromTime)
ORDER BY start_time DESC, run_id
LIMIT 200
"""
"""The runs of the chosen tasks that were alive in the time range; the newest 200, that a table and a legend stay readable."""

ALIVE_RUNS = f"run_id IN (SELECT run_id FROM ({ALIVE.strip()}))"

PLANNED = (
    "greatest(JSONExtractInt(config, 'evolution', 'num_generations'), JSONExtractInt(config, 'evo_config', 'num_generations'),"
    " JSONExtractInt(config, 'num_generations'), JSONExtractInt(config, 'max_iterations'))"
)
"""Generations that a run's configuration asks for, as Genesis, ShinkaEvolve and OpenEvolve call it; 0 where none of them does."""


def spent(where: str) -> str:
    """What runs paid, row by row: their LLM calls, or their individuals where no call of theirs has a cost."""
    return f"""
    SELECT run_id, generation, timestamp, cost
    FROM llm_logs
    WHERE {where} AND cost > 0
    UNION ALL
    SELECT run_id, generation, timestamp, api_cost + embed_cost + novelty_cost AS cost
    FROM individuals
    WHERE {where} AND run_id NOT IN (SELECT run_id FROM llm_logs WHERE {where} AND cost > 0)
"""


def climb(where: str) -> str:
    """The best score so far of each run in each generation, and whether that generation improved it."""
    return f"""
    SELECT
        run_id, generation, so_far,
        so_far > lagInFrame(so_far, 1, so_far) OVER (PARTITION BY run_id ORDER BY generation) AS improved
    FROM (
        SELECT run_id, generation, max(best) OVER (PARTITION BY run_id ORDER BY generation) AS so_far
        FROM (
            SELECT run_id, generation, maxOrNullIf(fitness_score, {SCORED}) AS best
            FROM individuals
            WHERE {where}
            GROUP BY run_id, generation
        )
    )
"""


SINCE_IMPROVEMENT = "max(generation) - greatest(maxIf(generation, improved), min(generation))"
"""Of a climb: generations without a better program."""
