"""*Pipeline*: whether what is shown is whole and fresh. In: a time range. Out: delays, rates, what waits for a merge, spans
whose parent never came, and how much is stored."""

from __future__ import annotations

from typing import Any

from genesis_otel._read import health
from genesis_otel._store.tables import STORED_IN, TABLES
from genesis_otel.attributes import ACTION_SPOOL_STATE
from grafana.source import panels
from grafana.source.panels import (
    PIPELINE,
    TO_RUN,
    TO_TRACE,
    a_dashboard,
    a_stat,
    a_table,
    called,
    colored,
    limits,
    named,
    over_time,
    row,
    unit,
    width,
    words,
)
from grafana.source.sql import NEWEST_ROW, state

# When a row's matter happened; a run tells of itself more than once.
HAPPENED = {table: "told_at" if table == "evolution_runs" else "timestamp" for table in TABLES}


def of_tables(select: str, where: str) -> str:
    """One SELECT over each of the seven tables, joined; ``{table}``, ``{stored}`` and ``{happened}`` stand for its own."""
    return "\nUNION ALL\n".join(
        f"{select} FROM {STORED_IN[table]} WHERE {where}".format(
            table=table, stored=STORED_IN[table], happened=HAPPENED[table]
        )
        for table in TABLES
    )


# From the newest rows alone: the part of each table that the time range names.
RECENT = "ingested_at >= $__fromTime AND ingested_at <= $__toTime"

# A table is late by its own rhythm: three times the longest pause that it had, and ten minutes at least. A run tells of itself when it
# begins and ends, so that nothing is expected of it between; and nothing is late while no search runs.
FRESHNESS = f"""
SELECT
    table, rows, latest, age,
    multiIf(
        (SELECT count() FROM evolution_runs WHERE status = 'running') = 0, 'no search runs',
        table = 'evolution_runs', 'at begin and end',
        age > greatest({health.SILENT}, 3 * pause), 'late',
        'fresh'
    ) AS state,
    delay_p50, delay_p99
FROM ({
    of_tables(
        "SELECT '{table}' AS table, count() AS rows, max(ingested_at) AS latest,"
        " greatest(0, dateDiff('second', latest, now64(3))) AS age,"
        " arrayMax(arrayDifference(arraySort(groupUniqArray(toUnixTimestamp(ingested_at))))) AS pause,"
        " quantile(0.5)(greatest(0, dateDiff('millisecond', {happened}, ingested_at)) / 1000) AS delay_p50,"
        " quantile(0.99)(greatest(0, dateDiff('millisecond', {happened}, ingested_at)) / 1000) AS delay_p99",
        RECENT,
    )
})
WHERE rows > 0
ORDER BY table
"""

DELAY = f"""
SELECT $__timeInterval(ingested_at) AS time, quantile(0.5)(delay) AS p50, quantile(0.99)(delay) AS p99, max(delay) AS longest
FROM ({
    of_tables(
        "SELECT ingested_at, greatest(0, dateDiff('millisecond', {happened}, ingested_at)) / 1000 AS delay", RECENT
    )
})
GROUP BY time
ORDER BY time
"""

RATE = f"""
SELECT $__timeInterval(ingested_at) AS time, table, count() / $__interval_s AS rows
FROM ({of_tables("SELECT ingested_at, '{table}' AS table", RECENT)})
GROUP BY time, table
ORDER BY time
"""

LATEST = f"SELECT greatest(0, dateDiff('second', ({NEWEST_ROW.strip()}), now64(3)))"

# A running search that has been silent. What it tells next shows whether it waited or its spans did.
SILENT = f"""
SELECT run_id, task_name AS task, last_seen AS latest, silent_seconds AS silent
FROM ({state("run_id IN (SELECT run_id FROM evolution_runs WHERE status = 'running')")})
ORDER BY silent DESC, run_id
LIMIT 100
"""

