"""The command ``genesis-otel grafana``: arguments only; the work is done in `_grafana`.

In: a command line; ``GRAFANA_URL`` and ``GRAFANA_TOKEN``. Out: on standard output a line per item, or a diff; messages about them on
standard error. On failure: a line and an exit code, as :mod:`genesis_otel._cli.common` defines them.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genesis_otel._cli.common import NOTHING_FOUND, answering, settings_of
from genesis_otel._cli.tables import say
from genesis_otel._read.format import visible

if TYPE_CHECKING:
    from genesis_otel._fields import Secret
    from genesis_otel._grafana.api import GrafanaSettings
    from genesis_otel._grafana.push import Item, Wanted

FOLDER = "genesis"
"""The default uid of the folder."""

FolderOption = Annotated[
    str, typer.Option("--folder", metavar="UID", help="Uid of the folder in Grafana; created if it is missing.")
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--datasource-uid",
        metavar="UID",
        help="Use this existing ClickHouse data source unchanged. By default one is created from "
        "GRAFANA_CLICKHOUSE_URL or CLICKHOUSE_URL.",
    ),
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FOLDER",
        help="Use these files instead of those that come with genesis-otel: `dashboards/*.json`, `provisioning/alerting/*.yaml`.",
    ),
]


grafana_app = typer.Typer(no_args_is_help=True)


@grafana_app.callback()
def grafana() -> None:
    """Install the dashboards and alert rules in an existing Grafana.

    Set `GRAFANA_URL` to its address and `GRAFANA_TOKEN` to a service account's token, with the role Editor, or Admin to create
    the data source. `GRAFANA_ALERT_EMAIL`, `GRAFANA_ALERT_SLACK` or `GRAFANA_ALERT_WEBHOOK` creates the contact point that the
    alert rules notify; without one, the organisation's notification policies decide. All of these may be in `.env`. They are not
    arguments, because other users of this machine can see arguments.

        export GRAFANA_URL=https://grafana.example.org GRAFANA_TOKEN=glsa_...
        export GRAFANA_CLICKHOUSE_URL=http://reader:password@clickhouse:8123/genesis
        export GRAFANA_ALERT_EMAIL=me@example.org
        genesis-otel grafana diff
        genesis-otel grafana push
    """


@grafana_app.command()
@answering
def push(
    context: typer.Context,
    folder: FolderOption = FOLDER,
    datasource_uid: SourceOption = None,
    source: FromOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Also overwrite what was edited in the browser, and send the data source's password again.",
        ),
    ] = False,
) -> None:
    """Create or update the folder, data source, dashboards and alert rules in Grafana. A second push changes nothing.

    If something was edited in the browser since the last push, nothing is written at all: `diff` shows the edits, `pull` keeps
    them, and `--overwrite` discards them.
    """
    from genesis_otel._grafana import push as _grafana
    from genesis_otel._grafana.api import opened

    settings = _settings()
    with closing(opened(settings)) as api:
        api.check()
        wanted = _wanted(context, settings, folder, datasource_uid, source)
        items = _grafana.plan(api, wanted, overwrite=overwrite)
        _warn(wanted, items)
        if dry_run:
            for each in items:
                typer.echo(_line(each, each.state.value))
            if not overwrite:
                _grafana.refuse_edited(items)
            say(f"Nothing was written; a push would write {_count(items)}.")
            return
        for each in _grafana.push(items, overwrite=overwrite):
            typer.echo(_line(each, "created" if each.state is _grafana.State.NEW else "saved"))
        written = sum(1 for each in items if each.write)
        say(
            f"{api.where}: {written} written, {len(items) - written} unchanged."
            if written
            else f"{api.where} is up to date; nothing was written."
        )
        fault = api.datasource_fault(wanted.datasource)
        if fault:
            say(
                f"Grafana's data source {wanted.datasource} cannot reach ClickHouse: {visible(fault)}. Its host and password come "
                "from GRAFANA_CLICKHOUSE_URL or CLICKHOUSE_URL, as seen from Grafana's own machine; --overwrite sends them again."
            )


@grafana_app.command()
@answering
def diff(
    context: typer.Context,
    folder: FolderOption = FOLDER,
    datasource_uid: SourceOption = None,
    source: FromOption = None,
) -> None:
    """Show what a push would change, as a unified diff from Grafana to the files. The exit code is 1 if there are differences."""
    from genesis_otel._grafana import push as _grafana
    from genesis_otel._grafana.api import opened

    settings = _settings()
    with closing(opened(settings)) as api:
        api.check()
        wanted = _wanted(context, settings, folder, datasource_uid, source)
        items = _grafana.plan(api, wanted)
    _warn(wanted, items)
    lines = list(_grafana.differences(items))
    for line in lines:
        # Text typed in the browser may contain terminal control sequences.
        typer.echo(visible(line, keep="\n\t") if sys.stdout.isatty() else line, nl=False)
    if lines:
        raise typer.Exit(1)
    say("A push would change nothing.")


@grafana_app.command()
@answering
def pull(
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FOLDER", help="The folder to write dashboards/ and provisioning/alerting/ to."),
    ],
    folder: FolderOption = FOLDER,
    datasource_uid: SourceOption = None,
    source: FromOption = None,
) -> None:
    """Write Grafana's dashboards and alert rules to files, to keep edits made in the browser.

    Keys keep their order, and fields that Grafana adds are left out, so that `git diff` shows only the edits. Unedited files are
    copied unchanged. `push --from FOLDER` uses these files.
    """
    from genesis_otel._grafana import push as _grafana
    from genesis_otel._grafana.api import opened
    from genesis_otel._grafana.files import DATASOURCE

    settings = _settings()
    with closing(opened(settings)) as api:
        api.check()
        wanted = _read(folder, datasource_uid or DATASOURCE, None, source)
        found = False
        for path, changed in _grafana.pull(api, wanted, to):
            found = True
            typer.echo(f"{path}: {'written' if changed else 'unchanged'}")
    if not found:
        say("This Grafana has none of the dashboards and alert rules; genesis-otel grafana push creates them.")
        raise typer.Exit(NOTHING_FOUND)


def _settings() -> GrafanaSettings:
    from genesis_otel._grafana.api import load_grafana_settings

    return load_grafana_settings()


def _wanted(
    context: typer.Context, settings: GrafanaSettings, folder: str, datasource_uid: str | None, source: Path | None
) -> Wanted:
    from genesis_otel._grafana.files import DATASOURCE, GrafanaError

    if datasource_uid:
        return _read(folder, datasource_uid, None, source, settings)
    secret = settings.grafana_clickhouse_url or settings_of(context).clickhouse_url
    url = secret.get_secret_value() if secret else ""
    if not url.startswith(("http://", "https://")):
        raise GrafanaError(
            "there is no ClickHouse for Grafana's data source: set GRAFANA_CLICKHOUSE_URL to "
            "http(s)://user:password@host:port/database as Grafana reaches it (for an embedded store, run genesis-otel "
            "serve), or name an existing data source with --datasource-uid"
        )
    return _read(folder, DATASOURCE, url, source, settings)


def _read(
    folder: str, datasource: str, clickhouse: str | None, source: Path | None, settings: GrafanaSettings | None = None
) -> Wanted:
    from genesis_otel._grafana import contact, files
    from genesis_otel._grafana.push import Wanted

    root = source or files.folder()
    wanted = Wanted(
        folder,
        datasource,
        clickhouse,
        files.datasource_settings(root),
        files.dashboards(root),
        files.rule_groups(root),
        contact.integrations(
            _secret(settings.grafana_alert_webhook),
            settings.grafana_alert_email or "",
            _secret(settings.grafana_alert_slack),
        )
        if settings
        else (),
    )
    if not wanted.dashboards and not wanted.rules:
        raise files.GrafanaError(f"there are no dashboards/*.json and provisioning/alerting/*.yaml in {root}")
    return wanted


def _secret(value: Secret | None) -> str:
    return value.get_secret_value() if value else ""


def _warn(wanted: Wanted, items: list[Item]) -> None:
    """Warn about what is valid but probably not intended."""
    from genesis_otel._grafana.push import State
    from genesis_otel._serve.folder import LOOPBACK
    from genesis_otel._store.errors import split_url

    for each in items:
        if each.state is State.PROVISIONED:
            say(
                f"{each.kind} {each.name} is provisioned from a file of that Grafana and is not changed: edit that file."
            )
    if wanted.clickhouse and any(each.kind == "data source" and each.write for each in items):
        parts = split_url(wanted.clickhouse)
        if parts.hostname in LOOPBACK:
            say(f"The URL names {parts.hostname}, so Grafana will look for ClickHouse on its own machine.")
        say(
            f"Everyone with access to the data source queries as user {visible(parts.username or 'default')}, who should have read access only."
        )


def _count(items: list[Item]) -> str:
    count = sum(1 for each in items if each.write)
    return f"{count} of {len(items)}" if count else "nothing"


def _line(item: Item, state: str) -> str:
    return f"{item.kind} {item.name}: {state}"
