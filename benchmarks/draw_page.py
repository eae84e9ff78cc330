"""How long the page takes to draw each view of a large search, what that costs, and how it feels afterwards.

Run: python benchmarks/draw_page.py [--individuals N ...] [--keep FOLDER] [--only VIEW ...]. For 1,000, 10,000 and 100,000 individuals it makes
a store with two such searches (`tests/support/large_search.py`), starts the real `genesis-otel ui`, and opens each view by its address in headless Chromium.
Printed per view: seconds until it is drawn (from the navigation on; the page itself looks at every frame), seconds until it is drawn if the
search is open already; the longest task; seconds of CPU until it is drawn and quiet, of the page's own thread, of the whole browser, of the
page's server and of the store; the heap and the DOM nodes after a garbage collection; the bytes received. Then what somebody does on the tree (zoom, drag, point,
search, select): CPU of the page's thread per step, and the longest time between two frames.

Limits, with the exit code 1 if one is missed: every view drawn within 2 s for up to 10,000 individuals; the run and its tree within 3 s for more,
and no step on the tree above 100 ms of CPU. If other work delays the page, the CPU of its thread, its server and the store together counts
instead of the time until it is drawn: what one idle core would take. The load is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil
from rich.console import Console
from rich.table import Table
from selenium import webdriver

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from open_page import running  # noqa: E402

from genesis_otel._serve import client as store_process  # noqa: E402
from tests.support.browser import open_browser  # noqa: E402
from tests.support.large_search import filled  # noqa: E402

SMALL = 10_000
DRAWN, LARGE_DRAWN, STEP = 2.0, 3.0, 100.0
"""The limits: seconds up to ``SMALL`` individuals, seconds for the run and the tree of more, milliseconds of CPU for a step on the tree."""
PATIENCE = 100
QUIET = 0.6
"""Seconds without a task above 50 ms after which what belongs to a view is over."""
PAINTED = "!!find('{0}') && find('{0}').width !== 300 && {1}"
VIEWS: dict[str, tuple[str, str]] = {
    "Runs": ("#/", "rows('Runs') > 1"),
    "Run": ("#/run/{run}", "find('.view .u-wrap') && !waits()"),
    "Tree": ("#/run/{run}/tree", PAINTED.format(".tree canvas", "!waits()")),
    "Map": ("#/run/{run}/map", PAINTED.format(".plane canvas", "!waits()")),
    "Individuals": ("#/run/{run}/table", "rows('Individuals') > 50"),
    "Cells": ("#/run/{run}/yields", "find('svg.cells rect')"),
    "Islands": ("#/run/{run}/islands", "rows('Islands') > 1 && find('.u-wrap')"),
    "Metrics": ("#/run/{run}/metrics", PAINTED.format("canvas.scatter", "!waits()")),
    "Models": ("#/run/{run}/models", "rows('Models') > 1"),
    "Timeline": ("#/run/{run}/workers", PAINTED.format("canvas.timeline", "find('.as-table') && !waits()")),
    "Calls": ("#/run/{run}/calls", "rows('Calls') > 50"),
    "Code": ("#/run/{run}/story/{best}/code", "find('.pane pre.code')"),
    "Diff": ("#/run/{run}/story/{best}/changes", "find('.pane .diff .added')"),
    "Compare": ("#/compare/{run}/{other}", "find('.u-wrap')"),
}
"""Each view's address, and what is true as soon as it is drawn."""
FIRST = ("Run", "Tree")
WATCH = """
(() => {
  const find = (which) => document.querySelector(which), rows = (name) => document.querySelectorAll(`table[aria-label=${name}] tbody tr`).length;
  const waits = () => [...document.querySelectorAll(".none")].some((each) => each.textContent.startsWith("Reading")) || (find(".hint")?.textContent || "").includes("Reading");
  window.measured = { tasks: [], late: 0 };
  new PerformanceObserver((list) => { for (const each of list.getEntries()) window.measured.tasks.push([each.startTime, each.duration]); }).observe({ type: "longtask", buffered: true });
  // A frame after what was waited for is in the page, so that it is painted, too.
  window.waitFor = (is) => new Promise((done) => {
    const look = () => (is(find, rows, waits) ? requestAnimationFrame(() => setTimeout(() => done(performance.now()))) : requestAnimationFrame(look));
    look();
  });
  let before = performance.now();
  const frame = (now) => { window.measured.late = Math.max(window.measured.late, now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
})();
"""
HANDLED: dict[str, tuple[int, str]] = {
    "zoom": (
        12,
        "for (let at = 0; at < 12; at += 1) { canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: -160, clientX: x, clientY: y, cancelable: true })); await frame(); }",
    ),
    "drag": (
        12,
        "canvas.setPointerCapture = () => {}; pointer('pointerdown', 0); for (let at = 1; at < 12; at += 1) { pointer('pointermove', 9 * at); await frame(); } pointer('pointerup', 108);",
    ),
    "point": (12, "for (let at = 0; at < 12; at += 1) { pointer('pointermove', 13 * at); await frame(); }"),
    "zoom out": (
        12,
        "for (let at = 0; at < 12; at += 1) { canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: 160, clientX: x, clientY: y, cancelable: true })); await frame(); }",
    ),
    "search": (
        4,
        "const field = document.querySelector('.bar input'); for (const text of ['c', 'cr', 'cro', '']) { field.value = text; field.dispatchEvent(new Event('input', { bubbles: true })); await frame(); await frame(); }",
    ),
    "select": (
        1,
        "pointer('pointerdown', 0); pointer('pointerup', 0); await new Promise((done) => setTimeout(done, 800));",
    ),
}
"""What somebody does on the tree: the number of steps, and the script."""
HANDLE = """
const done = arguments[0], canvas = document.querySelector(".tree canvas"), box = canvas.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
const pointer = (what, by) => canvas.dispatchEvent(new PointerEvent(what, { clientX: x + by, clientY: y, pointerId: 1 }));
const handle = async () => { %s };
(async () => { await frame(); window.measured.late = 0; await handle();  await frame(); await frame(); done(window.measured.late); })();
"""

