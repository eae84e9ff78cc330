"""*Pipeline*: whether the data is complete and up to date. In: a time range. Out: delays, rates, rows waiting for a merge, spans
whose parent never arrived, and how much is stored."""

from __future__ import annotations

from typing import Any

from genesis_otel._read import health
from genesis_otel._store.tables import STORED_IN, TABLES
from genesis_otel.attributes import ACTION_SPOOL_STATE
from genesis_otel.queries import part
from grafana.source.columns import called, colored, limits, unit, width
from grafana.source.dashboard import a_dashboard
from grafana.source.links import PIPELINE, TO_RUN, TO_TRACE
from grafana.source.panels import a_stat, a_table, over_time, row, words
from grafana.source.sql import NEWEST_ROW, RUNNING, RUNNING_RUNS, state, with_zeros
from grafana.source.targets import named
from grafana.source.variables import datasource

# The column with the time of a row's event; a run reports more than once.
HAPPENED = {table: "told_at" if table == "evolution_runs" else "timestamp" for table in TABLES}


def of_tables(select: str, where: str) -> str:
    """The UNION ALL of one SELECT per table; ``{table}``, ``{stored}`` and ``{happened}`` stand for that table's values."""
    return "\nUNION ALL\n".join(
        f"{select} FROM {STORED_IN[table]} WHERE {where}".format(
            table=table, stored=STORED_IN[table], happened=HAPPENED[table]
        )
        for table in TABLES
    )


LATE = part("lasted", "{happened}", "ingested_at")
"""Seconds from an event to its row; unknown if the row was stored before, by the clocks of two machines."""

# Only the newest rows: the part of each table that lies in the time range.
RECENT = "ingested_at >= $__fromTime AND ingested_at <= $__toTime"

# A table is late by its own pace: after three times its longest pause, and at least ten minutes. A run reports when it begins and
# ends, so nothing is expected of it in between; and nothing is late while no search is running.
FRESHNESS = f"""
SELECT
    table, rows, latest, age,
    multiIf(
        (SELECT count() FROM ({RUNNING.strip()})) = 0, 'no search runs',
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
        f" quantile(0.5)({LATE}) AS delay_p50, quantile(0.99)({LATE}) AS delay_p99",
        RECENT,
    )
})
WHERE rows > 0
ORDER BY table
"""

DELAY = f"""
SELECT $__timeInterval(ingested_at) AS time, quantile(0.5)(delay) AS p50, quantile(0.99)(delay) AS p99, max(delay) AS longest
FROM ({of_tables(f"SELECT ingested_at, {LATE} AS delay", RECENT)})
GROUP BY time
ORDER BY time
"""

RATE = with_zeros(
    f"""
    SELECT $__timeInterval(ingested_at) AS time, table, count() / $__interval_s AS rows
    FROM ({of_tables("SELECT ingested_at, '{table}' AS table", RECENT)})
    GROUP BY time, table
    """,
    "table",
)

# Of empty tables the newest row would be that of 1970.
LATEST = f"""
SELECT if(latest = 0, NULL, greatest(0, dateDiff('second', latest, now64(3)))) AS seconds
FROM (SELECT ({NEWEST_ROW.strip()}) AS latest)
"""

# Running searches by silence. What a search reports next shows whether it was the search or its spans that waited.
SILENT = f"""
SELECT run_id, task_name AS task, last_seen AS latest, silent_seconds AS silent
FROM ({state(RUNNING_RUNS)})
ORDER BY silent DESC, run_id
LIMIT 100
"""

# A parent ends after its children, so spans that ended an hour ago have their parents, unless those were lost or are still running.
ORPHANS = """
SELECT run_id, uniqExact(trace, SpanId) AS spans, min(Timestamp) AS first, any(trace) AS trace_id
FROM (
    SELECT TraceId AS trace, SpanId, Timestamp, ParentSpanId, SpanAttributes['genesis.run.id'] AS run_id
    FROM otel_traces
    WHERE $__timeFilter(Timestamp) AND Timestamp < now() - INTERVAL 1 HOUR AND ParentSpanId != ''
)
WHERE run_id != '' AND (trace, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM otel_traces WHERE $__timeFilter(Timestamp))
GROUP BY run_id
ORDER BY spans DESC
LIMIT 100
"""

TWICE = named("unmerged", since="toUnixTimestamp($__fromTime)")

SPANS = with_zeros(
    """
    SELECT $__timeInterval(Timestamp) AS time, toString(ServiceName) AS service, count() / $__interval_s AS spans
    FROM otel_traces
    WHERE $__timeFilter(Timestamp)
    GROUP BY time, service
    """,
    "service",
)

# A spool reports when something is lost, and every minute while it delivers: a month back covers every machine still in use.
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

ON_THE_SEARCH_S_MACHINE = """A spool reports over the same path as its spans. While that path is down, only the search's machine knows:

- `genesis-otel spool` lists what is waiting there, what was refused (dead letters) and what was dropped;
- `genesis-otel spool dead` gives the reasons, and `genesis-otel spool requeue` sends dead letters again;
- a collector's queue is in its own metrics: `otelcol_exporter_queue_size`, `otelcol_exporter_send_failed_spans`.

*Delay* above shows afterwards how long rows waited in a spool or a queue.
"""


