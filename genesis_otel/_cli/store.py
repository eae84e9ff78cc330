"""The store commands: ``init``, ``reprice``, ``dedupe``, ``check``, ``serve``, ``stop``.

In: arguments. Out: what was done, line by line. On failure: as :mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from genesis_otel._cli.columns import Column
from genesis_otel._cli.common import FormatOption, HostOption, OnlyRun, PortOption, answering, between, settings_of
from genesis_otel._cli.tables import Format, say, write, write_none
from genesis_otel._money import dollars
from genesis_otel._read.format import counted

if TYPE_CHECKING:
    from genesis_otel._settings import Embedded, Settings
    from genesis_otel._store.dedupe import Removed
    from genesis_otel._store.reprice import Repriced

Days = Annotated[
    int | None,
    typer.Option(parser=between(int, 0), metavar="DAYS", help="0 keeps rows forever; by default, nothing changes."),
]


@answering
def init(
    context: typer.Context,
    llm_logs_ttl_days: Days = None,
    agent_actions_ttl_days: Days = None,
    traces_ttl_days: Days = None,
    backfill: Annotated[
        bool,
        typer.Option(
            "--backfill", help="Fill the tables from spans already in otel_traces; if interrupted, run it again."
        ),
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Create everything ON CLUSTER NAME, with replicated engines."),
    ] = None,
) -> None:
    """Create or upgrade the tables, and set how long rows are kept.

    A second run changes nothing. Tables of the first logger are migrated with all their rows; stop the searches that write to
    them first. A search creates missing tables when it connects, so you need this only for retention and upgrades.

    An otel_traces that a collector created is left unchanged: the views are attached to it and process the spans that arrive from
    then on; --backfill processes those already there, oldest first. Rows are identified by their spans, so none is stored twice.

    ```
    genesis-otel init
    genesis-otel init --llm-logs-ttl-days 30 --agent-actions-ttl-days 90
    genesis-otel init --backfill
    ```

    The evolution tables are kept forever. Raw traces are kept for 90 days, unless --traces-ttl-days says otherwise.
    """
    import contextlib

    from genesis_otel._destinations import open_client
    from genesis_otel._store.backfill import backfill as filling
    from genesis_otel._store.schema import init_schema

    settings = settings_of(context)
    with contextlib.closing(open_client(settings, start=True, create=True, say=True)) as client:
        done = init_schema(
            client,
            llm_logs_ttl_days=llm_logs_ttl_days,
            agent_actions_ttl_days=agent_actions_ttl_days,
            traces_ttl_days=traces_ttl_days,
            cluster=cluster,
        )
        for line in done or ["Nothing to do: the tables are up to date."]:
            typer.echo(line)
        if backfill:
            rows: Counter[str] = Counter()
            for stretch, gained in filling(client):
                rows.update(gained)
                say(
                    f"{stretch.begin:%Y-%m-%d %H:%M}: {counted(stretch.spans, 'span')}, {counted(sum(gained.values()), 'row')} gained"
                )
            told = ", ".join(f"{table} {count:,}" for table, count in rows.items() if count)
            typer.echo(
                f"The tables gained {told}." if told else "Nothing to backfill: every span of a search has its rows."
            )


REPRICED = {
    "model": Column("model"),
    "provider": Column("provider", brief=-1),
    "cost_source": Column("cost source"),
    "calls": Column("calls", lambda calls: f"{calls:,}"),
    "cost": Column("cost", dollars),
}


REMOVED = {"model": Column("model"), "rows": Column("rows removed", lambda rows: f"{rows:,}")}


@answering
def reprice(
    context: typer.Context,
    run: OnlyRun = "",
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Also retry calls whose price was unknown: newer price lists may include their model."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    format: FormatOption = None,
) -> None:
    """Compute the cost of LLM calls that were recorded without one, from their tokens.

    Calls that other instrumentations recorded in processes without this package have no cost. It is computed from your own
    prices (GENESIS_OTEL_PRICES) or from genai-prices, as of the day of the call. Calls without tokens, and calls of models
    without a known price, stay at 0, and cost_source says why. A second run changes nothing.

    ```
    genesis-otel reprice --dry-run
    genesis-otel reprice
    genesis-otel reprice --run latest
    pip install -U genai-prices && genesis-otel reprice --again
    ```
    """
    import contextlib

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from genesis_otel._destinations import open_client
    from genesis_otel._read.client import run_id_of
    from genesis_otel._store import reprice as _reprice
    from genesis_otel._store import version

    console = Console(file=sys.stderr)
    settings = settings_of(context)
    with contextlib.closing(open_client(settings, start=True, say=True)) as client:
        version.see(client)
        run_id = run_id_of(client, run) if run else ""
        total = _reprice.open_calls(client, run_id=run_id, again=again)
        columns = (TextColumn("Calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=total)
            changed = _reprice.reprice(
                client,
                run_id=run_id,
                again=again,
                dry_run=dry_run,
                own=settings.own_prices,
                progress=lambda rows: bar.advance(task, rows),
            )
        left = 0 if again or dry_run else _reprice.open_calls(client, run_id=run_id, again=True)
    _changes(changed, "every call has a cost, or is known not to have one", REPRICED, format, dry_run=dry_run)
    if left:
        say(
            f"Without a known price or tokens: {counted(left, 'call')}. With new prices, try them again: genesis-otel reprice --again"
        )


@answering
def dedupe(
    context: typer.Context,
    run: OnlyRun = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and change nothing.")] = False,
    format: FormatOption = None,
) -> None:
    """Remove duplicate rows of LLM calls that several instrumentations recorded, keeping one row per call.

    In processes with this package, each call is one row from the start. Elsewhere, the spans of a framework and of the client
    beneath it are separate rows until this command runs. The embedded store does it automatically. A second run changes nothing.

    ```
    genesis-otel dedupe --dry-run
    genesis-otel dedupe
    ```
    """
    import contextlib

    from genesis_otel._destinations import open_client
    from genesis_otel._read.client import run_id_of
    from genesis_otel._store import version
    from genesis_otel._store.dedupe import dedupe as remove

    with contextlib.closing(open_client(settings_of(context), start=True, say=True)) as client:
        version.see(client)
        removed = remove(client, run_id=run_id_of(client, run) if run else "", dry_run=dry_run)
    _changes(removed, "every call is one row", REMOVED, format, dry_run=dry_run)


def _changes(
    changes: Sequence[Repriced] | Sequence[Removed],
    nothing: str,
    columns: Mapping[str, Column],
    format: Format | None,
    *,
    dry_run: bool,
) -> None:
    """Write what was changed, or would be; ``nothing`` says why there is nothing to change."""
    if not changes:
        say(f"Nothing to do: {nothing}.")
        write_none(format)
        return
    write(list(changes[0]._fields), [changes], format, columns=columns)
    if dry_run:
        say("Nothing was changed. Run it without --dry-run to change it.")


@answering
def check(context: typer.Context) -> None:
    """Test the connection, and show where spans go.

    It tries what a search will do, creates nothing, and says how to fix each failure.

    ```
    genesis-otel check
    CLICKHOUSE_URL=https://user:password@host:8443/database genesis-otel check
    ```
    """
    from genesis_otel._read.check import check as run

    run(settings_of(context), typer.echo)


@answering
def serve(
    context: typer.Context,
    port: PortOption = 0,
    host: HostOption = "127.0.0.1",
    idle_timeout: Annotated[
        float | None,
        typer.Option(
            parser=between(float, 0),
            metavar="SECONDS",
            help="Exit after this time without work; by default only at Ctrl-C.",
        ),
    ] = None,
) -> None:
    """Run the embedded store's process in the foreground, for collectors, Grafana and ClickHouse's clients.

    Searches and commands start one in the background when they need it. Use this command for a fixed port, for tools that
    stay connected, or to see its log. It offers ClickHouse's HTTP interface to two users, each with its own password:
    genesis owns the store, and reader can only read.

    New passwords are generated at each start and stored in serve.json beside the data, unless the environment sets them with
    GENESIS_OTEL_SERVE_PASSWORD and GENESIS_OTEL_SERVE_READER_PASSWORD.

    It is meant for one machine and is not a ClickHouse server: it has no replicas, no other users, no native protocol, and no
    access to files, URLs or other servers. docs/serve.md lists what it covers.

    ```
    genesis-otel serve --port 8123
    GENESIS_OTEL_SERVE_PASSWORD=... GENESIS_OTEL_SERVE_READER_PASSWORD=... genesis-otel serve --port 8123
    ```
    """
    from genesis_otel._serve import client as store_process
    from genesis_otel._serve import folder as store_folder
    from genesis_otel._serve import process
    from genesis_otel._store.errors import StoreError

    settings = settings_of(context)
    store = _embedded(settings)
    address = store_process.running(store.folder)
    if address:
        raise StoreError(
            f"process {address.pid} already serves {store} on http://{address.host}:{address.port}; "
            f"it exits when it is idle, or now with: kill {address.pid}"
        )

    def ready(address: store_folder.Address) -> None:
        secret = store.folder / store_folder.ADDRESS
        typer.echo(
            f"{store} answers on http://{address.host}:{address.port} to user genesis, and read-only to user reader; "
            f"the passwords are in {secret}"
        )
        say("It is meant for one machine and is not a ClickHouse server. Press Ctrl-C to end it.")
        if host not in store_folder.LOOPBACK:
            say(f"Warning: on {host} it is HTTP without TLS: passwords, prompts and code can be read in transit.")

    passwords = (settings.serve_password, settings.serve_reader_password)
    password, reader_password = (told.get_secret_value() if told else None for told in passwords)
    process.serve(
        store.folder,
        idle_timeout=idle_timeout,
        host=host,
        port=port,
        password=password,
        reader_password=reader_password,
        ready=ready,
    )


@answering
def stop(
    context: typer.Context,
    timeout: Annotated[
        float,
        typer.Option(parser=between(float, 0), metavar="SECONDS", help="The longest time to wait for it to exit."),
    ] = 30.0,
) -> None:
    """Stop the embedded store's process, which searches and commands start when they need it.

    Nothing is lost: it exits after its current batch, and what searches record meanwhile waits on disk for the next process.

    ```
    genesis-otel stop
    ```
    """
    from genesis_otel._serve import client as store_process
    from genesis_otel._serve import folder as store_folder
    from genesis_otel._ship.spool.status import status

    store = _embedded(settings_of(context))
    pid = store_process.stop(store.folder, timeout)
    waiting = status(store.folder / store_folder.SPOOL).waiting
    left = f"; {counted(waiting, 'span')} left on disk for the next one" if waiting else ""
    say(
        f"No process serves {store}{left}."
        if pid is None
        else f"Process {pid}, which served {store}, has exited{left}."
    )


def _embedded(settings: Settings) -> Embedded:
    from genesis_otel._settings import Embedded
    from genesis_otel._store.errors import StoreError

    if not isinstance(settings.store, Embedded):
        raise StoreError(
            "only the embedded store has a store process, but CLICKHOUSE_URL names another store: unset it"
        )
    return settings.store
