"""The emit API: what each handle records, where its span belongs, and that a search never notices."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import json
import logging
import math
import os
import random
import re
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import context, opened, tally
from tests.support.recording import Recorded, attributes_of, hostile_values, ids_of, record

SECOND = 1_000_000_000


# --- where spans belong -----------------------------------------------------------------------------------------------


def test_a_run_is_shown_as_running_at_once(recorded: Recorded) -> None:
    """`run.start` ends at once with everything known about the run; the end of the run adds the rest."""
    run = spans.run(
        "circle_packing", config={"seed": 7}, population_size=20, cluster_type="slurm", database_path="/results/x.db"
    )
    begun = recorded.one("run.start circle_packing")
    assert attributes_of(begun) == {
        names.RECORD: "run",
        names.RUN_ID: run.id,
        names.RUN_STATUS: "running",
        names.RUN_TASK_NAME: "circle_packing",
        names.RUN_CONFIG: '{"seed": 7}',
        names.RUN_POPULATION_SIZE: 20,
        names.RUN_CLUSTER_TYPE: "slurm",
        names.RUN_DATABASE_PATH: "/results/x.db",
        names.HOST_NAME: socket.gethostname(),
        names.PROCESS_PID: os.getpid(),
    }
    for number in (0, 1, 1):
        run.generation(number).end()
    run.end()
    ended = recorded.one("run circle_packing")
    assert attributes_of(ended)[names.RUN_STATUS] == "completed"
    assert attributes_of(ended)[names.RUN_TOTAL_GENERATIONS] == 2
    assert begun.parent and begun.parent.span_id == ids_of(ended)[1]
    assert ids_of(ended) == context.derived_ids(run.id)


def test_a_run_whose_block_raises_has_failed(recorded: Recorded) -> None:
    """The exception propagates, the run's status is `failed`, and the span has the exception."""
    with pytest.raises(KeyError), spans.run("t"):
        raise KeyError("lost")
    failed = recorded.one("run t")
    assert attributes_of(failed)[names.RUN_STATUS] == "failed"
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]


def test_a_generation_is_a_trace_of_its_own_linked_to_its_run(recorded: Recorded) -> None:
    """Generation, individual, call, evaluation and action share one trace, whose ids are derived from run and
    number."""
    run = spans.run("t")
    with run, run.generation(3) as generation, generation.individual("a") as individual:
        individual.llm_call("m").end()
        individual.evaluation("j").end()
        individual.action("archived")
    root = recorded.one("generation")
    assert root.parent is None
    assert ids_of(root) == context.derived_ids(run.id, 3)
    assert [link.context.span_id for link in root.links] == [context.derived_ids(run.id)[1]]
    inner = ["chat m", "evaluation", "action job_submitted", "action archived"]
    for name in inner:
        span = recorded.one(name)
        assert ids_of(span)[0] == ids_of(root)[0]
        assert span.parent and span.parent.span_id == ids_of(recorded.one("individual"))[1]
    for name in [*inner, "individual", "generation"]:
        place = attributes_of(recorded.one(name))
        assert (place[names.RUN_ID], place[names.GENERATION]) == (run.id, 3)
        assert place.get(names.INDIVIDUAL_ID, "") == ("" if name == "generation" else "a")
    assert recorded.one("chat m").kind is SpanKind.CLIENT
    assert recorded.one("individual").kind is SpanKind.INTERNAL


def test_a_surrounding_span_is_linked_and_not_the_parent(recorded: Recorded) -> None:
    """A run within a foreign span has a trace of its own, with a link to that span."""
    with trace.get_tracer("mine").start_as_current_span("pipeline") as around:
        spans.run("t").end()
    run = recorded.one("run t")
    assert run.parent is None
    assert [link.context.span_id for link in run.links] == [around.get_span_context().span_id]


def test_two_spans_never_share_an_id(recorded: Recorded) -> None:
    """A generation that begins again gets its own id, in the same trace, below the first one."""
    run = spans.run("t")
    run.generation(1).end()
    run.generation(1).end()
    first, again = recorded.named("generation")
    assert ids_of(first)[0] == ids_of(again)[0]
    assert ids_of(first)[1] != ids_of(again)[1]
    assert again.parent and again.parent.span_id == ids_of(first)[1]


