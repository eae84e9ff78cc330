"""Recognises LLM calls, and knows the names that instrumentations use for their model, provider, tokens and cost.

In: a span's attributes and scope. Out: whether it is a model call, which provider and model it asked, what it used and cost. On
failure: what cannot be read is None; nothing here raises. The SQL of ``llm_logs`` reads the same names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from genesis_otel import attributes as names
from genesis_otel._ship.encoding.attribute_text import Attributes, text_of, value_text
from genesis_otel._store.providers import host_of, provider_at
from genesis_otel._store.tokens import TOO_MANY, Tokens, by_the_rule

DIGITS = re.compile(r"\+?0*([0-9]{1,19})")
"""A count as text, as SQL's ``toUInt64OrZero`` reads it; 1.5, 1e3 and 1_000 are not counts."""

NUMBER = re.compile(r"[0-9.eE+-]+")
"""What a number as text may consist of for SQL's ``toFloat64OrZero``; Python takes spaces, underscores and other scripts, too."""

# --- which spans are LLM calls, and the names in use (the SQL of llm_logs reads the same ones) ------------------------

REQUEST_TYPES = frozenset(
    {
        *("chat", "completion", "embedding"),
        # LiteLLM's `otel` callback, by the function that was called
        *("acompletion", "text_completion", "atext_completion", "aembedding", "responses", "aresponses"),
        *("anthropic_messages", "generate_content", "agenerate_content"),
        *("generate_content_stream", "agenerate_content_stream"),
    }
)
"""Values of ``llm.request.type``, traceloop's and LiteLLM's."""
OPERATIONS = REQUEST_TYPES | {
    "embeddings",
    # Semantic Kernel, current and older
    *("chat.completions", "chat.streaming_completions"),
    *("text_completions", "text.completions", "text.streaming_completions"),
}
"""Values of ``gen_ai.operation.name``."""
OPENINFERENCE_KINDS = frozenset({"LLM", "EMBEDDING"})

REQUESTED_MODELS = (names.GEN_AI_REQUEST_MODEL, "llm.request.model", "llm.request.model_name")
INVOCATIONS = ("llm.invocation_parameters", "embedding.invocation_parameters")
"""OpenInference's JSON of the request parameters, including the model."""
MODELS = (
    names.GEN_AI_RESPONSE_MODEL,
    names.GEN_AI_REQUEST_MODEL,
    "llm.response.model",
    "llm.response.model_name",
    "llm.request.model",
    "llm.request.model_name",
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
    "llm.token_count.prompt_details.cache_input",
    "gen_ai.usage.prompt_tokens_details.cache_read",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cache_read_input_tokens",
    "gen_ai.usage.details.cached_tokens",
    "gen_ai.usage.details.cached_content_tokens",
)
CACHE_WRITE_TOKENS = (
    names.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.prompt_tokens_details.cache_write",
    "gen_ai.usage.details.cache_write_tokens",
    "gen_ai.usage.details.cache_creation_input_tokens",
)
REASONING_TOKENS = (
    names.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "gen_ai.usage.completion_tokens_details.reasoning",
    "gen_ai.usage.details.thoughts_tokens",
)
TOTAL_TOKENS = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_COUNTED = (INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS)
_TELL_COUNTS = frozenset().union(*_COUNTED, TOTAL_TOKENS)
"""Most calls have two or three of them."""
SERVERS = (
    names.SERVER_ADDRESS,
    "gen_ai.openai.api_base",
    "openai.api_base",
    "llm.openai.api_base",
    "url.full",
    "http.url",
)
"""Where a call went: a host or a URL."""
COSTS = (
    names.GEN_AI_USAGE_COST,
    "llm.cost.total",
    "gen_ai.usage.total_cost",
    "gen_ai.usage.cost_usd",
    "llm.usage.total_cost",
    "operation.cost",
)
COSTS_OF_LITELLM = ("gen_ai.cost.total_cost", "litellm.cost.total")
_TELL_COSTS = frozenset((*COSTS, *COSTS_OF_LITELLM, "hidden_params", "output.value"))
"""A call without any of them reports no cost: most have none."""


def is_llm_call(attributes: Attributes) -> bool:
    """Whether a span with these attributes is a model call; agents and tools are not."""
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
    found = [value for value in map(attributes.get, MODELS) if value and isinstance(value, str)]
    return dict.fromkeys(found or filter(None, [_invoked_model(attributes)]))


def requested_model(attributes: Attributes) -> str:
    """The requested model, or, if that is not recorded, the one that answered."""
    asked = first(attributes, REQUESTED_MODELS) or _invoked_model(attributes) or first(attributes, MODELS)
    return asked if isinstance(asked, str) else ""


