"""A dashboard around its panels: times, variables, links, annotations, numbering.

In: panels, rows and variables. Out: the dashboard as a dict, and the text of its file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana.source.columns import GREEN
from grafana.source.targets import DATASOURCE, TABLE, Target

FOLDER = "Genesis"
TAG = "genesis"


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
