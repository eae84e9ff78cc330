"""The shapes that the kinds of Grafana's panels draw: whether an answer of the engine fits the panel that asked for it.

In: a query of a dashboard, and its answer. Out: nothing. On failure: an assertion that says what would not be drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.support.dashboards import Asked, finite


def of_stat(asked: Asked, result: Any) -> None:
    told = [each["matcher"]["options"] for each in asked.panel["fieldConfig"]["overrides"]]
    assert len(result.result_rows) == 1 and set(told) <= set(result.column_names)
    # Several values are distinguished by their names.
    shown = re.compile(asked.panel["options"]["reduceOptions"]["fields"].strip("/"))
    drawn = [name for name in result.column_names if shown.search(name)]
    assert len(drawn) == 1 or (drawn and asked.panel["options"]["textMode"] == "value_and_name")
    assert all(value is None or finite(value) or isinstance(value, str) for value in result.result_rows[0])


def of_time_series(asked: Asked, result: Any) -> None:
    """https://grafana.com/docs/plugins/grafana-clickhouse-datasource: a time, numbers, texts as labels, sorted by time."""
    assert asked.format == 0
    times = [row[0] for row in result.result_rows]
    assert all(isinstance(each, datetime) for each in times) and times == sorted(times)
    kinds = {type(value) for row in result.result_rows for value in row[1:] if value is not None}
    assert kinds <= {int, float, str} and kinds & {int, float}
    labels = [i for i, kind in enumerate(result.column_types) if "String" in kind.name]
    # A point that occurs twice in a series would be drawn as a jump.
    keys = [(row[0], *(row[i] for i in labels)) for row in result.result_rows]
    assert len(set(keys)) == len(keys)


def of_trend(asked: Asked, result: Any) -> None:
    x = result.column_names.index(asked.panel["options"]["xField"])
    values = [row[x] for row in result.result_rows]
    assert values == sorted(set(values)), "x has to rise"
    assert all(each is None or isinstance(each, (int, float)) for row in result.result_rows for each in row)


def of_scatter(asked: Asked, result: Any) -> None:
    if not result.result_rows:
        return
    numbers = [
        name for name, kind in zip(result.column_names, result.column_types, strict=True) if "String" not in kind.name
    ]
    assert len(numbers) == 2 and numbers[0] == "x"
    assert all(kind.name in ("Float64", "Nullable(Float64)", "String") for kind in result.column_types)


def of_bars(asked: Asked, result: Any) -> None:
    assert all(isinstance(name, str) and finite(value) for name, value in result.result_rows)


def of_node_graph(asked: Asked, result: Any) -> None:
    """https://grafana.com/docs/grafana/latest/panels-visualizations/visualizations/node-graph#data-api"""
    names = set(result.column_names)
    rows = list(result.named_results())
    assert len({row["id"] for row in rows}) == len(rows)
    if asked.ref == "edges":
        assert {"id", "source", "target", "mainstat"} <= names
        return
    assert asked.ref == "nodes" and {"id", "title", "subtitle", "mainstat", "secondarystat"} <= names
    arcs = [name for name in names if name.startswith("arc__")]
    assert all(sum(row[arc] for arc in arcs) == 1 for row in rows)


def of_traces(asked: Asked, result: Any) -> None:
    """https://grafana.com/docs/grafana/latest/explore/trace-integration#data-frame-structure"""
    assert asked.format == 3
    wanted = {
        "traceID",
        "spanID",
        "parentSpanID",
        "serviceName",
        "operationName",
        "startTime",
        "duration",
        "tags",
        "serviceTags",
    }
    assert wanted <= set(result.column_names)
    spans = {row["spanID"]: row for row in result.named_results()}
    assert all(not row["parentSpanID"] or row["parentSpanID"] in spans for row in spans.values())
    assert all(set(tag) == {"key", "value"} for row in spans.values() for tag in [*row["tags"], *row["serviceTags"]])
    longest = max(spans.values(), key=lambda row: float(row["duration"]))
    assert longest["operationName"] == "generation" and 1e3 < longest["duration"] < 60e3  # milliseconds
    assert abs(longest["startTime"] / 1e3 - datetime.now().timestamp()) < 2 * 3600


def of_table(asked: Asked, result: Any) -> None:
    # The panel's text for no rows must not appear in empty cells.
    everywhere, *overrides = asked.panel["fieldConfig"]["overrides"]
    assert everywhere == {
        "matcher": {"id": "byRegexp", "options": "/.*/"},
        "properties": [{"id": "noValue", "value": ""}],
    }
    # Columns described in `columns` must exist, and every heading consists of words.
    told = {each["matcher"]["options"]: each["properties"] for each in overrides if each["matcher"]["id"] == "byName"}
    assert not result.result_rows or set(told) <= set(result.column_names)
    headings = {name: _heading(name, told.get(name, ())) for name in result.column_names}
    assert all("_" not in heading for heading in headings.values() if heading is not None), headings
    widths = [_setting(told.get(name, ()), "custom.width") for name, heading in headings.items() if heading is not None]
    share = asked.panel["gridPos"]["w"] / 24
    assert sum(width or 150 for width in widths) <= 1568 * share or _scrolls(asked), (
        asked.title,
        sum(width or 150 for width in widths),
    )


def _setting(properties: Iterable[Mapping[str, Any]], name: str) -> Any:
    return next((each["value"] for each in properties if each["id"] == name), None)


def _heading(name: str, properties: Iterable[Mapping[str, Any]]) -> str | None:
    """The heading of a column; None if it is hidden."""
    return None if _setting(properties, "custom.hidden") else _setting(properties, "displayName") or name


def _scrolls(asked: Asked) -> bool:
    """Tables whose texts are read one after the other, from left to right: prompts, answers, code."""
    return any(
        each["id"] == "custom.inspect"
        for over in asked.panel["fieldConfig"]["overrides"]
        for each in over["properties"]
    )


def of_variable(asked: Asked, result: Any) -> None:
    """The plugin takes one column for both value and text, or the value from the first and the text from the second."""
    assert len(result.column_names) in (1, 2)
    assert all(isinstance(text, str) for row in result.result_rows for text in row)


def of_annotation(asked: Asked, result: Any) -> None:
    assert result.column_names == ("time", "title", "text", "tags")


SHAPES = {
    "stat": of_stat,
    "timeseries": of_time_series,
    "trend": of_trend,
    "xychart": of_scatter,
    "barchart": of_bars,
    "nodeGraph": of_node_graph,
    "traces": of_traces,
    "table": of_table,
    "variable": of_variable,
    "annotation": of_annotation,
}
"""By the kind of panel; variables and annotations are asked for, too."""


def settings_fit(asked: Asked, result: Any) -> None:
    """Each link on a column of an answer names only columns of this answer: a graph's edges do not get links meant for nodes."""
    for override in asked.panel.get("fieldConfig", {}).get("overrides", ()) if result.result_rows else ():
        if override["matcher"]["options"] not in result.column_names:
            continue
        for setting in override["properties"]:
            for link in setting["value"] if setting["id"] == "links" else ():
                named = set(re.findall(r"__data\.fields\.(\w+)", link["url"]))
                assert named <= set(result.column_names), (asked.title, link["title"])
