"""Every dashboard drawn in a browser, from what a store answers: `make dashboards-look`.

In: `grafana/dashboards`, Node with the packages of `package-lock.json`, Chromium. Out: a picture of each dashboard, scene and width in
`build/look/`, for people to look at, and no finding. Not among the other tests: the packages take 440 MB.
"""

from __future__ import annotations

import functools
import json
import math
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

from grafana.look.frames import Frame, not_finite, of_answer
from grafana.look.searches import SCENES, SHORT, TASK, Scene, filled
from tests.support.dashboards import BOARDS
from tests.support.grafana_query import ALL, Value, sent
from tests.support.in_thread import in_thread
from tests.support.pipeline import Store, running

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "build" / "look"
MODULES = HERE / "node_modules"
WIDTHS = (1600, 1000)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Stored(NamedTuple):
    """A scene, and what asks its database."""

    scene: Scene
    client: Client


@pytest.fixture(scope="session")
def page() -> Iterator[str]:
    """The address of the page that draws; built of Grafana's packages, and served on loopback with their icons and fonts."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=HERE, check=True, timeout=200)
    (PICTURES / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet" href="page.css">'
        '<body><div id="root"></div><script src="page.js"></script>'
    )
    _link(PICTURES / "public" / "build", MODULES / "@grafana" / "ui" / "dist" / "public")
    for name, weight in (("Regular", 400), ("Medium", 500)):
        font = MODULES / "@fontsource" / "inter" / "files" / f"inter-latin-{weight}-normal.woff2"
        _link(PICTURES / "public" / "fonts" / "inter" / f"Inter-{name}.woff2", font)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(PICTURES)))
    with in_thread(server):
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing about it."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def browser(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A Chromium on that page."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    driver.get(page)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that answers over HTTP, as it does to a Grafana."""
    served = Store(tmp_path_factory.mktemp("look") / "store")
    with running(served):
        yield served


@pytest.fixture(scope="session", params=SCENES, ids=lambda scene: scene.name)
def stored(request: pytest.FixtureRequest, store: Store) -> Iterator[Stored]:
    """A scene in a database."""
    with filled(store, request.param) as client:
        yield Stored(request.param, client)


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_a_dashboard_is_drawn_without_a_finding(stored: Stored, browser: WebDriver, uid: str) -> None:
    """At 1,600 and 1,000 pixels: each override and link finds its field, units are Grafana's, no heading is cut, no cell shows the text of an empty
    panel, links have their variables filled in, every number can be drawn, and the console of the browser is silent."""
    board, (scene, client) = BOARDS[uid], stored
    values = _chosen(board, stored)
    frames = _answers(client, board, values, scene)
    found: list[Any] = [["not finite", panel, name] for panel, made in frames.items() for name in not_finite(made)]
    browser.get_log("browser")
    for width in WIDTHS if not found else ():
        drawn = _drawn(browser, board, values, frames, scene, width)
        _photograph(
            browser, PICTURES / f"{scene.name}-{uid.removeprefix('genesis-')}-{width}.png", width, drawn["height"]
        )
        found += [[f"{width} px", *each] for each in drawn["findings"]]
    found += [["console", each["message"]] for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    assert not found, "\n".join(json.dumps(each, ensure_ascii=False) for each in found)


WRONG: dict[str, dict[str, Any]] = {
    "unknown unit": {"defaults": {"unit": "furlongs"}},
    "unknown matcher": {"overrides": [{"matcher": {"id": "bySmell"}, "properties": []}]},
    "unknown transformation": {"transformations": [{"id": "alchemy", "options": {}}]},
    "override matches no field": {"overrides": [{"matcher": {"id": "byName", "options": "gone"}, "properties": []}]},
    "heading is cut": {"defaults": {"custom": {"width": 50}, "displayName": "a heading of many words"}},
    "cell shows the text of an empty panel": {"defaults": {"noValue": "Nothing yet."}},
    "variable of a link not filled in": {
        "defaults": {"links": [{"title": "x", "url": "/d/x?var-run=${__data.fields.empty}"}]}
    },
}
"""What is found, and the settings of a table in which it is to be found."""


@pytest.mark.parametrize("finding", WRONG)
def test_what_is_wrong_is_found(browser: WebDriver, finding: str) -> None:
    """A table with one fault has this finding and no other."""
    panel = {"id": 1, "title": "Wrong", "type": "table", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 5}}
    fields = [
        {"name": "name", "type": "string", "values": ["a", "b"]},
        {"name": "empty", "type": "string", "values": ["", None]},
    ]
    wrong = WRONG[finding]
    board = {"panels": [{**panel, **wrong} if "transformations" in wrong else {**panel, "fieldConfig": wrong}]}
    drawn = _drawn(browser, board, {}, {1: [{"refId": "A", "fields": fields}]}, SCENES[0], WIDTHS[0])
    assert {each[1] for each in drawn["findings"]} == {finding}


