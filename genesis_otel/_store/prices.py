"""What an LLM call costs by its tokens: the one place where prices come from, for spans and for rows alike.

In: the model's names, the provider's, token counts, the moment of the call. Out: USD at the prices of that day, and where
that comes from: one of ``attributes.COST_*``. On failure: a model that the price list does not know, or cannot compute,
costs 0 and says so; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import warn_once

PRICED_AS = {"x_ai": "x-ai", "xai": "x-ai", "mistralai": "mistral", "azure.ai.inference": "azure", "gemini": "google"}
"""Providers that the price list calls otherwise; it knows most of OpenTelemetry's names by itself."""


class Tokens(NamedTuple):
    """The token counts of a call; None where nothing was said."""

    input: int | None
    output: int | None
    cache_read: int | None = None
    cache_write: int | None = None


def price_of(models: Iterable[str], provider: str, tokens: Tokens, moment: datetime | None) -> tuple[float, str]:
    """What a call cost in USD, and where that comes from.

    :param models: its names, the one that answered first; the first that the price list knows counts.
    :param provider: as OpenTelemetry and instrumentations name it; '' where nothing was said.
    :param moment: of the call: prices change; None takes today's.
    """
    if tokens.input is None and tokens.output is None:
        return 0.0, names.COST_NO_TOKENS
    whole, output, cache_read, cache_write = (count or 0 for count in tokens)
    if cache_read + cache_write > whole:
        # Anthropic's raw counts: the cached tokens came apart from the others.
        whole += cache_read + cache_write
    counted = Tokens(whole, output, cache_read, cache_write)
    provider = provider.lower()
    for model in models:
        for named in dict.fromkeys((PRICED_AS.get(provider, provider) or None, None)):
            try:
                return _calculate(model, named, moment, counted), names.COST_PRICES
            except LookupError:
                continue
            except Exception as error:
                pass_on(error)
                warn_once("price", "The cost of a call could not be computed", exc_info=True)
    return 0.0, names.COST_UNKNOWN_MODEL


def load() -> None:
    """Load the price list, which takes a quarter of a second, now and not at the end of the first call."""
    price_of(("gpt-4o",), "", Tokens(1, None), None)


def _calculate(model: str, provider: str | None, moment: datetime | None, tokens: Tokens) -> float:
    from genai_prices import Usage, calc_price

    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    return float(calc_price(usage, model, provider_id=provider, genai_request_timestamp=moment).total_price)
