"""The sockets before the front: who may connect, send and wait.

In: a WSGI application, and a function that identifies a request's user by its headers. Out: waitress's server, in which headers are
judged before a body is read: what a user may not send is not received, and a client without a password sends nothing at all. On failure:
a connection is closed; the server keeps running.

Connections are not refused: one too many closes another, first those that showed no password, oldest first, then waiting ones, readers
first. So neither a thousand silent connections nor a thousand of a reader's keep anybody out. Inserts have their own threads, and so has
the reader: slow statements of one kind do not hold up the others.

waitress is kept because it reads and writes all connections in one thread and needs another only for a complete request, so that slow
clients cost only a socket each; its parser, channel and server are classes meant to be derived from, as is done here.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import MSG_DONTWAIT, MSG_PEEK, SHUT_WR
from typing import Any
from urllib.parse import unquote_plus

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]

from genesis_otel._serve.http.login import BODY_BYTES, READER, USER, most_of

CONNECTIONS = 400
"""At a time; a process may have 1,024 files open by default, and a waiting response is one of them, too."""
READERS = 300
"""Of these, with the reader's password."""
LOGIN_WITHIN = 10.0
"""Seconds from the connection to the end of the first headers with a password."""
SILENT = 60.0
"""Seconds without a byte in the middle of a request."""
IDLE = 120.0
"""Seconds between two requests."""
LINGER = 2.0
"""Seconds in which an unwanted body is read and discarded, so that the response arrives before the connection ends."""
HUNG_UP = 1.0
"""Seconds that a request is answered although its client has ended its side: some do so as soon as they have sent it, and then listen."""
HEADER_BYTES = 256 << 10
READING_THREADS = 8
"""For the reader, and as many for whatever the owner asks that is no insert."""
WRITING_THREADS = 4
ENDING = 5.0
"""Seconds that requests under way have when the server stops."""

