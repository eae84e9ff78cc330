"""Creates and upgrades the tables and views of ``sql/`` in a database, whatever it already holds.

In: a client, and retention periods. Out: one line per change; none if everything was already in place.
On failure: what ClickHouse raises, or :class:`StoreError`; a second call continues where the first one stopped.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from genesis_otel._log import first_line
from genesis_otel._store import landing as _layout
from genesis_otel._store import version
from genesis_otel._store.errors import ConfigurationError, StoreError
from genesis_otel._store.present import MARK, TRACE_TIMES, Existing, existing
from genesis_otel._store.tables import FILES, LANDING, SCHEMA, SELECT, STORED_IN, TABLES, TRACES_TTL_DAYS, statements
from genesis_otel._store.upgrade import upgrade_rows

SET_ASIDE = "{table}_first_logger"
"""The name under which a table of the first logger is kept, once its rows are in the new one."""

TIME_OF = {"llm_logs": "timestamp", "agent_actions": "timestamp", LANDING: "Timestamp", TRACE_TIMES: "Start"}
"""The column from which a table's retention counts."""

WHOLE = (LANDING, *TABLES, *(f"{table}_mv" for table in TABLES))
"""What a database has once ``init`` is done."""

STATEMENT = re.compile(r"CREATE (?P<kind>TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS (?P<name>\w+)")
COLUMN = re.compile(r"^    (?P<name>\w+) (?P<definition>[A-Z]\w*[^\n]*?),?$", re.MULTILINE)
INDEX = re.compile(r"^    INDEX (?P<name>\w+) (?P<definition>[^\n]*?),?$", re.MULTILINE)
SAME_AS = re.compile(r" AS (?P<table>\w+)\nENGINE")
SETTINGS = re.compile(r"^SETTINGS (?P<all>.+)\Z", re.MULTILINE)


def init_schema(
    client: Client,
    *,
    llm_logs_ttl_days: int | None = None,
    agent_actions_ttl_days: int | None = None,
    traces_ttl_days: int | None = None,
    cluster: str | None = None,
) -> list[str]:
    """Create or upgrade the tables and views in the client's database, and return one line per change.

    Tables of the first logger are taken over with every row kept. A second run changes nothing.

    :param llm_logs_ttl_days: days that ``llm_logs`` keeps a row; 0 keeps all rows, None leaves the retention unchanged.
    :param agent_actions_ttl_days: the same for ``agent_actions``.
    :param traces_ttl_days: the same for the raw traces; for a new table, None means :data:`TRACES_TTL_DAYS`.
    :param cluster: name of a cluster: the statements run ``ON CLUSTER``, with replicated engines.
    :raises StoreError: the server refuses a statement, for instance because a grant is missing.
    """
    ttl_days = {"llm_logs": llm_logs_ttl_days, "agent_actions": agent_actions_ttl_days, LANDING: traces_ttl_days}
    try:
        return _init(client, ttl_days, cluster)
    except DatabaseError as error:
        raise StoreError(f"the tables could not be created: {first_line(error)}") from error


