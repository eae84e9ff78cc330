"""A golden case as spans, and the rows of a table as comparable values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.golden import CASES, Case


def spans_of(case: Case) -> Sequence[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    case.emit(provider.get_tracer("golden", "1.0"))
    return kept.get_finished_spans()


def golden() -> list[ReadableSpan]:
    """The spans of all golden cases."""
    return [span for case in CASES for span in spans_of(case)]


def rows_of(client: Client, table: str) -> list[dict[str, Any]]:
    """A table's rows in comparable form: times as text, and NaN and infinities by name."""

    def plain(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value

    times = ", ".join(
        f"toString({column}, 'UTC') AS {column}"
        for column in ("timestamp", "start_time", "end_time")
        if column in columns_of(client, table)
    )
    order = "position" if "position" in columns_of(client, table) else "span_id"
    answer = client.query(f"SELECT * REPLACE ({times}) FROM {table} ORDER BY {order}")
    return [{name: plain(value) for name, value in row.items()} for row in answer.named_results()]


def columns_of(client: Client, table: str) -> list[str]:
    return [row[0] for row in client.query(f"DESCRIBE TABLE {table}").result_rows]
