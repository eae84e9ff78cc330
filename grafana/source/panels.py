"""What the dashboards are made of: targets, panels, variables, links and the dashboard around them.

In: titles, descriptions and SQL. Out: builders of grafana-foundation-sdk, and a dashboard as a dict. Nothing here depends on a
table. What the SDK cannot express (a ClickHouse target, the traces panel, an annotation's query) is written as plain dicts.
Sources: https://grafana.com/docs/plugins/grafana-clickhouse-datasource for targets, https://grafana.com/docs/grafana for panels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from grafana_foundation_sdk.builders import barchart, nodegraph, stat, table, text, timeseries, trend, xychart
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTextDisplayOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import xychart as xychart_models
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue as Setting

from genesis_otel import queries
from genesis_otel._grafana.files import PLUGIN

PLUGIN_VERSION = "4.21.3"
"""The release whose macros and formats the tests expand; the plugin itself reads older and newer ones."""

DATASOURCE = {"type": PLUGIN, "uid": "${datasource}"}
FOLDER = "Genesis"
TAG = "genesis"

TIME_SERIES, TABLE, TRACES = 0, 1, 3
"""``format`` of a target, as the data source numbers it."""

QUERY_TYPES = {TIME_SERIES: "timeseries", TABLE: "table", TRACES: "traces"}

RUN, LLM, LINEAGE, TRACE, COMPARE, RUNS, PIPELINE = (
    f"genesis-{name}" for name in ("run", "llm", "lineage", "traces", "compare", "runs", "pipeline")
)
"""Uids of the dashboards. Never change them: they are in bookmarks and alerts."""

Panel = Builder[dashboard.Panel]
Columns = Mapping[str, Sequence[Setting]]
Steps = Sequence[tuple[float | None, str]]

NOTHING = "No data"
NAME_SIZE = 10
"""Pixels of the names above several values of a tile."""
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
GOOD_WHEN_LOW: Steps = ((None, GREEN), (0.1, YELLOW), (0.3, RED))
"""Thresholds for failure rates."""

STATUS_COLORS = {
    "running": BLUE,
    "stalled": RED,
    "completed": GREEN,
    "stopped": YELLOW,
    "ok": GREEN,
    "improving": GREEN,
    "failed": RED,
    "error": RED,
    "incorrect": ORANGE,
    "silent": RED,
    "failing": RED,
    "over budget": RED,
    "LLM errors": ORANGE,
    "stagnant": YELLOW,
}


# --- targets -----------------------------------------------------------------------------------------------------------


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


# --- settings of a column ------------------------------------------------------------------------------------------------


def unit(name: str, decimals: int | None = None) -> list[Setting]:
    """A Grafana unit (``s``, ``currencyUSD``, ``percentunit``, ...)."""
    settings = [Setting("unit", name), *([] if decimals is None else [Setting("decimals", decimals)])]
    return [*settings, Setting("mappings", [_tiny(decimals)])] if name == USD and decimals is not None else settings


USD = "currencyUSD"


def _tiny(decimals: int) -> dashboard.RangeMap:
    """Names amounts that would be rounded to nothing: only 0 is ``$0.00``."""
    least = dashboard.ValueMappingResult(text=f"< ${10.0**-decimals:.{decimals}f}", index=0)
    return dashboard.RangeMap(options=dashboard.DashboardRangeMapOptions(1e-12, 0.49 * 10.0**-decimals, least))


def width(pixels: int) -> list[Setting]:
    """A table column's width."""
    return [Setting("custom.width", pixels)]


def at_least(pixels: int) -> list[Setting]:
    """A table column that shares the remaining width, but is at least this wide; without it, 150."""
    return [Setting("custom.minWidth", pixels)]


def hidden() -> list[Setting]:
    """A column that is in the data, for links, but not in the table. Grafana 12 renamed the setting; the other one is for 11."""
    return [Setting("custom.hidden", True), Setting("custom.hideFrom", {"legend": True, "tooltip": True, "viz": True})]


def links(*told: tuple[str, str]) -> list[Setting]:
    """Links on each value of the column: titles and addresses."""
    return [Setting("links", [{"title": title, "url": url, "targetBlank": False} for title, url in told])]


