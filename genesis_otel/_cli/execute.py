"""The command ``exec``.

In: a command, and the context given by the environment. Out: the command's output and exit code, and an evaluation that records how it
went. On failure: a problem with recording is reported, and the command runs anyway; if the command cannot be started, the exit code is
127 or 126.
"""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

from genesis_otel._cli.common import Options, answering
from genesis_otel._cli.tables import say

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
"""A shell's exit codes; the signal number is added to the last."""


@answering
def execute(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, with its arguments.")],
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="ID", help="The scheduler's id of the job; by default a new id."),
    ] = None,
) -> None:
    """Run a command as an evaluation, for Slurm jobs and containers.

    The evaluation belongs to the individual that TRACEPARENT and BAGGAGE in the environment name (`individual.environ()`). It
    records duration, exit code, CPU time, peak memory, and the last 64 KiB of standard output and error, which pass through. A
    nonzero exit code marks the job as failed and becomes the exit code of this command.

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

    options: Options = context.obj
    try:
        if options.url:
            configure(clickhouse_url=options.url)
        else:
            configure()
    except Exception as error:
        pass_on(error)
        say(f"The command runs without being recorded: {first_line(error)}")
    with spans.attached(spans.from_environment()):
        if not place_of().run_id:
            say("TRACEPARENT and BAGGAGE name no run: the evaluation will not belong to one.")
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
