"""LLM clients with the instrumentations that record them, as a search uses them: each call is one row, in its place, at
its cost.

`make test` runs the clients of the development environment; `make matrix` runs all of them in a separate environment
(`MATRIX_PYTHON`), and prints their versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.matrix.cases import ELSEWHERE, ERROR, HERE, Case
from tests.matrix.endpoint import ANSWER, CACHED, CHARGED, INPUT, OUTPUT, THOUGHT, Endpoint
from tests.matrix.program import CALLS, SECRET
from tests.support.environment import without_settings
from tests.support.in_thread import in_thread

PYTHON = os.environ.get("MATRIX_PYTHON", "")

EMBEDDING = ("text-embedding-3-small", 0.02, 0.02, 0.0)
"""A model, and USD per million tokens: input, cached input, output."""
GPT = ("gpt-4.1-mini", 0.4, 0.1, 1.6)
ASKED = {
    "anthropic": ("claude-opus-4-5", 5.0, 0.5, 25.0),
    "gemini": ("gemini-2.5-flash", 0.3, 0.03, 2.5),
    "gemini-async": ("gemini-2.5-flash", 0.3, 0.03, 2.5),
    "mistral": ("codestral-2508", 0.3, 0.03, 0.9),
    "groq": ("llama-3.3-70b-versatile", 0.59, 0.59, 0.79),
    "cohere": ("command-r-plus-08-2024", 2.5, 2.5, 10.0),
}
"""The model that each client calls; :data:`GPT` by default."""


def expected_cost(case: Case, way: str) -> float:
    """What a call costs."""
    if way == ERROR or case.costs_unknown:
        return 0.0
    if way.startswith("charged"):
        return CHARGED
    if "embeddings" in way:
        return INPUT * EMBEDDING[1] / 1e6
    _, full, cached, output = ASKED.get(case.client, GPT)
    return ((INPUT - CACHED) * full + CACHED * (cached if case.cached_told else full) + OUTPUT * output) / 1e6


def recorded(case: Case, folder: Path) -> tuple[bytes, int]:
    """The spans of a search, as they reach the destination, and how many calls its endpoint has answered."""
    kept = without_settings()
    told = {"client": case.client, "instrumentations": case.instrumentations, "ways": case.ways}
    to = str(folder / "spans")
    settings = {"GENESIS_OTEL_QUIET": "1", "GENESIS_OTEL_DATA_DIR": str(folder / "data")}
    with in_thread(Endpoint()) as server:
        done = subprocess.run(
            [
                PYTHON or sys.executable,
                "-m",
                "tests.matrix.program",
                json.dumps({**told, "url": server.url, "spans": to}),
            ],
            cwd=Path(__file__).parents[2],
            env={**kept, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stderr
    return Path(to).read_bytes(), server.calls


def rows_of(stored: bytes, connect: Connect, store: Client) -> list[dict[str, Any]]:
    """What the spans make of ``llm_logs``."""
    exporter, records = ClickHouseSpanExporter(connect), []
    while stored:
        length = int.from_bytes(stored[:4], "big")
        records.append(exporter.read(stored[4 : 4 + length]))
        stored = stored[4 + length :]
    exporter.send(exporter.prepare(records))
    return list(store.query("SELECT *, unpriced FROM llm_logs ORDER BY timestamp").named_results())


@pytest.mark.parametrize("case", [*HERE, *(ELSEWHERE if PYTHON else ())], ids=str)
def test_each_call_once_in_its_place_at_its_cost(case: Case, tmp_path: Path, connect: Connect, store: Client) -> None:
    """For each kind of call: one row per call, with run, generation and individual (in a thread only the run, marked as
    guessed), the requested model, tokens and cost, failed ones as such; individuals have their cost; no secret is
    anywhere."""
    stored, calls = recorded(case, tmp_path)
    assert SECRET.encode() not in stored
    rows = rows_of(stored, connect, store)
    found = Counter(row["run_id"] for row in rows)
    assert found == dict.fromkeys(case.ways, CALLS) and calls == CALLS * len(case.ways)
    for way in case.ways:
        cost = expected_cost(case, way)
        embeds, fails = "embeddings" in way, way == ERROR
        for row in (row for row in rows if row["run_id"] == way):
            told = {
                name: row[name] for name in ("generation", "individual_id", "status", "operation", "cost", "unpriced")
            }
            known = way not in case.no_place
            assert told == {
                "generation": 3 if known else None,
                "individual_id": "ind" if known else "",
                "status": "error" if fails else "ok",
                "operation": "embeddings" if embeds else case.operation,
                "cost": pytest.approx(cost),
                "unpriced": case.costs_unknown and not fails,
            }, way
            assert known or json.loads(row["metadata"])["place"] == "guessed"
            asked = ASKED.get(case.client, GPT)[0]
            asked = "text-embedding-3-small" if embeds else "refused" if fails else asked
            assert row["model"] in (asked, f"openai/{asked}", f"openrouter/{asked}"), way
            if not (fails or case.costs_unknown):
                assert (row["input_tokens"], row["output_tokens"]) == (
                    INPUT,
                    0 if embeds else case.output_told.get(way, OUTPUT),
                ), way
                assert (
                    embeds or way == "tools" or "Is this program new?" in row["messages"] or case.client == "anthropic"
                ), way
            assert "0.125" not in row["response"]
            if way == "reasoning" and case.instrumentations != ("itself",):
                assert (row["thought"], row["response"]) == (THOUGHT, ANSWER)
        sql = "SELECT api_cost + embed_cost FROM individuals WHERE run_id = {run:String}"
        spent = store.query(sql, parameters={"run": way}).result_rows[0][0]
        assert spent == pytest.approx(CALLS * cost if way not in case.no_place else 0.0), way