def link(title: str, url: str) -> list[Setting]:
    """One link on each value of the column."""
    return links((title, url))


def long_text() -> list[Setting]:
    """A text that is truncated in the table and shown in full on a click."""
    return [Setting("custom.inspect", True), Setting("custom.width", 320)]


def colored(colors: Mapping[str, str] = STATUS_COLORS) -> list[Setting]:
    """A colour for each text."""
    options = {value: {"color": color, "index": index} for index, (value, color) in enumerate(colors.items())}
    return [
        Setting("mappings", [{"type": "value", "options": options}]),
        Setting("custom.cellOptions", {"type": "color-text"}),
    ]


LEAST = -1e308


def _grey_if_missing(steps: Steps) -> Steps:
    """The colour below all steps is also that of a missing value, which is neither good nor bad."""
    (_, first), *others = steps
    return steps if first == GREY else ((None, GREY), (LEAST, first), *others)


def limits(steps: Steps) -> list[Setting]:
    """Numbers coloured by how bad they are."""
    told = [{"value": value, "color": color} for value, color in _grey_if_missing(steps)]
    return [
        Setting("thresholds", {"mode": "absolute", "steps": told}),
        Setting("custom.cellOptions", {"type": "color-text"}),
    ]


def gauge() -> list[Setting]:
    """A share from 0 to 1 as a bar."""
    return [
        *unit("percentunit", 0),
        Setting("min", 0),
        Setting("max", 1),
        Setting("color", {"mode": "fixed", "fixedColor": BLUE}),
        Setting("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
    ]


def sparkline() -> list[Setting]:
    """An array of numbers as a line."""
    return [
        Setting("custom.cellOptions", {"type": "sparkline", "hideValue": True, "drawStyle": "line", "lineWidth": 2}),
        Setting("color", {"mode": "fixed", "fixedColor": GREEN}),
    ]


def color(name: str) -> list[Setting]:
    """The colour of a series."""
    return [Setting("color", {"mode": "fixed", "fixedColor": name})]


def right_axis() -> list[Setting]:
    """A series with its own axis."""
    return [Setting("custom.axisPlacement", "right")]


def called(name: str) -> list[Setting]:
    """A column under another name."""
    return [Setting("displayName", name)]


def not_drawn() -> list[Setting]:
    """A column that is in the data but not drawn."""
    return [Setting("custom.hideFrom", {"legend": True, "tooltip": True, "viz": True})]


def band(down_to: str | None, hue: str) -> list[Setting]:
    """One edge of a band: a thin line, filled down to the other edge and left out of the legend."""
    edge = [*color(hue), Setting("custom.lineWidth", 0), Setting("custom.showPoints", "never")]
    filled = Setting("custom.fillOpacity", 20 if down_to else 0)
    kept = [filled, Setting("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})]
    return [*edge, *kept, *([Setting("custom.fillBelowTo", down_to)] if down_to else [])]


def as_line() -> list[Setting]:
    """A series drawn as a line among bars, with its own axis."""
    return [Setting("custom.drawStyle", "line"), Setting("custom.fillOpacity", 0), *right_axis()]


def point_size(pixels: int) -> list[Setting]:
    """Larger or smaller points."""
    return [Setting("custom.pointSize", {"fixed": pixels})]


def unpriced() -> list[Setting]:
    """The number of calls that a cost does not include, because their price is unknown."""
    return [*unit("none", 0), *limits(((None, GREY), (1, YELLOW)))]


def limit_line() -> list[Setting]:
    """A series drawn as a dashed line without points: a limit."""
    return [
        Setting("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        Setting("custom.showPoints", "never"),
        Setting("custom.fillOpacity", 0),
    ]


YIELD_COLUMNS: Columns = {
    "what": [*called("by"), *width(120)],
    "name": width(220),
    "individuals": width(100),
    "improvements": width(115),
    "gain": [*unit("short", 4), *width(95)],
    "cost": [*unit("currencyUSD", 3), *width(90)],
    "unpriced": [*unpriced(), *width(85)],
    "improvements_per_dollar": [*called("improvements/$"), *unit("short", 2), *width(130)],
    "improvements_low": [*called("5 %"), *unit("short", 2), *width(80)],
    "improvements_high": [*called("95 %"), *unit("short", 2), *width(80)],
    "gain_per_dollar": [*called("gain/$"), *unit("short", 3), *width(95)],
    "gain_low": [*called("gain/$ 5 %"), *unit("short", 3), *width(105)],
    "gain_high": [*called("gain/$ 95 %"), *unit("short", 3), *width(110)],
}
"""Columns of the named query `model_yield`."""

UNPRICED: Columns = {"unpriced": unpriced()}
"""The column shown next to every cost."""

# In the colour of the text, which no line or bar has.
UNPRICED_POINTS: Columns = {
    "unpriced": [*unit("none", 0), *color(GREY), Setting("custom.drawStyle", "points"), *right_axis()]
}
"""The same in a chart: points with their own axis."""


# --- links among the dashboards ------------------------------------------------------------------------------------------

# Encoded as a whole: a run's id may contain any character. Without a format Grafana does not encode '&', '#' and '+'.
SOURCE = "var-datasource=${datasource:percentencode}"


def to_dashboard(uid: str, *, times: str = "${__url_time_range}", **variables: str) -> str:
    """The URL of a dashboard: variables by name, each from a field of the row (``run="run_id"``) or, with a ``$``, from
    a variable of this dashboard (``run="$run"``)."""

    def value(source: str) -> str:
        field = source[1:] if source.startswith("$") else f"__data.fields.{source}"
        return f"${{{field}:percentencode}}"

    told = [f"var-{name}={value(source)}" for name, source in variables.items()]
    return f"/d/{uid}?" + "&".join([SOURCE, *told, times])


TIMES_OF_ROW = "from=${__data.fields.from_ms}&to=${__data.fields.to_time}"
"""The time range from the row's own columns: milliseconds as text, and `now` if it is still running."""

TO_RUN = link("Open the run", to_dashboard(RUN, run="run_id"))
TO_TRACE = link("Open the trace", to_dashboard(TRACE, trace="trace_id"))


def way(title: str, url: str) -> builders.DashboardLink:
    """A link at the top of a dashboard."""
    return (
        builders.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(url)
        .icon("external link")
        .keep_time(True)
    )


# --- panels --------------------------------------------------------------------------------------------------------------


def _told(panel: Any, title: str, description: str, size: tuple[int, int]) -> Any:
    return (
        panel.title(title)
        .description(description)
        .datasource(dashboard.DataSourceRef(type_val=PLUGIN, uid="${datasource}"))
        .grid_pos(dashboard.GridPos(w=size[0], h=size[1]))
    )


def _columns(panel: Any, columns: Columns) -> Any:
    for name, settings in columns.items():
        panel = panel.override_by_name(name, list(settings))
    return panel


def _steps(steps: Steps) -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in _grey_if_missing(steps)])
    )


def a_stat(
    title: str,
    description: str,
    sql: str,
    *,
    size: tuple[int, int] = (3, 4),
    unit: str = "short",
    decimals: int | None = None,
    steps: Steps = ((None, GREY),),
    colors: Mapping[str, str] | None = None,
    columns: Columns | None = None,
    empty: str = NOTHING,
    shown: str | None = None,
) -> Panel:
    """One value, or a text if ``colors`` maps texts to colours. If several ``columns`` are given, each is shown with its name.

    :param shown: the only column that is drawn; its links may refer to the others, which are in the same row.
    """
    panel = (
        _told(stat.Panel(), title, description, size)
        .with_target(Target(sql))
        .unit(unit)
        .no_value(empty)
        .thresholds(_steps(steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        # Otherwise Grafana puts a name before its value, where it reads like the unit of the value before, and makes long names tiny.
        .wide_layout(False)
        .text(VizTextDisplayOptions().title_size(NAME_SIZE))
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if columns and not shown else common.BigValueTextMode.VALUE)
        .reduce_options(
            # A link refers to the other columns of its row, and a reduced value has no row.
            ReduceDataOptions().calcs([]).fields(f"/^{shown}$/").values(True).limit(1)
            if shown
            else ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/").values(False)
        )
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if unit == USD and decimals is not None:
        panel = panel.mappings([_tiny(decimals)])
        # What has another unit is no amount.
        columns = {
            name: [Setting("mappings", []), *settings] if any(each.id_val == "unit" for each in settings) else settings
            for name, settings in (columns or {}).items()
        }
    if colors is not None:
        result = {
            text: dashboard.ValueMappingResult(color=each, index=at) for at, (text, each) in enumerate(colors.items())
        }
        panel = panel.mappings([dashboard.ValueMap(options=result)])
    built: Panel = _columns(panel, _headed(columns or {}))
    return built


def a_table(
    title: str,
    description: str,
    sql: str,
    columns: Columns,
    *,
    size: tuple[int, int] = (24, 8),
    empty: str = NOTHING,
    matrix: tuple[str, str, str] | None = None,
) -> Panel:
    """A table; ``columns`` has the settings of columns, and must include every column whose SQL name is not a readable heading.

    :param matrix: the columns whose values become rows, columns and cells.
    """
    panel = (
        _told(table.Panel(), title, description, size)
        .with_target(Target(sql))
        .no_value(empty)
        # Otherwise the panel's text for no rows would be shown in every empty cell, too.
        .override_by_regexp("/.*/", [Setting("noValue", "")])
        .cell_height(common.TableCellHeight.SM)
        # A filter icon takes space from the heading: only text columns get one.
        .override_by_field_type("string", [Setting("custom.filterable", True)])
    )
    if matrix is not None:
        turned = dict(zip(("rowField", "columnField", "valueField"), matrix, strict=True))
        panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="groupingToMatrix", options=turned))
    built: Panel = _columns(panel, _headed(columns))
    return built


def _headed(columns: Columns) -> Columns:
    """Columns with readable headings: the SQL names without underscores, unless another name is set."""
    headed = {
        name: settings
        if "_" not in name or any(each.id_val == "displayName" for each in settings)
        else [*called(name.replace("_", " ")), *settings]
        for name, settings in columns.items()
    }
    return {name: _wide_enough(name, settings) for name, settings in headed.items()}


def _wide_enough(name: str, settings: Sequence[Setting]) -> list[Setting]:
    """Make a column wide enough for its heading and the filter icon: 7 pixels per letter in Grafana's font."""
    heading = next((str(each.value) for each in settings if each.id_val == "displayName"), name)
    least = 7 * len(heading) + 36
    return [
        Setting("custom.width", max(least, int(str(each.value)))) if each.id_val == "custom.width" else each
        for each in settings
    ]


Style = Literal["line", "bars", "points", "steps"]


def over_time(
    title: str,
    description: str,
    sql: str,
    *,
    size: tuple[int, int] = (12, 8),
    unit: str = "short",
    name: str | None = None,
    columns: Columns | None = None,
    style: Style = "line",
    stacked: bool = False,
    minimum: float | None = None,
    gaps: bool = False,
    empty: str = NOTHING,
) -> Panel:
    """Series by time: the first column is the time, numbers are series, texts their labels; ``name`` is the legend's format.

    :param gaps: show a missing value as a gap; not for series split by text labels, which lack each other's times.
    """
    panel = _told(timeseries.Panel(), title, description, size).with_target(Target(sql, TIME_SERIES)).unit(unit)
    if name is not None:
        panel = panel.display_name(name)
    return _series(panel, style, stacked, minimum, False if gaps else JOINED, empty, columns or {})


def by_number(
    title: str,
    description: str,
    sql: str,
    x: str,
    *,
    size: tuple[int, int] = (12, 8),
    unit: str = "short",
    columns: Columns | None = None,
    style: Style = "line",
    stacked: bool = False,
    minimum: float | None = None,
    empty: str = NOTHING,
) -> Panel:
    """Series by a number that rises from row to row: the column ``x``, usually the generation."""
    panel = _told(trend.Panel(), title, description, size).with_target(Target(sql)).x_field(x).unit(unit)
    # Without decimals, an axis of three generations would be labelled 0 0 1 1 1 2 2.
    return _series(panel, style, stacked, minimum, False, empty, {x: [Setting("unit", "none")], **(columns or {})})


JOINED = 6 * 3600 * 1000
"""Milliseconds without a point that a line still spans. With `true` instead, Grafana draws no points, and does not draw a series of
one point at all."""


def _series(
    panel: Any, style: Style, stacked: bool, minimum: float | None, joined: bool | int, empty: str, columns: Columns
) -> Panel:
    """The look of lines and bars, by time or by number. Bars and stacked areas begin at zero, and a single point is visible."""
    drawn = {"bars": common.GraphDrawStyle.BARS, "points": common.GraphDrawStyle.POINTS}
    panel = (
        panel.no_value(empty)
        # A series without a value shows none in the legend, either.
        .override_by_regexp("/.*/", [Setting("noValue", "")])
        .draw_style(drawn.get(style, common.GraphDrawStyle.LINE))
        .fill_opacity(30 if stacked or style == "bars" else 5)
        .line_width(1)
        .show_points(common.VisibilityMode.ALWAYS)
        .point_size(5)
        .span_nulls(joined)
        .legend(_legend("sum" if stacked or style == "bars" else "lastNotNull"))
        .tooltip(_tooltip())
    )
    if style == "steps":
        panel = panel.line_interpolation(common.LineInterpolation.STEP_AFTER)
    if stacked:
        panel = panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if minimum is None and (stacked or style == "bars"):
        minimum = 0
    if minimum is not None:
        panel = panel.axis_soft_min(minimum)
    built: Panel = _columns(panel, columns)
    return built


def scatter(
    title: str,
    description: str,
    sql: Sequence[str],
    *,
    size: tuple[int, int] = (12, 10),
    x_title: str,
    y_title: str = "",
    x_unit: str = "short",
    unit: str = "short",
    series: str | None = None,
    lines: bool = False,
    columns: Columns | None = None,
    empty: str = NOTHING,
) -> Panel:
    """Points or lines over two numbers. Each query is a series: its first number is x, its second y; the last is drawn in front
    of the others, and each is named after its column. ``series`` names a text column whose values split one query into series."""
    show = xychart_models.XYShowMode.POINTS_AND_LINES if lines else xychart_models.XYShowMode.POINTS
    panel = (
        _told(xychart.Panel(), title, description, size)
        .mapping(xychart_models.SeriesMapping.AUTO)
        .series([])
        .show(show)
        .unit(unit)
        .axis_label(y_title)
        .no_value(empty)
        .legend(_legend())
        .tooltip(_tooltip(common.TooltipDisplayMode.SINGLE))
    )
    for at, each in enumerate(sql):
        panel = panel.with_target(Target(each, TABLE, chr(ord("A") + at)))
    if series is not None:
        # The resulting frames are named after their value, which is what the legend shows.
        parted = {"fields": [series], "keepFields": False, "naming": {"asLabels": True}}
        panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="partitionByValues", options=parted))
    of_x = [Setting("unit", x_unit), Setting("custom.axisLabel", x_title)]
    # With several frames, Grafana would prefix each name with the query's letter.
    of_y = {name: [*called(name), *settings] for name, settings in (columns or {}).items()}
    built: Panel = _columns(panel, {"x": of_x, **of_y})
    return built


