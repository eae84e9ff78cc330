"""The command ``genesis-otel``: arguments only; what they ask for is done elsewhere.

In: a command line. Out: answers on standard output, everything said about them on standard error. On failure: a line that
says what is wrong and what to do, and an exit code: 1 failed, 2 wrong use, 3 nothing found, 130 interrupted. A reader that
has had enough (``| head``) is no failure.
"""

from __future__ import annotations

import ast
import functools
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, ParamSpec

import typer

from genesis_otel import _cli_grafana, _cli_report, _cli_watch
from genesis_otel._render import (
    Column,
    Format,
    ago,
    dollars,
    moment,
    number,
    one_line,
    say,
    signed,
    write,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel._config import Settings
    from genesis_otel.queries import Query

log = logging.getLogger(__name__)

FAILED, WRONG_USE, NOTHING_FOUND, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="genesis-otel",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
spool_app = typer.Typer(no_args_is_help=False)

WIDTH_OF_A_FILE = 140
"""Characters that a line of the demo's summary may have where there is no terminal."""

P = ParamSpec("P")


class Told(NamedTuple):
    """The options that stand before the command."""

    url: str | None


class WrongUseError(Exception):
    """Arguments that make no sense together."""


# --- around every command ---------------------------------------------------------------------------------------------


def answering(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what goes wrong in a command into a line and an exit code."""

    @functools.wraps(command)
    def answered(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:
            # What is buffered has no reader; else Python complains at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code, text = judged(error)
            log.debug("the command failed", exc_info=True)
            say(f"Error: {text}")
            raise typer.Exit(code) from None

    return answered


def judged(error: Exception) -> tuple[int, str]:
    """The exit code of an error and what is said of it."""
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "a package").partition(".")[0].replace("_", "-")
        return FAILED, f"{missing} not installed: pip install {missing}"
    from clickhouse_connect.driver.exceptions import Error

    from genesis_otel._clickhouse import StoreError
    from genesis_otel._reader import AmbiguousError, NotFoundError, brief
    from genesis_otel.queries import ParameterError, UnknownQueryError

    if isinstance(error, (NotFoundError, AmbiguousError)):
        return NOTHING_FOUND if isinstance(error, NotFoundError) else WRONG_USE, str(error)
    if isinstance(error, (UnknownQueryError, ParameterError, WrongUseError)):
        return WRONG_USE, str(error.args[0])
    if isinstance(error, Error):
        return FAILED, brief(error)
    if isinstance(error, (StoreError, ValueError, OSError)):
        return FAILED, str(error)
    return (
        FAILED,
        f"{type(error).__name__}: {error} (this is a fault of genesis-otel; -v before the command shows where)",
    )


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """The settings, with ``--url`` before ``CLICKHOUSE_URL``."""
    from genesis_otel._config import load_settings

    told: Told = context.obj
    return load_settings(**({"clickhouse_url": told.url} if told.url else {}), **overrides)


def version(wanted: bool) -> None:
    """Say it and end."""
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
            "Other users of this machine see a command's arguments: prefer the variable where there is a password.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what goes on, and where an error comes from.")
    ] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Records LLM-driven evolutionary searches as OpenTelemetry spans, and reads the seven ClickHouse tables they fill.

    Without `CLICKHOUSE_URL` the store is on this machine: ClickHouse's engine, embedded. Nothing needs to be started.

    **First steps**

    ```
    genesis-otel demo                            a real search, recorded, without a network
    genesis-otel runs                            what there is
    genesis-otel lineage latest                  where the best program comes from
    genesis-otel query --list                    questions that have a name
    genesis-otel query llm_latency               one of them
    genesis-otel query "SELECT count() FROM individuals"
    ```

    **Exit codes**: 0 done, 1 failed (the store cannot be reached, a statement is refused), 2 wrong use,
    3 nothing found (no such run or individual), 130 interrupted.
    """
    context.obj = Told(url)
    handler = logging.StreamHandler()
    # What the libraries beneath cannot do is told by the error, once.
    handler.addFilter(lambda record: verbose or record.name.startswith(("genesis_otel", "opentelemetry")))
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", handlers=[handler])
    logging.getLogger("genesis_otel").setLevel(logging.DEBUG if verbose else logging.WARNING)


FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", "-f", help="By default a table in a terminal, and tab-separated values in a pipe or file."
    ),
]

