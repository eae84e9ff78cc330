"""The report, in a real browser: it shows the search, uses no network, and runs nothing that a prompt or a program contains."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from typer.testing import CliRunner

from genesis_otel import spans
from genesis_otel._cli.app import application
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel.report import page
from tests.support.browser import errors, eventually, open_browser, scheme
from tests.support.dashboards import searches_in
from tests.support.live_page import facts
from tests.support.recording import record
from tests.support.searched import (
    BEST,
    FACTS,
    GOING_ON,
    LINEAGE_OF_BEST,
    RUN,
    SECOND,
    TASK,
    code,
    fill,
    search_spans,
    stored,
)
from tests.support.timed import CALLS, SOME, UNKNOWN, known, store_all
from tests.support.timed import RUNS as DURATIONS

BEGAN = 1_700_000_000 * SECOND

HOSTILE = "</script><script>document.title='run'</script><!--<script><img src=x onerror=\"document.title='run'\">{{ 7*7 }}\u2028\u202e\x00<b>"
TABS = (
    *("Overview", "Tree", "Map", "Individuals", "Best path", "Metrics", "Islands", "Examples", "Yields", "Models"),
    *("Timeline", "Calls", "Events", "Failures"),
)
READING = "Reading …"
PARTS = ("Changes", "Program", "Prompts", "Result", "Trace", "Family")
Browse = Callable[..., WebDriver]


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Browse]:
    """Opens a text as a page in a separate Chromium."""
    opened: list[WebDriver] = []

    def browsed(text: str, *, dark: bool = False, phone: bool = False) -> WebDriver:
        driver = open_browser(tmp_path / f"browser{len(opened)}", dark=dark, phone=phone)
        opened.append(driver)
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(text, encoding="utf-8")
        driver.get(path.as_uri())
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".view > *, main .failed"))
        return driver

    yield browsed
    for driver in opened:
        driver.quit()


def data_of(text: str) -> dict[str, Any]:
    """The data in a page."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    told: dict[str, Any] = json.loads(found)
    return told


def tab(driver: WebDriver, name: str) -> None:
    """Open a tab of the run."""
    _chosen(driver, f"//nav[contains(@class, 'tabs')]/a[text()='{name}'", ".view")


def part(driver: WebDriver, name: str) -> str:
    """The pane's text under a heading."""
    _chosen(driver, f"//aside//button[text()='{name}'", ".pane .body")
    return says(driver, ".pane .body")


def _chosen(driver: WebDriver, heading: str, below: str) -> None:
    """Click on a heading, and wait until its content is shown and has been read."""
    driver.find_element(By.XPATH, f"{heading}]").click()
    eventually(lambda: driver.find_elements(By.XPATH, f"{heading} and @aria-selected='true']"))
    eventually(
        lambda: driver.find_elements(By.CSS_SELECTOR, f"{below} > :not(.none)") or says(driver, below) != READING
    )


def says(driver: WebDriver, selector: str) -> str:
    """The text of an element, in one step, because what is redrawn meanwhile is another element."""
    told: str = driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
    return told


def shows(driver: WebDriver, text: str) -> None:
    """Wait for a text in the view."""
    eventually(lambda: text in says(driver, ".view"))


def choose(driver: WebDriver, individual_id: str) -> None:
    """Select an individual in the table."""
    tab(driver, "Individuals")
    search = driver.find_element(By.CSS_SELECTOR, ".bar input")
    search.clear()
    search.send_keys(individual_id)
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, ".view tbody tr")) == 1)
    driver.find_element(By.CSS_SELECTOR, ".view tbody tr").click()
    eventually(lambda: individual_id[:10] in says(driver, ".pane h2") and says(driver, ".pane .body") != READING)


