"""What a generation adds up: scores, costs and the front; and the run's direction, budget and objectives."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import tally
from tests.support.recording import Recorded, attributes_of

SECOND = 1_000_000_000


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


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        (None, None),
        ({}, None),
        ({"accuracy": "Maximise", "size": "min"}, {"accuracy": "max", "size": "min"}),
        ({"accuracy": "sideways", "size": "min"}, None),
    ],
)
def test_a_run_tells_its_objectives(
    told: dict[str, str] | None, stored: dict[str, str] | None, recorded: Recorded
) -> None:
    """Both records of a run have its objectives, each as `max` or `min`; without any, or with one that cannot be read, neither has."""
    spans.run("t", objectives=told).end()
    found = [one.get(names.RUN_OBJECTIVES) for one in recorded.records("run")]
    assert [each and json.loads(each) for each in found] == [stored, stored]


def test_a_generation_without_individuals_here_has_no_front(recorded: Recorded) -> None:
    """Its individuals may be another process', or logged as rows: an empty front would be a claim about them. Where all failed it is
    empty, which is known."""
    run = spans.run("t", objectives={"accuracy": "max"})
    run.generation(0).end()
    with run.generation(1) as generation, generation.individual() as one:
        one.fail("crashed")
    unknown, known = recorded.named("generation")
    assert unknown.events == ()
    (event,) = known.events
    assert dict(event.attributes or {}) == {names.PARETO_FRONT_MEMBERS: "[]"}


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


@dataclasses.dataclass
class Verdict:
    """Metrics as an evaluator may return them."""

    correct: bool
    accuracy: float


def test_a_failed_individual_is_not_incorrect_as_well(recorded: Recorded) -> None:
    """An individual that failed and did not pass its checks is counted once, as failed."""
    generation = spans.run("t").generation(1)
    with generation.individual("both") as one:
        one.record(fitness=1.0, correct=False)
        one.fail("crashed")
    scored(generation, "wrong", 1.0, correct=False)
    generation.end()
    (found,) = recorded.records("generation")
    metadata = json.loads(found[names.GENERATION_METADATA])
    assert (metadata["failed"], metadata["incorrect"]) == (1, 1)


@pytest.mark.parametrize("metrics", [{"error": 0.5}, {"timeout": True}])
def test_a_score_of_zero_is_one_unless_the_individual_failed(recorded: Recorded, metrics: dict[str, Any]) -> None:
    """A metric may be called `error` or `timeout`: 0 is no score only beside them if the individual failed."""
    generation = spans.run("t").generation(1)
    scored(generation, "ran", 0.0, metrics=metrics)
    with generation.individual("failed") as one:
        one.record(fitness=0.0, metrics=metrics)
        one.fail("crashed")
    generation.end()
    (found,) = recorded.records("generation")
    assert found[names.GENERATION_BEST_SCORE] == 0.0
    assert json.loads(found[names.GENERATION_METADATA])["std_dev"] == 0.0


def test_an_individual_evaluated_again_is_not_compared_with_itself(recorded: Recorded) -> None:
    """One that came out worse the second time is on the front as it is now: what it was before excludes nobody."""
    generation = spans.run("t", objectives={"fitness": "max"}).generation(1)
    scored(generation, "again", 2.0)
    scored(generation, "again", 1.0)
    generation.end()
    assert [each[names.INDIVIDUAL_IS_PARETO] for each in recorded.records("individual")] == [True, True]


@pytest.mark.parametrize(
    "metrics",
    [
        {"correct": False, "accuracy": 9.0},
        {"correct": np.bool_(False), "accuracy": 9.0},
        '{"correct": false, "accuracy": 9.0}',
        Verdict(correct=False, accuracy=9.0),
    ],
    ids=["bool", "numpy", "JSON", "object"],
)
def test_an_incorrect_program_is_no_best_however_its_metrics_are_written(recorded: Recorded, metrics: Any) -> None:
    """As a row, in its generation's best and mean, and on the front, a program whose metrics say `correct: false` counts alike,
    whether they are a dictionary, JSON or an object; objectives are read from each of them, too."""
    with spans.run("t", objectives={"accuracy": "max"}) as run, run.generation(0) as generation:
        scored(generation, "wrong", 9.0, metrics=metrics)
        scored(generation, "right", 1.0, metrics='{"correct": true, "accuracy": 1.0}')
    (found,) = recorded.records("generation")
    assert found[names.GENERATION_BEST_SCORE] == found[names.GENERATION_AVG_SCORE] == 1.0
    assert json.loads(found[names.GENERATION_METADATA])["incorrect"] == 1
    (event,) = [each for each in recorded.one("generation").events if each.name == names.EVENT_PARETO_FRONT]
    members = json.loads(str((event.attributes or {})[names.PARETO_FRONT_MEMBERS]))
    assert [each["individual_id"] for each in members] == ["right"]


@pytest.mark.parametrize("told", [math.nan, math.inf, -math.inf, -0.5, "-1", "nan"])
def test_a_cost_that_cannot_be_one_is_dropped(recorded: Recorded, told: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A cost is a finite number, 0 or more: anything else is said once and replaced by the sum of the calls, for the row, its generation
    and the budget."""
    with spans.run("t", budget=1.0) as run:
        generation = run.generation(0)
        scored(generation, "one", 1.0, api_cost=told)
        scored(generation, "two", 1.0, api_cost=0.25)
        generation.end(total_cost=told)
        assert run.over_budget is False
    assert [one[names.INDIVIDUAL_API_COST] for one in recorded.records("individual")] == [0.0, 0.25]
    assert recorded.records("generation")[0][names.GENERATION_TOTAL_COST] == 0.25
    assert caplog.text.count("api_cost: an amount in USD is a finite number") == 1


def test_a_copy_costs_its_generation_nothing(recorded: Recorded) -> None:
    """What is told of a copy is what its original cost: neither the generation nor the budget counts it a second time."""
    with spans.run("t", budget=1.0) as run, run.generation(0) as generation:
        scored(generation, "original", 1.0, api_cost=0.75)
        with generation.individual("moved", mutation_type="migration") as copy:
            copy.record(fitness=1.0, api_cost=0.75)
        assert run.over_budget is False
    assert recorded.records("generation")[0][names.GENERATION_TOTAL_COST] == 0.75


@pytest.mark.parametrize("number", [2**31, "x", -1])
def test_a_generation_that_tables_cannot_hold_is_warned_of_once(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, number: Any
) -> None:
    """Its span keeps what was given, and one line says what tables have instead; a number as text, or numpy's, is a number."""
    run = spans.run("t", run_id="r")
    known: tuple[Any, ...] = (0, 2**31 - 1, "3", np.int64(4))
    for good in known:
        run.generation(good).end()
    assert not caplog.records
    for _ in range(2):
        with run.generation(number) as generation:
            scored(generation, "a", 1.0)
    assert {found[names.GENERATION] for found in recorded.records("individual")} == {number}
    assert [f"{number} is not an integer from 0" in line.getMessage() for line in caplog.records].count(True) == 1
