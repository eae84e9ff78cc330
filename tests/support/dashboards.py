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


BOARDS = dashboards()
PANELS = [(uid, panel) for uid, board in BOARDS.items() for panel in panels_of(board)]
"""Every panel, with the uid of its dashboard."""
ASKED = [asked for board in BOARDS.values() for asked in queries_of(board)]
"""Every query of every dashboard."""
BY_NAME = {str(asked): asked for asked in ASKED}


def around_now() -> TimeRange:
    """The last two hours, which contain the searches of `searched.py`."""
    now = datetime.now(timezone.utc)
    return TimeRange(now - timedelta(hours=2), now + timedelta(minutes=5), 10)


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


def everything_in(client: Client) -> tuple[tuple[str, ...], TimeRange, dict[str, tuple[str, ...]]]:
    """The runs of a store, a time range that contains them, and what *All* stands for."""
    runs = client.query("SELECT run_id, task_name, start_time FROM evolution_runs ORDER BY run_id").result_rows
    models = client.query("SELECT DISTINCT toString(model) FROM llm_logs ORDER BY 1").result_rows
    (ends,) = client.query("SELECT toUnixTimestamp(now()) + 60").result_rows[0]
    names = tuple(str(row[0]) for row in runs)
    began = min(row[2] for row in runs)
    tasks = tuple(sorted({str(row[1]) for row in runs}))
    times = TimeRange(began - timedelta(hours=1), _moment(began, ends), 60)
    return names, times, {"run": names, "runs": names, "task": tasks, "model": tuple(str(row[0]) for row in models)}


def _moment(like: Any, seconds: int) -> Any:
    return type(like).fromtimestamp(seconds, tz=like.tzinfo)


def panel(client: Client, name: str, ref: str = "A", **picked: Value) -> list[dict[str, Any]]:
    """The rows of a panel, with these variables set and every other one at its default."""
    asked = BY_NAME[f"genesis-{name}/{ref}"]
    _, times, everything = everything_in(client)
    values = {**chosen(BOARDS[asked.board]), **picked}
    return list(client.query(sent(asked.sql, values, times, everything)).named_results())


def finite(value: Any) -> bool:
    """A number that can be drawn."""
    return isinstance(value, (int, float)) and math.isfinite(value)
