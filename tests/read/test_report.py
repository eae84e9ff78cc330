"""The report, in a real browser: it shows the search, asks no network, and runs nothing that a prompt or a program says."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from typer.testing import CliRunner

from genesis_otel._cli.app import app
from genesis_otel.report import page
from tests.support.browser import errors, eventually, open_browser, scheme
from tests.support.dashboards import searches_in
from tests.support.searched import BEST, FACTS, GOING_ON, LINEAGE_OF_BEST, RUN, TASK, fill, search_spans

HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">{{ 7777*7777 }}${7777*7777}\u202e\x00<b>"
Browse = Callable[..., WebDriver]


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Browse]:
    """Opens a text as a page in a Chromium of its own."""
    opened: list[WebDriver] = []

    def browsed(text: str, *, dark: bool = False, phone: bool = False) -> WebDriver:
        driver = open_browser(tmp_path / f"browser{len(opened)}", dark=dark, phone=phone)
        opened.append(driver)
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(text, encoding="utf-8")
        driver.get(path.as_uri())
        return driver

    yield browsed
    for driver in opened:
        driver.quit()


def drawn(driver: WebDriver) -> int:
    """How many plots are drawn, after all of the page has been in sight."""
    plots = driver.find_elements(By.CSS_SELECTOR, ".plot")
    for plot in plots:
        driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", plot)
        eventually(functools.partial(_is_drawn, plot))
    return len(plots)


def _is_drawn(plot: WebElement) -> bool:
    return plot.get_attribute("data-drawn") == "yes"


def press(driver: WebDriver, element: WebElement) -> None:
    """A click in the middle of the screen, where nothing lies above it."""
    driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", element)
    element.click()


def asked(driver: WebDriver) -> set[str]:
    """Addresses that the page had asked for, but for itself and what lies in it; a browser's own start page is none of ours."""
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
    """Figures, every plot, the path to the best, the best program's change and prompt, the waterfall, the failure; no complaint
    of the browser, and nothing asked of a network."""
    driver = browse(page(searches, RUN, compare=[GOING_ON]))
    assert RUN in driver.title
    tiles = {
        tile.text.split("\n")[1]: tile.text.split("\n")[0]
        for tile in driver.find_elements(By.CSS_SELECTOR, ".tiles div")
    }
    assert (tiles["best score"], tiles["generations"], tiles["individuals"]) == ("0.97", "5", str(len(FACTS)))
    assert (tiles["improvements"], tiles["LLM calls"], tiles["individuals failed"]) == ("6", "11", "8 %")
    assert drawn(driver) == 8
    beside = [row.text.split() for row in driver.find_elements(By.CSS_SELECTOR, "#beside tbody tr")]
    assert [(row[0], row[1], row[2]) for row in beside] == [(RUN, "completed", "0.97"), (GOING_ON, "stalled", "0.5")]
    names = "return document.querySelector('[data-plot=trajectory]').data.map((each) => each.name)"
    for button in driver.find_elements(By.CSS_SELECTOR, ".choice button"):
        press(driver, button)
        assert GOING_ON in driver.execute_script(names)
    islands = [row.text.split() for row in driver.find_elements(By.CSS_SELECTOR, "#islands tbody tr")]
    assert [(row[0], row[1], row[2], row[-1]) for row in islands] == [("1", "7", "0", BEST), ("0", "6", "1", "three_b")]
    path = driver.execute_script("return JSON.parse(document.getElementById('data').textContent).path")
    assert path == LINEAGE_OF_BEST
    best = driver.find_element(By.CSS_SELECTOR, "details.individual")
    assert BEST in best.text and f"why {BEST} should be better" in best.text
    press(driver, best.find_element(By.CSS_SELECTOR, "details details summary"))
    assert "Improve three_best." in best.text and f"{BEST}!" in best.text
    press(driver, best.find_elements(By.CSS_SELECTOR, "details details summary")[-1])
    assert f"evaluated {BEST} ☃" in best.text
    cells = [row.text.split() for row in driver.find_elements(By.CSS_SELECTOR, "#cells tbody tr")]
    assert len(cells) == 5 and (cells[0][0], cells[0][-1]) == ("1", BEST)
    spans = driver.find_elements(By.CSS_SELECTOR, ".waterfall > div")
    assert spans[0].text.startswith("generation") and len(spans) >= 4
    assert "division by zero" in driver.find_element(By.ID, "errors").text
    press(driver, driver.find_element(By.CSS_SELECTOR, "#errors details summary"))
    assert "dividing" in driver.find_element(By.ID, "errors").text
    assert errors(driver) == [] and asked(driver) == set()


