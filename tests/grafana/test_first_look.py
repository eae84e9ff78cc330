"""What a person sees at first: no false alarm, colours and names that can be told apart, one link, and pages that rest while nothing changes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from tests.support.dashboards import (
    ASKED,
    BOARDS,
    FOLDER,
    PANELS,
    Asked,
    answer,
    around_now,
    chosen,
    searches_in,
)

CHARTS = ("timeseries", "trend", "xychart")
GREENS = {"green", "dark-green", "light-green", "semi-dark-green", "super-light-green"}


@pytest.fixture(scope="module")
def searches(engine: Path) -> Iterator[Client]:
    """A client on a database with three searches in it."""
    with searches_in(engine, "first_look") as client:
        yield client


# --- freshness -----------------------------------------------------------------------------------------------------------


def arrived(store: Client, table: str, *minutes: float) -> None:
    """Rows of a running search, which reached a table this many minutes ago."""
    happened = "told_at" if table == "evolution_runs_log" else "timestamp"
    for number, ago in enumerate(minutes):
        told = {
            "run_id": "'r'",
            happened: "now64(9) - {ago:Float64} * 60",
            "ingested_at": "now64(3) - {ago:Float64} * 60",
        }
        told |= {"status": "'running'", "start_time": "now64(3) - {ago:Float64} * 60"} if happened == "told_at" else {}
        told |= {"span_id": f"'{number}'"}
        store.command(
            f"INSERT INTO {table} ({', '.join(told)}) SELECT {', '.join(told.values())}", parameters={"ago": ago}
        )


def freshness(store: Client) -> dict[str, str]:
    """The state of each table that *Freshness* shows."""
    (asked,) = (each for each in ASKED if str(each) == "genesis-pipeline/Freshness/A")
    shown = answer(store, asked, chosen(BOARDS[asked.board]), around_now())
    return {row["table"]: row["state"] for row in shown.named_results()}


def test_a_run_s_first_minutes_alarm_nobody(store: Client) -> None:
    """Nine minutes after a run began with one row in each table, none is late; and eleven minutes after its beginning, about which a
    run reports no more until its end, `evolution_runs` is not late either."""
    arrived(store, "evolution_runs_log", 9)
    for table in ("generations", "individuals", "llm_logs", "agent_actions"):
        arrived(store, table, 9)
    assert set(freshness(store).values()) == {"fresh", "at begin and end"}
    arrived(store, "evolution_runs_log", 11)
    arrived(store, "individuals", 1)
    store.command("TRUNCATE TABLE evolution_runs_log")
    arrived(store, "evolution_runs_log", 11)
    assert freshness(store)["evolution_runs"] == "at begin and end"


def test_a_table_is_late_by_its_own_pace(store: Client) -> None:
    """Generations that come each half hour are fresh after 45 minutes; individuals that came each minute are late then. Without a running
    search nothing is late."""
    arrived(store, "evolution_runs_log", 110)
    arrived(store, "generations", 105, 75, 45)
    arrived(store, "individuals", *range(45, 60))
    assert freshness(store) == {
        "evolution_runs": "at begin and end",
        "generations": "fresh",
        "individuals": "late",
    }
    store.command("TRUNCATE TABLE evolution_runs_log")
    assert set(freshness(store).values()) == {"no search runs"}


def test_a_search_that_died_days_ago_makes_nothing_late(store: Client) -> None:
    """It stays `running` for ever: after a day nothing is expected of it, and it is not silent, either."""
    arrived(store, "evolution_runs_log", 3 * 24 * 60)
    store.command(
        "INSERT INTO individuals (run_id, timestamp, span_id, ingested_at)"
        " SELECT 'ended', now64(3) - 60 * number, toString(number), now64(3) - 60 * number FROM numbers(45, 15)"
    )
    assert freshness(store)["individuals"] == "no search runs"
    (silent,) = (each for each in ASKED if str(each) == "genesis-pipeline/Silent searches/A")
    assert answer(store, silent, chosen(BOARDS[silent.board]), around_now()).result_rows == [(0,)]


def test_only_what_is_late_is_red() -> None:
    """In *Freshness*, of the states that its query knows; the age by itself has no colour."""
    (panel,) = (panel for _, panel in PANELS if panel["title"] == "Freshness")
    states = re.findall(r"'([a-z ]+)'", re.search(r"multiIf\((.*)\) AS state", panel["targets"][0]["rawSql"], re.S)[1])  # type: ignore[index]
    colors = {text: told["color"] for text, told in setting(panel, "state", "mappings")[0]["options"].items()}
    assert {state for state in states if colors.get(state) == "red"} == {"late"}
    assert setting(panel, "age", "thresholds") is None


# --- colours and names ---------------------------------------------------------------------------------------------------


def setting(panel: Mapping[str, Any], column: str, name: str) -> Any:
    """The last value of a column's setting; None if it has none of its own."""
    found = None
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": column}:
            found = next((each["value"] for each in override["properties"] if each["id"] == name), found)
    return found


