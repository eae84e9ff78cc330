"""The commands that show single programs: ``show``, ``best``, ``diff``.

In: arguments. Out: what is known about a run or an individual; a program, its output or its prompts verbatim, ready for a file. On
failure: as :mod:`genesis_otel._cli.common` reports it; a program that was not recorded counts as nothing found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genesis_otel._cli import completion
from genesis_otel._cli.common import FormatOption, RunArgument, WrongUseError, answering, settings_of
from genesis_otel._cli.tables import Format, raw, say, write
from genesis_otel._money import dollars, money
from genesis_otel._read.format import ago, counted, duration, moment, number, plain, signed, visible

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

CodeOption = Annotated[bool, typer.Option("--code", help="Show only its program, verbatim.")]
PromptsOption = Annotated[bool, typer.Option("--prompts", help="Show only its prompts and the models' answers.")]

OutputOption = Annotated[
    bool, typer.Option("--output", help="Show only the output of its evaluations: stdout, stderr, tracebacks.")
]


@answering
def show(
    context: typer.Context,
    run: RunArgument = "latest",
    individual: Annotated[
        str,
        typer.Argument(
            metavar="[INDIVIDUAL]",
            show_default=False,
            help="Its id, the start of its id, or best; without one, the run is shown.",
            autocompletion=completion.individuals,
        ),
    ] = "",
    code: CodeOption = False,
    prompts: PromptsOption = False,
    output: OutputOption = False,
    format: FormatOption = None,
) -> None:
    """Show a run, or one of its individuals.

    ```
    genesis-otel show
    genesis-otel show circle_packing best
    genesis-otel show run_20240115 ind_gen5_123 --code > program.py
    genesis-otel show latest best --prompts | less
    ```
    """
    if individual:
        _show(context, run, individual, code=code, prompts=prompts, output=output, format=format)
        return
    if code or prompts or output:
        raise WrongUseError("name the individual, for instance: genesis-otel show latest best --code")
    from genesis_otel._read.client import reader, run_id_of
    from genesis_otel._read.health import begun

    settings = settings_of(context)
    with reader(settings) as client:
        _write(begun(client, run_id_of(client, run), settings.stalled_after), _of_run, format)


@answering
def best(
    context: typer.Context,
    run: RunArgument = "latest",
    code: CodeOption = False,
    prompts: PromptsOption = False,
    output: OutputOption = False,
    format: FormatOption = None,
) -> None:
    """Show the best individual of a run: the same as `show RUN best`, unless one has that id.

    ```
    genesis-otel best
    genesis-otel best latest --code > best.py
    genesis-otel best circle_packing --format json | jq '.[0].gain'
    ```
    """
    _show(context, run, "", code=code, prompts=prompts, output=output, format=format)


@answering
def diff(
    context: typer.Context,
    individual: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="An individual: its id, the start of its id, or best.",
            autocompletion=completion.individuals,
        ),
    ],
    other: Annotated[
        str,
        typer.Argument(
            metavar="[B]",
            show_default=False,
            help="Another individual; by default, A is compared with its parent.",
            autocompletion=completion.individuals,
        ),
    ] = "",
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Their run: its id, the start of its id, latest, or a task.",
            autocompletion=completion.runs,
        ),
    ] = "latest",
    other_run: Annotated[
        str,
        typer.Option(
            "--other-run",
            metavar="RUN",
            show_default=False,
            help="The run of B, if different.",
            autocompletion=completion.runs,
        ),
    ] = "",
) -> None:
    """Show what changed between two programs, as a unified diff.

    ```
    genesis-otel diff best
    genesis-otel diff ind_gen0_1 best --run circle_packing
    genesis-otel diff best best --run run_20240115 --other-run run_20240116
    ```
    """
    from genesis_otel._read.client import reader, run_id_of
    from genesis_otel._read.program import code_of, difference

    with reader(settings_of(context)) as client:
        run_id = run_id_of(client, run)
        first = _individual(client, run_id, individual)
        if other:
            second = _individual(client, run_id_of(client, other_run) if other_run else run_id, other)
        else:
            first, second = _parent(client, first), first
    for each in (first, second):
        code_of(each)
    lines = list(difference(first, second))
    if not lines:
        say("The two programs are the same.")
    _write_lines(lines)


def _show(
    context: typer.Context, run: str, individual: str, *, code: bool, prompts: bool, output: bool, format: Format | None
) -> None:
    """Show an individual; without its name, the best one."""
    from genesis_otel._read.client import reader, run_id_of
    from genesis_otel._read.program import calls, code_of, failures, outputs

    if code + prompts + output > 1:
        raise WrongUseError("--code, --prompts and --output exclude each other: use one of them")
    if code and format is not None:
        raise WrongUseError("--code prints the program verbatim: leave out --format")
    with reader(settings_of(context)) as client:
        run_id = run_id_of(client, run)
        found = _individual(client, run_id, individual)
        if code:
            raw(code_of(found))
        elif prompts:
            _conversation(calls(client, run_id, found["individual_id"]), format)
        elif output:
            _outputs(outputs(client, run_id, found["individual_id"]), format)
        else:
            _write({**found, "failures": failures(client, found)}, _of_individual, format)


def _individual(client: Client, run_id: str, individual: str) -> dict[str, Any]:
    from genesis_otel._read import program
    from genesis_otel._read.client import individual_id_of

    return program.individual(client, run_id, individual_id_of(client, run_id, individual))


def _parent(client: Client, child: Mapping[str, Any]) -> dict[str, Any]:
    from genesis_otel._read import program
    from genesis_otel._read.client import NotFoundError

    if not child["parent_ids"]:
        raise NotFoundError(f"{child['individual_id']} has no parent: name another individual to compare it with")
    return program.individual(client, child["run_id"], child["parent_ids"][0])


# --- how it looks -----------------------------------------------------------------------------------------------------


Pairs = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]


def _write(found: Mapping[str, Any], pairs: Pairs, format: Format | None) -> None:
    if format is None or format is Format.table:
        from genesis_otel._cli.grid import fields

        fields(pairs(found))
    else:
        write(list(found), [[list(found.values())]], format)


BETTER = {"max": "higher is better", "min": "lower is better"}


def _of_run(run: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "run", run["run_id"]
    yield "task", run["task_name"]
    yield "status", run["status"]
    yield "error", run["error"]
    yield "started", moment(run["start_time"])
    # The duration is known only if the run has ended and its start was recorded.
    is_open = run["status"] in ("running", "stalled")
    yield "took", "" if is_open or not run["seconds"] else duration(run["seconds"])
    yield "last sign of life", _last_sign(run) if is_open else ""
    yield "generations", number(run["generations"])
    bad = [f"{run[f'{kind}_individuals']} {kind}" for kind in ("failed", "incorrect") if run[f"{kind}_individuals"]]
    yield "individuals", ", ".join([number(run["individuals"]), *bad])
    best = number(run["best_score"])
    yield "best score", f"{best} ({BETTER['min']})" if best and run["direction"] == "min" else best
    yield "objectives", ", ".join(f"{name} ({BETTER[way]})" for name, way in run["objectives"].items())
    yield (
        "best individual",
        run["best_individual"] and f"{run['best_individual']}, of generation {run['best_generation']}",
    )
    yield "improvements", f"{run['improvements']:,}{_since(run['since_improvement'])}"
    yield (
        "LLM calls",
        f"{run['llm_calls']:,}" + (f", {run['failed_llm_calls']:,} failed" if run["failed_llm_calls"] else ""),
    )
    yield "tokens", f"{run['input_tokens']:,} in, {run['output_tokens']:,} out"
    yield "cost", money(run["cost"], run["unpriced"])
    yield "budget", dollars(run["budget"])
    yield "tags", ", ".join(run["tags"])
    yield "notes", "\n".join(run["notes"])


def _last_sign(run: Mapping[str, Any]) -> str:
    after = (run["last_seen"] - run["start_time"]).total_seconds()
    return f"{ago(run['silent_seconds'])}, {duration(after)} after its start"


def _since(generations: int | None) -> str:
    """How many generations passed without an improvement."""
    return f", none for {counted(generations, 'generation')}" if generations else ""


def _of_individual(individual: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from genesis_otel._read.program import metrics_of

    yield "individual", individual["individual_id"]
    yield "run", individual["run_id"]
    yield "generation", number(individual["generation"])
    yield "made by", individual["mutation_type"]
    yield "status", individual["status"]
    yield "error", individual["error"]
    yield "failures", "\n".join(individual["failures"])
    yield "score", number(individual["fitness_score"]) or "none"
    yield "combined score", number(individual["combined_score"])
    yield "gain", signed(individual["gain"])
    yield "front", "on that of its generation" if individual["is_pareto"] else ""
    yield "parents", "\n".join(individual["parent_ids"])
    yield "what changed", individual["edit_summary"]
    yield "metrics", "\n".join(f"{name}: {number(plain(value))}" for name, value in metrics_of(individual["metrics"]))
    yield "models", ", ".join(individual["models"])
    yield "cost", money(individual["cost"], individual["unpriced"])
    yield (
        "program",
        f"{counted(len(individual['code'].splitlines()), 'line')} (--code)" if individual["code"] else "not recorded",
    )
    yield "trace", individual["trace_id"]


def _conversation(calls: Sequence[Mapping[str, Any]], format: Format | None) -> None:
    from genesis_otel._read.program import messages_of

    if not calls:
        say("No LLM call was recorded for it.")
    elif format is not None and format is not Format.table:
        write(list(calls[0]), [[list(call.values()) for call in calls]], format)
        return
    for call in calls:
        cost = money(call["cost"], 0) or "unpriced"
        facts = (
            call["role"],
            call["model"],
            moment(call["timestamp"]),
            "" if call["execution_time"] is None else f"{call['execution_time']:.2f} s",
            cost,
            call["error"],
        )
        raw(f"══ {' · '.join(filter(None, facts))} ══\n")
        parts = [*messages_of(call["messages"]), ("thought", call["thought"]), ("answer", call["response"])]
        for role, text in parts:
            if text:
                raw(f"── {role or 'prompt'} ──\n{text.rstrip()}\n\n")


def _outputs(outputs: Sequence[Mapping[str, Any]], format: Format | None) -> None:
    if not outputs:
        say("Its evaluations produced no output, or none was recorded.")
    elif format is not None and format is not Format.table:
        write(list(outputs[0]), [[list(each.values()) for each in outputs]], format)
        return
    for each in outputs:
        facts = (each["name"], each["job"], moment(each["timestamp"]), "failed" if each["failed"] else "")
        raw(f"══ {' · '.join(filter(None, facts))} ══\n{each['text'].rstrip()}\n\n")


def _write_lines(lines: Iterable[str]) -> None:
    """Write a diff; in a terminal coloured, unless NO_COLOR is set (https://no-color.org)."""
    colours = {} if os.environ.get("NO_COLOR") else {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        if sys.stdout.isatty():
            colour = colours.get(line[:1])
            typer.secho(visible(line, keep="\t"), fg=colour, reset=colour is not None)
        else:
            typer.echo(line)
