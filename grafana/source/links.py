"""How the dashboards lead to each other: their uids, and links that keep what is chosen.

In: uids, and the fields or variables that a link passes on. Out: URLs, and settings or dashboard links with them.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

from grafana.source.columns import link

RUN, LLM, LINEAGE, TRACE, COMPARE, RUNS, PIPELINE = (
    f"genesis-{name}" for name in ("run", "llm", "lineage", "traces", "compare", "runs", "pipeline")
)
"""Uids of the dashboards. Never change them: they are in bookmarks and alerts."""

# Encoded as a whole: a run's id may contain any character. Without a format Grafana does not encode '&', '#' and '+'.
SOURCE = "var-datasource=${datasource:percentencode}"


def to_dashboard(uid: str, *, times: str = "${__url_time_range}", **variables: str) -> str:
    """The URL of a dashboard: variables by name, each from a field of the row (``run="run_id"``) or, with a ``$``, from
    a variable of this dashboard (``run="$run"``)."""

    def value(source: str) -> str:
        field = source[1:] if source.startswith("$") else f"__data.fields.{source}"
        return f"${{{field}:percentencode}}"

    told = [f"var-{name}={value(source)}" for name, source in variables.items()]
    return f"/d/{uid}?" + "&".join([SOURCE, *told, times])


TIMES_OF_ROW = "from=${__data.fields.from_ms}&to=${__data.fields.to_time}"
"""The time range from the row's own columns: milliseconds as text, and `now` if it is still running."""
TO_RUN = link("Open the run", to_dashboard(RUN, run="run_id"))
TO_LINEAGE = link("Show its lineage", to_dashboard(LINEAGE, run="$run", individual="individual_id"))
"""Of an individual of this dashboard's run."""
TO_TRACE = link("Open the trace", to_dashboard(TRACE, trace="trace_id"))


def way(title: str, url: str) -> builders.DashboardLink:
    """A link at the top of a dashboard."""
    return (
        builders.DashboardLink(title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(url)
        .icon("external link")
        .keep_time(True)
    )
