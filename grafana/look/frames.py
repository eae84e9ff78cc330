"""Answers of ClickHouse as the data frames that Grafana's data source makes of them.

In: an answer of clickhouse-connect, the target's format and refId. Out: frames as `toDataFrame` of @grafana/data takes them, and
what no chart can draw. Texts, numbers, times (milliseconds) and booleans are fields of that type; everything else (arrays, maps)
is `other`. A time series becomes wide: one field for each number and each combination of texts, which are its labels, as
`LongToWide` of grafana-plugin-sdk-go does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

TIME_SERIES = 0

Frame = dict[str, Any]


def kind_of(name: str) -> str:
    """The type of the field for a type of ClickHouse."""
    bare = name
    for wrapper in ("LowCardinality(", "Nullable("):
        bare = bare.removeprefix(wrapper)
    if bare.startswith(("Array", "Map", "Tuple", "JSON")):
        return "other"
    if bare.startswith(("Date", "Time")):
        return "time"
    if bare.startswith("Bool"):
        return "boolean"
    return "number" if bare.startswith(("Int", "UInt", "Float", "Decimal")) else "string"


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        at = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return at.timestamp() * 1000
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc).timestamp() * 1000
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def not_finite(frames: Sequence[Frame]) -> list[str]:
    """The fields with a NaN or an infinity, which no axis has a place for."""
    return [
        field["name"]
        for frame in frames
        for field in frame["fields"]
        if any(isinstance(each, float) and not math.isfinite(each) for each in field["values"])
    ]


def of_answer(answer: Any, ref: str, form: int) -> list[Frame]:
    """The frames of one query's answer."""
    kinds = [kind_of(each.name) for each in answer.column_types]
    columns = [[plain(row[at]) for row in answer.result_rows] for at in range(len(kinds))]
    fields = [
        {"name": name, "type": kind, "values": values}
        for name, kind, values in zip(answer.column_names, kinds, columns, strict=True)
    ]
    if form == TIME_SERIES and "string" in kinds and "time" in kinds:
        fields = _wide(fields)
    return [{"refId": ref, "fields": fields}]


def _wide(fields: list[Frame]) -> list[Frame]:
    """One field a series: a row's number stands at its time in the field of its texts."""
    time = next(each for each in fields if each["type"] == "time")
    texts = [each for each in fields if each["type"] == "string"]
    times = sorted(set(time["values"]))
    places = {at: place for place, at in enumerate(times)}
    series: dict[tuple[str, ...], Frame] = {}
    for row, at in enumerate(time["values"]):
        labels = {each["name"]: str(each["values"][row] or "") for each in texts}
        for number in (each for each in fields if each["type"] == "number"):
            key = (number["name"], *labels.values())
            made = series.setdefault(
                key, {"name": number["name"], "type": "number", "labels": labels, "values": [None] * len(times)}
            )
            made["values"][places[at]] = number["values"][row]
    return [{"name": time["name"], "type": "time", "values": times}, *series.values()]
