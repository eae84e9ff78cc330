"""The command ``delete``, which removes a run.

In: arguments. Out: what will be deleted, a confirmation prompt, and what was deleted. On failure: as
:mod:`genesis_otel._cli.common` reports it; deleting a running search counts as wrong usage.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from genesis_otel._cli.common import GivenRun, WrongUseError, answering, settings_of
from genesis_otel._cli.tables import say
from genesis_otel._cli.transfer import row_counts

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from genesis_otel._settings import Settings


@answering
def delete(
    context: typer.Context,
    run: GivenRun,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete the run even if it is still running.")] = False,
    raw_traces: Annotated[
        bool,
        typer.Option(
            "--raw-traces", help="Also delete its spans from otel_traces, unless a collector made that table."
        ),
    ] = False,
) -> None:
    """Delete a run from the seven tables, after showing what will be deleted and asking.

    Spans of the run that arrive late, from a spool or a collector's queue, do not bring it back: the embedded store removes their
    rows within seconds. On a ClickHouse server, the next `delete` of this or any other run removes them. A search that starts
    again with the same id is a new run. `import` brings a run back.

    Raw traces stay until their retention ends, unless --raw-traces is given.

    ```
    genesis-otel export run_20240115 && genesis-otel delete run_20240115
    genesis-otel delete run_20240115 --yes --raw-traces
    ```
    """
    from genesis_otel._destinations import open_client
    from genesis_otel._ship.run_memory import RunMemory
    from genesis_otel._store import deleted, version
    from genesis_otel._store.errors import StoreError

    settings = settings_of(context)
    with contextlib.closing(open_client(settings, start=True, say=True)) as client:
        version.see(client)
        run_id = _run_id(client, run)
        if raw_traces and not deleted.landing_of_ours(client):
            raise StoreError(
                "otel_traces was created by a collector and may hold more than searches: leave out --raw-traces, and delete from it yourself"
            )
        if not force:
            _see_it_ended(client, settings, run_id)
        rows = deleted.rows_of(client, run_id, raw_traces=raw_traces)
        say(f"{run_id}: {row_counts(rows) or 'no rows'}")
        if not yes:
            if not sys.stdin.isatty():
                raise WrongUseError("standard input is not a terminal: use --yes to delete without being asked")
            if not typer.confirm("Delete them?", err=True):
                say("Nothing was deleted.")
                raise typer.Exit
            if not force:
                # The answer may have taken its time.
                _see_it_ended(client, settings, run_id)
        deleted.delete(client, run_id, raw_traces=raw_traces)
        RunMemory(settings.memory_folder).drop(run_id)
        late = deleted.sweep(client)
    say(f"{run_id}: deleted")
    if late:
        say(f"Also deleted, late rows of runs that were deleted before: {row_counts(late)}")


def _run_id(client: Client, run: str) -> str:
    from genesis_otel._read.client import NotFoundError, run_id_of
    from genesis_otel._store import deleted

    try:
        return run_id_of(client, run)
    except NotFoundError:
        # Late calls of a deleted run may have arrived without any of the rows by which a run is found.
        if deleted.is_deleted(client, run):
            return run
        raise


def _see_it_ended(client: Client, settings: Settings, run_id: str) -> None:
    from genesis_otel._read.health import summary

    found = summary(client, run_id, settings.stalled_after)
    if found and found["status"] == "running":
        raise WrongUseError(f"{run_id} is still running: end its process first, or delete it anyway with --force")
