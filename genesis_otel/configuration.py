"""Settings, and `configure()`: the one place where emitting spans meets shipping them.

In: arguments, the environment, ``.env``, defaults, in that order. Out: frozen `Settings`, a `Telemetry` whose provider's
spans go to the destination that the settings name, and a client for reading. On failure: called by hand, `configure`
raises ValueError or StoreError at once, with the remedy and without any password; started by the environment,
`ensure_configured` says what is wrong, once, and stays off. Nothing here loads the embedded engine or waits for a network.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON

from genesis_otel._destinations import exporter_of, limits_of
from genesis_otel._emit import tally
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import Trouble, due, first_line
from genesis_otel._serve import client as store_process
from genesis_otel._settings import (
    DISABLED,
    CustomExporter,
    Destination,
    Disabled,
    Embedded,
    Settings,
    SettingsArguments,
    load_settings,
)
from genesis_otel.attributes import CORRELATION, LLM_ROLE, SCOPE
from genesis_otel.processor import DurableSpanProcessor

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Telemetry", "configure", "ensure_configured"]

log = logging.getLogger(__name__)


SERVICE = "genesis"
WATCH_INTERVAL = 2.0
"""Seconds between two looks at whether the store process lives: how long after its death another one is started."""


class Telemetry:
    """What `configure` has set up."""

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        provider: trace.TracerProvider,
        processors: Sequence[SpanProcessor] = (),
        durable: DurableSpanProcessor | None = None,
    ) -> None:
        """Called by `configure` alone."""
        self.settings = settings
        self.destination = destination
        self.provider = provider
        self.spool: Path | None = settings.spool_folder(destination) if durable else None
        self._processors = processors
        self._durable = durable
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None
        if isinstance(destination, Embedded):
            self._watch = threading.Thread(
                target=self._keep_store_running, args=(destination.folder,), name="genesis-otel-watch", daemon=True
            )
            self._watch.start()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every ended span has arrived; return False after ``timeout`` (by default the exit timeout)."""
        timeout = self.settings.exit_timeout if timeout is None else timeout
        return self._durable is None or self._durable.force_flush(int(timeout * 1000))

    def shutdown(self) -> None:
        """Flush within the exit timeout, stop, and log how many spans still wait in the spool. A second call does nothing."""
        if not _forget(self):
            return
        atexit.unregister(self.shutdown)
        if self._durable is None:
            return
        self.flush()
        self._ended.set()
        tally.hold_with(None)
        for processor in self._processors:
            processor.shutdown()
        waiting = self._durable.waiting()
        if waiting:
            log.warning(
                "%d spans wait in %s; the next process that records to %s delivers them",
                waiting,
                self.spool,
                self.destination,
            )

    def _keep_store_running(self, folder: Path) -> None:
        """Start a store process, and another when it dies. Runs in a thread; each trouble is said once."""
        trouble = Trouble(log)
        while True:
            try:
                store_process.ensure_store_process(folder)
                trouble.ends("the store in %s takes spans again", folder)
            except Exception as error:
                trouble.begins("store", "spans wait in the spool: %s", first_line(error))
            if self._ended.wait(WATCH_INTERVAL):
                return


# Reentrant: a signal handler's first record may come in the middle of it.
_lock = threading.RLock()
_configuring: int | None = None
"""The thread that is at it."""
_current: Telemetry | None = None
_tried = False


def configure(
    *,
    exporter: SpanExporter | None = None,
    redactor: Callable[[str], str] | None = None,
    resource_attributes: Mapping[str, str | bool | int | float] | None = None,
    **overrides: Unpack[SettingsArguments],
) -> Telemetry:
    """Record this process's spans. Called again in the same process, it returns what the first call set up.

    If the application has already set up OpenTelemetry's SDK, its provider gets our processors, and its spans still go where they
    went before. Otherwise a provider is created and becomes the global one.

    :param exporter: replaces the destination that the settings name, with its own spool.
    :param redactor: receives every prompt, response and code and returns what is recorded; replaces ours and its patterns.
    :param resource_attributes: added to each span of this process.
    :param overrides: any field of `Settings`.
    :raises ValueError: a setting is wrong.
    :raises StoreError: the destination cannot be used.
    """
    global _current, _configuring
    with _lock:
        if _current is not None:
            if overrides or exporter is not None or redactor is not None or resource_attributes:
                log.warning("telemetry is already configured; the new arguments are ignored")
            return _current
        if _configuring is not None:
            raise ValueError("configure() was called by a signal handler in the middle of configure()")
        _configuring = threading.get_ident()
        try:
            _current = _configured(overrides, exporter, redactor, resource_attributes or {})
        finally:
            _configuring = None
        return _current


def _forked() -> None:
    """In a forked child: another thread of the parent may have been at it, and will never end here."""
    global _lock, _configuring
    _lock, _configuring = threading.RLock(), None


os.register_at_fork(after_in_child=_forked)


