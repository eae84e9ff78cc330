"""Token counts by OpenTelemetry's rule: the input includes cached tokens, the output includes reasoning tokens.

In: the counts that an instrumentation reported, its scope, the provider. Out: the same counts by OpenTelemetry's rule. On failure: a
count that was not reported is None; unless something shows that a part is counted separately, the counts are taken to follow the rule.
The SQL of ``llm_logs`` does the same, and a test keeps the two equal.

Providers count differently: Anthropic and Bedrock report cached tokens separately from the input, Gemini reasoning tokens separately
from the output. Most instrumentations add them up; those that do not are recognised by their scope, by the total that they report, or by
a part that is larger than its whole.
"""

from __future__ import annotations

from typing import NamedTuple

TOO_MANY = 2**63 - 1024
"""Values from here on are somebody's maximum integer, not counts."""

CACHE_BESIDE_INPUT = ("opentelemetry.instrumentation.bedrock",)
"""Scopes that pass on Bedrock's counts unchanged (traceloop's)."""
CACHE_BESIDE_INPUT_OF_ANTHROPIC = ("openlit", "openlit.otel.tracing")
"""Scopes that do so only for Anthropic; their total is input plus output without the cache."""
REASONING_IN_TOTAL_ALONE = (
    "opentelemetry.instrumentation.google_generativeai",
    "opentelemetry.instrumentation.vertexai",
)
"""Scopes that report Gemini's output without the reasoning, and its total with it (traceloop's)."""


class Tokens(NamedTuple):
    """The token counts of a call by OpenTelemetry's rule; None if not reported."""

    input: int | None
    output: int | None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


def by_the_rule(reported: Tokens, total: int | None = None, scope: str = "", provider: str = "") -> Tokens:
    """The reported counts, with every part included in its whole.

    :param total: of all tokens, if reported.
    :param scope: name of the instrumentation.
    :param provider: as the instrumentation names it.
    """
    if total is None and not (reported.cache_read or reported.cache_write or reported.reasoning):
        return reported  # the usual case: no parts that could be counted separately
    whole, answer, read, write, reasoning = (count or 0 for count in reported)
    cache = read + write
    rest = max((total or 0) - whole - answer, 0)
    cache_beside = cache > 0 and (
        cache > whole
        or scope in CACHE_BESIDE_INPUT
        or (scope in CACHE_BESIDE_INPUT_OF_ANTHROPIC and "anthropic" in provider.lower())
        or rest in (cache, cache + reasoning)
    )
    rest -= min(cache, rest) if cache_beside else 0
    if scope in REASONING_IN_TOTAL_ALONE and reasoning == 0:
        reasoning = rest
    reasoning_beside = reasoning > 0 and (reasoning > answer or rest >= reasoning)
    return Tokens(
        whole + cache if cache_beside else reported.input,
        answer + reasoning if reasoning_beside else reported.output,
        reported.cache_read,
        reported.cache_write,
        reasoning if reasoning else reported.reasoning,
    )
