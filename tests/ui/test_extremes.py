"""What is drawn of searches with extreme, unknown and odd values, in a browser, compared with what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from genesis_otel import spans
from tests.support.browser import eventually
from tests.support.live_page import Page, facts, shown, texts
from tests.support.searched import RUN, SECOND, fill
from tests.ui.test_changes import recorded

Browse = Callable[..., WebDriver]

WRITTEN = (
    "window.written = []; const write = CanvasRenderingContext2D.prototype.fillText;"
    "CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { window.written.push(text); return write.call(this, text, ...at); };"
)
"""Keeps the texts that are written on canvases."""

TALL = """
const [red, green, blue] = arguments[1], canvas = document.querySelector(arguments[0]);
if (!canvas || canvas.width < 200) return 0;
const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const { data, width, height } = copy.getImageData(0, 0, canvas.width, canvas.height), rows = [];
for (let at = 0; at < data.length; at += 4)
  if (data[at + 3] > 200 && Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 30) rows.push(Math.floor(at / 4 / width));
return rows.length ? (rows[rows.length - 1] - rows[0]) / height : 0;
"""
"""Over which share of its height a canvas has pixels of a colour."""
GOLD = (217, 154, 0)


def told(
    run: spans.Run,
    name: str,
    finished: int,
    *,
    parents: Sequence[str] = (),
    how: str = "diff",
    generation: int = 0,
    model: str = "",
    tokens: int = 10,
    **record: Any,
) -> None:
    """Record an individual that took a second, with a call of half a second if a model made it."""
    began = finished - SECOND
    one = spans.individual(name, parents=parents, mutation_type=how, generation=generation, run=run, start_time=began)
    if model:
        call = one.llm_call(model, messages="Improve.", start_time=began)
        call.response("Done.", input_tokens=tokens, output_tokens=tokens, cost=0.01)
        call.end(began + SECOND // 2)
    one.record(**record)
    one.end(finished)


def search(page: Page, run_id: str, tell: Callable[[spans.Run, int], None], **how: Any) -> None:
    """Store a run that has ended, of what ``tell`` records."""
    fill(page.folder / "store", recorded(run_id, tell, ends=True, **how))


def cells(driver: WebDriver, label: str) -> list[list[str]]:
    """The texts of a table, row by row, with its head."""
    found: list[list[str]] = driver.execute_script(
        "for (const each of document.querySelectorAll('.as-table')) each.open = true;"
        "const table = document.querySelector(`table[aria-label='${arguments[0]}']`);"
        "return table ? [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent)) : []",
        label,
    )
    return found


def column(driver: WebDriver, label: str, name: str) -> list[str]:
    """A column of a table once it is there."""
    head, *rows = eventually(lambda: cells(driver, label))
    at = [each.rstrip(" ↓↑") for each in head].index(name)
    return [row[at] for row in rows]


def test_whole_numbers_are_exact(page: Page, browse: Browse) -> None:
    """Tokens, individuals and metrics above a million are shown to the last digit, in tables, on axes and in the heat map."""

    def large(run: spans.Run, began: int) -> None:
        for number in range(3):
            metrics = {"count": 10_000_001 + number, "part": 1234567.891}
            parents = (f"n{number - 1}",) if number else ()
            told(
                run,
                f"n{number}",
                began + number * SECOND,
                parents=parents,
                generation=number,
                model="m",
                tokens=1_234_567,
                fitness=-1_000_001.0 - number,
                metrics=metrics,
            )

    search(page, "large", large, direction="min")
    driver = browse(page.address)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WRITTEN})
    driver.get(page.at("#/run/large/models"))
    assert column(driver, "Models", "tokens in") == ["3,703,701"]
    driver.get("about:blank")
    driver.get(page.at("#/run/large/metrics?x=m.count&y=m.part"))
    assert column(driver, "Individuals by two values", "count") == ["10,000,001", "10,000,002", "10,000,003"]
    assert set(column(driver, "Individuals by two values", "part")) == {"1234567.891"}
    assert {"10,000,001", "10,000,002", "10,000,003"} <= set(driver.execute_script("return window.written"))
    assert "score -1,000,001 -1,000,003" in " ".join(texts(driver, ".tools .kind")).replace("\n", " ")


@pytest.mark.parametrize(("name", "power"), [("huge", 308), ("tiny", -300)])
def test_scores_of_any_size_are_drawn(page: Page, browse: Browse, name: str, power: int) -> None:
    """Of 1e308 and of 1e-300, the course, a metric, the list's curve and a comparison are drawn over their height, with axes that say so."""
    scores = [-1.5, 1.0, 1.7] if power > 0 else [1.0, 2.0, 3.0]

    def extreme(run: spans.Run, began: int) -> None:
        for number, score in enumerate(scores):
            value = float(f"{score}e{power}")
            parents = (f"n{number - 1}",) if number else ()
            told(
                run,
                f"n{number}",
                began + number * SECOND,
                parents=parents,
                model="m",
                fitness=value,
                metrics={"m": value},
            )

    search(page, name, extreme)
    driver = browse(page.address)
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".spark path"))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WRITTEN})
    for place, canvas, colour in (
        (f"#/run/{name}/overview", ".plot canvas", GOLD),
        (f"#/run/{name}/metrics?x=place&y=m.m", "canvas.scatter", GOLD),
        (f"#/compare/{name}", ".plot canvas", (59, 111, 212)),
    ):
        driver.get("about:blank")
        driver.get(page.at(place))
        eventually(lambda: driver.execute_script(TALL, canvas, colour) > 0.4)  # noqa: B023
        written = driver.execute_script("return window.written")
        assert f"1{'e+' if 'scatter' in canvas and power > 0 else 'e'}{power}" in written and "Infinity" not in written
    driver.get(page.at(f"#/run/{name}/overview"))
    eventually(lambda: facts(driver).get("best") == f"{max(scores):g}e{power:+}")
    assert facts(driver).get("gain per dollar") != "Infinity"


