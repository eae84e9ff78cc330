"""Money in the rows: provider, tokens, cost and its source are the same whether a span passed our processor or came from elsewhere.

Each case takes both ways: through the processor of a process that records searches, and straight into the landing table, as another
process or a collector writes it, followed by `reprice`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from genai_prices import Usage, calc_price
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel import queries
from genesis_otel._ship.calls import llm_names
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store.providers import HOSTS, provider_at
from genesis_otel._store.reprice import reprice
from genesis_otel._store.tokens import TOO_MANY
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import store_spans

START = 1_785_542_400_000_000_000
"""2026-08-01 00:00 UTC."""


class Case(NamedTuple):
    """What an instrumentation reports, and what the row must contain."""

    told: dict[str, Any]
    row: dict[str, Any]
    scope: str = "theirs"
    error: str = ""


def listed(provider: str, model: str, whole: int, output: int, read: int = 0, write: int = 0) -> Any:
    """The cost by the price list."""
    usage = Usage(input_tokens=whole, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write)
    return pytest.approx(float(calc_price(usage, model, provider_id=provider).total_price), abs=1e-9)


def tokens(whole: int, output: int, read: int = 0, write: int = 0, reasoning: int = 0) -> dict[str, int]:
    """Token columns of a row."""
    return {
        "input_tokens": whole,
        "output_tokens": output,
        "cached_tokens": read,
        "cache_write_tokens": write,
        "reasoning_tokens": reasoning,
    }


def asks(model: str, provider: str = "openai", **more: Any) -> dict[str, Any]:
    """A call under OpenTelemetry's names; ``more`` has ``__`` for dots."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def used(whole: int, output: int) -> dict[str, int]:
    return {"gen_ai.usage.input_tokens": whole, "gen_ai.usage.output_tokens": output}


SONNET, GEMINI = "claude-sonnet-4-5", "gemini-2.5-pro"
ANTHROPIC_RAW = {
    **used(10, 70),
    "gen_ai.usage.cache_read.input_tokens": 5,
    "gen_ai.usage.cache_creation.input_tokens": 3,
}
ANSWER = {
    "id": "gen-1",
    "model": "anthropic/claude-sonnet-4.5",
    "choices": [],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "cost": 0.0123},
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.model_name": "anthropic/claude-sonnet-4.5",
    "llm.token_count.prompt": 1000,
    "llm.token_count.completion": 100,
    "output.mime_type": "application/json",
}

