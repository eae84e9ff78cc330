"""Before the password: what clients without one, or with a reader's, can do to a running store."""

from __future__ import annotations

import base64
import contextlib
import http.client
import resource
import select
import socket
from collections.abc import Iterator
from urllib.parse import urlencode

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genesis_otel._serve.http.login import BODY_BYTES, READER, STATEMENT_BYTES, USER
from genesis_otel._serve.http.server import CONNECTIONS, LOGIN_WITHIN, READING_THREADS
from tests.support.pipeline import PASSWORD, Store, running
from tests.support.pipeline import READER as READERS_PASSWORD
from tests.support.waiting import until

WAIT = 60.0
"""Seconds that only end a test that hangs."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running store."""
    store = Store(tmp_path_factory.mktemp("server") / "store")
    with running(store):
        yield store


def login(user: str) -> str:
    password = {USER: PASSWORD, READER: READERS_PASSWORD}.get(user, "wrong-password-here")
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


def connected(store: Store) -> socket.socket:
    return socket.create_connection(("127.0.0.1", store.port), timeout=WAIT)


def head(user: str, *lines: str, method: str = "POST", query: str = "SELECT 1") -> bytes:
    wanted = "".join(f"{line}\r\n" for line in lines)
    return f"{method} /?{urlencode({'query': query})} HTTP/1.1\r\nHost: x\r\n{login(user)}{wanted}\r\n".encode()


def answer(connection: socket.socket) -> tuple[int, str]:
    """The status and the exception's code."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    code = response.headers.get("X-ClickHouse-Exception-Code", "")
    response.read()
    return response.status, code


def answers(store: Store, user: str, query: str = "SELECT 1") -> tuple[int, str]:
    with connected(store) as connection:
        connection.sendall(head(user, "Content-Length: 0", query=query))
        return answer(connection)


@pytest.mark.parametrize(
    "body", ["Content-Length: 200000000", "Transfer-Encoding: chunked", "Content-Length: 9\r\nExpect: 100-continue"]
)
def test_headers_are_checked_before_the_body(served: Store, body: str) -> None:
    """A client without a password is refused as soon as its headers have arrived, whatever body they announce, and is asked for none of it."""
    with connected(served) as connection:
        connection.sendall(head("nobody", body))
        assert answer(connection) == (403, "516")
        connection.settimeout(WAIT)
        assert connection.recv(1) == b""  # and the connection ends


def test_a_refusal_arrives_while_the_body_is_sent(served: Store) -> None:
    """A client that sends its body without looking gets ClickHouse's answer, and not a broken connection."""
    with connected(served) as connection:
        connection.sendall(head("nobody", "Content-Length: 4000000") + b"x" * 4_000_000)
        assert answer(connection) == (403, "516")


def test_a_stranger_stores_nothing(served: Store) -> None:
    """What three connections without a password send takes neither memory nor space in the folder for temporary files."""
    assert served.process is not None
    process = psutil.Process(served.process.pid)
    answers(served, USER)
    before = process.memory_info().rss
    temporary = served.folder / "tmp"
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(connected(served))
            with contextlib.suppress(OSError):
                connection.sendall(head("nobody", f"Content-Length: {200 << 20}"))
                for _ in range(64):
                    connection.sendall(b"x" * (1 << 20))
        assert sum(each.stat().st_size for each in temporary.iterdir()) == 0
        assert process.memory_info().rss - before < 64 << 20
    assert answers(served, USER) == (200, "")


@pytest.mark.parametrize("user", [USER, READER])
def test_a_body_is_limited_by_its_senders_rights(served: Store, user: str) -> None:
    """The owner's batches may be larger than a reader's statements; anything larger is refused unread, with ClickHouse's code."""
    most = {USER: BODY_BYTES, READER: STATEMENT_BYTES}[user]
    with connected(served) as connection:
        connection.sendall(head(user, f"Content-Length: {most + 1}"))
        assert answer(connection) == (500, "307")


def test_a_readers_chunks_are_counted(served: Store) -> None:
    """A body of undeclared length is cut off at its sender's limit."""
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with connected(served) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head(READER, "Transfer-Encoding: chunked"))
            for _ in range((STATEMENT_BYTES >> 20) + 4):
                connection.sendall(chunk)
        assert answer(connection) == (500, "307")


def test_silent_connections_block_no_one(served: Store) -> None:
    """A thousand connections, half of them in the middle of their headers: readers and writers are answered at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with contextlib.ExitStack() as stack:
            for number in range(1000):
                connection = stack.enter_context(connected(served))
                if number % 2:
                    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
            assert answers(served, READER) == (200, "")
            assert answers(served, USER, "SELECT 2") == (200, "")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_readers_connections_do_not_block_writers(served: Store) -> None:
    """With the maximum number of connections all waiting under the reader's password, the owner is answered."""
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(connected(served))
            connection.sendall(head(READER, "Content-Length: 0"))
        assert answers(served, USER) == (200, "")
        assert answers(served, READER) == (200, "")


