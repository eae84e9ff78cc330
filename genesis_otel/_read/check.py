"""The connection test: whether a search that starts now would be recorded, and where.

In: settings. Out: the findings, line by line as they are made. The test tries what the search will do (an insert of no rows, an empty
export to the collector) and creates nothing. On failure: StoreError or ValueError, whose text says what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import Error

from genesis_otel import queries
from genesis_otel._destinations import exporter_of, open_client
from genesis_otel._log import first_line, waiting
from genesis_otel._settings import DISABLED, Collector, Disabled, Server, Settings
from genesis_otel._ship.delivery.contract import Outage, Refused, Sender
from genesis_otel._ship.delivery.insert import insert_nothing
from genesis_otel._ship.delivery.otlp import TIMEOUT as OTLP_TIMEOUT
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel._store import version
from genesis_otel._store.errors import ConfigurationError, StoreError, explained
from genesis_otel._store.present import existing
from genesis_otel._store.schema import leave_first_loggers, see_whole
from genesis_otel._store.tables import LANDING, TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

CONNECTED = "✅ ClickHouse connection successful!"

ANSWER_TIMEOUT = 15.0
"""Seconds allowed for each answer."""

TO_MAKE_TABLES = ("CREATE TABLE", "CREATE VIEW", "ALTER TTL", "SELECT", "INSERT")
"""Grants on the database that a search's first insert needs if there are no tables yet."""


def check(settings: Settings, say: Callable[[str], None]) -> None:
    """Connect, try what a search will do, and report the findings.

    :raises StoreError: the store or the collector cannot be used; the text says what to do.
    :raises ValueError: a setting is wrong.
    """
    destination, store = settings.destination, settings.store
    if isinstance(destination, Disabled) and not destination.asked:
        raise StoreError(f"{DISABLED}: {destination}")
    if store is None and isinstance(destination, Collector):
        _try_collector(destination)
        say(f"Spans go to {destination}.")
    recording = not isinstance(destination, (Disabled, Collector))
    try:
        with contextlib.closing(open_client(settings, start=True, say=True, answer_timeout=ANSWER_TIMEOUT)) as client:
            client.command("SELECT 1")
            there = existing(client)
            leave_first_loggers(there)
            see_whole(there)
            if recording:
                _try_insert(client, LANDING in there)
            say(CONNECTED)
            say(f"Connected to database: {client.database}")
            version.see(client)
            say("")
            found = [table for table in TABLES if table in there]
            say(
                f"📊 Tables: {', '.join(found) or 'none yet; the first insert of a search creates them, or genesis-otel init does so now'}"
            )
            if len(found) == len(TABLES):
                _say_more(client, say)
    except Error as error:
        raise explained(error, store.url if isinstance(store, Server) else "http://localhost") from error
    if isinstance(destination, Disabled):
        say(f"Recording is off: {destination}.")
        return
    folder = settings.spool_folder(destination)
    _see_that_it_can_be_written(folder)
    if isinstance(destination, Collector):
        _try_collector(destination)
    say(f"Spans go to {destination}.")
    if isinstance(destination, Collector):
        say("To see whether the collector fills these tables, list the runs after a search: genesis-otel runs")
    status = spool_status(folder)
    if status.waiting or status.dead or status.dropped:
        say(
            f"Spool: {status.waiting:,} spans wait, {status.dead:,} were refused and {status.dropped:,} were lost; "
            "see genesis-otel spool"
        )


def _try_insert(client: Client, landing: bool) -> None:
    if landing:
        insert_nothing(client)
        return
    readonly = client.server_settings.get("readonly")
    if readonly is not None and readonly.value != "0":
        raise ConfigurationError(
            f"the user of CLICKHOUSE_URL can only read (readonly = {readonly.value}): use one who may insert"
        )
    missing = [grant for grant in TO_MAKE_TABLES if not version.granted(client, grant)]
    if missing:
        raise ConfigurationError(
            f"there are no tables in {client.database} yet, and the user of CLICKHOUSE_URL lacks the grants to create them: "
            f"GRANT {', '.join(missing)} ON {client.database}.*, or run genesis-otel init as the user who owns the schema"
        )


def _try_collector(collector: Collector) -> None:
    exporter = exporter_of(collector)
    assert isinstance(exporter, Sender)  # noqa: S101 - ours, for every collector
    try:
        with waiting(log, str(collector), OTLP_TIMEOUT):
            exporter.send(exporter.prepare([]))
    except (Outage, Refused) as error:
        raise StoreError(f"spans go to {collector}, which does not accept them: {first_line(error)}") from error
    finally:
        exporter.shutdown()


def _see_that_it_can_be_written(folder: Path) -> None:
    """Check the spool's folder, or its nearest existing parent."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise StoreError(f"the spool {folder} is not writable: make {there} writable, or set GENESIS_OTEL_DATA_DIR")


def _say_more(client: Client, say: Callable[[str], None]) -> None:
    rows = {str(row["table"]): int(row["rows"]) for row in queries.ask(client, "table_rows")}
    say("")
    if any(rows.values()):
        say(f"Rows: {', '.join(f'{table} {rows[table]:,}' for table in TABLES)}")
    else:
        say("No data in tables yet. Record a search: genesis-otel demo, or see 'Connect a search' in the README")
