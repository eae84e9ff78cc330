"""Token counts as OpenTelemetry counts them: cached tokens within the input, reasoning tokens within the output.

In: the counts that an instrumentation gave, its scope, the provider. Out: the same by OpenTelemetry's rule. On failure: a count
that is not told is None; where nothing shows that counts stand beside each other, they are taken by the rule.
The SQL of ``llm_logs`` says the same, and a test holds both equal.

Providers count otherwise: Anthropic and Bedrock tell the cached tokens beside the input, Gemini the reasoning ones beside the
output. Most instrumentations add them up; those that do not are known by their scope, by the total that they tell, or by a
part that is larger than its whole.
"""

from __future__ import annotations

from typing import NamedTuple

CACHE_BESIDE_INPUT = ("opentelemetry.instrumentation.bedrock",)
"""Scopes that pass on Bedrock's counts as they come (traceloop's)."""
CACHE_BESIDE_INPUT_OF_ANTHROPIC = ("openlit", "openlit.otel.tracing")
"""Scopes that do so for Anthropic's alone; their total is input and output without the cache."""
REASONING_IN_TOTAL_ALONE = (
    "opentelemetry.instrumentation.google_generativeai",
    "opentelemetry.instrumentation.vertexai",
)
"""Scopes that tell Gemini's answer without the reasoning, and its total with it (traceloop's)."""


class Tokens(NamedTuple):
    """The token counts of a call by OpenTelemetry's rule; None where nothing was said."""

    input: int | None
    output: int | None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


def by_the_rule(told: Tokens, total: int | None = None, scope: str = "", provider: str = "") -> Tokens:
    """What was told, with every part within its whole.

    :param total: of all tokens, where it was told.
    :param scope: name of the instrumentation.
    :param provider: as the instrumentation names it.
    """
    whole, answer, read, write, reasoning = (count or 0 for count in told)
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
        whole + cache if cache_beside else told.input,
        answer + reasoning if reasoning_beside else told.output,
        told.cache_read,
        told.cache_write,
        reasoning if reasoning else told.reasoning,
    )