def asked(driver: WebDriver) -> set[str]:
    """Addresses that the page requested, apart from itself and its contents; a browser's own start page does not count."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    ours = [each["request"]["url"] for each in sent if each["documentURL"].startswith("file://")]
    assert any(url.startswith("file://") for url in ours), "the log has the page itself"
    return {url for url in ours if not url.startswith(("file://", "data:", "blob:"))}


@pytest.fixture(scope="module")
def searches(engine: Path) -> Iterator[Client]:
    """A client on a database with three searches in it."""
    with searches_in(engine, "reported") as client:
        yield client


def test_it_shows_the_search(searches: Client, browse: Browse) -> None:
    """Figures, every tab, the path to the best, the best program with its change, prompt and output, failures; no browser errors, and no
    network request."""
    driver = browse(page(searches, RUN))
    assert RUN in driver.title
    told = facts(driver)
    assert (told["best"], told["generations"], told["individuals"]) == ("0.97", "5", f"{len(FACTS)}, 1 failed")
    assert told["status"] == "completed" and told["calls"] == "11, 1 failed" and told["cost"].endswith("+ 1 unpriced")
    for name in TABS:
        tab(driver, name)
        assert not driver.find_elements(By.CSS_SELECTOR, "[role=alert]"), name
    tab(driver, "Best path")
    story = driver.find_elements(By.CSS_SELECTOR, ".story li .link")
    assert [each.text for each in story] == LINEAGE_OF_BEST
    story[-1].click()
    assert "best" in eventually(lambda: driver.find_element(By.CSS_SELECTOR, ".pane .gold").text)
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .added"))
    assert f"why {BEST} should be better" in part(driver, "Changes")
    assert code(next(each for each in FACTS if each.id == BEST)).strip() in part(driver, "Program")
    assert "Improve three_best." in part(driver, "Prompts") and f"{BEST}!" in part(driver, "Prompts")
    assert f"evaluated {BEST} ☃" in part(driver, "Result")
    assert len(part(driver, "Trace").splitlines()) >= 4
    tab(driver, "Map")
    shows(driver, "the two axes hold")
    tab(driver, "Islands")
    (moved,) = driver.find_elements(By.CSS_SELECTOR, "table[aria-label=Migrations] tbody tr")
    assert "three_b" in moved.text and "⬡1 ⬡0" in moved.text
    tab(driver, "Models")
    assert "crossover" in driver.find_element(By.CSS_SELECTOR, "table.heat").text
    choose(driver, "seed_broken")
    assert "dividing" in part(driver, "Result")
    tab(driver, "Failures")
    shows(driver, "division by zero")
    assert errors(driver) == [] and asked(driver) == set()


def test_calls_are_found_in_the_file(searches: Client, browse: Browse) -> None:
    """By status, and by the text of the prompts in the file; the search is kept in the address."""
    driver = browse(page(searches, RUN))
    tab(driver, "Calls")

    def rows() -> list[str]:
        told: list[str] = driver.execute_script(
            "return [...document.querySelectorAll('.view tbody tr')].map((row) => row.innerText)"
        )
        return told

    eventually(lambda: len(rows()) == 11)
    driver.find_element(By.CSS_SELECTOR, ".view input[type=search]").send_keys("IMPROVE three_b")
    assert BEST in eventually(lambda: rows() if len(rows()) == 1 else [])[0]
    driver.refresh()
    assert BEST in eventually(lambda: rows() if len(rows()) == 1 else [])[0]
    driver.find_element(By.CSS_SELECTOR, ".view input[type=search]").send_keys(Keys.CONTROL, "a", Keys.DELETE)
    eventually(lambda: len(rows()) == 11)
    driver.find_element(By.CSS_SELECTOR, ".view select").send_keys("error")
    assert "failed" in eventually(lambda: rows() if len(rows()) == 1 else [])[0]
    assert errors(driver) == []


@pytest.mark.parametrize("run", DURATIONS)
def test_unknown_durations_are_empty(store: Client, browse: Browse, run: str) -> None:
    """In the lists of calls, models, evaluations and spans; on the timeline what has none is a moment, and not one of 57 years. Where all are
    unknown, all is shown just as well."""
    store_all(store)
    driver = browse(page(store, run))

    def column(name: str, table: str = ".view table") -> list[str]:
        """A column of the first such table."""
        told: list[str] = driver.execute_script(
            "const table = document.querySelector(arguments[1]);"
            "const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.innerText.trim().toLowerCase().startsWith(arguments[0]));"
            "return [...table.tBodies[0].rows].map((row) => row.cells[at].innerText)",
            name,
            table,
        )
        return told

    tab(driver, "Calls")
    eventually(lambda: len(driver.find_elements(By.CSS_SELECTOR, ".view tbody tr")) == len(CALLS[run]))
    assert sorted(column("took")) == sorted([*(f"{seconds:.1f} s" for seconds in known(run)), *[""] * len(UNKNOWN)])
    tab(driver, "Models")
    assert column("median") == (["5.0 s"] if run == SOME else [""])
    tab(driver, "Timeline")
    driver.find_element(By.CSS_SELECTOR, ".as-table summary").click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".as-table tbody tr"))
    expected = {"known": "4.0 s", "instant": "0 ms", "skewed": "", "of 1970": "", "goes on": "no end known"}
    table = "table[aria-label='Evaluations']"
    jobs = dict(zip(column("individual", table), column("took", table), strict=True))
    assert jobs == (expected if run == SOME else {"skewed": ""})
    tab(driver, "Overview")
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot canvas"))
    choose(driver, "i")
    part(driver, "Trace")
    driver.find_element(By.CSS_SELECTOR, ".pane .as-table summary").click()
    table = "table[aria-label='Spans of its trace']"
    eventually(lambda: column("took", table))
    took = sorted(column("took", table))
    assert took == (["", "", "", "", "0 ms", "40.0 s"] if run == SOME else [""])
    assert errors(driver) == []


def test_runs_are_compared(searches: Client, browse: Browse) -> None:
    """With each run that was named, in one plot and one table; of the other runs only what is included is shown."""
    driver = browse(page(searches, RUN, compare=[GOING_ON, RUN]))
    driver.find_element(By.LINK_TEXT, "Compare").click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot canvas"))
    eventually(lambda: driver.find_elements(By.XPATH, "//tbody/tr[starts-with(normalize-space(.), 'status')]"))
    rows = {row.text.split()[0]: row.text.split()[1:] for row in driver.find_elements(By.CSS_SELECTOR, "tbody tr")}
    assert rows["best"] == ["0.97", "0.5"] and rows["status"] == ["completed", "stalled"]
    links = driver.find_elements(By.CSS_SELECTOR, "thead a")
    assert len(links) == 1
    links[0].click()
    eventually(lambda: facts(driver).get("best") == "0.97")
    assert errors(driver) == []


def test_individuals_without_details_say_so(searches: Client, browse: Browse) -> None:
    """--top says how many are; the others have what the columns have, and where to get more."""
    text = page(searches, RUN, top=0)
    assert data_of(text)["individuals"] == {} and "Improve" not in text
    driver = browse(text)
    choose(driver, BEST)
    assert "--top" in says(driver, ".pane .body")
    assert "0.97" in driver.find_element(By.CSS_SELECTOR, ".pane .facts").text
    assert "three_best" in part(driver, "Family") and errors(driver) == []


def test_which_individuals_have_details(searches: Client) -> None:
    """The best, those on the path to the best one, and the failed one; a program that a parent shares is included once."""
    told = data_of(page(searches, RUN, top=1))
    assert list(told["individuals"]) == [BEST, *LINEAGE_OF_BEST[-2::-1], "seed_broken"]
    assert told["individuals"][BEST]["parent"] == "three_best" and set(told["programs"]) == set(told["individuals"])
    assert data_of(page(searches, RUN, top=3))["individuals"].keys() >= {BEST, "three_best", "three_a"}


def test_it_follows_light_and_dark(searches: Client, browse: Browse) -> None:
    """The page's colours follow the reader's system, even if it changes meanwhile."""
    driver = browse(page(searches, RUN))

    def colors() -> list[str]:
        told: list[str] = driver.execute_script(
            "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
        )
        return told

    light = colors()
    scheme(driver, dark=True)
    assert all(a != b for a, b in zip(light, eventually(lambda: colors() != light and colors()), strict=True))


@pytest.mark.parametrize("options", [{"dark": True}, {"phone": True}], ids=["dark", "phone"])
def test_prompts_and_programs_are_shown_as_text(store: Client, browse: Browse, options: dict[str, bool]) -> None:
    """Markup, scripts, and characters that reverse or end a text, in every text of a run, ids included, are shown, and nothing runs; a
    phone shows every tab without scrolling sideways."""
    told = {"hostile": HOSTILE, "run": f"r{HOSTILE}"}
    for run in (told["run"], f"s{HOSTILE}"):
        store.command(
            "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, error, config, told_at)"
            " SELECT {run:String}, {hostile:String}, now64(3), 'failed', {hostile:String},"
            " toJSONString(map({hostile:String}, concat({run:String}, {hostile:String}))), now64(9)",
            parameters={**told, "run": run},
        )
    for number, name in enumerate(("one", "two")):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, metrics,"
            " code, is_pareto, span_id, trace_id, island, cell) SELECT {run:String}, concat({name:String}, {hostile:String}), {n:Int32}, now64(3) + {n:Int32},"
            " if({n:Int32} = 0, '', concat('one', {hostile:String})), {hostile:String}, {n:Int32} + 1, toJSONString(map({hostile:String}, 1)),"
            " {hostile:String}, 1, {name:String}, 't', concat({name:String}, {hostile:String}), toJSONString(map({hostile:String}, 1))",
            parameters={**told, "name": name, "n": number},
        )
    store.command(
        "INSERT INTO llm_logs (id, run_id, individual_id, timestamp, model, role, operation, messages, response, thought, execution_time, span_id, status, error)"
        " SELECT generateUUIDv4(), {run:String}, concat('two', {hostile:String}), now64(3), {hostile:String}, {hostile:String}, 'chat',"
        " toJSONString([map('role', {hostile:String}, 'content', {hostile:String})]), {hostile:String}, {hostile:String}, 1, s, s, {hostile:String}"
        " FROM (SELECT arrayJoin(['ok', 'error']) AS s)",
        parameters=told,
    )
    store.command(
        "INSERT INTO pareto_fronts (run_id, generation, individual_id, metrics, fitness_score)"
        " SELECT {run:String}, 0, {hostile:String}, toJSONString(map({hostile:String}, 1, 'b', 2)), 1",
        parameters=told,
    )
    text = page(store, told["run"], compare=[f"s{HOSTILE}"])
    assert "\u202e" not in text and "\x00" not in text
    driver = browse(text, **options)
    title = driver.title
    assert title.startswith("r</script>") and "\u202e" not in title

    def harmless() -> None:
        shown = driver.find_element(By.TAG_NAME, "body").text
        assert "\u202e" not in shown and "\x00" not in shown
        assert not driver.find_elements(By.CSS_SELECTOR, "img, main b b") and driver.title == title
        if options.get("phone"):
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth + 1")

    assert "\\u202e" in driver.find_element(By.CSS_SELECTOR, "main p.failed").text
    for name in TABS:
        tab(driver, name)
        harmless()
    tab(driver, "Best path")
    driver.find_elements(By.CSS_SELECTOR, ".story li .link")[-1].click()
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".pane .body > *"))
    for name in PARTS:
        part(driver, name)
        harmless()
    assert "{{ 7*7 }}\\u2028\\u202e\\u0000<b>" in part(driver, "Program")
    driver.find_element(By.LINK_TEXT, "Compare").click()
    title = eventually(lambda: driver.title != title and driver.title)
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot canvas"))
    harmless()
    assert "\\u202e" in driver.find_element(By.TAG_NAME, "table").text and errors(driver) == []


def test_a_script_that_got_in_would_not_run(searches: Client, browse: Browse) -> None:
    """The page's policy runs only its own script: another one in its text is refused."""
    text = page(searches, RUN).replace("<noscript>", "<script>document.title = 'run'</script><noscript>")
    driver = browse(text)
    assert RUN in driver.title
    assert any("Content Security Policy" in message for message in errors(driver))


