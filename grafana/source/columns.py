"""How a column or a series looks: units, widths, colours, links, thresholds.

In: what a builder of panels says about a column. Out: lists of settings of grafana-foundation-sdk. Nothing here depends on a table, except
for the columns that several dashboards share.
Source: https://grafana.com/docs/grafana/latest/panels-visualizations/configure-overrides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue as Setting

Columns = Mapping[str, Sequence[Setting]]
Steps = Sequence[tuple[float | None, str]]

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


def unit(name: str, decimals: int | None = None) -> list[Setting]:
    """A Grafana unit (``s``, ``currencyUSD``, ``percentunit``, ...)."""
    settings = [Setting("unit", name), *([] if decimals is None else [Setting("decimals", decimals)])]
    return [*settings, Setting("mappings", [tiny(decimals)])] if name == USD and decimals is not None else settings


USD = "currencyUSD"


def tiny(decimals: int) -> dashboard.RangeMap:
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


def grey_if_missing(steps: Steps) -> Steps:
    """The colour below all steps is also that of a missing value, which is neither good nor bad."""
    (_, first), *others = steps
    return steps if first == GREY else ((None, GREY), (LEAST, first), *others)


def limits(steps: Steps) -> list[Setting]:
    """Numbers coloured by how bad they are."""
    told = [{"value": value, "color": color} for value, color in grey_if_missing(steps)]
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


UNTIMED: Columns = {"untimed": unpriced()}
"""The number of calls that a latency does not include, because their duration is unknown, shown next to that of all calls."""


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
