"""A run as one HTML file, for those without Grafana: nothing in it uses the network.

In: a client and a run id. Out: the text of the live page with everything included: its script, its styles and the run's data, which
answers the page's requests. Prompts, code and names are always text there, never markup: the data is JSON with ``<`` escaped, and the
page's Content-Security-Policy allows only the page's own script, identified by its hash. On failure: what ClickHouse raises.

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
"""How many individuals are shown with code and prompts by default."""

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
<noscript>This page needs JavaScript, which is included in it.</noscript>
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
    :param stalled_after: seconds without a sign of life after which a run counts as stalled.
    """
    return rendered(gather(client, run_id, top=top, compare=compare, say=say, stalled_after=stalled_after))


def rendered(gathered: Mapping[str, Any]) -> str:
    """The page as HTML."""
    script, style = _file("page.js"), _file("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(visible(str(gathered["run"])))
    return HTML.format(policy=policy, title=title, style=style, data=_data(gathered), script=script)


def _data(gathered: Mapping[str, Any]) -> str:
    """JSON that cannot close its script element; in ASCII, so that no character can reverse or hide the source either."""
    text = json.dumps(gathered, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _file(name: str) -> str:
    return resources.files("genesis_otel").joinpath("_ui", "static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which a Content-Security-Policy identifies inline content: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
