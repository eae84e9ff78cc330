"""The live page, through the real command: who has access, what it shows in a browser, and that it follows a running
search."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from genesis_otel import queries
from genesis_otel._read import page_data as data
from genesis_otel._serve import client as store_process
from genesis_otel._ui.app import encoded
from tests.support.browser import axe, barriers, eventually
from tests.support.live_page import HEADLESS, HOSTILE, Page, shown, texts
from tests.support.searched import (
    BEST,
    FACTS,
    GOING_ON,
    LATER,
    LINEAGE_OF_BEST,
    OF_BEST,
    RUN,
    TASK,
    Fact,
    cell,
    code,
    end_store,
    fill,
    island,
    search_spans,
)

TABS = {
    **{"overview": "Overview", "tree": "Tree", "map": "Map", "table": "Individuals"},
    **{"story": "Best path", "metrics": "Metrics"},
    **{"islands": "Islands", "examples": "Examples", "yields": "Yields", "models": "Models", "workers": "Timeline"},
    **{"calls": "Calls", "events": "Events", "failures": "Failures"},
}
PARTS = ("changes", "code", "prompts", "result", "trace", "family")


# --- access -----------------------------------------------------------------------------------------------------------


def test_there_is_no_access_without_the_token(page: Page) -> None:
    """Without the token there is no page, file or data; a wrong or truncated cookie does not count."""
    for path in ("/", "/?token=x", "/static/page.js", "/api/runs", f"/api/run/individuals?run={RUN}"):
        for cookie in ("", "x", page.token[:-1]):
            answer = page.ask(path, cookie=cookie)
            assert answer.status == 403 and TASK not in answer.text


def test_the_token_is_taken_out_of_the_address(page: Page) -> None:
    """It becomes a cookie that scripts cannot read and other sites do not send, with a different name for each port."""
    answer = page.ask(f"/?token={page.token}", cookie="")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    told = answer.headers["Set-Cookie"].lower()
    assert told.startswith(f"genesis_otel_ui_{page.port}=")
    assert "httponly" in told and "samesite=strict" in told and page.token.lower() in told


def test_another_page_reads_nothing(page: Page) -> None:
    """A foreign host name that resolves to this machine is refused, and so is a request from another page, even with
    the cookie."""
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1:x", "10.0.0.1", "[", ""):
        assert page.ask("/api/runs", Host=host).status == 400
    assert page.ask("/api/runs", Host=f"[::1]:{page.port}").status == 200
    assert page.ask("/api/runs", Origin="http://evil.example").status == 403
    assert page.ask("/api/runs", Origin=f"http://127.0.0.1:{page.port + 1}").status == 403
    for site in ("cross-site", "same-site"):
        assert page.ask("/api/runs", **{"Sec-Fetch-Site": site}).status == 403
    answer = page.ask("/api/runs", **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200 and "Access-Control-Allow-Origin" not in answer.headers
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_invalid_requests_are_explained(page: Page) -> None:
    """The answer is a line of JSON, with the status that says whose mistake it is; SQL cannot be injected."""
    assert page.ask("/api/run?run=nobody").status == 404
    assert "no run or task is named" in page.json("/api/run?run=nobody")["error"]
    for path in (
        "nonsense=1",
        "limit=x",
        "limit=-1",
        "limit=4294967296",
        "slower=nan",
        "slower=inf",
        "limit=" + "9" * 5_000,
    ):
        assert page.ask(f"/api/calls?{path}").status == 400
    for asked in ("since=x", "since=99999999999999999999", "run_id=x", "client=1"):
        assert page.ask(f"/api/run/individuals?run={RUN}&{asked}").status == 400
    assert page.json("/api/run") == {"error": "invalid request: run is missing"}
    assert page.json(f"/api/run/individual?run={RUN}") == {"error": "invalid request: individual is missing"}
    assert page.json("/api/calls?text=" + quote("' OR 1=1 OR '")) == []
    assert page.ask("/static/..%2Fapp.py").status == page.ask("/static/app.py").status == 404


# --- its data ---------------------------------------------------------------------------------------------------------


def test_only_new_rows_are_sent_again(page: Page) -> None:
    """After a cursor, only rows that the store received later are sent; scores, outcomes and parents are those
    recorded."""
    first = page.json(f"/api/run/individuals?run={RUN}")
    columns = first["columns"]
    told = dict(zip(columns["individual_id"], columns["score"], strict=True))
    assert told == {fact.id: fact.fitness for fact in FACTS}
    assert dict(zip(columns["individual_id"], columns["parents"], strict=True)) == {
        fact.id: list(fact.parents) for fact in FACTS
    }
    later = first["since"] + data.OVERLAP + 1
    assert page.json(f"/api/run/individuals?run={RUN}&since={later}") == {"since": later, "columns": {}}
    calls = page.json(f"/api/run/calls?run={RUN}")["columns"]
    assert len(calls["span_id"]) == len(FACTS) - 3 + 1 and calls["cost"].count(None) == 1


def test_an_individual_is_sent_whole(page: Page) -> None:
    """The answer has an individual's program, its parent's, its conversations and the spans of its trace."""
    told = page.json(f"/api/run/individual?run={RUN}&individual=best")
    assert told["individual_id"] == BEST and told["code"] == code(OF_BEST)
    assert told["parent"]["individual_id"] == "three_best"
    assert told["calls"][0]["messages"] == [["user", "Improve three_best."]]
    assert {"individual", "evaluation"} <= {span["record"] for span in told["spans"]}


def test_an_individual_without_a_row_is_no_other(page: Page) -> None:
    """One that has not finished is not answered for by the only one whose id begins with its own."""
    refused = page.ask(f"/api/run/individual?run={RUN}&individual={BEST[:-1]}")
    assert refused.status == 404 and "has not finished" in refused.text


def test_an_answer_is_json_whatever_was_stored() -> None:
    """Text of any script, half a surrogate pair and numbers of any length arrive as they are, and nothing unknown becomes a number."""
    for told in (
        {"a": ["ä", "\u2028", None, 0.1, [1, True]]},
        {"half": "\ud83d"},
        {"long": 1 << 70, "low": -(1 << 70)},
    ):
        assert json.loads(encoded(told)) == told


def test_calls_are_found_by_their_text(page: Page) -> None:
    """By a text in prompt or answer, in upper or lower case, by model, status and cost."""
    (found,) = page.json(f"/api/calls?run_id={RUN}&text=improve+THREE_best")
    assert found["individual_id"] == BEST and "Improve three_best." in found["excerpt"]
    failed = page.json(f"/api/calls?run_id={RUN}&status=error")
    assert [each["error"] for each in failed] == ["TimeoutError: no answer"] and failed[0]["cost"] is None
    dear = page.json(f"/api/calls?run_id={RUN}&dearer=0.008")
    assert dear and all(each["cost"] >= 0.008 for each in dear)


# --- in a browser -----------------------------------------------------------------------------------------------------


def test_from_the_runs_to_a_program(page: Page, browse: Callable[..., WebDriver]) -> None:
    """The list leads to the run, the run's table to the individual, whose pane stays open on every tab; each view has a
    URL that can be opened directly. The Content-Security-Policy blocks nothing of the page itself."""
    driver = browse(page.address)
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, "tbody tr")) == 4)
    assert "token" not in driver.current_url
    driver.find_element(By.LINK_TEXT, RUN).click()
    eventually(lambda: "0.97" in " ".join(texts(driver, ".head dd")))
    assert any("+ 1 unpriced" in each for each in texts(driver, ".head dd"))
    for tab in sorted(TABS.values(), key="Individuals".__eq__):
        driver.find_element(By.XPATH, f"//nav[contains(@class, 'tabs')]/a[text()='{tab}']").click()
        shown(driver, tab)
        assert not driver.find_elements(By.CSS_SELECTOR, "[role=alert]"), tab
    driver.find_element(By.CSS_SELECTOR, "tbody tr").click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .added"))
    driver.find_element(By.XPATH, "//aside//button[text()='Program']").click()
    eventually(lambda: code(OF_BEST).strip() in " ".join(texts(driver, ".pane pre")))
    driver.find_element(By.LINK_TEXT, "Tree").click()
    eventually(
        lambda: (
            driver.find_elements(By.CSS_SELECTOR, ".view canvas") and driver.find_elements(By.CSS_SELECTOR, ".pane pre")
        )
    )
    sent = driver.current_url
    assert sent.endswith(f"#/run/{RUN}/tree/{BEST}/code")
    driver.get("about:blank")
    driver.get(sent)
    eventually(lambda: code(OF_BEST).strip() in " ".join(texts(driver, ".pane pre")))


def test_the_best_path_is_the_lineage(page: Page, browse: Callable[..., WebDriver]) -> None:
    """The story of the best individual names the same steps as the command `lineage`."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/story"))
    assert eventually(lambda: texts(driver, ".story li .link")) == LINEAGE_OF_BEST


