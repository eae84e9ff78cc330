"""The command ``exec``.

In: a command, and the context that the environment names. Out: its output and exit code, and an evaluation of how it went. On
failure: what is wrong with the record is said, and the command runs all the same; one that cannot be started ends with 127 or 126.
"""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

from genesis_otel._cli.common import Told, answering
from genesis_otel._cli.tables import say

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""A shell's exit codes; to the last is added the number of the signal."""


@answering
def execute(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, with its arguments.")],
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="ID", help="The job's id, as the scheduler calls it; by default a new one."),
    ] = None,
) -> None:
    """Run a command as an evaluation, for jobs of Slurm and containers.

    It belongs to the individual that TRACEPARENT and BAGGAGE in the environment name (`individual.environ()`). Recorded are its
    duration, exit code, CPU time and peak memory, and the last 64 KiB of its standard output and error, which pass through. An exit
    code other than 0 is a failed job, and the exit code of this command.

    ```
    srun --export=ALL genesis-otel exec --job "$SLURM_JOB_ID" -- python evaluate.py program.py
    ```
    """
    from genesis_otel import spans
    from genesis_otel._cli import process
    from genesis_otel._emit.context import place_of
    from genesis_otel._emit.interruption import pass_on
    from genesis_otel._log import first_line
    from genesis_otel.configuration import configure

    told: Told = context.obj
    try:
        if told.url:
            configure(clickhouse_url=told.url)
        else:
            configure()
    except Exception as error:
        pass_on(error)
        say(f"The command runs unrecorded: {first_line(error)}")
    with spans.attached(spans.from_environment()):
        if not place_of().run_id:
            say("No run is named in TRACEPARENT and BAGGAGE: the evaluation will belong to none.")
        evaluation = spans.evaluation(job, details={"command": shlex.join(command)})
    try:
        outcome = process.run(command, {**os.environ, **evaluation.environ()})
    except OSError as error:
        evaluation.fail(error)
        evaluation.end()
        say(f"{command[0]}: {error.strerror}")
        raise typer.Exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE) from None
    details = outcome._asdict()
    evaluation.result(output={name: details.pop(name) for name in ("stdout", "stderr")}, details=details)
    if outcome.exit_code:
        evaluation.fail(f"signal {-outcome.exit_code}" if outcome.exit_code < 0 else f"exit code {outcome.exit_code}")
    evaluation.end()
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code if outcome.exit_code > 0 else SIGNALLED - outcome.exit_code)
