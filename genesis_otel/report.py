"""A run as one HTML file, for whoever has no Grafana: nothing in it asks the network.

In: a client and a run's id. Out: the text of the live page with everything in it: its script, its styles and a run's data, which
answer what the page asks. What stands in prompts, code and names is text there, never markup: data lie in JSON with ``<`` written
as an escape, and the page's Content-Security-Policy runs the page's own script, known by its hash, and nothing else. On failure:
what ClickHouse raises.

>>> from genesis_otel.report import page
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from genesis_otel._read.format import visible
from genesis_otel._read.health import STALLED
from genesis_otel._read.report_data import Say, gather

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["page"]

TOP = 10
"""Individuals shown with their code and prompts unless told otherwise."""

HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – genesis-otel</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="page"><p>Reading …</p></div>
<noscript>This page needs JavaScript, which it has inside.</noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page(
    client: Client,
    run_id: str,
    *,
    top: int = TOP,
    compare: Sequence[str] = (),
    say: Say = lambda _: None,
    stalled_after: int = STALLED,
) -> str:
    """The report of a run.

    :param run_id: the full id; an unknown run raises `LookupError`.
    :param top: how many individuals to show with their code and prompts.
    :param compare: ids of other runs, whose best scores and figures are added.
    :param say: called with a line for each step.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    """
    return rendered(gather(client, run_id, top=top, compare=compare, say=say, stalled_after=stalled_after))


def rendered(gathered: Mapping[str, Any]) -> str:
    """The page."""
    script, style = _file("page.js"), _file("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(visible(str(gathered["run"])))
    return HTML.format(policy=policy, title=title, style=style, data=_data(gathered), script=script)


def _data(gathered: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it lies in; in ASCII, so that no character of it turns or hides the source either."""
    text = json.dumps(gathered, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _file(name: str) -> str:
    return resources.files("genesis_otel").joinpath("_ui", "static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names what stands in the page: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
