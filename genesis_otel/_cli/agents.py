"""The command ``genesis-otel mcp``: arguments only; the tools are defined in `_mcp/tools`.

In: a command line, and the protocol on standard input. Out: the protocol on standard output until the client closes it. On failure:
before the server starts, as :mod:`genesis_otel._cli.common` reports it; afterwards, a tool's error.
"""

from __future__ import annotations

import typer

from genesis_otel._cli.common import answering, judged, settings_of


@answering
def mcp(context: typer.Context) -> None:
    """Serve the store to an agent: a read-only server of the Model Context Protocol on standard input and output.

    Its tools list runs, show runs, individuals, programs, prompts and diffs, and run the named queries; none of them writes or
    accepts SQL. Answers are bounded. An agent's client starts it, with settings like the second line. Whatever it reads, including
    prompts and code, goes wherever the agent sends it.

    ```
    genesis-otel mcp
    {"mcpServers": {"genesis-otel": {"command": "genesis-otel", "args": ["mcp"]}}}
    ```
    """
    settings = settings_of(context)
    from genesis_otel._mcp.server import server
    from genesis_otel._read.client import reader

    # Report a store that does not work here, once, rather than from every tool.
    with reader(settings):
        pass
    server(settings, lambda error: judged(error)[1]).run()