console = Console(width=160)


class Drawn(NamedTuple):
    """A view: times and CPU in seconds, the longest task in milliseconds, heap and bytes in MB, DOM nodes in thousands."""

    view: str
    seconds: float
    again: float | None
    longest: float
    thread: float
    browser: float
    server: float
    store: float
    heap: float
    nodes: float
    received: float

    @property
    def counts(self) -> float:
        """The seconds that the limit is about."""
        return min(self.seconds, self.thread + self.server + self.store)


class Opened(NamedTuple):
    """A browser beside the page's server and the store process."""

    driver: webdriver.Chrome
    address: str
    server: psutil.Process
    store: psutil.Process

    def cpu(self) -> tuple[dict[int, float], ...]:
        """Seconds of CPU of each process of the browser, of the server and of the store, by their ids."""
        driver = psutil.Process(self.driver.service.process.pid)
        return _cpu([driver, *driver.children(recursive=True)]), _cpu([self.server]), _cpu([self.store])


def _cpu(processes: Sequence[psutil.Process]) -> dict[int, float]:
    found = {}
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            found[each.pid] = times.user + times.system
    return found


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Opened]:
    """The page's server on a data folder, and a browser that has been there once."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Last, since the page would start it again.
        stack.callback(store_process.stop, folder / "store", 30)
        page = stack.enter_context(running(folder, "-m", "genesis_otel", "ui", "--no-open", say=True))
        assert page.stdout is not None
        address = page.stdout.readline().strip()
        store = store_process.running(folder / "store")
        assert store is not None, "the store process has not started"
        driver = open_browser(Path(profile))
        stack.callback(driver.quit)
        driver.set_script_timeout(PATIENCE)
        driver.get(address)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        # CPU of the page's own thread: other work on the machine does not count.
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        yield Opened(driver, address.partition("?")[0], psutil.Process(page.pid), psutil.Process(store.pid))


def drawn(page: Opened, view: str, place: str, until: str) -> Drawn:
    """Open a view by its address, as at a first visit, and wait until it is drawn."""
    page.driver.get("about:blank")
    time.sleep(0.3)
    before = page.cpu()
    page.driver.get(page.address + place)
    seconds = waited(page, until)
    tasks = quiet(page)
    # A browser replaces its processes: what one used that has ended since is not counted.
    browser, server, store = (
        sum(took - known.get(pid, 0) for pid, took in now.items())
        for now, known in zip(page.cpu(), before, strict=True)
    )
    received = page.driver.execute_script(
        "return performance.getEntries().reduce((sum, each) => sum + (each.transferSize || 0), 0)"
    )
    thread = told(page)["TaskDuration"]
    page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    kept = told(page)
    return Drawn(
        view,
        seconds,
        again(page, place, until) if "/run/" in place and view != "Run" else None,
        max(tasks, default=0),
        thread,
        browser,
        server,
        store,
        kept["JSHeapUsedSize"] / 1e6,
        kept["Nodes"] / 1e3,
        received / 1e6,
    )


def told(page: Opened) -> dict[str, float]:
    """What the browser counted since the navigation."""
    metrics = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def quiet(page: Opened) -> list[float]:
    """The tasks above 50 ms, once there are no more."""
    while True:
        tasks, now = page.driver.execute_script("return [measured.tasks, performance.now()]")
        if all(began + took + 1000 * QUIET < now for began, took in tasks):
            return [took for _, took in tasks]
        time.sleep(0.1)


def again(page: Opened, place: str, until: str) -> float:
    """Seconds until the view is drawn if the run is open on another tab."""
    elsewhere = place.split("/")[:3]
    page.driver.execute_script("location.hash = arguments[0]", "/".join([*elsewhere, "events"]))
    waited(page, "rows('Events') > 0 || find('.hint')")
    quiet(page)
    return waited(page, until, "const began = performance.now(); location.hash = arguments[0];", place)


def waited(page: Opened, until: str, first: str = "const began = 0;", *arguments: str) -> float:
    """Seconds until this is true, since the navigation or since what is done ``first``. It is not passed as text: the page's policy
    forbids its evaluation."""
    return float(
        page.driver.execute_async_script(
            f"const done = arguments[arguments.length - 1]; {first}"
            f"setTimeout(() => waitFor((find, rows, waits) => {until}).then((now) => done((now - began) / 1000)))",
            *arguments,
        )
    )


def handled(page: Opened, run: str) -> dict[str, tuple[float, float]]:
    """While somebody handles the tree: CPU of the page's thread per step, and the longest time between two frames, in milliseconds."""
    place, until = VIEWS["Tree"]
    page.driver.get("about:blank")
    page.driver.get(page.address + place.format(run=run))
    waited(page, until)
    quiet(page)
    found = {}
    for name, (steps, script) in HANDLED.items():
        before = told(page)["TaskDuration"]
        late = page.driver.execute_async_script(HANDLE % script)
        found[name] = (1000 * (told(page)["TaskDuration"] - before) / steps, late)
    return found


