"""The HTTP of a model's endpoint on loopback, whatever it answers.

In: a function from path, headers and JSON to status and JSON. Out: its address while a block runs. On failure: what the function raises
closes the connection; a client that is gone is none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from http.server import ThreadingHTTPServer
from typing import Any

from tests.support.in_thread import Silent, in_thread

Answer = Callable[[str, Message, Any], tuple[int, dict[str, Any]]]


class _Handler(Silent):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answer: Answer
    refusal: Mapping[str, str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, told = type(self).answer(self.path, self.headers, json.loads(body))
        written = json.dumps(told).encode()
        with contextlib.suppress(OSError):  # of a client that was interrupted
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            for name, value in self.refusal.items() if status != 200 else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(written)


@contextlib.contextmanager
def answering(answer: Answer, **refusal: str) -> Iterator[str]:
    """Serve until the block ends; gives the base URL for OpenAI's client.

    :param refusal: headers of answers other than 200, with underscores for hyphens.
    """
    told = {name.replace("_", "-"): value for name, value in refusal.items()}
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "refusal": told})
    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/v1"
