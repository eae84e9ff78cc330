"""A span counts as delivered once ClickHouse itself confirms it, whatever is in between: real store process, real client, servers on loopback."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import TracerProvider

from genesis_otel import attributes as names
from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.insert import InsertExporter
from genesis_otel._ship.spool import dead_letters
from genesis_otel._ship.spool.status import status
from genesis_otel._store.connection import connect
from genesis_otel._store.wire import retry_after
from genesis_otel.processor import DurableSpanProcessor
from tests.support.between import (
    Answer,
    Behaviour,
    Between,
    Request,
    between,
    empty,
    inserts_only,
    is_insert,
    login,
    passes,
    strips,
)
from tests.support.destinations import spooled
from tests.support.pipeline import PASSWORD, Store, free_ports
from tests.support.waiting import until

FAST = Limits(flush_interval=0.02, backoff=0.02, backoff_max=0.1)
MEMORY = Answer(200, {}, b"Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED)")
DENIED = Answer(403, {}, b"Code: 497. DB::Exception: genesis: Not enough privileges. (ACCESS_DENIED)")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store process on its own port."""
    store = Store(tmp_path_factory.mktemp("served"))
    store.start()
    yield store
    store.kill(signal.SIGTERM)


class Search:
    """A search whose spans go to its own database in the store, through whatever is in between."""

    def __init__(self, folder: Path, server: Between, database: str) -> None:
        self.folder, self.server, self.database = folder, server, database
        self.processor: DurableSpanProcessor | None = None
        self.ended = 0

    @property
    def url(self) -> str:
        return f"http://genesis:{PASSWORD}@127.0.0.1:{self.server.port}/{self.database}"

    def start(self, url: str = "", limits: Limits = FAST) -> None:
        exporter = InsertExporter(partial(connect, url or self.url, create=True))
        self.processor = DurableSpanProcessor(exporter, self.folder, limits=limits)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)

    def spooled(self, count: int) -> None:
        """Spans that have all ended before any of them is sent."""
        spooled(self.folder, *(f"span {number}" for number in range(self.ended, self.ended + count)))
        self.ended += count

    def end(self, count: int, size: int = 0) -> None:
        tracer = self.provider.get_tracer("test")
        for _ in range(count):
            tracer.start_span(f"span {self.ended}", attributes={"text": "x" * size}).end()
            self.ended += 1

    def stop(self) -> None:
        if self.processor is not None:
            self.processor.shutdown()

    def waits(self) -> int:
        return status(self.folder).waiting


@pytest.fixture
def search(served: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Search]:
    """A search behind a server that forwards everything until told otherwise."""
    with between(served.port) as server:
        made = Search(tmp_path / "spool", server, f"db_{abs(hash(request.node.name))}")
        yield made
        made.stop()


@pytest.fixture
def stored(served: Store) -> Iterator[Callable[[Search], tuple[int, int]]]:
    """The number of spans in a search's database, and of distinct ones; (0, 0) if there are none yet."""
    with contextlib.closing(connect(f"http://genesis:{PASSWORD}@127.0.0.1:{served.port}/default")) as client:

        def count(search: Search) -> tuple[int, int]:
            if not client.command(f"EXISTS TABLE {search.database}.otel_traces"):
                return 0, 0
            (row,) = client.query(f"SELECT count(), uniqExact(SpanId) FROM {search.database}.otel_traces").result_rows
            return int(row[0]), int(row[1])

        yield count


Stored = Callable[[Search], tuple[int, int]]


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def test_a_proxy_that_strips_headers(search: Search, stored: Stored, caplog: pytest.LogCaptureFixture) -> None:
    """Without the headers, a SELECT checks for the spans: all arrive, once, and one line says what the proxy does."""
    search.server.behaviour = strips
    search.start()
    for _ in range(3):
        search.end(1_000)
        until(lambda: search.waits() == 0, "the delivery")
    search.end(5_000)
    until(lambda: search.waits() == 0, "the delivery")
    assert stored(search) == (8_000, 8_000)
    (line,) = [line for line in lines(caplog) if "created the database" not in line]
    assert "strips the X-ClickHouse-* headers" in line


