"""What can be chosen at the top of a dashboard, and the SQL conditions that follow from the choice.

In: names, labels and the query of the values. Out: variables of grafana-foundation-sdk, and conditions over them.
Source: https://grafana.com/docs/grafana/latest/dashboards/variables.
"""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

from genesis_otel._grafana.files import PLUGIN
from grafana.source.targets import REFERENCE, among, runs_among


def datasource() -> builders.DatasourceVariable:
    """Which ClickHouse data source."""
    return builders.DatasourceVariable("datasource").label("Data source").type(PLUGIN)


def choice(
    name: str,
    label: str,
    sql: str,
    *,
    multi: bool = False,
    everything: bool = False,
    by_time: bool = False,
    description: str = "",
) -> builders.QueryVariable:
    """A value, or several, from a query's first column; ``by_time`` repeats the query whenever the time range changes."""
    changes = (
        dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED if by_time else dashboard.VariableRefresh.ON_DASHBOARD_LOAD
    )
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(REFERENCE)
        .query(sql.strip())
        .refresh(changes)
        .multi(multi)
        .include_all(everything)
    )
    if everything:
        all_of_them = dashboard.VariableOption(
            selected=True, text=["All"] if multi else "All", value=["$__all"] if multi else "$__all"
        )
        variable = variable.current(all_of_them)
    return variable


def listed(name: str, label: str, values: Sequence[str]) -> builders.CustomVariable:
    """One of the given values, the first by default."""
    first = dashboard.VariableOption(selected=True, text=values[0], value=values[0])
    return builders.CustomVariable(name).label(label).values(",".join(values)).current(first)


def typed(name: str, label: str, default: str = "", description: str = "") -> builders.TextBoxVariable:
    """A value that is typed in or set by a link."""
    return builders.TextBoxVariable(name).label(label).default_value(default).description(description)


TASK = choice(
    "task",
    "Task",
    "SELECT DISTINCT task_name FROM evolution_runs WHERE task_name != '' ORDER BY task_name",
    multi=True,
    everything=True,
)
OF_TASK = f"$__conditionalAll({among('task_name', 'task')}, $task)"
OF_RUNS = (
    f"$__conditionalAll({runs_among('run')}, $run)"
    f" AND $__conditionalAll(run_id IN (SELECT run_id FROM evolution_runs WHERE {among('task_name', 'task')}), $task)"
)
"""Rows of the chosen runs of the chosen tasks. A row without a run belongs to no task: it is shown only if everything is chosen."""
NEWEST_RUNS = f"SELECT run_id FROM evolution_runs WHERE {OF_TASK} ORDER BY start_time DESC, run_id LIMIT 1000"
ONE_RUN = choice(
    "run", "Run", NEWEST_RUNS, description="The newest 1,000 runs of the tasks. Open an older one through its link."
)


IN_TIME = "start_time <= $__toTime AND (status = 'running' OR end_time >= $__fromTime)"
"""Runs that were alive in the time range."""


def newest(count: int) -> str:
    """The ids of the newest of the chosen runs that were alive in the time range, as a subquery."""
    return f"""
(
    SELECT run_id
    FROM evolution_runs
    WHERE $__conditionalAll({among("run_id", "run")}, $run) AND {OF_TASK}
        AND {IN_TIME}
    ORDER BY start_time DESC, run_id
    LIMIT {count}
)
""".strip()