def test_an_amount_that_rounds_to_nothing_is_drawn_as_less(browser: WebDriver) -> None:
    """In a tile and in a table, a tenth of a cent is `< $0.01`, nothing is `$0.00`, and the number beside it is itself."""
    board = BOARDS["genesis-compare"]
    (models,) = (panel for panel in board["panels"] if panel["title"] == "Models")
    (tile,) = (panel for panel in BOARDS["genesis-llm"]["panels"] if panel["title"] == "Cost")
    amounts = [
        {"name": "cost", "type": "number", "values": [0.001, 0.0, 0.0049, 0.005]},
        {"name": "unpriced", "type": "number", "values": [0, 0, 0, 0]},
    ]
    first = [{**each, "values": each["values"][:1]} for each in amounts]
    drawn = {"panels": [{**models, "id": 1}, {**tile, "id": 2, "gridPos": {"x": 0, "y": 12, "w": 6, "h": 5}}]}
    frames = {1: [{"refId": "A", "fields": amounts}], 2: [{"refId": "A", "fields": first}]}
    _drawn(browser, drawn, {}, frames, SCENES[0], WIDTHS[0])
    read = browser.execute_script(
        "return [...document.querySelectorAll('[role=gridcell]')].map((cell) => cell.innerText)"
    )
    assert read == ["< $0.01", "0", "$0.00", "0", "< $0.01", "0", "$0.01", "0"]
    assert "< $0.01" in browser.execute_script("return document.querySelector('[data-title=Cost]').innerText")


def test_a_number_that_no_chart_can_draw_is_found() -> None:
    """NaN and infinities, by the name of their field; a missing number is none of them."""
    fields = [
        {"name": name, "values": [1.0, value]} for name, value in (("a", math.nan), ("b", -math.inf), ("c", None))
    ]
    assert not_finite([{"fields": fields}]) == ["a", "b"]


def _panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels") or ()


def _chosen(board: Mapping[str, Any], stored: Stored) -> dict[str, Value]:
    """What a person who came by a link has chosen."""
    scene, client = stored
    best = client.query(
        "SELECT individual_id, trace_id FROM individuals WHERE run_id = {run:String} ORDER BY fitness_score DESC NULLS LAST LIMIT 1",
        parameters={"run": scene.chosen},
    ).result_rows or [("", "")]
    known: dict[str, Value] = {
        "run": scene.chosen,
        "datasource": "genesis-clickhouse",
        "individual": best[0][0],
        "trace": best[0][1],
        "x": "radii",
        "y": "size",
        "only": "all traces",
        "slower": "0",
        "runs": tuple(search.run_id for search in scene.searches)[:6],
    }
    return {
        each["name"]: ALL if each.get("includeAll") else known.get(each["name"], str(each.get("query", "")))
        for each in board["templating"]["list"]
    }


def _answers(
    client: Client, board: Mapping[str, Any], values: Mapping[str, Value], scene: Scene
) -> dict[int, list[Frame]]:
    everything = {"task": (TASK,), "run": SHORT, "model": (), "runs": SHORT}
    asked: dict[int, list[Frame]] = {}
    for panel in _panels(board):
        for target in panel.get("targets", ()):
            answer = client.query(sent(target["rawSql"], values, scene.times, everything))
            asked.setdefault(panel["id"], []).extend(of_answer(answer, target["refId"], target["format"]))
    return asked


def _drawn(
    browser: WebDriver,
    board: Mapping[str, Any],
    values: Mapping[str, Value],
    frames: Mapping[int, list[Frame]],
    scene: Scene,
    width: int,
) -> dict[str, Any]:
    """What the page says of the dashboard that it drew."""
    # As tall as the tallest dashboard: tables draw only the rows that are in sight.
    size = {"width": width, "height": 8000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    request = {
        "board": board,
        "frames": frames,
        "vars": {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
        "from": scene.times.start.timestamp() * 1000,
        "to": scene.times.end.timestamp() * 1000,
        "width": width,
    }
    drawn: dict[str, Any] = browser.execute_async_script(
        "const done = arguments[1]; window.draw(JSON.parse(arguments[0])).then(done, (error) => done({findings: [['', 'threw', String(error.stack)]], height: 100}))",
        json.dumps(request, allow_nan=False),
    )
    return drawn


def _photograph(browser: WebDriver, path: Path, width: int, height: float) -> None:
    # Not beyond the viewport, which is tall enough: for that Chromium would resize it, and tables would be empty until they draw again.
    told = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": told, "captureBeyondViewport": False})
    path.write_bytes(b64decode(taken["data"]))
