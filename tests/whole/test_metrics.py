"""Metrics: what a process measures of its search equals the tables, and reaches the configured exporter."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesis_otel import queries
from genesis_otel._serve import client as store_process
from tests.support.environment import without_settings
from tests.support.pipeline import CONFIGS, Collector, Store, binary, environment_of, running
from tests.support.searched import end_store

SEARCH = """
from opentelemetry import trace
from genesis_otel import spans

ASKED = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4.1"}

def search(run_id):
    with spans.run("task", run_id=run_id, config={}) as run:
        for number in range(3):
            with run.generation(number) as generation:
                for place in range(4):
                    with generation.individual(f"{number}-{place}", mutation_type="mutate" if number else "init") as one:
                        with one.llm_call("gpt-4.1", provider="openai", messages="Improve.", role="mutation") as call:
                            call.first_token()
                            # The client's instrumentation records the same call.
                            trace.get_tracer("client").start_span("chat", attributes=ASKED).end()
                            call.response("x", input_tokens=100 * number + 7, output_tokens=10 + place, cost=0.25)
                        with one.llm_call("nobody-knows-it", messages="And?") as call:
                            call.response("y", input_tokens=5, output_tokens=6)
                        with one.evaluation() as job:
                            if place == 2:
                                job.fail("no result")
                                one.fail("no result")
                            elif place == 3:
                                job.result(correct=False)
                                one.record(fitness=99.0, metrics={"correct": False})
                            else:
                                job.result(correct=True)
                                one.record(fitness=number + place / 10, embed_cost=0.5)
"""

IN_MEMORY = """
import json, os
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from genesis_otel.configuration import configure

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))

def measured():
    made = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = [point.count, point.sum] if hasattr(point, "count") else point.value
                    made.setdefault(metric.name, []).append([dict(point.attributes), value])
    return made
