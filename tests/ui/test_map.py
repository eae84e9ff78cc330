"""The map of programs, in a browser: what is near what, and that it follows a search that goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support.browser import eventually
from tests.support.live_page import Page, texts
from tests.support.recording import record
from tests.support.searched import BEST, FACTS, GOING_ON, LATER, RUN, fill, search_spans

PIXELS = (
    "const [canvas] = document.querySelectorAll('.plane canvas'); if (!canvas || canvas.width < 200) return 0;"
    "const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });"
    "copy.drawImage(canvas, 0, 0); const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);"
    "return new Set(new Uint32Array(data.buffer)).size"
)
"""How many colours the map has."""


class Placed(NamedTuple):
    """A row of the table beside the map."""

    distance: float
    across: float
    down: float


def opened(driver: WebDriver) -> dict[str, Placed]:
    """The table beside the map, by the ids of individuals."""
    if not driver.find_elements(By.CSS_SELECTOR, ".view details[open]"):
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".view .as-table summary"))[-1].click()
    rows = eventually(
        lambda: driver.execute_script(
            "return [...document.querySelectorAll('.as-table tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
    )
    return {row[0]: Placed(float(row[1]), float(row[-2]), float(row[-1])) for row in rows}


@pytest.mark.parametrize("options", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_programs_of_the_same_words_are_at_one_place(
    page: Page, browse: Callable[..., WebDriver], options: dict[str, bool]
) -> None:
    """All programs are drawn; the nearest ones are first in the table, those of identical code at one place, others elsewhere, and the page says how much the axes hold."""
    driver = browse(page.address, **options)
    driver.get(page.at(f"#/run/{RUN}/map?find=one_b"))
    eventually(lambda: driver.execute_script(PIXELS) > 20)
    rows = opened(driver)
    assert set(rows) == {fact.id for fact in FACTS}
    assert rows["one_b"] == rows["two_c"] and rows["one_b"][1:] != rows["one_a"][1:]
    assert next(iter(rows)) == BEST and rows[BEST].distance == 0
    assert [row.distance for row in rows.values()] == sorted(row.distance for row in rows.values())
    said = " ".join(texts(driver, ".view .hint"))
    assert "the same words and numbers occur about equally often" in said and "do not count. Of what differs" in said
    assert "% of the variance" in said
    driver.get("about:blank")
    driver.get(page.at(f"#/run/{RUN}/map"))
    eventually(lambda: driver.execute_script(PIXELS) > 20)
    assert opened(driver) == rows


def test_the_map_is_handled_by_pointer_and_keys(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A click selects the program below it, an arrow key the nearest one in its direction; zoomed, it is still found there."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/map/{BEST}"))
    eventually(lambda: driver.execute_script(PIXELS) > 20)
    rows = opened(driver)
    canvas = driver.find_element(By.CSS_SELECTOR, ".plane canvas")
    key, way = (Keys.ARROW_LEFT, -1) if rows[BEST].across > 0 else (Keys.ARROW_RIGHT, 1)
    canvas.send_keys("+", key)
    chosen = eventually(lambda: [each for each in texts(driver, ".pane h2") if each != BEST])[0]
    assert way * (rows[chosen].across - rows[BEST].across) > 0
    assert f"/map/{chosen}" in driver.current_url
    driver.get(page.at(f"#/run/{GOING_ON}/map"))
    eventually(lambda: driver.execute_script(PIXELS) > 5)
    points = opened(driver)
    # Two different programs: the view that shows all puts one at each end of the canvas.
    left = min(points, key=lambda each: points[each].across)
    box = driver.find_element(By.CSS_SELECTOR, ".plane canvas")
    driver.execute_script(
        "const box = arguments[0].getBoundingClientRect(), at = { clientX: box.left + 30, clientY: box.top + box.height / 2, pointerId: 1 };"
        "arguments[0].setPointerCapture = () => {};"
        "for (const each of ['pointerdown', 'pointerup']) arguments[0].dispatchEvent(new PointerEvent(each, at))",
        box,
    )
    eventually(lambda: texts(driver, ".pane h2") == [left])


def test_the_map_follows_a_running_search(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Programs that arrive are added without a reload, and only those are requested; what was there does not change sides. Individuals without a program are counted, not drawn."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{GOING_ON}/map"))
    eventually(lambda: driver.execute_script(PIXELS) > 5)
    before = opened(driver)
    more = tuple(fact._replace(id=f"new_{fact.id}") for fact in FACTS[:2])
    fill(page.folder / "store", search_spans(GOING_ON, ends=False, facts=more))
    after = eventually(lambda: len(found := opened(driver)) == len(before) + len(more) and found)
    first, second = (fact.id for fact in LATER)
    assert (before[first].across < before[second].across) == (after[first].across < after[second].across)
    # Their programs are those of the first two.
    for here, there in zip((first, second), (each.id for each in more), strict=True):
        assert after[here] == after[there]
    asked = [
        parse_qs(urlsplit(json.loads(entry["message"])["message"]["params"]["request"]["url"]).query).get(
            "since", ["0"]
        )[0]
        for entry in driver.get_log("performance")
        if 'Network.requestWillBeSent"' in entry["message"] and "/run/vectors" in entry["message"]
    ]
    assert asked.count("0") == 1 and len(asked) > 1
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        one = spans.individual("without_a_program", generation=4, run_id=GOING_ON)
        one.record(fitness=0.3)
        one.end()
        fill(page.folder / "store", recorded.spans)
    eventually(
        lambda: any(
            "1 individual without a recorded program is not shown" in each for each in texts(driver, ".view .hint")
        )
    )
    assert opened(driver) == after
