"""What receives OTLP over HTTP on loopback: the place of a collector.

In: the statuses with which it answers its first requests. Out: its address, and the spans that it accepted. On failure: 400 for what is
not OTLP, as a collector answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.in_thread import Silent, in_thread

SLOW = -1
"""In place of a status: no answer until the client gives up."""
LOST = 0
"""In place of a status: the spans are accepted, and the answer is lost."""


@dataclass
class Receiver:
    """What has been received."""

    endpoint: str
    """The address without a path."""
    spans: list[Span] = field(default_factory=list)

    @property
    def traces(self) -> str:
        """The address to which spans are sent."""
        return f"{self.endpoint}/v1/traces"

    @property
    def names(self) -> list[str]:
        """The names of the spans."""
        return [span.name for span in self.spans]


def bound() -> ThreadingHTTPServer:
    """A server that has a port and does not listen yet."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, bind_and_activate=False)
    server.server_bind()
    return server


@contextlib.contextmanager
def receiving(answers: Iterable[int] = (), server: ThreadingHTTPServer | None = None) -> Iterator[Receiver]:
    """Receive until the block ends.

    :param answers: a status for each of the first requests, :data:`SLOW` or :data:`LOST`; 200 after that.
    :param server: one of :func:`bound`, which begins to listen.
    """
    coming = iter(answers)
    server = bound() if server is None else server
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")

    class Handler(Silent):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = next(coming, 200)
            if answer == SLOW:
                self.connection.settimeout(120)
                with contextlib.suppress(OSError):
                    self.connection.recv(1)
                self.close_connection = True
                return
            if answer in (200, LOST):
                try:
                    request = ExportTraceServiceRequest.FromString(body)
                except DecodeError:
                    self.send_error(400)
                    return
                receiver.spans.extend(
                    span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans
                )
            if answer == LOST:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server.RequestHandlerClass = Handler
    server.server_activate()
    with in_thread(server):
        yield receiver