# A parent ends after its children, so what has ended an hour ago has its parents, unless they were lost or still go on.
ORPHANS = """
SELECT run_id, count() AS spans, min(Timestamp) AS first, any(trace) AS trace_id
FROM (
    SELECT TraceId AS trace, Timestamp, ParentSpanId, SpanAttributes['genesis.run.id'] AS run_id
    FROM otel_traces
    WHERE $__timeFilter(Timestamp) AND Timestamp < now() - INTERVAL 1 HOUR AND ParentSpanId != ''
)
WHERE run_id != '' AND (trace, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM otel_traces WHERE $__timeFilter(Timestamp))
GROUP BY run_id
ORDER BY spans DESC
LIMIT 100
"""

TWICE = named("unmerged", since="toUnixTimestamp($__fromTime)")

SPANS = """
SELECT $__timeInterval(Timestamp) AS time, toString(ServiceName) AS service, count() / $__interval_s AS spans
FROM otel_traces
WHERE $__timeFilter(Timestamp)
GROUP BY time, service
ORDER BY time
"""

# A spool tells when something is lost, and a minute apart while it delivers: a month back is every machine that still searches.
SPOOLS = named("spools", since="toUnixTimestamp(now() - INTERVAL 30 DAY)")

WAITING = f"""
SELECT $__timeInterval(timestamp) AS time, concat(JSONExtractString(details, 'host'), ' ', JSONExtractString(details, 'folder')) AS spool,
    max(JSONExtractUInt(details, 'waiting')) AS waiting
FROM agent_actions
WHERE run_id = '' AND action_type = '{ACTION_SPOOL_STATE}' AND $__timeFilter(timestamp)
GROUP BY time, spool
ORDER BY time
"""

STORAGE = """
SELECT
    table,
    sum(rows) AS rows,
    sum(bytes_on_disk) AS on_disk,
    sum(data_uncompressed_bytes) AS uncompressed,
    uncompressed / nullIf(on_disk, 0) AS ratio,
    count() AS parts
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table
ORDER BY on_disk DESC
"""