def test_a_metric_may_have_any_name(page: Page, browse: Browse) -> None:
    """Metrics named like what each object of JavaScript has are numbers where they are known, and unknown elsewhere."""

    def odd(run: spans.Run, began: int) -> None:
        told(run, "a", began + SECOND, fitness=1.0, metrics={"plain": 1})
        told(run, "b", began + 2 * SECOND, fitness=2.0, metrics={"__proto__": 3, "constructor": 4, "plain": 2})

    search(page, "odd", odd)
    driver = browse(page.address)
    driver.get(page.at("#/run/odd/metrics?x=m.constructor&y=m.__proto__"))
    assert eventually(lambda: cells(driver, "Individuals by two values"))[1:] == [["b", "4", "3", "diff", ""]]
    assert "1 of 2 individuals have both values" in " ".join(texts(driver, ".view .hint"))
    driver.get("about:blank")
    driver.get(page.at("#/run/odd/metrics?x=toString&y=m.valueOf"))
    assert eventually(lambda: cells(driver, "Individuals by two values"))[0][1:3] == ["individuals", "score"]


@pytest.mark.parametrize("place", ["run/{run}/constructor", "run/{run}/overview/four_a/toString", "run/{run}/%E0%A4%A"])
def test_any_address_shows_the_run(page: Page, browse: Browse, place: str) -> None:
    """An unknown tab is the first one, whatever its name, and one that is not well-formed, too."""
    driver = browse(page.address)
    driver.get("about:blank")
    driver.get(page.at("#/" + place.format(run=RUN)))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".view .plot canvas"))
    assert texts(driver, ".tabs [aria-selected=true]") == ["Overview"]
    if "four_a" in place:
        eventually(lambda: texts(driver, ".parts [aria-selected=true]") == ["Changes"])


