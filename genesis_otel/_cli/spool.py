"""The commands about the spool: what waits, what was refused, what was lost.

In: arguments. Out: counts, and spans on their way again. On failure: what :mod:`genesis_otel._cli.common` makes of it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from genesis_otel._cli.common import FormatOption, answering, settings_of
from genesis_otel._cli.tables import Column, say, write
from genesis_otel._read.format import ago

spool_app = typer.Typer(no_args_is_help=False)


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
    from genesis_otel._read.spool import others
    from genesis_otel._read.spool import spool as look

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
    from genesis_otel._read.spool import deliver

    done = deliver(settings_of(context), timeout)
    typer.echo(f"{done.delivered:,} spans delivered, {done.waiting:,} wait.")


@spool_app.command("dead")
@answering
def spool_dead(context: typer.Context, format: FormatOption = None) -> None:
    """List the spans that the store refused for their content, and why."""
    from genesis_otel._read.spool import Letter, letters

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
    from genesis_otel._read.spool import retry

    typer.echo(f"{retry(settings_of(context)):,} spans are in the spool again: genesis-otel spool drain")
