"""A search never notices that it is recorded: no value, processor or second end raises, and memory is bounded."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import context, opened, tally
from tests.support.recording import Recorded, attributes_of, hostile_values, record


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
