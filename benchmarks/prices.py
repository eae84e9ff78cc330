"""What pricing a call costs: this package, which looks unit prices up once, against genai-prices itself.

Run: python benchmarks/prices.py [--calls N]. Prints µs of CPU per call in paired, alternating rounds, their medians and the ratio; only the
ratio means anything. The limit: a sixth of the library's cost or less, at prices equal to within a billionth of a dollar. Both include
reading a span's attributes: the library is given what it needs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone

from genai_prices import Usage, calc_price
from rounds import Limit, console, verdict

from genesis_otel._store.prices import price_of
from genesis_otel._store.tokens import Tokens

LIMIT = 1 / 6
EQUAL = 1.0
"""Billionths of a dollar."""
ROUNDS = 7
MODELS = (
    *(("openai", "gpt-4o"), ("openai", "gpt-4.1-mini"), ("anthropic", "claude-sonnet-4-5")),
    # More expensive beyond a prompt size; cheaper at night.
    *(("google", "gemini-2.5-pro"), ("deepseek", "deepseek-chat")),
)

Call = tuple[str, str, Tokens, datetime]


def ours(call: Call) -> float:
    provider, model, tokens, moment = call
    return price_of((model,), provider, tokens, moment)[0]


def librarys(call: Call) -> float:
    provider, model, tokens, moment = call
    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    return float(calc_price(usage, model, provider_id=provider, genai_request_timestamp=moment).total_price)


def calls_of(count: int) -> list[Call]:
    chance = random.Random(5)
    made = []
    for number in range(count):
        whole = int(10 ** chance.uniform(1, 6))
        read = chance.randrange(whole + 1)
        tokens = Tokens(whole, int(10 ** chance.uniform(0, 5)), read, chance.randrange(whole - read + 1))
        moment = datetime(2026, 8, 1 + number % 28, chance.randrange(24), tzinfo=timezone.utc)
        made.append((*MODELS[number % len(MODELS)], tokens, moment))
    return made


def microseconds(price: Callable[[Call], float], calls: list[Call]) -> float:
    began = time.thread_time()
    for call in calls:
        price(call)
    return (time.thread_time() - began) / len(calls) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000)
    calls = calls_of(parser.parse_args().calls)
    furthest = max(abs(ours(call) - librarys(call)) for call in calls)
    pairs = [(microseconds(ours, calls), microseconds(librarys, calls)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    console.print(f"genai-prices {theirs:.1f} µs a call, unit prices {mine:.1f} µs")
    return verdict(
        [
            Limit("a call's price, beside genai-prices'", ratio, LIMIT),
            Limit("furthest apart, in billionths of a dollar", furthest * 1e9, EQUAL),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