def fill_with(store: Client, individuals: int) -> None:
    """A run of this many individuals, each with a parent and a call; ids are UUIDs, programs 4 kB, prompts 12 kB."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, told_at) SELECT 'big', 't', now64(3) - 86400, 'running', now64(9)"
    )
    of = "toString(toUUID(concat('00000000-0000-4000-8000-', leftPad(toString({}), 12, '0'))))".format
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, code, api_cost, span_id, trace_id)"
        f" SELECT 'big', {of('number')}, intDiv(number, 20), now64(3) - 86400 + number,"
        f" if(number < 20, '', {of('number - 20')}), if(number < 20, 'init', 'mutate'), number / 10000 + sin(number) / 50,"
        " repeat(concat('x = ', toString(number), '\\n'), 500), 0.001, lower(hex(number + 1000000)), lower(hex(number))"
        f" FROM numbers({individuals})"
    )
    store.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, edit_summary)"
        " SELECT 'big', individual_id, parent_id, generation, mutation_type, timestamp, 0.001, repeat('what changed ', 8) FROM individuals WHERE parent_id != ''"
    )
    store.command(
        "INSERT INTO llm_logs (id, span_id, run_id, individual_id, generation, timestamp, model, operation, messages, response, execution_time)"
        f" SELECT generateUUIDv4(), lower(hex(number + 5000000000000000000)), 'big', {of('number')}, intDiv(number, 20), now64(3) - 86400 + number,"
        f" 'm', 'chat', repeat('ask ', 3000), repeat('say ', 1000), 1 + number % 7 FROM numbers({individuals})"
    )


def test_a_run_of_a_thousand_individuals_is_a_small_file(store: Client, browse: Browse) -> None:
    """Below 1.5 MB, with all of them; the best one is included with its program and prompts."""
    fill_with(store, 1_000)
    text = page(store, "big")
    assert len(text.encode()) < 1_500_000
    told = data_of(text)
    assert len(told["answers"]["run/individuals"]["columns"]["individual_id"]) == 1_000
    best = str(store.command("SELECT argMax(individual_id, fitness_score) FROM individuals"))
    assert next(iter(told["individuals"])) == best and told["programs"][best].startswith("x = ")
    driver = browse(text)
    assert facts(driver)["individuals"] == "1,000"
    tab(driver, "Tree")
    tree = driver.find_element(By.CSS_SELECTOR, ".tree canvas")
    assert "1,000 individuals" in (tree.get_attribute("aria-label") or "")
    assert errors(driver) == []


def test_long_texts_are_cut_and_say_so(store: Client) -> None:
    """The missing part of a prompt, an answer or a program is counted where it ends."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, told_at) SELECT 'long', now64(3), 'running', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, fitness_score, code) SELECT 'long', 'i', now64(3), 1, repeat('x', 100007)"
    )
    store.command(
        "INSERT INTO llm_logs (id, span_id, run_id, individual_id, timestamp, operation, messages, response)"
        " SELECT generateUUIDv4(), 's', 'long', 'i', now64(3), 'chat', toJSONString([map('role', 'user', 'content', repeat('é', 20011))]), repeat('y', 20013)"
    )
    told = data_of(page(store, "long"))
    (call,) = told["individuals"]["i"]["calls"]
    assert told["programs"]["i"].endswith("x\n[7 more characters are not in this file]")
    assert call["messages"] == [["user", "é" * 20_000 + "\n[11 more characters are not in this file]"]]
    assert call["response"].endswith("y\n[13 more characters are not in this file]")


