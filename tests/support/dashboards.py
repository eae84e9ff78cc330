"""Dashboards as Grafana queries them: every target of every panel, variable and annotation, run on the engine.

The store has three searches of `searched.py`: one that ended, one that is running, and one whose id contains quotes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from genesis_otel._ship.delivery.spool_state import SpoolState
from tests.support.grafana_query import ALL, TimeRange, Value, sent
from tests.support.searched import BEST, GOING_ON, LATER, MODELS, RUN, TASK, search_spans, stored

FOLDER = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"
ODD = "it's \"odd\", {x}; \\' OR 1 = 1 --\\"
RUNS = (RUN, GOING_ON, ODD)
EVERYTHING = {"task": (TASK,), "run": RUNS, "model": MODELS, "runs": RUNS}


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards' files by uid."""
    return {made["uid"]: made for made in (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))}


class Asked(NamedTuple):
    """A query of a dashboard, and the panel that it belongs to."""

    board: str
    title: str
    type: str
    panel: Mapping[str, Any]
    ref: str
    format: int
    sql: str

    def __str__(self) -> str:
        return f"{self.board}/{self.title}/{self.ref}"


def panels_of(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every panel, including those in folded rows, but not the rows."""
    every = [inner for panel in board["panels"] for inner in (panel, *(panel.get("panels") or ()))]
    return [panel for panel in every if panel["type"] != "row"]


def queries_of(board: Mapping[str, Any]) -> Iterator[Asked]:
    """All queries of a dashboard."""
    uid = board["uid"]
    for panel in panels_of(board):
        for target in panel.get("targets", ()):
            yield Asked(uid, panel["title"], panel["type"], panel, target["refId"], target["format"], target["rawSql"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield Asked(uid, f"${variable['name']}", "variable", variable, "", 1, variable["query"])
    for annotation in board["annotations"]["list"]:
        yield Asked(uid, annotation["name"], "annotation", annotation, "", 1, annotation["target"]["rawSql"])


def around_now(step: int = 10) -> TimeRange:
    """The last two hours, which contain the searches of `searched.py`."""
    now = datetime.now(timezone.utc)
    return TimeRange(now - timedelta(hours=2), now + timedelta(minutes=5), step)


def chosen(
    board: Mapping[str, Any], run: str = RUN, *, runs: tuple[str, ...] = RUNS, individual: str = BEST, **others: str
) -> dict[str, Value]:
    """The variables as a link to this run sets them: all of what can be all, except for ``others``."""
    known: dict[str, Value] = {
        "datasource": "genesis-clickhouse",
        "run": run,
        "runs": runs,
        "individual": individual,
        "trace": "",
        "x": "accuracy",
        "y": "size",
        "only": "all traces",
        "slower": "0",
        "budget": "0.5",
        **others,
    }
    names = {each["name"]: bool(each.get("includeAll")) for each in board["templating"]["list"]}
    return {name: ALL if has_all and name not in others else known[name] for name, has_all in names.items()}


@contextmanager
def searches_in(folder: Path, database: str) -> Iterator[Client]:
    """A client on a database of this name with three searches in it, until the end of the block."""
    told = SpoolState(folder.parent / "spool", 0.0).due(delivered=1)
    assert told is not None
    searches = (search_spans(), search_spans(GOING_ON, ends=False, facts=LATER), search_spans(ODD))
    with stored(folder, database, *searches, [told]) as client:
        yield client


def answer(client: Client, asked: Asked, values: Mapping[str, Value], times: TimeRange) -> Any:
    """What ClickHouse answers."""
    return client.query(sent(asked.sql, values, times, EVERYTHING))


def finite(value: Any) -> bool:
    """A number that can be drawn."""
    return isinstance(value, (int, float)) and math.isfinite(value)
