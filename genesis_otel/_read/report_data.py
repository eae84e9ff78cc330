"""What a report shows of a run, asked and put in order; how it looks is `report.py` and ``report_page/``.

In: a client, a run's id. Out: `Gathered`: plain values, bounded whatever the run's size, numbers that are none as None. What is
left out is counted. On failure: what ClickHouse raises; `LookupError` without such a run.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genesis_otel import queries
from genesis_otel._read.ancestry import chain
from genesis_otel._read.format import visible
from genesis_otel._read.health import STALLED, alive
from genesis_otel._read.program import messages_of, metrics_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

POINTS = 5_000
"""Individuals, and as many LLM calls, that a plot draws: more make a phone slow, and lie on one another anyway."""
NODES = 400
"""Individuals in the tree: the best, each with its ancestors."""
CHARACTERS = 20_000
"""Of each prompt and answer."""
LINES = 3_000
"""Of each program."""
SPANS = 300
BINS = 60
FAILURES = 200
CELLS = 100
OUTPUTS = 1_000
"""Texts that evaluations put out, each with its last :data:`PUT_OUT` characters."""
PUT_OUT = 4_000

Say = Callable[[str], None]


@dataclass
class Gathered:
    """Everything of a run that its report shows."""

    run_id: str
    summary: Mapping[str, Any]
    points: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    individuals: int
    throughput: list[int]
    """How many individuals ended in each of `BINS` equal parts of the run's time."""
    generations: list[dict[str, Any]]
    front: list[dict[str, Any]]
    front_sizes: list[dict[str, Any]]
    mutations: list[dict[str, Any]]
    islands: list[dict[str, Any]]
    """A row an island; empty where there are not at least two."""
    cells: list[dict[str, Any]]
    """The best cells of a grid of features; empty without one."""
    models: list[dict[str, Any]]
    top: list[dict[str, Any]]
    path: list[str]
    tree: dict[str, Any]
    failures: list[dict[str, Any]]
    slowest: dict[str, Any] | None
    others: dict[str, list[dict[str, Any]]]
    """Of the runs that it is compared with where their best so far changes, and the last point."""
    beside: list[Mapping[str, Any]]
    """The run's summary and those of the others; empty without others."""