def _invoked_model(attributes: Attributes) -> str:
    for key in INVOCATIONS:
        if key in attributes:
            try:
                asked = json.loads(attributes[key])["model"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            if isinstance(asked, str):
                return asked
    return ""


def first(attributes: Attributes, keys: Iterable[str]) -> Any:
    for value in map(attributes.get, keys):
        if value is not None and value != "":
            return value
    return None


def number(value: object) -> float | None:
    if value is None or isinstance(value, (bool, bytes)) or (isinstance(value, str) and not NUMBER.fullmatch(value)):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def tokens(attributes: Attributes, keys: Iterable[str]) -> int | None:
    """A count, if it consists only of digits: the value that ``llm_logs`` reads, and that the cost must match."""
    value = first(attributes, keys)
    if type(value) is int and 0 <= value < TOO_MANY:
        return value
    digits = DIGITS.fullmatch(value_text(value)) if isinstance(value, (int, float, str)) else None
    return count if digits and (count := int(digits[1])) < TOO_MANY else None


def counts_told(attributes: Attributes) -> Tokens:
    """The call's tokens as counted by the instrumentation."""
    return _counts_told(attributes, _TELL_COUNTS.intersection(attributes))


def _counts_told(attributes: Attributes, told: frozenset[str]) -> Tokens:
    """:param told: the names among ``attributes`` that count tokens."""
    return Tokens(*[None if told.isdisjoint(keys) else tokens(attributes, keys) for keys in _COUNTED])


def counts(attributes: Attributes, scope: str = "") -> Tokens:
    """The call's tokens by OpenTelemetry's rule, whoever counted them.

    :param scope: name of the instrumentation.
    """
    told = _TELL_COUNTS.intersection(attributes)
    total = None if told.isdisjoint(TOTAL_TOKENS) else tokens(attributes, TOTAL_TOKENS)
    return by_the_rule(_counts_told(attributes, told), total, scope, provider_told(attributes))


def provider_told(attributes: Attributes) -> str:
    """The provider as named by the instrumentation, which is often just the client library."""
    return str(first(attributes, PROVIDERS) or "")


def provider(attributes: Attributes) -> str:
    """The provider that the call went to: by its host if that is known, else as named by the instrumentation."""
    server = first(attributes, SERVERS) or _hidden(attributes, "api_base")
    return (provider_at(host_of(server)) if isinstance(server, str) else "") or provider_told(attributes)


def cost_told(attributes: Attributes) -> tuple[float, str] | None:
    """The call's cost in USD as reported, and its source: one of ``names.COST_*``.

    Only a finite number above 0 is a cost here: instrumentations report 0 for models that they have no price for.
    """
    if _TELL_COSTS.isdisjoint(attributes):
        return None
    return next(((cost, source) for cost, source in _costs_told(attributes) if cost and 0 < cost < math.inf), None)


def was_cached(attributes: Attributes) -> bool:
    """Whether LiteLLM answered from its own cache: nobody was asked, and nothing was paid, though it tells the tokens."""
    return value_text(attributes.get("litellm.cache_hit")).lower() == "true"


def nothing_told(attributes: Attributes) -> bool:
    """Whether the call's cost was reported as 0."""
    return not _TELL_COSTS.isdisjoint(attributes) and any(
        number(attributes.get(key)) == 0 for key in (*COSTS_OF_LITELLM, *COSTS)
    )


def _costs_told(attributes: Attributes) -> Iterator[tuple[float | None, str]]:
    """Costs, the provider's own first."""
    yield _charged(attributes), names.COST_OPENROUTER
    for key in COSTS_OF_LITELLM:
        yield number(attributes.get(key)), names.COST_LITELLM
    yield number(_hidden(attributes, "response_cost")), names.COST_LITELLM
    for key in COSTS:
        yield number(attributes.get(key)), names.COST_TOLD


def _charged(attributes: Attributes) -> float | None:
    """The charge in the answer: ``usage.cost`` of a complete answer, which OpenInference stores as JSON."""
    answer = attributes.get("output.value")
    if (
        not isinstance(answer, str)
        or '"cost"' not in answer
        or attributes.get("output.mime_type") != "application/json"
    ):
        return None
    try:
        content = json.loads(answer)
        # A model's own output may be JSON, too, but does not have a model name beside its usage.
        return charge_of(content["usage"]) if isinstance(content["model"], str) and content["model"] else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def charge_of(usage: object) -> float | None:
    """The charge that a provider reports in the ``usage`` of its answer, as OpenRouter does."""
    if not isinstance(usage, Mapping):
        return None
    charged = number(usage.get("cost"))
    if charged is not None and usage.get("is_byok") is True:
        # With the user's own provider key (BYOK), OpenRouter charges its fee, and the provider the rest.
        details = usage.get("cost_details")
        charged += (number(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None) or 0.0
    return charged


def _hidden(attributes: Attributes, key: str) -> str | None:
    """A string or number from LiteLLM's ``hidden_params``, which is JSON or the repr of a Python dictionary."""
    hidden = attributes.get("hidden_params")
    if not isinstance(hidden, str):
        return None
    found = re.search(rf"""['"]{key}['"]: ?['"]?([^'",}}]+)""", hidden)
    return found[1] if found else None
