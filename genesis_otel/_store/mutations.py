"""Statements that rewrite rows of a table: mutations, which ClickHouse applies in the background, and not while merges are stopped.

In: a client, a table, a statement. Out: the statement has been applied, on every replica; if that takes long, a line every half a minute
says what is being waited for, how much is left, and what to do if it never ends. On failure: :class:`StoreError` if no answer came in
time, which ends the waiting but not the mutation, or if a mutation fails; else what ClickHouse raises.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from genesis_otel._log import LINE
from genesis_otel._store.errors import StoreError, code_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

ALL_REPLICAS: dict[str, Any] = {"lightweight_deletes_sync": 2, "mutations_sync": 2}
"""A statement returns once its rows are rewritten, on every replica."""

REREADING: dict[str, Any] = {**ALL_REPLICAS, "allow_nondeterministic_mutations": 1}
"""The same for a statement with a subquery, which replicated tables refuse by default: a replica that reads other rows than the one that
was first takes the part of that one."""

UNFINISHED = 341
"""ClickHouse's code of a mutation that fails, or of replicas that do not answer."""
FAILS = "fails"

FIRST_REPORT, NEXT_REPORT = 5.0, 30.0
"""Seconds until it is said what is being waited for, and until it is said again."""

OPEN = """
SELECT
    count(), sum(parts_to_do),
    argMin(mutation_id, (latest_fail_reason = '', create_time, mutation_id)),
    argMin(latest_fail_reason, (latest_fail_reason = '', create_time, mutation_id))
FROM system.mutations
WHERE database = {database:String} AND table = {table:String} AND NOT is_done
"""


PENDING = """
SELECT count() FROM system.mutations WHERE database = {database:String} AND table = {table:String} AND NOT is_done
"""


def finish(client: Client, table: str) -> None:
    """Wait until a table's rows are what the statements sent so far make of them: until then, a row that is read may be about to go.

    :raises StoreError: as :func:`rewrite` does.
    """
    from clickhouse_connect.driver.exceptions import Error

    pending = 1
    with contextlib.suppress(Error):  # not everybody may read system.mutations
        ((pending,),) = client.query(PENDING, parameters={"database": client.database, "table": table}).result_rows
    if pending:
        # Mutations are applied in order: when this one, which changes nothing, is done, so are those before it.
        rewrite(client, table, f"ALTER TABLE {table} DELETE WHERE 0")


def rewrite(
    client: Client,
    table: str,
    statement: str,
    parameters: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] = ALL_REPLICAS,
) -> None:
    """Run a statement that rewrites rows of a table, and wait for it.

    :raises StoreError: no answer came in time, or a mutation of the table fails.
    """
    from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

    began = time.monotonic()
    try:
        with _reporting(client, table, began):
            client.command(statement, parameters=dict(parameters or {}), settings=dict(settings))
    except OperationalError as error:
        if "timed out" not in str(error):
            raise
        raise StoreError(
            f"no answer after {time.monotonic() - began:.0f} s: {_state(client, table)}. It continues without this command; "
            "run the command again afterwards"
        ) from error
    except DatabaseError as error:
        # Mutations are applied in order: it may be somebody else's that fails, and the message is a list of memory addresses.
        if code_of(error) != UNFINISHED or FAILS not in (state := _state(client, table)):
            raise
        raise StoreError(f"{state}. Then run the command again") from error


@contextlib.contextmanager
def _reporting(client: Client, table: str, began: float) -> Iterator[None]:
    over = threading.Event()

    def report() -> None:
        pause = FIRST_REPORT
        while not over.wait(pause):
            pause = NEXT_REPORT
            state = _state(client, table)
            if not over.is_set():
                log.warning("waiting for %.0f s: %s", time.monotonic() - began, state)

    threading.Thread(target=report, name="genesis-otel-mutation", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _state(client: Client, table: str) -> str:
    """What ClickHouse is doing to the table, and what to do if that never ends."""
    from clickhouse_connect.driver.exceptions import Error
    from clickhouse_connect.driver.httpclient import HttpClient

    mutations, parts, number, why = 0, 0, "", ""
    # A handle of the embedded engine does one thing at a time, and it is waiting.
    if isinstance(client, HttpClient):
        asked = {"database": client.database, "table": table}
        with contextlib.suppress(Error):  # not everybody may read system.mutations
            ((mutations, parts, number, why),) = client.query(OPEN, parameters=asked).result_rows
    left = f" (mutations: {mutations:,}, parts left: {parts:,})" if mutations else ""
    if why:
        remedy = (
            f"the mutation {number} {FAILS}: {why[:LINE]}. To give it up: KILL MUTATION WHERE database = '{client.database}' "
            f"AND table = '{table}' AND mutation_id = '{number}'"
        )
    else:
        remedy = f"if it never ends, its merges are stopped: SYSTEM START MERGES {client.database}.{table}"
    return f"ClickHouse is rewriting {table}{left}; {remedy}"