def test_the_size_limit_of_details(store: Client) -> None:
    """The best are included however large they are, the path to them only while there is space."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, told_at) SELECT 'large', now64(3), 'running', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, parent_id, fitness_score, code) SELECT 'large', concat('i', toString(number)),"
        " now64(3) + number, if(number = 0, '', concat('i', toString(number - 1))), number, repeat('x', 90000) FROM numbers(10)"
    )
    assert list(data_of(page(store, "large", top=1))["individuals"]) == [f"i{number}" for number in range(9, 4, -1)]
    assert list(data_of(page(store, "large", top=8))["individuals"]) == [f"i{number}" for number in range(9, 1, -1)]


def test_a_run_of_which_hardly_anything_is_known(store: Client, browse: Browse) -> None:
    """A run that has just started, and one whose individuals all failed, yield a page that says so; only an ended run shows how long it
    took."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, told_at) SELECT 'new', now64(3) - 1920, 'running', now64(9)"
    )
    driver = browse(page(store, "new"))
    for name in TABS:
        tab(driver, name)
    tab(driver, "Best path")
    assert (
        "No individual has a score yet." in driver.find_element(By.CSS_SELECTOR, ".view").text and errors(driver) == []
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, status, fitness_score) SELECT 'new', 'i', start_time + 5, 'error', nan FROM evolution_runs"
    )
    driver = browse(page(store, "new"))
    told = facts(driver)
    assert told["individuals"] == "1, 1 failed"
    tab(driver, "Tree")
    label = driver.find_element(By.CSS_SELECTOR, ".tree canvas").get_attribute("aria-label") or ""
    assert "of 1 individual;" in label and errors(driver) == []
    # It died five seconds after its start, and half an hour ago.
    assert told["status"] == "stalled" and "took" not in told and told["last sign of life"] == "5.0 s after its start"


