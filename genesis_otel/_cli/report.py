"""The command ``genesis-otel report``: arguments only; the page is built in `report`.

In: a command line. Out: a file, and its path on standard output. On failure: a line and an exit code, as
:mod:`genesis_otel._cli.common` defines them; an existing file is left unchanged.
"""

from __future__ import annotations

import os
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from genesis_otel._cli import completion
from genesis_otel._cli.common import RunArgument, answering, between, file_of, settings_of
from genesis_otel._cli.tables import say


@answering
def report(
    context: typer.Context,
    run: RunArgument = "latest",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="The file; by default genesis-RUN.html in this folder.",
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            parser=between(int, 0, 200),
            help="How many individuals to show with code and prompts.",
        ),
    ] = 10,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="RUN",
            show_default=False,
            help="Add this run's best scores and figures; may be repeated.",
            autocompletion=completion.runs,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Write a run as one HTML file that needs no Grafana, no store and no network.

    It is the page of `genesis-otel ui` with the run's data inside: trajectory, family tree, the best programs with their changes and
    prompts, yields, calls and failures. The file contains prompts and code: consider that before you send it to someone.

    ```
    genesis-otel report latest --open
    genesis-otel report run_20240115 -o report.html --compare run_20240114
    ```
    """
    from genesis_otel._read.client import reader, run_id_of
    from genesis_otel._store.new_file import NewFileError, expect_folder
    from genesis_otel.report import page

    if output is not None:
        if output.is_dir():
            raise NewFileError(f"{output} is a folder: name a file in it")
        expect_folder(output)
    settings = settings_of(context)
    with reader(settings) as client:
        run_id = run_id_of(client, run)
        others = [run_id_of(client, each) for each in compare or ()]
        text = page(
            client,
            run_id,
            top=top,
            compare=others,
            say=lambda what: say(f"Reading {what} ..."),
            stalled_after=settings.stalled_after,
        )
    path = output or file_of(run_id, ".html")
    _replace(path, text)
    typer.echo(str(path))
    if show:
        webbrowser.open(path.resolve().as_uri())


def _replace(path: Path, text: str) -> None:
    """Write the file completely or not at all, with the permissions of the umask."""
    handle, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(written).chmod(0o666 & ~mask)
        Path(written).replace(path)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
