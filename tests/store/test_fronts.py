"""Which front counts, where a generation tells several, and what the directions of its objectives say about it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Tracer

from genesis_otel import attributes as names
from genesis_otel import queries
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.dashboards import around_now, chosen, dashboards, queries_of
from tests.support.golden import SECOND, START, Case, span
from tests.support.grafana_query import sent
from tests.support.mapping import spans_of
from tests.support.recording import store_spans

OBJECTIVES = {"accuracy": "max", "size": "min"}


def member(name: str, accuracy: object, size: object, fitness: float | None = None) -> dict[str, Any]:
    return {"individual_id": name, "fitness_score": fitness, "metrics": {"accuracy": accuracy, "size": size}}


def front(generation: int, members: Sequence[Mapping[str, Any]], at: int) -> Sequence[ReadableSpan]:
    """A generation's span with its front, which ended ``at`` so many seconds."""
    told = {names.RECORD: "generation", names.RUN_ID: "r", names.GENERATION: generation}
    told[names.GENERATION_PARETO_SIZE] = len(members)
    event = (names.EVENT_PARETO_FRONT, {names.PARETO_FRONT_MEMBERS: json.dumps(members)})
    start = START + (at - 1) * SECOND
    return spans_of(
        Case("", lambda tracer: span(tracer, "generation", told, events=(event,), start=start, seconds=1), {})
    )


def run(**told: str) -> Sequence[ReadableSpan]:
    attributes = {names.RECORD: "run", names.RUN_ID: "r", names.RUN_STATUS: "running"}
    return spans_of(Case("", lambda tracer: span(tracer, "run.start", attributes | told, seconds=0), {}))


def fronts(client: Client) -> dict[str, Any]:
    """What every named query says about the run's fronts."""
    asked = ("pareto_latest", "pareto_members", "pareto_objectives", "pareto_evolution", "progress")
    told: dict[str, Any] = {name: queries.ask(client, name, run_id="r") for name in asked}
    for name, given in (("individual_points", {}), ("individuals_in_detail", {"individual_ids": list("abcd")})):
        told[name] = {
            (row["generation"], row["individual_id"]): row["is_pareto"]
            for row in queries.ask(client, name, run_id="r", **given)
        }
    return told


def of_front(told: Mapping[str, Any]) -> dict[str, Any]:
    """The members by name, as each query tells them; sorted, as only `pareto_latest` promises an order."""
    (size,) = (row["pareto_size"] for row in told["pareto_evolution"])
    (actual,) = ((row["pareto_size"], row["pareto_actual"]) for row in told["progress"])
    listed = {
        name: sorted(row["individual_id"] for row in told[name])
        for name in ("pareto_latest", "pareto_members", "pareto_objectives")
    }
    marked = {
        name: sorted(key[1] for key, is_pareto in told[name].items() if is_pareto)
        for name in ("individual_points", "individuals_in_detail")
    }
    return {**listed, **marked, "pareto_evolution": size, "progress": actual}


def individuals(*ids: str) -> Sequence[ReadableSpan]:
    told = {names.RECORD: "individual", names.RUN_ID: "r", names.GENERATION: 1, names.INDIVIDUAL_FITNESS_SCORE: 1.0}

    def emit(tracer: Tracer) -> None:
        for each in ids:
            span(tracer, "individual", told | {names.INDIVIDUAL_ID: each})

    return spans_of(Case("", emit, {}))


PANELS = [
    asked
    for board in dashboards().values()
    for asked in queries_of(board)
    if asked.title in ("Pareto front", "Pareto fronts", "Front over time", "Top individuals", "Tree")
]


CURRENT = ("front", "compared", "top", "tree")
"""Where panels show the current front."""


def panels(client: Client) -> dict[str, list[dict[str, Any]]]:
    """What each panel that draws a front answers."""
    boards = dashboards()
    found = {}
    for asked in PANELS:
        values = chosen(boards[asked.board], run="r", runs=("r",), individual="nobody")
        sql = sent(asked.sql, values, around_now(), {"task": (), "runs": ("r",), "run": ("r",)})
        found[str(asked)] = list(client.query(sql).named_results())
    return found


