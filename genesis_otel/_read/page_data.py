"""The data of the page, live or in a report: results of named queries as plain JSON values.

In: a client and the arguments of a query. Out: dicts and columns; times as milliseconds since 1970, NaN and infinities as None. Data
that grows with a run (individuals, calls) is queried from a cursor, the newest ``ingested_at`` seen so far, so an update costs only what
is new. On failure: what ClickHouse raises; :class:`~genesis_otel._read.client.NotFoundError`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read import health, program
from genesis_otel._read.client import NotFoundError
from genesis_otel._read.format import plain

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OVERLAP = 5_000
"""Milliseconds before the cursor that are read again: an insert may become visible after one that started later."""
POINTS = 400
"""Points of each compared run's curve."""
CELLS = 20_000
"""Cells of a feature grid, at most."""
STATES = 400
"""States of the model selection per answer, at most."""
FAILURES = 100
"""Failures per answer, at most: the newest."""


def runs(client: Client, stalled_after: float, **asked: Any) -> list[dict[str, Any]]:
    """Runs, newest first, as in the command `runs`; without a filter also runs whose start is not in the store, with an empty status."""
    rows = health.runs(client, stalled_after, **asked)
    if not set(asked) - {"limit"}:
        headless = queries.ask(client, "runs_without_beginning")
        rows = sorted(
            rows + [{"task_name": "", "status": "", "tags": [], "notes": [], "error": "", **row} for row in headless],
            key=lambda row: row["start_time"],
            reverse=True,
        )
    return [_shown(row) for row in rows]