def _init(client: Client, ttl_days: Mapping[str, int | None], cluster: str | None) -> list[str]:
    done: list[str] = []
    # Asked again only if the answer has changed: it takes 40 ms, and a store process would ask 30 times per start.
    old = before = existing(client)
    version.check(old, by_init=True)
    for table in TABLES:
        if table in before and is_first_loggers(before[table]):
            if cluster is not None:
                raise StoreError(
                    f"{table} belongs to the first logger; run init without a cluster first, which takes it over"
                )
            done.append(take_over(client, table, taken=frozenset(before)))
            before = existing(client)
    landing_is_new = LANDING not in old
    # A search that sees all tables without the number takes them for an earlier version's.
    is_new = version.TABLE not in old
    since, first_rows = version.of(old), version.first_rows(old)
    changed = since == SCHEMA and old[version.TABLE].comment != version.COMMENT
    for file in FILES:
        for statement in statements(file, cluster=cluster):
            if LANDING in before:
                statement = on_landing(statement, before[LANDING])
            if is_new and f"CREATE TABLE IF NOT EXISTS {version.TABLE} " in statement:
                statement += f"\nCOMMENT '{version.COMMENT}'"
            changes = apply(client, statement, before, cluster=cluster)
            done.extend(changes)
            if not changed and any(line.startswith("upgraded view") for line in changes):
                changed = True
                if since == SCHEMA:
                    set_comment(client, version.TABLE, version.UNFINISHED, cluster)
            # Of the objects created here, only the landing table matters to later ones.
            if LANDING not in before or not all(change.startswith("created ") for change in changes):
                before = existing(client)
    if any(table in old for table in TABLES) and (changed or since < SCHEMA):
        if since == 1:
            ((first_rows,),) = client.query("SELECT toUnixTimestamp64Milli(now64(3))").result_rows
        columns = existing(client)[LANDING].columns
        done.extend(upgrade_rows(client, columns, first_rows=first_rows, on_cluster=on(cluster)))
        if since == 1:
            set_comment(client, version.FIRST_ROWS_IN, version.FIRST_ROWS.format(until=first_rows), cluster)
    # Last, so that an interrupted init is repeated.
    if changed or since < SCHEMA:
        set_comment(client, version.TABLE, version.COMMENT, cluster)
    wanted = dict(ttl_days)
    if landing_is_new and wanted.get(LANDING) is None:
        wanted[LANDING] = TRACES_TTL_DAYS
    wanted[TRACE_TIMES] = wanted.get(LANDING)
    asked = {table: days for table, days in wanted.items() if days is not None}
    now = existing(client, *asked) if asked else {}
    for table, days in asked.items():
        done.extend(keep(client, table, days, now[table], cluster=cluster))
    return done


def set_comment(client: Client, table: str, comment: str, cluster: str | None) -> None:
    """Replace a table's comment: one of :mod:`~genesis_otel._store.version`."""
    client.command(f"ALTER TABLE {table} {on(cluster)} MODIFY COMMENT '{comment}'")


def is_first_loggers(table: Existing) -> bool:
    """Whether a table with one of the seven names is the first logger's: a table, and one without our ``span_id``."""
    return table.engine.endswith("MergeTree") and "span_id" not in table.columns


def on_landing(statement: str, landing: Existing) -> str:
    """A statement of ``sql/``, with its view adapted to the landing table's layout.

    :raises StoreError: the table is not a landing table.
    """
    _layout.check(landing.columns)
    head, *select = SELECT.split(statement, maxsplit=1)
    # The lookup of trace times reads three columns that every layout has; unfolding JSON for it would slow every insert.
    if not select or f" {TRACE_TIMES}_mv " in head:
        return statement
    return f"{head}AS\n{_layout.reading(select[0], landing.columns)}"


def apply(client: Client, statement: str, before: Mapping[str, Existing], *, cluster: str | None) -> list[str]:
    """Run one CREATE statement, or alter an existing object to match it; returns one line per change."""
    match = STATEMENT.search(statement)
    if match is None:
        raise ValueError(f"not a CREATE statement: {statement[:60]}")
    kind, name = match["kind"], match["name"]
    if kind != "TABLE":
        return _apply_view(client, statement, name, kind, before.get(name), on(cluster))
    if name not in before:
        client.command(statement)
        return [f"created table {name}"]
    # A landing table that a collector made is left alone: its columns are the collector's business.
    return [] if name in (LANDING, TRACE_TIMES) else _grow(client, statement, name, before, on(cluster))