def test_a_comparison_has_each_run_once(page: Page, browse: Browse) -> None:
    """Also if the address names one by its id and by the beginning of that; of none, it says that there is nothing to compare, and what is not known
    of a run is said to be unknown."""

    def nothing(run: spans.Run, began: int) -> None:
        pass

    search(page, "nothing at all", nothing, direction="min")
    driver = browse(page.address)
    driver.get(page.at(f"#/compare/{RUN}/{RUN[:-1]}/run_without_a_beginning/nothing%20at%20all"))
    rows = {row[0]: row[1:] for row in eventually(lambda: cells(driver, "Runs side by side"))[1:]}
    assert rows["status"] == ["completed", "unknown", "completed"]
    assert rows["best"] == ["0.97", "0.97", "– (lower is better)"]
    assert rows["generations"] == ["5", "", "0"]
    driver.get("about:blank")
    driver.get(page.at("#/compare"))
    eventually(lambda: "Nothing to compare" in driver.find_element(By.TAG_NAME, "main").text)


def test_descent_counts_not_time(page: Page, browse: Browse) -> None:
    """Clocks of several machines differ: the best path begins with its seed, although that finished last; what descends from itself is in the
    tree; and a parent without a row is named."""

    def tangled(run: spans.Run, began: int) -> None:
        told(run, "seed", began + 50 * SECOND, fitness=0.1)
        told(run, "mid", began + 10 * SECOND, fitness=0.5, parents=("seed",), generation=1)
        told(run, "top", began + 20 * SECOND, fitness=0.9, parents=("mid",), generation=2)
        told(run, "orphan", began + 30 * SECOND, fitness=0.3, parents=("ghost", "mid", "phantom"), generation=2)
        told(run, "egg", began + 32 * SECOND, fitness=0.31, parents=("hen",), generation=3)
        told(run, "hen", began + 33 * SECOND, fitness=0.32, parents=("egg",), generation=3)

    search(page, "tangled", tangled)
    driver = browse(page.address)
    driver.get(page.at("#/run/tangled/story/orphan/family"))
    assert eventually(lambda: texts(driver, ".story.long li .link")) == ["seed", "mid", "top"]
    assert "From the seed to the best individual: 0.1 → 0.9." in texts(driver, ".view .hint")[0]
    assert texts(driver, ".pane li") == [
        "ghost has no row of its own",
        "orphan diff · 0.3",
        "mid diff · 0.5",
        "phantom has no row of its own",
    ]
    driver.get(page.at("#/run/tangled/tree/hen"))
    eventually(lambda: driver.execute_script(TALL, ".above", [0, 0, 0]) > 0.01)


def test_each_model_has_its_colour_or_none(page: Page, browse: Browse) -> None:
    """Of twelve models, ten have a colour; the others are drawn, too, as other models, and never in the colour of one of the ten."""

    def many(run: spans.Run, began: int) -> None:
        for number in range(12):
            told(run, f"n{number}", began + number * SECOND, model=f"model-{number:02}", fitness=number)

    search(page, "many models", many)
    driver = browse(page.address)
    driver.get(page.at("#/run/many%20models/overview"))
    head, *rows = eventually(lambda: cells(driver, "Seconds of each call"))
    assert head[-1] == "other models" and [row[-1] for row in rows].count("0.5") == 2
    driver.get(page.at("#/run/many%20models/workers"))
    eventually(lambda: "other models" in " ".join(texts(driver, ".view .kind")))
    coloured = (
        "const canvas = document.querySelector('.timeline'); if (canvas.width < 400) return 0;"
        "const copy = new OffscreenCanvas(canvas.width, 4).getContext('2d', { willReadFrequently: true }); copy.drawImage(canvas, 0, 0);"
        "const { data } = copy.getImageData(0, 0, canvas.width, 4);"
        "return new Set(new Uint32Array(data.buffer)).size"
    )
    # Eleven colours and the ground.
    eventually(lambda: driver.execute_script(coloured) >= 12)


