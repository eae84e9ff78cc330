"""An HTTP server that runs in a thread of the test's process.

In: a server of the standard library, whose handler answers. Out: it serves while a block runs, and has let go of its port afterwards. On
failure: what a handler raises is printed by the standard library, and closes that connection only.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TypeVar

S = TypeVar("S", bound=HTTPServer)


class Silent(BaseHTTPRequestHandler):
    """A handler that logs no requests: tests look at standard error."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def in_thread(server: S) -> Iterator[S]:
    """Serve until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