def sparks(client: Client, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The best-so-far curve of each run, in few points."""
    rows = queries.ask(client, "sparks", run_ids=list(run_ids)) if run_ids else []
    return {str(row["run_id"]): _shown(row) for row in rows}


def run(client: Client, run_id: str, stalled_after: float) -> dict[str, Any]:
    """A run's current state; a run whose start is not in the store has no status, only what its rows give."""
    found = health.summary(client, run_id, stalled_after)
    if found is None:
        for row in health.ask(client, "pulse", run_id=run_id, stalled_after=stalled_after):
            found = {"run_id": run_id, **row}
    if found is None:
        raise NotFoundError(f"the store has no rows of the run {run_id}")
    return _shown(found)


def outlook(client: Client, run_ids: Sequence[str], stalled_after: float) -> list[dict[str, Any]]:
    """How far runs have come, and how long they will take at the current rate, if that is known."""
    found = (health.ask(client, "budget", run_id=run_id, stalled_after=stalled_after) for run_id in run_ids)
    return [_shown(row) for rows in found for row in rows]


def arrivals(client: Client, run_id: str) -> dict[str, str]:
    """For a run's individuals, calls and everything else: a text that changes as soon as a row arrives, is removed, or gets a price; it begins
    with the number of rows."""
    found = queries.ask(client, "arrivals", run_id=run_id)
    return dict.fromkeys(("individuals", "calls", "others"), "") | {
        row["what"]: f"{row['rows']} {_value(row['newest'])} {row['unpriced']}" for row in found
    }


def individuals(client: Client, run_id: str, since: int = 0, leaders: Sequence[str] = ()) -> dict[str, Any]:
    """The individuals that arrived since the cursor, in columns, and the next cursor.

    :param leaders: ids of the successive best individuals up to the cursor.
    """
    asked = {"run_id": run_id, "since": max(0, since - OVERLAP), "leaders": list(leaders)}
    return _news(queries.columns(client, "individuals_since", **asked), since)


def calls(client: Client, run_id: str, since: int = 0) -> dict[str, Any]:
    """The calls that arrived since the cursor, in columns, and the next cursor."""
    return _news(queries.columns(client, "calls_since", run_id=run_id, since=max(0, since - OVERLAP)), since)


def jobs(client: Client, run_id: str, since: int = 0) -> dict[str, Any]:
    """The evaluation jobs of which anything arrived since the cursor, in columns, and the next cursor."""
    return _news(queries.columns(client, "jobs_since", run_id=run_id, since=max(0, since - OVERLAP)), since)


def individual(client: Client, run_id: str, individual_id: str) -> dict[str, Any]:
    """Everything known about an individual, with its parent's program, its conversations, and the spans of its trace."""
    found = in_full(client, run_id, [individual_id])
    if not found:
        raise NotFoundError(f"{individual_id} has no row of its own: it has not finished, or is known only as a parent")
    return found[individual_id]


def in_full(
    client: Client, run_id: str, individual_ids: Sequence[str], *, calls: int = program.WHOLE
) -> dict[str, dict[str, Any]]:
    """The same for several individuals, by id, with at most ``calls`` calls each; those without a row are left out."""
    found = program.individuals(client, run_id, individual_ids)
    if not found:
        return {}
    firsts = {each["parent_ids"][0] for each in found.values() if each["parent_ids"]}
    codes = {name: each["code"] for name, each in found.items()}
    codes |= program.codes(client, run_id, sorted(firsts - set(codes)))
    asked = [_shown(each) for each in program.calls(client, run_id, *found, most=calls)]
    for call in asked:
        call["messages"] = program.messages_of(call["messages"])
    outputs = [_shown(each) for each in program.outputs(client, run_id, *found)]
    traces = {
        trace: [_shown(each) for each in queries.ask(client, "spans_of_trace", run_id=run_id, trace_id=trace)]
        for trace in {each["trace_id"] for each in found.values()} - {""}
    }
    return {
        name: {
            **_shown(each),
            **{what: _pairs(each[what]) for what in ("metrics", "metadata")},
            "parent": next(
                ({"individual_id": first, "code": codes[first]} for first in each["parent_ids"][:1] if first in codes),
                None,
            ),
            "calls": [call for call in asked if call["individual_id"] == name],
            "outputs": [output for output in outputs if output["individual_id"] == name],
            "spans": traces.get(each["trace_id"], []),
        }
        for name, each in found.items()
    }


def metrics(client: Client, run_id: str, since: int = 0) -> dict[str, Any]:
    """The numeric metrics of the individuals that arrived since the cursor: one column per metric, rounded for plots."""
    news = _news(queries.columns(client, "metrics_since", run_id=run_id, since=max(0, since - OVERLAP)), since)
    names, numbers = (news["columns"].pop(each, []) for each in ("names", "numbers"))
    columns: dict[str, list[float | None]] = {}
    for at, pair in enumerate(zip(names, numbers, strict=True)):
        for name, value in zip(*pair, strict=True):
            if name not in columns:
                columns[name] = [None] * len(names)
            columns[name][at] = _rounded(value)
    return {**news, "metrics": dict(sorted(columns.items()))}


def vectors(client: Client, run_id: str, since: int = 0) -> dict[str, Any]:
    """The programs that arrived since the cursor as vectors of their words, in columns."""
    return _news(queries.columns(client, "code_vectors_since", run_id=run_id, since=max(0, since - OVERLAP)), since)


def examples(client: Client, run_id: str, since: int = 0) -> dict[str, Any]:
    """The per-example scores of the individuals that arrived since the cursor, in columns."""
    return _news(queries.columns(client, "example_scores", run_id=run_id, since=max(0, since - OVERLAP)), since)


def selection(client: Client, run_id: str, since: int = 0, states: int = STATES) -> dict[str, Any]:
    """The model selection's states that arrived since the cursor: what it knew of each model, ``models`` by name, then by quantity."""
    asked = {"run_id": run_id, "since": max(0, since - OVERLAP), "states": states}
    news = _news(queries.columns(client, "model_selection", **asked), since)
    for at, text in enumerate(news["columns"].get("models", ())):
        told = [(model, state) for model, state in program.metrics_of(text) if isinstance(state, dict)]
        news["columns"]["models"][at] = {
            model: {name: _rounded(value) for name, value in state.items()} for model, state in told
        }
    return news


def islands(client: Client, run_id: str) -> dict[str, Any]:
    """Islands, the successive leaders of each, and the migrations between them."""
    asked = ("islands", "island_leaders", "migrations")
    found = {name: queries.ask(client, name, run_id=run_id) for name in asked}
    return {name: [_shown(row) for row in rows] for name, rows in found.items()}


def actions(client: Client, run_id: str, **asked: Any) -> list[dict[str, Any]]:
    """A search's actions other than jobs, newest first."""
    return [_shown(row) for row in queries.ask(client, "actions_in_detail", run_id=run_id, **asked)]


def yields(client: Client, run_id: str) -> dict[str, Any]:
    """What mutations and models yielded, each and combined; the cells, the front, and the failures."""

    def ask(name: str, **given: Any) -> list[dict[str, Any]]:
        return [_shown(row) for row in queries.ask(client, name, run_id=run_id, **given)]

    # One after the other, so that they tell of nearly the same rows while a search goes on.
    tried = {row["mutation_type"]: row for row in ask("mutation_success_rate")}
    mutations = [{**tried.get(row["mutation_type"], {}), **row} for row in ask("mutation_effectiveness")]
    latency = {row["model"]: row for row in ask("llm_latency")}
    return {
        "proposals": ask("proposals"),
        "mutations": mutations,
        "models": [{**latency.get(row["model"], {}), **row} for row in ask("llm_costs")],
        "pairs": ask("model_mutation_yield"),
        "cells": ask("cells", limit=CELLS),
        "front": ask("pareto_latest"),
        "failures": ask("failures", limit=FAILURES),
        "most_failures": FAILURES,
    }


def cells(client: Client, run_id: str, until: int) -> list[dict[str, Any]]:
    """The cells of the feature grid as they were at a time, in milliseconds since 1970."""
    return [_shown(row) for row in queries.ask(client, "cells", run_id=run_id, until=until, limit=CELLS)]


def found_calls(client: Client, **asked: Any) -> list[dict[str, Any]]:
    """The calls that match a search, newest first."""
    return [_shown(row) for row in queries.ask(client, "calls_matching", **asked)]


def compared(client: Client, run_ids: Sequence[str], stalled_after: float) -> list[dict[str, Any]]:
    """Runs side by side: each one's state, and its best so far by individuals (without copies), seconds, cost and generation."""
    result = []
    for run_id in run_ids:
        points = queries.columns(client, "individual_points", run_id=run_id)
        copied, improved = points.get("copied", ()), points.get("improved", ())
        step = max(1, len(copied) // POINTS)
        kept = [at for at in range(len(copied)) if at % step == 0 or improved[at] or at == len(copied) - 1]
        finished = list(itertools.accumulate(int(not each) for each in copied))
        result.append(
            {
                "run": run(client, run_id, stalled_after),
                "config": _config(client, run_id),
                "place": [finished[at] for at in kept],
                **{
                    name: [plain(points[name][at]) for at in kept]
                    for name in ("seconds", "spent", "reached", "best_so_far")
                },
            }
        )
    return result


def _pairs(text: str) -> list[tuple[str, Any]]:
    """Names and values of stored JSON."""
    return [(name, plain(value)) for name, value in program.metrics_of(text)]


def _config(client: Client, run_id: str) -> list[tuple[str, Any]]:
    rows = client.query(
        "SELECT any(config) FROM evolution_runs WHERE run_id = {run_id:String}", parameters={"run_id": run_id}
    ).result_rows
    return _pairs(str(rows[0][0]) if rows else "")


def _news(told: Mapping[str, Sequence[Any]], since: int) -> dict[str, Any]:
    newest = max(told.get("ingested_at", ()), default=since)
    return {
        "since": max(newest, since),
        "columns": {name: _column(told[name]) for name in told if name != "ingested_at"},
    }


def _column(values: Sequence[Any]) -> list[Any]:
    """A column's values, each as :func:`_value` gives it. A column has one type, so it is looked at once: of 100,000 individuals that
    takes half the time."""
    first = next((each for each in values if each is not None), None)
    if isinstance(first, (str, int)):
        return list(values)
    if isinstance(first, float):
        return [each if each is not None and math.isfinite(each) else None for each in values]
    if isinstance(first, list):
        return [each if not each or isinstance(each[0], str) else plain(each) for each in values]
    return [_value(each) for each in values]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else plain(value)


def _rounded(value: Any) -> float | None:
    """A number rounded to ten digits, enough for a plot; a whole one is exact, as a table shows it."""
    shown = plain(value)
    if not isinstance(shown, (int, float)):
        return None
    return float(shown) if shown == int(shown) else float(f"{shown:.10g}")
