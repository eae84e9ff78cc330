"""The live page of a data folder, through the real command, for tests: its addresses, its data, and what a browser shows of it."""

from __future__ import annotations

import contextlib
import http.client
import json
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.support.browser import eventually

HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">\u202e\x00<b>"
HEADLESS = "run_without_a_beginning"


class Answer(NamedTuple):
    """A response of the server."""

    status: int
    headers: Message
    text: str


class Page(NamedTuple):
    """The page of a data folder, at the URL that the command prints."""

    address: str
    port: int
    token: str
    folder: Path

    def ask(self, path: str, *, cookie: str | None = None, **headers: str) -> Answer:
        """A request as made by a browser with the cookie."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            known = self.token if cookie is None else cookie
            connection.request("GET", path, headers={"Cookie": f"genesis_otel_ui_{self.port}={known}", **headers})
            told = connection.getresponse()
            return Answer(told.status, told.headers, told.read().decode())

    def json(self, path: str) -> Any:
        """The data of an API path."""
        return json.loads(self.ask(path).text)

    def at(self, place: str) -> str:
        """The URL of a view."""
        return f"http://127.0.0.1:{self.port}/{place}"


def texts(driver: WebDriver, selector: str) -> list[str]:
    """The texts of the elements that match a selector."""
    while True:
        # The page may replace an element between the moment it is found and the moment it is read.
        with contextlib.suppress(StaleElementReferenceException):
            return [each.text for each in driver.find_elements(By.CSS_SELECTOR, selector)]


def facts(driver: WebDriver) -> dict[str, str]:
    """What stands at the top of a run, in one step, because what is redrawn meanwhile is another element."""
    told: dict[str, str] = driver.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.head dt')].map((each) => [each.innerText, each.nextSibling.innerText]))"
    )
    return told


def shown(driver: WebDriver, title: str) -> None:
    """Wait until a tab's view has loaded its data."""
    eventually(lambda: driver.find_elements(By.XPATH, f"//a[text()='{title}'][@aria-selected='true']"))
    view = "return document.querySelector('.view').textContent"
    eventually(lambda: "Reading" not in driver.execute_script(view))
