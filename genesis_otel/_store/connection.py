"""Connecting to the store: a ClickHouse server, or the embedded engine.

In: a URL as in ``CLICKHOUSE_URL``, or a folder. Out: a clickhouse-connect client. Opening one to read creates neither a database nor a
table. On failure: :class:`StoreError`, whose text says what is wrong and what to do about it, and never contains a password.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error
from clickhouse_connect.driver.httpclient import HttpClient
from urllib3 import Timeout

from genesis_otel._log import first_line
from genesis_otel._store.errors import (
    UNKNOWN_DATABASE,
    URL_FORM,
    ConfigurationError,
    StoreError,
    code_of,
    explained,
    split_url,
    where,
)
from genesis_otel._store.wire import wire

logger = logging.getLogger(__name__)

DATABASE = "default"
"""The database used when the URL names none."""


def connect(
    url: str,
    *,
    create: bool = False,
    timeout: float = 10.0,
    answer_timeout: float = 300.0,
    say: bool = False,
) -> Client:
    """A client of the ClickHouse server at ``url``.

    :param url: ``http://`` or ``https://`` with user, password, host, port and database, as in ``CLICKHOUSE_URL``.
    :param create: create the database if it does not exist, and log it: for ``init`` and for a search's first insert.
    :param timeout: seconds for connecting and for the client's first queries.
    :param answer_timeout: seconds for each answer after that.
    :param say: log what a slow call is waiting for: for commands.
    :raises MissingDatabaseError: there is no such database.
    :raises ConfigurationError: the server refuses the user, or whatever answers is not ClickHouse.
    :raises StoreError: the URL is malformed, or the server cannot be reached.
    """
    parts = split_url(url)
    database = unquote(parts.path.strip("/")) or DATABASE

    def client(database: str) -> Client:
        opened = cast(
            HttpClient,
            clickhouse_connect.get_client(
                host=parts.hostname,
                port=parts.port or (8443 if parts.scheme == "https" else 8123),
                username=parts.username or "default",
                password=parts.password or "",
                secure=parts.scheme == "https",
                database=database,
                connect_timeout=timeout,
                send_receive_timeout=timeout,
                autogenerate_session_id=False,
                query_retries=0,
                pool_mgr=wire(url, say=answer_timeout if say else None),
            ),
        )
        opened.timeout = Timeout(connect=timeout, read=answer_timeout)
        return opened

    try:
        try:
            return client(database)
        except DatabaseError as error:
            if not create or code_of(error) != UNKNOWN_DATABASE:
                raise
        with contextlib.closing(client(DATABASE)) as founder:
            founder.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters={"database": database})
        logger.warning("created the database %s at %s", database, where(url))
        return client(database)
    except Error as error:
        raise explained(error, url) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # clickhouse-connect raises these for a response that it did not expect.
        raise ConfigurationError(
            f"the server at {where(url)} is not ClickHouse but a proxy, a login page or another server; check CLICKHOUSE_URL"
        ) from error


def open_embedded(folder: Path, *, settings: dict[str, Any] | None = None) -> Client:
    """A client of the embedded engine (chDB) on ``folder``, which is created if missing. Only one process at a time can have it open.

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
            f"the folder of the embedded store cannot be used: {error}; choose another with chdb:///folder"
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
