"""The tracer provider of the process, and what it must not do to the record: drop spans, drop attributes, truncate texts.

In: the provider that is installed, its sampler and limits. Out: the one to which span processors are added, the limits of our own provider,
and warnings about another's. On failure: nothing here raises.
"""

from __future__ import annotations

import inspect
import logging

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON

log = logging.getLogger(__name__)

NO_LIMITS = SpanLimits(
    *[SpanLimits.UNSET] * len(inspect.signature(SpanLimits).parameters),
)
"""By default the SDK keeps only the latest 128 attributes and events of a span, or what the environment sets: a conversation of 62
messages in flat form would push the run id off its span. Nothing of ours is truncated."""
OUR_ATTRIBUTES = 64
"""More attributes than any span of ours has."""


def installed() -> TracerProvider | None:
    """The SDK's provider that is installed in this process, also within one that wraps it, as logfire's does. None if a provider can still be
    installed, and, with an error in the log, if the one that is installed takes no span processors: then nothing can be recorded."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return None
    within = provider if isinstance(provider, TracerProvider) else getattr(provider, "provider", None)
    if isinstance(within, TracerProvider):
        return within
    kind = type(provider)
    log.error(
        "nothing is recorded in this process: its tracer provider (%s.%s) takes no span processors; call genesis_otel.configure() before it is set",
        kind.__module__,
        kind.__qualname__,
    )
    return None


def warn_of_losses(provider: TracerProvider) -> None:
    """Warn if the application's provider, or the environment, removes data from the record."""
    if provider.sampler not in (ALWAYS_ON, DEFAULT_ON):
        log.warning(
            "the sampler of this process (%s) drops spans, so their rows are missing from the tables: use always_on",
            provider.sampler.get_description(),
        )
    limits = provider._span_limits
    kept = limits.max_span_attributes
    if kept is not None and kept < OUR_ATTRIBUTES:
        log.warning(
            "spans keep only their latest %d attributes, so values are missing from the tables: unset OTEL_ATTRIBUTE_COUNT_LIMIT and "
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            kept,
        )
    lengths = [each for each in (limits.max_attribute_length, limits.max_span_attribute_length) if each is not None]
    if lengths:
        log.warning(
            "attributes are truncated at %d characters, which breaks prompts, code and JSON: unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT "
            "and OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            min(lengths),
        )
