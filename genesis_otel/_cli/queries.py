"""The commands that ask the store: ``runs``, ``lineage``, ``query``.

In: arguments. Out: a table in a terminal, tab-separated values in a pipe, or the requested format. On failure: as
:mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from genesis_otel._cli import completion
from genesis_otel._cli.columns import STATUS, Column
from genesis_otel._cli.common import (
    FAILED,
    FormatOption,
    IndividualArgument,
    RunArgument,
    WrongUseError,
    answering,
    between,
    settings_of,
)
from genesis_otel._cli.tables import Format, Written, say, write, write_none
from genesis_otel._money import dollars, unpriced
from genesis_otel._read.format import ago, counted, moment, number, one_line, signed, size
from genesis_otel._store.new_file import whole

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel._settings import Settings
    from genesis_otel.queries import Parameter, Query


RUNS = {
    "run_id": Column("run", brief=13, middle=True),
    "task_name": Column("task", brief=14, middle=True),
    "status": Column("status", style=lambda status: STATUS.get(status, "")),
    "generations": Column("gens", brief=-1),
    "individuals": Column("indivs"),
    "failed": Column("failed", brief=-1),
    "incorrect": Column("incorrect", brief=-1),
    "best_score": Column("best", number),
    "cost": Column("cost", dollars),
    "unpriced": Column("", unpriced),
    "tags": Column("tags", lambda tags: ", ".join(tags), brief=-1),
    "start_time": Column("started", moment, brief=-1),
    "silent_seconds": Column("seen", ago),
}

LINEAGE = {
    "generation": Column("gen", number),
    "individual_id": Column("individual", brief=13, middle=True),
    "mutation_type": Column("how", brief=12),
    "fitness_score": Column("score", number),
    "gain": Column("gain", signed, lambda gain: "" if not gain else "green" if gain > 0 else "red"),
    "edit_summary": Column("what changed", one_line),
    "models": Column("model", lambda models: ", ".join(models), brief=-1),
    "cost": Column("cost", dollars),
    "unpriced": Column("", unpriced),
    "other_parents": Column("other parents", lambda parents: ", ".join(parents), brief=-1),
    "trace_id": Column("trace", brief=-1),
}


@answering
def runs(
    context: typer.Context,
    task: Annotated[str, typer.Option(metavar="TASK", show_default=False, help="Show only runs of this task.")] = "",
    status: Annotated[
        str,
        typer.Option(
            metavar="STATUS",
            show_default=False,
            help="Show only runs with this status: running, stalled, completed, stopped or failed.",
            autocompletion=completion.statuses,
        ),
    ] = "",
    tag: Annotated[
        str, typer.Option(metavar="TAG", show_default=False, help="Show only runs with this tag; see `tag`.")
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", parser=between(int, 1), help="Show only the newest N runs.")
    ] = 20,
    close_stalled: Annotated[
        bool,
        typer.Option("--close-stalled", help="End stalled runs as failed, at their last sign of life, and list them."),
    ] = False,
    format: FormatOption = None,
) -> None:
    """List runs with their progress, best score, cost and last sign of life.

    A run that has been silent for 15 minutes (GENESIS_OTEL_STALLED_AFTER) is "stalled", unless its process lives on this
    machine. A cost leaves out the calls that are "unpriced".

    ```
    genesis-otel runs
    genesis-otel runs --task circle_packing --status running
    genesis-otel runs --close-stalled
    genesis-otel runs --tag baseline
    genesis-otel runs --format json | jq -r '.[].run_id'
    ```
    """
    from genesis_otel._read import health
    from genesis_otel._read.client import NotFoundError, reader

    settings = settings_of(context)
    with reader(settings) as client:
        if close_stalled:
            rows = _closed(client, settings, task)
        else:
            rows = health.runs(client, settings.stalled_after, task=task, status=status, tag=tag, limit=limit)
    if close_stalled and not rows:
        say("No run is stalled.")
        write_none(format)
        return
    if not rows:
        asked = (task and f"of the task {task!r}", status and f"that is {status}", tag and f"with the tag {tag!r}")
        which = " ".join(filter(None, asked))
        known = "" if not status or status in STATUS else f"; a run is {', '.join(STATUS)}"
        raise NotFoundError(
            f"there is no run {which}{known}" if which else "there are no runs yet: `genesis-otel demo` records one"
        )
    columns = _shown(RUNS, rows, gives_way=("individuals", "silent_seconds"))
    write(list(rows[0]), [[list(row.values()) for row in rows]], format, columns=columns)


def _closed(client: Client, settings: Settings, task: str) -> list[dict[str, Any]]:
    """End the stalled runs, and return them."""
    from genesis_otel._read import health
    from genesis_otel._read.close import close

    stalled = health.runs(client, settings.stalled_after, task=task, status="stalled", limit=health.OPEN)
    if stalled:
        close(settings, stalled)
    return [{**row, "status": "failed"} for row in stalled]


def _shown(
    columns: dict[str, Column], rows: Sequence[Mapping[str, Any]], gives_way: Sequence[str]
) -> dict[str, Column]:
    """``columns`` without optional ones that are empty in all rows.

    :param gives_way: the columns that a narrow terminal does without if some calls are unpriced, so that a row fits into 80 columns.
    """
    idle = [
        name
        for name in ("other_parents", "failed", "incorrect", "unpriced", "tags")
        if not any(row.get(name) for row in rows)
    ]
    shown = {name: column for name, column in columns.items() if name not in idle}
    return shown if "unpriced" in idle else shown | {name: shown[name]._replace(brief=-1) for name in gives_way}


@answering
def lineage(
    context: typer.Context,
    run: RunArgument = "latest",
    individual: IndividualArgument = "",
    format: FormatOption = None,
) -> None:
    """Show the ancestors of an individual, starting at the seed: what each step changed, gained and cost.

    Of several parents, the chain follows the first. The trace id leads to the individual's LLM calls and evaluation.

    ```
    genesis-otel lineage latest
    genesis-otel lineage run_20240115 ind_gen5_123
    genesis-otel lineage latest --format json | jq '.[] | {gain, edit_summary}'
    ```
    """
    from dataclasses import asdict

    from genesis_otel._read.ancestry import ancestors
    from genesis_otel._read.client import individual_id_of, reader, run_id_of

    with reader(settings_of(context)) as client:
        run_id = run_id_of(client, run)
        individual_id = individual_id_of(client, run_id, individual)
        rows = [asdict(step) for step in ancestors(client, run_id, individual_id)]
    title = f"{individual_id} of {run_id}, in {counted(len(rows) - 1, 'step')}"
    columns = _shown(LINEAGE, rows, gives_way=("mutation_type",))
    write(list(rows[0]), [[list(row.values()) for row in rows]], format, title=title, columns=columns)


@answering
def query(
    context: typer.Context,
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL|NAME|-",
            show_default=False,
            help="SQL, the name of a query, or - to read SQL from standard input.",
            autocompletion=completion.named_queries,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", show_default=False, help="A parameter; may be repeated."),
    ] = None,
    format: Annotated[
        Written | None,
        typer.Option(
            "--format",
            "-f",
            help="By default a table in a terminal, the format of --output's suffix, or tab-separated values.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Write the answer into this new file."),
    ] = None,
    list_queries: Annotated[bool, typer.Option("--list", "-l", help="List the named queries.")] = False,
    show: Annotated[
        bool, typer.Option("--show", "-s", help="Show a named query's parameters and SQL without running it.")
    ] = False,
) -> None:
    """Run read-only SQL, or a named query.

    In SQL, write parameters as {name:Type}. Give a run_id as its id, the start of its id, or latest, which is the default of
    named queries. Times are in your time zone in tables, and in UTC in all other formats.

    ```
    genesis-otel query --list
    genesis-otel query top_individuals --param limit=3
    genesis-otel query breakthroughs -p run_id=run_2024 -p threshold=0.2 --format csv
    genesis-otel query "SELECT model, sum(cost) FROM llm_logs WHERE generation > {g:Int32} GROUP BY model" -p g=5
    genesis-otel query - < question.sql
    genesis-otel query "SELECT code FROM individuals WHERE individual_id = 'ind_1'" --format raw > program.py
    genesis-otel query "SELECT * FROM llm_logs" -o calls.parquet
    genesis-otel query --show llm_latency
    ```
    """
    from genesis_otel import queries

    if output is not None and (list_queries or show):
        raise WrongUseError("--output is for an answer: leave out --list and --show")
    written = format or (Written.__members__.get(output.suffix[1:]) if output else None)
    if written is Written.parquet and output is None:
        raise WrongUseError("Parquet can only be written to a file: name it, for instance with --output answer.parquet")
    if list_queries:
        every = [queries.load(name) for name in queries.names()]
        listed = [[each.name, each.title, " ".join(map(_usage, each.parameters))] for each in every]
        write(["name", "title", "parameters"], [listed], None if written is None else Format(written))
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
    _ask(context, named, text, _pairs(param or []), written, output)


def _ask(
    context: typer.Context,
    named: Query | None,
    sql: str,
    given: Mapping[str, str],
    written: Written | None,
    output: Path | None,
) -> None:
    from genesis_otel import queries
    from genesis_otel._destinations import ANSWER_TIMEOUT
    from genesis_otel._read import health, parquet
    from genesis_otel._read.client import brief, hint, reader, stream

    types = queries.placeholders(named.sql if named else sql)
    values: dict[str, Any] = queries.values(named, given) if named else queries.values_in(sql, given)
    # A statement that somebody typed may take long.
    settings = settings_of(context)
    of_one_run = named is not None and any(each.default == queries.LATEST for each in named.parameters)
    with reader(settings, answer_timeout=ANSWER_TIMEOUT) as client:
        values = {name: _value(client, name, types[name], value, of_one_run) for name, value in values.items()}
        if named:
            own = {name: values[name] for name in given}
            values |= health.known(client, named, own, settings.stalled_after)
        title = named.title if named else ""
        if named and values.get("run_id"):
            title += f" ({values['run_id']})"
        asked = named.sql if named else sql
        from clickhouse_connect.driver.exceptions import Error

        try:
            if written is Written.parquet and output is not None:
                say(f"{output}: {size(parquet.write(client, asked, values, output))}")
                return
            format = None if written is None else Format(written)
            with stream(client, asked, values) as (names, blocks), _opened(output) as out:
                write(names, blocks, format, title=title, out=out)
        except Error as error:
            say(f"Error: {brief(error)}")
            if todo := hint(error, sql):
                say(todo)
            raise typer.Exit(FAILED) from None


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[TextIO | None]:
    """A new file for an answer, which appears only once it is complete; None means standard output."""
    if output is None:
        yield None
        return
    with (
        whole(output) as aside,
        aside.open("x", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        yield file


def _value(client: Client, name: str, kind: str, value: str, of_one_run: bool) -> Any:
    """The value passed to ClickHouse for a parameter given on the command line.

    :param of_one_run: an empty name of a run is none: elsewhere, it stands for all runs.
    """
    from genesis_otel._read.client import run_id_of

    if name == "run_id" and (value or of_one_run):
        return run_id_of(client, value)
    if kind.startswith(("Array", "Tuple", "Map")):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise WrongUseError(
                f"{name} is {value!r}, which is not a valid {kind}; write an array as ['a', 'b']"
            ) from None
    return value


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name.isidentifier():
            raise WrongUseError(f"{each!r} is not a parameter of the form NAME=VALUE")
        pairs[name] = value
    return pairs


def _usage(parameter: Parameter) -> str:
    return parameter.name if parameter.default is None else f"{parameter.name}={parameter.default}"


def _describe(named: Query) -> None:
    typer.echo(f"-- {named.title}\n-- {named.description}")
    for each in named.parameters:
        default = "required" if each.default is None else f"default: {each.default!r}"
        typer.echo(f"--   {each.name} {each.type} ({default}): {each.meaning}")
    typer.echo(named.sql)
