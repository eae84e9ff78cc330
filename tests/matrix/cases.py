"""Which client is tested with which instrumentations, by which kinds of call, and what is known of each call then.

All kinds of call have cached and reasoning tokens. What an instrumentation does not report is listed with its case:
everything else is asserted for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.matrix.endpoint import OUTPUT

PLAIN, ERROR, THREAD = "plain", "error", "thread"
USUAL = (PLAIN, "stream", "tools", ERROR, THREAD)
OF_OPENAI = (*USUAL, "responses", "responses-stream", "embeddings")
OF_OTHERS = (PLAIN, "stream", ERROR, THREAD)
OF_ANTHROPIC = (*USUAL, "reasoning")


@dataclass(frozen=True)
class Case:
    """A client and the instrumentations that record it."""

    client: str
    instrumentations: tuple[str, ...]
    ways: tuple[str, ...]
    costs_unknown: bool = False
    """The instrumentation reports no tokens: the cost is marked as unknown."""
    no_place: tuple[str, ...] = (THREAD,)
    """Kinds of call that know only their run."""
    cached_told: bool = True
    """The instrumentation reports how much of the prompt was read from a cache."""
    operation: str = "chat"
    """Its operation name for a text completion."""
    output_told: dict[str, int] = field(default_factory=dict)
    """By kind of call: output tokens, if the instrumentation miscounts them."""

    def __str__(self) -> str:
        return f"{self.client} with {' and '.join(self.instrumentations)}"


HERE = (
    Case("openai", ("genai-openai",), OF_OPENAI),
    Case("openai", ("openinference-openai",), (PLAIN, "stream", "embeddings", "charged", "charged-stream")),
    Case("openai", ("instrument()",), (PLAIN, "charged", "charged-stream", "charged-embeddings")),
    Case("openai-async", ("genai-openai",), (PLAIN, "stream", ERROR)),
    Case("own", ("genai-openai",), USUAL),
    Case("own-told", ("openinference-openai",), (PLAIN, "stream")),
    # It does not report cached tokens, but LiteLLM's own cost.
    Case("litellm-async", ("litellm-otel",), (PLAIN, "embeddings", ERROR)),
)
"""The development environment's clients: one of each kind."""

ELSEWHERE = (
    Case("openai", ("openinference-openai",), OF_OPENAI),
    Case("openai", ("traceloop-openai",), OF_OPENAI),
    Case("openai-async", ("openinference-openai",), (PLAIN, "stream", ERROR)),
    Case("openai-async", ("traceloop-openai",), (PLAIN, "stream", ERROR)),
    Case("openai-async", ("instrument()",), ("charged", "charged-stream")),
    Case("own", ("openinference-openai",), USUAL),
    Case("own", ("traceloop-openai",), USUAL),
    Case("own-told", ("genai-openai",), (PLAIN, "stream")),
    Case("anthropic", ("itself",), OF_ANTHROPIC),
    Case("anthropic", ("openinference-anthropic",), OF_ANTHROPIC),
    # It adds up the counts from a stream's beginning and its end.
    Case("anthropic", ("traceloop-anthropic",), OF_ANTHROPIC, output_told={"stream": OUTPUT + 1}),
    Case("gemini", ("openinference-gemini",), OF_OTHERS),
    Case("gemini", ("traceloop-gemini",), OF_OTHERS, operation="generate_content"),
    Case("gemini-async", ("openinference-gemini",), (PLAIN, "stream", ERROR)),
    Case("gemini-async", ("traceloop-gemini",), (PLAIN, "stream", ERROR), operation="generate_content"),
    # It does not report cached tokens. Traceloop's does not load with this Mistral.
    Case("mistral", ("openinference-mistral",), OF_OTHERS, cached_told=False),
    # It does not read streams.
    Case("groq", ("openinference-groq",), (PLAIN, ERROR, THREAD)),
    Case("groq", ("openinference-groq",), ("stream",), costs_unknown=True),
    Case("groq", ("traceloop-groq",), OF_OTHERS),
    Case("cohere", ("traceloop-cohere",), OF_OTHERS),
    Case("langchain", ("openinference-langchain",), (PLAIN, "stream", ERROR)),
    Case("langchain", ("traceloop-langchain",), (PLAIN, "stream", ERROR)),
    Case("langchain", ("openinference-langchain", "openinference-openai"), (PLAIN, "stream", ERROR)),
    Case("langchain", ("openinference-langchain", "genai-openai"), (PLAIN, "stream")),
    Case("langchain", ("traceloop-langchain", "traceloop-openai"), (PLAIN, "stream")),
    Case("langchain", ("traceloop-langchain", "genai-openai"), (PLAIN, "stream")),
    Case("pydantic-ai", ("pydantic-ai",), (PLAIN, "stream", ERROR)),
    Case("pydantic-ai", ("pydantic-ai", "genai-openai"), (PLAIN, "stream", ERROR)),
    Case("pydantic-ai", ("pydantic-ai", "openinference-openai"), (PLAIN, "stream")),
    Case("pydantic-ai", ("pydantic-ai", "traceloop-openai"), (PLAIN, "stream")),
    Case("litellm", ("litellm-otel",), (PLAIN, "stream", "embeddings", ERROR), no_place=("stream",)),
    Case("litellm", ("litellm-otel", "openinference-openai"), (PLAIN,)),
    Case("litellm", ("openinference-litellm",), (PLAIN, "stream", "embeddings", ERROR)),
    Case("litellm", ("openinference-litellm", "openinference-openai"), (PLAIN, "stream")),
    Case("litellm", ("openinference-litellm", "genai-openai"), (PLAIN, "stream")),
    Case("dspy", ("openinference-dspy",), (PLAIN, ERROR), costs_unknown=True),
    Case("dspy", ("openinference-dspy", "openinference-litellm"), (PLAIN,), costs_unknown=True),
)
"""Cases that need a separate environment: `make matrix`."""