UserOf = Callable[[Mapping[str, str]], str]

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_INSERT = re.compile(r"(?i)(?:^|&)query=\s*insert\b")


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request, judged as soon as its headers are there."""

    completed: bool
    body_rcv: Any

    def __init__(self, adj: Adjustments, channel: "Channel") -> None:
        super().__init__(adj)
        self._channel = channel
        self.user = ""
        self.writes = False
        self._most = 0

    def parse_header(self, header_plus: bytes) -> None:
        """See who sends it, and do not read a body that they may not send."""
        first, ended, rest = header_plus.partition(b"\n")
        first = _BEYOND_ASCII.sub(lambda found: b"%%%02X" % found[0][0], first)  # curl escapes nothing in a URL
        try:
            super().parse_header(first + ended + rest)
        except ValueError as error:  # for example a length of five thousand digits
            raise ParsingError("The headers cannot be read") from error
        self.user = self._channel.server.user_of({f"HTTP_{name}": value for name, value in self.headers.items()})
        self._channel.came(self.user)
        self._most = most_of(self.user)
        self.writes = self.user == USER and _INSERT.search(unquote_plus(self.query or "")) is not None
        if self.content_length > self._most or (self.chunked and not self._most):
            self._refuse(self.content_length)

    def received(self, data: bytes) -> int:
        """Take what belongs to this request; if it was refused, take everything."""
        taken: int = super().received(data)
        if self.chunked and not self.completed and self.body_rcv is not None and len(self.body_rcv) > self._most:
            self._refuse(self._most + 1)
            self.completed = True
        return len(data) if self._channel.refused else taken

    def _refuse(self, length: int) -> None:
        """Let the application answer why, without the body, and close the connection after that."""
        if self.body_rcv is not None:
            self.body_rcv.getbuf().close()
        self.body_rcv, self.content_length, self.chunked = None, 0, False
        self.headers["CONTENT_LENGTH"] = str(length)
        self.headers["CONNECTION"] = "close"
        self.expect_continue, self.connection_close = False, True
        self._channel.refused = True


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection."""

    close_when_flushed: bool
    connected: bool
    creation_time: float
    last_activity: float

    def __init__(
        self, server: "Server", sock: Any, addr: Any, adj: Adjustments, map: dict[int, Any] | None = None
    ) -> None:
        self.user = ""
        self.refused = False
        self.lingers = 0.0
        super().__init__(server, sock, addr, adj, map=map)
        self.parser_class = lambda adj: Parser(adj, self)

    def came(self, user: str) -> None:
        """A request's headers told who sends it."""
        self.user = user
        if user == READER:
            self.server.make_room(
                READERS, [each for each in self.server.channels() if each.user == READER and each is not self]
            )

    def readable(self) -> bool:
        """Whether more should be read."""
        return bool(self.lingers or super().readable())

    def handle_read(self) -> None:
        """Take what arrives, or discard it."""
        if not self.lingers:
            super().handle_read()
            return
        try:
            ended = not self.recv(1 << 16)
        except OSError:
            ended = True
        if ended:
            self.handle_close()

    def handle_write(self) -> None:
        """Send what is pending; after a refusal's response, wait for what the client still sends."""
        if self.refused and self.close_when_flushed and not self.total_outbufs_len and not self.lingers:
            self.close_when_flushed = False
            self.lingers = time.time()
            with suppress(OSError):
                self.socket.shutdown(SHUT_WR)
            return
        super().handle_write()

    def check_client_disconnected(self) -> bool:
        """Whether nobody waits for the answer to the request under way; any thread may ask."""
        if not self.connected:
            return True
        if time.time() - self.last_activity < HUNG_UP:
            return False
        try:
            return not self.socket.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def is_late(self, now: float) -> bool:
        """Whether the connection's time is up."""
        if self.lingers:
            return now - self.lingers > LINGER
        if self.requests:
            return False
        if not self.user:
            return now - self.creation_time > LOGIN_WITHIN
        return now - self.last_activity > (IDLE if self.request is None else SILENT)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Listens on ``host`` and ``port``; :meth:`run` answers until :meth:`shutdown`.

    :raises OSError: the address is not available.
    :raises ValueError: it is not an address.
    """

    channel_class = Channel

    def __init__(self, application: Any, user_of: UserOf, *, host: str, port: int) -> None:
        self.user_of = user_of
        adj = Adjustments(
            host=host,
            port=port,
            ident=None,
            max_request_body_size=BODY_BYTES + 1,
            max_request_header_size=HEADER_BYTES,
            # Not waitress's own limit, at which it accepts nobody until somebody leaves: see make_room.
            connection_limit=1 << 20,
            cleanup_interval=1,
            asyncore_use_poll=True,
            log_socket_errors=False,
        )
        self._writers, self._readers = _threads(WRITING_THREADS), _threads(READING_THREADS)
        others = _threads(READING_THREADS)
        self._dispatchers = (self._writers, self._readers, others)
        super().__init__(application, {}, dispatcher=others, adj=adj, sockinfo=adj.listen[0])

    def channels(self) -> list[Channel]:
        """The connections, oldest first."""
        return sorted(self.active_channels.values(), key=lambda each: each.creation_time)

    def add_task(self, task: Channel) -> None:
        """Queue a channel's first request for the threads that answer its kind."""
        request = task.requests[0]
        threads = self._writers if request.writes else self._readers if request.user == READER else self.task_dispatcher
        threads.add_task(task)

    def handle_accept(self) -> None:
        """Accept a connection, in place of another if need be."""
        self.make_room(CONNECTIONS, self.channels())
        super().handle_accept()

    def make_room(self, most: int, channels: list[Channel]) -> None:
        """Close one of ``channels`` if they have reached their maximum."""
        left = [each for each in channels if not each.will_close]
        if len(left) < most:
            return
        waiting = [each for each in left if not each.requests]
        waiting.sort(key=lambda each: (bool(each.user), each.user != READER))
        for each in waiting[:1]:
            # Closed on its own turn: another connection must not get its file number while its events are pending.
            each.will_close = True

    def maintenance(self, now: float) -> None:
        """Close connections whose time is up."""
        for each in self.channels():
            if each.is_late(now):
                each.will_close = True

    def shutdown(self) -> None:
        """Stop: accept no more connections, and finish those requests under way that end within `ENDING`."""
        self.close()
        for each in self._dispatchers:
            each.set_thread_count(0)
        until = time.monotonic() + ENDING
        for each in self._dispatchers:
            each.shutdown(timeout=max(0.0, until - time.monotonic()))


def _threads(count: int) -> Any:
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(count)
    return dispatcher