def test_a_run_that_minimises(store: Client, browse: Browse) -> None:
    """Its best is the lowest score: at the top, at the end of the path, and first among those in detail."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, direction, told_at) SELECT 'low', now64(3), 'running', 'min', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, parent_id, fitness_score, code) SELECT 'low', concat('i', toString(number)), now64(3) + number,"
        " if(number = 0, '', concat('i', toString(number - 1))), [3, 1, 2][number + 1], 'x' FROM numbers(3)"
    )
    text = page(store, "low", top=1)
    assert next(iter(data_of(text)["individuals"])) == "i1"
    driver = browse(text)
    assert facts(driver)["best"] == "1 (lower is better)"
    tab(driver, "Best path")
    assert [each.text for each in driver.find_elements(By.CSS_SELECTOR, ".story li .link")] == ["i0", "i1"]


def told_of(task: str, tell: Callable[[spans.Run], None]) -> Sequence[ReadableSpan]:
    """The spans of a run that ended."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        run = spans.run(task, run_id=task, start_time=BEGAN)
        tell(run)
        run.end(end_time=BEGAN + 100 * SECOND)
        return recorded.spans


def finish(run: spans.Run, at: int, name: str, score: float, parent: str = "", how: str = "diff", **told: Any) -> None:
    one = spans.individual(name, parent_id=parent, mutation_type=how, generation=at, run=run, start_time=BEGAN)
    one.record(fitness=score, **told)
    one.end(BEGAN + at * SECOND)


