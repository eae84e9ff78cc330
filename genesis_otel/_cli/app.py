"""The command ``genesis-otel``: arguments only; the work is done elsewhere.

In: a command line. Out: answers on standard output, messages about them on standard error. On failure: a line that says what is wrong
and what to do, and an exit code: 1 failed, 2 wrong usage, 3 nothing found, 4 over budget, 130 interrupted. A reader that stops early
(``| head``) is not a failure.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from genesis_otel._cli.common import FAILED, Options

COMMANDS = {
    "init": "store.init",
    "reprice": "store.reprice",
    "dedupe": "store.dedupe",
    "check": "store.check",
    "serve": "store.serve",
    "stop": "store.stop",
    "demo": "demo.demo",
    "runs": "queries.runs",
    "show": "programs.show",
    "best": "programs.best",
    "diff": "programs.diff",
    "lineage": "queries.lineage",
    "query": "queries.query",
    "tag": "remarks.tag",
    "note": "remarks.note",
    "export": "transfer.export",
    "import": "transfer.bring",
    "delete": "delete.delete",
    "report": "report.report",
    "watch": "watch.watch",
    "ui": "ui.ui",
    "mcp": "agents.mcp",
    "exec": "execute.execute",
    "spool": "spool.spool_app",
    "grafana": "grafana.grafana_app",
}
"""The commands in the order of ``--help``, each with its place in this package. Loading all of them and reading their signatures takes
30 ms of CPU, a third of a command's start-up time, so only the requested one is loaded."""


def version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from genesis_otel import __version__

        typer.echo(__version__)
        raise typer.Exit


def before(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The store, instead of CLICKHOUSE_URL: http(s)://user:password@host:port/database, or chdb:///folder. "
            "Other users of this machine can see a command's arguments: use the variable if there is a password.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Log what happens, with tracebacks of errors.")
    ] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Record LLM-driven evolutionary searches as OpenTelemetry spans, and read the seven ClickHouse tables that they fill.

    Without `CLICKHOUSE_URL`, the store is on this machine: ClickHouse's engine, embedded. You need not start anything.

    **First steps**

    ```
    genesis-otel demo                            run and record a real search, offline
    genesis-otel runs                            list the runs
    genesis-otel lineage                         show where the best program of the newest run comes from
    genesis-otel best --code > best.py           take that program
    genesis-otel query --list                    list the named queries
    genesis-otel query llm_latency               run one of them
    genesis-otel query "SELECT count() FROM individuals"
    ```

    **Exit codes**: 0 done, 1 failed (the store cannot be reached, a statement is refused), 2 wrong usage,
    3 nothing found (no such run or individual), 4 over budget (`watch --fail-over-budget`), 130 interrupted.
    """
    context.obj = Options(url)
    handler = logging.StreamHandler()
    # Other libraries' failures are reported once, by our own error.
    handler.addFilter(lambda record: verbose or record.name.startswith(("genesis_otel", "opentelemetry")))
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", handlers=[handler])
    logging.getLogger("genesis_otel").setLevel(logging.DEBUG if verbose else logging.WARNING)


def application(names: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command-line application with these commands."""
    app = typer.Typer(
        name="genesis-otel",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(before)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(".")
        command = getattr(importlib.import_module(f"genesis_otel._cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            # Everything after `exec` belongs to the other command, including options.
            app.command(name, context_settings={"allow_interspersed_args": name != "exec"})(command)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    # Closed by whoever started the command (`>&-`): nobody wants what would go there.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Stored texts may contain characters that the terminal's encoding, or any encoding, cannot represent.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    app = application(given[:1]) if given[:1] and given[0] in COMMANDS else application()
    try:
        app(args=given, prog_name="genesis-otel")
    except SystemExit as ended:
        # Typer and rich end with 1 when a reader stops early, which is not a failure.
        if isinstance(ended.__context__, BrokenPipeError):
            return 0
        return ended.code if isinstance(ended.code, int) else FAILED
    return 0