def test_what_is_unknown_is_no_zero(page: Page, browse: Browse) -> None:
    """Of calls without a duration and without tokens, the page says neither that the search was idle nor that they had none; a failed call says that it
    failed, and a move of an unknown generation has none."""

    def vague(run: spans.Run, began: int) -> None:
        one = spans.individual("a", generation=3, run=run, start_time=began)
        one.record(fitness=1.0, island="0")
        one.end(began + SECOND)
        two = spans.individual("b", generation=3, run=run, start_time=began)
        two.record(island="2")
        two.end(began + SECOND)
        call = run.llm_call("mystery", messages="Improve.", start_time=began)
        call.response("Done.")
        call.end(began)
        run.action("migration", {"moves": [{"individual_id": "a", "from": "0", "to": "1"}]}, time=began + 2 * SECOND)

    search(page, "vague", vague)
    driver = browse(page.address)
    driver.get(page.at("#/run/vague/workers"))
    eventually(lambda: "1 call in 1 lane, how long they took is not known." in " ".join(texts(driver, ".view p")))
    driver.get(page.at("#/run/vague/overview"))
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".plot"))
    assert texts(driver, ".view h2") == ["Individuals finished"]
    assert "generations" not in facts(driver)
    driver.get(page.at("#/run/vague/models"))
    assert column(driver, "Models", "tokens in") == column(driver, "Models", "tokens out") == [""]
    driver.get(page.at("#/run/vague/calls"))
    assert column(driver, "Calls", "tokens in") == [""]
    driver.get(page.at("#/run/vague/islands"))
    assert column(driver, "Migrations", "generation") == [""]
    assert column(driver, "Islands", "best found in generation") == ["3", ""]
    driver.get(page.at("#/compare/vague/run_without_a_beginning?by=spent"))
    eventually(lambda: "more was spent than is drawn: changing vague." in " ".join(texts(driver, "p.hint")))
    driver.get("about:blank")
    driver.get(page.at("#/compare/vague/run_without_a_beginning?by=seconds"))
    eventually(lambda: "seconds are not known: run_with…" in " ".join(texts(driver, "p.hint")))


def test_a_quantity_may_have_any_name(page: Page, browse: Browse) -> None:
    """What a search knew of its models is beside their names, also if it calls something `model`, and texts are not among its numbers."""

    def choosing(run: spans.Run, began: int) -> None:
        told(run, "a", began + SECOND, fitness=1.0)
        known = {"alpha": {"model": 0.25, "kind": "text", "n": 1}, "beta": {"model": 0.75, "kind": "text", "n": 2}}
        run.action("model_selection", {"strategy": "ucb", "models": known}, time=began + SECOND)

    search(page, "choosing", choosing)
    driver = browse(page.address)
    driver.get(page.at("#/run/choosing/models"))
    head, *rows = eventually(lambda: cells(driver, "What the search knows of each model"))
    assert head == ["model", "model", "n"]
    assert rows == [["alpha", "0.25", "1"], ["beta", "0.75", "2"]]


def test_names_that_begin_alike_are_told_apart_in_pictures(page: Page, browse: Browse) -> None:
    """Islands beside the migrations, and examples beside their grid, are cut in the middle."""

    def alike(run: spans.Run, began: int) -> None:
        for number in range(2):
            scores = {f"validation_example_{each:03}": 0.5 for each in range(3)}
            told(
                run,
                f"n{number}",
                began + number * SECOND,
                parents=("n0",) if number else (),
                fitness=number,
                island=f"subpopulation_{number}",
                metrics={"scores": scores},
            )

    search(page, "alike", alike)
    driver = browse(page.address)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WRITTEN})
    driver.get("about:blank")
    driver.get(page.at("#/run/alike/islands"))
    lanes = eventually(lambda: texts(driver, ".moves g > text"))
    assert len(set(lanes)) == 2 and all(lane[-1] in "01" for lane in lanes)
    driver.get(page.at("#/run/alike/examples"))
    eventually(lambda: {text[-3:] for text in driver.execute_script("return window.written")} >= {"000", "001", "002"})


