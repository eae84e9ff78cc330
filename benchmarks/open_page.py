"""Memory of the browser and of the page's server when a page is left open during a search.

Run: python benchmarks/open_page.py [--minutes N] [--every SECONDS] [--pace N]. Prints a line per sample (individuals and calls shown, the
page's heap after a garbage collection, its DOM nodes, resident memory of the page's server and of the store process) and finally how much
each grew per hour and per individual, over the second half, when caches are full.

The search is the demo's (OpenEvolve, a simulated model that answers ``pace`` times slower than in the demo); the page is the real command's,
in headless Chromium, on one tab after another, as for somebody who looks at it now and then. The page keeps every individual and call, so
its heap should grow only by what each of them takes; the server keeps none of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from genesis_otel._serve import client as store_process  # noqa: E402
from tests.support.browser import eventually, open_browser  # noqa: E402

SEARCH = (
    "import sys; from genesis_otel.demo.search import run_demo; run_demo(iterations=1_000_000, pace=float(sys.argv[1]))"
)
TABS = 14
"""The page's tabs, visited one after another."""


class Sample(NamedTuple):
    """One sample; memory in MB."""

    seconds: float
    individuals: int
    calls: int
    heap: float
    nodes: int
    server: float
    store: float


@contextlib.contextmanager
def running(folder: Path, *command: str, say: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run one of our commands on a data folder until the block ends."""
    environment = {**os.environ, "GENESIS_OTEL_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE if say else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        # Workers of a search that has not ended in time would start the store again.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def sample(driver: webdriver.Chrome, began: float, server: psutil.Process, store: psutil.Process) -> Sample:
    """Take a sample, after a garbage collection in the browser."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    told = {each["name"]: each["value"] for each in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    # In one step: the page may draw them anew at any time.
    shown = driver.execute_script("return document.querySelector('.head dl').innerText")
    counts = {name: re.search(rf"{name}\s+([\d,]+)", shown) for name in ("individuals", "calls")}
    individuals, calls = (int(each[1].replace(",", "")) if each else 0 for each in counts.values())
    rss = [process.memory_info().rss / 1e6 for process in (server, store)]
    return Sample(
        time.monotonic() - began, individuals, calls, told["JSHeapUsedSize"] / 1e6, int(told["Nodes"]), rss[0], rss[1]
    )


def growth(samples: list[Sample], name: str, by: str) -> float:
    """How fast one value grows with another, by least squares over the second half."""
    half = samples[len(samples) // 2 :]
    xs, ys = [getattr(each, by) for each in half], [getattr(each, name) for each in half]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


def watch(folder: Path, minutes: float, every: float, pace: float) -> list[Sample]:
    """Open the page beside the search, and sample both until the time is over."""
    with contextlib.ExitStack() as opened:
        opened.enter_context(running(folder, "-c", SEARCH, str(pace)))
        page = opened.enter_context(running(folder, "-m", "genesis_otel", "ui", "--no-open", say=True))
        assert page.stdout is not None
        address = page.stdout.readline().strip()
        driver = open_browser(folder / "browser")
        opened.callback(driver.quit)
        driver.get(address)
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, "tbody tr a:not(.narrow)"))
        driver.find_element(By.CSS_SELECTOR, "tbody tr a:not(.narrow)").click()
        eventually(lambda: driver.find_elements(By.CSS_SELECTOR, ".tabs a"))
        driver.execute_cdp_cmd("Performance.enable", {})
        store = store_process.running(folder / "store")
        assert store is not None
        began, samples = time.monotonic(), []
        for number in range(int(minutes * 60 / every)):
            driver.execute_script("document.querySelectorAll('.tabs a')[arguments[0]].click()", number % TABS)
            time.sleep(max(0.0, began + (number + 1) * every - time.monotonic()))
            samples.append(sample(driver, began, psutil.Process(page.pid), psutil.Process(store.pid)))
            print(
                "{:7.0f} s  {:7,d} individuals {:7,d} calls  heap {:6.2f} MB {:7,d} nodes  server {:6.1f} MB  store {:7.1f} MB".format(
                    *samples[-1]
                ),
                flush=True,
            )
        return samples


def main() -> None:
    """Take samples, and print the growth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=10, help="seconds between samples")
    parser.add_argument("--pace", type=float, default=3, help="how slow the simulated model is")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genesis-otel-page-", ignore_cleanup_errors=True) as made:
        samples = watch(Path(made), told.minutes, told.every, told.pace)
        print(f"heap {1e6 * growth(samples, 'heap', 'individuals'):.0f} bytes an individual with its calls")
        for name in ("heap", "nodes", "server", "store"):
            print(f"{name} {3600 * growth(samples, name, 'seconds'):+.2f} an hour")
        store_process.stop(Path(made) / "store", 30)


if __name__ == "__main__":
    main()