# --- the store --------------------------------------------------------------------------------------------------------

Days = Annotated[int | None, typer.Option(min=0, metavar="DAYS", help="0 keeps all; not given, nothing changes.")]


@app.command()
@answering
def init(
    context: typer.Context,
    llm_logs_ttl_days: Days = None,
    agent_actions_ttl_days: Days = None,
    traces_ttl_days: Days = None,
    backfill: Annotated[
        bool,
        typer.Option("--backfill", help="Fill the tables from what otel_traces holds already; run again, it goes on."),
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make everything ON CLUSTER NAME, with replicated engines."),
    ] = None,
) -> None:
    """Make or upgrade the tables, and say how long to keep what.

    Run again, it changes nothing. Tables of the first logger are taken over with every row kept; stop the searches that
    write to them first. Tables are also made when a search first connects, so this is for retention and upgrades.

    An otel_traces that a collector made is left as it is: the views are attached to it and take what comes in from then on,
    and --backfill takes what is there already, oldest first. Rows are told apart by their spans, so none comes twice.

    ```
    genesis-otel init
    genesis-otel init --llm-logs-ttl-days 30 --agent-actions-ttl-days 90
    genesis-otel init --backfill
    ```

    The evolution tables are kept for good. The raw traces stay 90 days unless --traces-ttl-days says otherwise.
    """
    import contextlib

    from genesis_otel._backfill import backfill as filling
    from genesis_otel._config import open_client
    from genesis_otel._schema import init_schema

    settings = settings_of(context)
    with contextlib.closing(open_client(settings, start=True)) as client:
        done = init_schema(
            client,
            llm_logs_ttl_days=llm_logs_ttl_days,
            agent_actions_ttl_days=agent_actions_ttl_days,
            traces_ttl_days=traces_ttl_days,
            cluster=cluster,
        )
        for line in done or ["Nothing to do: the tables are as they should be."]:
            typer.echo(line)
        if backfill:
            rows: Counter[str] = Counter()
            for stretch, gained in filling(client):
                rows.update(gained)
                say(f"{stretch.begin:%Y-%m-%d %H:%M}: {stretch.spans:,} spans, {sum(gained.values()):,} rows gained")
            told = ", ".join(f"{table} {count:,}" for table, count in rows.items() if count)
            typer.echo(
                f"The tables gained {told}." if told else "Nothing to fill in: every span of a search has its rows."
            )


REPRICED = {
    "model": Column("model"),
    "provider": Column("provider", brief=-1),
    "cost_source": Column("cost source"),
    "calls": Column("calls", lambda calls: f"{calls:,}"),
    "cost": Column("cost", dollars),
}


