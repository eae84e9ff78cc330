"""The connection test: whether a search that starts now would be recorded, and where.

In: settings. Out: what was found, line by line, as it is found. On failure: StoreError or ValueError, whose text is what is
wrong and what to do about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import Error

from genesis_otel import queries
from genesis_otel._destinations import open_client
from genesis_otel._settings import DISABLED, Collector, Server, Settings
from genesis_otel._settings import Disabled as Off
from genesis_otel._ship.spool.queue import status as spool_status
from genesis_otel._store import schema, version
from genesis_otel._store.errors import StoreError, explain, first_line
from genesis_otel._store.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

CONNECTED = "✅ ClickHouse connection successful!"


def check(settings: Settings, say: Callable[[str], None]) -> None:
    """Connect, see that the tables are there (they are made where there are none yet), and say what was found.

    :raises StoreError: the store cannot be used, and what to do.
    :raises ValueError: a setting is wrong.
    """
    destination, store = settings.destination, settings.store
    if isinstance(destination, Off) and not destination.asked:
        raise StoreError(f"{DISABLED}: {destination}")
    try:
        with contextlib.closing(open_client(settings, start=True)) as client:
            client.command("SELECT 1")
            say(CONNECTED)
            say(f"Connected to database: {client.database}")
            version.see(client)
            schema.ensure(client)
            say("")
            say(f"📊 Tables: {', '.join(TABLES)}")
            _say_more(client, say)
    except Error as error:
        raise StoreError(explain(error, store.url) if isinstance(store, Server) else first_line(error)) from error
    if isinstance(destination, Off):
        say(f"Nothing is recorded: {destination}.")
        return
    say(f"Spans go to {destination}.")
    if isinstance(destination, Collector):
        say("Whether the collector fills these tables shows as soon as a search has run: genesis-otel runs")
    status = spool_status(settings.spool_folder(destination))
    if status.waiting or status.dead or status.dropped:
        say(
            f"In the spool {status.waiting:,} spans wait, {status.dead:,} were refused and {status.dropped:,} were lost: "
            "genesis-otel spool"
        )


def _say_more(client: Client, say: Callable[[str], None]) -> None:
    rows = {str(row["table"]): int(row["rows"]) for row in queries.ask(client, "table_rows")}
    say("")
    if any(rows.values()):
        say(f"Rows: {', '.join(f'{table} {rows[table]:,}' for table in TABLES)}")
    else:
        say(
            "No data in tables yet. They fill when a search records: genesis-otel demo, or see 'Connect a search' in README"
        )