def test_numbers_of_any_size_are_drawn(engine: Path, browse: Browse) -> None:
    """Penalties as large as numbers are, with either sign; a metric of 20 digits that is the same for all, such as a seed; bins by the
    billion. No view hangs, and none breaks."""
    largest = sys.float_info.max

    def tell(run: spans.Run) -> None:
        for at, score in enumerate((-largest, 0.5, largest), start=1):
            metrics = {"seed": 12345678901234567890, "scores": {"x": score, "y": 1e18}}
            finish(run, at, f"n{at}", score, metrics=metrics, cell={"size": at * 10**9}, code=f"code {at}")

    with stored(engine, "extreme", told_of("extreme", tell)) as client:
        driver = browse(page(client, "extreme"))
    assert facts(driver)["best"] == "1.79769e+308"
    for name in TABS:
        tab(driver, name)
        assert not re.search("NaN|Infinity|undefined", says(driver, ".view"))
    tab(driver, "Metrics")
    for axis in driver.find_elements(By.CSS_SELECTOR, ".tools select"):
        Select(axis).select_by_value("m.seed")
    shows(driver, "3 of 3 individuals have both values")
    assert errors(driver) == []


def test_cells_with_names_and_below_zero_are_drawn(engine: Path, browse: Browse) -> None:
    """Each cell has its own place, whatever its bins are: numbers in their order, gaps included, then names, then what has no bin."""

    def tell(run: spans.Run) -> None:
        finish(run, 1, "a", 0.25, cell={"depth": -2, "kind": "loop"})
        finish(run, 2, "b", 0.5, cell={"depth": 1, "kind": "recursion"})
        finish(run, 3, "c", 0.75, cell={"depth": 1})

    with stored(engine, "named", told_of("named", tell)) as client:
        driver = browse(page(client, "named"))
    tab(driver, "Yields")
    shows(driver, "Filled cells: 3")
    Select(driver.find_element(By.XPATH, "//label[contains(., 'across')]/select")).select_by_visible_text("depth")
    drawn = "return [...document.querySelectorAll('.cells ' + arguments[0])].map((each) => each.textContent)"
    names = ["depth -2, kind loop", "depth 1, kind recursion", "depth 1, kind –"]
    eventually(lambda: {each.partition(":")[0] for each in driver.execute_script(drawn, "rect")} == set(names))
    ticks = driver.execute_script(drawn, "text")
    assert ticks[:4] == ["-2", "-1", "0", "1"] and sorted(ticks[4:]) == ["loop", "recursion", "–"]
    places = driver.execute_script(
        "return [...document.querySelectorAll('.cells rect')].map((each) => each.getAttribute('x') + ' ' + each.getAttribute('y'))"
    )
    assert len(set(places)) == 3
    assert errors(driver) == []


