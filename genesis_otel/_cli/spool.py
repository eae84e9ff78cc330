"""The spool commands: what waits, what was refused, what was lost.

In: arguments. Out: counts, and spans delivered or queued again. On failure: as :mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from genesis_otel._cli.columns import Column
from genesis_otel._cli.common import FormatOption, answering, between, settings_of
from genesis_otel._cli.tables import say, write, write_none
from genesis_otel._read.format import ago, counted

spool_app = typer.Typer()


@spool_app.callback(invoke_without_command=True)
@answering
def spool(context: typer.Context, format: FormatOption = None) -> None:
    """Show how many spans wait to be delivered, were refused by the store, or were lost.

    A search writes its spans to this spool first. During an outage, or after the search was killed, they wait there until
    the next process that records to the same store delivers them, or until you run: genesis-otel spool drain
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
        say(
            f"Spans for another destination wait in {folder}; they are delivered when something records or drains there."
        )
    if found.dead:
        say("To see what was refused, and why: genesis-otel spool dead")


@spool_app.command("drain")
@answering
def spool_drain(
    context: typer.Context,
    timeout: Annotated[
        float, typer.Option(parser=between(float, 0), metavar="SECONDS", help="The longest time to wait.")
    ] = 60.0,
) -> None:
    """Deliver the waiting spans now. A running search delivers its own spans."""
    from genesis_otel._read.spool import deliver

    done = deliver(settings_of(context), timeout)
    typer.echo(f"{counted(done.delivered, 'span')} delivered, {done.waiting:,} still waiting.")


@spool_app.command("dead")
@answering
def spool_dead(context: typer.Context, format: FormatOption = None) -> None:
    """List the spans that the store refused because of their content, with the reasons."""
    from genesis_otel._read.spool import Letter, letters

    rows = [list(letter) for letter in letters(settings_of(context))]
    if not rows:
        say("No span was refused.")
        write_none(format)
        return
    write(list(Letter._fields), [rows], format, title="Refused spans")
    say("To send them again, for instance after an upgrade: genesis-otel spool requeue")


@spool_app.command("requeue")
@answering
def spool_requeue(context: typer.Context) -> None:
    """Send the refused spans again, for instance after an upgrade of the store."""
    from genesis_otel._read.spool import retry

    back = counted(retry(settings_of(context)), "span")
    typer.echo(f"{back} put back into the spool. To deliver now: genesis-otel spool drain")
