"""The store: connecting to ClickHouse (a server, or the embedded engine), its schema, and what its errors mean.

In: a URL as in ``CLICKHOUSE_URL``, or a folder. Out: a clickhouse-connect client whose database has the tables.
On failure: :class:`StoreError`, whose text says what is wrong and what to do about it, and never holds a password.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from genesis_otel._store.errors import UNKNOWN_DATABASE, URL_FORM, StoreError, explain, first_line, split_url

DATABASE = "default"
"""The database where a URL names none."""


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