def test_slow_readers_do_not_delay_inserts(served: Store) -> None:
    """While more readers wait for answers than there are threads for them, an insert succeeds."""
    with contextlib.closing(served.client()) as client:
        client.command("CREATE TABLE IF NOT EXISTS put (n UInt64) ENGINE = MergeTree ORDER BY n")
    slow = "SELECT sum(sleepEachRow(1)) FROM numbers(10) SETTINGS max_block_size = 1"
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connected(served)) for _ in range(READING_THREADS + 4)]
        for reader in readers:
            reader.sendall(head(READER, "Content-Length: 0", query=slow))
        with connected(served) as connection:
            connection.sendall(head(USER, "Content-Length: 2", query="INSERT INTO put FORMAT TSV") + b"7\n")
            assert answer(connection) == (200, "")
        assert select.select(readers, [], [], 0)[0] == []


ENDLESS = "SELECT count() FROM numbers(10000000000000) WHERE NOT ignore(sipHash64(number)) SETTINGS max_threads = 1"


@pytest.mark.parametrize("user", [READER, USER])
def test_statements_of_clients_that_hang_up_end(served: Store, user: str) -> None:
    """More clients than there are threads ask what takes forever, and hang up: the next one is answered, and the engine does nothing more."""
    with contextlib.ExitStack() as stack:
        for each in [stack.enter_context(connected(served)) for _ in range(READING_THREADS + 4)]:
            each.sendall(head(user, "Content-Length: 0", query=ENDLESS))
    assert answers(served, user) == (200, "")
    running_ones = (
        "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%processes%'"
    )
    assert served.count(running_ones) == 0


def test_an_answer_is_sent_to_a_client_that_only_listens(served: Store) -> None:
    """A client may end its side of the connection as soon as it has sent its request."""
    with connected(served) as connection:
        connection.sendall(head(READER, "Content-Length: 0"))
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == (200, "")


def test_readers_statements_do_not_delay_the_owner(served: Store) -> None:
    """While more of a reader's statements run than there are threads for them, and never end, the owner is answered, and ends them."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(connected(served)) for _ in range(READING_THREADS + 4)]
        for reader in readers:
            reader.sendall(head(READER, "Content-Length: 0", query=ENDLESS))
        assert answers(served, USER) == (200, "")
        with connected(served) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer(connection) == (200, "")
        with contextlib.closing(served.client()) as client:

            def left() -> bool:
                client.command("KILL QUERY WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%KILL%' SYNC")
                return len(select.select(readers, [], [], 0)[0]) < len(readers)

            until(lambda: not left(), "the end of the reader's statements", WAIT)
        assert {answer(reader) for reader in readers} == {(500, "394")}


def test_connections_without_a_password_end(served: Store) -> None:
    """A connection that shows no password, or sends its headers byte by byte, is closed."""
    assert served.process is not None
    process = psutil.Process(served.process.pid)
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connected(served)) for _ in range(20)]
        ours = {connection.getsockname()[1] for connection in waiting}

        def left() -> bool:
            for connection in waiting:
                with contextlib.suppress(OSError):
                    connection.sendall(b"X")
            return bool(
                ours
                & {each.raddr.port for each in process.net_connections() if each.raddr and each.status == "ESTABLISHED"}
            )

        until(lambda: not left(), "the end of connections that say nothing", LOGIN_WITHIN + WAIT)


REQUESTS = st.lists(
    st.sampled_from(
        [
            *(
                b"GET ",
                b"POST ",
                b"HEAD ",
                b"PUT ",
                b"/",
                b"/?query=SELECT+1",
                b"/ping",
                b"?",
                b" HTTP/1.1",
                b" HTTP/1.0",
                b"\r\n",
                b"\r\n\r\n",
            ),
            *(
                b"Content-Length: ",
                b"5",
                b"99999999999999999999",
                b"9" * 5000,
                b"-1",
                b"Transfer-Encoding: chunked",
                b"0\r\n\r\n",
                b"ffffffffff\r\n",
            ),
            *(
                b"Authorization: Basic ",
                b"!!!",
                b"Expect: 100-continue",
                b"Content-Encoding: gzip",
                b"Content-Type: multipart/form-data; boundary=x",
            ),
            *(
                login(USER).encode(),
                login(READER).encode(),
                login("nobody").encode(),
                b"\0",
                b"\xff",
                b"--x",
                b"a" * 1000,
            ),
        ]
    )
    | st.binary(max_size=20),
    max_size=25,
).map(b"".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(REQUESTS)
def test_nothing_that_is_sent_stops_the_store(served: Store, sent: bytes) -> None:
    """Whatever bytes arrive, the store answers the next request, and tells nothing about the engine to a client without a password."""
    with connected(served) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
    assert answers(served, READER) == (200, "")
