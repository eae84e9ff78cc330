"""The command ``genesis-otel mcp``: arguments only; the tools are made in `_mcp`.

In: a command line, and the protocol on standard input. Out: the protocol on standard output until the client closes it. On failure: what
:mod:`genesis_otel._cli.common` makes of it before the server begins, and a tool's error afterwards.
"""

from __future__ import annotations

import typer

from genesis_otel._cli.common import answering, judged, settings_of


@answering
def mcp(context: typer.Context) -> None:
    """Serve the store to an agent: a read-only server of the Model Context Protocol on standard input and output.

    Its tools list runs, show runs, individuals, programs, prompts and differences, and ask the named queries; none writes, and
    none takes SQL. Answers are bounded. An agent's client starts it, with settings like the second line. What it reads, prompts and
    code among it, goes wherever the agent sends it.

    ```
    genesis-otel mcp
    {"mcpServers": {"genesis-otel": {"command": "genesis-otel", "args": ["mcp"]}}}
    ```
    """
    settings = settings_of(context)
    from genesis_otel._mcp import server
    from genesis_otel._read.client import reader

    # What is wrong with the store is said here, and not by every tool.
    with reader(settings):
        pass
    server(settings, lambda error: judged(error)[1]).run()
