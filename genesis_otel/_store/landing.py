"""The layouts of ``otel_traces``: how the views read a table that a collector made, whatever its version.

In: the columns of a landing table and their types. Out: what the views select from: the table itself if it has the layout of
``sql/otel_traces.sql``, else a subquery that gives it that layout. On failure: :class:`ConfigurationError` if it is not a landing table
of the collector's at all.

All layouts of the collector's clickhouseexporter are read: without ``ScopeName`` (up to 2023), with ``Duration`` as Int64 (up to
2024), with maps (still the default), and with JSON columns (``json: true``; with or without ``SpanAttributesKeys`` beside them).
Additional columns do no harm. https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from genesis_otel import attributes as names
from genesis_otel._store.errors import ConfigurationError
from genesis_otel._store.tables import LANDING

REQUIRED = (
    "Timestamp",
    "TraceId",
    "SpanId",
    "ParentSpanId",
    "SpanName",
    "ServiceName",
    "ResourceAttributes",
    "SpanAttributes",
    "Duration",
    "StatusCode",
    "StatusMessage",
    "Events.Timestamp",
    "Events.Name",
    "Events.Attributes",
)
"""Columns that every layout has and that the views or the named queries read."""

LATER = {"ScopeName": "''"}
"""Columns that the views read but the oldest layouts lack, and what replaces them."""

READ_BY_VIEWS = (
    "Timestamp",
    "TraceId",
    "SpanId",
    "ParentSpanId",
    "Duration",
    "StatusCode",
    "StatusMessage",
    "Events.Timestamp",
    "Events.Name",
)

# A JSON column nests dotted names (`genesis.run.id`) and yields its keys and values one level at a time: eight levels are
# unfolded, more than any name in the conventions has. A list of pairs rather than a map, because paths such as
# `gen_ai.prompt` and `gen_ai.prompt.0.role` may both be present.
FLATTENED = """CAST(arrayMap(
            pair -> (pair.1, if(startsWith(pair.2, '"'), JSONExtractString(pair.2), pair.2)),
            arrayFold(
                (found, level) -> arrayFlatten(arrayMap(
                    pair -> if(
                        startsWith(pair.2, '{{'),
                        arrayMap(inner -> (concat(pair.1, '.', inner.1), inner.2), JSONExtractKeysAndValuesRaw(pair.2)),
                        [pair]
                    ),
                    found
                )),
                range(8),
                JSONExtractKeysAndValuesRaw(toJSONString({json}))
            )
        ), 'Map(String, String)')"""

MARKS = (names.RUN_ID, names.RECORD, names.LLM_COST_SOURCE)
"""Attributes that only spans of a search have; the run id may be on the resource instead."""

OTHER_MARKS = f"has(Events.Name, '{names.EVENT_PARETO_FRONT}') OR ScopeName = '{names.SCOPE}'"

OF_A_SEARCH = " OR ".join(
    (*(f"SpanAttributes['{name}'] != ''" for name in MARKS), f"ResourceAttributes['{names.RUN_ID}'] != ''", OTHER_MARKS)
)
"""Whether a span may become rows; a condition on what :func:`source` returns."""

OF_A_SEARCH_IN_JSON = " OR ".join(
    (
        *(f"has(JSONAllPaths(SpanAttributes), '{name}')" for name in MARKS),
        f"has(JSONAllPaths(ResourceAttributes), '{names.RUN_ID}')",
        OTHER_MARKS,
    )
)
"""The same condition on JSON columns: unfolding is expensive, and a collector's table holds mostly spans of other programs."""


def check(columns: Mapping[str, str]) -> None:
    """Check that a table with the landing table's name is one.

    :param columns: the type of each column.
    :raises StoreError: it is not; the text names what it lacks.
    """
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ConfigurationError(
            f"the {LANDING} in this database does not have the layout of the collector's clickhouse exporter; it lacks "
            f"{', '.join(missing)}. Use another database, or let the collector write to a new table"
        )


def is_json(columns: Mapping[str, str]) -> bool:
    """Whether the attributes are JSON columns."""
    return columns["SpanAttributes"].startswith("JSON")


def source(columns: Mapping[str, str], *, where: str = "") -> str:
    """What a view selects FROM: the landing table, or a subquery that replaces it.

    :param where: a condition on the table's own columns, to read only part of it.
    """
    lacking = {name: value for name, value in LATER.items() if name not in columns}
    if not is_json(columns):
        if not (lacking or where):
            return LANDING
        added = "".join(f", {value} AS {name}" for name, value in lacking.items())
        return f"(SELECT *{added} FROM {LANDING}{f' WHERE {where}' if where else ''})"
    attributes = ",\n        ".join(
        f"{FLATTENED.format(json=column)} AS {column}" for column in ("SpanAttributes", "ResourceAttributes")
    )
    others = ",\n        ".join(
        f"{lacking[name]} AS {name}" if name in lacking else name for name in (*READ_BY_VIEWS, *LATER)
    )
    condition = f"({OF_A_SEARCH_IN_JSON}){f' AND ({where})' if where else ''}"
    # Two steps: the condition applies to the original columns, whose names the flattened ones reuse.
    return (
        f"(\n    SELECT\n        {others},\n        {attributes},\n"
        f"        arrayMap(each -> {FLATTENED.format(json='each')}, Events.Attributes) AS `Events.Attributes`\n"
        f"    FROM (SELECT * FROM {LANDING} WHERE {condition})\n)"
    )


FROM_LANDING = re.compile(rf"\bFROM {LANDING}\b")


def reading(select: str, columns: Mapping[str, str], *, where: str = "") -> str:
    """A view's SELECT, adapted to the landing table's layout; for ``where`` see :func:`source`."""
    return FROM_LANDING.sub(lambda _: f"FROM {source(columns, where=where)}", select)
