"""What changes in the store while the page is open: it shows the same as a page that is opened now."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from selenium.webdriver.chrome.webdriver import WebDriver

from genesis_otel import spans
from genesis_otel._serve import client as store_process
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store import deleted
from tests.support.browser import errors, eventually
from tests.support.live_page import Page, facts, texts
from tests.support.recording import attributes_of, record
from tests.support.searched import SECOND, fill

ROWS = ".view table[aria-label='Individuals'] tbody tr"


def recorded(
    run_id: str, tell: Callable[[spans.Run, int], None], *, ends: bool = False, task: str = "changing", **told: Any
) -> Sequence[ReadableSpan]:
    """The spans of a run that began a minute ago."""
    began = time.time_ns() - 60 * SECOND
    with pytest.MonkeyPatch.context() as patch:
        found = record(patch, through=LLMSpanProcessor)
        run = spans.run(task, run_id=run_id, start_time=began, **told)
        tell(run, began)
        if ends:
            run.end()
        return found.spans


def individual(run: spans.Run, name: str, finished: int, score: float, cost: float | None = None) -> None:
    one = spans.individual(
        name, mutation_type="diff", generation=0, run=run, lineage=False, start_time=finished - SECOND
    )
    one.record(fitness=score, api_cost=cost)
    one.end(finished)


def change(page: Page, statement: str) -> None:
    """What another command does to the store."""
    with contextlib.closing(store_process.open_store(page.folder / "store", start=True)) as client:
        client.command(statement, settings={"mutations_sync": 2})


def test_an_edge_that_comes_late_is_drawn(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A parent that a search tells long after its child, and what was changed, appear in the table and on the best path."""

    def two(run: spans.Run, began: int) -> None:
        individual(run, "mother", began + 2 * SECOND, 0.5)
        individual(run, "daughter", began + 3 * SECOND, 0.75)

    fill(page.folder / "store", recorded("late", two))
    driver = browse(page.address)
    driver.get(page.at("#/run/late/table"))
    eventually(lambda: len(texts(driver, ROWS)) == 2)
    edge = recorded(
        "late", lambda run, _: spans.lineage("daughter", "mother", generation=0, edit_summary="why", run_id=run.id)
    )
    fill(page.folder / "store", edge)
    assert eventually(lambda: [row for row in texts(driver, ROWS) if row.endswith("why")])
    driver.get(page.at("#/run/late/story"))
    eventually(lambda: len(texts(driver, ".story li")) == 2)


def test_calls_that_are_removed_or_priced_are_shown_so(page: Page, browse: Callable[..., WebDriver]) -> None:
    """A duplicate that `dedupe` removes is no longer among the calls, and the cost that `reprice` finds is that of the run, even after its
    end."""

    def calls(run: spans.Run, began: int) -> None:
        for model in ("gpt-4.1-mini", "house", "twice"):
            call = run.llm_call(model, messages="Improve.", start_time=began)
            call.response("Done.", input_tokens=10, output_tokens=1, cost=None if model == "house" else 0.25)
            call.end(began + SECOND)

    fill(page.folder / "store", recorded("priced", calls, ends=True))
    driver = browse(page.address)
    driver.get(page.at("#/run/priced/overview"))
    eventually(lambda: facts(driver).get("calls") == "3")
    assert facts(driver)["cost"] == "$0.5000 + 1 unpriced"
    change(page, "ALTER TABLE llm_logs DELETE WHERE run_id = 'priced' AND model = 'twice'")
    eventually(lambda: (facts(driver)["calls"], facts(driver)["cost"]) == ("2", "$0.2500 + 1 unpriced"))
    change(
        page,
        "ALTER TABLE llm_logs UPDATE cost = 1, cost_source = 'own-prices' WHERE run_id = 'priced' AND model = 'house'",
    )
    eventually(lambda: facts(driver)["cost"] == "$1.25")


