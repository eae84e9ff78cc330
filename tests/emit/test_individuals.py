"""What an individual records: its columns, scores, lineage and failure."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import tally
from tests.support.recording import Recorded, attributes_of


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
    with spans.individual("b") as individual:
        individual.record(fitness=0.9)
    (event,) = recorded.spans[-1].events  # the combined score, which is the fitness, is not sent again
    assert (event.attributes or {})[names.GEN_AI_EVALUATION_NAME] == "fitness"


def test_an_integer_that_no_float_holds_leaves_the_other_scores(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays in the metrics; the scores after it go out, and nothing is logged as lost."""
    with spans.run("t") as run, run.individual("i") as individual:
        individual.record(fitness=0.5, metrics={"huge": 10**400, "after": 2})
    (span,) = recorded.named("individual")
    told = [dict(event.attributes or {}) for event in span.events if event.name == names.EVENT_EVALUATION_RESULT]
    assert [each[names.GEN_AI_EVALUATION_NAME] for each in told] == ["fitness", "after"]
    assert "could not be recorded" not in caplog.text


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
    assert "test_individuals.py" in str((event.attributes or {})["exception.stacktrace"])
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
