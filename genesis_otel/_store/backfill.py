"""Fills the seven tables with what the landing table held before the views were attached to it.

In: a client whose database has the views (``schema.init_schema``). Out: the missing rows, inserted a few hours of spans at a
time, with a report after each. A row's identity is its span: rows that the views or an earlier call have already written are
skipped, so a backfill can be interrupted and repeated. On failure: what ClickHouse raises; what was inserted before stays, and the
next call continues from there.

The rows come from the views' own SELECT, read from ``sql/``: there is only one mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from genesis_otel import attributes as names
from genesis_otel._log import first_line
from genesis_otel._store import landing
from genesis_otel._store.errors import StoreError
from genesis_otel._store.present import MARK, TRACE_TIMES, Existing, existing
from genesis_otel._store.tables import IDENTITY, LANDING, STORED_IN, TABLES, TOLD_AGAIN, rows_of, select_of

# Integers rather than times: local hours repeat in autumn, and toStartOfHour ends in 2106.
HOURS = """
    SELECT intDiv(toUnixTimestamp64Nano(Timestamp), 3600000000000) AS hour, count() AS spans, groupUniqArray({run_of}) AS runs
    FROM {source}
    WHERE {of_a_search}
    GROUP BY hour
    ORDER BY hour
"""
RUN_OF = f"if(SpanAttributes['{names.RUN_ID}'] != '', SpanAttributes['{names.RUN_ID}'], ResourceAttributes['{names.RUN_ID}'])"

IN_STRETCH = "Timestamp >= toDateTime64({begin:Int64}, 9) AND Timestamp < toDateTime64({end:Int64}, 9)"

SPANS = 200_000
"""Maximum spans of searches per stretch, unless a single hour has more: keeps a statement to seconds, not minutes."""

SETTINGS: dict[str, Any] = {
    # Rows are deduplicated by span here; a block that happens to equal an earlier one must not be dropped.
    "insert_deduplicate": 0,
    "throw_on_max_partitions_per_insert_block": 0,
}


class Stretch(NamedTuple):
    """Hours of one UTC day that have spans of searches: how many spans, and the ids of their runs."""

    begin: datetime
    end: datetime
    spans: int
    runs: list[str]


class Filled(NamedTuple):
    """A finished stretch, and the number of rows that each table gained."""

    stretch: Stretch
    rows: dict[str, int]


def backfill(client: Client) -> Iterator[Filled]:
    """Insert the missing rows, oldest first; a stretch is yielded once it is done.

    :raises StoreError: the tables do not exist, or ClickHouse refuses.
    """
    found = existing(client)
    if LANDING not in found or any(table not in found for table in TABLES):
        raise StoreError("there are no tables to fill yet: run `genesis-otel init` first")
    columns = found[LANDING].columns
    try:
        for stretch in stretches(client, columns):
            yield Filled(stretch, {table: fill(client, table, columns, stretch) for table in TABLES})
        fill_times(client, found)
    except DatabaseError as error:
        raise StoreError(
            f"filling the tables stopped: {first_line(error)}; run it again to continue from there"
        ) from error


def stretches(client: Client, columns: Mapping[str, str]) -> list[Stretch]:
    """What there is to read, in stretches of at most a day."""
    sql = HOURS.format(run_of=RUN_OF, source=landing.source(columns), of_a_search=landing.OF_A_SEARCH)
    found: list[Stretch] = []
    for number, count, runs in client.query(sql).result_rows:
        hour, spans = datetime.fromtimestamp(number * 3600, timezone.utc), int(count)
        end = hour + timedelta(hours=1)
        if found and found[-1].begin.date() == hour.date() and found[-1].spans + spans <= SPANS:
            last = found.pop()
            found.append(Stretch(last.begin, end, last.spans + spans, sorted({*last.runs, *runs})))
        else:
            found.append(Stretch(hour, end, spans, sorted(runs)))
    return found


def reading(
    client: Client, table: str, columns: Mapping[str, str], stretch: Stretch
) -> tuple[str, str, dict[str, Any]]:
    """The SELECT that yields a table's rows from the spans of a stretch, the columns that it has, and its parameters, among which are the
    stretch's ``runs``."""
    read = landing.reading(rows_of(table), columns, where=IN_STRETCH)
    parameters = {
        "begin": int(stretch.begin.timestamp()),
        "end": int(stretch.end.timestamp()),
        "runs": stretch.runs,
    }
    described = client.query(f"DESCRIBE ({read})", parameters=parameters).result_rows
    return read, ", ".join(row[0] for row in described), parameters


def fill(client: Client, table: str, columns: Mapping[str, str], stretch: Stretch) -> int:
    """Insert the missing rows of a stretch into a table, and return their number."""
    target, key = STORED_IN[table], ", ".join(IDENTITY[table])
    read, written, parameters = reading(client, table, columns, stretch)
    before = _count(client, target)
    # Search only the rows of the stretch's runs: the tables' sort keys begin with the run.
    stored = f"FROM {target} WHERE run_id IN {{runs:Array(String)}}"
    if table in TOLD_AGAIN:
        # Of rows with one key, a merge leaves the one that was inserted last.
        missing = (
            f"LEFT ANY JOIN (SELECT {key}, max(timestamp) AS newest, true AS is_there {stored} GROUP BY {key}) AS stored USING ({key}) "
            "WHERE NOT is_there OR timestamp > newest ORDER BY timestamp"
        )
    else:
        missing = f"WHERE ({key}) NOT IN (SELECT {key} {stored})"
    while True:
        there = _count(client, target)
        client.command(
            f"INSERT INTO {target} ({written}) SELECT {written} FROM ({read}) AS told {missing}",
            parameters=parameters,
            settings=SETTINGS,
        )
        is_new = _count(client, target) > there
        twice = client.command(f"SELECT count() - uniqExact({key}) {stored}", parameters=parameters)
        if int(str(twice)):
            # A span that arrived through the views at the same moment: a merge leaves one of two rows with the same key.
            client.command(f"OPTIMIZE TABLE {target} FINAL")
        # Where that is the one that was inserted last, it may be the older one: then the newer one is missing.
        if table not in TOLD_AGAIN or not is_new:
            return _count(client, target) - before


def fill_times(client: Client, found: Mapping[str, Existing]) -> None:
    """Fill the lookup of trace times if we made it; a collector's own lookup has always been filled."""
    view = found.get(f"{TRACE_TIMES}_mv")
    if view is None or not view.comment.startswith(MARK):
        return
    select = select_of(f"{TRACE_TIMES}_mv", LANDING)
    client.command(
        f"INSERT INTO {TRACE_TIMES} (TraceId, Start, End) "
        + re.sub(r"\bWHERE\b", f"WHERE TraceId NOT IN (SELECT TraceId FROM {TRACE_TIMES}) AND", select),
        settings=SETTINGS,
    )


def _count(client: Client, table: str) -> int:
    return int(str(client.command(f"SELECT count() FROM {table}")))