def bars(
    title: str, description: str, sql: str, *, size: tuple[int, int] = (8, 8), unit: str = "short", empty: str = NOTHING
) -> Panel:
    """One horizontal bar per row: the first column is a text."""
    panel: Panel = (
        _told(barchart.Panel(), title, description, size)
        .with_target(Target(sql))
        .orientation(common.VizOrientation.HORIZONTAL)
        .axis_soft_min(0)
        .unit(unit)
        .no_value(empty)
        .legend(_legend().show_legend(False))
        .tooltip(_tooltip(common.TooltipDisplayMode.SINGLE))
    )
    return panel


def node_graph(
    title: str, description: str, nodes: str, edges: str, columns: Columns, *, size: tuple[int, int]
) -> Panel:
    """A graph, with the columns of https://grafana.com/docs/grafana/latest/panels-visualizations/visualizations/node-graph."""
    panel = (
        _told(nodegraph.Panel(), title, description, size)
        .with_target(Target(nodes, TABLE, "nodes"))
        .with_target(Target(edges, TABLE, "edges"))
        .no_value(NOTHING)
    )
    built: Panel = _columns(panel, columns)
    return built


def trace_view(title: str, description: str, sql: str, *, size: tuple[int, int] = (24, 18)) -> Panel:
    """Grafana's view of one trace. The SDK has no builder for it."""
    panel: Panel = _told(builders.Panel(), title, description, size).type("traces").with_target(Target(sql, TRACES))
    return panel


