"""The layouts of ``otel_traces``: how the views read one that a collector has made, whatever its version.

In: the columns of a landing table and their types. Out: what the views select from: the table itself where it has the
layout of ``sql/otel_traces.sql``, else a subquery on it that has. On failure: :class:`ConfigurationError` where it is no landing
table of the collector's at all.

Layouts of the collector's clickhouseexporter, all of which are read: without ``ScopeName`` (up to 2023), with ``Duration`` as Int64
(up to 2024), with maps (the default to this day), and with JSON columns (``json: true``; ``SpanAttributesKeys`` beside them or not).
Columns that somebody added do no harm. https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter
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
"""Columns that every layout has and the views or the named queries read."""

LATER = {"ScopeName": "''"}
"""Columns that the views read and the oldest layouts lack, and what stands for them."""

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

# A JSON column nests what is dotted (`genesis.run.id`), and gives its keys and values one level at a time: eight levels
# are unfolded, more than any name in the conventions has. A list of pairs and not a map, since paths such as
# `gen_ai.prompt` and `gen_ai.prompt.0.role` may stand beside each other.
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
"""Attributes that only spans of a search have; the run's id may stand on the resource instead."""

OTHER_MARKS = f"has(Events.Name, '{names.EVENT_PARETO_FRONT}') OR ScopeName = '{names.SCOPE}'"

OF_A_SEARCH = " OR ".join(
    (*(f"SpanAttributes['{name}'] != ''" for name in MARKS), f"ResourceAttributes['{names.RUN_ID}'] != ''", OTHER_MARKS)
)
"""Whether a span may become rows, said of what :func:`source` gives."""

OF_A_SEARCH_IN_JSON = " OR ".join(
    (
        *(f"has(JSONAllPaths(SpanAttributes), '{name}')" for name in MARKS),
        f"has(JSONAllPaths(ResourceAttributes), '{names.RUN_ID}')",
        OTHER_MARKS,
    )
)
"""The same of JSON columns: unfolding costs, and a foreign table is mostly spans of others."""


def check(columns: Mapping[str, str]) -> None:
    """See that a table of the landing table's name is one.

    :param columns: the type of each column.
    :raises StoreError: it is not, and what it lacks.
    """
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ConfigurationError(
            f"the {LANDING} in this database is not laid out as the collector's clickhouse exporter makes it; it lacks "
            f"{', '.join(missing)}. Name another database, or let the collector write to a new table"
        )


def is_json(columns: Mapping[str, str]) -> bool:
    """Whether attributes are JSON columns."""
    return columns["SpanAttributes"].startswith("JSON")


def source(columns: Mapping[str, str], *, where: str = "") -> str:
    """What a view selects from, as it stands after FROM: the landing table, or a subquery in its place.

    :param where: a condition on the table's own columns, for those who read a part of it.
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
    # Two steps: the condition is on the columns as they are, whose names the flat ones take.
    return (
        f"(\n    SELECT\n        {others},\n        {attributes},\n"
        f"        arrayMap(each -> {FLATTENED.format(json='each')}, Events.Attributes) AS `Events.Attributes`\n"
        f"    FROM (SELECT * FROM {LANDING} WHERE {condition})\n)"
    )


FROM_LANDING = re.compile(rf"\bFROM {LANDING}\b")


def reading(select: str, columns: Mapping[str, str], *, where: str = "") -> str:
    """A view's SELECT on the landing table as that is laid out; for ``where`` see :func:`source`."""
    return FROM_LANDING.sub(lambda _: f"FROM {source(columns, where=where)}", select)
