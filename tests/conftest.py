"""Fixtures of all tests. chDB is the real engine and takes one folder a process: every test that wants it in its own
process gets a database of its own in one engine for the session."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, settings

from genesis_otel._emit import configured
from genesis_otel._store import connection, schema
from tests.support.environment import PATIENT

# What processes of tests say on standard error is compared; where a run goes is said in its own tests.
# A test's own process that imports this keeps the time limit that it was given.
os.environ |= {"GENESIS_OTEL_QUIET": "true", **{name: os.environ.get(name, value) for name, value in PATIENT.items()}}

# What a shell without job control starts in the background ignores Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long examples take on a busy machine says nothing. `make test` tries the same ones every time; `make fuzz` tries others.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

NUMBERS = itertools.count()

Connect = Callable[[], Client]
Definitions = dict[str, str]


@pytest.fixture(autouse=True)
def configured_no_longer() -> Iterator[None]:
    """A test that leaves telemetry configured would have the next ones of its process go by its settings."""
    before = configured.current()
    yield
    left = configured.current()
    configured.tell(before)
    assert left is before


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the session's embedded engine, held open until the end."""
    folder = tmp_path_factory.mktemp("engine")
    held = connection.open_embedded(folder)
    yield folder
    held.close()


@pytest.fixture(scope="session")
def prepared() -> dict[str, Definitions]:
    """Databases with the tables made and nothing in them, and how these tables are defined: making them anew takes 0.4 s of CPU."""
    return {}


@pytest.fixture
def connect(engine: Path, prepared: dict[str, Definitions], request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens clients on a database of this test's own, without tables."""
    ready = next(iter(prepared), None) if "store" in request.fixturenames else None
    name = ready or f"test_{next(NUMBERS)}"
    clients: list[Client] = []

    def open_client() -> Client:
        client = connection.open_embedded(engine)
        client.command(f"CREATE DATABASE IF NOT EXISTS {name}")
        client.database = name
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()
    if name not in prepared:
        client = connection.open_embedded(engine)
        client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        client.close()


@pytest.fixture
def store(engine: Path, connect: Connect, prepared: dict[str, Definitions]) -> Iterator[Client]:
    """A client on a database of this test's own, with the tables made. Emptied, the next test has it, unless this one altered them."""
    client = connect()
    name = str(client.database)
    made = prepared.pop(name, None)
    if made is None:
        # Golden spans are of 2023: under the default retention the raw ones would go at once.
        schema.init_schema(client, traces_ttl_days=0)
        made = definitions(client, name)
    for table, definition in made.items():
        if "MergeTree" in definition:
            # A test may have stopped them, and what waits for a mutation then waits forever.
            client.command(f"SYSTEM START MERGES {name}.{table}")
    yield client
    # The test may have closed its own, or set it to something else.
    after = connection.open_embedded(engine)
    if definitions(after, name) == made:
        for table, definition in made.items():
            if "MergeTree" in definition:
                after.command(f"TRUNCATE TABLE {name}.{table}")
        prepared[name] = made
    after.close()


def definitions(client: Client, database: str) -> Definitions:
    """The statement that would make each table of a database as it is now."""
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}"
    return {str(name): str(made) for name, made in client.query(sql, parameters={"database": database}).result_rows}
