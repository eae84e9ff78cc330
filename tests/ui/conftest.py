"""The page on a store with a few searches, and browsers for it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.support.browser import errors, open_browser
from tests.support.environment import without_settings
from tests.support.live_page import HEADLESS, HOSTILE, Page
from tests.support.recording import attributes_of
from tests.support.searched import FACTS, GOING_ON, LATER, end_store, fill, search_spans


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page on a store with a search that ended, one that is running, one with hostile texts, and one whose start is
    missing."""
    folder = tmp_path_factory.mktemp("ui")
    hostile = tuple(fact._replace(id=f"{HOSTILE} {fact.id}", how=HOSTILE, parents=()) for fact in FACTS[:2])
    fill(
        folder / "store",
        search_spans(),
        search_spans(f"run {HOSTILE}", facts=hostile),
        search_spans(GOING_ON, ends=False, facts=LATER),
        [span for span in search_spans(HEADLESS) if attributes_of(span).get("genesis.record") == "individual"],
    )
    environment = without_settings()
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", "ui", "--no-open"],
        env={**environment, "GENESIS_OTEL_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    address = process.stdout.readline().strip()
    parts = urlsplit(address)
    assert parts.port is not None, process.stderr.read()
    yield Page(address, parts.port, parse_qs(parts.query)["token"][0], folder)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130) and "Traceback" not in said
    end_store(folder / "store")


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[..., WebDriver]]:
    """Browsers that are closed at the end and must not have logged an error."""
    opened: list[WebDriver] = []

    def browsed(address: str, **options: bool) -> WebDriver:
        opened.append(open_browser(tmp_path / f"browser{len(opened)}", **options))
        opened[-1].get(address)
        return opened[-1]

    yield browsed
    complaints = [errors(driver) for driver in opened]
    for driver in opened:
        driver.quit()
    assert not any(complaints)