def _grow(client: Client, statement: str, name: str, before: Mapping[str, Existing], on_cluster: str) -> list[str]:
    """Add to an existing table what its CREATE statement has and it lacks: columns, NULL, indexes, settings."""
    now = before[name]
    same_as = SAME_AS.search(statement)
    wanted = list(before[same_as["table"]].columns.items()) if same_as else COLUMN.findall(statement)
    missing = [(column, definition) for column, definition in wanted if column not in now.columns]
    for column, definition in missing:
        client.command(f"ALTER TABLE {name} {on_cluster} ADD COLUMN IF NOT EXISTS {column} {definition}")
    # A mutation, done when the statement returns: until then a view that yields NULL would fail every insert (code 349).
    widened = [
        (column, definition)
        for column, definition in COLUMN.findall(statement)
        if definition.split()[0] == f"Nullable({now.columns.get(column)})"
    ]
    for column, definition in widened:
        client.command(
            f"ALTER TABLE {name} {on_cluster} MODIFY COLUMN {column} {definition}", settings={"mutations_sync": 2}
        )
    unindexed = [
        (index, definition) for index, definition in INDEX.findall(statement) if f"INDEX {index} " not in now.definition
    ]
    for index, definition in unindexed:
        client.command(f"ALTER TABLE {name} {on_cluster} ADD INDEX IF NOT EXISTS {index} {definition}")
        # Indexes existing rows in the background: it waits for merges, which takes minutes for large parts. Until then they are read in full.
        client.command(f"ALTER TABLE {name} {on_cluster} MATERIALIZE INDEX {index}", settings={"mutations_sync": 0})
    settings = SETTINGS.search(statement)
    # A setting with another value was set by somebody.
    unset = [each for each in settings["all"].split(", ") if each.split()[0] not in now.definition] if settings else []
    if unset:
        client.command(f"ALTER TABLE {name} {on_cluster} MODIFY SETTING {', '.join(unset)}")
    return [
        *(f"added {name}.{column}" for column, _ in missing),
        *(f"{name}.{column} is now nullable" for column, _ in widened),
        *(f"indexed {name} by {definition.split()[0]}" for _, definition in unindexed),
        *(f"set {name}: {each}" for each in unset),
    ]


def _apply_view(
    client: Client, statement: str, name: str, kind: str, now: Existing | None, on_cluster: str
) -> list[str]:
    """Create a view, or replace the query of ours; its comment says which statement made it."""
    mark = MARK + hashlib.sha256(statement.encode()).hexdigest()[:16]
    if now is None:
        client.command(f"{statement}\nCOMMENT '{mark}'")
        return [f"created view {name}"]
    # A collector's own view of the trace times is left alone.
    if now.comment == mark or (name == f"{TRACE_TIMES}_mv" and not now.comment.startswith(MARK)):
        return []
    if kind == "VIEW":
        client.command(statement.replace("CREATE VIEW IF NOT EXISTS", "CREATE OR REPLACE VIEW") + f"\nCOMMENT '{mark}'")
    else:
        # In place, so that no insert misses the view.
        select = SELECT.split(statement, maxsplit=1)[1]
        client.command(f"ALTER TABLE {name} {on_cluster} MODIFY QUERY {select}")
        client.command(f"ALTER TABLE {name} {on_cluster} MODIFY COMMENT '{mark}'")
    return [f"upgraded view {name}"]


def keep(client: Client, table: str, days: int, now: Existing, *, cluster: str | None) -> list[str]:
    """Set a table's retention; 0 days removes the limit."""
    if days < 0:
        raise StoreError(f"{table} cannot keep rows for {days} days: use 1 or more, or 0 to keep all")
    set_to = re.search(r"\bTTL \S+\(?\w+\)? \+ toIntervalDay\((\d+)\)", now.definition)
    if days == int(set_to[1] if set_to else 0):
        return []
    if days == 0:
        client.command(f"ALTER TABLE {table} {on(cluster)} REMOVE TTL")
        return [f"{table} keeps all rows"]
    # Our own identifier and an int: DDL takes no parameters here.
    client.command(
        f"ALTER TABLE {table} {on(cluster)} MODIFY TTL toDateTime({TIME_OF[table]}) + INTERVAL {int(days)} DAY"
    )
    return [f"{table} keeps rows for {days} days"]


def on(cluster: str | None) -> str:
    """The ``ON CLUSTER`` clause, or nothing."""
    return "" if cluster is None else "ON CLUSTER `" + cluster.replace("\\", "\\\\").replace("`", "\\`") + "`"


