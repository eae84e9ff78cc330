"""The commands ``tag`` and ``note``: people's remarks on a run.

In: arguments. Out: the remark in the store, and a confirmation. On failure: as :mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from genesis_otel._cli.common import GivenRun, WrongUseError, answering, settings_of
from genesis_otel._cli.tables import say


@answering
def tag(
    context: typer.Context,
    run: GivenRun,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words to find the run by.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tags.")] = False,
) -> None:
    """Add tags to a run, or remove them. Nothing else about the run changes.

    ```
    genesis-otel tag latest baseline paper
    genesis-otel runs --tag baseline
    genesis-otel tag latest paper --remove
    ```
    """
    from genesis_otel._read import remarks
    from genesis_otel._read.client import reader, run_id_of

    wanted = [each.strip() for each in tags]
    if not all(wanted):
        raise WrongUseError("a tag must not be empty")
    settings = settings_of(context)
    with reader(settings) as client:
        run_id = run_id_of(client, run)
    remarks.tag(settings, run_id, wanted, remove=remove)
    say(f"{run_id}: {'without' if remove else 'tagged'} {', '.join(wanted)}")


@answering
def note(
    context: typer.Context,
    run: GivenRun,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to remember about the run.")],
) -> None:
    """Add a note to a run; `show RUN` lists all notes. Nothing else about the run changes.

    ```
    genesis-otel note latest "wrong evaluator: do not compare"
    ```
    """
    from genesis_otel._read import remarks
    from genesis_otel._read.client import reader, run_id_of

    if not text.strip():
        raise WrongUseError("the note is empty")
    settings = settings_of(context)
    with reader(settings) as client:
        run_id = run_id_of(client, run)
    remarks.note(settings, run_id, text)
    say(f"{run_id}: note added")