def test_the_least_cost_is_on_the_axis(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Compared by USD, a run has reached its best when it has spent all that it spent, however little that is."""

    def cheap(run: spans.Run, began: int) -> None:
        for number in range(1, 4):
            individual(run, f"n{number}", began + number * SECOND, float(number), 1.234e-7)

    for run_id in ("cheap one", "cheap two"):
        fill(page.folder / "store", recorded(run_id, cheap, ends=True))
    driver = browse(page.address)
    driver.get(page.at("#/compare/cheap%20one/cheap%20two?by=spent"))
    table = ".plot .as-table tbody tr"
    eventually(lambda: texts(driver, ".plot summary"))
    driver.execute_script("document.querySelector('.plot details').open = true")
    rows = [row.split() for row in eventually(lambda: texts(driver, table))]
    assert rows == [["1.234e-7", "1", "1"], ["2.468e-7", "2", "2"], ["3.702e-7", "3", "3"]]


def plotted(driver: WebDriver) -> list[list[str]]:
    """The numbers of the first chart, row by row."""
    rows: list[list[str]] = driver.execute_script(
        "document.querySelector('.plot details').open = true;"
        "return [...document.querySelectorAll('.plot .as-table tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


def test_a_median_is_of_all_runs_or_says_of_how_many(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Where only one of two runs has got, there is no median of two, and no quartiles: what is drawn is the median of the others, with their
    number in the table."""
    for run_id, scores in (("short", (3.0,)), ("long", (1.0, 2.0, 4.0))):

        def tell(run: spans.Run, began: int, scores: Sequence[float] = scores) -> None:
            for number, score in enumerate(scores, 1):
                individual(run, f"n{number}", began + number * SECOND, score)

        fill(page.folder / "store", recorded(run_id, tell, ends=True))
    driver = browse(page.address)
    driver.get(page.at("#/compare/short/long?grouped=yes"))
    rows = eventually(lambda: texts(driver, ".plot summary") and plotted(driver))
    assert rows == [["1", "2.5", "1.5", "2", "2", "2"], ["2", "", "", "", "2", "1"], ["3", "", "", "", "4", "1"]]
    heads = driver.execute_script(
        "return [...document.querySelectorAll('.plot .as-table th')].map((each) => each.textContent)"
    )
    assert [head.partition(": ")[2] for head in heads[3:]] == [
        "median of 2",
        "median of those that got that far",
        "runs",
    ]


def test_groups_are_runs_that_began_alike(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Runs of one task whose configurations differ in seed and place only. Those in which less is better, whose names of settings end like a place's,
    or whose start is missing are no runs of the group."""
    tcp: dict[str, Any] = {"transport": "tcp", "seed": 1, "db": {"path": "/a"}}
    kinds: dict[str, dict[str, Any]] = {
        "group.1": {"config": tcp},
        "group.2": {"config": {**tcp, "seed": 2, "db": {"path": "/b"}}},
        "group.3": {"config": {**tcp, "transport": "udp"}},
        "group.4": {"config": tcp, "direction": "min"},
        "group.5": {},
        "group.6": {},
    }
    for run_id, told in kinds.items():
        found = recorded(run_id, lambda run, began: individual(run, "a", began + SECOND, 1), ends=True, **told)
        fill(
            page.folder / "store",
            [span for span in found if told or attributes_of(span).get("genesis.record") == "individual"],
        )
    driver = browse(page.address)
    driver.get(page.at("#/compare/" + "/".join(kinds) + "?grouped=yes"))
    eventually(lambda: texts(driver, ".plot summary") and plotted(driver))
    heads = driver.execute_script(
        "return [...document.querySelectorAll('.plot .as-table th')].map((each) => each.textContent)"
    )
    assert [head for head in heads if "median" in head] == ["changing 1: median of 2"]
    # The individuals' column, three of the group, four runs, and the number of runs in the group.
    assert len(heads) == 1 + 3 + 4 + 1


def test_a_comparison_follows_a_running_search(page: Page, browse: Callable[..., WebDriver]) -> None:
    """New individuals arrive without a reload, and a run is read again only if something arrived for it."""
    fill(
        page.folder / "store", recorded("still", lambda run, began: individual(run, "a", began + SECOND, 1), ends=True)
    )
    fill(page.folder / "store", recorded("moving", lambda run, began: individual(run, "a", began + SECOND, 1)))
    driver = browse(page.address)
    driver.get(page.at("#/compare/still/moving"))
    count = "tr:nth-child(3) td"
    eventually(lambda: texts(driver, f".beside {count}") == ["1", "1"])
    later = recorded("moving", lambda run, began: individual(run, "b", began + 2 * SECOND, 2))
    fill(page.folder / "store", later)
    eventually(lambda: texts(driver, f".beside {count}") == ["1", "2"])
    assert eventually(lambda: plotted(driver))[-1] == ["2", "", "2"]
    asked = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in driver.get_log("performance")
        if 'Network.requestWillBeSent"' in entry["message"]
    ]
    runs = [parse_qs(urlsplit(url).query)["run"] for url in asked if "/api/compare" in url]
    assert runs[0] == ["still", "moving"] and runs[1:] and all(each == ["moving"] for each in runs[1:])


def test_the_list_says_that_there_are_older_runs(page: Page, browse: Callable[..., WebDriver]) -> None:
    """It has the newest 500 runs, and says so if there are more, since a search in it does not find the others."""
    driver = browse(page.address)
    listed = "table[aria-label='Runs'] tbody tr"
    few = len(eventually(lambda: texts(driver, listed)))
    assert not texts(driver, "p.hint")
    change(
        page,
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, told_at)"
        " SELECT concat('old ', toString(number)), 'many', toDateTime64('2024-01-01 00:00:00', 3), 'completed', now64(9) FROM numbers(500)",
    )
    assert "newest 500 runs" in eventually(lambda: texts(driver, "p.hint"))[0]
    assert eventually(lambda: texts(driver, "button.more")) == ["400 more"]
    change(
        page,
        f"ALTER TABLE evolution_runs_log DELETE WHERE task_name = 'many' AND toUInt32OrZero(substring(run_id, 5)) >= {500 - few}",
    )
    eventually(lambda: not texts(driver, "p.hint"))
    assert texts(driver, "button.more") == ["400 more"]
    change(page, "ALTER TABLE evolution_runs_log DELETE WHERE task_name = 'many'")


@pytest.mark.parametrize("name", ["latest", "abbrev"])
def test_an_address_is_of_one_run(page: Page, browse: Callable[..., WebDriver], name: str) -> None:
    """`latest`, or the beginning of an id, becomes the id of the run that it names now: what is shown is not mixed with a later one's."""
    run_id = f"abbreviated {name}"
    fill(page.folder / "store", recorded(run_id, lambda run, began: individual(run, "a", began + SECOND, 1)))
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{name if name == 'latest' else run_id[:-1]}/table?find=a"))
    eventually(lambda: len(texts(driver, ROWS)) == 1)
    assert driver.current_url.endswith(f"#/run/{run_id.replace(' ', '%20')}/table?find=a")
    later = recorded(f"{run_id} later", lambda run, began: individual(run, "ab", began + SECOND, 2))
    fill(page.folder / "store", later)
    driver.refresh()
    eventually(lambda: texts(driver, ROWS))
    assert [row.split()[1] for row in texts(driver, ROWS)] == ["a"]


def test_calls_arrive(page: Page, browse: Callable[..., WebDriver]) -> None:
    """The tab Calls finds what arrives while it is open."""

    def call(run: spans.Run, began: int) -> None:
        one = run.llm_call("gpt-4.1-mini", messages="Improve.", start_time=began)
        one.response("Done.", input_tokens=10, output_tokens=1)
        one.end(began + SECOND)

    fill(page.folder / "store", recorded("calling", call))
    driver = browse(page.address)
    driver.get(page.at("#/run/calling/calls"))
    rows = "table[aria-label='Calls'] tbody tr"
    eventually(lambda: len(texts(driver, rows)) == 1)
    fill(page.folder / "store", recorded("calling", lambda run, began: call(run, began + 5 * SECOND)))
    eventually(lambda: len(texts(driver, rows)) == 2)


def test_a_run_that_was_deleted_and_recorded_again_is_the_new_one(page: Page, browse: Callable[..., WebDriver]) -> None:
    """While it is gone the page says so, and of the individuals and metrics that it had none is left."""

    def first(run: spans.Run, began: int) -> None:
        for number in range(3):
            individual(run, f"old{number}", began + number * SECOND, number)

    fill(page.folder / "store", recorded("again", first))
    driver = browse(page.address)
    driver.get(page.at("#/run/again/table"))
    eventually(lambda: len(texts(driver, ROWS)) == 3)
    for table in ("individuals", "code_lineages", "evolution_runs_log"):
        change(page, f"ALTER TABLE {table} DELETE WHERE run_id = 'again'")
    eventually(lambda: "the store has no rows of the run again" in " ".join(texts(driver, "[role=alert]")))
    fill(
        page.folder / "store",
        recorded("again", lambda run, began: individual(run, "new", began + 9 * SECOND, 7)),
    )
    eventually(lambda: [row.split()[1] for row in texts(driver, ROWS)] == ["new"])
    eventually(lambda: not texts(driver, "[role=alert]"))
    assert facts(driver)["individuals"] == "1"
    assert all("/api/run?run=again" in each for each in errors(driver))


def test_a_run_that_has_ended_has_no_time_left(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Its progress is no longer shown, neither above its views nor in the list."""

    def begun(run: spans.Run, began: int) -> None:
        one = spans.individual("a", generation=3, run=run, start_time=began)
        one.record(fitness=1.0)
        one.end(began + SECOND)

    config = {"num_generations": 9}
    fill(page.folder / "store", recorded("ending", begun, config=config))
    driver = browse(page.address)
    driver.get(page.at("#/run/ending/table"))
    eventually(lambda: facts(driver).get("progress", "").startswith("3 of 9"))
    fill(page.folder / "store", recorded("ending", lambda run, began: None, ends=True, config=config))
    eventually(lambda: facts(driver)["status"] == "completed")
    assert "progress" not in facts(driver)


def test_a_run_that_was_deleted_at_once_is_gone(page: Page, browse: Callable[..., WebDriver]) -> None:
    """If all of its rows disappear between two looks, the page says that there are none, and not that its start is missing."""
    fill(page.folder / "store", recorded("gone", lambda run, began: individual(run, "a", began, 1)))
    driver = browse(page.address)
    driver.get(page.at("#/run/gone/table"))
    eventually(lambda: len(texts(driver, ROWS)) == 1)
    with contextlib.closing(store_process.open_store(page.folder / "store", start=True)) as client:
        deleted.delete(client, "gone")
    eventually(lambda: "the store has no rows of the run gone" in " ".join(texts(driver, "[role=alert]")))
    assert all("/api/run?run=gone" in each for each in errors(driver))


def test_the_page_says_that_its_server_is_away_and_comes_back(page: Page, browse: Callable[..., WebDriver]) -> None:
    """Without its server, what is shown stays, with a line that says so; what was asked for meanwhile is there as soon as the server is."""

    def two(run: spans.Run, began: int) -> None:
        individual(run, "one", began + 2 * SECOND, 0.5)
        individual(run, "other", began + 3 * SECOND, 0.75)

    fill(page.folder / "store", recorded("away", two))
    driver = browse(page.address)
    driver.get(page.at("#/run/away/table/one/family"))
    eventually(lambda: len(texts(driver, ROWS)) == 2 and "0.5" in " ".join(texts(driver, ".pane li")))

    def connected(is_connected: bool) -> None:
        driver.execute_cdp_cmd("Network.enable", {})
        limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": not is_connected, **limits})

    connected(False)
    eventually(lambda: "server does not answer" in " ".join(texts(driver, "[role=alert]")))
    assert len(texts(driver, ROWS)) == 2
    driver.execute_script("location.hash = '#/run/away/table/other/changes'")
    eventually(lambda: "server does not answer" in " ".join(texts(driver, ".pane .body")))
    connected(True)
    eventually(lambda: "This is a seed" in " ".join(texts(driver, ".pane .body")))
    eventually(lambda: not texts(driver, "[role=alert]"))
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in errors(driver))