def measured(folder: Path, individuals: int, only: Sequence[str]) -> list[str]:
    """Measure a search of this size; return the limits that it misses."""
    run, other = filled(folder / "store", individuals)
    missed = []
    with opened(folder) as page:
        best = best_of(page, run)
        table = Table(title=f"{individuals:,} individuals, load {os.getloadavg()[0]:.1f}")
        table.add_column("view")
        for head in (
            "drawn s",
            "again s",
            "longest ms",
            "thread s",
            "browser s",
            "server s",
            "store s",
            "heap MB",
            "k nodes",
            "received MB",
        ):
            table.add_column(head, justify="right")
        for view, (place, until) in VIEWS.items():
            if only and view not in only:
                continue
            found = drawn(page, view, place.format(run=quote(run), other=quote(other), best=best), until)
            table.add_row(
                view, *("" if each is None else f"{each:,.2f}" if each < 100 else f"{each:,.0f}" for each in found[1:])
            )
            limit = DRAWN if individuals <= SMALL else LARGE_DRAWN if view in FIRST else None
            if limit is not None and found.counts > limit:
                missed.append(f"{view} of {individuals:,}: {found.counts:.2f} s of {limit:.0f}")
        console.print(table)
        steps = handled(page, run)
        console.print(
            "a step on the tree, CPU and longest time between frames in ms: "
            + ", ".join(f"{name} {cpu:.0f} ({late:.0f})" for name, (cpu, late) in steps.items())
        )
        missed += [
            f"{name} on the tree of {individuals:,}: {cpu:.0f} ms of {STEP:.0f}"
            for name, (cpu, _) in steps.items()
            if cpu > STEP
        ]
    return missed


def best_of(page: Opened, run: str) -> str:
    """The id of the best individual, from the page's own data."""
    return str(
        page.driver.execute_async_script(
            "fetch('/api/run?run=' + arguments[0]).then((answer) => answer.json()).then((told) => arguments[1](told.best_individual))",
            run,
        )
    )


def main() -> None:
    """Measure each size, and compare with the limits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--individuals", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--keep", type=Path, help="keep the stores in this folder; one of another schema is made anew")
    parser.add_argument("--only", nargs="+", choices=list(VIEWS), default=[], help="only these views")
    asked = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="genesis-otel-page-") as made:
        for individuals in asked.individuals:
            missed += measured((asked.keep or Path(made)) / str(individuals), individuals, asked.only)
    for each in missed:
        console.print(f"[red]missed[/] {each}")
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