def take_over(client: Client, table: str, *, taken: frozenset[str]) -> str:
    """Copy every row of the first logger's ``table`` into one of ours, which then takes its name.

    The rows are copied into a side table and counted, and one RENAME swaps the two: if it is interrupted, the old table is intact and the
    next call starts over. The rows have no span; each gets a unique id, so that none collapse.
    """
    # Another init may be at it, too: of two, only one can rename the old table.
    target, aside, fresh = STORED_IN[table], SET_ASIDE.format(table=table), f"{table}_takeover_{uuid.uuid4().hex}"
    if aside in taken:
        raise StoreError(
            f"{table} belongs to the first logger, and {aside} exists from an earlier init: move one of them away, then run init again"
        )
    create = next(s for s in statements(table) if re.search(rf"CREATE TABLE IF NOT EXISTS {target}\b", s))
    client.command(create.replace(f"IF NOT EXISTS {target}", fresh, 1))
    now = existing(client)
    if table not in now or not is_first_loggers(now[table]):
        client.command(f"DROP TABLE IF EXISTS {fresh} SYNC")
        raise StoreError(f"another init has just taken over {table}: run init again")
    columns = ", ".join(f"`{name}`" for name in sorted(now[table].columns.keys() & now[fresh].columns.keys()))
    # One thread: the row number keeps two equal rows apart.
    settings: dict[str, Any] = {"max_threads": 1, "max_insert_threads": 1, "insert_deduplicate": 0}
    client.command(
        f"INSERT INTO {fresh} ({columns}, span_id) "  # noqa: S608 - identifiers of ours, and columns that both tables have
        f"SELECT {columns}, concat('{aside}:', toString(rowNumberInAllBlocks())) FROM {table}",
        settings=settings,
    )
    before, after = (int(str(client.command(f"SELECT count() FROM {name}"))) for name in (table, fresh))  # noqa: S608
    if before != after:
        raise StoreError(f"taking over {table}: {after} of {before} rows arrived; nothing was changed. Run init again")
    if target in taken and target != table:
        raise StoreError(
            f"{table} belongs to the first logger, and {target} already exists: move one of them away, then run init again"
        )
    client.command(f"RENAME TABLE {table} TO {aside}, {fresh} TO {target}")
    for left in existing(client):
        # Of inits that were interrupted, or that came second and fail now.
        if re.fullmatch(rf"{table}_takeover(_[0-9a-f]{{32}})?", left):
            client.command(f"DROP TABLE IF EXISTS {left} SYNC")
    return f"took over {before} rows of the first logger's {table} (kept as {aside}; drop it when you like)"


def ensure(client: Client) -> None:
    """Create the tables if there are none yet; change nothing if there are.

    :raises StoreError: the database holds the first logger's tables, which only ``genesis-otel init`` takes over; or those of
        a version that this one cannot use.
    """
    # Before the first insert of every process. What else the database holds takes 40 ms to tell, and is of no interest where this fits.
    asked = "SELECT name, comment FROM system.tables WHERE database = currentDatabase()"
    told = {name: comment for name, comment in client.query(asked).result_rows}  # noqa: C416 - rows are sequences to mypy
    if told.get(version.TABLE) == version.COMMENT and all(name in told for name in WHOLE):
        return
    before = existing(client)
    version.check(before)
    if all(name in before for name in WHOLE):
        return
    leave_first_loggers(before)
    init_schema(client)


def see_whole(found: Mapping[str, Existing]) -> None:
    """Check that nothing has been removed from a store of this version: without a view, rows are lost silently.

    :raises StoreError: a table, a view or a column is not there; ``genesis-otel init`` creates it.
    """
    if version.of(found) != SCHEMA:
        return
    missing = []
    for statement in (each for file in FILES for each in statements(file)):
        match = STATEMENT.search(statement)
        name = match["name"] if match else ""
        if name not in found:
            missing.append(name)
        elif match and match["kind"] == "TABLE" and name not in (LANDING, TRACE_TIMES):
            missing.extend(
                f"{name}.{column}" for column, _ in COLUMN.findall(statement) if column not in found[name].columns
            )
    if missing:
        raise ConfigurationError(
            f"the store lacks {', '.join(missing)}, or its user may not see that: `genesis-otel init` creates it, and "
            "`genesis-otel init --backfill` adds the rows that are missing since"
        )


def leave_first_loggers(before: Mapping[str, Existing]) -> None:
    """Check that no table is the first logger's.

    :raises StoreError: one is; only ``genesis-otel init`` takes them over.
    """
    theirs = [table for table in TABLES if table in before and is_first_loggers(before[table])]
    if theirs:
        raise ConfigurationError(
            f"the database holds tables of the first logger ({', '.join(theirs)}): stop the searches that write to them "
            "and run `genesis-otel init`, which takes them over and keeps every row"
        )
