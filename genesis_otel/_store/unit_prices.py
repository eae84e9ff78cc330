"""What a token of a model costs: the price list of the genai-prices library, looked up once.

In: a model's names and its provider, the time and the size of the call. Out: USD per request and per token of each kind. On failure:
None for what the list lacks, or does not price by tokens; nothing here raises.

The library takes 120 µs per call. Between two prompt-size thresholds its prices are linear in the tokens, so a few of its answers determine them all.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._store.providers import candidates
from genesis_otel._store.tokens import Tokens

MODELS_KEPT = 1_024
"""Models, and price objects, that are cached: a search uses a handful."""


class UnitPrices(NamedTuple):
    """USD per token of each kind, and per request."""

    input: float = 0.0
    output: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    reasoning: float = 0.0
    request: float = 0.0

    def cost(self, tokens: Tokens) -> float:
        """What a call with these tokens costs, counted by OpenTelemetry's rule."""
        whole, output, read, write, reasoning = tokens
        whole, output, read, write = whole or 0, output or 0, read or 0, write or 0
        reasoning = min(reasoning or 0, output)
        return (
            self.request
            # Negative if an instrumentation counts more of a part than of the whole: nothing is refunded.
            + max(whole - read - write, 0) * self.input
            + read * self.cache_read
            + write * self.cache_write
            + (output - reasoning) * self.output
            + reasoning * self.reasoning
        )


def listed_prices(
    provider: str, models: tuple[str, ...], moment: datetime | None, input_tokens: int
) -> UnitPrices | None:
    """The list's prices for a model at a time (None: now), for a prompt of this many tokens."""
    from genai_prices.data_snapshot import get_snapshot

    # Not cached for good: the library may load another list later, and a model's prices depend on date and time of day.
    model = _model(_ByIdentity(get_snapshot()), provider, models)
    if model is None:
        return None
    try:
        tiers = _tiers(_ByIdentity(model.get_prices(moment or datetime.now(timezone.utc))))
    except Exception as error:
        pass_on(error)
        warn_once("price", "The cost of a call could not be computed", exc_info=True)
        return None
    return next((prices for start, prices in reversed(tiers) if input_tokens > start), None)


class _ByIdentity:
    """Wraps an object as a cache key, equal only to itself: the library's objects are not hashable."""

    __slots__ = ("it",)

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)


@lru_cache(MODELS_KEPT)
def _model(snapshot: _ByIdentity, provider: str, models: tuple[str, ...]) -> Any:
    ids = frozenset(each.id for each in snapshot.it.providers)
    for listed, model in candidates(provider, models, ids):
        try:
            return snapshot.it.find_provider_model(model, None, listed, None)[1]
        except LookupError:
            continue
    return None


@lru_cache(MODELS_KEPT)
def _tiers(prices: _ByIdentity) -> tuple[tuple[int, UnitPrices], ...]:
    """Unit prices, each with the prompt size above which it applies; empty if the list names the model without any rate."""
    from genai_prices.types import TieredPrices

    # An entry that has lost its rates, such as a discontinued model, computes to 0: that is unknown, not free.
    if not any(rate is not None for rate in vars(prices.it).values()):
        return ()
    tiered = [each for each in vars(prices.it).values() if isinstance(each, TieredPrices)]
    starts = sorted({tier.start for each in tiered for tier in each.tiers})
    return tuple((start, _unit_prices(prices.it, start)) for start in (-1, *starts))


def _unit_prices(prices: Any, start: int) -> UnitPrices:
    """What one more token of each kind costs, for a prompt just larger than ``start``."""
    from genai_prices import Usage

    def price(**tokens: int) -> Decimal:
        return prices.calc_price(Usage(**tokens))["total_price"]  # type: ignore[no-any-return]

    size = start + 2
    base = price(input_tokens=size)
    one = price(input_tokens=size + 1) - base
    output = price(input_tokens=size, output_tokens=1) - base
    reasoning = output
    if getattr(prices, "output_reasoning_mtok", None) is not None:
        reasoning = price(input_tokens=size, output_tokens=1, output_reasoning_tokens=1) - base
    return UnitPrices(
        input=float(one),
        output=float(output),
        cache_read=float(price(input_tokens=size, cache_read_tokens=1) - base + one),
        cache_write=float(price(input_tokens=size, cache_write_tokens=1) - base + one),
        reasoning=float(reasoning),
        request=float(base - size * one),
    )
