"""The kinds of panels that the dashboards are made of.

In: titles, descriptions, SQL and columns. Out: builders of grafana-foundation-sdk; the traces panel, which the SDK lacks, is a plain dict.
Nothing here depends on a table.
Source: https://grafana.com/docs/grafana/latest/panels-visualizations.
"""

from __future__ import annotations

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
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import xychart as xychart_models
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue as Setting

from grafana.source.columns import GREY, USD, Columns, Steps, called, grey_if_missing, tiny
from grafana.source.targets import REFERENCE, TABLE, TIME_SERIES, TRACES, Target

Panel = Builder[dashboard.Panel]

NOTHING = "No data"
NAME_SIZE = 10
"""Pixels of the names above several values of a tile."""


def _titled(panel: Any, title: str, description: str, size: tuple[int, int]) -> Any:
    return (
        panel.title(title)
        .description(description)
        .datasource(REFERENCE)
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
        .steps([dashboard.Threshold(value=value, color=color) for value, color in grey_if_missing(steps)])
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
        _titled(stat.Panel(), title, description, size)
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
        panel = panel.mappings([tiny(decimals)])
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
        _titled(table.Panel(), title, description, size)
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
    panel = _titled(timeseries.Panel(), title, description, size).with_target(Target(sql, TIME_SERIES)).unit(unit)
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
    panel = _titled(trend.Panel(), title, description, size).with_target(Target(sql)).x_field(x).unit(unit)
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
        # What is stacked are parts of a whole. A sum of other bars may be one of means, such as the cost per individual.
        .legend(_legend("sum" if stacked else "lastNotNull"))
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
    series: str | None = None,
    lines: bool = False,
    columns: Columns | None = None,
    empty: str = NOTHING,
) -> Panel:
    """Points or lines over two numbers. Each query is a series: its first number is x, its second y; the last is drawn in front
    of the others, and each is named after its column. ``series`` names a text column whose values split one query into series."""
    show = xychart_models.XYShowMode.POINTS_AND_LINES if lines else xychart_models.XYShowMode.POINTS
    panel = (
        _titled(xychart.Panel(), title, description, size)
        .mapping(xychart_models.SeriesMapping.AUTO)
        .series([])
        .show(show)
        .unit("short")
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
        _titled(barchart.Panel(), title, description, size)
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
        _titled(nodegraph.Panel(), title, description, size)
        .with_target(Target(nodes, TABLE, "nodes"))
        .with_target(Target(edges, TABLE, "edges"))
        .no_value(NOTHING)
    )
    built: Panel = _columns(panel, columns)
    return built


def trace_view(title: str, description: str, sql: str) -> Panel:
    """Grafana's view of one trace. The SDK has no builder for it."""
    panel: Panel = (
        _titled(builders.Panel(), title, description, (24, 18)).type("traces").with_target(Target(sql, TRACES))
    )
    return panel


def words(title: str, markdown: str, size: tuple[int, int]) -> Panel:
    """A text."""
    panel: Panel = _titled(text.Panel(), title, markdown.splitlines()[0], size).content(markdown)
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
