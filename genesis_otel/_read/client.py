"""Reading the store: a client that cannot write, and full ids of runs and individuals from the start of an id.

In: settings; text that somebody typed. Out: a client, which for the embedded store connects to its store process (started if none is
running, so that spans waiting in the spool become readable); full ids. On failure: StoreError, as from
:func:`genesis_otel._destinations.open_client`; :class:`NotFoundError` and :class:`AmbiguousError`, whose texts list the nearest matches.
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
from genesis_otel._serve import folder as store_folder
from genesis_otel._settings import Embedded, Settings
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel._store.errors import READONLY
from genesis_otel._store.tables import LANDING, STORED_IN, TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.exceptions import Error

CATCHING_UP = 5.0
"""Seconds that a reader waits at most for the store process that it started to take in the spool."""

ANSWER_TIMEOUT = 60.0
"""Seconds allowed for each answer to a command; a statement that somebody typed may take longer."""

BEST = "best"
"""Stands for a run's best individual wherever an individual can be named."""

READONLY_MODES = ("1", "2")
UNKNOWN_TABLE, SYNTAX_ERROR, UNSET_PARAMETER = 60, 62, 456
"""ClickHouse's numbers of these errors."""
OURS = re.compile(rf"(?:identifier '|Table (?:\S+\.)?)({'|'.join((*STORED_IN.values(), *TABLES, LANDING))})\b")
"""What ClickHouse says of a missing table that ``init`` creates: the current analyzer, and the older one."""


class NotFoundError(LookupError):
    """There is no such run or individual."""


class AmbiguousError(ValueError):
    """Several ids start with what was typed."""


@contextlib.contextmanager
def reader(settings: Settings, *, answer_timeout: float = ANSWER_TIMEOUT) -> Iterator[Client]:
    """A read-only client of the store. Opening it creates no store, and logs long waits.

    :param answer_timeout: seconds allowed for each answer.
    :raises StoreError: the store cannot be reached, or no store is configured.
    """
    store = settings.store
    began_it = isinstance(store, Embedded) and store_process.running(store.folder) is None
    with contextlib.closing(open_client(settings, start=True, say=True, answer_timeout=answer_timeout)) as client:
        if isinstance(store, Embedded) and began_it:
            deadline = time.monotonic() + CATCHING_UP
            while spool_status(store.folder / store_folder.SPOOL).waiting and time.monotonic() < deadline:
                time.sleep(0.1)
        # Not imported above: this loads ClickHouse's client, which takes 0.1 s, during which a store process can already start.
        from genesis_otel._store import version

        version.see(client)
        profile = client.server_settings.get("readonly")
        # A read-only user cannot change this setting, and does not need to.
        if profile is None or profile.value not in READONLY_MODES:
            client.set_client_setting("readonly", "2")
        yield client


@contextlib.contextmanager
def stream(
    client: Client, sql: str, parameters: Mapping[str, Any]
) -> Iterator[tuple[list[str], Iterator[Sequence[Sequence[Any]]]]]:
    """The column names of one statement, and its blocks of rows as they arrive; times carry their time zone. What is left when the
    block ends is not read."""
    from genesis_otel._store.wire import Wire

    with client.query_row_block_stream(sql, parameters=dict(parameters), tz_mode="aware") as blocks:
        wire = getattr(client, "http", None)
        with contextlib.ExitStack() as last:
            if isinstance(wire, Wire):
                last.callback(wire.hanging_up())
            names = list(blocks.source.column_names)
            # An answer without rows has no column names either.
            yield names or [name for name, _ in described(client, sql, parameters)], iter(blocks)


def described(client: Client, sql: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and types of the columns that a statement returns; none if it is not a SELECT."""
    from clickhouse_connect.driver.exceptions import Error

    bare = sql.strip().rstrip(";")
    with contextlib.suppress(Error):
        answer = client.query(f"DESCRIBE (\n{bare}\n)", parameters=dict(parameters))
        return [(str(row[0]), str(row[1])) for row in answer.result_rows]
    return []


def run_id_of(client: Client, text: str) -> str:
    """The full id of a run, given its id, the start of its id, ``latest``, or a task (its newest run).

    :raises NotFoundError: there is no such run; the text lists the nearest matches.
    :raises AmbiguousError: several runs match.
    """
    if not text:
        raise NotFoundError("the name of the run is empty: give its id, the start of its id, latest, or a task")
    found = queries.ask(client, "matching_runs", run=text)
    if not found:
        raise NotFoundError("there are no runs yet: `genesis-otel demo` records one")
    # Many searches name their runs after the task, which is then the beginning of all of their ids.
    if text == queries.LATEST or found[0]["of_task"]:
        return str(found[0]["run_id"])
    return _one(found, "run_id", f"no run or task is named {text!r}", text)


def individual_id_of(client: Client, run_id: str, text: str) -> str:
    """The full id of an individual, given its id or the start of it; ``best``, unless it is an id, or no text, gives the best one's.

    :raises NotFoundError: there is no such individual, and the text lists the nearest matches; or none that could be the best.
    :raises AmbiguousError: several individuals match.
    """
    found = queries.ask(client, "matching_individuals", run_id=run_id, individual=text)
    if found and (not text or (text == BEST and not found[0]["is_it"])):
        if not found[0]["scored"]:
            near = ", ".join(str(row["individual_id"]) for row in found)
            raise NotFoundError(
                f"no individual of the run {run_id} has succeeded with a score: name one, such as {near}"
            )
        return str(found[0]["individual_id"])
    missing = f"the run {run_id} has no individual {text!r}" if found else f"the run {run_id} has no individuals yet"
    return _one(found, "individual_id", missing, text)


def _one(found: Sequence[Mapping[str, Any]], column: str, missing: str, text: str) -> str:
    if found and found[0]["is_it"]:
        return str(found[0][column])
    begun = [str(row[column]) for row in found if row["begins"]]
    if len(begun) == 1:
        return begun[0]
    near = ", ".join(begun or [str(row[column]) for row in found])
    if begun:
        raise AmbiguousError(f"several ids start with {text!r}, such as {near}")
    raise NotFoundError(f"{missing}; nearest: {near}" if near else missing)


def brief(error: Error) -> str:
    """ClickHouse's message, without what its client adds; of a store without our tables, what to do."""
    text = str(error)
    if error.code == UNKNOWN_TABLE and (missing := OURS.search(text)):
        return (
            f"the database has no table {missing[1]}: genesis-otel init creates the tables, as does a search's first insert; "
            "if there should be runs in it, check the database in CLICKHOUSE_URL"
        )
    said = re.search(r"DB::Exception: (.*?)(?: \(version [^)]*\))?(?: \(for url [^)]*\))?\s*\Z", text, re.DOTALL)
    return (said[1] if said else text).replace("\n FORMAT Native", "")


def hint(error: Error, sql: str) -> str:
    """What to do about an error, if that is known; otherwise empty."""
    if error.code == SYNTAX_ERROR and re.search(r"\bFORMAT\s+\w+\s*;?\s*\Z", sql, re.IGNORECASE):
        return "Leave out the FORMAT clause: use --format table, tsv, csv or json instead."
    if error.code == SYNTAX_ERROR and "Multi-statements" in str(error):
        return "Run one statement at a time."
    if error.code == READONLY:
        return "Only read-only statements are allowed here."
    if error.code == UNSET_PARAMETER:
        return "Set its value with --param NAME=VALUE."
    if error.code == UNKNOWN_TABLE and not OURS.search(str(error)):
        return 'SHOW TABLES lists the tables: genesis-otel query "SHOW TABLES"'
    return ""