def drawn(told: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """The members that each of these panels shows as such, by name."""
    run, lineage = "genesis-run", "genesis-lineage"
    series = {
        "earlier": told[f"{run}/Pareto front/B"],
        "dominated": told[f"{run}/Pareto front/C"],
        "front": told[f"{run}/Pareto front/D"],
        "compared": told["genesis-compare/Pareto fronts/A"],
        "top": [row for row in told[f"{run}/Top individuals/A"] if row["on_front"]],
        "tree": [row | {"individual_id": row["id"]} for row in told[f"{lineage}/Tree/nodes"] if row["arc__front"]],
    }
    return {name: sorted(row["individual_id"] for row in rows) for name, rows in series.items()}


def test_the_last_front_of_a_generation_counts_as_a_whole(store: Client, connect: Connect) -> None:
    """A generation that ended, was opened again and ended again has the front that it told last: in every query and panel, also if the
    older one arrives later and everything arrives twice."""
    exporter = ClickHouseSpanExporter(connect)
    older = [member("b", 0.5, 50), member("c", 0.6, 60), member("d", 0.7, 70)]
    newer = [member("a", 0.9, 90), member("b", 0.5, 40)]
    store_spans(exporter, [*run(), *individuals("a", "b", "c", "d"), *front(1, newer, at=20)])
    listing = ("pareto_latest", "pareto_members", "pareto_objectives", "individual_points", "individuals_in_detail")
    expected: dict[str, Any] = {name: ["a", "b"] for name in listing}
    expected |= {"pareto_evolution": 2, "progress": (2, 2)}
    on_panels = {"earlier": [], "dominated": [], **{name: ["a", "b"] for name in CURRENT}}
    assert of_front(fronts(store)) == expected
    store_spans(exporter, front(1, older, at=10))
    assert of_front(fronts(store)) == expected
    settings = {"insert_deduplicate": 0, "deduplicate_blocks_in_dependent_materialized_views": 0}
    store.command("INSERT INTO otel_traces SELECT * FROM otel_traces", settings=settings)
    told = fronts(store)
    assert of_front(told) == expected
    assert {row["individual_id"]: row["y"] for row in told["pareto_objectives"]} == {"a": 90.0, "b": 40.0}
    every = panels(store)
    assert drawn(every) == on_panels
    (over_time,) = every["genesis-run/Front over time/A"]
    assert (over_time["members"], over_time["new members"]) == (2, 2)


def test_the_fronts_of_earlier_generations_are_not_the_current_one(store: Client, connect: Connect) -> None:
    """The current front is that of the newest generation that has one; a member of an earlier front only is marked in its own generation."""
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, [*run(), *individuals("a", "b"), *front(1, [member("a", 1, 1)], at=30)])
    store_spans(exporter, front(2, [member("b", 1, 1)], at=20))
    told = fronts(store)
    assert [row["individual_id"] for row in told["pareto_latest"]] == ["b"]
    assert told["individual_points"] == {(1, "a"): True, (1, "b"): False}
    expected = {"earlier": ["a"], "dominated": [], **{name: ["b"] for name in CURRENT}}
    assert drawn(panels(store)) == expected


def test_a_dominated_member_is_marked_by_the_runs_objectives(store: Client, connect: Connect) -> None:
    """A front is shown as it was told; where the run tells its objectives, a member that another one dominates is marked, equal ones and
    those without a value of each objective are not, and without objectives nobody is."""
    exporter = ClickHouseSpanExporter(connect)
    members = [
        member("accurate", 0.9, 90),
        member("small", 0.5, 40),
        member("small too", 0.5, 40),
        member("larger", 0.5, 41),
        member("worse", 0.4, 40),
        member("unmeasured", 0.1, None),
        member("odd", "much", 1),
    ]
    store_spans(
        exporter, [*run(), *individuals(*(each["individual_id"] for each in members)), *front(1, members, at=20)]
    )

    def marks() -> dict[str, bool | None]:
        return {row["individual_id"]: row["dominated"] for row in queries.ask(store, "pareto_latest", run_id="r")}

    everybody = sorted(each["individual_id"] for each in members)
    assert marks() == dict.fromkeys(everybody)
    assert drawn(panels(store))["front"] == everybody
    store_spans(exporter, run(**{names.RUN_OBJECTIVES: json.dumps(OBJECTIVES)}))
    known = {"accurate": False, "small": False, "small too": False, "larger": True, "worse": True}
    assert marks() == {**known, "unmeasured": None, "odd": None}
    shown = drawn(panels(store))
    assert (shown["dominated"], shown["compared"]) == (["larger", "worse"], everybody)
    assert shown["front"] == sorted(set(everybody) - {"larger", "worse"})


