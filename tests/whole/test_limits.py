"""No record of ours is truncated by the limits that OpenTelemetry's SDK, or its environment, puts on spans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SEARCH = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
import genesis_otel
from genesis_otel import spans

class ToFile(SpanExporter):
    def export(self, found):
        with open(sys.argv[1] + "/spans", "a") as file:
            for span in found:
                file.write(json.dumps({"name": span.name, "events": len(span.events), **span.attributes}) + "\\n")
        return SpanExportResult.SUCCESS

if sys.argv[2] == "adopted":
    trace.set_tracer_provider(TracerProvider())
genesis_otel.configure(data_dir=sys.argv[1], exporter=ToFile())
with spans.run("t" * 50, run_id="r" * 60, config={"text": "x" * 5000}) as run, run.generation(7) as generation:
    with generation.individual("i" * 60) as individual:
        with trace.get_tracer("openinference").start_as_current_span("completion") as foreign:
            foreign.set_attribute("openinference.span.kind", "LLM")
            foreign.set_attribute("llm.model_name", "m")
            for number in range(62):
                for part in ("role", "content"):
                    foreign.set_attribute(f"llm.input_messages.{number}.message.{part}", "text " * 40)
        with individual.llm_call("m", messages="x" * 5000, metadata={"a": 1}) as call:
            call.response("y" * 5000, input_tokens=1, output_tokens=2)
        with individual.evaluation() as evaluation:
            evaluation.result(correct=True, combined_score=1.0)
        individual.record(
            fitness=1.0, metrics={"m" * 10: 1.0}, code="z" * 5000, edit_summary="w" * 500, island=1, is_pareto=True,
            correct=True, fitness_delta=0.5,
        )
"""


def recorded(folder: Path, provider: str, **environment: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The spans of a search by name, and its output."""
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(folder), provider],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, (folder / "spans").read_text().splitlines())
    return {line["name"].split(" ")[0]: line for line in lines}, done.stderr


PLACE = {"genesis.run.id": "r" * 60, "genesis.generation.number": 7, "genesis.individual.id": "i" * 60}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "10",
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "10",
            "OTEL_SPAN_EVENT_COUNT_LIMIT": "1",
        },
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "100", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "100"},
    ],
)
def test_our_provider_cuts_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """124 attributes of a conversation are kept beside ours, and long values stay whole, whatever the environment
    sets."""
    found, _ = recorded(tmp_path, "ours", **environment)
    for name in ("completion", "chat", "evaluation", "individual"):
        assert {key: str(found[name][key]) for key in PLACE} == {key: str(value) for key, value in PLACE.items()}, name
    assert sum(key.startswith("llm.input_messages") for key in found["completion"]) == 124
    assert found["completion"]["llm.model_name"] == "m"
    assert len(found["individual"]["genesis.individual.code"]) == 5000
    assert found["individual"]["genesis.individual.fitness_score"] == 1.0
    assert len(found["run"]["genesis.run.config"]) > 5000
    assert json.loads(found["chat"]["gen_ai.input.messages"])[0]["parts"][0]["content"] == "x" * 5000
    assert found["individual"]["events"] == 2


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "has more attributes than this process keeps"),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "10"}, "spans keep only their latest 10 attributes"),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "100"}, "attributes are truncated at 100 characters"),
    ],
)
def test_an_applications_provider_keeps_our_attributes(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    """Run, generation, individual and the record are on every span, however few attributes it keeps; a warning says
    what is cut."""
    found, errors = recorded(tmp_path, "adopted", **environment)
    for name in ("completion", "chat", "evaluation", "individual"):
        assert {key: str(found[name][key]) for key in PLACE} == {key: str(value) for key, value in PLACE.items()}, name
    assert (found["chat"]["gen_ai.request.model"], found["chat"]["gen_ai.operation.name"]) == ("m", "chat")
    records = {name: found[name].get("genesis.record") for name in ("run", "generation", "individual", "evaluation")}
    assert records == {name: name for name in records}
    assert found["run"]["genesis.run.id"] == found["generation"]["genesis.run.id"] == "r" * 60
    assert said in errors
