"""The live page's server, for browsers that have its token.

In: a function that opens the store, and a token. Out: a read-only ASGI application that serves the page, and its data as JSON. A request
with the token in the address gets a cookie that no other site's page can send; a request with neither is refused. So is a `Host` other
than this machine's names, against DNS rebinding. On failure: a one-line error as JSON; a store that went away is opened again at the next
request.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import logging
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from anyio.to_thread import current_default_thread_limiter
from clickhouse_connect.driver.exceptions import Error
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genesis_otel._read import page_data as data
from genesis_otel._read.client import BEST, AmbiguousError, NotFoundError, brief, individual_id_of, run_id_of
from genesis_otel._serve.folder import EVERYWHERE
from genesis_otel._serve.http.compression import packed
from genesis_otel._store.errors import StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Open = Callable[[], contextlib.AbstractContextManager["Client"]]

log = logging.getLogger(__name__)

COOKIE = "genesis_otel_ui"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATIC = {"page.js": "text/javascript", "page.css": "text/css"}
NUMBERS: dict[str, tuple[type[int] | type[float], float]] = {
    "slower": (float, 1e12),
    "dearer": (float, 1e12),
    "limit": (int, 200_000),
    "since": (int, 1 << 53),
    "until": (int, 1 << 53),
}
"""Numeric parameters, each from 0 to a plausible maximum: ClickHouse wraps some values that exceed its types."""
OURS = ("client", "stalled_after")
"""Arguments that only the server itself may pass."""
WRONGLY_ASKED = {26, 27, 36, 41, 53, 70, 72, 130, 457}
"""ClickHouse's codes for a value that does not have its parameter's type."""
SEVERAL = ("leaders",)
MOST_COMPARED, MOST_SPARKS = 20, 200
MOST_KNOWN = 1_000
"""Run ids remembered as complete: the page uses them again and again, and looking one up costs a query."""
ROWS = 10_000
"""Rows in a line of an answer: some 20 ms of a browser's time."""
IN_COLUMNS = ("columns", "metrics")
"""What an answer has many rows in."""
THREADS = 8
"""Threads in which requests wait for the store. A browser sends six at a time, and each further thread has memory that is never freed."""


