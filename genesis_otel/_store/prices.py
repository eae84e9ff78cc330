"""What an LLM call costs, from its tokens: the one definition, for spans and rows alike.

In: the model's names, the provider, token counts, the time of the call, the user's own prices. Out: USD at the prices of that
time, and the source of that cost: one of ``attributes.COST_*``. On failure: an unknown cost is 0, and its source says so; nothing
here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from genesis_otel import attributes as names
from genesis_otel._store.own_prices import OwnPrices, own_price_of
from genesis_otel._store.providers import is_free, is_local
from genesis_otel._store.tokens import Tokens
from genesis_otel._store.unit_prices import UnitPrices, listed_prices

NO_OWN_PRICES: OwnPrices = {}

_MAY_BE_BILLED = re.compile(r"time.?out|cancel|abandon|abort|connect|interrupt|exit", re.IGNORECASE)
"""Errors on the caller's side: the provider may have answered, and may bill for it."""


def price_of(
    models: Iterable[str],
    provider: str,
    tokens: Tokens,
    moment: datetime | None,
    *,
    own: OwnPrices = NO_OWN_PRICES,
    error: str | None = None,
) -> tuple[float, str]:
    """What a call cost in USD, and the source of that cost.

    :param models: its names, the one that answered first.
    :param provider: as OpenTelemetry and instrumentations name it, or derived from the host; '' if unknown.
    :param tokens: counted by OpenTelemetry's rule.
    :param moment: time of the call, since prices change; None takes today's.
    :param own: the user's prices, which take precedence over the price list.
    :param error: the error that ended the call; None if it succeeded.
    """
    called = tuple(dict.fromkeys(filter(None, models)))
    counted = tokens.input is not None or tokens.output is not None
    if error is not None and not counted and not _MAY_BE_BILLED.search(error):
        return 0.0, names.COST_FAILED
    prices = own_price_of(own, provider, called) if own else None
    if prices is not None:
        if counted or prices == UnitPrices(request=prices.request):
            return prices.cost(tokens), names.COST_OWN_PRICES
        return 0.0, names.COST_NO_TOKENS
    if is_local(provider, called):
        return 0.0, names.COST_LOCAL
    if not counted:
        return 0.0, names.COST_NO_TOKENS
    prices = listed_prices(provider, called, moment, tokens.input or 0)
    if prices is not None:
        return prices.cost(tokens), names.COST_PRICES
    return 0.0, names.COST_PRICES if is_free(provider, called) else names.COST_UNKNOWN_MODEL


def load() -> None:
    """Load the price list now, for the processes that will be forked from this one; otherwise the first call with tokens loads it.

    This takes 30 ms beside an LLM client, which has already loaded most of it, and 180 ms alone.
    """
    listed_prices("", ("gpt-4o",), None, 1)