def _configured(
    overrides: Mapping[str, Any],
    exporter: SpanExporter | None,
    redactor: Callable[[str], str] | None,
    resource_attributes: Mapping[str, Any],
) -> Telemetry:
    settings = load_settings(**overrides)
    destination: Destination = settings.destination
    if exporter is not None and not (isinstance(destination, Disabled) and destination.asked):
        destination = CustomExporter(f"{type(exporter).__module__}.{type(exporter).__qualname__}")
    if isinstance(destination, Disabled):
        _say_off(destination)
        return Telemetry(settings, destination, trace.get_tracer_provider())
    if isinstance(destination, Embedded):
        store_process.prepare(destination.folder)
    telemetry = _wired(settings, destination, exporter, redactor or _redactor(settings), resource_attributes)
    atexit.register(telemetry.shutdown)
    return telemetry


def ensure_configured() -> Telemetry | None:
    """`configure` from the environment, for code that must not fail: an error is logged once, and None is returned."""
    global _tried
    if _current is not None or _tried or _configuring == threading.get_ident():
        return _current
    try:
        return configure()
    except Exception as error:
        pass_on(error)
        log.warning("%s: %s", DISABLED, first_line(error))
        return None
    finally:
        _tried = True


def _say_off(off: Disabled) -> None:
    if due(("off", off)):
        log.log(logging.INFO if off.asked else logging.WARNING, "%s: %s", DISABLED, off)


def _forget(telemetry: Telemetry) -> bool:
    global _current
    with _lock:
        known = _current is telemetry
        if known:
            _current = None
        return known


def _wired(
    settings: Settings,
    destination: Destination,
    exporter: SpanExporter | None,
    redact: Callable[[str], str] | None,
    attributes: Mapping[str, Any],
) -> Telemetry:
    from genesis_otel._ship.finish import LLMSpanProcessor
    from genesis_otel._ship.held_individuals import HeldIndividuals
    from genesis_otel._ship.id_generator import DerivedIdGenerator

    # First, because it may raise.
    own_prices = settings.own_prices
    durable = DurableSpanProcessor(
        exporter or exporter_of(destination),
        settings.spool_folder(destination),
        limits=limits_of(settings, destination),
    )
    finish = LLMSpanProcessor(
        durable,
        capture_content=settings.capture_content,
        capture_code=settings.capture_code,
        redact=redact,
        own_prices=own_prices,
    )
    processors: tuple[SpanProcessor, ...] = (CorrelationProcessor(CORRELATION.__contains__), finish)
    tally.hold_with(HeldIndividuals(settings.spool_folder(destination), finish))
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        # Ended by Telemetry.shutdown: in its own order and within a bound, which the provider's exit handler has not.
        provider = TracerProvider(
            resource=_resource(settings, attributes), id_generator=DerivedIdGenerator(), shutdown_on_exit=False
        )
        trace.set_tracer_provider(provider)
    elif type(provider.id_generator) is RandomIdGenerator:
        # It draws from ``random``, which searches seed: then spans of two processes share their ids.
        provider.id_generator = DerivedIdGenerator()  # type: ignore[assignment]
    for processor in processors:
        provider.add_span_processor(processor)
    _warn_of_losses(provider)
    return Telemetry(settings, destination, provider, processors, durable)


def _redactor(settings: Settings) -> Callable[[str], str] | None:
    from genesis_otel._ship.finish import redactor

    if not (settings.redact or settings.redact_patterns):
        return None
    return redactor(settings.redact_patterns, defaults=settings.redact)


class CorrelationProcessor(BaggageSpanProcessor):
    """Puts run, generation and individual on the spans of other instrumentations, and what a call is for where the context
    has it; ours say for themselves where they belong."""

    def on_start(self, span: trace.Span, parent_context: Context | None = None) -> None:
        scope = getattr(span, "instrumentation_scope", None)
        if scope is None or scope.name != SCOPE:
            super().on_start(span, parent_context)
            role = otel.get_value(LLM_ROLE, parent_context)
            if isinstance(role, str) and span.is_recording():
                span.set_attribute(LLM_ROLE, role)


def _resource(settings: Settings, attributes: Mapping[str, Any]) -> Resource:
    resource = Resource.create(dict(attributes))
    named = settings.service_name
    if named is None and str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        named = SERVICE
    return resource.merge(Resource({SERVICE_NAME: named})) if named else resource


def _warn_of_losses(provider: TracerProvider) -> None:
    """Say what a provider that is not ours, or the environment, takes from the record."""
    if provider.sampler not in (ALWAYS_ON, DEFAULT_ON):
        log.warning(
            "the sampler of this process (%s) drops spans, so their rows are missing in the tables: use always_on",
            provider.sampler.get_description(),
        )
    limits = provider._span_limits
    lengths = [each for each in (limits.max_attribute_length, limits.max_span_attribute_length) if each is not None]
    if lengths:
        log.warning(
            "attributes are truncated at %d characters, which breaks prompts, code and JSON: unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT "
            "and OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            min(lengths),
        )