CASES = {
    # --- the provider
    "OpenRouter by its host": Case(
        asks("anthropic/claude-sonnet-4.5", server__address="openrouter.ai") | used(1000, 100),
        {
            "provider": "openrouter",
            "cost": listed("openrouter", "anthropic/claude-sonnet-4.5", 1000, 100),
            "cost_source": "genai-prices",
        },
    ),
    "DeepSeek by traceloop's base URL": Case(
        asks("deepseek-chat") | {"gen_ai.openai.api_base": "https://api.deepseek.com/v1"} | used(1000, 100),
        {"provider": "deepseek", "cost_source": "genai-prices"},
    ),
    "Azure by its host, the model by its answer": Case(
        asks("our-best", server__address="acme.openai.azure.com", gen_ai__response__model="gpt-4o-2024-08-06")
        | used(1000, 100),
        {"provider": "azure.ai.openai", "cost": listed("azure", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "Anthropic's client on Bedrock": Case(
        asks(
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "anthropic",
            server__address="bedrock-runtime.us-east-1.amazonaws.com",
        )
        | used(1000, 100),
        {
            "provider": "aws.bedrock",
            "cost": pytest.approx((1000 * 3.3 + 100 * 16.5) / 1e6),
            "cost_source": "genai-prices",
        },
    ),
    "a gateway on loopback": Case(
        asks("gpt-4o", server__address="127.0.0.1") | used(1000, 100),
        {"provider": "openai", "cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "somebody else's weights on a known host": Case(
        asks("deepseek-ai/DeepSeek-V3", server__address="api.deepinfra.com") | used(1000, 100),
        {"provider": "deepinfra", "cost": 0.0, "cost_source": "unknown-model", "unpriced": True},
    ),
    "LiteLLM's base URL": Case(
        asks(
            "llama-3.3-70b-versatile",
            "openai",
            hidden_params='{"model_id": "x", "api_base": "https://api.groq.com/openai/v1"}',
        )
        | used(1000, 100),
        {
            "provider": "groq",
            "cost": listed("groq", "llama-3.3-70b-versatile", 1000, 100),
            "cost_source": "genai-prices",
        },
    ),
    "self-hosted": Case(
        asks("deepseek-r1", "ollama", server__address="localhost") | used(1000, 100),
        {"provider": "ollama", "cost": 0.0, "cost_source": "local", "unpriced": False},
    ),
    # --- a reported cost
    "OpenRouter's answer": Case(
        {**OPENINFERENCE, "output.value": json.dumps(ANSWER), "llm.cost.total": 0.5},
        {"cost": 0.0123, "cost_source": "openrouter"},
    ),
    "OpenRouter's answer with a key of the user's own": Case(
        {
            **OPENINFERENCE,
            "output.value": json.dumps(
                {
                    **ANSWER,
                    "usage": {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}},
                }
            ),
        },
        {"cost": pytest.approx(0.021), "cost_source": "openrouter"},
    ),
    "an answer that is JSON with a cost in it": Case(
        {**OPENINFERENCE, "output.value": '{"usage": {"cost": 5}, "x": "\\"cost\\""}'},
        {"cost": listed("anthropic", SONNET, 1000, 100), "cost_source": "genai-prices"},
    ),
    "a cost that is an object": Case(
        {**OPENINFERENCE, "output.value": json.dumps({**ANSWER, "usage": {"cost": {"total_cost": 1}}})},
        {"cost": listed("anthropic", SONNET, 1000, 100), "cost_source": "genai-prices"},
    ),
    "LiteLLM's cost": Case(
        asks("gpt-4o") | {"gen_ai.cost.total_cost": 0.25, "gen_ai.usage.cost": 0.5} | used(1000, 100),
        {"cost": 0.25, "cost_source": "litellm"},
    ),
    "LiteLLM's hidden parameters": Case(
        asks("gpt-4o", hidden_params="{'model_id': 'x', 'response_cost': '0.125', 'cache_key': None}")
        | used(1000, 100),
        {"cost": 0.125, "cost_source": "litellm"},
    ),
    "LiteLLM's hidden parameters without a cost": Case(
        asks("gpt-4o", hidden_params='{"model_id": "x", "response_cost": null}') | used(1000, 100),
        {"cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "OpenLIT's cost": Case(
        asks("gpt-4o", gen_ai__usage__cost=0.5) | used(1000, 100), {"cost": 0.5, "cost_source": "told"}
    ),
    "OpenInference's cost": Case({**OPENINFERENCE, "llm.cost.total": 0.75}, {"cost": 0.75, "cost_source": "told"}),
    "pydantic-ai's cost": Case(
        asks("gpt-4o") | {"operation.cost": 0.375} | used(1000, 100), {"cost": 0.375, "cost_source": "told"}
    ),
    "a cost of 0 beside tokens of a priced model": Case(
        asks("gpt-4o", gen_ai__usage__cost=0.0) | used(1000, 100),
        {"cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "LiteLLM's 0 of a model that nobody knows": Case(
        asks("our-own") | {"gen_ai.cost.total_cost": 0} | used(1000, 100),
        {"cost": 0.0, "cost_source": "unknown-model", "unpriced": True},
    ),
    "a cost of 0 without tokens": Case(
        asks("gpt-4o", gen_ai__usage__cost=0.0), {"cost": 0.0, "cost_source": "told", "unpriced": False}
    ),
    "our caller's cost of 0": Case(
        asks("gpt-4o", gen_ai__usage__cost=0.0) | used(1000, 100),
        {"cost": 0.0, "cost_source": "told"},
        scope=names.SCOPE,
    ),
    "a cost that is no number": Case(
        asks("gpt-4o", gen_ai__usage__cost=float("nan")) | used(1000, 100),
        {"cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "an infinite cost": Case(
        asks("gpt-4o", gen_ai__usage__cost=float("inf")) | used(1000, 100),
        {"cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    "a negative cost": Case(
        asks("gpt-4o", gen_ai__usage__cost=-1.0) | used(1000, 100),
        {"cost": listed("openai", "gpt-4o", 1000, 100), "cost_source": "genai-prices"},
    ),
    # --- no cost, and why
    "no tokens": Case(asks("gpt-4o"), {"cost": 0.0, "cost_source": "no-tokens", "unpriced": True}),
    "an unknown model": Case(
        asks("gpt-99") | used(5, 5), {"cost": 0.0, "cost_source": "unknown-model", "unpriced": True}
    ),
    "refused by the provider": Case(
        asks("gpt-4o", error__type="RateLimitError"), {"cost": 0.0, "cost_source": "failed", "unpriced": False}
    ),
    "refused by the provider, told by the status alone": Case(
        asks("gpt-4o"), {"cost": 0.0, "cost_source": "failed", "unpriced": False}, error="429 Too Many Requests"
    ),
    "given up by the caller": Case(
        asks("gpt-4o", error__type="APITimeoutError"), {"cost": 0.0, "cost_source": "no-tokens", "unpriced": True}
    ),
    # --- tokens
    "Anthropic's raw counts, by the total": Case(
        asks(SONNET, "anthropic") | ANTHROPIC_RAW | {"gen_ai.usage.total_tokens": 88},
        {**tokens(18, 70, 5, 3), "cost": listed("anthropic", SONNET, 18, 70, 5, 3)},
    ),
    "Anthropic's counts by the rule, by the total": Case(
        asks(SONNET, "anthropic") | ANTHROPIC_RAW | {"gen_ai.usage.total_tokens": 80},
        {**tokens(10, 70, 5, 3), "cost": listed("anthropic", SONNET, 10, 70, 5, 3)},
    ),
    "Anthropic's counts without a total, by the rule": Case(
        asks(SONNET, "anthropic") | ANTHROPIC_RAW,
        {**tokens(10, 70, 5, 3), "cost": listed("anthropic", SONNET, 10, 70, 5, 3)},
    ),
    "Anthropic's raw counts, by OpenLIT, whose total is raw": Case(
        asks(SONNET, "anthropic") | ANTHROPIC_RAW | {"gen_ai.usage.total_tokens": 80},
        {**tokens(18, 70, 5, 3), "cost": listed("anthropic", SONNET, 18, 70, 5, 3)},
        scope="openlit.otel.tracing",
    ),
    "OpenAI's counts, by OpenLIT": Case(
        asks("gpt-4o") | {**used(1000, 70), "gen_ai.usage.cache_read.input_tokens": 400},
        {**tokens(1000, 70, 400), "cost": listed("openai", "gpt-4o", 1000, 70, 400)},
        scope="openlit.otel.tracing",
    ),
    "Bedrock's raw counts, by traceloop": Case(
        asks("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "AWS") | ANTHROPIC_RAW,
        {**tokens(18, 70, 5, 3), "cost_source": "genai-prices"},
        scope="opentelemetry.instrumentation.bedrock",
    ),
    "more cached tokens than input": Case(
        asks(SONNET, "anthropic") | used(10, 70) | {"gen_ai.usage.cache_read_input_tokens": 3000},
        {**tokens(3010, 70, 3000), "cost": listed("anthropic", SONNET, 3010, 70, 3000)},
    ),
    "OpenInference's raw counts, by the total": Case(
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "anthropic",
            "llm.model_name": SONNET,
            "llm.token_count.prompt": 2000,
            "llm.token_count.completion": 70,
            "llm.token_count.prompt_details.cache_read": 1500,
            "llm.token_count.total": 3570,
        },
        {**tokens(3500, 70, 1500), "cost": listed("anthropic", SONNET, 3500, 70, 1500)},
    ),
    "Gemini's reasoning beside its answer": Case(
        asks(GEMINI, "gcp.gemini") | used(100, 150) | {"gen_ai.usage.reasoning.output_tokens": 8000},
        {**tokens(100, 8150, reasoning=8000), "cost": listed("google", GEMINI, 100, 8150)},
    ),
    "Gemini's short reasoning, by the total": Case(
        asks(GEMINI, "gcp.gemini")
        | used(100, 150)
        | {"gen_ai.usage.reasoning_tokens": 80, "gen_ai.usage.total_tokens": 330},
        {**tokens(100, 230, reasoning=80), "cost": listed("google", GEMINI, 100, 230)},
    ),
    "reasoning within the answer": Case(
        asks("o4-mini")
        | used(100, 150)
        | {"gen_ai.usage.details.reasoning_tokens": 80, "gen_ai.usage.total_tokens": 250},
        {**tokens(100, 150, reasoning=80), "cost": listed("openai", "o4-mini", 100, 150)},
    ),
    "Gemini's reasoning in traceloop's total alone": Case(
        asks(GEMINI, "gcp.gemini") | used(100, 150) | {"gen_ai.usage.total_tokens": 1250},
        {**tokens(100, 1150, reasoning=1000), "cost": listed("google", GEMINI, 100, 1150)},
        scope="opentelemetry.instrumentation.google_generativeai",
    ),
    **{
        f"{told!r} as cost, which the row cannot hold": Case(
            asks("gpt-4o") | used(100, 70) | {"gen_ai.usage.cost": told},
            {"cost": listed("openai", "gpt-4o", 100, 70), "cost_source": "genai-prices"},
        )
        for told in (" 7", "1_000", "\u0667", True, b"7")
    },
    "somebody's maximum integer as input": Case(
        asks("gpt-4o") | used(2**63 - 1, 70),
        {**tokens(2**63 - 1, 70), "cost": listed("openai", "gpt-4o", 0, 70)},
    ),
    "somebody's maximum integers as parts": Case(
        asks("gpt-4o")
        | used(100, 70)
        | {"gen_ai.usage.cache_read.input_tokens": 2**63 - 1, "gen_ai.usage.cache_write.input_tokens": 2**63 - 1},
        {**tokens(100, 70, 2**63 - 1, 2**63 - 1), "cost": listed("openai", "gpt-4o", 100, 70)},
    ),
    "somebody's maximum integer as reasoning": Case(
        asks("gpt-4o") | used(100, 70) | {"gen_ai.usage.reasoning.output_tokens": 2**63 - 1},
        {**tokens(100, 70, reasoning=2**63 - 1), "cost": listed("openai", "gpt-4o", 100, 70)},
    ),
    "somebody's maximum integer as total": Case(
        asks(GEMINI, "gcp.gemini") | used(100, 150) | {"gen_ai.usage.total_tokens": str(2**64 - 1)},
        {**tokens(100, 150), "cost": listed("google", GEMINI, 100, 150)},
        scope="opentelemetry.instrumentation.google_generativeai",
    ),
    "cache and reasoning beside, by the total": Case(
        asks(SONNET, "anthropic")
        | ANTHROPIC_RAW
        | {"gen_ai.usage.reasoning_tokens": 20, "gen_ai.usage.total_tokens": 108},
        {**tokens(18, 90, 5, 3, 20), "cost": listed("anthropic", SONNET, 18, 90, 5, 3)},
    ),
}


def emit(told: list[Case], *processors: Callable[[SpanProcessor], SpanProcessor]) -> Any:
    """Ended spans, one per case, a second apart."""
    kept = InMemorySpanExporter()
    last: SpanProcessor = SimpleSpanProcessor(kept)
    for processor in processors:
        last = processor(last)
    provider = TracerProvider()
    provider.add_span_processor(last)
    for number, case in enumerate(told):
        began = START + number * 10**9
        span = provider.get_tracer(case.scope).start_span("call", start_time=began)
        span.set_attributes({names.RUN_ID: "r", **case.told})
        if case.error:
            span.set_status(StatusCode.ERROR, case.error)
        span.end(began + 10**9)
    return kept.get_finished_spans()


def rows(client: Client) -> list[dict[str, Any]]:
    return list(client.query("SELECT *, unpriced FROM llm_logs ORDER BY timestamp").named_results())


def checked(found: list[dict[str, Any]]) -> None:
    assert len(found) == len(CASES)
    for (name, case), row in zip(CASES.items(), found, strict=True):
        assert {column: row[column] for column in case.row} == case.row, name


def test_spans_that_met_the_processor(store: Client, connect: Connect) -> None:
    """Every case, through the processor: nothing is left for `reprice`."""
    store_spans(ClickHouseSpanExporter(connect), emit(list(CASES.values()), LLMSpanProcessor))
    checked(rows(store))
    assert reprice(store) == []


def test_spans_that_never_met_it(store: Client, connect: Connect) -> None:
    """Every case, as another process writes it: reported costs are there at once, the others are unknown until `reprice`."""
    store_spans(ClickHouseSpanExporter(connect), emit(list(CASES.values())))
    told = ("told", "openrouter", "litellm")
    for (name, case), row in zip(CASES.items(), rows(store), strict=True):
        source = case.row.get("cost_source")
        assert (row["cost_source"], row["unpriced"]) == (source if source in told else "", source not in told), name
    reprice(store)
    checked(rows(store))


def test_the_number_that_is_no_count_is_the_same_in_sql() -> None:
    """A count beyond which nothing is added in a row has no price either."""
    assert int(queries.part("too_many")) == TOO_MANY


def test_prompts_that_are_not_kept_leave_their_cost(store: Client, connect: Connect) -> None:
    """What OpenRouter charged remains known although its answer is not recorded."""
    spans = emit([CASES["OpenRouter's answer"]], lambda last: LLMSpanProcessor(last, capture_content=False))
    store_spans(ClickHouseSpanExporter(connect), spans)
    (row,) = rows(store)
    assert (row["response"], row["cost"], row["cost_source"]) == ("", 0.0123, "openrouter")


def test_raw_counts_stay_in_the_metadata(store: Client, connect: Connect) -> None:
    """The reported token counts are in `metadata`; if that is the caller's own, they are added when they differ from the row's."""
    raw = CASES["more cached tokens than input"]
    own = Case({**raw.told, names.LLM_METADATA: '{"task": "t"}'}, {})
    right = Case({**CASES["reasoning within the answer"].told, names.LLM_METADATA: '{"task": "t"}'}, {})
    store_spans(ClickHouseSpanExporter(connect), emit([raw, own, right], LLMSpanProcessor))
    first, second, third = (json.loads(row["metadata"]) for row in rows(store))
    assert first["gen_ai.usage.input_tokens"] == "10"
    assert second == {"task": "t", "tokens_told": {"input": 10, "output": 70}}
    assert third == {"task": "t"}


def test_the_callers_metadata_stay_to_the_letter(store: Client, connect: Connect) -> None:
    """Reported token counts are added behind what the caller wrote: letters, spaces and numbers beyond floats. What is no object, or has
    them already, stays as it is, and so does what is nested too deeply to be read; the call has its cost in any case."""
    raw = CASES["more cached tokens than input"]
    added = '"tokens_told": {"input": 10, "output": 70}}'
    kept = {
        '{"task":"grün 🟢","n":1e400}': '{"task":"grün 🟢","n":1e400, ' + added,
        " { } ": "{" + added,
        "[1]": "[1]",
        '{"tokens_told": 1}': '{"tokens_told": 1}',
        '{"deep":' + "[" * 100_000: '{"deep":' + "[" * 100_000,
    }
    told = [Case({**raw.told, names.LLM_METADATA: metadata}, {}) for metadata in kept]
    store_spans(ClickHouseSpanExporter(connect), emit(told, LLMSpanProcessor))
    found = rows(store)
    assert [row["metadata"] for row in found] == list(kept.values())
    assert all(row["cost"] == raw.row["cost"] for row in found)


def test_hosts_are_the_same_in_sql(store: Client, connect: Connect) -> None:
    """For every known host, a subdomain of it and a host that merely ends alike, the view's provider is that of the Python table."""
    servers = [server for end in HOSTS for server in (end, f"https://eu.{end.upper()}:8443/v1", f"not{end}")]
    told = [Case(asks("m", "client", server__address=server), {}) for server in servers]
    store_spans(ClickHouseSpanExporter(connect), emit(told))
    found = [row["provider"] for row in rows(store)]
    assert found == [llm_names.provider(case.told) for case in told]
    assert found[::3] == [provider_at(end) for end in HOSTS] == list(HOSTS.values())


def test_a_cost_is_that_of_the_tokens_beside_it(store: Client, connect: Connect) -> None:
    """A count that no integer tells is none, for the row and for its price alike: the call is unpriced."""
    odd = (
        1.5,
        12.7,
        "1.5",
        "12.0",
        "1e3",
        " 12 ",
        "1_000",
        "\u0663",
        True,
        "true",
        -3,
        "-5",
        "0x10",
        1e300,
        2**63 - 1,
        "9" * 20,
        (12,),
    )
    even = ((12, 12), (12.0, 12), ("13", 13), ("+5", 5), ("007", 7))
    told = [
        Case(asks("gpt-4o-mini", "openai", gen_ai__usage__input_tokens=count, gen_ai__usage__output_tokens=count), {})
        for count in (*odd, *(told for told, _ in even))
    ]
    store_spans(ClickHouseSpanExporter(connect), emit(told, LLMSpanProcessor))
    found = rows(store)
    assert {(row["cost"], row["cost_source"], row["unpriced"]) for row in found[: len(odd)]} == {(0, "no-tokens", True)}
    for (_, count), row in zip(even, found[len(odd) :], strict=True):
        assert row["input_tokens"] == row["output_tokens"] == count and row["unpriced"] is False
        assert row["cost"] == pytest.approx(count * (0.15e-6 + 0.6e-6))


def test_tokens_are_the_same_in_sql(store: Client, connect: Connect) -> None:
    """For three hundred calls with random counts of every kind, totals and scopes, the view's counts are the processor's."""
    chance = random.Random(11)
    told = []
    for _ in range(300):
        counts = [chance.choice((None, 0, chance.randrange(30), chance.randrange(30_000))) for _ in range(5)]
        known = sum(count or 0 for count in counts)
        total = chance.choice(
            (None, known, (counts[0] or 0) + (counts[1] or 0), known - (counts[4] or 0), chance.randrange(9))
        )
        keys = (
            *(llm_names.INPUT_TOKENS, llm_names.OUTPUT_TOKENS, llm_names.CACHE_READ_TOKENS),
            *(llm_names.CACHE_WRITE_TOKENS, llm_names.REASONING_TOKENS, llm_names.TOTAL_TOKENS),
        )
        attributes = {
            chance.choice(names_of): count
            for names_of, count in zip(keys, (*counts, total), strict=True)
            if count is not None
        }
        scope = chance.choice(
            ("theirs", "openlit", "opentelemetry.instrumentation.bedrock", "opentelemetry.instrumentation.vertexai")
        )
        told.append(Case(asks("m", chance.choice(("anthropic", "openai")), **attributes), {}, scope))
    store_spans(ClickHouseSpanExporter(connect), emit(told))
    for case, row in zip(told, rows(store), strict=True):
        counted = llm_names.counts(case.told, case.scope)
        assert [row[column] for column in tokens(0, 0)] == [count or 0 for count in counted], case
