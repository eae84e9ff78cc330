"""Shell completion of runs and named queries.

In: the text typed so far. Out: possible completions. On failure: no completions and no message, because the shell waits for the answer
and would show any output. For the same reason no store process is started, and a server is given at most 2 s.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SECONDS = 2.0
"""The shell blocks until the answer arrives."""
SEVERAL = 20


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """``latest``, and the newest runs that start with the text."""
    found = ["latest"]
    # Suppress everything: a traceback would end up in the line being typed.
    with contextlib.suppress(Exception), _silence():
        from genesis_otel import queries
        from genesis_otel._settings import load_settings

        url = context.find_root().params.get("url")
        client = _client(load_settings(**({"clickhouse_url": url} if url else {})).store)
        if client is not None:
            with contextlib.closing(client):
                rows = queries.ask(client, "matching_runs", run=incomplete, limit=SEVERAL)
            found += [str(row["run_id"]) for row in rows]
    return [each for each in found if each.startswith(incomplete)]


def named_queries(incomplete: str) -> list[str]:
    """The named queries that start with the text."""
    from genesis_otel import queries

    return [name for name in queries.names() if name.startswith(incomplete.replace("-", "_"))]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Disable logging within the block."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def _client(store: object) -> Client | None:
    """A client of a store that can answer at once; None if a store process would have to be started first."""
    from genesis_otel._serve import client as store_process
    from genesis_otel._settings import Embedded, Server

    if isinstance(store, Server):
        from genesis_otel._store.connection import connect

        return connect(store.url, timeout=SECONDS, answer_timeout=SECONDS)
    if isinstance(store, Embedded) and store_process.running(store.folder) is not None:
        return store_process.open_store(store.folder, timeout=SECONDS, answer_timeout=SECONDS)
    return None
