"""Which spans are LLM calls, and what instrumentations call their model, provider, tokens and cost.

In: a span's attributes. Out: whether it is a call of a model, and what it asked and used. On failure: what cannot be read is
None; nothing here raises. The SQL of ``llm_logs`` reads the same names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from genesis_otel import attributes as names

Attributes = Mapping[str, Any]

# --- which spans are LLM calls, and how they are called out there (the SQL of llm_logs reads the same names) ----------

OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
OPENINFERENCE_KINDS = frozenset({"LLM", "EMBEDDING"})
REQUEST_TYPES = frozenset({"chat", "completion", "embedding"})

MODELS = (
    names.GEN_AI_RESPONSE_MODEL,
    names.GEN_AI_REQUEST_MODEL,
    "llm.response.model",
    "llm.request.model",
    "llm.model_name",
    "embedding.model_name",
)
PROVIDERS = (names.GEN_AI_PROVIDER_NAME, "gen_ai.system", "llm.provider", "llm.system")
INPUT_TOKENS = (
    names.GEN_AI_USAGE_INPUT_TOKENS,
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
)
OUTPUT_TOKENS = (
    names.GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
)
CACHE_READ_TOKENS = (
    names.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE_TOKENS = (
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
COSTS = (names.GEN_AI_USAGE_COST, "llm.cost.total")


def is_llm_call(attributes: Attributes) -> bool:
    """Whether a span with these attributes is a call of a model; agents and tools are none."""
    operation = text_of(attributes, names.GEN_AI_OPERATION_NAME)
    return (
        operation in OPERATIONS
        or text_of(attributes, "openinference.span.kind") in OPENINFERENCE_KINDS
        or text_of(attributes, "llm.request.type") in REQUEST_TYPES
        or not (
            operation or not text_of(attributes, "gen_ai.system") or not text_of(attributes, names.GEN_AI_REQUEST_MODEL)
        )
    )


def models(attributes: Attributes) -> Iterable[str]:
    found = [attributes[key] for key in MODELS if isinstance(attributes.get(key), str) and attributes[key]]
    if not found and "llm.invocation_parameters" in attributes:
        try:
            asked = json.loads(attributes["llm.invocation_parameters"])["model"]
        except (ValueError, TypeError, KeyError):
            asked = None
        found = [asked] if isinstance(asked, str) else []
    return dict.fromkeys(found)


def first(attributes: Attributes, keys: Iterable[str]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) not in (None, "")), None)


def text_of(attributes: Attributes, key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def tokens(attributes: Attributes, keys: Iterable[str]) -> int | None:
    count = number(first(attributes, keys))
    return int(count) if count is not None and 0 <= count < 2**63 else None
