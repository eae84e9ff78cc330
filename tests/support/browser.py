"""A real browser for pages of ours: Debian's Chromium, with what the reader's system prefers, and what it complained of.

In: the folder of a test. Out: drivers, each with a profile of its own. On failure: without Chromium the test is skipped, and says so;
in CI it fails. axe-core comes from npm; where that cannot be reached, its test is skipped, as the build of the page is not compared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

PAGE = Path(__file__).resolve().parents[2] / "page"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,900"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def open_browser(profile: Path, *, dark: bool = False, phone: bool = False) -> WebDriver:
    """A browser that shows nothing yet."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        missing = "tests of pages need Debian's packages chromium and chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    scheme(driver, dark=dark)
    if phone:
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    return driver


def scheme(driver: WebDriver, *, dark: bool) -> None:
    """What the reader's system prefers."""
    preferred = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preferred]})


def eventually(what: Callable[[], Any]) -> Any:
    """What comes true within some seconds: browsers draw when they like."""
    deadline = time.monotonic() + 60
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found, "what was waited for did not come"
    return found


def errors(driver: WebDriver) -> list[str]:
    """What the browser complained of, refused scripts included."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def axe() -> str:
    """The script of axe-core, which finds what keeps a page from being used without a mouse or with a screen reader."""
    script = PAGE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists() and shutil.which("npm"):
        subprocess.run(["npm", "ci", "--ignore-scripts", "--silent"], cwd=PAGE, capture_output=True, check=False)
    if not script.exists():
        pytest.skip("axe-core needs npm and its registry")
    return script.read_text(encoding="utf-8")


def barriers(driver: WebDriver, script: str) -> list[str]:
    """What axe-core finds on the page as it is shown, serious and critical: the rule, the element, and why."""
    driver.execute_script(script)
    found = driver.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations), (error) => done([String(error)]))"
    )
    assert all(isinstance(each, dict) for each in found), found
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
