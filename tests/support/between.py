"""What may stand between a search and its store: servers of a test's own that pass requests on, change answers, or give none."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from tests.support.in_thread import Silent, in_thread


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answer:
    """What goes back."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


HANG_UP = Answer(0)
"""No answer: the connection is closed instead."""

Behaviour = Callable[["Between", Request], Answer]

LOGIN = b"<!doctype html><html><body><form>Please sign in</form></body></html>"


def passes(between: Between, request: Request) -> Answer:
    """As if it were not there."""
    upstream = http.client.HTTPConnection("127.0.0.1", between.upstream, timeout=60)
    with contextlib.closing(upstream):
        dropped = ("host", "content-length", "transfer-encoding", "connection")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        upstream.request(request.method, request.path, request.body or None, headers)
        answer = upstream.getresponse()
        body = answer.read()
        kept = {
            n: v
            for n, v in answer.getheaders()
            if n.lower() not in ("content-length", "transfer-encoding", "connection")
        }
        return Answer(answer.status, kept, body)


def strips(between: Between, request: Request) -> Answer:
    """Passes on, and takes ClickHouse's headers off the answers."""
    answer = passes(between, request)
    kept = {name: value for name, value in answer.headers.items() if not name.lower().startswith("x-clickhouse")}
    return Answer(answer.status, kept, answer.body)


def login(_: Between, request: Request) -> Answer:
    """A page to sign in at, with status 200."""
    return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, LOGIN)


def empty(_: Between, request: Request) -> Answer:
    """Status 200 and nothing."""
    return Answer(200)


def inserts_only(code: Answer) -> Behaviour:
    """Passes everything on but inserts, which get ``code``."""

    def behave(between: Between, request: Request) -> Answer:
        return code if is_insert(request) else passes(between, request)

    return behave


def is_insert(request: Request) -> bool:
    """Whether it is an insert of rows, as clickhouse-connect sends them."""
    return b"INSERT INTO" in request.body[:2000] or "INSERT+INTO" in request.path


class Between(ThreadingHTTPServer):
    """A server on loopback that stands before the port ``upstream`` and behaves as it is told.

    ``limit`` is the largest body that it takes; a larger one is answered 413, and not read where ``abrupt``.
    """

    request_queue_size = 128

    def __init__(self, upstream: int = 0, behaviour: Behaviour = passes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.behaviour = upstream, behaviour
        self.limit: int | None = None
        self.abrupt = False
        self.requests: list[Request] = []
        self.released = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def hangs(self, _: Between, request: Request) -> Answer:
        """A behaviour: no answer until the test ends."""
        self.released.wait(120)
        return Answer(503)


class Handler(Silent):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Between

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._send(Answer(413, {"Connection": "close", "Content-Type": "text/html"}, b"<h1>413</h1>"))
            return
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        self.server.requests.append(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._send(self.server.behaviour(self.server, request))

    do_GET = do_POST

    def _send(self, answer: Answer) -> None:
        if answer is HANG_UP:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _body(self) -> bytes | None:
        """The body; None where it is over the limit."""
        limit = self.server.limit
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length = int(self.headers.get("Content-Length", 0))
            if limit is not None and length > limit and self.server.abrupt:
                return None
            body = self.rfile.read(length)
            return None if limit is not None and length > limit else body
        pieces, total, over = [], 0, False
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += size
            over = limit is not None and total > limit
            if over and self.server.abrupt:
                return None
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return None if over else b"".join(pieces)


@contextlib.contextmanager
def between(upstream: int = 0, behaviour: Behaviour = passes) -> Iterator[Between]:
    """A :class:`Between` that runs until the end of the block."""
    with in_thread(Between(upstream, behaviour)) as server:
        try:
            yield server
        finally:
            server.released.set()
