"""SQL shared by several dashboards. In: conditions. Out: text; no query is run here.

Which individual is best, what a run costs and what its status is are defined in `genesis_otel/sql/parts`, which the command uses, too.
"""

from __future__ import annotations

from genesis_otel._read.health import STALLED
from genesis_otel._store.tables import STORED_IN
from genesis_otel.queries import part
from grafana.source.targets import value
from grafana.source.variables import IN_TIME, OF_TASK

THIS_RUN = f"run_id = {value('run')}"
"""The one run of a dashboard."""

BUCKET = f"""assumeNotNull((
    SELECT greatest(1, intDiv(dateDiff('second', min(at), max(at)), 300))
    FROM (
        SELECT timestamp AS at FROM individuals WHERE {THIS_RUN}
        UNION ALL SELECT timestamp FROM llm_logs WHERE {THIS_RUN}
        UNION ALL SELECT timestamp FROM generations WHERE {THIS_RUN}
    )
))"""
"""Seconds of an interval on a chart over the life of the run: about 300 of them, whatever its length; a browser need not draw more."""

RATE_LIMITED = "match(error, '(?i)rate.?limit|too many requests|overloaded|quota|\\\\b429\\\\b')"
"""Calls that a provider rejected for lack of capacity or quota."""

TRUNCATED = "match(finish_reason, '(?i)length|max.?tokens')"
"""Answers truncated by the token limit: `length`, `max_tokens`, `MAX_TOKENS`, `max_output_tokens`."""

TOOK = part("took", "llm_logs.execution_time")
"""How long a call took, in seconds, or NULL: percentiles, means and sums are of the calls whose duration is known, or NULL."""

FIRST_TOKEN = part("took", "llm_logs.time_to_first_token")
"""How long a call's first token took, or NULL."""

SPAN_TOOK, SPAN_BEGAN = part("span_took", "1"), part("span_began")
"""How many nanoseconds a raw span took, or NULL, also for records of a moment; and when it began, as far as that is known. Neither reads
the span's attributes, which have the programs."""

LATEST = part("latest")
"""Decides which of the rows of an individual counts: the one for which this is greatest."""

EDGE_ORDER = part("edge_order")
"""The order of the edges of a child: its first parent first."""

COPIED = part("copied")
"""Individuals that are mere copies moved elsewhere."""

PLANNED = part("planned")
"""Number of generations that a run's configuration asks for; 0 if it does not say."""

_AT_LEAST = (
    "(SELECT greatest((SELECT max(ingested_at) FROM evolution_runs_log), (SELECT max(ingested_at) FROM generations)))"
)
NEWEST_ROW = f"""
SELECT max(latest)
FROM (
{" UNION ALL ".join(f"SELECT max(ingested_at) AS latest FROM {table} WHERE ingested_at >= {_AT_LEAST}" for table in STORED_IN.values())}
)
"""
"""When the newest row of any table arrived. It is no older than the newest row of the two smallest tables, which lets an index skip older ones."""

RUNNING = f"""
SELECT run_id
FROM evolution_runs
WHERE status = 'running' AND run_id IN (SELECT run_id FROM ({part("signs")}) WHERE at > now64(3) - INTERVAL 1 DAY)
"""
"""The searches that are running. One that was killed stays `running` for ever: a day after its last sign of life it is no longer news."""

RUNNING_RUNS = f"run_id IN (SELECT arrayJoin((SELECT groupArray(run_id) FROM ({RUNNING.strip()}))))"
"""They, as a condition on the sort key; a scalar for the same reason as `ALIVE_RUNS`."""

IN_RANGE = f"""
FROM evolution_runs
WHERE {OF_TASK} AND {IN_TIME}
"""
"""The runs of the chosen tasks that were alive in the time range."""

MOST_RUNS = 100
"""How many of these are shown, the newest: a table and a legend stay readable, and a refresh stays quick."""

_ALIVE = f"SELECT run_id {IN_RANGE.strip()} ORDER BY start_time DESC, run_id LIMIT {MOST_RUNS}"

ALIVE_RUNS = f"run_id IN (SELECT arrayJoin((SELECT groupArray(run_id) FROM ({_ALIVE}))))"
"""A condition on a table's sort key. A query repeats it up to a dozen times: ClickHouse evaluates identical scalar subqueries once, but
analyses each repetition of any other subquery, which took a third of the time of *Runs*."""


