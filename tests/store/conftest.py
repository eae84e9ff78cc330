"""The known search, as the tests of queries ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from tests.support.searched import GOING_ON, LATER, search_spans, stored


@pytest.fixture(scope="module")
def searched(engine: Path) -> Iterator[Client]:
    """A database with the ended search and the running one, recorded through the real API and the real exporter. No test changes it."""
    searches = (search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    with stored(engine, "searched", *searches, traces_ttl_days=None) as client:
        yield client
