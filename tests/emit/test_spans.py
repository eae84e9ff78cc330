"""Where the spans of the emit API belong: traces, parents, links and ids."""

from __future__ import annotations

import json
import os
import socket

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, StatusCode

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._emit import context
from tests.support.recording import Recorded, attributes_of, ids_of, record


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