def test_a_provider_with_ids_of_its_own_shares_the_trace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without our id generator, a generation becomes the child of its derived id, so that all its spans share one
    trace."""
    recorded = record(monkeypatch, ids=RandomIdGenerator())
    run = spans.run("t", run_id="r")
    run.generation(2).end()
    spans.action("later", run_id="r", generation=2)
    trace_id, span_id = context.derived_ids("r", 2)
    root = recorded.one("generation")
    assert ids_of(root)[0] == ids_of(recorded.one("action later"))[0] == trace_id
    assert root.parent and root.parent.span_id == span_id


def test_ids_are_fixed_for_good() -> None:
    """Processes of different versions rely on the same derived ids; they must not change."""
    assert context.derived_ids("run_1") == (0x919AB4628CEBCCD218B00675FB05ED4E, 0x8B355233CBE560B9)
    assert context.derived_ids("run_1", 5) == (0xCCF7EAEF2FDB337CBA0D67A73AB1CCF8, 0x63C9C77B5F314157)
    assert len({context.derived_ids(*root) for root in (("r", None), ("r", 0), ("r", 1), ("r\0", 0), ("s", 0))}) == 5


def test_flat_calls_join_the_trace_of_their_generation(recorded: Recorded) -> None:
    """An action, edge or front that names its generation is in that generation's trace; below its span if that is open
    here."""
    run = spans.run("t", run_id="r")
    generation = run.generation(4)
    spans.lineage("c", "p", 4, "mutate", 0.5, "better", run_id="r")
    generation.end()
    spans.action("checkpoint", {"n": 1}, run_id="r", generation=4)
    spans.pareto_front([{"individual_id": "c", "fitness_score": 1.0}], run_id="r", generation=4)
    for name in ("lineage", "action checkpoint", "pareto_front"):
        span = recorded.one(name)
        assert ids_of(span)[0] == context.derived_ids("r", 4)[0]
        assert span.parent and span.parent.span_id == ids_of(recorded.one("generation"))[1]
        assert attributes_of(span)[names.GENERATION] == 4
    assert attributes_of(recorded.one("lineage"))[names.LINEAGE_FITNESS_DELTA] == 0.5
    (front,) = recorded.one("pareto_front").events
    assert json.loads(str((front.attributes or {})[names.PARETO_FRONT_MEMBERS]))[0]["individual_id"] == "c"


def test_somebody_elses_spans_name_the_individual_that_they_belong_to(recorded: Recorded) -> None:
    """Within a handle, spans of other instrumentations are its children and carry run, generation and individual."""
    tracer = trace.get_tracer("theirs")
    with spans.run("t", run_id="r") as run, run.generation(5) as generation:
        with generation.individual("a"):
            tracer.start_span("GET /").end()
        tracer.start_span("between").end()
    tracer.start_span("outside").end()
    assert attributes_of(recorded.one("GET /")) == {
        names.RUN_ID: "r",
        names.GENERATION: "5",
        names.INDIVIDUAL_ID: "a",
    }
    assert names.INDIVIDUAL_ID not in attributes_of(recorded.one("between"))
    assert attributes_of(recorded.one("outside")) == {}


def test_the_current_context_is_enough(recorded: Recorded) -> None:
    """Inside `with` blocks the functions of `spans` need no handles."""
    with spans.run("t", run_id="r"), spans.generation(1), spans.individual("a"):
        spans.llm_call("m").end()
        spans.evaluation("j").end()
        spans.action("noted")
    for name in ("chat m", "evaluation", "action noted"):
        span = recorded.one(name)
        assert span.parent and span.parent.span_id == ids_of(recorded.one("individual"))[1]
        assert attributes_of(span)[names.INDIVIDUAL_ID] == "a"


# --- individuals ------------------------------------------------------------------------------------------------------


def test_an_individual_has_all_its_columns(recorded: Recorded) -> None:
    """The latest values are recorded when it ends; hash and size are computed from the code."""
    generation = spans.generation(1, run_id="r")
    individual = generation.individual("a", parent_id="p", mutation_type="crossover")
    individual.record(fitness=0.1)
    individual.record(fitness=0.9, combined=0.8, metrics={"accuracy": 0.9, "ok": True}, code="print('☃')")
    individual.record(edit_summary="vectorized", is_pareto=True, api_cost=0.5, embed_cost=0.25, novelty_cost=0.125)
    individual.end()
    assert recorded.records("individual") == [
        {
            names.RECORD: "individual",
            names.RUN_ID: "r",
            names.GENERATION: 1,
            names.INDIVIDUAL_ID: "a",
            names.INDIVIDUAL_PARENT_ID: "p",
            names.INDIVIDUAL_MUTATION_TYPE: "crossover",
            names.INDIVIDUAL_FITNESS_SCORE: 0.9,
            names.INDIVIDUAL_COMBINED_SCORE: 0.8,
            names.INDIVIDUAL_METRICS: '{"accuracy": 0.9, "ok": true}',
            names.INDIVIDUAL_IS_PARETO: True,
            names.INDIVIDUAL_API_COST: 0.5,
            names.INDIVIDUAL_EMBED_COST: 0.25,
            names.INDIVIDUAL_NOVELTY_COST: 0.125,
            names.INDIVIDUAL_CODE: "print('☃')",
            names.INDIVIDUAL_CODE_HASH: hashlib.sha256("print('☃')".encode()).hexdigest(),
            names.INDIVIDUAL_CODE_SIZE: 12,
            names.LINEAGE_PARENT_ID: "p",
            names.LINEAGE_EDIT_SUMMARY: "vectorized",
        }
    ]


def test_an_individual_has_metadata(recorded: Recorded) -> None:
    """Details of how it was made are its metadata; later values replace earlier ones."""
    with spans.run("t") as run, run.generation(0) as generation, generation.individual() as individual:
        individual.record(metadata={"inspirations": []})
        individual.record(metadata={"inspirations": ["a"]})
    (row,) = recorded.records(names.RECORD_INDIVIDUAL)
    assert json.loads(row[names.INDIVIDUAL_METADATA]) == {"inspirations": ["a"]}


def test_scores_go_out_as_evaluation_events_too(recorded: Recorded) -> None:
    """Fitness, combined score and numeric metrics are OpenTelemetry's evaluation events: finite values, at most 16."""
    individual = spans.individual("a")
    metrics: dict[str, Any] = {"nan": math.nan, "word": "x", "flag": True, **{f"m{n}": n for n in range(200)}}
    individual.record(fitness=0.9, combined=0.8, metrics=metrics)
    individual.end()
    span = recorded.one("individual")
    scores = {
        (event.attributes or {})[names.GEN_AI_EVALUATION_NAME]: (event.attributes or {})[
            names.GEN_AI_EVALUATION_SCORE_VALUE
        ]
        for event in span.events
        if event.name == names.EVENT_EVALUATION_RESULT
    }
    assert scores == {"fitness": 0.9, "combined": 0.8, **{f"m{n}": float(n) for n in range(13)}}
    assert json.loads(str(attributes_of(span)[names.INDIVIDUAL_METRICS])) == {**metrics, "nan": "NaN"}


