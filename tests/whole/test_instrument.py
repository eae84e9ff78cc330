"""`instrument()`, and `opentelemetry-instrument` with it, in separate processes, with a real client against an endpoint
on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from genesis_otel.demo import model
from genesis_otel.instrumentation import installed
from tests.support.environment import without_settings

SEARCH = """
import json, sys
import openai
from openevolve.process_parallel import ProcessParallelController
import genesis_otel
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry import trace

def spans_of(found):
    kept = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(kept))
    with genesis_otel.run("t", run_id="r") as run, run.generation(0):
        openai.OpenAI(max_retries=0).chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
        )
    calls = [dict(each.attributes) for each in kept.get_finished_spans() if each.kind is trace.SpanKind.CLIENT]
    print(json.dumps({"found": found, "calls": calls}, default=str))
"""
BY_HAND = SEARCH + "\ngenesis_otel.configure()\ngenesis_otel.instrument()\nspans_of(genesis_otel.instrument())\n"
BY_ITSELF = SEARCH + "\nfrom genesis_otel.instrumentation import openevolve\nspans_of(openevolve.is_instrumented())\n"


def answer_of(command: list[str], tmp_path: Path, **settings: str) -> tuple[subprocess.CompletedProcess[str], str]:
    kept = without_settings()
    with model.serving(pace=0) as url:
        environment = {**kept, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", **settings}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
    return done, url


def test_a_client_with_two_instrumentations_is_recorded_once(tmp_path: Path) -> None:
    """With OpenTelemetry's and OpenInference's instrumentation installed, `instrument()`, also if called twice, says
    that the former records the client and this package the frameworks; a call is one span, with its run and its
    prompt."""
    settings = {"CLICKHOUSE_URL": "http://127.0.0.1:1", "GENESIS_OTEL_DATA_DIR": str(tmp_path)}
    done, _ = answer_of([sys.executable, "-c", BY_HAND], tmp_path, **settings, GENESIS_OTEL_EXIT_TIMEOUT="0.1")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted(told["found"]) == ["gepa", "openai", "openevolve"]
    assert told["found"]["openai"].startswith("opentelemetry-instrumentation-genai-openai ")
    assert all(told["found"][name].startswith("genesis-otel ") for name in ("gepa", "openevolve"))
    (call,) = told["calls"]
    assert call["genesis.run.id"] == "r" and "hello" in call["gen_ai.input.messages"]


@pytest.mark.parametrize(("disabled", "recorded"), [("", True), ("genesis_otel", False)])
def test_a_search_is_recorded_without_a_change(disabled: str, recorded: bool, tmp_path: Path) -> None:
    """Under `opentelemetry-instrument`, with only this package's settings, OpenEvolve is instrumented and the spans are
    in the spool; not if the environment disables it."""
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-c", BY_ITSELF]
    if not recorded:
        command[-1] = "from genesis_otel.instrumentation import openevolve; print(openevolve.is_instrumented())"
    settings = {"CLICKHOUSE_URL": "http://127.0.0.1:1", "GENESIS_OTEL_DATA_DIR": str(tmp_path / "data")}
    settings |= {"GENESIS_OTEL_EXIT_TIMEOUT": "0.1", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}
    done, _ = answer_of(command, tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    if recorded:
        told = json.loads(done.stdout)
        assert told["found"] is True and {call["genesis.run.id"] for call in told["calls"]} == {"r"}
    else:
        assert done.stdout == "False\n"
    assert (tmp_path / "data").exists() is recorded


def test_instrumentations_have_an_order() -> None:
    """Of several instrumentations of one client, OpenTelemetry's current one comes first, then OpenInference's, then
    the others."""
    entries = [entry for entry in entry_points(group="opentelemetry_instrumentor") if entry.name == "openai"]
    makers = [entry.dist.name for entry in sorted(entries, key=installed._preference) if entry.dist]
    assert makers == ["opentelemetry-instrumentation-genai-openai", "openinference-instrumentation-openai"]
