"""The live page's server: what a browser on this machine asks for, and nobody else gets.

In: a way to open the store, and a token. Out: an ASGI application: the page, and its data as JSON. It only reads. Who comes with the
token in the address gets a cookie that no other site's page can send, and whoever has neither gets nothing; a name other than
this machine's in `Host` is refused, so that no other name can be made to lead here. On failure: what is wrong as JSON, in a
line; a store that went away is opened again at the next question.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from anyio.to_thread import current_default_thread_limiter
from clickhouse_connect.driver.exceptions import Error
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genesis_otel._read import page_data as data
from genesis_otel._read.client import AmbiguousError, NotFoundError, brief, individual_id_of, run_id_of
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
NUMBERS = {"slower": float, "dearer": float, "before": int, "limit": int, "since": int}
SEVERAL = ("leaders",)
MOST_COMPARED, MOST_SPARKS = 20, 200
MOST_KNOWN = 1_000
"""Ids of runs that are remembered to be whole ones: the page asks by them again and again, and finding them costs a query."""
THREADS = 8
"""In which questions wait for the store. A browser asks six at a time; each thread more has memory of its own that is not given back."""


class Guard:
    """Lets through whoever has the token, in the address or as a cookie, and no request that another page makes."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        asks_page = request.url.path == "/"
        told = (request.query_params.get("token", "") if asks_page else "", request.cookies.get(COOKIE, ""))
        follow = self._app
        if not any(hmac.compare_digest(each.encode(), self._token) for each in told):
            follow = PlainTextResponse("Open the whole address that `genesis-otel ui` says, with its token.\n", 403)
        # A page of another site, or of another port of this machine; the browser says so.
        elif not asks_page and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            follow = PlainTextResponse("Only this page's own requests are answered.\n", 403)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await follow(scope, receive, sending)


class Store:
    """The client that all questions share; opened at the first one, and again after one that it could not answer."""

    def __init__(self, opening: Open) -> None:
        self._opening = opening
        self._opened: contextlib.ExitStack | None = None
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}

    def run_id_of(self, client: Client, text: str) -> str:
        """As :func:`~genesis_otel._read.client.run_id_of`, which asks only once for a whole id."""
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
        """The answer; one more try with a new client if the store was not there any more."""
        try:
            return question(self._open())
        except Error as error:
            if error.code is not None:
                raise
            self.close()
            return question(self._open())

    def close(self) -> None:
        """Let go of the client."""
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

    :param token: what the address has to have, once.
    :param hosts: the names of this machine under which it may be asked.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    """
    store = Store(opening)

    def page(request: Request) -> Response:
        if "token" in request.query_params:
            # Out of the address, which people copy and browsers keep.
            response: Response = RedirectResponse("/", status_code=303)
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
            return response
        return _file("page.html", "text/html")

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        return _file(name, STATIC[name]) if name in STATIC else PlainTextResponse("there is no such file", 404)

    def answer(question: Callable[[Client, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            return await run_in_threadpool(_answer, store, question, request)

        return answered

    def of_run(question: Callable[[Client, str, dict[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        def asked(client: Client, request: Request) -> Any:
            told = _asked(request)
            return question(client, store.run_id_of(client, told.pop("run")), told)

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
        # Ids are parameters and no parts of a path: they may hold anything, slashes too.
        Route("/api/run", of_run(lambda client, run, _: data.run(client, run, stalled_after))),
        Route("/api/run/arrivals", of_run(lambda client, run, _: data.arrivals(client, run))),
        Route("/api/run/yields", of_run(lambda client, run, _: data.yields(client, run))),
        Route("/api/run/individuals", of_run(lambda client, run, told: data.individuals(client, run, **told))),
        Route("/api/run/calls", of_run(lambda client, run, told: data.calls(client, run, **told))),
        Route("/api/run/metrics", of_run(lambda client, run, told: data.metrics(client, run, **told))),
        Route("/api/run/examples", of_run(lambda client, run, told: data.examples(client, run, **told))),
        Route("/api/run/selection", of_run(lambda client, run, told: data.selection(client, run, **told))),
        Route("/api/run/islands", of_run(lambda client, run, _: data.islands(client, run))),
        Route("/api/run/actions", of_run(lambda client, run, told: data.actions(client, run, **told))),
        Route("/api/run/individual", of_run(_individual)),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(Guard, token=token),
        Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=4),
    ]

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
    except (ValueError, TypeError, KeyError) as error:
        log.debug("a question failed", exc_info=True)
        return JSONResponse({"error": f"that cannot be asked: {error}"}, 400)
    except Error as error:
        return JSONResponse({"error": brief(error)}, 502)
    except StoreError as error:
        return JSONResponse({"error": str(error)}, 503)
    return Response(json.dumps(told, allow_nan=False, separators=(",", ":")), media_type="application/json")


def _asked(request: Request) -> dict[str, Any]:
    told = request.query_params
    one = {name: NUMBERS.get(name, str)(value) for name, value in told.items() if name not in ("token", *SEVERAL)}
    return {**one, **{name: told.getlist(name) for name in SEVERAL if name in told}}


def _individual(client: Client, run_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
    return data.individual(client, run_id, individual_id_of(client, run_id, told["individual"]))


def _runs(request: Request, most: int) -> list[str]:
    return [each for each in request.query_params.getlist("run") if each][:most]


def _file(name: str, media_type: str) -> Response:
    content = resources.files("genesis_otel").joinpath("_ui", "static", name).read_bytes()
    return Response(content, media_type=media_type)