def test_lineage_has_an_edge_per_parent_with_the_childs_gain(recorded: Recorded) -> None:
    """A fitness delta is computed from parents that ended earlier in this run; for unknown parents none is invented."""
    run = spans.run("t", run_id="r")
    for name, fitness in (("p", 0.5), ("q", 0.25)):
        with run.individual(name, generation=0) as first:
            first.record(fitness=fitness)
    for name, parents in (("one", ["p"]), ("two", ["p", "q", "stranger"]), ("none", []), ("foundling", ["stranger"])):
        with run.individual(name, parents=parents, generation=1) as child:
            child.record(combined=0.75)
    with run.individual("told", parent_id="p", generation=1) as child:
        child.record(fitness=0.75, fitness_delta=9.0)
    found = {one[names.INDIVIDUAL_ID]: one for one in recorded.records("individual")}
    assert found["one"][names.LINEAGE_PARENT_ID] == "p"
    assert found["one"][names.LINEAGE_FITNESS_DELTA] == 0.25
    assert json.loads(found["two"][names.LINEAGE_EDGES]) == [
        {"parent_id": "p", "fitness_delta": 0.25},
        {"parent_id": "q", "fitness_delta": 0.5},
        {"parent_id": "stranger", "fitness_delta": None},
    ]
    assert names.LINEAGE_PARENT_ID not in found["two"]
    assert found["two"][names.INDIVIDUAL_PARENT_ID] == "p"
    assert found["none"][names.LINEAGE_PARENT_ID] == ""
    assert names.LINEAGE_FITNESS_DELTA not in found["foundling"]
    assert found["told"][names.LINEAGE_FITNESS_DELTA] == 9.0


def test_an_individual_that_failed_has_a_row_all_the_same(recorded: Recorded) -> None:
    """The exception propagates; the span has it, an error status, and the individual's columns."""
    with pytest.raises(ValueError, match="no diff"), spans.individual("a", mutation_type="diff"):
        raise ValueError("no diff")
    span = recorded.one("individual")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: no diff"
    (event,) = span.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.type"] == "ValueError"
    assert "test_spans.py" in str((event.attributes or {})["exception.stacktrace"])
    assert attributes_of(span)[names.INDIVIDUAL_MUTATION_TYPE] == "diff"


def test_an_individual_may_get_its_name_late(recorded: Recorded) -> None:
    """Its row, and what begins afterwards, have the new id; costs of calls count under either id."""
    with spans.generation(1, run_id="r").individual() as individual:
        tally.account({names.RUN_ID: "r", names.INDIVIDUAL_ID: individual.id}, 0.25)
        individual.id = "final"
        individual.parents = ("p",)
        individual.mutation_type = "cross"
        individual.action("named")
        tally.account({names.RUN_ID: "r", names.INDIVIDUAL_ID: "final"}, 0.5)
    (found,) = recorded.records("individual")
    assert (found[names.INDIVIDUAL_ID], found[names.INDIVIDUAL_PARENT_ID]) == ("final", "p")
    assert found[names.INDIVIDUAL_MUTATION_TYPE] == "cross"
    assert found[names.INDIVIDUAL_API_COST] == 0.75
    assert attributes_of(recorded.one("action named"))[names.INDIVIDUAL_ID] == "final"


# --- generations ------------------------------------------------------------------------------------------------------


def scored(generation: spans.Generation, name: str, fitness: float | None, **told: Any) -> None:
    with generation.individual(name) as individual:
        individual.record(fitness=fitness, **told)


def test_a_generation_adds_up_its_individuals(recorded: Recorded) -> None:
    """Count, best, mean, median, deviation and cost are computed from the individuals; non-finite scores are left
    out."""
    generation = spans.run("t", run_id="r").generation(1)
    for name, fitness in (("a", 1.0), ("b", 2.0), ("c", 6.0), ("d", math.nan), ("e", math.inf)):
        scored(generation, name, fitness, api_cost=0.5, novelty_cost=0.25)
    with pytest.raises(RuntimeError), generation.individual("f"):
        raise RuntimeError
    generation.end(metadata={"elite_count": 5})
    (found,) = recorded.records("generation")
    assert found[names.GENERATION_NUM_INDIVIDUALS] == 6
    assert found[names.GENERATION_BEST_SCORE] == 6.0
    assert found[names.GENERATION_AVG_SCORE] == 3.0
    assert found[names.GENERATION_TOTAL_COST] == 3.75
    assert found[names.GENERATION_TASK_NAME] == "t"
    metadata = json.loads(found[names.GENERATION_METADATA])
    assert metadata == {
        "failed": 1,
        "incorrect": 0,
        "best_so_far": 6.0,
        "median_score": 2.0,
        "std_dev": pytest.approx(math.sqrt(14 / 3)),
        "elite_count": 5,
    }
    assert names.GENERATION_PARETO_SIZE not in found


def test_given_values_of_a_generation_override_computed_ones(recorded: Recorded) -> None:
    """Given values replace computed ones, zero included."""
    generation = spans.generation(1, run_id="r")
    scored(generation, "a", 1.0, api_cost=1.0)
    generation.end(
        num_individuals=0,
        best_score=9.0,
        avg_score=8.0,
        pareto_size=7,
        total_cost=0.0,
        metadata={"median_score": 6},
        end_time=5 * SECOND,
    )
    (found,) = recorded.records("generation")
    assert [
        found[name]
        for name in (
            names.GENERATION_NUM_INDIVIDUALS,
            names.GENERATION_BEST_SCORE,
            names.GENERATION_AVG_SCORE,
            names.GENERATION_PARETO_SIZE,
            names.GENERATION_TOTAL_COST,
        )
    ] == [0, 9.0, 8.0, 7, 0.0]
    assert json.loads(found[names.GENERATION_METADATA])["median_score"] == 6
    assert recorded.one("generation").end_time == 5 * SECOND