def test_a_click_on_a_point_shows_the_individual(searches: Client, browse: Browse) -> None:
    """With the mouse, on the best one's star; the axis can be changed before."""
    driver = browse(page(searches, RUN))
    drawn(driver)
    press(driver, driver.find_element(By.CSS_SELECTOR, "button[data-x=seconds]"))
    click(driver, BEST)
    assert BEST in eventually(lambda: driver.find_element(By.ID, "picked").text)


def click(driver: WebDriver, individual: str) -> None:
    """A real click on the point of an individual in the first plot."""
    plot = driver.find_element(By.CSS_SELECTOR, "[data-plot=trajectory]")
    driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", plot)
    x, y = driver.execute_script(
        "const [plot, id] = arguments, trace = plot.data.at(-1), n = trace.customdata.indexOf(id), at = plot._fullLayout;"
        "return [at.xaxis.d2p(trace.x[n]) + at._size.l - plot.clientWidth / 2, at.yaxis.d2p(trace.y[n]) + at._size.t - plot.clientHeight / 2]",
        plot,
        individual,
    )
    ActionChains(driver).move_to_element_with_offset(plot, int(x), int(y)).pause(0.3).click().perform()


def test_it_follows_light_and_dark(searches: Client, browse: Browse) -> None:
    """Page and plots have other colours where the reader's system is dark, also when it changes meanwhile."""
    driver = browse(page(searches, RUN))
    drawn(driver)

    def colors() -> tuple[str, str]:
        text = "document.querySelector('[data-plot=trajectory] .xtick text')"
        ground = "getComputedStyle(document.body).backgroundColor"
        return tuple(driver.execute_script(f"return [{ground}, {text}.style.fill]"))

    light = colors()
    scheme(driver, dark=True)
    assert all(
        a != b for a, b in zip(light, eventually(lambda: colors() if colors()[1] != light[1] else None), strict=True)
    )


def test_it_is_readable_on_a_phone(searches: Client, browse: Browse) -> None:
    """390 pixels: the page does not scroll sideways, and plots are as wide as their card."""
    driver = browse(page(searches, RUN), phone=True)
    drawn(driver)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    widths = [plot.size["width"] for plot in driver.find_elements(By.CSS_SELECTOR, ".plot .main-svg:first-of-type")]
    assert all(250 < width <= 390 for width in widths)


def test_what_prompts_and_programs_say_is_text(store: Client, browse: Browse) -> None:
    """Markup, scripts and template signs in every text of a run, ids included, are shown as they are, and nothing runs."""
    told = {"hostile": HOSTILE}
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, told_at) SELECT 'r', {hostile:String}, now64(3), 'running', now64(9)",
        parameters=told,
    )
    for number, name in enumerate(("one", "two")):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, metrics,"
            " code, is_pareto, span_id, trace_id, island) SELECT 'r', concat({name:String}, {hostile:String}), {n:Int32}, now64(3) + {n:Int32},"
            " '', {hostile:String}, {n:Int32} + 1, toJSONString(map({hostile:String}, 1)), {hostile:String}, 1, {name:String}, 't', concat({name:String}, {hostile:String})",
            parameters={**told, "name": name, "n": number},
        )
    store.command(
        "INSERT INTO llm_logs (id, run_id, individual_id, timestamp, model, operation, messages, response, execution_time, span_id, status, error)"
        " SELECT generateUUIDv4(), 'r', concat('two', {hostile:String}), now64(3), {hostile:String}, 'chat',"
        " toJSONString([map('role', {hostile:String}, 'content', {hostile:String})]), {hostile:String}, 1, s, s, {hostile:String}"
        " FROM (SELECT arrayJoin(['ok', 'error']) AS s)",
        parameters=told,
    )
    store.command(
        "INSERT INTO pareto_fronts (run_id, generation, individual_id, metrics, fitness_score)"
        " SELECT 'r', 0, {hostile:String}, toJSONString(map({hostile:String}, 1, 'b', 2)), 1",
        parameters=told,
    )
    driver = browse(page(store, "r"))
    drawn(driver)
    title = driver.title
    assert title.startswith("r –")
    assert driver.find_elements(By.CSS_SELECTOR, "main img, main b b, .plot b") == []
    for details in driver.find_elements(By.TAG_NAME, "summary"):
        driver.execute_script("arguments[0].parentElement.open = true", details)
    shown = driver.find_element(By.TAG_NAME, "main").text
    assert "{{ 7777*7777 }}${7777*7777}\\u202e\\x00<b>" in shown and "60481729" not in shown
    for button in driver.find_elements(By.CSS_SELECTOR, ".choice button"):
        press(driver, button)
    assert driver.title == title and errors(driver) == []


