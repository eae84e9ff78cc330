"""Filling the seven tables from what the landing table held before the views were attached to it.

In: a client whose database has the views (``schema.init_schema``). Out: the rows that were missing, some hours of spans at
a time, and a word for each. A row's identity is its span: what is there already, from the views or from an earlier
call, is left out, so that it can be interrupted and called again. On failure: what ClickHouse raises; everything before
it is done, and the next call goes on.

The rows come from the views' own SELECT, read from ``sql/``: there is no second mapping.
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
from genesis_otel._store.tables import LANDING, STORED_IN, TABLES, rows_of, select_of

IDENTITY = dict.fromkeys(TABLES, ("trace_id", "span_id")) | dict.fromkeys(
    ("pareto_fronts", "code_lineages"), ("trace_id", "span_id", "position")
)
"""The columns that tell rows apart: several rows of one span have a position."""

# In numbers and not in times: hours of a zone come twice in autumn, and toStartOfHour ends in the year 2106.
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
"""Spans of searches in a stretch at most, unless one hour has more: seconds for a statement, not minutes."""

SETTINGS: dict[str, Any] = {
    # Rows are told apart by their spans here; a block that happens to be like an earlier one must not be dropped.
    "insert_deduplicate": 0,
    "throw_on_max_partitions_per_insert_block": 0,
}


class Stretch(NamedTuple):
    """Hours of one day, in UTC, that have spans of searches: how many, and the ids of their runs."""

    begin: datetime
    end: datetime
    spans: int
    runs: list[str]


class Filled(NamedTuple):
    """A stretch that is done, and the rows that each table gained."""

    stretch: Stretch
    rows: dict[str, int]


def backfill(client: Client) -> Iterator[Filled]:
    """Fill in what is missing, the oldest first; each stretch is done when it is given.

    :raises StoreError: the tables are not there, or ClickHouse refuses.
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
    """What there is to read, in pieces of at most a day."""
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


def fill(client: Client, table: str, columns: Mapping[str, str], stretch: Stretch) -> int:
    """Put the missing rows of a stretch into a table, and say how many."""
    target = STORED_IN[table]
    read = landing.reading(rows_of(table), columns, where=IN_STRETCH)
    parameters = {
        "begin": int(stretch.begin.timestamp()),
        "end": int(stretch.end.timestamp()),
        "runs": stretch.runs,
    }
    written = ", ".join(row[0] for row in client.query(f"DESCRIBE ({read})", parameters=parameters).result_rows)
    key = ", ".join(IDENTITY[table])
    before = _count(client, target)
    client.command(
        f"INSERT INTO {target} ({written}) SELECT {written} FROM ({read}) "
        # Its rows are looked for among those of its runs, with which the tables' sort keys begin.
        f"WHERE ({key}) NOT IN (SELECT {key} FROM {target} WHERE run_id IN {{runs:Array(String)}})",
        parameters=parameters,
        settings=SETTINGS,
    )
    twice = client.command(
        f"SELECT count() - uniqExact({key}) FROM {target} WHERE run_id IN {{runs:Array(String)}}", parameters=parameters
    )
    if int(str(twice)):
        # A span that came in through the views at this very moment: rows with the same key are one after a merge.
        client.command(f"OPTIMIZE TABLE {target} FINAL")
    return _count(client, target) - before


def fill_times(client: Client, found: Mapping[str, Existing]) -> None:
    """Fill the lookup of the traces' times, where it is ours; a collector's own has been filled all along."""
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
