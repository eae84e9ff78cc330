"""A search of ShinkaEvolve in this process, recorded into an embedded store: shinka's own rows, the endpoint's ledger, and ours.

In: an endpoint's ways, and settings of a search. Out: all three records, for tests to compare. On failure: what shinka raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry import context as otel

from genesis_otel._ship.correlation import CorrelationProcessor
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.instrumentation import shinka
from tests.support.recording import record, store_spans
from tests.support.shinka_endpoint import Endpoint, serving
from tests.support.shinka_search import runner, stored


@dataclass
class Searched:
    """What all three say of a search."""

    runner: Any
    endpoint: Endpoint
    client: Client
    folder: Path
    error: BaseException | None = None

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """Rows of our tables."""
        return [dict(row) for row in self.client.query(sql).named_results()]

    def programs(self) -> dict[str, dict[str, Any]]:
        """Shinka's programs, by their ids."""
        return {row["id"]: row for row in stored(self.folder)}

    def failures(self) -> dict[int, dict[str, Any]]:
        """The proposals that shinka gave up, by their generations: its log of attempts."""
        return {row["generation"]: row["details"] for row in stored(self.folder, "attempt_log")}

    def individuals(self) -> dict[str, dict[str, Any]]:
        """Our individuals, by their ids."""
        return {row["individual_id"]: row for row in self.ask("SELECT * FROM individuals FINAL")}


def search(
    folder: Path,
    connect: Callable[[], Client],
    endpoint: Endpoint,
    *,
    told: Mapping[str, Any] | None = None,
    raises: type[BaseException] | None = None,
    **settings: Any,
) -> Searched:
    """Run one, and store what was recorded."""
    error: BaseException | None = None
    with pytest.MonkeyPatch.context() as patch, serving(endpoint):
        patch.setenv("OPENAI_BASE_URL", endpoint.url)
        patch.setenv("OPENAI_API_KEY", "sk-secret")
        patch.setenv("NO_PROXY", "127.0.0.1")
        kept = record(patch, through=LLMSpanProcessor, before=(CorrelationProcessor(),))
        shinka.instrument(**(told or {}))
        before = otel.get_current()
        try:
            made = runner(folder, **settings)
            made.run()
        except BaseException as raised:
            if raises is None or not isinstance(raised, raises):
                raise
            error = raised
        finally:
            shinka.uninstrument()
        assert otel.get_current() == before
        spans = kept.spans
    client = connect()
    exporter = ClickHouseSpanExporter(lambda: client)
    store_spans(exporter, spans)
    return Searched(made, endpoint, client, folder, error)
