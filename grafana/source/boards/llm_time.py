"""Where the time of a generation goes: waiting, model, evaluation and the search itself.

In: the newest of the runs chosen on *LLM latency and cost*, and its raw spans, for as long as they are kept. Out: a folded row of panels.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders

from grafana.source.columns import color
from grafana.source.panels import bars, by_number, folded
from grafana.source.sql import SPAN_TOOK, TOOK
from grafana.source.variables import newest

# A moment of a generation is divided equally among the individuals alive in it: for some of them it is evaluation, for some
# a model's answer, for the others waiting (a queue, a pause after a rate limit, the search's own work on them). If none
# is alive and the generation has begun, it is the search itself. So the four parts add up to the generation's time.
WHERE_TIME_GOES = f"""
WITH
    {newest(1)} AS the_run,
    (SELECT min(start_time) - INTERVAL 1 HOUR FROM evolution_runs WHERE run_id = the_run) AS began,
    (SELECT greatest(max(timestamp), now64(3) - INTERVAL 30 DAY) FROM individuals WHERE run_id = the_run) AS ended,
    traces AS (
        SELECT trace_id, max(generation) AS generation
        FROM individuals
        WHERE run_id = the_run AND trace_id != ''
        GROUP BY trace_id
    ),
    changes AS (
        SELECT
            TraceId AS trace,
            arrayJoin([(Timestamp, 1), (Timestamp + toIntervalNanosecond(took), -1)]) AS change,
            SpanName = 'generation' AS of_generation,
            SpanName = 'individual' AS of_individual,
            SpanName = 'evaluation' AS of_evaluation,
            0 AS of_model
        FROM (
            SELECT DISTINCT TraceId, SpanId, SpanName, Timestamp, assumeNotNull({SPAN_TOOK}) AS took
            FROM otel_traces
            WHERE SpanName IN ('generation', 'individual', 'evaluation') AND Timestamp BETWEEN began AND ended
                AND TraceId IN (SELECT trace_id FROM traces) AND {SPAN_TOOK} IS NOT NULL
        )
        UNION ALL
        SELECT
            trace_id,
            arrayJoin([
                (toDateTime64(timestamp, 9), 1),
                (toDateTime64(timestamp, 9) + toIntervalMillisecond(toInt64(execution_time * 1000)), -1)
            ]),
            0, 0, 0, 1
        FROM llm_logs FINAL
        WHERE run_id = the_run AND {TOOK} IS NOT NULL
    ),
    moments AS (
        SELECT
            trace,
            change.1 AS moment,
            sum(change.2 * of_generation) AS generation_change,
            sum(change.2 * of_individual) AS individual_change,
            sum(change.2 * of_evaluation) AS evaluation_change,
            sum(change.2 * of_model) AS model_change
        FROM changes
        GROUP BY trace, moment
    ),
    states AS (
        SELECT
            trace,
            dateDiff('microsecond', moment, leadInFrame(moment, 1, moment) OVER whole) / 1e6 AS seconds,
            sum(generation_change) OVER running AS generations,
            sum(individual_change) OVER running AS individuals,
            sum(evaluation_change) OVER running AS evaluations,
            sum(model_change) OVER running AS calls,
            greatest(individuals, evaluations + calls) AS alive
        FROM moments
        WINDOW
            running AS (PARTITION BY trace ORDER BY moment),
            whole AS (PARTITION BY trace ORDER BY moment ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    )
SELECT
    t.generation AS generation,
    sumIf(s.seconds * s.calls / s.alive, s.alive > 0) AS model,
    sumIf(s.seconds * s.evaluations / s.alive, s.alive > 0) AS evaluation,
    sumIf(s.seconds * (s.alive - s.calls - s.evaluations) / s.alive, s.alive > 0) AS waiting,
    sumIf(s.seconds, s.alive = 0 AND s.generations > 0) AS "the search itself"
FROM states AS s
INNER JOIN traces AS t ON t.trace_id = s.trace
GROUP BY generation
ORDER BY generation
"""

SHARES = f"""
SELECT
    arrayJoin([('model', sum(model)), ('evaluation', sum(evaluation)), ('waiting', sum(waiting)), ('the search itself', sum(`the search itself`))]) AS part,
    part.1 AS what,
    part.2 AS seconds
FROM ({WHERE_TIME_GOES})
"""


def panels() -> builders.Row:
    """The folded row."""
    return folded(
        "Where the time of a generation goes",
        by_number(
            "Where the time goes",
            "For the newest of the chosen runs. Each moment of a generation is divided among the individuals alive in it: "
            "a model is answering, an evaluation is running, or the individual is waiting (for a worker, after a rate "
            "limit). Calls and evaluations of unknown duration are not in it. Moments without an individual count as the search itself. The parts add up to the generation's time. "
            "Read from the raw spans, for as long as they are kept.",
            WHERE_TIME_GOES,
            "generation",
            size=(18, 9),
            unit="s",
            stacked=True,
            columns={
                "model": color("blue"),
                "evaluation": color("green"),
                "waiting": color("yellow"),
                "the search itself": color("purple"),
            },
            empty="No spans of this run in the time range.",
        ),
        bars(
            "All generations",
            "Seconds that each part took over that run.",
            f"SELECT what, seconds FROM ({SHARES}) ORDER BY seconds DESC",
            size=(6, 9),
            unit="s",
        ),
    )
