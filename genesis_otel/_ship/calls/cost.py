"""What an LLM call cost: as reported, or computed from its tokens at the prices of its day.

In: an ended call's span and attributes, of any instrumentation. Out: USD, and where the number comes from
(:data:`genesis_otel.attributes.LLM_COST_SOURCE`). On failure: a call whose model or tokens are unknown costs 0, and its source says so.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from genesis_otel import attributes as names
from genesis_otel._ship.calls.llm_names import (
    cost_told,
    counts,
    counts_told,
    models,
    nothing_told,
    provider,
    was_cached,
)
from genesis_otel._ship.encoding.attribute_text import Attributes, text_of
from genesis_otel._store.own_prices import OwnPrices
from genesis_otel._store.prices import NO_OWN_PRICES, price_of
from genesis_otel._store.tokens import Tokens

TOKENS_TOLD = "tokens_told"
"""The key of the reported token counts in a call's metadata, where the row has others."""


def cost_of(
    span: ReadableSpan, attributes: Attributes, *, compute: bool, own_prices: OwnPrices
) -> tuple[float, dict[str, Any]]:
    """The cost of a call in USD, and the attributes that its span lacks: the cost, its source, and the token counts as reported.

    :param compute: whether a cost that nobody reported is computed from the tokens.
    """
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    tokens = counts(attributes, scope)
    told = cost_told(attributes)
    # From our own API a cost of 0 is meant; instrumentations report 0 for models that they have no price for.
    meant = scope == names.SCOPE or not (tokens.input or tokens.output)
    if told is None and meant and nothing_told(attributes):
        told = (0.0, names.COST_TOLD)
    if was_cached(attributes):
        told = (0.0, names.COST_LITELLM)
    changes = _metadata(attributes, tokens)
    if told is None and compute:
        error = _error(span, attributes)
        cost, source = price(attributes, tokens, span.start_time, error=error, own=own_prices)
        changes |= {names.GEN_AI_USAGE_COST: cost, names.LLM_COST_SOURCE: source}
    elif told is None:
        return 0.0, changes
    else:
        cost, source = told
        if names.LLM_COST_SOURCE not in attributes:
            changes[names.LLM_COST_SOURCE] = source
        if source in (names.COST_OPENROUTER, names.COST_LITELLM):
            changes[names.GEN_AI_USAGE_COST] = cost
    return cost, changes


def price(
    attributes: Attributes,
    tokens: Tokens,
    start_time: int | None,
    *,
    error: str | None = None,
    own: OwnPrices = NO_OWN_PRICES,
) -> tuple[float, str]:
    """What an LLM call cost in USD by its tokens, at the prices of its day, and the source of that cost."""
    moment = datetime.fromtimestamp(start_time / 1e9, timezone.utc) if start_time else None
    return price_of(models(attributes), provider(attributes), tokens, moment, own=own, error=error)


def _metadata(attributes: Attributes, tokens: Tokens) -> dict[str, Any]:
    """A caller's metadata with the reported token counts added, if the row has different ones."""
    if names.LLM_METADATA not in attributes:
        return {}
    told = counts_told(attributes)
    if told[:2] == tokens[:2]:
        return {}
    text = attributes[names.LLM_METADATA]
    try:
        metadata = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    if not isinstance(text, str) or not isinstance(metadata, dict) or TOKENS_TOLD in metadata:
        return {}
    # What the caller wrote stays as it is, to the letter.
    added = json.dumps({TOKENS_TOLD: {"input": told.input, "output": told.output}})
    return {names.LLM_METADATA: f"{text.rstrip()[:-1]}, {added[1:]}" if metadata else added}


def _error(span: ReadableSpan, attributes: Attributes) -> str | None:
    """The error that ended a call, as in ``llm_logs``; None if it succeeded."""
    kind = text_of(attributes, names.ERROR_TYPE)
    thrown = next((dict(event.attributes or {}) for event in span.events if event.name == "exception"), None)
    if not kind and thrown is None and span.status.status_code is not StatusCode.ERROR:
        return None
    thrown = thrown or {}
    message = thrown.get("exception.message") or span.status.description or ""
    return f"{kind or thrown.get('exception.type', '')}: {message}"