def test_a_child_of_a_copy_is_compared_with_its_original(engine: Path, browse: Browse) -> None:
    """As on the best path: a copy has no score of its own. Nor is it an individual that finished."""

    def tell(run: spans.Run) -> None:
        finish(run, 1, "seed", 0.5)
        for at in range(2, 42, 2):
            finish(run, at, f"copy {at}", 0.5, "seed", "migration")
            finish(run, at + 1, f"child {at}", 0.75, f"copy {at}")

    with stored(engine, "copied", told_of("copied", tell)) as client:
        driver = browse(page(client, "copied"))
    driver.get(driver.current_url.partition("#")[0] + "#/run/copied/metrics?y=gain")
    shows(driver, "20 of 21 individuals have both values")
    tab(driver, "Yields")
    driver.execute_script("document.querySelector('.plot details').open = true")
    row = "return document.querySelector('.plot .as-table tbody tr')?.innerText"
    assert eventually(lambda: driver.execute_script(row)).split() == ["21", "100", "100"]
    tab(driver, "Overview")
    driver.execute_script("for (const each of document.querySelectorAll('.plot details')) each.open = true")
    finished = (
        "return [...document.querySelectorAll('.plot table')].filter((each) => each.innerText.includes('individuals per'))"
        ".flatMap((each) => [...each.querySelectorAll('tbody tr')].slice(0, -1).map((row) => +row.cells[1].innerText))"
    )
    assert sum(eventually(lambda: driver.execute_script(finished))) == 21


