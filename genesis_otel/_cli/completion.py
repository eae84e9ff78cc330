"""Shell completion of runs, individuals and named queries.

In: the text typed so far. Out: possible completions. On failure: no completions and no message, because the shell waits for the answer
and would show any output. For the same reason a store has at most 2 s, no store is created, and only names in which no shell sees more
than a word are offered: an id may have been given to somebody else's run, and what is completed is a command to be run.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from genesis_otel._cli.columns import STATUS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SECONDS = 2.0
"""The shell blocks until the answer arrives."""
SEVERAL = 20


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """``latest``, and the newest runs that start with the text."""
    rows = _rows(context, "matching_runs", run=incomplete)
    return _beginning(incomplete, ["latest", *(str(row["run_id"]) for row in rows)])


def individuals(context: typer.Context, incomplete: str) -> list[str]:
    """``best``, and the individuals of the run given before that start with the text, the best first."""
    run = context.params.get("run") or "latest"
    rows = _rows(context, "matching_individuals", run_id=run, individual=incomplete)
    return _beginning(incomplete, ["best", *(str(row["individual_id"]) for row in rows)])


def named_queries(incomplete: str) -> list[str]:
    """The named queries that start with the text."""
    from genesis_otel import queries

    return [name for name in queries.names() if name.startswith(incomplete.replace("-", "_"))]


def statuses(incomplete: str) -> list[str]:
    """What a run's status can be."""
    return _beginning(incomplete, STATUS)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [each for each in names if each.startswith(incomplete) and shlex.quote(each) == each]


def _rows(context: typer.Context, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """The first rows of a named query; none if the store cannot answer now."""
    # Suppress everything: a traceback would end up in the line being typed.
    with contextlib.suppress(Exception), _silence():
        from genesis_otel import queries
        from genesis_otel._read.client import run_id_of
        from genesis_otel._settings import load_settings

        url = context.find_root().params.get("url")
        client = _client(load_settings(**({"clickhouse_url": url} if url else {})).store)
        if client is not None:
            with contextlib.closing(client):
                if "run_id" in parameters:
                    parameters["run_id"] = run_id_of(client, parameters["run_id"])
                return queries.ask(client, query, **parameters, limit=SEVERAL)
    return []


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
    """A client of a store that answers soon; None if there is no store yet."""
    from genesis_otel._serve import client as store_process
    from genesis_otel._serve import folder as store_folder
    from genesis_otel._settings import Embedded, Server

    if isinstance(store, Server):
        from genesis_otel._store.connection import connect

        return connect(store.url, timeout=SECONDS, answer_timeout=SECONDS)
    if isinstance(store, Embedded) and (store.folder / store_folder.ENGINE).is_dir():
        # If this takes too long, the process is there for the next attempt.
        store_process.ensure_store_process(store.folder, SECONDS)
        return store_process.open_store(store.folder, timeout=SECONDS, answer_timeout=SECONDS)
    return None