def words(title: str, markdown: str, size: tuple[int, int]) -> Panel:
    """A text."""
    panel: Panel = _told(text.Panel(), title, markdown.splitlines()[0], size).content(markdown)
    return panel


def row(title: str) -> builders.Row:
    """A heading; the panels after it are below it."""
    return builders.Row(title)


def folded(title: str, *content: Panel) -> builders.Row:
    """A heading whose panels are shown and queried once somebody opens it."""
    made = builders.Row(title).collapsed(True)
    for each in content:
        made = made.with_panel(each)
    return made


def _legend(*calculations: str) -> VizLegendOptions:
    """A legend below the chart, each name with a value calculated from its series."""
    return (
        VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(list(calculations))
    )


def _tooltip(mode: common.TooltipDisplayMode = common.TooltipDisplayMode.MULTI) -> VizTooltipOptions:
    return VizTooltipOptions().mode(mode).sort(common.SortOrder.DESCENDING)


# --- variables -----------------------------------------------------------------------------------------------------------


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
        .datasource(dashboard.DataSourceRef(type_val=PLUGIN, uid="${datasource}"))
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


# --- dashboards ----------------------------------------------------------------------------------------------------------


def breakthroughs(sql: str) -> dict[str, Any]:
    """An annotation: columns ``time``, ``title``, ``text``, ``tags``. The SDK cannot hold its query."""
    return {
        "name": "Breakthroughs",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": GREEN,
        "target": Target(sql, TABLE, "Anno").to_json(),
    }


