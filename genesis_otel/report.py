"""A run as one HTML file, for whoever has no Grafana: nothing in it asks the network.

In: a client and a run's id. Out: the text of a page that has everything in it: data, plots (plotly.js, which is in the Python
package plotly: a browser needs nothing else), styles. What stands in prompts, code and names is text there, never markup: Jinja2
escapes it, data lie in JSON with ``<`` written as an escape, and the page's Content-Security-Policy runs the page's own two
scripts, known by their hashes, and nothing else. On failure: what ClickHouse raises; `ModuleNotFoundError` without the extra
``report``.

>>> from genesis_otel.report import page
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import resources
from typing import TYPE_CHECKING, Any

from genesis_otel._read.format import duration, unpriced
from genesis_otel._read.health import STALLED
from genesis_otel._read.report_data import Gathered, Say, gather

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["page"]

TOP = 10
"""Individuals shown with their code and prompts unless told otherwise."""


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


def rendered(run: Gathered) -> str:
    """The page."""
    import jinja2
    from markupsafe import Markup

    plots, script = _plotly(), _file("page.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=number, dollars=dollars, money=money, duration=duration, share=share)
    return environment.from_string(_file("page.html")).render(
        run=run,
        summary=run.summary,
        made=datetime.now(timezone.utc),
        policy=f"default-src 'none'; script-src {_hash(plots)} {_hash(script)}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(_file("page.css")),  # noqa: S704
        plots=Markup(plots),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=Markup(_data(run)),  # noqa: S704
    )


def _data(run: Gathered) -> str:
    """What is drawn, as JSON that cannot end the script element it lies in."""
    drawn = {
        "points": run.points,
        "throughput": run.throughput,
        "calls": run.calls,
        "generations": run.generations,
        "front": run.front,
        "fronts": run.front_sizes,
        "tree": run.tree["nodes"],
        "path": run.path,
        "islands": [each["island"] for each in run.islands],
        "others": run.others,
        "better": -1 if run.summary["direction"] == "min" else 1,
    }
    text = json.dumps(drawn, allow_nan=False, default=str, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@functools.cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # What would end the element early stands in no release so far; were it there, the hash would not fit and nothing run.
    return str(get_plotlyjs())


def _file(name: str) -> str:
    return resources.files("genesis_otel").joinpath("report_page", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """As a Content-Security-Policy names a script: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def number(value: Any, digits: int = 4) -> str:
    """A number as people read it; a dash for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def dollars(value: float | None) -> str:
    """USD, cents where they matter."""
    if value is None:
        return "–"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def money(cost: float | None, calls: int) -> str:
    """USD, and how many calls are left out of it because nobody knows their price."""
    return " ".join(filter(None, (dollars(cost), unpriced(calls))))


def share(part: float | None, whole: float | None) -> str:
    """A share in percent."""
    return f"{100 * part / whole:.0f} %" if part is not None and whole else "–"