ON_THE_SEARCH_S_MACHINE = """A spool tells of itself through the way that its spans take. While that way is closed, only the machine of the search knows:

- `genesis-otel spool` lists what waits there, what was refused (dead letters) and what was dropped;
- `genesis-otel spool dead` gives the reasons, and `genesis-otel spool requeue` sends dead letters again;
- a collector's queue is in its own metrics: `otelcol_exporter_queue_size`, `otelcol_exporter_send_failed_spans`.

*Delay* above says afterwards how long rows have waited in a spool or a queue.
"""


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    silent = [*unit("s"), *limits(((None, "green"), (health.QUIET, "yellow"), (health.SILENT, "red")))]
    seconds = [*unit("s"), *limits(((None, "green"), (60, "yellow"), (600, "red")))]
    return a_dashboard(
        PIPELINE,
        "Pipeline",
        "Whether what the other dashboards show is whole and fresh.",
        [panels.datasource()],
        [
            a_stat(
                "Since the last row",
                "Seconds since ClickHouse got anything; whether that is late says *Freshness*.",
                LATEST,
                unit="s",
                size=(4, 4),
            ),
            a_stat(
                "Delay p99",
                "From when something happened to when it could be asked for; 99 of 100 rows of the time range were faster.",
                f"SELECT max(delay_p99) FROM ({FRESHNESS})",
                unit="s",
                steps=((None, "green"), (60, "yellow"), (600, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Rows twice",
                "Of the rows of the time range: delivered again, and not merged away yet. FINAL leaves them out, and ten quiet minutes do.",
                f"SELECT sum(again) FROM ({TWICE})",
                steps=((None, "green"), (1, "yellow")),
                size=(4, 4),
            ),
            a_stat(
                "Silent searches",
                f"Running, and nothing of them has come for {health.SILENT // 60} minutes.",
                f"SELECT countIf(silent > {health.SILENT}) AS silent FROM ({SILENT})",
                steps=((None, "green"), (1, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Waiting",
                "Spans in the spools of the searches' machines, by their last word.",
                f"SELECT sum(waiting) FROM ({SPOOLS})",
                steps=((None, "green"), (10_000, "yellow"), (1_000_000, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Refused or lost",
                "Spans among the dead letters, and spans that were dropped, of the spools below.",
                f"SELECT sum(dead_letters + dropped) FROM ({SPOOLS})",
                steps=((None, "green"), (1, "red")),
                size=(4, 4),
            ),
            a_table(
                "Freshness",
                "Rows of the time range in each table, the latest of them, and how long they took from the search to here.",
                FRESHNESS,
                {
                    "table": width(140),
                    "rows": width(75),
                    "latest": width(170),
                    "age": [*unit("s"), *width(90)],
                    "state": [*colored({"fresh": "green", "late": "red"}), *width(130)],
                    "delay_p50": [*seconds, *width(95)],
                    "delay_p99": [*seconds, *width(95)],
                },
                size=(14, 9),
                empty="Nothing has come in this time range.",
            ),
            a_table(
                "Running searches by silence",
                "The one that has been silent longest first.",
                SILENT,
                {
                    "run_id": [*called("run"), *TO_RUN, *width(230)],
                    "task": width(130),
                    "latest": width(170),
                    "silent": [*silent, *width(90)],
                },
                size=(10, 9),
                empty="No search is running.",
            ),
            over_time("Delay", "Seconds from an event to its row.", DELAY, unit="s", minimum=0),
            over_time("Rows per second", "What came in, by table.", RATE, name="${__field.labels.table}", minimum=0),
            over_time(
                "Spans per second",
                "Raw spans by the service that sent them.",
                SPANS,
                name="${__field.labels.service}",
                minimum=0,
            ),
            a_table(
                "Spans without their parent",
                "Ended an hour ago or more, and their parent is not here: it was lost, or still goes on, or lies before the time range.",
                ORPHANS,
                {"run_id": [*called("run"), *TO_RUN], "trace_id": [*called("trace"), *TO_TRACE]},
                size=(12, 8),
                empty="Every span has its parent.",
            ),
            row("Spool and dead letters"),
            a_table(
                "Spools",
                "For each machine that runs searches: how many spans waited at its last report, were refused (dead letters) or were lost.",
                SPOOLS,
                {
                    "bytes": unit("bytes"),
                    "oldest_seconds": [*unit("s"), *called("oldest")],
                    "told_at": [*called("last report"), *width(170)],
                    "dead_letters": limits(((None, "green"), (1, "red"))),
                    "dropped": limits(((None, "green"), (1, "red"))),
                },
                size=(24, 7),
                empty="No spool has reported yet: it does after a minute of recording, and at once when something is lost.",
            ),
            over_time(
                "Waiting in spools",
                "Spans that waited for ClickHouse or the collector. A line that rises and falls was an outage; one that only rises is too slow a way.",
                WAITING,
                name="${__field.labels.spool}",
                minimum=0,
                empty="No spool has reported in this time range.",
            ),
            words("What only its machine knows", ON_THE_SEARCH_S_MACHINE, (12, 8)),
            row("Stored"),
            a_table(
                "Rows that wait for a merge",
                "How many rows came to each table in the time range, and how many of them twice.",
                TWICE,
                {"again": limits(((None, "green"), (1, "yellow")))},
                size=(8, 9),
            ),
            a_table(
                "Storage",
                "Of each table. The user of the data source has to be allowed to: `GRANT SELECT ON system.parts`.",
                STORAGE,
                {
                    "on_disk": [*called("on disk"), *unit("bytes")],
                    "uncompressed": unit("bytes"),
                    "ratio": unit("short", 1),
                },
                size=(16, 9),
            ),
        ],
        since="now-3h",
        refresh="1m",
    )