def test_costs_find_their_individual_and_their_generation(recorded: Recorded) -> None:
    """A call's cost goes to the open individual that it names, by kind; without one, to the generation, once."""
    generation = spans.run("t", run_id="r").generation(1)
    place = {names.RUN_ID: "r", names.GENERATION: "1"}
    of_a = {**place, names.INDIVIDUAL_ID: "a"}
    tally.account({**of_a, names.GEN_AI_OPERATION_NAME: "embeddings"}, 4.0)  # before it begins
    with generation.individual("a"):
        tally.account({**of_a, names.LLM_ROLE: "mutation"}, 1.0)
        tally.account({**of_a, names.LLM_ROLE: "novelty"}, 2.0)
        tally.account({**of_a, "openinference.span.kind": "EMBEDDING"}, 4.0)
    tally.account({**of_a, names.LLM_ROLE: "meta"}, 8.0)  # after it ended
    tally.account(place, 16.0)
    tally.account(place, math.nan)
    tally.account({**place, names.GENERATION: "2"}, 100.0)
    scored(generation, "b", 1.0, api_cost=32.0)
    generation.end()
    a = recorded.records("individual")[0]
    assert (a[names.INDIVIDUAL_API_COST], a[names.INDIVIDUAL_NOVELTY_COST]) == (1.0, 2.0)
    assert a[names.INDIVIDUAL_EMBED_COST] == 8.0
    assert recorded.records("generation")[0][names.GENERATION_TOTAL_COST] == 67.0


def front_of(span: ReadableSpan) -> list[dict[str, Any]]:
    (event,) = [event for event in span.events if event.name == names.EVENT_PARETO_FRONT]
    members: list[dict[str, Any]] = json.loads(str((event.attributes or {})[names.PARETO_FRONT_MEMBERS]))
    return members


def test_the_front_is_computed_from_the_objectives(recorded: Recorded) -> None:
    """With objectives named, the front is an event with its members; code size can be an objective like any metric."""
    run = spans.run("t", objectives={"accuracy": "max", "code_size": "min"})
    generation = run.generation(1)
    scored(generation, "good", 0.9, metrics={"accuracy": 0.9}, code="x" * 10)
    scored(generation, "small", 0.5, metrics={"accuracy": 0.5}, code="x")
    scored(generation, "worse", 0.5, metrics={"accuracy": 0.5}, code="xx")
    scored(generation, "blank", None)
    generation.end()
    root = recorded.one("generation")
    assert front_of(root) == [
        {"individual_id": "good", "fitness_score": 0.9, "combined_score": 0.9, "metrics": {"accuracy": 0.9}},
        {"individual_id": "small", "fitness_score": 0.5, "combined_score": 0.5, "metrics": {"accuracy": 0.5}},
    ]
    assert attributes_of(root)[names.GENERATION_PARETO_SIZE] == 2


def test_a_given_front_is_kept(recorded: Recorded) -> None:
    """Members may be dicts, ids or handles; no front is computed in addition."""
    generation = spans.run("t", objectives={"accuracy": "max"}).generation(1)
    scored(generation, "a", 0.9, metrics={"accuracy": 0.9})
    last = generation.individual("b")
    last.record(fitness=0.1)
    last.end()
    generation.pareto_front([{"individual_id": "z", "metrics": {"n": 1}}, "a", last, "stranger"])
    generation.end()
    assert [member["individual_id"] for member in front_of(recorded.one("generation"))] == ["z", "a", "b", "stranger"]
    assert front_of(recorded.one("generation"))[1]["metrics"] == {"accuracy": 0.9}
    assert recorded.records("generation")[0][names.GENERATION_PARETO_SIZE] == 4


def test_held_individuals_know_whether_they_are_on_the_front(recorded: Recorded) -> None:
    """They end with their generation, each with the time at which it finished; a value given for one is kept."""
    generation = spans.run("t", objectives={"fitness": "max"}).generation(1, hold_individuals=True)
    with spans.attached(generation.context):
        found_by_context = spans.individual("c", start_time=SECOND)
    for number, (name, fitness) in enumerate((("a", 0.9), ("b", 0.1))):
        one = generation.individual(name, start_time=SECOND)
        one.record(fitness=fitness)
        one.end(end_time=(2 + number) * SECOND)
    found_by_context.record(fitness=0.0, is_pareto=True)
    found_by_context.end(end_time=9 * SECOND)
    assert recorded.records("individual") == []
    generation.end()
    ended = {attributes_of(span)[names.INDIVIDUAL_ID]: span for span in recorded.named("individual")}
    assert {name: attributes_of(span)[names.INDIVIDUAL_IS_PARETO] for name, span in ended.items()} == {
        "a": True,
        "b": False,
        "c": True,
    }
    assert [ended[name].end_time for name in "abc"] == [2 * SECOND, 3 * SECOND, 9 * SECOND]
    assert recorded.records("generation")[0][names.GENERATION_NUM_INDIVIDUALS] == 3


def test_an_individual_knows_at_its_end_whether_it_is_on_the_front_so_far(recorded: Recorded) -> None:
    """It is if no individual of its generation that ended before is better; failed individuals and those without a
    number are not, and failed ones exclude no other. A given value is kept, and without objectives nothing is
    recorded."""
    generation = spans.run("t", objectives={"fitness": "max", "size": "min"}).generation(1)
    for name, fitness, size, failed in (
        ("first", 0.5, 50, False),
        ("failed", 0.9, 1, True),
        ("smaller", 0.4, 20, False),
        ("worse", 0.4, 30, False),
        ("equal", 0.5, 50, False),
        ("nameless", None, 1, False),
        ("best", 0.9, 10, False),
    ):
        with generation.individual(name) as one:
            one.record(fitness=fitness, metrics={"size": size})
            if failed:
                one.fail("no diff")
    with generation.individual("told") as one:
        one.record(fitness=0.1, metrics={"size": 99}, is_pareto=True)
    with spans.run("u").generation(1).individual("elsewhere") as one:
        one.record(fitness=0.1)
    on_front = {
        each[names.INDIVIDUAL_ID]: each.get(names.INDIVIDUAL_IS_PARETO) for each in recorded.records("individual")
    }
    assert on_front == {
        "first": True,
        "failed": False,
        "smaller": True,
        "worse": False,
        "equal": True,
        "nameless": False,
        "best": True,
        "told": True,
        "elsewhere": None,
    }


