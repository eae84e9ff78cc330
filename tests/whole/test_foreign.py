"""LLM calls from elsewhere: other instrumentations, in processes without this package, through a real collector into
``llm_logs``. The code in the documentation is what runs here."""

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
from clickhouse_connect.driver.client import Client

from genesis_otel._store import schema
from genesis_otel._store.reprice import open_calls, reprice
from genesis_otel.demo import model
from tests.support.environment import without_settings
from tests.support.pipeline import CONFIGS, Collector, Store, binary, environment_of, running
from tests.support.waiting import until

DOCUMENT = (Path(__file__).parents[2] / "docs" / "foreign.md").read_text(encoding="utf-8")
CONTENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
OPENTELEMETRYS = "from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor"
ALONE = "\nimport sys\nassert not [name for name in sys.modules if name.startswith('genesis_otel')]\n"
ANSWER = "NOVEL: the two programs place their circles differently."


def shown(language: str, start: str) -> str:
    """The document's code block of this language that begins like this."""
    (found,) = (
        block
        for block in re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
        if block.startswith(start)
    )
    return str(found)


JUDGES = {
    "opentelemetry": shown("python", "# judge.py"),
    "openinference": shown("python", "# judge.py").replace(
        OPENTELEMETRYS, shown("python", "from openinference").rstrip("\n")
    ),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running store for all tests here."""
    store = Store(tmp_path_factory.mktemp("foreign") / "store")
    with running(store):
        yield store


@pytest.fixture(scope="module")
def client(served: Store) -> Iterator[Client]:
    """A client of it."""
    with contextlib.closing(served.client()) as opened:
        # The document's example has a fixed day: under the default retention the raw span would expire at once.
        schema.init_schema(opened, traces_ttl_days=0)
        yield opened


@pytest.fixture(scope="module")
def collecting(served: Store, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """Our configuration in front of it."""
    folder = tmp_path_factory.mktemp("collector")
    collector = Collector(binary(), folder, [CONFIGS / "config.yaml"], environment_of(served))
    with running(collector):
        yield collector


@pytest.fixture
def environment(tmp_path: Path, collecting: Collector) -> Iterator[dict[str, str]]:
    """For a process that sends its spans to the collector and calls a simulated model on loopback."""
    bare = without_settings()
    with model.serving(pace=0) as url:
        yield {
            **bare,
            **CONTENT,
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint(collecting),
            "GENESIS_OTEL_DATA_DIR": str(tmp_path / "data"),
            "GENESIS_OTEL_QUIET": "1",
        }


def ran(program: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a program to its end; it must succeed without output on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def endpoint(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.http}"


def arrived(client: Client, table: str, where: str, **values: str) -> list[dict[str, Any]]:
    """The rows, once there are some."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = client.query(f"SELECT * FROM {table} WHERE {where}", parameters=values).named_results()
        return bool(found)

    until(look, f"the arrival of a row of {table}")
    return found


def test_the_other_process_does_not_use_this_package() -> None:
    """The document's OpenInference variant differs by one line, and neither program imports this package."""
    opentelemetry, openinference = (JUDGES[name].splitlines() for name in ("opentelemetry", "openinference"))
    assert len([1 for a, b in zip(opentelemetry, openinference, strict=True) if a != b]) == 1
    assert not any("genesis_otel" in program for program in JUDGES.values())


@pytest.mark.parametrize("instrumentation", JUDGES)
def test_a_process_with_the_runs_baggage(
    instrumentation: str, tmp_path: Path, environment: dict[str, str], client: Client
) -> None:
    """Started within an individual with only the environment, its call is a row with run, generation and individual, in
    the individual's trace, with messages and tokens; it has no cost until it is repriced, and keeps that cost."""
    run_id = f"packing with {instrumentation}"
    (tmp_path / "judge.py").write_text(JUDGES[instrumentation] + ALONE)
    ran(shown("python", "# search.py").replace("packing-1", run_id), tmp_path, environment)
    (row,) = arrived(client, "llm_logs", "run_id = {run:String}", run=run_id)
    (individual,) = arrived(client, "individuals", "run_id = {run:String}", run=run_id)
    assert (row["generation"], row["individual_id"]) == (0, "seed")
    assert (row["trace_id"], row["individual_id"]) == (individual["trace_id"], individual["individual_id"])
    assert row["model"].startswith("gpt-4.1-mini") and row["response_model"] == "gpt-4.1-mini-2025-04-14"
    assert (row["provider"], row["operation"], row["status"]) == ("openai", "chat", "ok")
    assert "Is this program NOVEL?" in row["messages"] and row["response"] == ANSWER
    assert row["input_tokens"] > 0 and row["output_tokens"] == len(ANSWER) // 4
    assert (row["cost"], row["cost_source"]) == (0.0, "")
    (told,) = reprice(client, run_id=run_id)
    (priced,) = arrived(client, "llm_logs", "run_id = {run:String}", run=run_id)
    expected = (0.4 * row["input_tokens"] + 1.6 * row["output_tokens"]) / 1e6
    assert told.calls == 1 and told.cost == pytest.approx(expected)
    assert {**row, "cost": pytest.approx(expected), "cost_source": "genai-prices"} == priced
    assert open_calls(client, run_id=run_id) == 0
    assert reprice(client, run_id=run_id) == []


def test_a_process_whose_resource_names_the_run(tmp_path: Path, environment: dict[str, str], client: Client) -> None:
    """Without baggage, through an environment variable that any SDK reads: run, generation and individual are on the
    row."""
    said = "genesis.run.id=by-resource,genesis.generation.number=3,genesis.individual.id=ind%20a"
    assert "OTEL_RESOURCE_ATTRIBUTES=genesis.run.id=" in DOCUMENT
    ran(JUDGES["opentelemetry"] + ALONE, tmp_path, {**environment, "OTEL_RESOURCE_ATTRIBUTES": said})
    (row,) = arrived(client, "llm_logs", "run_id = 'by-resource'")
    assert (row["generation"], row["individual_id"], row["response"]) == (3, "ind a", ANSWER)
    assert "Is this program NOVEL?" in row["messages"]


def test_a_span_takes_precedence_over_its_resource(tmp_path: Path, environment: dict[str, str], client: Client) -> None:
    """If both name a run, the call belongs to the span's: a service of one run may work for another."""
    both = {
        **environment,
        "OTEL_RESOURCE_ATTRIBUTES": "genesis.run.id=of-the-resource,genesis.individual.id=a",
        "BAGGAGE": "genesis.run.id=of-the-span",
    }
    ran(JUDGES["openinference"] + ALONE, tmp_path, both)
    (row,) = arrived(client, "llm_logs", "run_id IN ('of-the-span', 'of-the-resource')")
    assert (row["run_id"], row["individual_id"]) == ("of-the-span", "a")


@pytest.mark.parametrize("instrumentation", JUDGES)
def test_a_call_outside_any_run_stays_out(
    instrumentation: str, tmp_path: Path, environment: dict[str, str], client: Client
) -> None:
    """The spans of a process that has no run's baggage and names none in its resource are only in the raw traces."""
    service = f"elsewhere-{instrumentation}"
    ran(JUDGES[instrumentation] + ALONE, tmp_path, {**environment, "OTEL_SERVICE_NAME": service})
    (span,) = arrived(client, "otel_traces", "ServiceName = {service:String}", service=service)
    # The views fill their tables in the same insert: a row that is missing now will never come.
    landed = client.query(
        "SELECT count() FROM llm_logs WHERE trace_id = {trace:String}", parameters={"trace": span["TraceId"]}
    ).result_rows
    assert landed == [(0,)]


def sent(url: str, body: str) -> tuple[int, dict[str, Any]]:
    """Send what ``curl --data`` with a JSON content type sends; returns the answer."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/v1/traces", data=body.encode(), headers={"Content-Type": "application/json", "User-Agent": "curl/8"}
    )
    with contextlib.closing(urllib.request.urlopen(request, timeout=30)) as answer:  # noqa: S310
        return answer.status, json.loads(answer.read() or b"{}")


def test_json_that_curl_sends(collecting: Collector, client: Client) -> None:
    """The document's payload is accepted as printed, and fills every column that it can fill."""
    payload = shown("json", "{")
    status, answer = sent(endpoint(collecting), payload)
    assert status == 200 and not answer.get("partialSuccess")
    (row,) = arrived(client, "llm_logs", "trace_id = '0af7651916cd43dd8448eb211c80319c'")
    expected = {
        "run_id": "packing-1",
        "generation": 0,
        "individual_id": "seed",
        "role": "judge",
        "model": "gpt-4.1-mini",
        "provider": "openai",
        "messages": '[{"role":"user","content":"Is it new?"}]',
        "response": "It is.",
        "execution_time": 1.5,
        "input_tokens": 1200,
        "output_tokens": 30,
        "cost_source": "",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["timestamp"].isoformat().startswith("2026-08-01T00:00:00")
    (told,) = reprice(client, run_id="packing-1")
    assert told.cost == pytest.approx((0.4 * 1200 + 1.6 * 30) / 1e6)