def test_a_lost_acknowledgement_behind_a_proxy_that_strips(search: Search, stored: Stored) -> None:
    """An insert that arrived but whose answer was lost is sent again, and stored once."""
    lost: list[bool] = []

    def loses(server: Between, request: Request) -> Answer:
        answer = strips(server, request)
        if is_insert(request) and len(lost) < 2:
            lost.append(True)
            return Answer(502)
        return answer

    search.server.behaviour = loses
    search.start()
    search.end(500)
    until(lambda: search.waits() == 0, "the delivery")
    assert len(lost) == 2 and stored(search) == (500, 500)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (login, "a web page"),
        (inserts_only(login(Between.__new__(Between), Request("", "", {}, b""))), "a web page"),
        (empty, "is not ClickHouse"),
        (inserts_only(Answer(200)), "spans are not there"),
        (inserts_only(MEMORY), "Memory limit"),
        (inserts_only(Answer(200, {"X-ClickHouse-Query-Id": "another"})), "spans are not there"),
        (inserts_only(Answer(302, {"Location": "https://h.example/x"})), "redirects to https://h.example: use that"),
        (inserts_only(Answer(202)), "HTTP status 202"),
        (inserts_only(Answer(200, {}, b'{"ok": true}')), "answered an insert with text"),
    ],
    ids=[
        "login",
        "login on inserts",
        "empty",
        "empty on inserts",
        "exception",
        "another id",
        "redirect",
        "202",
        "text",
    ],
)
def test_what_clickhouse_has_not_confirmed_is_not_delivered(
    behaviour: Behaviour, reason: str, search: Search, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """Status 200 alone proves nothing: the spans stay in the spool, the reason is logged, and later all arrive, once."""
    search.server.behaviour = behaviour
    search.start()
    search.end(50)
    until(lambda: any(reason in line for line in lines(caplog)), "the line that says why")
    assert search.waits() == 50 and stored(search)[0] == 0
    search.server.behaviour = passes
    until(lambda: search.waits() == 0, "the delivery")
    assert stored(search) == (50, 50) and dead_letters.changed(search.folder) == 0


def test_a_user_who_may_only_insert(search: Search, stored: Stored) -> None:
    """ClickHouse's own refusal of the SELECT, 497, also proves who accepted the insert."""
    search.start()
    search.end(1)
    until(lambda: search.waits() == 0, "the delivery")

    def denies(server: Between, request: Request) -> Answer:
        return DENIED if b"SELECT TraceId, SpanId" in request.body else strips(server, request)

    search.server.behaviour = denies
    search.end(100)
    until(lambda: search.waits() == 0, "the delivery")
    assert stored(search) == (101, 101)
    assert any(b"SELECT TraceId, SpanId" in request.body for request in search.server.requests)


@pytest.mark.parametrize("abrupt", [False, True], ids=["reads on", "closes"])
def test_413_splits_the_batch(abrupt: bool, search: Search, stored: Stored) -> None:
    """Behind a limit on body size a batch is split; a span that is too large by itself becomes a dead letter; the next batches fit."""
    search.server.limit, search.server.abrupt = 40_000, abrupt
    search.start(limits=Limits(flush_interval=0.5, backoff=0.02, backoff_max=0.1))
    search.end(300, 2_000)
    import random

    noise = random.Random(7)
    search.provider.get_tracer("test").start_span("large", attributes={"text": str(noise.randbytes(90_000))}).end()
    until(lambda: search.waits() == 0, "the delivery")
    assert stored(search) == (300, 300)
    (letter,) = dead_letters.buried(search.folder)
    assert "too large" in letter[1] or "413" in letter[1] or "closed the connection" in letter[1]


def test_a_wrong_password_is_reported_at_once_and_apart_from_an_outage(
    search: Search, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """A problem that somebody has to fix is logged once as an ERROR, without the password; the spans are kept and arrive later."""
    wrong = search.url.replace(PASSWORD, "s3cret-of-mine")
    search.spooled(20)
    search.start(wrong)
    until(lambda: lines(caplog, logging.ERROR), "the line")
    before = len(search.server.requests)
    until(lambda: len(search.server.requests) > before + 8, "more attempts")
    (line,) = lines(caplog)
    assert "NONE IS STORED until this is fixed" in line and "refused the user or the password" in line
    assert "20 wait" in line and "s3cret" not in caplog.text
    search.stop()
    search.start()
    until(lambda: search.waits() == 0, "the delivery")
    assert stored(search) == (20, 20)


def test_an_outage_is_two_lines(search: Search, stored: Stored, caplog: pytest.LogCaptureFixture) -> None:
    """One line when it begins, with the reason and the number of waiting spans, and one when it ends; nothing else is logged meanwhile."""
    search.start()
    search.end(5)
    until(lambda: search.waits() == 0, "the delivery")
    caplog.clear()
    port, search.server.upstream = search.server.upstream, free_ports(1)[0]
    ended = threading.Event()

    def away(server: Between, request: Request) -> Answer:
        ended.wait(60)  # what the line counts
        return Answer(502)

    search.server.behaviour = away
    search.end(7)
    ended.set()
    until(lambda: lines(caplog), "the line")
    seen = len(search.server.requests)
    until(lambda: len(search.server.requests) > seen + 6, "more attempts")
    (line,) = lines(caplog)
    assert "spans wait in" in line and "HTTP status 502" in line and "7 wait" in line
    search.server.upstream, search.server.behaviour = port, passes
    until(lambda: len(lines(caplog)) == 2, "the second line")
    assert "are being delivered again" in lines(caplog)[1]
    assert stored(search) == (12, 12)


@pytest.mark.parametrize("refused", ["everything", "inserts"])
def test_retry_after_is_respected(
    refused: str, search: Search, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """No request is made sooner than the ``Retry-After`` of a 429 allows; then all arrive, once."""
    times: list[float] = []

    def once(server: Between, request: Request) -> Answer:
        if times and not times[1:]:
            times.append(time.monotonic())
        if not times and (refused == "everything" or is_insert(request)):
            times.append(time.monotonic())
            return Answer(429, {"Retry-After": "1"}, b"Too many requests")
        return passes(server, request)

    search.server.behaviour = once
    search.spooled(5)
    search.start(limits=Limits(flush_interval=0.02, backoff=0.02, backoff_max=30.0))
    until(lambda: search.waits() == 0, "the delivery")
    assert times[1] - times[0] >= 1.0 and stored(search) == (5, 5)
    assert any("asks to be left alone for 1 s" in line for line in lines(caplog))


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, 0.0),
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, 0.0),
        ({"Retry-After": "9" * 400}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:27:15 GMT"}, 45.0),
        ({"Retry-After": "Wed, 21 Oct 99999 07:28:00 GMT", "Date": "x"}, 0.0),
    ],
)
def test_seconds_that_an_answer_asks_for(headers: dict[str, str], after: float) -> None:
    """A number, or a date by the sender's clock; anything else is ignored."""
    assert retry_after(headers) == after


