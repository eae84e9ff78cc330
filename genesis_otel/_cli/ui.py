"""The command ``genesis-otel ui``: arguments only; the page is served by `_ui`.

In: a command line. Out: an address on standard output, where the page is served until Ctrl-C. On failure: as
:mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

import functools
import secrets
import socket
import webbrowser
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from genesis_otel._cli import completion
from genesis_otel._cli.common import HostOption, PortOption, answering, settings_of
from genesis_otel._cli.tables import say

if TYPE_CHECKING:
    from genesis_otel._settings import Settings


@answering
def ui(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            show_default=False,
            help="Start with this run: its id, the start of its id, latest, or a task; by default with the list of runs.",
            autocompletion=completion.runs,
        ),
    ] = "",
    port: PortOption = 0,
    host: HostOption = "127.0.0.1",
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """View runs in the browser while they are running: a page served by this machine that loads nothing from elsewhere.

    It shows all runs, and for each its trajectory, family tree, programs with their changes and prompts, calls, costs and
    failures; new rows appear automatically. The address contains a token: whoever knows it can read prompts and code.
    Ctrl-C stops the page and nothing else.

    ```
    genesis-otel ui
    genesis-otel ui latest
    CLICKHOUSE_URL=https://reader:...@host:8443/genesis genesis-otel ui --port 8080 --no-open
    ```
    """
    from genesis_otel._read.client import reader, run_id_of

    settings = settings_of(context)
    # Report a store that does not work here, rather than with an empty page.
    with reader(settings) as client:
        place = f"#/run/{quote(run_id_of(client, run), safe='')}" if run else ""
    _serve(settings, host, port, place, show=show)


def _serve(settings: Settings, host: str, port: int, place: str, *, show: bool) -> None:
    import uvicorn

    from genesis_otel._read.client import reader
    from genesis_otel._serve.folder import LOOPBACK
    from genesis_otel._ui.app import application

    token = secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        port = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        app = application(functools.partial(reader, settings), token, [*LOOPBACK, host], settings.stalled_after)
        address = f"http://{name}:{port}/?token={token}{place}"
        typer.echo(address)
        if host not in LOOPBACK:
            say(f"Warning: on {host} it is HTTP without TLS: prompts, code and the token can be read in transit.")
        say("Press Ctrl-C to end it.")
        if show:
            webbrowser.open(address)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, server_header=False))
        server.run(sockets=[listening])
