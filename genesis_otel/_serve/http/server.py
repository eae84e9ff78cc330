"""The sockets before the front: who may connect, send and wait.

In: a WSGI application, and a function that tells a request's user by its headers. Out: waitress's server, in which headers are
judged before a body is read: what a user may not send is not received, and who has no password sends nothing at all. On failure:
a connection is closed; the server goes on.

Connections are not refused: one too many closes another, first of those that showed no password, oldest first, then of those that
wait, readers first. So neither a thousand connections that say nothing nor a thousand of a reader's keep anybody out. Inserts
have threads of their own: slow readers do not hold them up, nor they readers.

waitress stays: it reads and writes all connections in one thread and needs one only for a request that is whole, so that slow
clients cost a socket each; its parser, channel and server are classes to be derived from, as is done here.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SHUT_WR
from typing import Any
from urllib.parse import unquote_plus

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ThreadedTaskDispatcher  # type: ignore[import-untyped]

from genesis_otel._serve.http.login import BODY_BYTES, READER, USER, most_of

CONNECTIONS = 400
"""At a time; a process may have 1,024 files open by default, and an answer that waits is one, too."""
READERS = 300
"""Of these, by the reader's password."""
LOGIN_WITHIN = 10.0
"""Seconds from the connection to the end of the first headers with a password."""
SILENT = 60.0
"""Seconds without a byte in the middle of a request."""
IDLE = 120.0
"""Seconds between two requests."""
LINGER = 2.0
"""Seconds in which a body that nobody wants is read and thrown away, so that the answer arrives before the connection ends."""
HEADER_BYTES = 256 << 10
READING_THREADS = 8
WRITING_THREADS = 4

UserOf = Callable[[Mapping[str, str]], str]

_INSERT = re.compile(r"(?i)(?:^|&)query=\s*insert\b")


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A request, judged as soon as its headers are there."""

    completed: bool
    body_rcv: Any

    def __init__(self, adj: Adjustments, channel: "Channel") -> None:
        super().__init__(adj)
        self._channel = channel
        self.writes = False
        self._most = 0

    def parse_header(self, header_plus: bytes) -> None:
        """See who sends it, and read no body that they may not send."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of five thousand digits, for one
            raise ParsingError("The headers cannot be read") from error
        user = self._channel.server.user_of({f"HTTP_{name}": value for name, value in self.headers.items()})
        self._channel.came(user)
        self._most = most_of(user)
        self.writes = user == USER and _INSERT.search(unquote_plus(self.query or "")) is not None
        if self.content_length > self._most or (self.chunked and not self._most):
            self._refuse(self.content_length)

    def received(self, data: bytes) -> int:
        """Take what belongs to this request; of one that is refused, all that comes."""
        taken: int = super().received(data)
        if self.chunked and not self.completed and self.body_rcv is not None and len(self.body_rcv) > self._most:
            self._refuse(self._most + 1)
            self.completed = True
        return len(data) if self._channel.refused else taken

    def _refuse(self, length: int) -> None:
        """Let the application say why, without the body, and end the connection behind that."""
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
        """Whether more is to be read."""
        return bool(self.lingers or super().readable())

    def handle_read(self) -> None:
        """Take what comes, or throw it away."""
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
        """Send what is to be sent; behind a refusal's answer, wait for what the client still sends."""
        if self.refused and self.close_when_flushed and not self.total_outbufs_len and not self.lingers:
            self.close_when_flushed = False
            self.lingers = time.time()
            with suppress(OSError):
                self.socket.shutdown(SHUT_WR)
            return
        super().handle_write()

    def is_late(self, now: float) -> bool:
        """Whether the connection has had its time."""
        if self.lingers:
            return now - self.lingers > LINGER
        if self.requests:
            return False
        if not self.user:
            return now - self.creation_time > LOGIN_WITHIN
        return now - self.last_activity > (IDLE if self.request is None else SILENT)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Listens on ``host`` and ``port``; :meth:`run` answers until :meth:`close`.

    :raises OSError: the address cannot be had.
    :raises ValueError: it is none.
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
            # Not waitress's limit, at which it accepts nobody until somebody leaves: see make_room.
            connection_limit=1 << 20,
            cleanup_interval=1,
            asyncore_use_poll=True,
            log_socket_errors=False,
        )
        self._writers = ThreadedTaskDispatcher()
        self._writers.set_thread_count(WRITING_THREADS)
        readers = ThreadedTaskDispatcher()
        readers.set_thread_count(READING_THREADS)
        super().__init__(application, {}, dispatcher=readers, adj=adj, sockinfo=adj.listen[0])

    def channels(self) -> list[Channel]:
        """The connections, oldest first."""
        return sorted(self.active_channels.values(), key=lambda each: each.creation_time)

    def add_task(self, task: Channel) -> None:
        """Answer a channel's first request, in the threads for it."""
        (self._writers if task.requests[0].writes else self.task_dispatcher).add_task(task)

    def handle_accept(self) -> None:
        """Take a connection, in the place of another if need be."""
        self.make_room(CONNECTIONS, self.channels())
        super().handle_accept()

    def make_room(self, most: int, channels: list[Channel]) -> None:
        """Close one of ``channels`` if they are as many as there may be."""
        left = [each for each in channels if not each.will_close]
        if len(left) < most:
            return
        waiting = [each for each in left if not each.requests]
        waiting.sort(key=lambda each: (bool(each.user), each.user != READER))
        for each in waiting[:1]:
            # At its own turn: another connection must not get its number while events of this one wait.
            each.will_close = True

    def maintenance(self, now: float) -> None:
        """Close connections that have had their time."""
        for each in self.channels():
            if each.is_late(now):
                each.will_close = True

    def shutdown(self) -> None:
        """End: no more connections, and of the requests under way those that end within five seconds."""
        self.close()
        self.task_dispatcher.shutdown(timeout=5)
        self._writers.shutdown(timeout=5)