@pytest.mark.parametrize(
    ("arguments", "direction", "best"),
    [
        ({}, None, 3.0),
        ({"direction": "min"}, "min", 1.0),
        ({"direction": "Maximise"}, "max", 3.0),
        ({"objectives": {"length": "min"}}, "min", 1.0),
        ({"objectives": {"size": "min", "fitness": "max"}}, "max", 3.0),
        ({"objectives": {"size": "min", "speed": "min"}}, None, 3.0),
        ({"objectives": {"length": "min"}, "direction": "max"}, "max", 3.0),
        ({"direction": "sideways"}, None, 3.0),
    ],
)
def test_a_run_has_a_direction(
    arguments: dict[str, Any], direction: str | None, best: float, recorded: Recorded
) -> None:
    """As given, or as the objectives define it for the fitness or their only metric; a generation's best follows it."""
    with spans.run("t", budget=12.5, **arguments) as run, run.generation(0) as generation:
        for fitness in (1.0, 3.0, 2.0):
            with generation.individual() as one:
                one.record(fitness=fitness, metrics={"length": fitness})
    assert [one.get(names.RUN_DIRECTION) for one in recorded.records("run")] == [direction, direction]
    assert [one[names.RUN_BUDGET] for one in recorded.records("run")] == [12.5, 12.5]
    assert recorded.records("generation")[0][names.GENERATION_BEST_SCORE] == best


