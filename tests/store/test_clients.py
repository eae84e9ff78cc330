"""Calls as further clients and older versions record them: read in their packages, each with the row that it must become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry import trace

from genesis_otel import attributes as names
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store.reprice import reprice
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import record, store_spans

PROMPT, ANSWER = "Pack the circles tighter.", "Move the largest one."
IN_PARTS = json.dumps([{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}])
GPT = {"gen_ai.request.model": "gpt-4.1-mini"}
"""0.4 USD per million input tokens, 0.1 cached, 1.6 output."""
COUNTED = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
MESSAGES = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True)
class Recorded:
    """What a client's span holds, and its row."""

    name: str
    attributes: dict[str, Any]
    row: dict[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    cost: float = (1000 * 0.4 + 100 * 1.6) / 1e6
    messages: Any = None
    response: str | None = None


def litellm(told: str, kind: str, **row: str) -> Recorded:
    """LiteLLM's callback names the function that was called, the asynchronous ones, too."""
    attributes = GPT | COUNTED | {"gen_ai.system": "openai", "llm.request.type": kind}
    if told:
        attributes["gen_ai.operation.name"] = told
    return Recorded(f"LiteLLM {told or kind}", attributes, dict(row))


EVENTS = [
    {"event.name": "gen_ai.user.message", "role": "user", "content": PROMPT, "gen_ai.message.index": 0},
    {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": ANSWER}},
]
DETAILED = (600 * 0.4 + 400 * 0.1 + 100 * 1.6) / 1e6
"""USD of a call of which 400 tokens were cached."""

CASES = (
    litellm("acompletion", "acompletion", operation="chat"),
    litellm("", "acompletion", operation="chat"),
    litellm("aresponses", "aresponses", operation="chat"),
    litellm("responses", "responses", operation="chat"),
    litellm("anthropic_messages", "anthropic_messages", operation="chat"),
    litellm("atext_completion", "atext_completion", operation="text_completion"),
    litellm("agenerate_content", "agenerate_content", operation="generate_content"),
    litellm("completion", "", operation="text_completion"),
    Recorded(
        "LiteLLM's asynchronous embedding names no provider",
        {"gen_ai.request.model": "text-embedding-3-small", "gen_ai.usage.input_tokens": 1000, "gen_ai.system": ""}
        | {"llm.request.type": "aembedding"},
        {"operation": "embeddings", "input_tokens": 1000},
        cost=1000 * 0.02 / 1e6,
    ),
    Recorded(
        "Semantic Kernel, older",
        GPT
        | COUNTED
        | {"gen_ai.operation.name": "chat.streaming_completions", "gen_ai.response.finish_reason": "FinishReason.STOP"},
        {"operation": "chat", "finish_reason": "FinishReason.STOP"},
    ),
    Recorded(
        "Semantic Kernel, text",
        GPT | COUNTED | {"gen_ai.operation.name": "text_completions", "gen_ai.system": "openai"},
        {"operation": "text_completion"},
    ),
    Recorded(
        "pydantic-ai 0.2",
        GPT
        | COUNTED
        | {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "events": json.dumps(EVENTS)}
        | {"gen_ai.usage.details.cached_tokens": 400, "gen_ai.usage.details.reasoning_tokens": 50},
        {"cached_tokens": 400, "reasoning_tokens": 50, "input_tokens": 1000, "output_tokens": 100},
        cost=DETAILED,
        messages=[EVENTS[0]],
        response=ANSWER,
    ),
    Recorded(
        "pydantic-ai 1, Anthropic",
        COUNTED
        | {"gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-opus-4-5"}
        | {
            "gen_ai.usage.details.cache_read_input_tokens": 400,
            "gen_ai.usage.details.cache_creation_input_tokens": 100,
        },
        {"cached_tokens": 400, "cache_write_tokens": 100, "input_tokens": 1000},
        cost=(500 * 5 + 400 * 0.5 + 100 * 6.25 + 100 * 25) / 1e6,
    ),
    Recorded(
        "pydantic-ai 2",
        GPT
        | COUNTED
        | {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.input.messages": IN_PARTS}
        | {"gen_ai.usage.cache_read.input_tokens": 400, "gen_ai.usage.details.cache_read_tokens": 400}
        | {"gen_ai.client.operation.time_to_first_chunk": 0.5, "gen_ai.usage.details.reasoning_tokens": 0},
        {"cached_tokens": 400, "input_tokens": 1000, "reasoning_tokens": 0, "time_to_first_token": 0.5},
        cost=DETAILED,
        messages=MESSAGES,
    ),
    Recorded(
        "OpenLIT, older",
        GPT
        | COUNTED
        | {"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}
        | {
            "gen_ai.usage.prompt_tokens_details.cache_read": 400,
            "gen_ai.usage.completion_tokens_details.reasoning": 60,
        },
        {"cached_tokens": 400, "reasoning_tokens": 60, "output_tokens": 100},
        cost=DETAILED,
    ),
    Recorded(
        "logfire 4",
        GPT
        | COUNTED
        | {"gen_ai.system": "openai", "request_data": json.dumps({"messages": MESSAGES, "model": "gpt-4.1-mini"})}
        | {"response_data": json.dumps({"message": {"role": "assistant", "content": ANSWER}, "usage": {}})},
        {"operation": "chat"},
        messages=MESSAGES,
        response=ANSWER,
    ),
    Recorded(
        "Azure's AI inference",
        GPT | COUNTED | {"gen_ai.operation.name": "chat", "gen_ai.system": "az.ai.inference"},
        events=(
            ("gen_ai.user.message", {"gen_ai.event.content": json.dumps(MESSAGES[0])}),
            ("gen_ai.choice", {"gen_ai.event.content": json.dumps({"message": {"content": ANSWER}, "index": 0})}),
        ),
        messages=MESSAGES,
        response=ANSWER,
    ),
    Recorded(
        "a call of a tool alone, as an event",
        GPT | COUNTED | {"gen_ai.operation.name": "chat", "gen_ai.system": "az.ai.inference"},
        events=(("gen_ai.choice", {"gen_ai.event.content": json.dumps({"message": {"tool_calls": [{"id": "t"}]}})}),),
        response='{"tool_calls":[{"id":"t"}]}',
    ),
)


def emitted(case: Recorded) -> None:
    span = trace.get_tracer("theirs").start_span(case.name, attributes=case.attributes | {names.RUN_ID: "r"})
    for event, values in case.events:
        span.add_event(event, values)
    span.end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_is_read_as_its_client_records_it(
    case: Recorded, store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's span is one row with its operation, tokens, messages and answer, and its cost is that of these tokens."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    emitted(case)
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    (row,) = store.query("SELECT * FROM llm_logs").named_results()
    assert {name: row[name] for name in case.row} == case.row
    assert row["cost"] == pytest.approx(case.cost) and row["cost_source"] == "genai-prices"
    if case.messages is not None:
        assert json.loads(row["messages"]) == case.messages
    if case.response is not None:
        assert row["response"] == case.response
    assert PROMPT not in row["metadata"] and ANSWER not in row["metadata"]


@pytest.mark.parametrize("passes", [True, False], ids=["in our process", "from elsewhere"])
def test_what_litellm_has_cached_costs_nothing(
    passes: bool, store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens are those of the first answer, and so may be a cost; nothing was paid, and repricing leaves it."""
    recorded = record(monkeypatch, through=LLMSpanProcessor if passes else lambda processor: processor)
    cached = GPT | COUNTED | {"gen_ai.operation.name": "chat", "litellm.cache_hit": True}
    for more in ({}, {"gen_ai.cost.total_cost": 0.5}, {"litellm.cache_hit": False}):
        emitted(Recorded("litellm_request", cached | more))
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    reprice(store)
    rows = store.query("SELECT cost, cost_source FROM llm_logs ORDER BY timestamp, cost").result_rows
    assert sorted(map(tuple, rows)) == [(0.0, "litellm"), (0.0, "litellm"), (pytest.approx(0.00056), "genai-prices")]


REPEATED = {
    "llm.openai.messages": str(MESSAGES),
    "llm.anthropic.content": PROMPT,
    "llm.vertex_ai.contents": PROMPT,
    "pydantic_ai.all_messages": IN_PARTS,
    "all_messages_events": json.dumps(EVENTS),
    "langfuse.observation.input": PROMPT,
    "gcp.vertex.agent.llm_request": PROMPT,
    "retrieval.documents.0.document.content": PROMPT,
}
"""Where frameworks repeat a prompt, on spans that are no calls."""


def test_no_content_means_none_of_any_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without content, no attribute and no event of any of these clients has the prompt or the answer; counts stay."""
    recorded = record(monkeypatch, through=lambda after: LLMSpanProcessor(after, capture_content=False))
    for case in CASES:
        emitted(case)
    emitted(Recorded("others", REPEATED | {"llm.token_count.prompt": 7, "llm.cost.prompt": 0.5}))
    told = [
        str((dict(span.attributes or {}), [dict(event.attributes or {}) for event in span.events]))
        for span in recorded.spans
    ]
    assert not [text for text in told if PROMPT in text or ANSWER in text]
    last = dict(recorded.spans[-1].attributes or {})
    assert (last["llm.token_count.prompt"], last["llm.cost.prompt"]) == (7, 0.5)
    assert len(recorded.spans) == len(CASES) + 1
