"""The command ``demo``.

In: arguments. Out: a recorded search, and a summary of its rows. On failure: as :mod:`genesis_otel._cli.common` reports it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genesis_otel._cli.common import WrongUseError, answering, between, settings_of
from genesis_otel._cli.tables import say

WIDTH_OF_A_FILE = 140
"""Maximum line length of the demo's summary if there is no terminal."""


@answering
def demo(
    context: typer.Context,
    framework: Annotated[
        str, typer.Option(metavar="NAME", help="The framework to run: openevolve, shinka or gepa.")
    ] = "openevolve",
    iterations: Annotated[
        int, typer.Option("--iterations", "-n", metavar="N", parser=between(int, 1), help="How many programs to try.")
    ] = 40,
    real: Annotated[
        bool,
        typer.Option(
            "--real", help="Ask a real model. Needs OPENAI_API_KEY (OPENAI_BASE_URL works too), and costs a few cents."
        ),
    ] = False,
    model: Annotated[str, typer.Option(help="The model to ask.")] = "gpt-4.1-mini",
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Store the record there instead of in your data folder.")
    ] = None,
) -> None:
    """Run a real search, record it, and show what was recorded.

    The search packs circles into a square. The model is simulated on loopback and answers the same every time, so the demo
    needs neither a network nor a key. The record is kept: look at it with runs, lineage and query.

    ```
    genesis-otel demo
    genesis-otel demo --framework shinka
    OPENAI_API_KEY=... genesis-otel demo --real --model gpt-4.1-mini -n 20
    ```
    """
    import contextlib

    from rich.console import Console

    from genesis_otel._destinations import open_client
    from genesis_otel.demo.search import UnknownFrameworkError, run_demo, summarise

    settings = settings_of(context, **({"data_dir": data_dir} if data_dir else {}))
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)
    try:
        result = run_demo(
            framework=framework, iterations=iterations, real=real, model=model, progress=console, settings=settings
        )
    except UnknownFrameworkError as error:
        raise WrongUseError(str(error)) from error
    with contextlib.closing(open_client(settings, start=True)) as client:
        summarise(client, result.run_id, console)
    if data_dir:
        say(f"\nTo let the commands find this record: export GENESIS_OTEL_DATA_DIR={data_dir.absolute()}")
