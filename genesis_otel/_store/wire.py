"""The connection pool of clickhouse-connect, which checks that ClickHouse itself has answered.

In: the requests of one client. Out: the responses. On failure: :class:`ConfigurationError` for a response that is not ClickHouse's (a
redirect, a web page, an insert answered with a text); :class:`TooLargeError` if a body is too large for whatever is in front of
ClickHouse; :class:`BusyError` if the response asks for a pause; else what urllib3 raises.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from email.utils import mktime_tz, parsedate_tz
from typing import Any, cast

from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.httputil import (
    check_env_proxy,
    default_pool_manager,
    get_proxy_manager,
)
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

from genesis_otel._log import waiting
from genesis_otel._store.errors import BusyError, ConfigurationError, TooLargeError, split_url, where

logger = logging.getLogger(__name__)

EXCEPTION_CODE = "X-ClickHouse-Exception-Code"
INSERT_ID = "genesis-otel-insert-"
"""The prefix of our inserts' query ids, by which they are recognised here and found in ``system.query_log``."""
BUSY = frozenset({429, 503})
"""Statuses whose ``Retry-After`` is honoured."""
PIECE = 256 << 10
"""Bytes of a body sent at once: if the connection breaks before the last piece, the body was cut off."""


class Wire:
    """A pool of connections to one server."""

    def __init__(self, url: str, pool: PoolManager, say: float | None) -> None:
        self._where, self._pool, self._answer_timeout = where(url), pool, say
        self._latest: Callable[[], BaseHTTPResponse | None] = lambda: None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wire) and other._pool is self._pool

    def __hash__(self) -> int:
        # clickhouse-connect remembers forever when it last renewed a pool's connections: one entry per pool, not per client.
        return hash(self._pool)

    def request(self, method: str, url: str, **options: Any) -> BaseHTTPResponse:
        """Like :meth:`urllib3.PoolManager.request`, without following redirects."""
        body = options.get("body")
        if isinstance(body, bytes) and f"query_id={INSERT_ID}" in url:
            body = _pieces(body)
        sending = _Sending(body) if isinstance(body, Iterator) else None
        if sending is not None:
            options["body"] = iter(sending)
        saying = (
            contextlib.nullcontext()
            if self._answer_timeout is None
            else waiting(logger, self._where, self._answer_timeout)
        )
        try:
            with saying:
                answer = self._pool.request(method, url, redirect=False, **options)
        except HTTPError as error:
            if sending is not None and sending.cut_off(error) and self._responds(options):
                raise TooLargeError(
                    f"{self._where} closed the connection after {sending.sent:,} bytes of a body, but answers small ones"
                ) from error
            raise
        self._check(url, answer)
        self._latest = weakref.ref(answer)
        return answer

    def hanging_up(self) -> Callable[[], None]:
        """What ends the connection of the latest response, unless that was read to its end.

        clickhouse-connect closes no response before it has read the rest of it, which may be long, or without end.
        """
        latest = self._latest

        def hang_up() -> None:
            answer = latest()
            # Of a response that was read to its end, the first raises: its connection may serve another request already.
            with contextlib.suppress(OSError, ValueError):
                if answer is not None and not answer.closed:
                    with socket.socket(fileno=os.dup(answer.fileno())) as line:
                        line.shutdown(socket.SHUT_RDWR)

        return hang_up

    def clear(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _check(self, url: str, answer: BaseHTTPResponse) -> None:
        if answer.status in BUSY and (after := retry_after(answer.headers)):
            raise BusyError(busy(self._where, answer.status, after), after)
        if answer.headers.get(EXCEPTION_CODE):
            return
        kind = answer.headers.get("Content-Type", "")
        if 300 <= answer.status < 400:
            raise ConfigurationError(redirected(self._where, answer.headers.get("Location", "")))
        if answer.status == 413:
            raise TooLargeError(f"{self._where} answered 413: the body is too large for a proxy in front of ClickHouse")
        if not 200 <= answer.status < 300:
            return
        if answer.status != 200 or kind.startswith("text/html"):
            what = "a web page" if kind.startswith("text/html") else f"HTTP status {answer.status}"
            raise ConfigurationError(
                f"{self._where} answered with {what}, so it is not ClickHouse: there is a login page or a proxy in front of it, "
                "or CLICKHOUSE_URL has the wrong port"
            )
        if f"query_id={INSERT_ID}" in url and (said := answer.data):
            # ClickHouse accepts an insert without a word.
            text = said[:2000].decode(errors="replace")
            found = re.search(r"\bCode: (\d+)", text)
            if found:
                raise DatabaseError(text, code=int(found[1]))
            raise ConfigurationError(f"{self._where} answered an insert with text, which ClickHouse never does")

    def _responds(self, options: dict[str, Any]) -> bool:
        """Whether the server responds: if not, a connection that breaks in the middle of a body is an outage."""
        try:
            timeout, headers = options.get("timeout"), options.get("headers")
            answer = self._pool.request(
                "POST", self._where, body=b"SELECT 1", headers=headers, timeout=timeout, redirect=False, retries=False
            )
        except HTTPError:
            return False
        return answer.status == 200


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + PIECE] for at in range(0, len(body), PIECE))


class _Sending:
    """A body being sent: how much of it went out, and whether all of it did."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.sent = 0
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            self.sent += len(piece)
        self._whole = True

    def cut_off(self, error: HTTPError) -> bool:
        causes = (error.__cause__, error.__context__, *error.args)
        return not self._whole and any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in causes)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that ``Retry-After`` asks for, which has a number or a date; 0 where it is absent, past or neither.

    A date is read by the clock that wrote it, which the answer's own ``Date`` shows, where it has one.
    """
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked):
        return float(asked)
    date, now = _seconds(asked), _seconds(headers.get("Date", ""))
    return 0.0 if date is None else max(0.0, date - (time.time() if now is None else now))


def _seconds(date: str) -> float | None:
    try:
        parts = parsedate_tz(date)
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):
        return None


def busy(place: str, status: int, after: float) -> str:
    """An answer that asks to come back later."""
    return f"{place} answered with HTTP status {status} and asks to be left alone for {after:,.0f} s"


def redirected(place: str, location: str) -> str:
    """What a redirect means, and what to do; ``location`` is shown without any secret that it may contain."""
    target = re.match(r"(https?)://(?:[^/@?#]*@)?([^/?#@\s]+)", location)
    if place.startswith("http://") and target and target[1] == "https":
        return f"{place} redirects to https://{target[2]}: use that in the URL, with https:// and its port"
    return f"{place} redirects to {f'{target[1]}://{target[2]}' if target else 'another address'}: use the server's own address in the URL"


def wire(url: str, *, say: float | None = None, proxied: bool = True) -> PoolManager:
    """A :class:`Wire` for clickhouse-connect's parameter ``pool_mgr``, of which it calls only ``request`` and ``clear``.

    :param say: seconds that a response may take; if a fraction of them passes, what is being waited for is logged.
    :param proxied: use the proxy that the environment names, if any.
    """
    parts = split_url(url)
    proxy = check_env_proxy(parts.scheme, parts.hostname, parts.port or 0) if proxied else None
    # clickhouse-connect caches both. A pool per client would stay open with its connection: closing a client closes no pool that it
    # was given, and a notebook, where each query has a client, had no files left after a thousand of them.
    pool = get_proxy_manager(parts.hostname, proxy) if proxy else default_pool_manager()
    return cast(PoolManager, Wire(url, pool, say))