@app.command()
@answering
def reprice(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Option(
            metavar="RUN", show_default=False, help="Calls of this run alone: its id, the beginning of it, or latest."
        ),
    ] = "",
    again: Annotated[
        bool,
        typer.Option("--again", help="Look again at calls whose model was unknown: a newer price list may have it."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    format: FormatOption = None,
) -> None:
    """Compute the cost of LLM calls that came in without one, from their tokens.

    What never met this package has no cost: calls that other instrumentations recorded, in other processes. They get the
    one that genai-prices computes, at the prices of the call's day. Calls without tokens, and of models that the price list
    does not know, stay at 0 and say so in cost_source. Run again, it changes nothing.

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

    from genesis_otel import _reprice
    from genesis_otel._config import open_client
    from genesis_otel._reader import run_id_of

    console = Console(file=sys.stderr)
    with contextlib.closing(open_client(settings_of(context), start=True)) as client:
        run_id = run_id_of(client, run) if run else ""
        total = _reprice.open_calls(client, run_id=run_id, again=again)
        columns = (TextColumn("Calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=total)
            changed = _reprice.reprice(
                client, run_id=run_id, again=again, dry_run=dry_run, progress=lambda rows: bar.advance(task, rows)
            )
    if not changed:
        say("Nothing to do: every call has a cost, or is known to have none.")
        return
    write(list(changed[0]._fields), [changed], format, columns=REPRICED)
    if dry_run:
        say("Nothing was changed: the same without --dry-run does it.")


@app.command()
@answering
def check(context: typer.Context) -> None:
    """Test the connection, and say where spans go.

    Every failure says what to do about it. The tables are made when they are not there yet.

    ```
    genesis-otel check
    CLICKHOUSE_URL=https://user:password@host:8443/database genesis-otel check
    ```
    """
    from genesis_otel._check import check as run

    run(settings_of(context), typer.echo)


@app.command()
@answering
def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen. Beyond this machine it is HTTP without TLS.")
    ] = "127.0.0.1",
    idle_timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="End after so long without work; by default at Ctrl-C alone."),
    ] = None,
) -> None:
    """Be the store process of the embedded store, in the foreground, for collectors, Grafana and ClickHouse's clients.

    Searches and commands start one in the background when they need it; this is for looking at it, for a fixed port, and
    for tools that stay connected. It answers ClickHouse's HTTP interface to two users, each with a password of its own:
    genesis owns the store, reader can only read.

    The passwords are new at each start, and stand in serve.json beside the data, unless the environment tells them:
    GENESIS_OTEL_SERVE_PASSWORD and GENESIS_OTEL_SERVE_READER_PASSWORD.

    It is for one machine and is not a ClickHouse server: no replicas, no users but these, no native protocol, no access
    to files, URLs and other servers. docs/serve.md says what it covers.

    ```
    genesis-otel serve --port 8123
    GENESIS_OTEL_SERVE_PASSWORD=... GENESIS_OTEL_SERVE_READER_PASSWORD=... genesis-otel serve --port 8123
    ```
    """
    from genesis_otel import _serve
    from genesis_otel._clickhouse import StoreError
    from genesis_otel._config import Embedded

    settings = settings_of(context)
    store = settings.store
    if not isinstance(store, Embedded):
        raise StoreError("only the embedded store has a store process, and CLICKHOUSE_URL names another: unset it")
    address = _serve.running(store.folder)
    if address:
        raise StoreError(
            f"process {address.pid} serves {store} already, on http://{address.host}:{address.port}; "
            f"it ends by itself when it is idle, or at once with: kill {address.pid}"
        )

    def ready(address: _serve.Address) -> None:
        secret = store.folder / _serve.ADDRESS
        typer.echo(
            f"{store} answers on http://{address.host}:{address.port} as user genesis, and to read as user reader; "
            f"the passwords are in {secret}"
        )
        say("It is for one machine, and not a ClickHouse server. Ctrl-C ends it.")
        if host not in _serve.LOOPBACK:
            say(f"Warning: on {host} it is HTTP without TLS: passwords, prompts and code can be read on the way.")

    passwords = (settings.serve_password, settings.serve_reader_password)
    password, reader_password = (told.get_secret_value() if told else None for told in passwords)
    _serve.serve(
        store.folder,
        idle_timeout=idle_timeout,
        host=host,
        port=port,
        password=password,
        reader_password=reader_password,
        ready=ready,
    )


@app.command()
@answering
def demo(
    context: typer.Context,
    iterations: Annotated[int, typer.Option("--iterations", "-n", min=1, help="Programs to try.")] = 40,
    real: Annotated[
        bool,
        typer.Option("--real", help="Ask a real model: needs OPENAI_API_KEY, and costs cents (OPENAI_BASE_URL too)."),
    ] = False,
    model: Annotated[str, typer.Option(help="The model that is asked.")] = "gpt-4.1-mini",
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the record there, instead of your data folder.")
    ] = None,
) -> None:
    """Run a real OpenEvolve search, record it, and show what landed.

    It packs circles into a square. The model is simulated on loopback and answers the same every time, so this needs
    neither a network nor a key. What it records stays: look at it with runs, lineage and query.

    ```
    genesis-otel demo
    OPENAI_API_KEY=... genesis-otel demo --real --model gpt-4.1-mini -n 20
    ```
    """
    import contextlib

    from rich.console import Console

    from genesis_otel._config import open_client
    from genesis_otel.demo.search import run_demo, summarise

    settings = settings_of(context, **({"data_dir": data_dir} if data_dir else {}))
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    result = run_demo(iterations=iterations, real=real, model=model, progress=console, settings=settings)
    with contextlib.closing(open_client(settings, start=True)) as client:
        summarise(client, result.run_id, console)
    if data_dir:
        say(f"\nThe commands find this record with: export GENESIS_OTEL_DATA_DIR={data_dir.absolute()}")


# --- reading ----------------------------------------------------------------------------------------------------------

STATUS = {"running": "cyan", "completed": "green", "failed": "red"}

RUNS = {
    "run_id": Column("run"),
    "task_name": Column("task", brief=-1),
    "status": Column("status", style=lambda status: STATUS.get(status, "")),
    "generations": Column("gens"),
    "individuals": Column("indivs"),
    "best_score": Column("best", number),
    "cost": Column("cost", dollars),
    "start_time": Column("started", moment, brief=-1),
    "silent_seconds": Column("seen", ago),
}

LINEAGE = {
    "generation": Column("gen", number),
    "individual_id": Column("individual", brief=8),
    "mutation_type": Column("how"),
    "fitness_score": Column("score", number),
    "gain": Column("gain", signed, lambda gain: "" if not gain else "green" if gain > 0 else "red"),
    "edit_summary": Column("what changed", one_line),
    "models": Column("model", lambda models: ", ".join(models), brief=12),
    "cost": Column("cost", dollars),
    "other_parents": Column("other parents", lambda parents: ", ".join(parents), brief=8),
    "trace_id": Column("trace", brief=8),
}


@app.command()
@answering
def runs(
    context: typer.Context,
    task: Annotated[str, typer.Option(metavar="TASK", show_default=False, help="Runs of this task alone.")] = "",
    status: Annotated[
        str, typer.Option(metavar="STATUS", show_default=False, help="running, completed or failed alone.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 20,
    format: FormatOption = None,
) -> None:
    """List runs: how far each is, its best score, its cost, and when it last gave a sign of life.

    A run that was killed stays "running": its last sign of life tells.

    ```
    genesis-otel runs
    genesis-otel runs --task circle_packing --status running
    genesis-otel runs --format json | jq -r '.[].run_id'
    ```
    """
    from genesis_otel import queries
    from genesis_otel._reader import NotFoundError, reader

    with reader(settings_of(context)) as client:
        rows = queries.ask(client, "runs", task=task, status=status, limit=limit)
    if not rows:
        which = " ".join(filter(None, (f"of the task {task!r}" if task else "", f"that is {status}" if status else "")))
        raise NotFoundError(
            f"there is no run {which}" if which else "there is no run yet: `genesis-otel demo` makes one"
        )
    write(list(rows[0]), [[list(row.values()) for row in rows]], format, columns=RUNS)


@app.command()
@answering
def lineage(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, the beginning of it, or latest.")],
    individual: Annotated[
        str,
        typer.Argument(
            metavar="[INDIVIDUAL]", show_default=False, help="Its id or the beginning of it; else the best."
        ),
    ] = "",
    format: FormatOption = None,
) -> None:
    """Show where an individual comes from, from the seed on: what each step changed, gained and cost.

    Of several parents the chain follows the first. The trace id leads to the individual's LLM calls and evaluation.

    ```
    genesis-otel lineage latest
    genesis-otel lineage run_20240115 ind_gen5_123
    genesis-otel lineage latest --format json | jq '.[] | {gain, edit_summary}'
    ```
    """
    from dataclasses import asdict

    from genesis_otel._reader import individual_id_of, reader, run_id_of
    from genesis_otel.ancestry import ancestors

    with reader(settings_of(context)) as client:
        run_id = run_id_of(client, run)
        individual_id = individual_id_of(client, run_id, individual)
        rows = [asdict(step) for step in ancestors(client, run_id, individual_id)]
    shown = dict(LINEAGE)
    if not any(row["other_parents"] for row in rows):
        del shown["other_parents"]
    title = f"{individual_id} of {run_id}, in {len(rows) - 1} steps"
    write(list(rows[0]), [[list(row.values()) for row in rows]], format, title=title, columns=shown)


@app.command()
@answering
def query(
    context: typer.Context,
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL|NAME|-", show_default=False, help="SQL, a query's name, or - for SQL on standard input."
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", show_default=False, help="A parameter; may stand often."),
    ] = None,
    format: FormatOption = None,
    list_queries: Annotated[bool, typer.Option("--list", "-l", help="List the queries that have a name.")] = False,
    show: Annotated[
        bool, typer.Option("--show", "-s", help="Show a named query's parameters and SQL, and do not run it.")
    ] = False,
) -> None:
    """Ask the store in SQL, or by a query's name. It only reads.

    Parameters stand in SQL as {name:Type}. A run_id may be given by its beginning, or as latest, which is also what named
    queries ask about when nothing is said. Times are yours in tables, and UTC everywhere else.

    ```
    genesis-otel query --list
    genesis-otel query top_individuals --param limit=3
    genesis-otel query breakthroughs -p run_id=run_2024 -p threshold=0.2 --format csv
    genesis-otel query "SELECT model, sum(cost) FROM llm_logs WHERE generation > {g:Int32} GROUP BY model" -p g=5
    genesis-otel query - < question.sql
    genesis-otel query --show llm_latency
    ```
    """
    from genesis_otel import queries

    if list_queries:
        every = [queries.load(name) for name in queries.names()]
        told = [[each.name, each.title, " ".join(map(_told, each.parameters))] for each in every]
        write(["name", "title", "parameters"], [told], format)
        return
    if statement is None:
        raise WrongUseError("give SQL or a query's name; --list lists them, --help has examples")
    text = (sys.stdin.read() if statement == "-" else statement).strip()
    if not text:
        raise WrongUseError("there is no SQL on standard input" if statement == "-" else "the SQL is empty")
    named = queries.load(text) if re.fullmatch(r"[A-Za-z][\w-]*", text) else None
    if show:
        if named is None:
            raise WrongUseError("--show needs the name of a query; --list lists them")
        _describe(named)
        return
    _ask(context, named, text, _pairs(param or []), format)


def _ask(
    context: typer.Context, named: Query | None, sql: str, given: Mapping[str, str], format: Format | None
) -> None:
    from clickhouse_connect.driver.exceptions import Error

    from genesis_otel import queries
    from genesis_otel._reader import hint, reader, stream

    types = queries.placeholders(named.sql if named else sql)
    values: dict[str, Any] = queries.values(named, given) if named else dict(given)
    unknown = [name for name in values if name not in types]
    if unknown:
        raise WrongUseError(f"{{{unknown[0]}:...}} does not stand in the SQL")
    with reader(settings_of(context)) as client:
        values = {name: _value(client, name, types[name], value) for name, value in values.items()}
        title = named.title if named else ""
        if named and values.get("run_id"):
            title += f" ({values['run_id']})"
        try:
            with stream(client, named.sql if named else sql, values) as (names, blocks):
                write(names, blocks, format, title=title)
        except Error as error:
            said = hint(error, sql)
            code, text = judged(error)
            say(f"Error: {text}")
            if said:
                say(said)
            raise typer.Exit(code) from None


def _value(client: Client, name: str, kind: str, value: str) -> Any:
    """What ClickHouse is given for a parameter that was typed."""
    from genesis_otel._reader import run_id_of

    if name == "run_id" and value:
        return run_id_of(client, value)
    if kind.startswith(("Array", "Tuple", "Map")):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise WrongUseError(f"{name} is {value!r}, which is no {kind}; an array is written ['a', 'b']") from None
    return value


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name.isidentifier():
            raise WrongUseError(f"a parameter is NAME=VALUE, and {each!r} is not")
        pairs[name] = value
    return pairs


def _told(parameter: Any) -> str:
    return parameter.name if parameter.default is None else f"{parameter.name}={parameter.default}"


def _describe(named: Query) -> None:
    typer.echo(f"-- {named.title}\n-- {named.description}")
    for each in named.parameters:
        default = "required" if each.default is None else f"default: {each.default!r}"
        typer.echo(f"--   {each.name} {each.type} ({default}): {each.meaning}")
    typer.echo(named.sql)


# --- the spool --------------------------------------------------------------------------------------------------------


@spool_app.callback(invoke_without_command=True)
@answering
def spool(context: typer.Context, format: FormatOption = None) -> None:
    """Show what waits on its way to the store, what it refused, and what was lost.

    A search writes its spans to this spool before anything else. They wait there during an outage, and when the search was
    killed; the next process that records to the same store delivers them, or: genesis-otel spool drain
    """
    if context.invoked_subcommand:
        return
    from genesis_otel._spooled import others
    from genesis_otel._spooled import spool as look

    settings = settings_of(context)
    found = look(settings)
    write(
        list(found._fields),
        [[list(found)]],
        format,
        title=f"Spool of {found.destination}",
        columns={
            "waiting": Column("waiting"),
            "bytes": Column("bytes", lambda size: f"{size:,}"),
            "oldest_seconds": Column("oldest", lambda age: ago(age) if found.waiting else ""),
            "writers": Column("searches writing"),
            "dead": Column("refused", style=lambda count: "red" if count else ""),
            "dropped": Column("lost", style=lambda count: "red" if count else ""),
            "folder": Column("folder"),
        },
    )
    for folder in others(settings):
        say(f"For another destination, spans wait in {folder}: they go out when something records or drains there.")
    if found.dead:
        say("genesis-otel spool dead lists what was refused and why.")


@spool_app.command("drain")
@answering
def spool_drain(
    context: typer.Context,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the embedded store.")
    ] = 60.0,
) -> None:
    """Deliver what waits, now. What a running search holds is left to it."""
    from genesis_otel._spooled import deliver

    done = deliver(settings_of(context), timeout)
    typer.echo(f"{done.delivered:,} spans delivered, {done.waiting:,} wait.")


@spool_app.command("dead")
@answering
def spool_dead(context: typer.Context, format: FormatOption = None) -> None:
    """List the spans that the store refused for their content, and why."""
    from genesis_otel._spooled import Letter, letters

    rows = [list(letter) for letter in letters(settings_of(context))]
    if not rows:
        say("There are none.")
        return
    write(list(Letter._fields), [rows], format, title="Refused spans")
    say("genesis-otel spool requeue sends them once more, for instance after an upgrade.")


@spool_app.command("requeue")
@answering
def spool_requeue(context: typer.Context) -> None:
    """Send the refused spans once more, for instance after an upgrade of the store."""
    from genesis_otel._spooled import retry

    typer.echo(f"{retry(settings_of(context)):,} spans are in the spool again: genesis-otel spool drain")


app.add_typer(spool_app, name="spool")
app.command()(answering(_cli_report.report))
app.command()(answering(_cli_watch.watch))
app.add_typer(_cli_grafana.app(answering), name="grafana")


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