def test_who_has_children(searches: Client, engine: Path, browse: Browse) -> None:
    """A second parent has them, too, as in the query `prolific_parents`, and a copy is none."""
    counts = "return Object.fromEntries([...document.querySelectorAll('.view tbody tr')].map((row) => [row.cells[1].innerText, row.cells[6].innerText]))"
    driver = browse(page(searches, RUN))
    tab(driver, "Individuals")
    told = driver.execute_script(counts)
    named = {fact.id: sum(fact.id in each.parents for each in FACTS) for fact in FACTS}
    assert told == {name: str(count) for name, count in named.items()}
    assert named["seed_b"] == 2

    def tell(run: spans.Run) -> None:
        finish(run, 1, "seed", 0.5)
        finish(run, 2, "copy", 0.5, "seed", "migration")
        finish(run, 3, "child", 0.75, "seed")

    with stored(engine, "parents", told_of("parents", tell)) as client:
        driver = browse(page(client, "parents"))
    choose(driver, "seed")
    assert "Children: 1, copies: 1" in part(driver, "Family")


def test_an_evaluation_that_a_run_left_behind_does_not_go_on(engine: Path, browse: Browse) -> None:
    """When its process was killed, its end is not known: the run has ended, and it kept no worker busy until then."""

    def tell(run: spans.Run) -> None:
        spans.individual("killed", generation=0, run=run, start_time=BEGAN).evaluation("job", start_time=BEGAN)
        one = spans.individual("one", generation=0, run=run, start_time=BEGAN)
        one.evaluation("ended", start_time=BEGAN + 10 * SECOND).end(BEGAN + 50 * SECOND)
        finish(run, 90, "late", 0.5)

    with stored(engine, "left", told_of("left", tell)) as client:
        driver = browse(page(client, "left"))
    tab(driver, "Timeline")
    shows(driver, "2 evaluations in 1 lane, busy for at least 80 % of the time")
    driver.execute_script("document.querySelector('.view details').open = true")
    shows(driver, "no end known")
    assert "goes on" not in says(driver, ".view")


def test_a_report_in_a_background_tab_is_read(searches: Client, browse: Browse) -> None:
    """What a browser opens without showing it is there when it is shown: a file does not wait for news."""
    driver = browse(page(searches, RUN))
    hidden = "Object.defineProperty(Document.prototype, 'hidden', { get: () => true });"
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hidden})
    for view in ("metrics", "calls"):
        driver.execute_script("location.hash = arguments[0]", f"#/run/{RUN}/{view}")
        driver.refresh()
        assert driver.execute_script("return document.hidden")
        eventually(lambda: says(driver, ".view") and READING not in says(driver, ".view"))


def test_the_command_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the store process, given a prefix of an id; the path goes to standard output, progress to standard error."""
    folder = tmp_path / "store"
    fill(folder, search_spans())
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb://{folder}")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(application(), ["report", RUN[:12], "--top", "1"])
    assert (done.exit_code, done.stdout) == (0, f"genesis-{RUN}.html\n") and "Reading" in done.stderr
    text = (tmp_path / f"genesis-{RUN}.html").read_text()
    assert TASK in text and next(iter(data_of(text)["individuals"])) == BEST
    assert list(tmp_path.glob(".genesis-*")) == []


def test_the_command_explains_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown run, and a folder that does not exist: a line, an exit code, no file and no traceback."""
    folder = tmp_path / "store"
    fill(folder, search_spans())
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb://{folder}")
    monkeypatch.chdir(tmp_path)
    none = CliRunner().invoke(application(), ["report", "nosuch"])
    assert none.exit_code != 0 and "no run or task is named 'nosuch'" in none.stderr
    nowhere = CliRunner().invoke(application(), ["report", RUN, "-o", str(tmp_path / "missing" / "r.html")])
    assert nowhere.exit_code == 2 and nowhere.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in none.stderr + nowhere.stderr and list(tmp_path.glob("*.html")) == []


def test_a_run_that_is_not_there(store: Client) -> None:
    """The error names its id."""
    with pytest.raises(LookupError, match="none"):
        page(store, "none")
