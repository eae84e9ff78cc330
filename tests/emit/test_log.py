"""Log lines: once, periodically, or at the beginning and the end of a problem; and never the secrets of a URL."""

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
    """Nothing has been logged yet."""
    monkeypatch.setattr(_log, "_said", {})


def passwords() -> list[str]:
    """Every arrangement of the characters with a meaning in URLs, as a password."""
    special = [*"/#?@:[]&;%", "", "/@", "@/"]
    return [f"{SECRET}{a}{SECRET}{b}{SECRET}" for a, b in itertools.product(special, special)]


@pytest.mark.parametrize("password", passwords())
def test_a_password_is_read_or_refused_and_never_shown(password: str) -> None:
    """It is accepted if no other reading is possible; otherwise the error asks for percent-encoding. Either way,
    neither the displayed URL, nor a text that contains it, nor the error has any part of it."""
    url = f"http://user:{password}@host:8123/db"
    assert SECRET not in shown(url) and shown(url).endswith("@host:8123/db")
    assert SECRET not in hidden(f"HTTPConnection to ({url}) failed") and SECRET not in hidden(url)
    if re.match(r"[^/?#]*@[^\[\]@:/?#]+[/?#]", password):
        # The text after its first "@" might also be the host.
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
def test_which_parts_of_a_url_are_shown(url: str, is_shown: str) -> None:
    """A user name with a password is shown; a text alone before the @ may be a token, and is not shown."""
    assert shown(url) == is_shown


@pytest.mark.parametrize(
    "url",
    ["http://u:12/34@h", "http://u:p@s/s@h", "http://h/db@x", "h:8123", "http://", "http://h:99999", "http://h:x"],
)
def test_an_unreadable_or_ambiguous_url_is_refused(url: str) -> None:
    """It is refused, and no part of it is repeated."""
    with pytest.raises(UrlError) as refused:
        split(url)
    assert not any(piece in str(refused.value) for piece in ("34", "s@h", "db@x", "8123", "99999"))


def test_an_error_on_one_line() -> None:
    """The first line, without passwords and truncated; the class if there is no text."""
    assert _log.first_line(ValueError("to http://u:hunter2@h failed\nTraceback")) == "to http://u:***@h failed"
    assert _log.first_line(KeyError()) == "KeyError"
    assert len(_log.first_line(ValueError("x" * 10_000))) == _log.LINE


def test_once_and_periodically(caplog: pytest.LogCaptureFixture) -> None:
    """A name is due once; with an interval, again after it; threads and other names do not affect each other."""
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


def test_a_problem_logs_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it begins, another when its kind changes, one when it is over; none without a problem."""
    trouble = _log.Trouble(logging.getLogger("genesis_otel"))
    trouble.ends("nothing")
    for _ in range(5):
        trouble.begins("outage", "away")
    trouble.begins("settings", "wrong")
    trouble.ends("back")
    trouble.ends("back")
    assert caplog.messages == ["away", "wrong", "back"]


def test_a_library_is_quiet_in_this_thread_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What a library logs about our attempts is suppressed; what it logs for others is not."""
    logger = logging.getLogger("a.library")
    with _log.quiet("a.library"):
        logger.warning("ours")
        thread = threading.Thread(target=logger.warning, args=("theirs",))
        thread.start()
        thread.join()
    logger.warning("later")
    assert caplog.messages == ["theirs", "later"]


def test_a_long_wait_is_logged() -> None:
    """The line says what is waited for, and the limit; nothing is logged if it was fast."""
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
