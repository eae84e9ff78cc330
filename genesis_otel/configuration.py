"""`configure()`: the one place where emitting spans meets shipping them.

In: arguments, the environment, ``.env``, defaults, in that order. Out: a `Telemetry` with frozen `Settings` and a provider whose spans go
to the destination in the settings. On failure: an explicit `configure` raises ValueError or StoreError at once, with the remedy and
without any password; `ensure_configured`, which configures from the environment, logs the error once and leaves telemetry off. Nothing
here loads the embedded engine or waits for a network.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from genesis_otel._destinations import encoding_of, exporter_of, limits_of, watch_command
from genesis_otel._emit import configured, json_values, opened, tally
from genesis_otel._emit.configured import Configured
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import Trouble, due, first_line, printed
from genesis_otel._serve import bell
from genesis_otel._serve import client as store_process
from genesis_otel._settings import (
    DISABLED,
    SECRETS,
    CustomExporter,
    Destination,
    Disabled,
    Embedded,
    Settings,
    SettingsArguments,
    load_settings,
)
from genesis_otel._ship.run_memory import RunMemory
from genesis_otel.attributes import SCOPE
from genesis_otel.processor import DurableSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from typing_extensions import Unpack

__all__ = ["Telemetry", "configure", "ensure_configured"]

log = logging.getLogger(__name__)


SERVICE = "genesis"
WATCH_INTERVAL = 2.0
"""Seconds between two checks that the store process is alive: after this time at most, a dead one is replaced."""


class Telemetry:
    """The telemetry that `configure` set up."""

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        provider: trace.TracerProvider,
        processors: Sequence[SpanProcessor] = (),
        durable: DurableSpanProcessor | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Called only by `configure`."""
        self.settings = settings
        self.destination = destination
        self.provider = provider
        self.spool: Path | None = settings.spool_folder(destination) if durable else None
        self._processors = processors
        self._pid = os.getpid()
        self._durable = durable
        self._meter_provider = meter_provider
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
        if self._durable is None:
            return True
        meanwhile = (
            functools.partial(bell.ring, self.destination.folder) if isinstance(self.destination, Embedded) else None
        )
        return self._durable.force_flush(int(timeout * 1000), meanwhile=meanwhile)

    def shutdown(self) -> None:
        """Flush within the exit timeout, stop, and log how many spans still wait in the spool. A second call does nothing."""
        if not _forget(self):
            return
        configured.tell(None)
        if self._durable is None:
            return
        self.flush()
        self._end_metrics()
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

    def _end_metrics(self) -> None:
        """Send the last values if the meter provider is ours and was created in this process: a forked child measured nothing."""
        if self._meter_provider is None or os.getpid() != self._pid:
            return
        try:
            self._meter_provider.shutdown(timeout_millis=self.settings.exit_timeout * 1000)
        except Exception as error:
            pass_on(error)
            log.warning("the last metrics could not be sent: %s", first_line(error))

    def _keep_store_running(self, folder: Path) -> None:
        """Start a store process, and another if it dies. Runs in a thread; each kind of trouble is logged once."""
        trouble = Trouble(log)
        while True:
            try:
                store_process.ensure_store_process(folder)
                trouble.ends("the store in %s takes spans again", folder)
            except Exception as error:
                trouble.begins("store", "spans wait in the spool: %s", first_line(error))
            if self._ended.wait(WATCH_INTERVAL):
                return