def test_a_script_that_got_in_would_not_run(searches: Client, browse: Browse) -> None:
    """The page's policy runs its own two scripts alone: another one in its text is refused."""
    text = page(searches, RUN).replace("<footer>", "<script>document.title = 'run'</script><footer>")
    driver = browse(text)
    assert RUN in driver.title
    assert any("Content Security Policy" in message for message in errors(driver))


def test_a_run_of_ten_thousand_individuals_is_usable(store: Client, browse: Browse) -> None:
    """The file stays below 12 MB, every plot is drawn, a click is answered; what is left out is said; the best is shown."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, task_name, start_time, status, told_at) SELECT 'big', 't', now64(3) - 86400, 'running', now64(9)"
    )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, parent_id, mutation_type, fitness_score, code, api_cost)"
        " SELECT 'big', concat('i', toString(number)), intDiv(number, 20), now64(3) - 86400 + number,"
        " if(number < 20, '', concat('i', toString(number - 20))), if(number < 20, 'init', 'mutate'),"
        " number / 10000 + sin(number) / 50, repeat(concat('x = ', toString(number), '\\n'), 2000), 0.001 FROM numbers(10000)"
    )
    store.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta)"
        " SELECT 'big', individual_id, parent_id, generation, mutation_type, timestamp, 0.001 FROM individuals WHERE parent_id != ''"
    )
    store.command(
        "INSERT INTO llm_logs (id, span_id, run_id, individual_id, generation, timestamp, model, operation, messages, response, execution_time)"
        " SELECT generateUUIDv4(), toString(number), 'big', concat('i', toString(number)), intDiv(number, 20), now64(3) - 86400 + number,"
        " 'm', 'chat', repeat('ask ', 3000), repeat('say ', 3000), 1 + number % 7 FROM numbers(10000)"
    )
    text = page(store, "big")
    assert len(text.encode()) < 12_000_000
    driver = browse(text)
    assert drawn(driver) == 5
    assert "individuals are drawn" in driver.find_element(By.ID, "trajectory").text
    assert "are left out of the tree" in driver.find_element(By.ID, "tree").text
    best = str(store.command("SELECT argMax(individual_id, fitness_score) FROM individuals"))
    assert best in driver.find_element(By.ID, "top").text
    click(driver, best)
    assert best in eventually(lambda: driver.find_element(By.ID, "picked").text)


def test_a_run_of_which_hardly_anything_is_known(store: Client, browse: Browse) -> None:
    """A run that has just begun, and one whose individuals all failed, give a page that says so."""
    store.command(
        "INSERT INTO evolution_runs_log (run_id, start_time, status, told_at) SELECT 'new', now64(3), 'running', now64(9)"
    )
    driver = browse(page(store, "new"))
    drawn(driver)
    assert "No individual has a score yet." in driver.find_element(By.ID, "top").text and errors(driver) == []
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, status, fitness_score) SELECT 'new', 'i', now64(3), 'error', nan"
    )
    driver = browse(page(store, "new"))
    drawn(driver)
    assert "100 %" in driver.find_element(By.CSS_SELECTOR, ".tiles").text and errors(driver) == []


def test_the_command_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the store process, by the beginning of an id; the path goes to standard output, progress to standard error."""
    folder = tmp_path / "store"
    fill(folder, search_spans())
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb://{folder}")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", RUN[:12], "--top", "1"])
    assert (done.exit_code, done.stdout) == (0, f"genesis-{RUN}.html\n") and "Reading" in done.stderr
    text = (tmp_path / f"genesis-{RUN}.html").read_text()
    assert TASK in text and text.count('<details class="individual"') == 1
    assert list(tmp_path.glob(".genesis-*")) == []


def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such run, and a folder that is not there: a line, an exit code, no file and no traceback."""
    folder = tmp_path / "store"
    fill(folder, search_spans())
    monkeypatch.setenv("CLICKHOUSE_URL", f"chdb://{folder}")
    monkeypatch.chdir(tmp_path)
    none = CliRunner().invoke(app, ["report", "nosuch"])
    assert none.exit_code != 0 and "no run or task is named 'nosuch'" in none.stderr
    nowhere = CliRunner().invoke(app, ["report", RUN, "-o", str(tmp_path / "missing" / "r.html")])
    assert nowhere.exit_code == 1 and nowhere.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in none.stderr + nowhere.stderr and list(tmp_path.glob("*.html")) == []


def test_a_run_that_is_not_there(store: Client) -> None:
    """Is said by its id."""
    with pytest.raises(LookupError, match="none"):
        page(store, "none")