def test_the_budget_comes_from_the_environment_unless_given(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`GENESIS_OTEL_BUDGET` is the budget of runs without an argument; a value that is not a number is ignored."""
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "3.5")
    spans.run("t").end()
    spans.run("t", budget=1).end()
    monkeypatch.setenv("GENESIS_OTEL_BUDGET", "plenty")
    spans.run("t").end()
    assert [one.get(names.RUN_BUDGET) for one in recorded.records("run")] == [3.5, 3.5, 1.0, 1.0, None, None]


def test_generated_ids_need_no_encoding(recorded: Recorded) -> None:
    """Only letters, digits and underscores: Grafana decodes a URL twice, and `&`, `#` and `+` do not survive that."""
    with spans.run("a & b #1 + c") as run, run.generation(0) as generation, generation.individual() as one:
        assert re.fullmatch(r"\w+", run.id, re.ASCII)
        assert re.fullmatch(r"[\w-]+", one.id, re.ASCII)


def test_a_missing_score_has_no_attribute(recorded: Recorded) -> None:
    """A score, delta or best that does not exist has no attribute: not for a failure, its child, or a generation of
    failures; the 0 beside `correct: false` is recorded but compared with nothing."""
    with spans.run("t") as run:
        with run.generation(0) as generation:
            with generation.individual("failed") as one:
                one.fail("no diff")
            with generation.individual("incorrect") as one:
                one.record(fitness=0.0, metrics={"correct": False})
        with run.generation(1) as generation:
            for name, parents in (("child", ["failed"]), ("cross", ["failed", "incorrect"])):
                with generation.individual(name, parents=parents) as one:
                    one.record(fitness=-1.0)
        spans.lineage("child", "failed", 1)
    first, second = recorded.records("generation")
    assert names.GENERATION_BEST_SCORE not in first and names.GENERATION_AVG_SCORE not in first
    assert second[names.GENERATION_BEST_SCORE] == -1.0
    found = {one[names.INDIVIDUAL_ID]: one for one in recorded.records("individual")}
    assert names.INDIVIDUAL_FITNESS_SCORE not in found["failed"]
    assert found["incorrect"][names.INDIVIDUAL_FITNESS_SCORE] == 0.0
    assert names.LINEAGE_FITNESS_DELTA not in found["child"]
    assert [edge["fitness_delta"] for edge in json.loads(found["cross"][names.LINEAGE_EDGES])] == [None, None]
    assert names.LINEAGE_FITNESS_DELTA not in recorded.records("lineage")[0]


def test_invalid_objectives_cost_only_the_front(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """An invalid direction is logged once; the search and its rows go on."""
    generation = spans.run("t", objectives={"accuracy": "sideways"}).generation(1)
    scored(generation, "a", 0.9)
    generation.end()
    assert recorded.records("generation")[0][names.GENERATION_BEST_SCORE] == 0.9
    assert "sideways" in caplog.text


# --- evaluations and LLM calls ----------------------------------------------------------------------------------------


def test_an_evaluation_is_submitted_and_then_done(recorded: Recorded) -> None:
    """`job_submitted` is exported before the job has ended; the end reports the outcome with all that is known about
    the job."""
    individual = spans.generation(5, run_id="r").individual("a", parent_id="p")
    job = individual.evaluation("job_1", details={"exec_fname": "x.py"}, metadata={"cluster": "local"})
    (submitted,) = recorded.records("action")
    known = {"job_id": "job_1", "generation": 5, "individual_id": "a", "parent_id": "p", "exec_fname": "x.py"}
    assert submitted[names.ACTION_TYPE] == "job_submitted"
    assert json.loads(submitted[names.ACTION_DETAILS]) == known
    assert json.loads(submitted[names.ACTION_METADATA]) == {"cluster": "local"}
    job.result(correct=True, combined_score=0.95, details={"api_costs": 0.05}, metadata={"public_metrics": {}})
    job.end()
    (ended,) = recorded.records("evaluation")
    assert json.loads(ended[names.EVALUATION_DETAILS]) == {
        **known,
        "correct": True,
        "combined_score": 0.95,
        "api_costs": 0.05,
    }
    assert ended[names.EVALUATION_CORRECT] is True
    assert json.loads(ended[names.EVALUATION_METADATA]) == {"public_metrics": {}}


def test_an_evaluation_that_raised_has_its_exception(recorded: Recorded) -> None:
    """The exception is in the details and on the span, and propagates; a text can mark a job as failed as well."""
    with pytest.raises(MemoryError), spans.evaluation("a"):
        raise MemoryError("64 GB")
    job = spans.evaluation("b")
    job.fail("timeout after 60 s")
    job.end()
    raised, told = recorded.named("evaluation")
    assert json.loads(attributes_of(raised)[names.EVALUATION_DETAILS])["error"] == "64 GB"
    assert json.loads(attributes_of(raised)[names.EVALUATION_DETAILS])["error_type"] == "MemoryError"
    assert raised.status.status_code is told.status.status_code is StatusCode.ERROR
    assert told.status.description == "timeout after 60 s"


def test_an_llm_call_carries_opentelemetrys_names(recorded: Recorded) -> None:
    """All arguments of a call are on its span under the names of the semantic conventions."""
    call = spans.generation(5, run_id="r").llm_call(
        "gpt-4o",
        provider="openai",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "☃"}],
        role="meta",
        metadata={"temperature": 0.7},
        start_time=10 * SECOND,
    )
    call.first_token(time=10 * SECOND + SECOND // 4)
    call.first_token(time=12 * SECOND)
    call.response(
        "Done.",
        reasoning="Hm.",
        model="gpt-4o-2024-08-06",
        response_id="resp_1",
        finish_reason="stop",
        input_tokens=100,
        output_tokens=20,
        cached_tokens=40,
        cache_write_tokens=10,
        reasoning_tokens=7,
        cost=0.5,
    )
    call.end(end_time=13 * SECOND)
    span = recorded.one("chat gpt-4o")
    assert (span.start_time, span.end_time) == (10 * SECOND, 13 * SECOND)
    found = attributes_of(span)
    assert json.loads(found.pop(names.GEN_AI_INPUT_MESSAGES)) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "☃"}]},
    ]
    assert json.loads(found.pop(names.GEN_AI_OUTPUT_MESSAGES)) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Done."}],
            "finish_reason": "stop",
        }
    ]
    assert found == {
        names.RUN_ID: "r",
        names.GENERATION: 5,
        names.GEN_AI_OPERATION_NAME: "chat",
        names.GEN_AI_PROVIDER_NAME: "openai",
        names.GEN_AI_REQUEST_MODEL: "gpt-4o",
        names.GEN_AI_RESPONSE_MODEL: "gpt-4o-2024-08-06",
        names.GEN_AI_RESPONSE_ID: "resp_1",
        names.GEN_AI_RESPONSE_FINISH_REASONS: ("stop",),
        names.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: 0.25,
        names.GEN_AI_USAGE_INPUT_TOKENS: 100,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: 20,
        names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 40,
        names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: 10,
        names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: 7,
        names.GEN_AI_USAGE_COST: 0.5,
        names.LLM_ROLE: "meta",
        names.LLM_METADATA: '{"temperature": 0.7}',
    }


def test_an_llm_call_has_its_server(recorded: Recorded) -> None:
    """Only the host of a server's URL or address is kept, without a key that it may contain; invalid addresses are left
    out."""
    for server in ("https://user:secret@openrouter.ai/api/v1?key=secret", "127.0.0.1:8000", "http://[bad", ""):
        spans.llm_call("m", server=server, run_id="r").end()
    hosts = [attributes_of(span).get(names.SERVER_ADDRESS) for span in recorded.named("chat m")]
    assert hosts == ["openrouter.ai", "127.0.0.1", None, None]


def test_a_cost_has_its_source(recorded: Recorded) -> None:
    """`cost_source` is recorded with a cost, and not without one."""
    for cost in (0.25, None):
        with spans.llm_call("m", run_id="r") as call:
            call.response("x", cost=cost, cost_source=names.COST_OPENROUTER)
    told, untold = (attributes_of(span) for span in recorded.named("chat m"))
    assert (told[names.GEN_AI_USAGE_COST], told[names.LLM_COST_SOURCE]) == (0.25, "openrouter")
    assert names.LLM_COST_SOURCE not in untold


def test_an_llm_call_that_raised_has_its_error(recorded: Recorded) -> None:
    """`error.type` is the class with its module; status and exception have the rest."""
    with pytest.raises(json.JSONDecodeError), spans.llm_call("m"):
        json.loads("{")
    span = recorded.one("chat m")
    assert attributes_of(span)[names.ERROR_TYPE] == "json.decoder.JSONDecodeError"
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("came", "parts"),
    [
        ("hello", [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}],
         [{"role": "user", "parts": [{"type": "text", "content": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}]),
        ([{"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]}],
         [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": '{"x": 1}'}]}]),
        ([{"role": "tool", "tool_call_id": "1", "content": "42"}],
         [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "42"}]}]),
        ([{"role": "user", "name": "bob", "content": "x"}], [{"role": "user", "name": "bob", "content": "x"}]),
        ({"role": "user", "parts": [{"type": "text", "content": "x"}]}, [{"role": "user", "parts": [{"type": "text", "content": "x"}]}]),
        (["a", "b"], ["a", "b"]),
        ([{"role": "user", "content": 5}, {"no": "role"}], [{"role": "user", "content": 5}, {"no": "role"}]),
    ],
)  # fmt: skip
def test_messages_become_parts_or_stay_unchanged(recorded: Recorded, came: Any, parts: Any) -> None:
    """Texts, tool calls and their answers become parts; a message with anything else is kept whole."""
    spans.llm_call("m", messages=came).end()
    assert json.loads(attributes_of(recorded.one("chat m"))[names.GEN_AI_INPUT_MESSAGES]) == parts


# --- threads, tasks, processes ----------------------------------------------------------------------------------------


def test_handles_work_from_threads(recorded: Recorded) -> None:
    """Individuals of one generation, created by many threads at once, all count, and none is mixed up with another."""
    run = spans.run("t", run_id="r")
    generation = run.generation(1)

    def evolve(number: int) -> None:
        with generation.individual(str(number)) as individual:
            spans.llm_call("m", role=str(number)).end()
            tally.account({names.RUN_ID: "r", names.INDIVIDUAL_ID: str(number)}, 1.0)
            individual.record(fitness=float(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(evolve, range(200)))
    generation.end()
    (found,) = recorded.records("generation")
    assert (found[names.GENERATION_NUM_INDIVIDUALS], found[names.GENERATION_BEST_SCORE]) == (200, 199.0)
    assert found[names.GENERATION_TOTAL_COST] == 200.0
    parents = {ids_of(span)[1]: attributes_of(span)[names.INDIVIDUAL_ID] for span in recorded.named("individual")}
    assert len(parents) == 200
    for call in recorded.named("chat m"):
        assert call.parent
        assert parents[call.parent.span_id] == attributes_of(call)[names.LLM_ROLE]


def test_a_handle_ends_once_among_many_threads(recorded: Recorded) -> None:
    """Ended by eight threads at once, whether held or not, an individual is one span."""
    for hold in (False, True):
        generation = spans.generation(int(hold), run_id="r", hold_individuals=hold)
        individual = generation.individual("a")
        barrier = threading.Barrier(8)

        def end(one: spans.Individual = individual, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            one.end()

        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(end)
        generation.end()
    assert len(recorded.named("individual")) == 2


def test_tasks_keep_their_own_individual(recorded: Recorded) -> None:
    """`async with` works, and interleaved tasks each see their own individual as the current one."""

    async def evolve(generation: spans.Generation, number: int) -> None:
        async with generation.individual(str(number)):
            for _ in range(3):
                await asyncio.sleep(0)
                async with spans.llm_call("m", role=str(number)):
                    await asyncio.sleep(0)

    async def search() -> None:
        async with spans.run("t", run_id="r") as run, run.generation(1) as generation:
            await asyncio.gather(*(evolve(generation, number) for number in range(10)))

    asyncio.run(search())
    calls = recorded.named("chat m")
    assert len(calls) == 30
    assert all(attributes_of(call)[names.INDIVIDUAL_ID] == attributes_of(call)[names.LLM_ROLE] for call in calls)


def test_a_cancelled_task_leaves_an_error(recorded: Recorded) -> None:
    """A call that is cancelled midway ends with an error, and the cancellation propagates."""

    async def ask() -> None:
        async with spans.llm_call("m"):
            await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert attributes_of(recorded.one("chat m"))[names.ERROR_TYPE] == "asyncio.exceptions.CancelledError"


def test_a_block_may_end_in_another_context_than_it_began(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """Ended by hand in a thread, or by a generator that another task closes: no error is logged and no context
    leaks."""
    caplog.set_level(logging.DEBUG)

    async def stream() -> AsyncIterator[int]:
        async with spans.llm_call("m"):
            yield 1
            yield 2

    async def consume() -> None:
        source = stream()
        await anext(source)
        await asyncio.create_task(source.aclose())  # type: ignore[attr-defined]

    asyncio.run(consume())
    with spans.individual("a", run_id="r") as individual:
        ender = threading.Thread(target=individual.end)
        ender.start()
        ender.join()
    entered = contextvars.copy_context()
    other = spans.individual("b", run_id="r")
    entered.run(other.__enter__)
    other.__exit__(None, None, None)
    assert len(recorded.spans) == 3
    assert not trace.get_current_span().get_span_context().is_valid
    assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == []


CHILD = """
import os
from opentelemetry import trace
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from genesis_otel import attributes, spans

def line(span):
    context = span.context
    return f"{span.name}|{context.trace_id}|{span.parent.span_id}|{span.attributes['genesis.individual.id']}\\n"

provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(attributes.CORRELATION.__contains__))
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
trace.set_tracer_provider(provider)
with spans.attached(spans.from_environment()):
    with spans.evaluation("j"):
        trace.get_tracer("theirs").start_span("inner").end()