"""


def run_program(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a separate process, on an embedded store in ``folder``."""
    clean = without_settings()
    return subprocess.run(
        [sys.executable, "-c", text],
        env={**clean, "GENESIS_OTEL_QUIET": "true", "CLICKHOUSE_URL": f"chdb://{folder}", **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of an embedded store, whose process ends with the test."""
    yield tmp_path / "store"
    end_store(tmp_path / "store")


def total(points: list[Any], **labels: str) -> float:
    """The sum over the points that have these attributes."""
    return float(sum(value for attributes, value in points if labels.items() <= attributes.items()))


def test_values_are_those_of_the_tables(folder: Path) -> None:
    """After a clean search of one process: individuals by status, cost, calls without a price, the best, the
    generation, calls, tokens, seconds, jobs, and every span ended and stored."""
    done = run_program(
        f"{IN_MEMORY}{SEARCH}\ntelemetry = configure()\nsearch('one')\nassert telemetry.flush(120)\nprint(json.dumps(measured()))",
        folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    with contextlib.closing(store_process.open_store(folder, start=True)) as client:
        (summary,) = queries.ask(client, "run_summary", run_id="one")
        counted = client.query("SELECT status, count() FROM individuals GROUP BY status").result_rows
        (calls,) = client.query(
            "SELECT count(), sum(execution_time), sum(input_tokens), sum(output_tokens), countIf(unpriced), countIf(time_to_first_token > 0)"
            " FROM llm_logs"
        ).result_rows
        ((spans,),) = client.query("SELECT count() FROM otel_traces WHERE SpanName != 'spool_state'").result_rows
    statuses = {str(status): int(count) for status, count in counted}
    assert {point[0]["status"]: point[1] for point in told["genesis.individuals"]} == statuses
    assert statuses == {"ok": 6, "error": 3, "incorrect": 3}
    assert total(told["genesis.cost"], **{"genesis.run.id": "one"}) == pytest.approx(summary["cost"])
    assert summary["cost"] == pytest.approx(12 * 0.25 + 6 * 0.5)
    assert told["genesis.llm.unpriced"] == [[{"genesis.run.id": "one"}, calls[4]]] and calls[4] == 12
    assert told["genesis.best_score"] == [[{"genesis.run.id": "one"}, 2.1]] and summary["best_score"] == 2.1
    assert told["genesis.generation"] == [[{"genesis.run.id": "one"}, 2]]
    durations = told["gen_ai.client.operation.duration"]
    assert sum(value[0] for _, value in durations) == calls[0] == 24
    # The tables have millisecond resolution.
    assert sum(value[1] for _, value in durations) == pytest.approx(calls[1], abs=0.001 * calls[0])
    tokens = told["gen_ai.client.token.usage"]
    for kind, expected in (("input", calls[2]), ("output", calls[3])):
        assert sum(value[1] for labels, value in tokens if labels["gen_ai.token.type"] == kind) == expected
    assert sum(value[0] for _, value in told["gen_ai.client.operation.time_to_first_chunk"]) == calls[5] == 12
    assert told["genesis.jobs.running"] == [[{"genesis.run.id": "one"}, 0]]
    assert told["genesis.spans.ended"] == told["genesis.spans.stored"] == [[{}, spans]]
    for name in ("waiting", "dropped", "dead", "oldest"):
        assert told[f"genesis.spool.{name}"] == [[{}, 0]]
    assert told["genesis.delivery.retries"] == [[{}, 0]]


def test_calls_of_other_instrumentations_add_cost_and_are_not_measured_twice(folder: Path) -> None:
    """An instrumentation of a client emits its own `gen_ai.client.*`; its call's cost is in the run's cost. A running
    job is counted while it runs, and a forked child adds nothing to what its parent has measured."""
    done = run_program(
        f"""{IN_MEMORY}
from opentelemetry import trace
from genesis_otel import spans
configure()
with spans.run("task", run_id="one"):
    with trace.get_tracer("another").start_as_current_span("chat x") as span:
        span.set_attributes({{"gen_ai.operation.name": "chat", "gen_ai.request.model": "x", "gen_ai.usage.cost": 0.5}})
    job = spans.individual("a", generation=0).evaluation()
    child = os.fork()
    if not child:
        with spans.llm_call("m") as call:
            call.response("x", input_tokens=1, output_tokens=1, cost=1.0)
        os._exit(0)
    os.waitpid(child, 0)
print(json.dumps(measured()))
""",
        folder,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert total(told["genesis.cost"]) == 0.5 and "gen_ai.client.operation.duration" not in told
    assert told["genesis.jobs.running"] == [[{"genesis.run.id": "one"}, 1]]


def test_an_unknown_duration_is_not_measured(folder: Path) -> None:
    """As in the table, a call without a start of its own, or that ended before it began, took neither 0 s nor the time since 1970; the
    tokens and cost of such a call count."""
    done = run_program(
        f"""{IN_MEMORY}
import time
from genesis_otel import spans
configure()
end = time.time()
with spans.run("task", run_id="one"):
    for start in (0, float("nan"), 12_345.6, int(end), end + 60, end, end - 4):
        call = spans.llm_call("m", start_time=start)
        call.first_token(end - 1)
        call.response("x", input_tokens=1, output_tokens=1, cost=1.0)
        call.end(end_time=end)
print(json.dumps(measured()))
""",
        folder,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for name, seconds in (("duration", 4), ("time_to_first_chunk", 3)):
        ((_, (count, measured)),) = told[f"gen_ai.client.operation.{name}"]
        assert count == 1 and measured == pytest.approx(seconds)
    assert sum(count for _, (count, _) in told["gen_ai.client.token.usage"]) == 14
    assert total(told["genesis.cost"]) == 7


def test_without_a_meter_provider_nothing_is_loaded(folder: Path) -> None:
    """Without a meter provider, neither the SDK's metrics nor our measuring code is loaded when spans end."""
    done = run_program(
        f"""{SEARCH}
import sys
from genesis_otel.configuration import configure
from genesis_otel.processor import DurableSpanProcessor
telemetry = configure()
search("one")
assert "opentelemetry.sdk.metrics" not in sys.modules
assert isinstance(telemetry._processors[-1]._next, DurableSpanProcessor)
""",
        folder,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_exporter_is_reported(folder: Path) -> None:
    """The warning names it and those that exist; the search is recorded all the same."""
    done = run_program(
        f"{SEARCH}\nfrom genesis_otel.configuration import configure\nt = configure()\nsearch('one')\nassert t.flush(120)",
        folder,
        OTEL_METRICS_EXPORTER="carrier-pigeon",
    )
    assert done.returncode == 0 and done.stderr.count("carrier-pigeon is not installed") == 1, done.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_prometheus_reads_them_from_the_collector(tmp_path: Path, protocol: str) -> None:
    """With OTEL_METRICS_EXPORTER=otlp they are in the collector's Prometheus exporter when the process has ended, with
    the run, and with a separate instance for each of two processes."""
    store = Store(tmp_path / "served")
    collector = Collector(binary(), tmp_path / "collector", [CONFIGS / "config.yaml"], environment_of(store))
    program = f"{SEARCH}\nfrom genesis_otel.configuration import configure\nconfigure()\nsearch('one')"
    with running(store, collector):
        for _ in range(2):
            port = collector.grpc if protocol == "grpc" else collector.http
            done = run_program(
                program,
                store.folder,
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
                OTEL_EXPORTER_OTLP_PROTOCOL="grpc" if protocol == "grpc" else "http/protobuf",
                OTEL_METRICS_EXPORTER="otlp",
            )
            assert (done.returncode, done.stderr) == (0, "")
        with urllib.request.urlopen(f"http://127.0.0.1:{collector.prometheus}/metrics", timeout=30) as answer:
            read = answer.read().decode()
    ok = re.findall(r'^genesis_individuals_total\{(.*status="ok".*)\} (\S+)', read, re.MULTILINE)
    assert [float(value) for _, value in ok] == [6.0, 6.0]
    assert all('genesis_run_id="one"' in labels for labels, _ in ok)
    assert len({re.findall(r'service_instance_id="([^"]+)"', labels)[0] for labels, _ in ok}) == 2
    assert re.search(
        r"^gen_ai_client_operation_duration_seconds_count\{.*gen_ai_request_model=\"gpt-4.1\"", read, re.MULTILINE
    )
    assert re.search(r"^genesis_best_score\{", read, re.MULTILINE)


HARD = """
from opentelemetry import trace
from genesis_otel import spans

USED = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}

def instrumented(scope, **told):
    asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4.1", **told}
    return trace.get_tracer(scope).start_span("chat", attributes=asked)

def ours():
    return spans.llm_call("gpt-4.1", provider="openai", messages="Improve.")

class Refused(Exception):
    status_code = 429

def search(run_id):
    with spans.run("task", run_id=run_id, config={}, direction="min") as run, run.generation(0) as generation:
        for place in range(6):
            with generation.individual(f"0-{place}", mutation_type="init") as one:
                with ours():
                    instrumented("inside", **USED).end()
                with trace.use_span(instrumented("around"), end_on_exit=True), ours() as call:
                    call.response("x", input_tokens=10, output_tokens=1, cost=0.125)
                # Neither is the other's parent: the one that began first counts, whichever ends first.
                beside = instrumented("beside", **USED, **{"gen_ai.response.id": f"answer-{place}"})
                with ours() as call:
                    call.response("y", input_tokens=1000, output_tokens=100, response_id=f"answer-{place}")
                    if place % 2:
                        beside.end()
                if not place % 2:
                    beside.end()
                # A refusal is free; what a call without an answer has cost, nobody knows.
                for error in (Refused("429 Too Many Requests"), TimeoutError("no answer")):
                    with ours() as call:
                        call.fail(error)
                with one.evaluation() as job:
                    if place == 1:
                        job.fail(ZeroDivisionError("division by zero"))
                        one.fail("its evaluation failed")
                    elif place == 2:
                        one.record(fitness=float("nan"))
                    elif place == 3:
                        job.result(correct=False)
                        one.record(fitness=-99.0, correct=False)
                    else:
                        job.result(correct=True)
                        one.record(fitness=1.0 - place, api_cost=2.0)
        try:
            with generation.individual("raised", mutation_type="init"):
                raise ValueError("in the search itself")
        except ValueError:
            pass
        with generation.individual("moved", mutation_type="migration", parent_id="0-4") as copy:
            copy.record(fitness=-3.0, api_cost=2.0)
"""


def test_values_are_those_of_the_tables_when_much_goes_wrong(folder: Path) -> None:
    """In a search with failed, unscored, incorrect and raising individuals, a copy, refused and unanswered calls, and instrumentations
    inside, around and beside `llm_call()`: individuals by status, cost, calls without a price, the best, jobs and spans are those of the tables;
    and each `llm_call()` that has a row is measured once, with its error, seconds and tokens."""
    done = run_program(
        f"{IN_MEMORY}{HARD}\ntelemetry = configure()\nsearch('hard')\nassert telemetry.flush(120)\nprint(json.dumps(measured()))",
        folder,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    with contextlib.closing(store_process.open_store(folder, start=True)) as client:
        (summary,) = queries.ask(client, "run_summary", run_id="hard")
        counted = client.query("SELECT toString(status), count() FROM individuals GROUP BY status").result_rows
        by_scope = {
            row["scope"]: row
            for row in client.query(
                "SELECT any(t.ScopeName) AS scope, count() AS calls, countIf(l.status != 'ok') AS failed, sum(input_tokens) AS input,"
                " sum(output_tokens) AS output, sum(execution_time) AS seconds"
                " FROM llm_logs AS l INNER JOIN otel_traces AS t ON t.SpanId = l.span_id GROUP BY t.ScopeName"
            ).named_results()
        }
        ((spans,),) = client.query("SELECT count() FROM otel_traces WHERE SpanName != 'spool_state'").result_rows
    statuses = {str(status): int(count) for status, count in counted}
    assert {point[0]["status"]: point[1] for point in told["genesis.individuals"]} == statuses
    assert statuses == {"ok": 5, "error": 2, "incorrect": 1}
    assert total(told["genesis.cost"]) == pytest.approx(summary["cost"]) and summary["cost"] > 0
    assert total(told["genesis.llm.unpriced"]) == summary["unpriced"] == 6
    assert told["genesis.best_score"][0][1] == summary["best_score"] == -4.0
    assert told["genesis.jobs.running"][0][1] == 0 and told["genesis.generation"][0][1] == 0
    assert told["genesis.spans.ended"] == told["genesis.spans.stored"] == [[{}, spans]]
    # Of the two spans of each answered call, one has a row.
    assert {scope: row["calls"] for scope, row in by_scope.items()} == {
        "genesis_otel": 6 + 12,
        "around": 6,
        "beside": 6,
    }
    mine, durations = by_scope["genesis_otel"], told["gen_ai.client.operation.duration"]
    assert sum(value[0] for _, value in durations) == mine["calls"]
    assert sum(value[0] for labels, value in durations if "error.type" in labels) == mine["failed"] == 12
    assert sum(value[1] for _, value in durations) == pytest.approx(mine["seconds"], abs=0.001 * mine["calls"])
    for kind in ("input", "output"):
        tokens = [value for labels, value in told["gen_ai.client.token.usage"] if labels["gen_ai.token.type"] == kind]
        assert sum(value[1] for value in tokens) == mine[kind]
