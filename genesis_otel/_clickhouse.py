"""The store: connecting to ClickHouse (a server, or the embedded engine), its schema, and what its errors mean.

In: a URL as in ``CLICKHOUSE_URL``, or a folder. Out: a clickhouse-connect client whose database has the tables.
On failure: :class:`StoreError`, whose text says what is wrong and what to do about it, and never holds a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error

TABLES = (
    "evolution_runs",
    "generations",
    "individuals",
    "pareto_fronts",
    "code_lineages",
    "llm_logs",
    "agent_actions",
)
"""The seven tables, in the order of the reference."""

LANDING = "otel_traces"
"""The table that both ways write; the views fill the seven from it."""

STORED_IN = {table: "evolution_runs_log" if table == "evolution_runs" else table for table in TABLES}
"""Where the rows of each of the seven lie: ``evolution_runs`` is a view that folds its log."""

DATABASE = "default"
"""The database where a URL names none."""

TRACES_TTL_DAYS = 90
"""How long the raw traces stay where nothing else is said: the seven tables hold the record, these are for trace views."""

INSERT_SETTINGS: dict[str, Any] = {
    # The landing table is partitioned by day, and spans with odd clocks must not stop an insert (code 252 beyond 100 days).
    "throw_on_max_partitions_per_insert_block": 0,
    # A batch sent again is dropped by its token, in the views' targets too. This is the default since 23.x; said so that
    # a server's profile can't unsay it.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "insert_deduplicate": 1,
    "async_insert": 0,
    # The views side by side: a fifth less time an insert on two cores.
    "parallel_view_processing": 1,
}
"""Settings of every insert into :data:`LANDING`."""

FILES = ("otel_traces", *TABLES)
"""The files of ``sql/`` that make the schema, in order: the landing table first."""

URL_FORM = "http(s)://user:password@host:port/database, or chdb:///folder for the embedded store"

AUTHENTICATION_FAILED = frozenset({192, 193, 194, 516})
UNKNOWN_DATABASE = 81
ACCESS_DENIED = 497


class StoreError(Exception):
    """The store cannot be used as asked. The text is for people: what is wrong, and what to do."""


def connect(url: str, *, settings: dict[str, Any] | None = None, timeout: float = 10.0) -> Client:
    """A client of the ClickHouse server at ``url``; its database is made when it does not exist yet.

    :param url: ``http://`` or ``https://`` with user, password, host, port and database, as in ``CLICKHOUSE_URL``.
    :param settings: ClickHouse settings of every statement of this client.
    :param timeout: seconds for the connection; a statement has clickhouse-connect's own default of 300 s.
    :raises StoreError: the URL is malformed, or the server refuses or cannot be reached.
    """
    parts = split_url(url)
    options: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or (8443 if parts.scheme == "https" else 8123),
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or ""),
        "secure": parts.scheme == "https",
        "connect_timeout": timeout,
        "settings": settings,
        "autogenerate_session_id": False,
        "query_retries": 0,
    }
    database = unquote(parts.path.strip("/")) or DATABASE
    try:
        try:
            return clickhouse_connect.get_client(database=database, **options)
        except DatabaseError as error:
            if error.code != UNKNOWN_DATABASE:
                raise
        founder = clickhouse_connect.get_client(database=DATABASE, **options)
        try:
            founder.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters={"database": database})
        finally:
            founder.close()
        return clickhouse_connect.get_client(database=database, **options)
    except Error as error:
        raise StoreError(explain(error, url)) from error


def open_embedded(folder: Path, *, settings: dict[str, Any] | None = None) -> Client:
    """A client of the embedded engine (chDB) on ``folder``, which is made when missing. One process at a time.

    :raises StoreError: chDB is not installed, the folder cannot be used, or another process has it open.
    """
    try:
        import chdb  # noqa: F401
    except ImportError as error:
        raise StoreError(
            "the embedded store needs chDB, which is not installed: pip install 'genesis-otel[embedded]', "
            f"or set CLICKHOUSE_URL to a server ({URL_FORM})"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"the folder of the embedded store cannot be used: {error}; name another with chdb:///folder"
        ) from error
    try:
        client = clickhouse_connect.get_client(interface="chdb", path=str(folder), settings=settings)
    except Error as error:
        raise StoreError(
            f"the embedded store in {folder} cannot be opened: {first_line(error)}. It takes one process at a time: is "
            "another one using it? If it was made by a newer version, upgrade with pip install -U 'genesis-otel[embedded]'"
        ) from error
    client.database = DATABASE
    return client


def split_url(url: str) -> SplitResult:
    """The parts of an ``http(s)://`` URL.

    :raises StoreError: it is not one; the text never repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StoreError(f"CLICKHOUSE_URL cannot be read: {error}. Its form is {URL_FORM}") from error
    if parts.scheme not in ("http", "https"):
        raise StoreError(f"CLICKHOUSE_URL begins with {parts.scheme or 'no scheme'!r}. Its form is {URL_FORM}")
    if not parts.hostname:
        raise StoreError(f"CLICKHOUSE_URL names no host. Its form is {URL_FORM}")
    if port in (9000, 9440):
        raise StoreError(
            f"port {port} is ClickHouse's native protocol; this needs its HTTP interface: 8123 for http, 8443 for https"
        )
    return parts


