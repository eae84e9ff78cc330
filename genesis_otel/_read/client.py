"""Reading the store: a client that cannot write, and runs and individuals by a part of their id.

In: settings; text that somebody typed. Out: a client, which on the embedded store speaks to its store process (started when
none runs, so that what waits in the spool is there to be read); whole ids. On failure: StoreError, as from
``_config.open_client``; :class:`NotFoundError` and :class:`AmbiguousError`, whose texts name what comes near.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._destinations import open_client
from genesis_otel._serve import client as store_process
from genesis_otel._settings import Embedded, Settings
from genesis_otel._ship.spool.queue import status as spool_status

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.exceptions import Error

CATCHING_UP = 5.0
"""Seconds that a reader waits at most for a store process, which it started, to take in what waited in the spool."""

ANSWER_TIMEOUT = 60.0
"""Seconds for each answer to a command; a statement that somebody typed may take longer."""

BEST = "best"
"""The best individual of a run, where an individual is named."""

READONLY = "164"
READONLY_MODES = ("1", "2")
SYNTAX_ERROR = 62


class NotFoundError(LookupError):
    """There is no such run or individual."""


class AmbiguousError(ValueError):
    """Several ids begin with what was typed."""


@contextlib.contextmanager
def reader(settings: Settings, *, answer_timeout: float = ANSWER_TIMEOUT) -> Iterator[Client]:
    """A client of the store whose statements can only read; reading makes nothing, and says what it waits for.

    :param answer_timeout: seconds for each answer.
    :raises StoreError: the store cannot be reached, or none is named.
    """
    store = settings.store
    began_it = isinstance(store, Embedded) and store_process.running(store.folder) is None
    with contextlib.closing(open_client(settings, start=True, say=True, answer_timeout=answer_timeout)) as client:
        if isinstance(store, Embedded) and began_it:
            deadline = time.monotonic() + CATCHING_UP
            while spool_status(store.folder / store_process.SPOOL).waiting and time.monotonic() < deadline:
                time.sleep(0.1)
        # Not above: it loads ClickHouse's client, and that takes a tenth of a second, in which a store process already starts.
        from genesis_otel._store import version

        version.see(client)
        profile = client.server_settings.get("readonly")
        # A user who may only read may not change the setting either, and need not.
        if profile is None or profile.value not in READONLY_MODES:
            client.set_client_setting("readonly", "2")
        yield client


def stream(
    client: Client, sql: str, parameters: Mapping[str, Any] | None = None
) -> contextlib.AbstractContextManager[tuple[list[str], Iterator[Sequence[Sequence[Any]]]]]:
    """The column names and the blocks of rows of one statement, as they come; times know their time zone."""

    @contextlib.contextmanager
    def opened() -> Iterator[tuple[list[str], Iterator[Sequence[Sequence[Any]]]]]:
        with client.query_row_block_stream(sql, parameters=dict(parameters or {}), tz_mode="aware") as blocks:
            names = list(blocks.source.column_names)
            # An answer without rows comes without names, too.
            yield names or _names(client, sql, parameters), iter(blocks)

    return opened()


def _names(client: Client, sql: str, parameters: Mapping[str, Any] | None) -> list[str]:
    from clickhouse_connect.driver.exceptions import Error

    bare = sql.strip().rstrip(";")
    with contextlib.suppress(Error):  # no SELECT
        described = client.query(f"DESCRIBE (\n{bare}\n)", parameters=dict(parameters or {}))
        return [str(row[0]) for row in described.result_rows]
    return []


def run_id_of(client: Client, text: str) -> str:
    """The id of the run that is named by its id, by the beginning of it, by ``latest``, or as the newest one of a task.

    :raises NotFoundError: there is none, with those that come near.
    :raises AmbiguousError: there are several.
    """
    found = queries.ask(client, "matching_runs", run=text)
    if text == queries.LATEST and not (found and found[0]["is_it"]):
        found = queries.ask(client, "matching_runs", run="")
        if not found:
            raise NotFoundError("there is no run yet: `genesis-otel demo` makes one")
        return str(found[0]["run_id"])
    if found and found[0]["of_task"] and not found[0]["begins"]:
        return str(found[0]["run_id"])
    return _one(found, "run_id", f"no run or task is named {text!r}", text)


def individual_id_of(client: Client, run_id: str, text: str) -> str:
    """The id of the individual that is named by its id or by the beginning of it; with ``best``, or no text, that of the best.

    :raises NotFoundError: there is none, with those that come near.
    :raises AmbiguousError: there are several.
    """
    found = queries.ask(client, "matching_individuals", run_id=run_id, individual=text)
    if text == BEST and not (found and (found[0]["is_it"] or found[0]["begins"])):
        text, found = "", queries.ask(client, "matching_individuals", run_id=run_id, individual="")
    if not text and found:
        return str(found[0]["individual_id"])
    missing = f"the run {run_id} has no individual {text!r}" if text else f"the run {run_id} has no individuals yet"
    return _one(found, "individual_id", missing, text)


def _one(found: Sequence[Mapping[str, Any]], column: str, missing: str, text: str) -> str:
    if found and found[0]["is_it"]:
        return str(found[0][column])
    begun = [str(row[column]) for row in found if row["begins"]]
    if len(begun) == 1:
        return begun[0]
    near = ", ".join(begun or [str(row[column]) for row in found])
    if begun:
        raise AmbiguousError(f"several ids begin with {text!r}: {near}")
    raise NotFoundError(f"{missing}; nearest: {near}" if near else missing)


def brief(error: Error) -> str:
    """What ClickHouse says of a statement, without what its client adds."""
    text = str(error)
    said = re.search(r"DB::Exception: (.*?)(?: \(version [^)]*\))?(?: \(for url [^)]*\))?\s*\Z", text, re.DOTALL)
    text = (said[1] if said else text).replace("\n FORMAT Native", "")
    if error.code == int(READONLY):
        return f"only statements that read are run here, and this one is none ({text})"
    return text


def hint(error: Error, sql: str) -> str:
    """What to do about an error, where that is known: else empty."""
    if error.code == SYNTAX_ERROR and re.search(r"\bFORMAT\s+\w+\s*;?\s*\Z", sql, re.IGNORECASE):
        return "Leave the FORMAT clause out: --format table, tsv, csv or json says how the answer is shown."
    if error.code == SYNTAX_ERROR and "Multi-statements" in str(error):
        return "Ask one statement at a time."
    if error.code == 456:
        return "Give its value with --param NAME=VALUE."
    if error.code == 60:
        return 'SHOW TABLES lists the tables: genesis-otel query "SHOW TABLES"'
    return ""