def board() -> dict[str, Any]:
    """The dashboard's JSON."""
    silent = [*unit("s"), *limits(((None, "green"), (health.QUIET, "yellow"), (health.SILENT, "red")))]
    seconds = [*unit("s"), *limits(((None, "green"), (60, "yellow"), (600, "red")))]
    return a_dashboard(
        PIPELINE,
        "Pipeline",
        "Whether the data on the other dashboards is complete and up to date.",
        [datasource()],
        [
            a_stat(
                "Since the last row",
                "Seconds since ClickHouse received anything; *Freshness* shows whether that is late.",
                LATEST,
                unit="s",
                size=(4, 4),
                empty="Nothing yet",
            ),
            a_stat(
                "Delay p99",
                "From an event to its row being queryable; 99 % of the rows in the time range were faster.",
                f"SELECT maxOrNull(delay_p99) FROM ({FRESHNESS})",
                unit="s",
                steps=((None, "green"), (60, "yellow"), (600, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Duplicate rows",
                "Rows of the time range that were delivered again and are not yet merged. FINAL excludes them, and a merge does "
                "after ten quiet minutes.",
                f"SELECT sum(again) FROM ({TWICE})",
                steps=((None, "green"), (1, "yellow")),
                size=(4, 4),
            ),
            a_stat(
                "Silent searches",
                f"Searches that are running but have sent nothing for {health.SILENT // 60} minutes. One that has been silent for a day counts as dead.",
                f"SELECT countIf(silent > {health.SILENT}) AS silent FROM ({SILENT})",
                steps=((None, "green"), (1, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Waiting",
                "Spans in the spools of the machines that run searches, as of their last report.",
                f"SELECT sum(waiting) FROM ({SPOOLS})",
                steps=((None, "green"), (10_000, "yellow"), (1_000_000, "red")),
                size=(4, 4),
            ),
            a_stat(
                "Refused or lost",
                "Spans in dead letters and dropped spans, over the spools below.",
                f"SELECT sum(dead_letters + dropped) FROM ({SPOOLS})",
                steps=((None, "green"), (1, "red")),
                size=(4, 4),
            ),
            a_table(
                "Freshness",
                "Rows of the time range per table, the latest of them, and how long they took to get here from the search.",
                FRESHNESS,
                {
                    "table": width(140),
                    "rows": width(75),
                    "latest": width(195),
                    "age": [*unit("s"), *width(90)],
                    "state": [*colored({"fresh": "green", "late": "red"}), *width(130)],
                    "delay_p50": [*seconds, *width(95)],
                    "delay_p99": [*seconds, *width(95)],
                },
                size=(14, 9),
                empty="Nothing arrived in this time range.",
            ),
            a_table(
                "Running searches by silence",
                "Longest silent first, without those that have been silent for a day.",
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
            over_time("Rows per second", "Rows received, by table.", RATE, name="${__field.labels.table}", minimum=0),
            over_time(
                "Spans per second",
                "Raw spans, by the service that sent them.",
                SPANS,
                name="${__field.labels.service}",
                minimum=0,
            ),
            a_table(
                "Spans without a parent",
                "Spans that ended an hour ago or more and whose parent is not here: it was lost, is still running, or lies before "
                "the time range.",
                ORPHANS,
                {"run_id": [*called("run"), *TO_RUN], "trace_id": [*called("trace"), *TO_TRACE]},
                size=(12, 8),
                empty="Every span has its parent.",
            ),
            row("Spool and dead letters"),
            a_table(
                "Spools",
                "For each machine that runs searches: how many spans were waiting at its last report, were refused (dead letters) "
                "or were lost.",
                SPOOLS,
                {
                    "bytes": unit("bytes"),
                    "oldest_seconds": [*unit("s"), *called("oldest")],
                    "told_at": [*called("last report"), *width(170)],
                    "dead_letters": limits(((None, "green"), (1, "red"))),
                    "dropped": limits(((None, "green"), (1, "red"))),
                },
                size=(24, 7),
                empty="No spool has reported yet: the first report comes after a minute of recording, or at once when something is lost.",
            ),
            over_time(
                "Waiting in spools",
                "Spans waiting for ClickHouse or the collector. A line that rises and falls was an outage; one that only rises "
                "means delivery is too slow.",
                WAITING,
                name="${__field.labels.spool}",
                minimum=0,
                empty="No spool has reported in this time range.",
            ),
            words("What only the search's machine knows", ON_THE_SEARCH_S_MACHINE, (12, 8)),
            row("Stored"),
            a_table(
                "Rows waiting for a merge",
                "How many rows each table received in the time range, and how many of them are duplicates.",
                TWICE,
                {"again": limits(((None, "green"), (1, "yellow")))},
                size=(8, 9),
            ),
            a_table(
                "Storage",
                "Per table. The data source's user needs `GRANT SELECT ON system.parts`.",
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