"""


def test_context_crosses_into_a_subprocess(recorded: Recorded) -> None:
    """With `environ()` in its environment, a subprocess's evaluation is a child of the individual and names it."""
    with spans.generation(3, run_id="r").individual("ä, b=c;d") as individual:
        environment = {**os.environ, **individual.environ()}
        assert spans.environ() == individual.environ()
    answer = subprocess.run(
        [sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = [line.split("|") for line in answer.stdout.splitlines()]
    trace_id, span_id = ids_of(recorded.one("individual"))
    assert [line[0] for line in lines] == ["action job_submitted", "inner", "evaluation"]
    assert {line[1] for line in lines} == {str(trace_id)}
    assert [line[2] for line in lines if line[0] != "inner"] == [str(span_id)] * 2
    assert {line[3] for line in lines} == {"ä, b=c;d"}


def test_context_crosses_a_fork(recorded: Recorded) -> None:
    """A forked child continues within the open individual, and starts generations without repeating ids."""
    with spans.run("t", run_id="r") as run, run.generation(1), spans.individual("a"):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn about forks while threads run, and other tests have left some running.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            spans.llm_call("m").end()
            run.generation(1).end()
            found = [recorded.one("chat m"), recorded.one("generation")]
            os.write(writer, json.dumps([(*ids_of(s), s.parent.span_id if s.parent else 0) for s in found]).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        call, again = json.loads(os.read(reader, 10_000))
        os.close(reader)
    assert (call[0], call[2]) == ids_of(recorded.one("individual"))
    assert again[0] == ids_of(recorded.one("generation"))[0]
    assert again[1] != ids_of(recorded.one("generation"))[1]


def test_neither_a_seed_nor_a_fork_repeats_an_id(recorded: Recorded) -> None:
    """Searches seed `random`, and forked workers share its state: their spans still have distinct ids."""
    for _ in range(2):
        random.seed(7)
        spans.llm_call("m").end()
    reader, writer = os.pipe()
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            spans.llm_call("m").end()
            os.write(writer, (json.dumps(ids_of(recorded.spans[-1])) + "\n").encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        forked = [tuple(json.loads(line)) for line in lines]
    assert len({*map(ids_of, recorded.spans), *forked}) == 4


# --- a search never notices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", hostile_values(), ids=lambda value: type(value).__name__)
def test_no_value_raises_and_every_span_arrives(recorded: Recorded, value: Any) -> None:
    """Whatever value is passed for any argument, nothing is raised and every span of the search arrives."""
    run = spans.run(
        value,
        run_id=value,
        config=value,
        population_size=value,
        cluster_type=value,
        database_path=value,
        objectives=value,
        start_time=value,
    )
    generation = run.generation(value, hold_individuals=True, start_time=value)
    individual = generation.individual(value, parent_id=value, parents=value, mutation_type=value, start_time=value)
    individual.id = value
    individual.parents = value
    individual.record(*[value] * 12)
    job = individual.evaluation(value, details=value, metadata=value, start_time=value)
    job.result(correct=value, combined_score=value, details=value, metadata=value)
    job.fail(value)
    job.end(end_time=value)
    call = individual.llm_call(
        value, provider=value, operation=value, messages=value, role=value, metadata=value, start_time=value
    )
    call.first_token(value)
    call.response(*[value] * 11)
    call.fail(value)
    call.end(end_time=value)
    individual.fail(value)
    individual.end(end_time=value)
    generation.action(value, value, value, time=value)
    generation.pareto_front(value)
    generation.end(*[value] * 7)
    run.end(value, value, value)
    spans.action(value, value, value, run_id=value, generation=value, individual_id=value, time=value)
    spans.lineage(value, value, value, value, value, value, run_id=value, time=value)
    spans.pareto_front(value, run_id=value, generation=value, time=value)
    spans.individual(value, generation=value, run_id=value).end()
    spans.at(value, value, value)
    kinds = [attributes_of(span).get(names.RECORD, "llm") for span in recorded.spans]
    assert sorted(kinds) == [
        *["action"] * 3,
        "evaluation",
        "generation",
        *["individual"] * 2,
        *["lineage", "llm", "pareto_front", "run", "run"],
    ]
    for span in recorded.spans:
        for held in attributes_of(span).values():
            assert type(held) in (str, int, float, bool, tuple)
            if isinstance(held, str):
                held.encode()


class Raising(SpanProcessor):
    """A foreign span processor that raises."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("somebody's processor")

    on_end = on_start


class RaisingAtTheEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("somebody's processor")


@pytest.mark.parametrize("processor", [Raising(), RaisingAtTheEnd()])
def test_a_processor_that_raises_stays_out_of_the_search(
    monkeypatch: pytest.MonkeyPatch, processor: SpanProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception of a foreign span processor is logged once per place, and never reaches the search."""
    record(monkeypatch, before=(processor,))
    for _ in range(3):
        with spans.run("t") as run, run.generation(1, hold_individuals=True) as generation:
            with generation.individual() as individual, individual.llm_call("m"), individual.evaluation():
                individual.record(fitness=1.0)
            spans.action("a")
            spans.pareto_front([])
    warnings = [line.getMessage() for line in caplog.records]
    assert warnings
    assert len(warnings) == len(set(warnings))


def test_a_second_end_changes_nothing(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """Ending twice, or by hand within a block, makes one span and no warning."""
    with spans.run("t") as run, run.generation(1) as generation, generation.individual("a") as individual:
        individual.record(fitness=1.0)
        individual.end()
        individual.record(fitness=2.0)
        individual.end()
        generation.end()
    run.end(status="failed")
    assert [one[names.INDIVIDUAL_FITNESS_SCORE] for one in recorded.records("individual")] == [1.0]
    assert recorded.records("run")[-1][names.RUN_STATUS] == "completed"
    assert caplog.records == []


def test_memory_is_bounded(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run remembers only its latest individuals, a process only its latest runs and the latest handles that were not
    ended."""
    monkeypatch.setattr(tally, "FITNESS_KEPT", 10)
    monkeypatch.setattr(tally, "RUNS_KEPT", 3)
    monkeypatch.setattr(context, "_ROOTED_LIMIT", 5)
    monkeypatch.setattr(opened, "REMEMBERED", 2)
    for number in range(5):
        run = spans.run("t", run_id=f"r{number}")
        for each in range(30):
            with run.individual(str(each), generation=0) as individual:
                individual.record(fitness=1.0)
        run.generation(0)
    assert list(tally._RUNS) == ["r2", "r3", "r4"]
    assert list(tally._RUNS["r4"].fitness) == [str(each) for each in range(20, 30)]
    assert len(context._ROOTED) == 5
    gc.collect()
    assert [key for key, known in tally._GENERATIONS.items() if known() is not None] == [("r4", 0)]
    assert [key for key, known in tally._INDIVIDUALS.items() if known() is not None and key[0] != run.id] == []


def test_a_span_that_is_not_sampled_costs_nothing_to_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a span is not recorded, values are not even looked at."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"looked at: {name}")

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    generation = spans.generation(1, run_id="unsampled")
    individual = generation.individual("a")
    individual.record(metrics=Untouchable())  # type: ignore[arg-type]
    individual.llm_call("m", messages=Untouchable()).response(Untouchable())
    individual.action("a", Untouchable())
    individual.end()
    generation.end()
    assert tally.run_tally("unsampled").fitness == {}
