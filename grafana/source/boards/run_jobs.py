"""What a run is doing: its jobs and workers, its actions, and what fails.

In: the run of the dashboard *Run*. Out: a folded row of its panels.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders

from genesis_otel.queries import part
from grafana.source.columns import called, color, limits, long_text, unit, width
from grafana.source.links import TO_LINEAGE, TO_TRACE
from grafana.source.panels import a_table, folded, over_time
from grafana.source.sql import BUCKET, THIS_RUN, jobs
from grafana.source.targets import named, value

OF_JOBS = f"{THIS_RUN} AND action_type IN ('job_submitted', 'job_completed', 'job_failed')"

# Also the intervals in which nothing happened: a step would go on as high as before. So these are about 300 over the life of the jobs.
# A job that is submitted again while it runs was left behind by a process that was killed, and one that ends without running was
# submitted by one whose word is missing: neither changes how many are running.
JOBS_OVER_TIME = f"""
WITH assumeNotNull((SELECT greatest(1, intDiv(dateDiff('second', min(timestamp), max(timestamp)), 300)) FROM agent_actions WHERE {OF_JOBS})) AS seconds
SELECT time, sum(delta) OVER (ORDER BY time) AS running, completed, failed
FROM (
    SELECT
        toStartOfInterval(at, toIntervalSecond(seconds)) AS time,
        sum(if(kind = 'job_submitted', 1, 0) - if(before = 'job_submitted', 1, 0)) AS delta,
        countIf(kind = 'job_completed') AS completed,
        countIf(kind = 'job_failed') AS failed
    FROM (
        SELECT
            timestamp AS at, toString(action_type) AS kind,
            lagInFrame(kind) OVER (PARTITION BY {part("job")} ORDER BY timestamp, kind != 'job_submitted') AS before
        FROM agent_actions FINAL
        WHERE {OF_JOBS}
    )
    GROUP BY time
    ORDER BY time WITH FILL STEP toIntervalSecond(seconds)
)
ORDER BY time
"""

EVALUATION_TIME = f"""
SELECT
    toStartOfInterval(ended, toIntervalSecond({BUCKET})) AS time,
    quantile(0.5)(seconds) AS p50, quantile(0.95)(seconds) AS p95, quantile(0.99)(seconds) AS p99
FROM ({jobs(THIS_RUN)})
WHERE seconds IS NOT NULL
GROUP BY time
ORDER BY time
"""

# The job seconds in a bucket divided by its length: the mean number of concurrent jobs. There are about 300 buckets over the life of the
# jobs, which is not that of the individuals in `BUCKET`: the first evaluation may take an hour. Jobs that have not ended last until now,
# if nothing came for a day until the last sign of life, and if the run has ended until their submission: nothing more is known of them.
# One of unknown duration is in none.
WORKERS = f"""
SELECT
    bucket AS time,
    sum(greatest(0, dateDiff('millisecond', greatest(began, bucket), least(until, bucket + toIntervalSecond(width))))) / 1000 / any(width) AS busy
FROM (
    SELECT
        began, until, width, intDiv(toUnixTimestamp64Milli(began), 1000 * width) AS first, intDiv(toUnixTimestamp64Milli(until), 1000 * width) AS last,
        fromUnixTimestamp64Milli(1000 * width * arrayJoin(range(first, greatest(first, last) + 1))) AS bucket
    FROM (
        SELECT
            began, until,
            greatest(1, intDiv(dateDiff('second', min(began) OVER (), max(until) OVER ()), 300)) AS width
        FROM (
            SELECT
                if(ended IS NOT NULL AND seconds IS NULL, assumeNotNull(ended), submitted) AS began,
                (SELECT max(at) FROM ({part("signs")}) WHERE {THIS_RUN}) AS seen,
                ifNull(ended, multiIf(
                    (SELECT any(status) FROM evolution_runs WHERE {THIS_RUN}) NOT IN ('', 'running'), began,
                    seen > now64(3) - INTERVAL 1 DAY, now64(3),
                    greatest(began, assumeNotNull(seen))
                )) AS until
            FROM ({jobs(THIS_RUN)})
        )
    )
)
GROUP BY time
ORDER BY time
"""

QUEUE = f"""
SELECT job, individual_id, generation, submitted, seconds AS waits
FROM ({named("running_jobs", run_id=value("run"), limit="200")})
ORDER BY submitted
"""

ACTIONS = f"""
SELECT toStartOfInterval(timestamp, toIntervalSecond({BUCKET})) AS time, toString(action_type) AS action, count() AS actions
FROM agent_actions FINAL
WHERE {THIS_RUN}
GROUP BY time, action
ORDER BY time
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


def panels() -> builders.Row:
    """The folded row."""
    return folded(
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
                "individual_id": [*called("individual"), *TO_LINEAGE],
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
                "individual_id": [*called("individual"), *TO_LINEAGE],
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
                "individual_id": [*called("individual"), *TO_LINEAGE],
                "trace_id": [*called("trace"), *TO_TRACE],
            },
            size=(24, 8),
            empty="No evaluation output was recorded.",
        ),
    )