def gather(
    client: Client,
    run_id: str,
    *,
    top: int,
    compare: Sequence[str] = (),
    say: Say = lambda _: None,
    stalled_after: int = STALLED,
) -> Gathered:
    """Ask for everything.

    :param top: individuals that are shown with their code and prompts.
    :param compare: ids of other runs.
    :param stalled_after: seconds without a sign of life after which a run is stalled.
    :param say: told what is being asked, a line each.
    """

    def summaries(of: str) -> list[dict[str, Any]]:
        found = queries.ask(client, "run_summary", run_id=of, stalled_after=stalled_after)
        return [_plain(row) for row in alive(client, found)]

    def ask(name: str, **given: Any) -> list[dict[str, Any]]:
        return [_plain(row) for row in queries.ask(client, name, **{"run_id": run_id, **given})]

    compare = [each for each in dict.fromkeys(compare) if each != run_id]
    say("individuals and generations")
    summary = next(iter(summaries(run_id)), None)
    if summary is None:
        raise LookupError(f"there is no run {run_id!r}")
    individuals = ask("individual_points")
    scored = [each for each in individuals if each["score"] is not None]
    # They come in the order in which they finished, and a sort keeps it among equals.
    sign = -1 if summary["direction"] == "min" else 1
    ranked = sorted(scored, key=lambda each: -sign * each["score"])
    parents = {row["child_id"]: row["parent_ids"] for row in ask("parents")}
    path = chain(parents, ranked[0]["individual_id"]) if ranked else []

    say("LLM calls")
    calls = ask("call_points", limit=4 * POINTS)
    latency = {row["model"]: row for row in ask("llm_latency")}
    models = [{**latency.get(row["model"], {}), **row} for row in ask("llm_costs")]

    say(f"programs and prompts of the best {top}")
    mutations = {row["mutation_type"]: row for row in ask("mutation_success_rate")}
    islands = ask("islands")
    return Gathered(
        run_id=run_id,
        summary=summary,
        points=_thinned(
            individuals, {*path, *(each["individual_id"] for each in ranked[:top]), *_rising(individuals, sign)}
        ),
        calls=calls[:: max(1, math.ceil(len(calls) / POINTS))],
        individuals=len(individuals),
        throughput=_throughput(individuals),
        generations=ask("fitness_trajectory"),
        front=ask("pareto_latest"),
        front_sizes=ask("pareto_evolution"),
        mutations=[{**mutations.get(row["mutation_type"], {}), **row} for row in ask("mutation_effectiveness")],
        islands=islands if len(islands) > 1 else [],
        cells=ask("cells", limit=CELLS),
        models=models,
        top=_in_detail(ask, ranked[:top], parents),
        path=path,
        tree=_tree(individuals, ranked, parents, path),
        failures=_failures(ask),
        slowest=_slowest(ask),
        others={other: _climb(ask("individual_points", run_id=other)) for other in compare},
        beside=[summary, *(row for other in compare for row in summaries(other))] if compare else [],
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose texts can be shown, and whose numbers JSON knows."""
    return {name: _shown(value) for name, value in row.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return visible(value, keep="\n\t")
    if isinstance(value, (list, tuple)):
        return [_shown(each) for each in value]
    return value


def _climb(individuals: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where the best so far of a run changes, and where the run is last known to have been."""
    known = [each for each in individuals if each["best_so_far"] is not None]
    kept = [each for each in known if each["improved"] or each is known[0] or each is known[-1]]
    return [{name: each[name] for name in ("reached", "seconds", "spent", "best_so_far")} for each in kept]


def _rising(individuals: Sequence[Mapping[str, Any]], sign: int) -> list[str]:
    """Those that beat all before them on their island."""
    best: dict[str, float] = {}
    found = []
    for each in individuals:
        if each["score"] is not None and sign * each["score"] > best.get(each["island"], -math.inf):
            best[each["island"]] = sign * each["score"]
            found.append(each["individual_id"])
    return found


def _throughput(individuals: Sequence[Mapping[str, Any]]) -> list[int]:
    counts = [0] * BINS
    whole = max((each["seconds"] for each in individuals), default=0) or 1
    for each in individuals:
        counts[min(BINS - 1, int(each["seconds"] / whole * BINS))] += 1
    return counts


def _thinned(individuals: Sequence[dict[str, Any]], kept: set[str]) -> list[dict[str, Any]]:
    """At most about `POINTS` of them: all that matter, and every n-th of the others."""
    step = max(1, math.ceil(len(individuals) / POINTS))
    return [
        each
        for at, each in enumerate(individuals)
        if at % step == 0 or each["improved"] or each["individual_id"] in kept
    ]


def _in_detail(
    ask: Callable[..., list[dict[str, Any]]], best: Sequence[Mapping[str, Any]], parents: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The best, each with its program as a difference to its first parent's, and what models were asked for it."""
    ids = [each["individual_id"] for each in best]
    if not ids:
        return []
    firsts = [parents[each][0] for each in ids if parents.get(each)]
    programs = {row["individual_id"]: row for row in ask("individual_programs", individual_ids=[*{*ids, *firsts}])}
    prompts = ask("individual_prompts", individual_ids=ids, characters=CHARACTERS)
    outputs = _outputs(ask, ids)
    shown = []
    for each in best:
        own = programs.get(each["individual_id"], {})
        mother = next(iter(parents.get(each["individual_id"], ())), "")
        code, before = own.get("code", ""), programs.get(mother, {}).get("code", "")
        shown.append(
            {
                **each,
                "parent_ids": parents.get(each["individual_id"], ()),
                "edit_summary": own.get("edit_summary", ""),
                "metrics": metrics_of(own.get("metrics", "")),
                "output": outputs.get(each["individual_id"], ()),
                "lines": _difference(before, code) if before else [("", line) for line in code.splitlines()[:LINES]],
                "compared_with": mother if before else "",
                "calls": [
                    {**call, "messages": [(role, _shown(text)) for role, text in messages_of(call["messages"])]}
                    for call in prompts
                    if call["individual_id"] == each["individual_id"]
                ],
            }
        )
    return shown


def _failures(ask: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What went wrong, with what a failed evaluation put out."""
    failures = ask("failures", limit=FAILURES)
    of_jobs = {each["individual_id"] for each in failures if each["what"] == "job_failed"}
    outputs = _outputs(ask, sorted(of_jobs - {""}))
    return [
        {**each, "output": outputs.get(each["individual_id"], ()) if each["what"] == "job_failed" else ()}
        for each in failures
    ]


def _outputs(
    ask: Callable[..., list[dict[str, Any]]], individual_ids: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    """What the evaluations of individuals put out, by individual: each text by its name, those of the latest evaluation first."""
    found: dict[str, list[tuple[str, str]]] = {}
    if individual_ids:
        rows = ask("evaluation_output", individual_ids=list(individual_ids), characters=PUT_OUT, limit=OUTPUTS)
        for row in rows:
            found.setdefault(row["individual_id"], []).append((row["name"], row["text"]))
    return found


def _difference(before: str, after: str) -> list[tuple[str, str]]:
    """The lines of a unified difference, each with what it is: added, removed, place or nothing."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = list(difflib.unified_diff(before.splitlines()[:LINES], after.splitlines()[:LINES], n=3, lineterm=""))[2:]
    return [(kinds.get(line[:1], ""), line) for line in lines]


def _tree(
    individuals: Sequence[Mapping[str, Any]],
    ranked: Sequence[Mapping[str, Any]],
    parents: Mapping[str, Sequence[str]],
    path: Sequence[str],
) -> dict[str, Any]:
    """The best individuals with all their ancestors, each with its place: leaves side by side, children below parents."""
    known = {each["individual_id"]: each for each in individuals}
    kept: dict[str, None] = dict.fromkeys(path)
    for each in ranked:
        if len(kept) >= NODES:
            break
        kept.update(dict.fromkeys(chain(parents, each["individual_id"])))
    mother = {
        node: next((one for one in parents.get(node, ())[:1] if one in kept and one != node), "") for node in kept
    }
    children: dict[str, list[str]] = {}
    for child, one in mother.items():
        children.setdefault(one, []).append(child)
    place: dict[str, float] = {}
    leaves = 0
    # Depth first without recursion: a lineage may be thousands deep.
    stack = [(root, False) for root in reversed(children.get("", []))]
    while stack:
        node, left = stack.pop()
        below = children.get(node, [])
        if left:
            place[node] = sum(place[child] for child in below) / len(below)
        elif below:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(below))
        else:
            place[node] = leaves
            leaves += 1
    on_path = set(path)
    nodes = [
        {
            "id": node,
            "x": place[node],
            "generation": known[node]["generation"] if node in known else None,
            "score": known[node]["score"] if node in known else None,
            "how": known[node]["mutation_type"] if node in known else "",
            "best": node in on_path,
            "parent": mother[node],
        }
        for node in kept
        if node in place
    ]
    return {"nodes": nodes, "left_out": len(individuals) - len(nodes)}


def _slowest(ask: Callable[..., list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The slowest generation's spans, children under their parents."""
    found = next(iter(ask("slowest_generation")), None)
    if found is None:
        return None
    spans = ask("spans_of_trace", run_id="", trace_id=found["trace_id"], limit=SPANS)
    if not spans:
        return None  # the raw spans are kept for a time only
    whole = max(each["began"] + each["seconds"] for each in spans) or 1.0
    return {**found, "spans": _nested(spans, whole), "whole": whole}


def _nested(spans: Sequence[dict[str, Any]], whole: float) -> list[dict[str, Any]]:
    by_id = {each["span_id"]: each for each in spans}
    below: dict[str, list[dict[str, Any]]] = {}
    for each in sorted(spans, key=lambda span: (span["began"], -span["seconds"])):
        parent = each["parent_span_id"] if each["parent_span_id"] in by_id else ""
        below.setdefault(parent, []).append(each)
    ordered: list[dict[str, Any]] = []
    stack = [(each, 0) for each in reversed(below.get("", []))]
    while stack:
        each, depth = stack.pop()
        kind = "failed" if each["failed"] else "model" if each["model"] else each["record"] or "other"
        ordered.append(
            {
                **each,
                "depth": depth,
                "kind": kind,
                "left": 100 * each["began"] / whole,
                "width": 100 * each["seconds"] / whole,
            }
        )
        stack.extend((child, depth + 1) for child in reversed(below.get(each["span_id"], [])))
    return ordered