@pytest.mark.parametrize(
    "objectives", [{"a": "min"}, {"a": "max", "b": "min"}, {"a": "min", "b": "max", "c": "max"}], ids=len
)
def test_any_number_of_objectives_is_compared_alike(
    objectives: dict[str, str], store: Client, connect: Connect
) -> None:
    """Of members with many ties, some of them without a value, those are dominated that comparing each with each finds; one objective, two,
    which are sorted, and more."""
    chance = random.Random(7)
    values = [[chance.choice([*range(6), None]) for _ in objectives] for _ in range(60)]
    members = [
        {"individual_id": f"i{n}", "fitness_score": None, "metrics": dict(zip(objectives, own, strict=True))}
        for n, own in enumerate(values)
    ]
    told = run(**{names.RUN_OBJECTIVES: json.dumps(objectives)})
    store_spans(ClickHouseSpanExporter(connect), [*told, *front(1, members, at=20)])
    signs = [-1 if way == "min" else 1 for way in objectives.values()]
    points = {
        f"i{n}": [sign * each for sign, each in zip(signs, own, strict=True) if each is not None]
        for n, own in enumerate(values)
    }
    known = {name: point for name, point in points.items() if len(point) == len(objectives)}
    expected: dict[str, bool | None] = dict.fromkeys(points)
    for name, mine in known.items():
        expected[name] = any(own != mine and all(map(int.__ge__, own, mine)) for own in known.values())
    assert set(expected.values()) == {True, False, None}
    found = {row["individual_id"]: row["dominated"] for row in queries.ask(store, "pareto_latest", run_id="r")}
    assert found == expected


def test_an_objective_may_be_a_score(store: Client, connect: Connect) -> None:
    """An objective that is no metric is the individual's own fitness or combined score, as where the front is computed."""
    exporter = ClickHouseSpanExporter(connect)
    objectives = {"fitness": "min", "size": "max"}
    members = [member("a", 1, 3, fitness=-2.0), member("b", 9, 2, fitness=-1.0), member("c", 9, 4, fitness=5.0)]
    store_spans(exporter, [*run(**{names.RUN_OBJECTIVES: json.dumps(objectives)}), *front(1, members, at=20)])
    found = {row["individual_id"]: row["dominated"] for row in queries.ask(store, "pareto_latest", run_id="r")}
    assert found == {"a": False, "b": True, "c": False}


def test_an_axis_says_which_way_is_better(store: Client, connect: Connect) -> None:
    """The axes of a front, as the dashboards offer them, say whether higher or lower is better as far as the run tells, and else that it
    is not known; several runs have to agree."""
    exporter = ClickHouseSpanExporter(connect)
    objectives = json.dumps({"accuracy": "max", "size": "min"})
    told = {names.RUN_OBJECTIVES: objectives, names.RUN_DIRECTION: "min"}
    measured = member("a", 1, 2)
    measured["metrics"]["speed"] = 3
    store_spans(exporter, [*run(**told), *front(1, [measured], at=20)])
    boards = dashboards()
    axes = {(asked.board, asked.title): asked for board in boards.values() for asked in queries_of(board)}

    def titles(board: str, axis: str, *runs: str) -> list[str]:
        asked = axes[board, f"${axis}"]
        values = chosen(boards[board], run=runs[0], runs=runs, individual="a")
        return [row[1] for row in store.query(sent(asked.sql, values, around_now(), {"task": ()})).result_rows]

    known = ["accuracy (higher is better)", "size (lower is better)", "speed (direction unknown)"]
    scores = ["combined_score (direction unknown)", "fitness_score (lower is better)"]
    assert titles("genesis-run", "x", "r") == known + scores
    assert titles("genesis-run", "y", "r") == known[1:] + scores
    assert titles("genesis-compare", "x", "r") == known + scores
    other = run(**{names.RUN_ID: "s", names.RUN_OBJECTIVES: '{"accuracy": "max"}'})
    store_spans(exporter, other)
    both = [
        "accuracy (higher is better)",
        *(f"{name} (direction unknown)" for name in ("size", "speed", "combined_score")),
    ]
    assert titles("genesis-compare", "x", "r", "s") == [*both, "fitness_score (direction unknown)"]
    every = json.dumps(boards["genesis-run"]["panels"]) + json.dumps(boards["genesis-compare"]["panels"])
    assert every.count('"${x:text}"') == every.count('"${y:text}"') == 2