def a_dashboard(
    uid: str,
    title: str,
    description: str,
    variables: Sequence[Any],
    content: Sequence[Any],
    *,
    since: str = "now-24h",
    refresh: str = "",
    annotations: Sequence[dict[str, Any]] = (),
    more: Sequence[builders.DashboardLink] = (),
) -> dict[str, Any]:
    """A dashboard's complete JSON. Panels are numbered in order, rows included.

    :param refresh: how often visible panels are refreshed; never by default.
    :param more: links that only this dashboard has.
    """
    board = (
        builders.Dashboard(f"{FOLDER}: {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time(since, "now")
        .timezone("browser")
        .refresh(refresh)
        .editable()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Genesis")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .icon("external link")
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
    )
    for each in more:
        board = board.link(each)
    for variable in variables:
        board = board.with_variable(variable)
    for each in content:
        board = board.with_row(each) if isinstance(each, builders.Row) else board.with_panel(each)
    made: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for number, panel in enumerate(all_panels(made), 1):
        panel["id"] = number
    _folded_up(made["panels"])
    made["annotations"] = {"list": list(annotations)}
    return made


def _folded_up(content: Sequence[dict[str, Any]]) -> None:
    """Place what follows a folded row right below it: Grafana moves it down when the row is opened."""
    hidden_lines = 0
    for panel in content:
        panel["gridPos"]["y"] -= hidden_lines
        inner = [each["gridPos"] for each in panel.get("panels") or ()]
        for place in inner:
            place["y"] -= hidden_lines
        if inner:
            hidden_lines += max(place["y"] + place["h"] for place in inner) - panel["gridPos"]["y"] - 1


def all_panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every panel of a dashboard's JSON from the top, including rows and the panels folded in them."""
    return [inner for panel in board["panels"] for inner in (panel, *(panel.get("panels") or ()))]


def rendered(made: Mapping[str, Any]) -> str:
    """The file's text: always the same for the same dashboard."""
    return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
