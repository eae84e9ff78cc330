"""The command ``genesis-otel``: arguments only; what they ask for is done elsewhere.

In: a command line. Out: answers on standard output, everything said about them on standard error. On failure: a line that
says what is wrong and what to do, and an exit code: 1 failed, 2 wrong usage, 3 nothing found, 4 over budget, 130 interrupted. A reader that
has had enough (``| head``) is no failure.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from genesis_otel._cli import (
    agents,
    delete,
    demo,
    execute,
    grafana,
    programs,
    queries,
    remarks,
    report,
    spool,
    store,
    transfer,
    ui,
    watch,
)
from genesis_otel._cli.common import FAILED, Told

app = typer.Typer(
    name="genesis-otel",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from genesis_otel import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
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
    context.obj = Told(url)
    handler = logging.StreamHandler()
    # What the libraries beneath cannot do is told by the error, once.
    handler.addFilter(lambda record: verbose or record.name.startswith(("genesis_otel", "opentelemetry")))
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", handlers=[handler])
    logging.getLogger("genesis_otel").setLevel(logging.DEBUG if verbose else logging.WARNING)


for command in (
    store.init,
    store.reprice,
    store.dedupe,
    store.check,
    store.serve,
    store.stop,
    demo.demo,
    queries.runs,
    programs.show,
    programs.best,
    programs.diff,
    queries.lineage,
    queries.query,
    remarks.tag,
    remarks.note,
    transfer.export,
    delete.delete,
    report.report,
    watch.watch,
    ui.ui,
    agents.mcp,
):
    app.command()(command)
app.command("import")(transfer.bring)
# What follows the command is its own, options included.
app.command("exec", context_settings={"allow_interspersed_args": False})(execute.execute)
app.add_typer(spool.spool_app, name="spool")
app.add_typer(grafana.grafana_app, name="grafana")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Stored texts may hold what the terminal's encoding, or any, cannot say.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="genesis-otel")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    return 0