class Guard:
    """Accepts requests with the token, in the address or as a cookie, and refuses those that another page makes."""

    def __init__(self, app: ASGIApp, token: str, hosts: Sequence[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        asks_page = request.url.path == "/"
        told = (request.query_params.get("token", "") if asks_page else "", request.cookies.get(cookie_of(request), ""))
        follow = self._app
        if not self._is_ours(request.headers.get("host", "")):
            follow = PlainTextResponse("This page is not served under that host name.\n", 400)
        elif not any(hmac.compare_digest(each.encode(), self._token) for each in told):
            follow = PlainTextResponse(
                "Open the whole address that `genesis-otel ui` prints, including the token.\n", 403
            )
        elif not asks_page and _of_another_page(request):
            follow = PlainTextResponse("Only requests from this page itself are answered.\n", 403)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await follow(scope, receive, sending)

    def _is_ours(self, host: str) -> bool:
        """Whether a request's ``Host`` is one of our names or, if we listen on all addresses, any IP address: no other name is one."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            # Raises if the port is invalid.
            urlsplit(f"//{host}").port  # noqa: B018
        except ValueError:
            return False
        if self._hosts.isdisjoint(EVERYWHERE) or name in self._hosts:
            return name in self._hosts
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return False


def cookie_of(request: Request) -> str:
    """The cookie's name, with the port: browsers store cookies by host, and a machine may serve pages on several ports."""
    return f"{COOKIE}_{request.scope['server'][1]}"


def _of_another_page(request: Request) -> bool:
    """Whether, according to the browser, a page of another site or of another port of this machine made the request."""
    origin = request.headers.get("origin")
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (
        origin is not None and origin != f"{request.url.scheme}://{request.headers['host']}"
    )


class Store:
    """The client that all requests share; opened at the first one, and again after a failure to answer."""

    def __init__(self, opening: Open) -> None:
        self._opening = opening
        self._opened: contextlib.ExitStack | None = None
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}

    def run_id_of(self, client: Client, text: str) -> str:
        """Like :func:`~genesis_otel._read.client.run_id_of`, but looks a complete id up only once."""
        if text in self._known:
            return text
        run_id = run_id_of(client, text)
        if run_id == text:
            with self._lock:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[text] = None
        return run_id

    def ask(self, question: Callable[[Client], Any]) -> Any:
        """The answer; tried once more with a new client if the store had gone away."""
        try:
            return question(self._open())
        except Error as error:
            if error.code is not None:
                raise
            self.close()
            return question(self._open())

    def close(self) -> None:
        """Close the client."""
        with self._lock:
            opened, self._opened, self._client = self._opened, None, None
        if opened is not None:
            opened.close()

    def _open(self) -> Client:
        with self._lock:
            if self._client is None:
                self._opened = contextlib.ExitStack()
                self._client = self._opened.enter_context(self._opening())
            return self._client


def application(opening: Open, token: str, hosts: list[str], stalled_after: float) -> Starlette:
    """The application.

    :param token: what the address must contain at the first visit.
    :param hosts: the names of this machine under which the page is served.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    """
    store = Store(opening)

    def page(request: Request) -> Response:
        if "token" in request.query_params:
            # Remove it from the address, which people copy and browsers remember.
            response: Response = RedirectResponse("/", status_code=303)
            response.set_cookie(cookie_of(request), token, httponly=True, samesite="strict", path="/")
            return response
        return _file(request, "page.html", "text/html")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        return _file(request, name, STATIC[name]) if name in STATIC else PlainTextResponse("there is no such file", 404)

    def answer(question: Callable[[Client, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            return await run_in_threadpool(_answer, store, question, request)

        return answered

    def of_run(question: Callable[[Client, str, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        def asked(client: Client, request: Request) -> Any:
            told = _asked(request, "run_id")
            return question(client, store.run_id_of(client, _needed(told, "run")), told)

        return answer(asked)

    def ids(client: Client, request: Request) -> list[str]:
        return [store.run_id_of(client, each) for each in _runs(request, MOST_COMPARED)]

    routes = [
        Route("/", page),
        Route("/static/{name}", static),
        Route("/api/runs", answer(lambda client, request: data.runs(client, stalled_after, **_asked(request)))),
        Route("/api/sparks", answer(lambda client, request: data.sparks(client, _runs(request, MOST_SPARKS)))),
        Route("/api/calls", answer(lambda client, request: data.found_calls(client, **_asked(request)))),
        Route(
            "/api/compare", answer(lambda client, request: data.compared(client, ids(client, request), stalled_after))
        ),
        Route(
            "/api/outlook",
            answer(lambda client, request: data.outlook(client, ids(client, request), stalled_after)),
        ),
        # Ids are parameters, not parts of a path: they may contain anything, including slashes.
        Route("/api/run", of_run(lambda client, run, _: data.run(client, run, stalled_after))),
        Route("/api/run/arrivals", of_run(lambda client, run, _: data.arrivals(client, run))),
        Route("/api/run/cells", of_run(lambda client, run, told: data.cells(client, run, **told))),
        Route("/api/run/yields", of_run(lambda client, run, _: data.yields(client, run))),
        Route("/api/run/individuals", of_run(lambda client, run, told: data.individuals(client, run, **told))),
        Route("/api/run/calls", of_run(lambda client, run, told: data.calls(client, run, **told))),
        Route("/api/run/jobs", of_run(lambda client, run, told: data.jobs(client, run, **told))),
        Route("/api/run/metrics", of_run(lambda client, run, told: data.metrics(client, run, **told))),
        Route("/api/run/vectors", of_run(lambda client, run, told: data.vectors(client, run, **told))),
        Route("/api/run/examples", of_run(lambda client, run, told: data.examples(client, run, **told))),
        Route("/api/run/selection", of_run(lambda client, run, told: data.selection(client, run, **told))),
        Route("/api/run/islands", of_run(lambda client, run, _: data.islands(client, run))),
        Route("/api/run/actions", of_run(lambda client, run, told: data.actions(client, run, **told))),
        Route("/api/run/individual", of_run(_individual)),
    ]
    middleware = [Middleware(Guard, token=token, hosts=hosts)]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        yield
        store.close()

    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)


def _answer(store: Store, question: Callable[[Client, Request], Any], request: Request) -> Response:
    try:
        told = store.ask(lambda client: question(client, request))
    except (NotFoundError, AmbiguousError) as error:
        return JSONResponse({"error": str(error)}, 404)
    except (ValueError, TypeError) as error:
        log.debug("a request failed", exc_info=True)
        return JSONResponse({"error": f"invalid request: {error}"}, 400)
    except Error as error:
        return JSONResponse({"error": brief(error)}, 400 if error.code in WRONGLY_ASKED else 502)
    except StoreError as error:
        return JSONResponse({"error": str(error)}, 503)
    return _packed(request, pieces(told), "application/json")


def _packed(request: Request, content: Iterator[bytes], media_type: str) -> Response:
    """A response, compressed if the browser can read that: of 100,000 individuals, gzip takes a third of a second more than zstd."""
    accepted = request.headers.get("accept-encoding", "")
    encoding = next((each for each in ("zstd", "gzip") if each in accepted), "")
    headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": encoding} if encoding else {})}
    return Response(b"".join(packed(content, encoding)), media_type=media_type, headers=headers)


def pieces(told: Any) -> Iterator[bytes]:
    """An answer as lines of JSON: one, or if it has many rows in columns, one for every :data:`ROWS` of them, so that the browser stays
    responsive while it reads them."""
    has_columns = isinstance(told, dict) and "columns" in told
    tables = {name: told[name] for name in IN_COLUMNS if name in told} if has_columns else {}
    count = max((len(values) for table in tables.values() for values in table.values()), default=0)
    for begin in range(0, max(count, 1), ROWS):
        some = {
            name: {each: values[begin : begin + ROWS] for each, values in table.items()}
            for name, table in tables.items()
        }
        yield encoded({**told, **some} if some else told) + b"\n"


def encoded(told: Any) -> bytes:
    """An answer as JSON; by the slower encoder if a search stored half a surrogate pair or a number of more than 64 bits."""
    try:
        return msgspec.json.encode(told)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(told, allow_nan=False, separators=(",", ":")).encode()


def _asked(request: Request, *ours: str) -> dict[str, Any]:
    """The parameters of a request.

    :raises ValueError: a parameter is reserved, or is not a number although it must be one.
    """
    told = request.query_params
    for name in (*OURS, *ours):
        if name in told:
            raise ValueError(f"there is no parameter {name}")
    one = {name: _number(name, value) for name, value in told.items() if name not in SEVERAL}
    return {**one, **{name: told.getlist(name) for name in SEVERAL if name in told}}


def _number(name: str, value: str) -> str | float:
    if name not in NUMBERS:
        return value
    kind, most = NUMBERS[name]
    # No valid number is that long, so do not parse it.
    number = kind(value) if len(value) < 30 else math.nan
    if not 0 <= number <= most:
        raise ValueError(f"{name} must be a number from 0 to {most:,.0f}")
    return number


def _needed(told: dict[str, Any], name: str) -> str:
    if name not in told:
        raise ValueError(f"{name} is missing")
    return str(told.pop(name))


def _individual(client: Client, run_id: str, told: dict[str, Any]) -> dict[str, Any]:
    name = _needed(told, "individual")
    # Any other name is a complete id: of one that has no row yet, the answer is not the other one whose id begins so.
    return data.individual(client, run_id, individual_id_of(client, run_id, name) if name == BEST else name)


def _runs(request: Request, most: int) -> list[str]:
    return list(dict.fromkeys(filter(None, request.query_params.getlist("run"))))[:most]


def _file(request: Request, name: str, media_type: str) -> Response:
    content = resources.files("genesis_otel").joinpath("_ui", "static", name).read_bytes()
    return _packed(request, iter((content,)), media_type)
