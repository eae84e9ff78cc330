"""Searches of the released ShinkaEvolve, in this process, and their rows. Where shinka is not installed, nothing here is collected:
`make frameworks` runs it in an environment of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._store import connection, schema

collect_ignore_glob = [] if find_spec("shinka") else ["test_*.py"]

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def new_store(engine: Path) -> Iterator[Callable[[], Client]]:
    """Makes stores, each a database of the session's engine."""
    made: list[Client] = []

    def new() -> Client:
        name = f"shinka_{next(NUMBERS)}"
        client = connection.open_embedded(engine)
        client.command(f"CREATE DATABASE {name}")
        client.database = name
        schema.init_schema(client, traces_ttl_days=0)
        made.append(client)
        return client

    yield new
    for client in made:
        client.close()