# Reentrant: a signal handler may record its first span while the lock is held.
_lock = threading.RLock()
_configuring: int | None = None
"""The thread that is configuring."""
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

    If the application has already set up OpenTelemetry's SDK, our processors are added to its provider, and its spans still go where
    they went before. Otherwise a provider is created and becomes the global one.

    :param exporter: replaces the destination in the settings, and has its own spool.
    :param redactor: receives every prompt, response and code and returns what is recorded; replaces the built-in redactor and its
        patterns.
    :param resource_attributes: added to each span of this process.
    :param overrides: any field of `Settings`.
    :raises ValueError: a setting is wrong.
    :raises StoreError: the destination cannot be used.
    """
    global _current, _configuring
    _check(exporter, redactor, resource_attributes)
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


def _check(exporter: object, redactor: object, resource_attributes: object) -> None:
    """Refuse objects of the wrong kind, with which nothing would be recorded.

    :raises ValueError: one is.
    """
    is_one = callable(getattr(exporter, "export", None)) and not isinstance(exporter, type)
    if exporter is not None and not is_one and not isinstance(exporter, _Elsewhere):
        raise ValueError(
            "exporter must be an object with a method export(), such as an OTLPSpanExporter(); a URL is otlp_endpoint or clickhouse_url"
        )
    if redactor is not None and not callable(redactor):
        raise ValueError("redactor must be a function of a text; regular expressions are redact_patterns")
    if resource_attributes is not None and not isinstance(resource_attributes, Mapping):
        raise ValueError("resource_attributes must be a mapping of names to values")


def _forked() -> None:
    """In a forked child: another thread of the parent may have held the lock, and does not exist here to release it."""
    global _lock, _configuring
    _lock, _configuring = threading.RLock(), None


os.register_at_fork(after_in_child=_forked)


def _configured(
    overrides: Mapping[str, Any],
    exporter: SpanExporter | _Elsewhere | None,
    redactor: Callable[[str], str] | None,
    resource_attributes: Mapping[str, Any],
) -> Telemetry:
    settings = load_settings(**overrides)
    destination: Destination = settings.destination
    if exporter is not None and not (isinstance(destination, Disabled) and destination.asked):
        destination = CustomExporter(
            exporter.name
            if isinstance(exporter, _Elsewhere)
            else f"{type(exporter).__module__}.{type(exporter).__qualname__}"
        )
    if isinstance(destination, Disabled):
        _say_off(destination)
        configured.tell(Configured())
        return Telemetry(settings, destination, trace.get_tracer_provider())
    if isinstance(destination, Embedded):
        store_process.prepare(destination.folder)
    made = None if isinstance(exporter, _Elsewhere) else exporter
    telemetry = _wired(
        settings,
        destination,
        exporter_of(destination) if exporter is None else made,
        redactor,
        resource_attributes,
    )
    atexit.register(_at_exit, telemetry)
    memory = RunMemory(settings.memory_folder)
    memory.forget(settings.resume_days)
    configured.tell(
        Configured(
            run_id=settings.run_id,
            budget=settings.budget,
            stop_over_budget=settings.stop_over_budget,
            memory=memory if settings.resume_days else None,
            announce=None if settings.quiet else functools.partial(_announce, settings, destination),
            setup=_setup(settings.arguments(), destination, made, redactor, resource_attributes),
            # A process that unpickles a handle has this one's environment, which usually has the passwords.
            reference_setup=None
            if SECRETS & overrides.keys()
            else _setup(overrides, destination, made, redactor, resource_attributes),
        )
    )
    return telemetry


def _at_exit(telemetry: Telemetry) -> None:
    opened.end_all()
    telemetry.shutdown()


def _announce(settings: Settings, destination: Destination, run_id: str) -> None:
    """Print to standard error where a run that starts is recorded, and how to watch it."""
    # A terminal interprets control characters, and a shell does not read back their escapes.
    plain = run_id.isprintable()
    command = watch_command(settings, run_id if plain else "latest")
    watch = f"; watch it with `{command}`" if command else ""
    print(
        f"genesis-otel: run {printed(run_id)} goes to {destination}{watch}",
        file=sys.stderr,
        flush=True,
    )


# --- setting up other processes like this one -------------------------------------------------------------------------


class _Elsewhere(NamedTuple):
    """An exporter that exists only in another process; this process spools for it."""

    name: str


def _setup(
    overrides: Mapping[str, Any],
    destination: Destination,
    exporter: SpanExporter | None,
    redactor: Callable[[str], str] | None,
    attributes: Mapping[str, Any],
) -> Callable[[], object]:
    """A picklable function that sets up another process like this one. What cannot be pickled is left out."""
    settings = {name: value for name, value in overrides.items() if name != "run_id"}
    spooled = isinstance(destination, CustomExporter) and not _crosses(exporter)
    other = _Elsewhere(str(destination)) if spooled else exporter
    without_redactor = redactor is not None and not _crosses(redactor)
    if without_redactor:
        settings |= {"capture_content": False, "capture_code": False, "capture_output": False}
    return functools.partial(
        _set_up,
        settings,
        other,
        None if without_redactor else redactor,
        dict(attributes),
        without_redactor=without_redactor,
    )


def _set_up(
    settings: Mapping[str, Any],
    exporter: Any,
    redactor: Callable[[str], str] | None,
    attributes: Mapping[str, Any],
    *,
    without_redactor: bool,
) -> None:
    """Set this process up like another one. Never raises."""
    if without_redactor:
        log.warning(
            "the redactor cannot be pickled, so this process records no prompts, responses or code: make it a module-level function"
        )
    try:
        configure(exporter=exporter, redactor=redactor, resource_attributes=attributes, **settings)
    except Exception as error:
        pass_on(error)
        log.warning("%s: %s", DISABLED, first_line(error))


def _crosses(value: object) -> bool:
    import pickle  # few searches have an exporter or a redactor of their own

    try:
        pickle.dumps(value)
    except Exception as error:
        pass_on(error)
        return False
    return True


def ensure_configured() -> Telemetry | None:
    """`configure` from the environment, for code that must not fail: an error is logged once, and None returned."""
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
    hook: Callable[[str], str] | None,
    attributes: Mapping[str, Any],
) -> Telemetry:
    from genesis_otel._ship.correlation import CorrelationProcessor
    from genesis_otel._ship.encoding.json_text import quoted
    from genesis_otel._ship.finish import LLMSpanProcessor
    from genesis_otel._ship.held_individuals import HeldIndividuals
    from genesis_otel._ship.id_generator import DerivedIdGenerator
    from genesis_otel._ship.metrics.export import make_provider, provider_set
    from genesis_otel._ship.provider import NO_LIMITS, installed, warn_of_losses

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
        elsewhere=usual or _as_it_is,
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
    return Telemetry(settings, destination, provider, processors, durable, ours)


def _as_it_is(text: str) -> str:
    return text


def _redactor(settings: Settings) -> Callable[[str], str] | None:
    from genesis_otel._ship.redaction.redact import redactor

    if not (settings.redact or settings.redact_patterns):
        return None
    return redactor(settings.redact_patterns, defaults=settings.redact)


def _resource(settings: Settings, attributes: Mapping[str, Any]) -> Resource:
    resource = Resource.create(dict(attributes))
    named = settings.service_name
    if named is None and str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        named = SERVICE
    return resource.merge(Resource({SERVICE_NAME: named})) if named else resource