def test_nothing_is_wider_than_a_phone(page: Page, browse: Browse) -> None:
    """Whatever the length of names and errors without a space, no view scrolls sideways, and a name does not push everything else off the screen."""
    run_id, one = "r" * 400, "i" * 2_000

    def long(run: spans.Run, began: int) -> None:
        for number in range(2):
            told(
                run,
                one + str(number),
                began + number * SECOND,
                parents=(one + "0",) if number else (),
                how="m" * 300,
                model="q" * 200,
                fitness=number,
                island="s" * 200 + str(number),
                metrics={"z" * 300: number},
                cell={"f" * 200: "b" * 200, "g": 1},
                code="x" * 300_000 + str(number),
                edit_summary="w" * 3_000,
                metadata={"k" * 300: "v" * 3_000},
            )
        run.fail("E" * 3_000)

    search(page, run_id, long, task="T" * 5_000)
    driver = browse(page.address, phone=True)
    views = [
        "overview",
        "tree",
        "map",
        "table",
        "story",
        "metrics",
        "islands",
        "yields",
        "models",
        "workers",
        "calls",
        "failures",
    ]
    places = [f"#/run/{run_id}/{view}" for view in views] + [f"#/compare/{run_id}/{RUN}", "#/", "#/calls"]
    places += [
        f"#/run/{run_id}/table/{one}1/{part}" for part in ("changes", "code", "prompts", "result", "trace", "family")
    ]
    wide = []
    for place in places:
        driver.execute_script("location.hash = arguments[0]", place)
        loaded = "return document.querySelector('h1, h2') && !document.body.textContent.includes('Reading')"
        eventually(lambda: driver.execute_script(loaded))  # noqa: B023
        if driver.execute_script("return document.documentElement.scrollWidth > innerWidth + 1"):
            wide.append(place.replace(run_id, "RUN").replace(one, "ONE"))
    assert not wide
    driver.execute_script("location.hash = arguments[0]", f"#/run/{run_id}/overview")
    eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".view canvas"))
    assert driver.execute_script("return document.querySelector('.tabs').getBoundingClientRect().top") < 1_200


def test_a_search_and_an_island_stay_chosen(page: Page, browse: Browse) -> None:
    """On every tab, as the selected individual does, and in its address."""
    driver = browse(page.address)
    driver.get(page.at(f"#/run/{RUN}/tree?island=1&find=two"))
    shown(driver, "Tree")
    for tab in ("Events", "Map"):
        driver.find_element(By.XPATH, f"//nav[contains(@class, 'tabs')]/a[text()='{tab}']").click()
        shown(driver, tab)
    assert driver.find_element(By.CSS_SELECTOR, ".bar input").get_attribute("value") == "two"
    assert driver.current_url.endswith(f"#/run/{RUN}/map?find=two&island=1")
    driver.back()
    driver.back()
    shown(driver, "Tree")
    assert driver.current_url.endswith(f"#/run/{RUN}/tree?island=1&find=two")


def test_a_long_task_is_cut_in_the_middle(page: Page, browse: Browse) -> None:
    """The heading of its run has its beginning and its end, and all of it as a title."""
    task = "first " + "x" * 5_000 + " last"
    search(page, "named", lambda run, began: told(run, "a", began + SECOND, fitness=1.0), task=task)
    driver = browse(page.address)
    driver.get(page.at("#/run/named/table"))
    heading = eventually(lambda: driver.find_elements(By.TAG_NAME, "h1"))[0]
    assert heading.text.startswith("first x") and " last" in heading.text and len(heading.text) < 200
    assert heading.get_attribute("title") == task