def drawn(asked: Asked, result: Any) -> list[str]:
    """The columns of an answer that are series of a chart and are in its legend."""
    panel = asked.panel
    x = {"trend": panel["options"].get("xField"), "xychart": "x"}.get(panel["type"])
    numbers = [
        name
        for name, kind in zip(result.column_names, result.column_types, strict=True)
        if "String" not in kind.name and "DateTime" not in kind.name and name != x
    ]
    return [name for name in numbers if not (setting(panel, name, "custom.hideFrom") or {}).get("legend")]


def test_no_chart_has_two_greens(searches: Client) -> None:
    """A chart that makes one series green gives each of its others another colour: Grafana's own colours begin with a green."""
    charts = 0
    for (_, title), group in itertools.groupby(ASKED, key=lambda asked: (asked.board, asked.title)):
        several = [asked for asked in group if asked.type in CHARTS]
        colors = {
            name: (setting(asked.panel, name, "color") or {}).get("fixedColor")
            for asked in several
            for name in drawn(asked, answer(searches, asked, chosen(BOARDS[asked.board]), around_now()))
        }
        if GREENS & set(colors.values()):
            charts += 1
            assert None not in colors.values(), (title, colors)
            assert len(set(colors.values())) == len(colors), (title, colors)
    assert charts >= 8


def test_nothing_covers_the_front() -> None:
    """The last front is the last series of its chart, which is drawn above the others, in green and larger; grey is the first; each series has
    a name in words, which is what the legend shows."""
    parts = [asked for asked in ASKED if (asked.board, asked.title) == ("genesis-run", "Pareto front")]
    panel = parts[0].panel
    assert [asked.ref for asked in parts] == sorted(asked.ref for asked in parts)
    names = [re.findall(r' AS "([^"]+)"', asked.sql)[0] for asked in parts]
    assert names == ["other individuals", "earlier fronts", "dominated on it", "front of the last generation"]
    assert [setting(panel, name, "color")["fixedColor"] for name in names] == ["gray", "blue", "orange", "green"]
    assert [setting(panel, name, "displayName") for name in names] == names
    sizes = [setting(panel, name, "custom.pointSize") for name in names]
    assert sizes[:2] == [None, None] and all(each["fixed"] > 5 for each in sizes[2:])


def test_a_missing_value_is_neither_good_nor_bad() -> None:
    """Its colour is that below all steps: that of the text. A panel without data is not green."""
    bases = [
        config["thresholds"]["steps"][0]["color"]
        for _, panel in PANELS
        if panel["type"] == "stat"
        for config in (
            panel["fieldConfig"]["defaults"],
            *(
                {each["id"]: each["value"]}
                for override in panel["fieldConfig"]["overrides"]
                for each in override["properties"]
                if each["id"] == "thresholds"
            ),
        )
    ]
    assert set(bases) == {"text"} and len(bases) > 30


# --- links and refreshes -------------------------------------------------------------------------------------------------


def test_a_trace_id_has_one_link() -> None:
    """That of the table. The data source would put one of its own beside it, to its trace view, if its settings did not forbid that."""
    (source,) = yaml.safe_load((FOLDER.parent / "provisioning" / "datasources" / "clickhouse.yaml").read_text())[
        "datasources"
    ]
    assert source["jsonData"]["traces"]["showTraceLinks"] is False
    tables = [asked for asked in ASKED if asked.type == "table" and re.search(r"\btrace_id\b[^(]*\bFROM\b", asked.sql)]
    links = {
        str(asked): setting(asked.panel, "trace_id", "links")
        for asked in tables
        if setting(asked.panel, "trace_id", "displayName")
    }
    assert len(links) >= 8
    for name, told in links.items():
        assert [each["url"].partition("?")[0] for each in told] == ["/d/genesis-traces"], name


def test_pages_rest_while_nothing_changes() -> None:
    """Only *Runs*, which shows what goes on, asks twice a minute; what shows past steps never asks by itself; and an open dashboard
    asks at most one query a second."""
    seconds = {uid: _seconds(board["refresh"]) for uid, board in BOARDS.items()}
    assert {uid for uid, each in seconds.items() if each is None} == {
        "genesis-lineage",
        "genesis-traces",
        "genesis-compare",
    }
    assert {uid for uid, each in seconds.items() if each is not None and each < 60} == {"genesis-runs"}
    for uid, each in seconds.items():
        open_now = [panel for panel in BOARDS[uid]["panels"] if panel["type"] != "row"]
        assert each is None or sum(len(panel.get("targets", ())) for panel in open_now) <= each, uid


def _seconds(refresh: str) -> int | None:
    return int(refresh[:-1]) * {"s": 1, "m": 60}[refresh[-1]] if refresh else None
