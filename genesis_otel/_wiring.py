"""Wires the parts together that a process of a search needs: the provider, and the processors behind it.

In: settings, their destination, and what the caller of `configure()` passed. Out: :class:`Wired`, whose provider is installed and passes
ended spans to the spool, cleaned and with their costs. On failure: ValueError for wrong prices or patterns, before anything is created or
installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from genesis_otel._destinations import encoding_of, limits_of
from genesis_otel._emit import json_values, tally
from genesis_otel._settings import Destination, Settings
from genesis_otel._ship.correlation import CorrelationProcessor
from genesis_otel._ship.encoding.json_text import quoted
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.held_individuals import HeldIndividuals
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel._ship.metrics.export import make_provider, provider_set
from genesis_otel._ship.provider import NO_LIMITS, installed, warn_of_losses
from genesis_otel._ship.redaction.redact import redactor
from genesis_otel.attributes import SCOPE
from genesis_otel.processor import DurableSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE = "genesis"
"""The service that spans name if neither the settings nor OpenTelemetry's variables do."""


class Wired(NamedTuple):
    """What was wired together, for whoever has to flush and end it."""

    provider: trace.TracerProvider
    processors: tuple[SpanProcessor, ...]
    """Ours, in the order in which spans pass them."""
    durable: DurableSpanProcessor
    meter_provider: MeterProvider | None
    """Ours; None if there are no metrics, or the application has its own meter provider."""


def wire(
    settings: Settings,
    destination: Destination,
    exporter: SpanExporter | None,
    hook: Callable[[str], str] | None,
    attributes: Mapping[str, Any],
) -> Wired:
    """Create the processors and add them to the application's provider, or to one of ours, which becomes the global one.

    :param exporter: None only spools: another process delivers.
    :param hook: the caller's own redactor.
    :param attributes: of the resource.
    :raises ValueError: the settings name a wrong price or pattern.
    """
    # First, because they may raise.
    own_prices = settings.own_prices
    usual = _redactor(settings)
    durable = DurableSpanProcessor(
        exporter,
        settings.spool_folder(destination),
        limits=limits_of(settings, destination),
        encode=encoding_of(destination),
    )
    resource = _resource(settings, attributes)
    meters = provider_set()
    ours = None if meters else make_provider(resource)
    meters = meters or ours
    following: SpanProcessor = durable
    if meters is not None:
        from genesis_otel._ship.metrics.measure import MeasuringProcessor

        following = MeasuringProcessor(durable, settings.spool_folder(destination), meters.get_meter(SCOPE))
    finish = LLMSpanProcessor(
        following,
        capture_content=settings.capture_content,
        capture_code=settings.capture_code,
        capture_output=settings.capture_output,
        redact=hook or usual,
        # The hook gets only content, not names and identifiers.
        elsewhere=usual or (_as_it_is if hook else None),
        own_prices=own_prices,
    )
    processors: tuple[SpanProcessor, ...] = (CorrelationProcessor(), finish)
    json_values.quote_with(quoted)
    tally.hold_with(HeldIndividuals(settings.spool_folder(destination), finish, durable.encode))
    provider = installed()
    if provider is None:
        # Telemetry.shutdown ends it, in the right order and within a time limit, which the provider's own exit handler lacks.
        provider = TracerProvider(
            resource=resource,
            id_generator=DerivedIdGenerator(),
            span_limits=NO_LIMITS,
            shutdown_on_exit=False,
        )
        trace.set_tracer_provider(provider)
    elif type(provider.id_generator) is RandomIdGenerator:
        # The default one draws from ``random``, which searches seed: spans of two processes would have the same ids.
        provider.id_generator = DerivedIdGenerator()  # type: ignore[assignment]
    for processor in processors:
        provider.add_span_processor(processor)
    warn_of_losses(provider)
    # Otherwise LiteLLM's `otel` callback writes every call to the current span, a record of ours, overwriting the previous call.
    os.environ.setdefault("USE_OTEL_LITELLM_REQUEST_SPAN", "true")
    return Wired(provider, processors, durable, ours)


def _as_it_is(text: str) -> str:
    return text


def _redactor(settings: Settings) -> Callable[[str], str] | None:
    """The built-in redactor with the settings' patterns; None if both are off."""
    if not (settings.redact or settings.redact_patterns):
        return None
    return redactor(settings.redact_patterns, defaults=settings.redact)


def _resource(settings: Settings, attributes: Mapping[str, Any]) -> Resource:
    resource = Resource.create(dict(attributes))
    named = settings.service_name
    if named is None and str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        named = SERVICE
    return resource.merge(Resource({SERVICE_NAME: named})) if named else resource