def test_reading_creates_no_database(search: Search, served: Store) -> None:
    """A search's first insert creates the database and logs it; reading never creates one."""
    from genesis_otel._store.errors import MissingDatabaseError

    with pytest.raises(MissingDatabaseError, match="does not exist"):
        connect(search.url)
    with contextlib.closing(connect(f"http://genesis:{PASSWORD}@127.0.0.1:{served.port}/default")) as client:
        assert not client.command(f"EXISTS DATABASE {search.database}")


@pytest.mark.parametrize(
    ("kind", "ticks"), [("DateTime64(3)", 10**6), ("DateTime64(6, 'UTC')", 10**3), ("DateTime", 10**9)]
)
def test_a_landing_table_with_coarser_times(kind: str, ticks: int, search: Search, served: Store) -> None:
    """Nanoseconds become the column's own ticks: the times are right, and the views are filled."""
    with contextlib.closing(connect(search.url, create=True)) as client:
        made(client, kind)
        from genesis_otel._store.schema import init_schema

        init_schema(client)
        search.server.behaviour = strips
        search.start()
        began = time.time_ns()
        span = search.provider.get_tracer("genesis_otel").start_span(
            "action x",
            attributes={names.RECORD: names.RECORD_ACTION, names.RUN_ID: "run_1", names.ACTION_TYPE: "x"},
            start_time=began,
        )
        span.add_event("e", timestamp=began)
        span.end(began + 5_000_000)
        until(lambda: search.waits() == 0, "the delivery")
        ((at, event),) = client.query(
            "SELECT toUnixTimestamp64Nano(toDateTime64(Timestamp, 9)), toUnixTimestamp64Nano(toDateTime64(`Events.Timestamp`[1], 9)) "
            "FROM otel_traces"
        ).result_rows
        assert at == event == began // ticks * ticks
        ((action, late),) = client.query(
            "SELECT action_type, abs(dateDiff('second', timestamp, now())) FROM agent_actions"
        ).result_rows
        assert action == "x" and late < 3600


def made(client: Client, kind: str) -> None:
    """A foreign otel_traces whose times have a different type."""
    from genesis_otel._store.tables import statements

    create = next(iter(statements("otel_traces")))
    client.command(create.replace("DateTime64(9)", kind))
