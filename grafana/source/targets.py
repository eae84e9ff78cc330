"""What a panel asks: the SQL of a target, with Grafana's variables and the named queries in it.

In: SQL, variables and the names of queries. Out: targets of the ClickHouse data source, which the SDK cannot express, and SQL expressions.
On failure: an unknown query or value raises when the dashboards are written.
Source: https://grafana.com/docs/plugins/grafana-clickhouse-datasource.
"""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard

from genesis_otel import queries
from genesis_otel._grafana.files import PLUGIN

PLUGIN_VERSION = "4.21.3"
"""The release whose macros and formats the tests expand; the plugin itself reads older and newer ones."""
DATASOURCE = {"type": PLUGIN, "uid": "${datasource}"}
"""The data source that is chosen at the top of a dashboard."""
REFERENCE = dashboard.DataSourceRef(type_val=PLUGIN, uid="${datasource}")
"""The same for the SDK's builders."""
TIME_SERIES, TABLE, TRACES = 0, 1, 3
"""``format`` of a target, as the data source numbers it."""
QUERY_TYPES = {TIME_SERIES: "timeseries", TABLE: "table", TRACES: "traces"}


class Target(Dataquery):
    """A query of the ClickHouse data source, in its SQL editor."""

    def __init__(self, sql: str, kind: int = TABLE, ref_id: str = "A") -> None:
        self.sql, self.kind, self.ref_id = sql.strip(), kind, ref_id

    def build(self) -> Target:
        """Returns itself: a panel's ``with_target`` takes a builder."""
        return self

    def to_json(self) -> dict[str, Any]:
        """As the data source stores it."""
        return {
            "datasource": DATASOURCE,
            "editorType": "sql",
            "format": self.kind,
            "pluginVersion": PLUGIN_VERSION,
            "queryType": QUERY_TYPES[self.kind],
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


def value(variable: str) -> str:
    """A variable's value as a SQL expression.

    Percent-encoded, because Grafana's ``sqlstring`` does not escape backslashes, with which a run's id could end the string and
    continue as SQL; encoded, nothing but letters, digits, ``%`` and ``-_.~`` reaches the statement.
    """
    return f"decodeURLComponent('${{{variable}:percentencode}}')"


def among(column: str, variable: str) -> str:
    """A condition: the column's value is among those chosen, which Grafana sends as ``{one,two}``. The list is not split: a
    name may contain a comma.

    The data source inserts it with JavaScript's ``String.replace``, where ``$'`` stands for the text that follows: hence ``\\z`` for the end of the text.
    """
    chosen = f"replaceRegexpOne({value(variable)}, '^[{{](.*)[}}]\\\\z', '\\\\1')"
    return f"position(concat(',', {chosen}, ','), concat(',', {column}, ',')) > 0"


def runs_among(variable: str) -> str:
    """The chosen runs, as a condition on the sort key."""
    return f"run_id IN (SELECT run_id FROM evolution_runs WHERE {among('run_id', variable)})"


def named(name: str, **values: str) -> str:
    """The SQL of a named query with its parameters replaced by expressions over Grafana's variables.

    :param values: an expression for each parameter, e.g. ``run_id=value("run")``; defaults for the others.
    """
    query = queries.load(name)
    told = queries.values(query, values)
    sql = query.sql
    for parameter in query.parameters:
        sql = sql.replace(f"{{{parameter.name}:{parameter.type}}}", str(told[parameter.name]))
    return sql
