"""What is logged: once, from time to time, or at both ends of a trouble; and never what a URL hides."""

from __future__ import annotations

import itertools
import logging
import queue
import re
import threading

import pytest

from genesis_otel import _log
from genesis_otel._urls import Url, UrlError, hidden, shown, split

SECRET = "s3cr"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was said yet."""
    monkeypatch.setattr(_log, "_said", {})


def passwords() -> list[str]:
    """Every way to put the characters that URLs are made of into a password."""
    special = [*"/#?@:[]&;%", "", "/@", "@/"]
    return [f"{SECRET}{a}{SECRET}{b}{SECRET}" for a, b in itertools.product(special, special)]


@pytest.mark.parametrize("password", passwords())
def test_a_password_is_read_or_refused_and_never_shown(password: str) -> None:
    """It is taken as it is where no other reading is possible; else what is asked for is percent-encoding. Either way, neither
    the URL as it is shown, nor a text that holds it, nor the refusal has a piece of it."""
    url = f"http://user:{password}@host:8123/db"
    assert SECRET not in shown(url) and shown(url).endswith("@host:8123/db")
    assert SECRET not in hidden(f"HTTPConnection to ({url}) failed") and SECRET not in hidden(url)
    if re.match(r"[^/?#]*@[^\[\]@:/?#]+[/?#]", password):
        # What stands behind its first "@" may be the host as well.
        with pytest.raises(UrlError, match="percent-encode") as refused:
            split(url)
        assert SECRET not in str(refused.value)
    else:
        assert split(url) == Url("http", "user", password, "host", 8123, "/db")


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("http://t0k3n@host/x", "http://***@host/x"),
        ("https://user:p%40@[::1]:8443/db", "https://user:***@[::1]:8443/db"),
        ("http://h:8123/db?user=u&password=hunter2&x=1", "http://h:8123/db?user=u&password=***&x=1"),
        ("http://host:8123/db", "http://host:8123/db"),
        ("http://user:@host", "http://user:***@host"),
        ("http://:hunter2@host", "http://:***@host"),
        ("chdb:///srv/a@b", "chdb://***@b"),
    ],
)
def test_what_is_shown_of_a_url(url: str, is_shown: str) -> None:
    """The name of a user with a password stays; what stands alone before the @ may be a token, and does not."""
    assert shown(url) == is_shown


@pytest.mark.parametrize(
    "url",
    ["http://u:12/34@h", "http://u:p@s/s@h", "http://h/db@x", "h:8123", "http://", "http://h:99999", "http://h:x"],
)
def test_what_cannot_be_read_or_in_two_ways(url: str) -> None:
    """It is refused, and nothing of it is repeated."""
    with pytest.raises(UrlError) as refused:
        split(url)
    assert not any(piece in str(refused.value) for piece in ("34", "s@h", "db@x", "8123", "99999"))


def test_an_error_on_one_line() -> None:
    """The first line, without passwords, bounded; the class where there is no text."""
    assert _log.first_line(ValueError("to http://u:hunter2@h failed\nTraceback")) == "to http://u:***@h failed"
    assert _log.first_line(KeyError()) == "KeyError"
    assert len(_log.first_line(ValueError("x" * 10_000))) == _log.LINE


def test_once_and_from_time_to_time(caplog: pytest.LogCaptureFixture) -> None:
    """A name is due once; with a time, again when that is over; threads and other names are not in each other's way."""
    assert [_log.due("a"), _log.due("a"), _log.due("b"), _log.due("c", 0), _log.due("c", 0)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    for _ in range(3):
        _log.warn_once("name", "said %d", 1)
    assert caplog.messages == ["said 1"]


def test_trouble_is_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """One when it begins, another when its kind changes, one when it is over; none where there was none."""
    trouble = _log.Trouble(logging.getLogger("genesis_otel"))
    trouble.ends("nothing")
    for _ in range(5):
        trouble.begins("outage", "away")
    trouble.begins("settings", "wrong")
    trouble.ends("back")
    trouble.ends("back")
    assert caplog.messages == ["away", "wrong", "back"]


def test_a_library_is_quiet_in_this_thread_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What a library logs of our attempts is not said; what it logs for others is."""
    logger = logging.getLogger("a.library")
    with _log.quiet("a.library"):
        logger.warning("ours")
        thread = threading.Thread(target=logger.warning, args=("theirs",))
        thread.start()
        thread.join()
    logger.warning("later")
    assert caplog.messages == ["theirs", "later"]


def test_waiting_is_said_when_it_takes_long() -> None:
    """What is waited for, and how long at most; nothing where it went fast."""
    logger = logging.getLogger("genesis_otel.test_waiting")
    said: queue.Queue[str] = queue.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: said.put(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with _log.waiting(logger, "somebody who is fast", 10, after=60):
            pass
        with _log.waiting(logger, "the store", 10, after=0.01):
            assert said.get(timeout=30) == "waiting for the store, 10 s at most"
    finally:
        logger.removeHandler(handler)
    assert said.empty()
