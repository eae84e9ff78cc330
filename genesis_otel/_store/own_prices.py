"""The prices that a user sets: a TOML file that takes precedence over the price list.

In: the file's path. Out: the unit prices of a model that it names. On failure: ValueError, one line that says where and what is
wrong. The file is read once, when telemetry is configured.

    [models."our-llama-*"]     # a model's name, or a pattern with * and ?
    input = 0.20               # USD per million tokens
    output = 0.80
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from genesis_otel._store.providers import listed_as
from genesis_otel._store.unit_prices import UnitPrices

FALLBACKS = {"input": "", "cached": "input", "cache_write": "input", "output": "", "reasoning": "output", "request": ""}
"""The prices that a model may have, and which price each falls back to; '' is 0."""
MILLION = 1e6

OwnPrices = Mapping[str, UnitPrices]
"""Unit prices by model or pattern, in lower case and in the order of the file."""


def read_own_prices(path: Path) -> OwnPrices:
    """The prices of a file.

    :raises ValueError: the file cannot be read, or contains something that is not a price.
    """
    # Imported here, since few users have such a file.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        content = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the prices in {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the prices in {path} are not TOML: {error}") from None
    models = content.pop("models", None)
    if content or not isinstance(models, dict) or not models:
        found = f"; {', '.join(content)} is unknown" if content else ""
        raise ValueError(f'{path} needs tables of the form [models."NAME"] and nothing else{found}')
    return {model.lower(): _unit_prices(path, model, entry) for model, entry in models.items()}


def own_price_of(own: OwnPrices, provider: str, models: Iterable[str]) -> UnitPrices | None:
    """The prices of a model: by its full name, else by the first pattern that matches; ``provider/model`` also counts as its name."""
    prefixes = dict.fromkeys(("", f"{provider}/", f"{listed_as(provider)}/"))
    called = [f"{prefix}{model}".lower() for model in models for prefix in prefixes]
    exact = next((own[name] for name in called if name in own), None)
    if exact is not None:
        return exact
    return next((prices for pattern, prices in own.items() for name in called if fnmatchcase(name, pattern)), None)


def _unit_prices(path: Path, model: str, entry: Any) -> UnitPrices:
    where = f'[models."{model}"] in {path}'
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"{where} has no price; it may have {', '.join(FALLBACKS)}")
    prices: dict[str, Any] = entry
    unknown = entry.keys() - FALLBACKS.keys()
    if unknown:
        raise ValueError(f"{where} has {', '.join(sorted(unknown))}; it may only have {', '.join(FALLBACKS)}")
    for name, price in entry.items():
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < math.inf:
            raise ValueError(f"{where}: {name} is {price!r}; it must be a number, 0 or more")
    usd = {name: float(prices.get(name, prices.get(fallback, 0))) for name, fallback in FALLBACKS.items()}
    return UnitPrices(
        input=usd["input"] / MILLION,
        output=usd["output"] / MILLION,
        cache_read=usd["cached"] / MILLION,
        cache_write=usd["cache_write"] / MILLION,
        reasoning=usd["reasoning"] / MILLION,
        request=usd["request"],
    )
