"""The commands ``export`` and ``import``: a run as one file.

In: arguments. Out: the file, or its rows in the store, and a confirmation. On failure: as :mod:`genesis_otel._cli.common` reports it; an
export leaves no file, and an import says how far it got.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from genesis_otel._cli.common import GivenRun, answering, file_of, settings_of
from genesis_otel._cli.tables import say
from genesis_otel._read.format import counted, size


@answering
def export(
    context: typer.Context,
    run: GivenRun,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="The file; by default genesis-RUN.zip in this folder.",
        ),
    ] = None,
    raw_traces: Annotated[
        bool, typer.Option("--raw-traces", help="Include the spans of its traces, from otel_traces.")
    ] = False,
) -> None:
    """Write a run to one file, which `import` can load into another store.

    The file is a zip archive of the run's rows in the seven tables, one JSON object per line. It contains prompts and code: consider
    that before you send it to someone. With --raw-traces it also contains the spans that the rows were made from, for trace views.

    ```
    genesis-otel export latest
    genesis-otel export latest --raw-traces
    genesis-otel export run_20240115 -o search.zip
    ```
    """
    from genesis_otel import __version__, queries
    from genesis_otel._read.client import reader, run_id_of
    from genesis_otel._store import archive

    settings = settings_of(context)
    with reader(settings) as client:
        run_id = run_id_of(client, run)
        rows = queries.ask(client, "run_summary", run_id=run_id, stalled_after=settings.stalled_after)
        task = str(rows[0]["task_name"]) if rows else ""
        path = output or file_of(run_id, ".zip")
        head = archive.export(client, run_id, path, task=task, version=__version__, with_raw_traces=raw_traces)
    say(f"{run_id}: {row_counts(head.rows)}; {size(path.stat().st_size)}")
    typer.echo(str(path))


@answering
def bring(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file written by `export`.", exists=True, dir_okay=False)
    ],
    without_raw_traces: Annotated[
        bool, typer.Option("--without-raw-traces", help="Leave out the file's raw traces.")
    ] = False,
) -> None:
    """Load a run that `export` wrote into this store.

    Existing rows are left unchanged, so a second import of the same file adds nothing, and a later export of a run that continued
    adds only what is new. A file that is damaged, or has another schema, changes nothing. An interrupted import says so; run it
    again. The store lists the run once all of its rows are there. Raw traces go into otel_traces without creating rows again.

    ```
    genesis-otel import search.zip
    genesis-otel --url https://user:password@host:8443/database import search.zip
    ```
    """
    from genesis_otel._destinations import open_client
    from genesis_otel._store import archive
    from genesis_otel._store.schema import ensure

    with contextlib.closing(open_client(settings_of(context), start=True, create=True, say=True)) as client:
        ensure(client)
        imported = archive.bring(client, file, with_raw_traces=not without_raw_traces)
    head, added = imported
    there = sum(head.rows[table] for table in added) - sum(added.values())
    before = f"; {counted(there, 'row')} already there" if there else ""
    say(f"{head.run_id}: {row_counts(added) or 'nothing'} imported{before}")


def row_counts(rows: Mapping[str, int]) -> str:
    """The number of rows of each table, as text."""
    return ", ".join(f"{count:,} {table.removesuffix('_log')}" for table, count in rows.items() if count)