def masked(url: str) -> str:
    """``url`` as it may be shown: with ``***`` for the password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def explain(error: Exception, url: str) -> str:
    """What ``error``, raised by clickhouse-connect on ``url``, means and what to do, on one line and without a password."""
    parts = split_url(url)
    where = f"{parts.scheme}://{parts.hostname}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"
    code = error.code if isinstance(error, Error) else None
    text = str(error)
    if code in AUTHENTICATION_FAILED:
        return f"{where} refused the user or the password: check the user:password@ part of CLICKHOUSE_URL (percent-encode @ : / in it)"
    if code == UNKNOWN_DATABASE:
        return f"the database {parts.path.strip('/')!r} does not exist at {where} and could not be made: CREATE DATABASE it, or grant that"
    if code == ACCESS_DENIED:
        return f"the user of CLICKHOUSE_URL may not do this at {where}: {first_line(error)}. Grant it, or use the user who owns the schema"
    if "refused" in text:
        return (
            f"Connection refused at {where}: check host and port, that ClickHouse is running and that a firewall lets you "
            "through; ClickHouse Cloud wants https:// and port 8443"
        )
    if re.search("resolve|Name or service|nodename", text):
        return f"the host of {where} is not known: check its name in CLICKHOUSE_URL"
    if re.search("CERTIFICATE|SSL|TLS|wrong version", text, re.IGNORECASE):
        return f"TLS with {where} failed: use https:// with the TLS port (8443) and http:// with the plain one (8123); {first_line(error)}"
    if re.search("timed? ?out", text, re.IGNORECASE):
        return (
            f"{where} did not answer in time: check host, port and firewall, and that https:// meets the TLS port (8443) and "
            "http:// the plain one (8123); ClickHouse Cloud may be waking from idle: try again"
        )
    return f"ClickHouse at {where}: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 300 characters, with passwords of URLs masked."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0])[:300]


def statements(name: str, *, cluster: str | None = None) -> Iterator[str]:
    """The statements of ``sql/{name}.sql``, one by one: a server takes one a call. They end in ``;`` at a line's end.

    With a cluster its name takes the place of the ``/*ON CLUSTER*/`` marks, and engines become replicated.
    """
    text = resources.files("genesis_otel").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    if cluster is not None:
        quoted = "`" + cluster.replace("\\", "\\\\").replace("`", "\\`") + "`"
        text = text.replace("/*ON CLUSTER*/", f"ON CLUSTER {quoted}")
        text = text.replace("/*Replicated*/", "Replicated").replace(
            "non_replicated_deduplication_window", "replicated_deduplication_window"
        )
    for statement in re.split(r";\s*$", text, flags=re.MULTILINE):
        if re.sub(r"--[^\n]*", "", statement).strip():
            yield statement.strip()
