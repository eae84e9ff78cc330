"""Which schema version a store has, and whether this package can use it.

In: what the database holds. Out: a number; nothing if the store fits. On failure: :class:`StoreError`, which says what to run.

The number is in the comment of :data:`TABLE`: a comment needs no extra table and no extra grant (whoever may read a table sees its
comment), works ``ON CLUSTER`` like every other statement, and 0.1.0, which knows no such number, leaves it alone. The comment also
names the oldest schema whose packages can use the store: columns are only ever added, so older readers and writers keep working,
until a change that they cannot handle. That of :data:`FIRST_ROWS_IN` tells, for the upgrades to come, which rows were stored by 0.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genesis_otel._store.errors import ConfigurationError, StoreError
from genesis_otel._store.present import Existing, existing
from genesis_otel._store.tables import LANDING, SCHEMA, TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OLDEST = 1
"""The oldest schema whose packages can read and write this one."""

TABLE = "individuals"
"""The table whose comment holds the number: every reader may read it."""

COMMENT = f"genesis-otel schema {SCHEMA}, for {OLDEST} and later"

UNFINISHED = f"{COMMENT}; its rows are still being upgraded"
"""The comment while views of this schema have been altered and rows are not yet what they yield. Whoever reads or writes is not kept waiting."""

FIRST_ROWS_IN = "generations"
"""The table whose comment tells until when the rows of a store were those of schema 1; it has none if there never were any."""

FIRST_ROWS = "genesis-otel rows of schema 1 until {until}"
"""The time is the server's, in milliseconds since 1970, as in ``ingested_at``."""

TOLD_BY = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
"""Returns :data:`COMMENT` for :data:`TABLE` if the store has exactly this package's schema."""

GRANTS = (
    "SELECT",
    "INSERT",
    "CREATE TABLE",
    "CREATE VIEW",
    "DROP VIEW",
    "ALTER UPDATE",
    "ALTER ADD COLUMN",
    "ALTER MODIFY COLUMN",
    "ALTER MODIFY COMMENT",
    "ALTER ADD INDEX",
    "ALTER MATERIALIZE INDEX",
    "ALTER SETTINGS",
    "ALTER VIEW MODIFY QUERY",
    "OPTIMIZE",
)
"""What ``genesis-otel init`` needs on the database to upgrade a store."""

COMMENT_PATTERN = re.compile(r"genesis-otel schema (?P<schema>\d+), for (?P<oldest>\d+) and later")

FIRST_ROWS_PATTERN = re.compile(FIRST_ROWS.format(until=r"(?P<until>\d+)"))


def of(found: Mapping[str, Existing]) -> int:
    """The schema of a database; 1 if it has tables but no number, 0 if it has no tables."""
    if TABLE not in found:
        return 0
    match = COMMENT_PATTERN.match(found[TABLE].comment)
    return int(match["schema"]) if match else 1


def first_rows(found: Mapping[str, Existing]) -> int | None:
    """Until when the rows of an upgraded store were those of schema 1, in milliseconds since 1970; None if it never had that schema."""
    told = FIRST_ROWS_PATTERN.match(found[FIRST_ROWS_IN].comment) if FIRST_ROWS_IN in found else None
    return int(told["until"]) if told else None


def check(found: Mapping[str, Existing], *, by_init: bool = False) -> None:
    """Check that this package can use the store; ``init`` must not touch one that a later package made.

    :raises StoreError: it cannot; the text says what to run.
    """
    schema = of(found)
    if schema > SCHEMA:
        match = COMMENT_PATTERN.match(found[TABLE].comment)
        if by_init or (match is not None and int(match["oldest"]) > SCHEMA):
            raise ConfigurationError(
                f"the store was made by a later genesis-otel (schema {schema}; this one supports schema {SCHEMA}): "
                "upgrade with pip install -U genesis-otel"
            )
    elif schema < SCHEMA and not by_init and _is_whole(found):
        raise ConfigurationError(
            f"the store was made by an earlier genesis-otel (schema {schema}; this one needs schema {SCHEMA}): "
            "run `genesis-otel init`, which upgrades it and keeps every row"
        )


def is_current(client: Client) -> bool:
    """Whether the store has exactly this package's schema."""
    return bool(client.query(TOLD_BY, parameters={"table": TABLE}).result_rows == [(COMMENT,)])


def see(client: Client) -> None:
    """Check that this package can use a client's store.

    :raises StoreError: it cannot; the text says what to run, and which grants are missing for that.
    """
    # Before every answer to a reader. What else the database holds takes 40 ms to tell, and is of no interest where the number fits.
    if is_current(client):
        return
    try:
        check(existing(client))
    except StoreError as error:
        missing = [grant for grant in GRANTS if not granted(client, grant)]
        if not missing or "init" not in str(error):
            raise
        raise ConfigurationError(
            f"{error}. The user of CLICKHOUSE_URL lacks the grants for that: run it as the user who owns the schema, or "
            f"GRANT {', '.join(missing)} ON {client.database}.*"
        ) from error


def granted(client: Client, grant: str) -> bool:
    """Whether a client's user has a grant on the database; true if the server cannot be asked."""
    from clickhouse_connect.driver.exceptions import Error

    try:
        asked = client.query(
            f"CHECK GRANT {grant} ON {{database:Identifier}}.*", parameters={"database": client.database}
        )
        return bool(int(asked.result_rows[0][0]))
    except Error:
        # ClickHouse before 24.12 cannot be asked: init reports what is missing.
        return True


def _is_whole(found: Mapping[str, Existing]) -> bool:
    """Whether an init of ours made these tables, and they are neither the first logger's nor half of a new store."""
    return LANDING in found and all(name in found for name in TABLES) and "span_id" in found[TABLE].columns