FOLDED = part("folded")
"""Runs, each in one row, for queries that join them with anything."""

SUCCESS = part("success")
"""How often children beat a parent, as the columns `pairs` and `beaten` over rows of `edges`."""


def with_zeros(rates: str, by: str) -> str:
    """Rates by time and by a text column, which are 0 in the intervals in which nothing happened, from the first of a series to its last: without
    a point, a line would go on as high as before."""
    return f"""
SELECT *
FROM (
{rates.strip()}
    ORDER BY {by}, time WITH FILL STEP $__interval_s
)
ORDER BY time
"""


NOBODY = "[]"
"""The runs whose process is known to be alive: a dashboard cannot tell."""


def state(where: str) -> str:
    """Runs with their current status, including `stalled`."""
    return part("state", where, str(STALLED), NOBODY)


def climb(where: str) -> str:
    """Individuals in the order in which they finished, with the best so far."""
    return part("climb", where)


def programs(where: str) -> str:
    """Individuals, each once."""
    return part("programs", where)


def found(where: str) -> str:
    """What each run has found."""
    return part("found", where)


def steps(where: str) -> str:
    """What each generation has found."""
    return part("steps", where)


def edges(where: str) -> str:
    """Edges from parents to children, with gains."""
    return part("edges", where)


def spent(where: str) -> str:
    """What runs paid, row by row."""
    return part("spent", where)


def spent_so_far(where: str) -> str:
    """What runs had paid by when."""
    return part("spent_so_far", where)


def cost(where: str) -> str:
    """What each run cost, and how many of its calls have no price."""
    return part("cost", where)


def burn(where: str, otherwise: str) -> str:
    """How runs spend their money; ``otherwise`` is the budget of runs without one of their own."""
    return part("burn", where, str(STALLED), NOBODY, otherwise)


def spent_on(where: str) -> str:
    """What runs paid, and for what."""
    return part("spent_on", where)


def jobs(where: str) -> str:
    """Evaluation jobs, each once."""
    return part("jobs", where)


def earned(where: str) -> str:
    """What money bought, by model and by mutation type."""
    return part("earned", where)


def front(where: str) -> str:
    """The front of each generation, each member once."""
    return part("front", where)


def over_budget(cost: str, allowed: str) -> str:
    """Whether a cost is more than a budget; not without one. Whatever a budget of 0 has cost is over it."""
    return f"ifNull({part('share', cost, allowed)} > 1, {allowed} IS NOT NULL AND {cost} > 0)"


COST_OF_EACH = part("cost_of_each", THIS_RUN)
"""What the one run paid for each individual."""

LATEST_FRONT = front(f"{THIS_RUN} AND generation = (SELECT max(generation) FROM pareto_fronts WHERE {THIS_RUN})")
"""The current front of the one run, without what `pareto_latest` says of its members, which takes ClickHouse longer to analyse."""


def objectives(where: str, but: str) -> str:
    """Possible axes: every metric of the runs' fronts, then the two scores; and each with its direction, as far as all runs agree on it."""
    return f"""
WITH (SELECT groupArray((direction, objectives)) FROM ({FOLDED}) WHERE {where}) AS told
SELECT
    name,
    concat(name, multiIf(ways = ['max'], ' (higher is better)', ways = ['min'], ' (lower is better)', ' (direction unknown)')) AS title
FROM (
    SELECT
        name, min(rank) AS place,
        arrayDistinct(arrayMap(one -> if(name = 'fitness_score', one.1, one.2[name]), told)) AS ways
    FROM (
        SELECT arrayJoin(JSONExtractKeys(metrics)) AS name, 0 AS rank
        FROM (SELECT metrics FROM pareto_fronts WHERE {where} ORDER BY generation DESC LIMIT 100)
        UNION ALL
        SELECT arrayJoin(['fitness_score', 'combined_score']), 1
    )
    WHERE name != {but}
    GROUP BY name
)
ORDER BY place, name
"""


def value_of(axis: str) -> str:
    """A front member's value on an axis, given the variable that names the axis."""
    name = value(axis)
    metric = f"if(isFinite(JSONExtractFloat(metrics, {name})), JSONExtract(metrics, {name}, 'Nullable(Float64)'), NULL)"
    return f"multiIf({name} = 'fitness_score', fitness_score, {name} = 'combined_score', combined_score, {metric})"
