"""The tables of the store: their names, and the statements of ``sql/`` that create them.

In: the name of a file of ``sql/``, and the cluster's name if there is one. Out: names, settings and single statements.
On failure: nothing here asks a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TABLES = (
    "evolution_runs",
    "generations",
    "individuals",
    "pareto_fronts",
    "code_lineages",
    "llm_logs",
    "agent_actions",
)
"""The seven tables, in the order of the reference."""

SCHEMA = 4
"""This package's schema version. 1: that of 0.1.0. 2: scores may be NULL; adds direction, error, budget, correct.
3: adds output, cell; an action's generation may be NULL. 4: adds objectives."""

LANDING = "otel_traces"
"""The table that both ways write to; the views fill the seven from it."""

STORED_IN = {table: "evolution_runs_log" if table == "evolution_runs" else table for table in TABLES}
"""Where the rows of each of the seven are stored: ``evolution_runs`` is a view that folds its log."""

IDENTITY = {
    **dict.fromkeys(TABLES, ("trace_id", "span_id")),
    # A run that continues ends again, and the ids of its last span are derived from its name.
    "evolution_runs": ("trace_id", "span_id", "told_at"),
    **dict.fromkeys(("pareto_fronts", "code_lineages"), ("trace_id", "span_id", "position")),
}
"""The columns that identify a row: where one span yields several rows, ``position`` distinguishes them."""

TOLD_AGAIN = ("generations", "pareto_fronts")
"""Tables in which a later row with the same identity replaces an earlier one: a generation that was opened again ends again, as the same span."""

TRACES_TTL_DAYS = 90
"""Default retention of the raw traces: the seven tables are the record, the traces are for trace views."""

INSERT_SETTINGS: dict[str, Any] = {
    # The landing table is partitioned by day, and spans with wrong clocks must not fail an insert (code 252 beyond 100 days).
    "throw_on_max_partitions_per_insert_block": 0,
    # A batch sent again is dropped by its token, in the views' targets too. This is the default since 23.x; set here so that
    # a server profile cannot override it.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "insert_deduplicate": 1,
    "async_insert": 0,
    # Runs the views in parallel: a fifth less time per insert on two cores.
    "parallel_view_processing": 1,
    # Compiling what the views compute takes 0.3 s of CPU in a server's first inserts, and later ones, bursts included, are no faster for it.
    "compile_expressions": 0,
}
"""Settings of every insert into :data:`LANDING`."""

SELECT = re.compile(r"\bAS\n(?=WITH|SELECT)")
"""Where the SELECT in a view's statement begins."""

CALLS = ("llm_read", "llm_told", "llm_messages")
"""The files of ``sql/`` with the views between spans and ``llm_logs``."""

FILES = ("otel_traces", "records", *TABLES, *CALLS)
"""The files of ``sql/`` that make up the schema, in order: the landing table first."""

VIEW = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) [^\n]*?\bTO (?P<target>\w+) ")


def statements(name: str, *, cluster: str | None = None) -> Iterator[str]:
    """The statements of ``sql/{name}.sql``, one by one: a server takes one per call. Each ends in ``;`` at the end of a line.

    With a cluster, its name replaces the ``/*ON CLUSTER*/`` marks, and the engines become replicated.
    """
    from genesis_otel.queries import SQL, composed  # a search that starts asks for SCHEMA alone

    text = composed(SQL.joinpath(f"{name}.sql").read_text(encoding="utf-8"))
    if cluster is not None:
        quoted = "`" + cluster.replace("\\", "\\\\").replace("`", "\\`") + "`"
        text = text.replace("/*ON CLUSTER*/", f"ON CLUSTER {quoted}")
        text = text.replace("/*Replicated*/", "Replicated").replace(
            "non_replicated_deduplication_window", "replicated_deduplication_window"
        )
    for statement in re.split(r";\s*$", text, flags=re.MULTILINE):
        if re.sub(r"--[^\n]*", "", statement).strip():
            yield statement.strip()


def select_of(view: str, name: str) -> str:
    """The SELECT of a view that ``sql/{name}.sql`` creates."""
    create = next(s for s in statements(name) if f"VIEW IF NOT EXISTS {view} " in s)
    return SELECT.split(create, maxsplit=1)[1]


def views() -> Iterator[tuple[str, str, str]]:
    """The materialized views of ``sql/``, in order: name, target table, SELECT."""
    for create in (statement for file in FILES for statement in statements(file)):
        if view := VIEW.search(create):
            yield view["name"], view["target"], SELECT.split(create, maxsplit=1)[1]


def rows_of(table: str) -> str:
    """The SELECT that yields the rows of one of the seven tables from the landing table.

    The views pass rows through tables that keep nothing: each of those is replaced by the SELECT that fills it.
    """
    filled: dict[str, list[str]] = {}
    for _, target, select in views():
        filled.setdefault(target, []).append(select)

    def whole(select: str) -> str:
        return re.sub(
            r"\bFROM (\w+)$",
            lambda source: f"FROM (\n{whole(filled[source[1]][0])}\n)" if source[1] in filled else source[0],
            select,
            flags=re.MULTILINE,
        )

    return "\nUNION ALL\n".join(whole(select) for select in filled[STORED_IN[table]])
