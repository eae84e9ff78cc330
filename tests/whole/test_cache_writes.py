"""Tokens that a provider wrote to its cache, which cost more than others, as OpenAI's and LiteLLM's clients report them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import litellm
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel.instrumentation._gepa import calls as gepa
from genesis_otel.instrumentation._openevolve import llm as openevolve
from genesis_otel.instrumentation._shinka import llm as shinka
from tests.support.recording import attributes_of, record

ASKED = {"cached_tokens": 400, "cache_write_tokens": 100}
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-6.1-terra",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "better"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "total_tokens": 1050,
        "prompt_tokens_details": ASKED,
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
}
OF_A_PROXY = {**COMPLETION, "usage": {**COMPLETION["usage"], "input_tokens": 0, "output_tokens": 0}}
RESPONSE = {
    "id": "c",
    "object": "response",
    "created_at": 1,
    "model": "gpt-6.1-terra",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 1000,
        "input_tokens_details": ASKED,
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1050,
    },
}
LITELLM = litellm.ModelResponse(
    **{
        **COMPLETION,
        "usage": litellm.Usage(
            prompt_tokens=1000,
            completion_tokens=50,
            reasoning_tokens=20,
            cache_read_input_tokens=400,
            cache_creation_input_tokens=100,
        ),
    }
)


@pytest.mark.parametrize(
    ("tell", "answer"),
    [
        (openevolve._record_response, ChatCompletion.model_validate(COMPLETION)),
        (openevolve._record_response, ChatCompletion.model_validate(OF_A_PROXY)),
        (shinka._tell, ChatCompletion.model_validate(COMPLETION)),
        (shinka._tell, Response.model_validate(RESPONSE)),
        (gepa._tell_completion, LITELLM),
    ],
)
def test_they_are_recorded_whatever_the_framework(
    tell: Callable[[spans.LLMCall, Any], None], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside all other counts: without them the prompt's tokens would all have its usual price."""
    recorded = record(monkeypatch)
    with spans.run("t") as run, run.llm_call("gpt-6.1-terra", provider="openai") as call:
        tell(call, answer)
    told = attributes_of(recorded.one("chat gpt-6.1-terra"))
    assert {name: told.get(name) for name in TOLD} == TOLD


TOLD = {
    names.GEN_AI_USAGE_INPUT_TOKENS: 1000,
    names.GEN_AI_USAGE_OUTPUT_TOKENS: 50,
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 400,
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: 100,
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: 20,
}