def test_each_step_of_the_best_path_shows_what_it_changed(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A step opens to the difference between its program and its parent's, and to the whole of its description."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/story"))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".story details summary"))[-1].click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".story .diff .added"))
    assert [each.rstrip() for each in texts(driver, ".story .diff .added")] == [f"+{code(OF_BEST).rstrip()}"]
    assert texts(driver, ".story .whole") == [f"why {BEST} should be better"]


def test_success_says_what_it_is_a_share_of(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Of two crossovers with two parents each, three comparisons of four were gains: never three of two."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/yields"))
    shown(driver, "Yields")
    table = "[aria-label=Mutations]"
    heads = eventually(lambda: texts(driver, f"{table} thead th"))
    (row,) = (each for each in driver.find_elements(By.CSS_SELECTOR, f"{table} tbody tr") if "crossover" in each.text)
    told = dict(zip(heads, (each.text for each in row.find_elements(By.TAG_NAME, "td")), strict=True))
    assert (told["individuals"], told["better than a parent"], told["success"]) == ("2", "3 of 4", "75 %")


def test_an_axis_of_a_front_says_which_way_is_better(page: Page, browse: Callable[..., WebDriver]) -> None:
    """The Pareto front, as a table and over two axes, says of each value whether higher or lower is better, or that nobody has said; and
    of each member whether another one dominates it."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/yields"))
    shown(driver, "Yields")
    heads = eventually(lambda: texts(driver, "[aria-label='Pareto front'] thead th"))
    known = [
        "fitness (higher is better)",
        "combined (direction unknown)",
        "accuracy (higher is better)",
        "size (lower is better)",
    ]
    assert heads == ["individual", "dominated", *known]
    assert set(texts(driver, "[aria-label='Pareto front'] tbody td:nth-child(2)")) == {""}
    for setting, axes in {
        "x=m.size&y=score": "score (higher is better) over size (lower is better)",
        "x=code_size&y=m.accuracy": "accuracy (higher is better) over bytes of code",
    }.items():
        driver.get("about:blank")
        driver.get(page.at(f"#/run/{RUN}/metrics?{setting}"))
        labelled = f'canvas.scatter[aria-label="{axes}; the table below has the same data"]'
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, labelled))  # noqa: B023


def cells_of(facts: Sequence[Fact], on: str | None = None) -> int:
    """How many cells of the grid these individuals fill, on all islands together or on one."""
    return len({cell(fact)["size"] for fact in facts if on in (None, island(fact))})


def test_cells_are_shown_as_they_were(page: Page, browse: Callable[..., WebDriver]) -> None:
    """After any number of individuals, and on any island: the cells that were filled by then, by the query that fills them now."""
    times = page.json(f"/api/run/individuals?run={RUN}")["columns"]
    finished = sorted(zip(times["timestamp"], times["individual_id"], strict=True))
    for after in (1, 4, 9):
        rows = page.json(f"/api/run/cells?run={RUN}&until={finished[after - 1][0]}")
        assert sum(row["individuals"] for row in rows) == after
    whole, then, there = cells_of(FACTS), cells_of(FACTS[:4]), cells_of(FACTS[:4], on="1")
    assert whole > then > there
    driver = browse(page.address)
    settings = {"": whole, "?after=4": then, "?after=4&island=1": there, "?after=nonsense&island=7": whole}
    for setting, filled in settings.items():
        driver.get("about:blank")
        driver.get(page.at(f"#/run/{RUN}/yields{setting}"))
        eventually(lambda: f"Filled cells: {filled}" in texts(driver, ".view h2"))  # noqa: B023
        assert len(driver.find_elements(By.CSS_SELECTOR, ".cells rect")) == filled
    slider = driver.find_element(By.CSS_SELECTOR, "input[type=range]")
    for _ in range(len(FACTS) - 4):
        slider.send_keys(Keys.ARROW_LEFT)
    eventually(lambda: f"Filled cells: {then}" in texts(driver, ".view h2"))
    assert "after=4" in driver.current_url


def test_ids_that_begin_alike_are_told_apart(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Long ids are cut in the middle, since those of one search may all begin with the run's."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{quote(f'run {HOSTILE}', safe='')}/table"))
    shown_ids = eventually(lambda: texts(driver, "[aria-label=Individuals] tbody td:nth-child(2)"))
    assert len(set(shown_ids)) == len(shown_ids) == 2 and all("…" in each for each in shown_ids)


def test_keys_search_and_close(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A slash goes to the field for searching and does not write into it, Escape leaves it, and then closes the individual."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/table/{BEST}"))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".left input[type=search]"))
    body = driver.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    field = driver.switch_to.active_element
    assert field.get_attribute("aria-label") == "Search individuals"
    field.send_keys("two/")
    assert field.get_attribute("value") == "two/"
    field.send_keys(Keys.ESCAPE)
    assert driver.switch_to.active_element.tag_name == "body" and driver.find_elements(By.CSS_SELECTOR, ".pane")
    body.send_keys(Keys.ESCAPE)
    eventually(lambda: not driver.find_elements(By.CSS_SELECTOR, ".pane"))


def test_the_order_of_a_table_is_part_of_its_address(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A click on a heading orders individuals, and whoever gets the address has the same order."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/table"))
    eventually(lambda: driver.find_elements(By.XPATH, "//th/button[text()='bytes']"))[0].click()
    ids = "[aria-label=Individuals] tbody td:nth-child(2)"
    largest = [fact.id for fact in sorted(FACTS, key=lambda fact: -fact.size)][:2]
    eventually(lambda: texts(driver, ids)[:2] == largest)
    sent = driver.current_url
    driver.get("about:blank")
    driver.get(sent)
    eventually(lambda: texts(driver, ids)[:2] == largest)


def test_a_run_without_its_start_is_shown(page: Page, browse: Callable[..., WebDriver]) -> None:
    """It is in the list with status unknown; its rows are shown, and the page says that the start is missing."""
    driver = browse(page.address)
    Select(eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".filters select"))[0]).select_by_visible_text(
        "unknown"
    )
    (row,) = eventually(lambda: len(found := texts(driver, "tbody tr")) == 1 and found)
    assert HEADLESS in row and "start is missing" in row and "0.97" in row and f" {len(FACTS)} " in row
    driver.get(page.at(f"#/run/{HEADLESS}/table"))
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, ".view tbody tr")) == len(FACTS))
    assert "start of this run is not in the store" in driver.find_element(By.CSS_SELECTOR, ".said").text
    assert driver.find_element(By.CSS_SELECTOR, ".status").text == "unknown"


def test_a_program_is_compared_with_any_other(page: Page, browse: Callable[..., WebDriver]) -> None:
    """With its seed, the best one, a kept one, and one found by the beginning of its id; the choice is part of the
    URL."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/table/{BEST}/changes"))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .added"))

    def choice() -> Select:
        return Select(eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane select"))[0])

    choice().select_by_visible_text("another individual …")
    driver.find_element(By.CSS_SELECTOR, ".pane input").send_keys("one_c")
    named = next(fact for fact in FACTS if fact.id == "one_c")
    eventually(lambda: [each.strip(" −") for each in texts(driver, ".pane .removed")] == [code(named).strip()])
    sent = driver.current_url
    assert sent.endswith("?against=id%3Aone_c")
    driver.get("about:blank")
    driver.get(sent)
    eventually(lambda: [each.strip(" −") for each in texts(driver, ".pane .removed")] == [code(named).strip()])
    driver.find_element(By.XPATH, "//aside//button[text()='Keep']").click()
    eventually(lambda: driver.find_elements(By.XPATH, "//section//td[.='three_a']"))[0].click()
    eventually(lambda: texts(driver, ".pane h2") == ["three_a"])
    choice().select_by_value(f"id:{BEST}")
    eventually(lambda: [each.strip(" −") for each in texts(driver, ".pane .removed")] == [code(OF_BEST).strip()])


def test_every_chart_has_a_table(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Users who cannot see a chart can open a table beside it, or are told which tab has one."""
    driver = browse(page.address)
    drawn = set()
    for tab, title in TABS.items():
        driver.get(page.at(f"#/run/{RUN}/{tab}"))
        shown(driver, title)
        for drawing in driver.find_elements(By.CSS_SELECTOR, ".view [role=img]"):
            drawn.add(tab)
            label = drawing.get_attribute("aria-label") or ""
            beside = driver.find_elements(By.CSS_SELECTOR, ".view table, .view details.as-table")
            assert label and (
                beside or "the tab Individuals lists them" in label or "the tab Calls lists them" in label
            ), tab
    assert drawn >= {"overview", "tree", "map", "metrics", "islands", "yields", "workers"}
    driver.get(page.at(f"#/run/{RUN}/overview"))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".as-table summary"))[0].click()
    rows = eventually(lambda: texts(driver, ".as-table tbody tr"))
    assert len(rows) == len(FACTS) and rows[-1].split()[-1] == "0.97"


@pytest.mark.parametrize("options", [{"dark": False}, {"dark": True}], ids=["light", "dark"])
def test_nothing_bars_anybody_from_the_page(
    page: Page, browse: Callable[..., WebDriver], options: dict[str, bool]
) -> None:
    """On no view and in no part of the pane does axe-core find a serious or critical barrier: names, roles, contrast, what keys reach."""
    script = axe()
    driver = browse(page.address, **options)
    views = {
        "the runs": "#/",
        "all calls": "#/calls",
        "compare": f"#/compare/{RUN}/{GOING_ON}",
        **{
            f"{tab}, {part}": f"#/run/{RUN}/{tab}/{BEST}/{part}"
            for tab, part in zip(TABS, itertools.cycle(PARTS), strict=False)
        },
    }
    found: list[str] = []
    for name, place in views.items():
        driver.execute_script("location.hash = arguments[0]", place)
        loaded = "return document.querySelector('h1') && !document.body.textContent.includes('Reading')"
        eventually(lambda: driver.execute_script(loaded))  # noqa: B023
        for each in driver.find_elements(By.CSS_SELECTOR, ".as-table summary"):
            driver.execute_script("arguments[0].click()", each)
        found += [f"{name}: {barrier}" for barrier in barriers(driver, script)]
    assert not found, "\n".join(found)


def test_the_tree_is_handled_by_keys(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Arrows go to parents and children, the space bar folds what descends from the chosen one, and a key unfolds it again."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/tree/two_a"))
    canvas = eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".tree canvas"))[0]
    unfold = driver.find_element(By.XPATH, "//button[text()='Unfold all']")
    assert not unfold.is_enabled()
    canvas.send_keys(Keys.SPACE)
    eventually(unfold.is_enabled)
    canvas.send_keys(Keys.SPACE)
    eventually(lambda: not unfold.is_enabled())
    canvas.send_keys("+", Keys.ARROW_LEFT)
    eventually(lambda: texts(driver, ".pane h2") == ["one_b"])


def test_an_address_with_a_wrong_setting_is_shown(page: Page, browse: Callable[..., WebDriver]) -> None:
    """An axis that does not exist is the first one, on every view that has a choice of them."""
    driver = browse(page.address)
    for place in (f"#/compare/{RUN}/{GOING_ON}", f"#/run/{RUN}/overview", f"#/run/{RUN}/islands"):
        driver.get("about:blank")
        driver.get(page.at(f"{place}?by=nonsense"))
        choice = Select(eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".filters select, .tools select"))[0])
        assert choice.first_selected_option.text == "individuals"
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot canvas"))


def test_evaluations_are_on_the_timeline(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Beside the calls, each evaluation with how long it took and how it ended; a table has them, too."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/workers"))
    shown(driver, "Timeline")
    eventually(lambda: f"{len(FACTS)} evaluations in 1 lane" in driver.find_element(By.CSS_SELECTOR, ".view p").text)
    driver.find_element(By.CSS_SELECTOR, ".as-table summary").click()
    rows = eventually(lambda: texts(driver, ".as-table tbody tr"))
    assert len(rows) == len(FACTS) and all("1.0 s" in row for row in rows)
    assert [row.split()[2] for row in rows if row.endswith("failed")] == ["seed_broken"]


def test_runs_are_compared(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Selected runs are shown side by side, with their best so far in one plot."""
    driver = browse(page.address)
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, "tbody input")) == 4)
    for run_id in (RUN, GOING_ON):
        driver.find_element(By.CSS_SELECTOR, f"input[aria-label='Compare {run_id}']").click()
    driver.find_element(By.XPATH, "//button[starts-with(., 'Compare')]").click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot canvas"))
    rows = {row.split()[0]: row for row in texts(driver, "tbody tr")}
    assert "0.97" in rows["best"] and "completed" in rows["status"]


