"""Stores for searches of the released ShinkaEvolve. No file here is called `test_...`: shinka needs its own
environment, in which `make frameworks` runs them."""

from __future__ import annotations

import gc
import itertools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._store import connection, schema

NUMBERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Shinka creates a client for each query and closes none."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Collect their resources here: at the end of the session the warning filter is no longer active."""
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def new_store(engine: Path) -> Iterator[Callable[[], Client]]:
    """Creates stores, each a database of the session's engine."""
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
