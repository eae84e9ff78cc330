"""Exports a run's raw traces from ``otel_traces``, and imports them into another store's.

In: a client, a run id, rows as lines of JSON. Out: the rows of the run's traces; or the number of rows that the other store lacked. On
failure: :class:`StoreError` if the table has JSON columns, else what ClickHouse raises; a day's rows are added all or not at all, and
the next import adds the rest.

The views must not see imported rows: they would write the rows of the seven tables, which the import has already added, a second
time, and with today's prices. So the rows go into a side table first, and its parts are then attached whole.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from genesis_otel._store.errors import StoreError
from genesis_otel._store.landing import is_json
from genesis_otel._store.mutations import rewrite
from genesis_otel._store.present import TRACE_TIMES, existing
from genesis_otel._store.tables import LANDING
from genesis_otel.attributes import RUN_ID

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OF_RUN = (
    f"TraceId IN (SELECT TraceId FROM {LANDING} WHERE SpanAttributes['{RUN_ID}'] = {{run_id:String}})"  # noqa: S608 - names of ours
    f" AND SpanAttributes['{RUN_ID}'] IN ('', {{run_id:String}})"
)
"""The run's spans, and those that other instrumentations made within them without knowing the run."""

IDENTITY = "TraceId, SpanId, Timestamp"
"""A run that continues, and a generation that is opened again, begin and end again as the same span."""

ASIDE = f"{LANDING}_import_"
"""How the names of side tables begin: the time when they were made follows, in seconds."""

LONGEST_IMPORT = 86_400
"""Seconds after which a side table is one that a killed import has left."""

ONCE = f"LIMIT 1 BY {IDENTITY}"
"""Exports a span once even if it was delivered twice."""


def columns(client: Client) -> Sequence[str]:
    """The columns of the landing table.

    :raises StoreError: its attributes are JSON columns, which no other layout can read.
    """
    found = existing(client, LANDING)[LANDING].columns
    if is_json(found):
        raise StoreError(
            f"{LANDING} of this store has JSON columns, a collector's own layout: its raw traces can be neither exported nor imported"
        )
    return list(found)


def is_of(row: dict[str, Any], run_id: str) -> bool:
    """Whether a row of a file may belong to the run."""
    attributes = row.get("SpanAttributes")
    return isinstance(attributes, dict) and attributes.get(RUN_ID, "") in ("", run_id)


def bring(client: Client, chunks: Iterable[Sequence[bytes]], settings: dict[str, Any]) -> int:
    """Add the rows that the store lacks, and return their number."""
    columns(client)
    ((now,),) = client.query("SELECT toUnixTimestamp(now())").result_rows
    _drop_what_is_left(client, now)
    # Another import of the run may be going on, here or on another machine.
    aside = f"{ASIDE}{now}_{uuid.uuid4().hex}"
    try:
        _create(client, aside)
        for lines in chunks:
            token = {"insert_deduplication_token": f"import-{uuid.uuid4()}"}
            client.raw_insert(aside, insert_block=b"".join(lines), settings={**settings, **token}, fmt="JSONEachRow")
        rewrite(
            client,
            aside,
            f"ALTER TABLE {aside} DELETE WHERE ({IDENTITY}) IN"  # noqa: S608 - names of ours
            f" (SELECT {IDENTITY} FROM {LANDING} WHERE TraceId IN (SELECT TraceId FROM {aside}))",
        )
        ((added,),) = client.query(f"SELECT count() FROM {aside}").result_rows  # noqa: S608 - names of ours
        if TRACE_TIMES in existing(client, TRACE_TIMES):
            client.command(
                f"INSERT INTO {TRACE_TIMES} SELECT TraceId, min(Timestamp), max(Timestamp) FROM {aside} WHERE TraceId != '' GROUP BY TraceId"  # noqa: S608 - names of ours
            )
        days = client.query(
            "SELECT DISTINCT partition_id FROM system.parts WHERE database = currentDatabase() AND table = {aside:String} AND active"
            " AND rows > 0 ORDER BY 1",
            parameters={"aside": aside},
        ).result_rows
        for (day,) in days:
            client.command(f"ALTER TABLE {LANDING} ATTACH PARTITION ID '{day}' FROM {aside}")
        # Whoever comes last of two that bring the same spans, another import or the search itself, finds them there twice.
        twice = client.query(
            f"SELECT DISTINCT day FROM (SELECT _partition_id AS day FROM {LANDING} WHERE TraceId IN (SELECT TraceId FROM {aside})"  # noqa: S608 - names of ours
            f" AND ({IDENTITY}) IN (SELECT {IDENTITY} FROM {aside}) GROUP BY day, {IDENTITY}, cityHash64(*) HAVING count() > 1) ORDER BY 1"
        ).result_rows
        for (day,) in twice:
            client.command(f"OPTIMIZE TABLE {LANDING} PARTITION ID '{day}' FINAL DEDUPLICATE")
        return int(added)
    finally:
        client.command(f"DROP TABLE IF EXISTS {aside}")


def _drop_what_is_left(client: Client, now: int) -> None:
    """Drop the tables of imports that were killed, and whose names nobody knows any more."""
    # The name says when it was made: ClickHouse's own time of a table is 0 for an instant while it is being made.
    for name in existing(client):
        made = re.fullmatch(rf"{ASIDE}(?:(\d+)_[0-9a-f]{{32}}|[0-9a-f]{{16}})", name)
        if made and int(made[1] or 0) < now - LONGEST_IMPORT:
            client.command(f"DROP TABLE IF EXISTS {name}")


def _create(client: Client, aside: str) -> None:
    """Create a table with the landing table's columns and keys, whose parts can be attached to it; never replicated, even if that one is."""
    ((partition, order, primary, policy),) = client.query(
        "SELECT partition_key, sorting_key, primary_key, storage_policy FROM system.tables"
        " WHERE database = currentDatabase() AND name = {name:String}",
        parameters={"name": LANDING},
    ).result_rows
    by_day = f" PARTITION BY {partition}" if partition else ""
    client.command(
        f"CREATE TABLE {aside} AS {LANDING} ENGINE = MergeTree{by_day} PRIMARY KEY ({primary}) ORDER BY ({order})"
        f" SETTINGS storage_policy = '{policy}'"
    )