def test_the_page_follows_a_running_search(page: Page, browse: Callable[..., WebDriver]) -> None:
    """New individuals appear without a reload, no individual is requested twice, and a refresh that finds nothing new
    makes one cheap request."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{GOING_ON}/table"))
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, "tbody tr")) == len(LATER))
    more = tuple(fact._replace(id=f"new_{fact.id}", parents=()) for fact in FACTS[:2])
    fill(page.folder / "store", search_spans(GOING_ON, ends=False, facts=more))
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, "tbody tr")) == len(LATER) + len(more))
    asked: list[str] = []

    def looks(path: str) -> int:
        asked.extend(
            json.loads(entry["message"])["message"]["params"]["request"]["url"]
            for entry in driver.get_log("performance")
            if 'Network.requestWillBeSent"' in entry["message"]
        )
        return sum(url.partition("?")[0].endswith(f"/run/{path}") for url in asked)

    eventually(lambda: looks("arrivals") > looks("individuals"))
    individuals = [
        parse_qs(urlsplit(url).query).get("since", ["0"])[0]
        for url in asked
        if url.partition("?")[0].endswith("/individuals")
    ]
    assert individuals[0] == "0" and individuals.count("0") == 1 and len(individuals) > 1
    assert all(url.startswith(page.at("")) for url in asked if url.startswith("http"))


def test_a_view_that_is_left_leaves_nothing_behind(page: Page, browse: Callable[..., WebDriver]) -> None:
    """After a visit of every tab the page has no more listeners and hardly more elements than before: what a view had drawn is freed with it."""
    driver = browse(page.address)
    driver.execute_cdp_cmd("Performance.enable", {})

    def kept() -> dict[str, int]:
        driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        told = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return {each["name"]: int(each["value"]) for each in told if each["name"] in ("Nodes", "JSEventListeners")}

    def visited(tab: str) -> None:
        driver.execute_script("location.hash = arguments[0]", f"#/run/{RUN}/{tab}")
        shown(driver, TABS[tab])

    visited("metrics")
    before = kept()
    for tab in TABS:
        visited(tab)
    visited("metrics")
    # A few texts more are figures of the summary that came later; what one view leaves are hundreds of nodes and some ten listeners.
    eventually(
        lambda: kept()["Nodes"] <= before["Nodes"] + 50 and kept()["JSEventListeners"] <= before["JSEventListeners"] + 3
    )


@pytest.mark.parametrize("options", [{"dark": True}, {"phone": True}], ids=["dark", "phone"])
def test_hostile_texts_have_no_effect(page: Page, browse: Callable[..., WebDriver], options: dict[str, bool]) -> None:
    """Prompts, ids and programs are shown as text on every tab and never executed; on a phone, nothing scrolls
    sideways."""
    driver = browse(page.address, **options)
    run_id = f"run {HOSTILE}"
    best = f"{HOSTILE} seed_a"
    for tab in TABS:
        driver.get(page.at(f"#/run/{quote(run_id, safe='')}/{tab}"))
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".view > *"))
    for part in PARTS:
        driver.get(page.at(f"#/run/{quote(run_id, safe='')}/table/{quote(best, safe='')}/{part}"))
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .body > *"))
    shown = driver.find_element(By.TAG_NAME, "body").text
    assert "\u202e" not in shown and not driver.find_elements(By.CSS_SELECTOR, "img")
    assert driver.title != "run"
    if options.get("phone"):
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth + 1")


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """If the page's server is not installed, the command only says what to install."""
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from genesis_otel._cli.app import main\n"
        "raise SystemExit(main(['ui', '--no-open']))"
    )
    environment = {**os.environ, "GENESIS_OTEL_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    end_store(tmp_path / "store")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: uvicorn not installed: pip install 'genesis-otel[ui]'"


def test_every_query_of_the_page_is_a_named_query() -> None:
    """Every query of the page can also be run with the command."""
    asked = {"individuals_since", "calls_since", "calls_matching", "sparks", "metrics_since", "example_scores"}
    asked |= {"arrivals", "jobs_since", "proposals", "code_vectors_since"}
    assert asked | {"model_selection", "island_leaders", "migrations", "actions_in_detail"} <= set(queries.names())


def test_a_stopped_store_is_opened_again(page: Page) -> None:
    """The store process may end, because it is idle or is stopped: the next request starts one."""
    store_process.stop(page.folder / "store", 30)
    assert {row["run_id"] for row in page.json("/api/runs")} >= {RUN, GOING_ON}
