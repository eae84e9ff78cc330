"""Settings, and `configure()`: the one place where emitting spans meets shipping them.

In: arguments, the environment, ``.env``, defaults, in that order. Out: frozen `Settings`, a `Telemetry` whose provider's
spans go to the destination that the settings name, and a client for reading. On failure: called by hand, `configure`
raises ValueError or StoreError at once, with the remedy and without any password; started by the environment,
`ensure_configured` says what is wrong, once, and stays off. Nothing here loads the embedded engine or waits for a network.
"""

import atexit
import functools
import hashlib
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import platformdirs
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from genesis_otel import _serve
from genesis_otel._clickhouse import URL_FORM, StoreError, first_line, masked, split_url
from genesis_otel._drain import STATE_INTERVAL
from genesis_otel.attributes import CORRELATION, LLM_ROLE, SCOPE
from genesis_otel.processor import DurableSpanProcessor, Limits

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

DISABLED = "ClickHouse logging disabled"
SERVICE = "genesis"
OTLP_LIMITS = Limits(max_rows=512, max_bytes=2 << 20)
"""A collector's gRPC receiver refuses a message over 4 MiB for good, and protobuf is larger than the spool's records."""
WATCH_INTERVAL = 2.0
"""Seconds between two looks at whether the store process lives: how long after its death another one is started."""


@dataclass(frozen=True)
class Embedded:
    """The embedded engine on a folder, behind its store process."""

    folder: Path

    def __str__(self) -> str:
        """The URL that names it."""
        return f"chdb://{self.folder}"


@dataclass(frozen=True)
class Server:
    """A ClickHouse server."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        """Its URL without the password."""
        return masked(self.url)


@dataclass(frozen=True)
class Collector:
    """An OpenTelemetry Collector, or anything else that takes OTLP."""

    endpoint: str = field(repr=False)
    protocol: str

    def __str__(self) -> str:
        """Its endpoint without a password, and the protocol."""
        return f"{masked(self.endpoint)} ({self.protocol})"


@dataclass(frozen=True)
class Custom:
    """A span exporter of the caller's."""

    name: str

    def __str__(self) -> str:
        """The exporter's class."""
        return self.name


@dataclass(frozen=True)
class Off:
    """Nowhere: spans are not recorded."""

    reason: str
    asked: bool = True

    def __str__(self) -> str:
        """Why."""
        return self.reason


Destination = Embedded | Server | Collector | Custom | Off


class Settings(BaseSettings):
    """Everything that can be set. A field's own name is the argument; in the environment and in ``.env`` it is
    ``GENESIS_OTEL_`` with the name in capitals, unless another name is given here."""

    model_config = SettingsConfigDict(
        env_prefix="GENESIS_OTEL_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    enabled: bool = True
    """False records nothing."""
    clickhouse_url: SecretStr | None = Field(None, validation_alias=AliasChoices("clickhouse_url", "CLICKHOUSE_URL"))
    """``CLICKHOUSE_URL``: ``http(s)://user:password@host:port/database``, or ``chdb:///folder`` for the embedded store."""
    otlp_endpoint: SecretStr | None = Field(
        None, validation_alias=AliasChoices("otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """``OTEL_EXPORTER_OTLP_ENDPOINT``: the collector. Spans go there; ``CLICKHOUSE_URL`` is then for reading."""
    otlp_traces_endpoint: SecretStr | None = Field(
        None, validation_alias=AliasChoices("otlp_traces_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    """``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``: the same for traces alone; taken as it is, without ``/v1/traces`` added."""
    otlp_protocol: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "otlp_protocol", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
        ),
    )
    """``OTEL_EXPORTER_OTLP_PROTOCOL``: ``grpc`` or ``http/protobuf``; unset, gRPC on port 4317 and HTTP on any other."""
    sdk_disabled: bool = Field(False, validation_alias=AliasChoices("sdk_disabled", "OTEL_SDK_DISABLED"))
    """``OTEL_SDK_DISABLED``: true records nothing."""
    service_name: str | None = None
    """``service.name`` of the spans; unset, what ``OTEL_SERVICE_NAME`` says, or ``genesis``."""
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("genesis-otel")))
    """Folder of the embedded store and of the spools."""
    capture_content: bool = True
    """Record prompts and responses."""
    capture_code: bool = True
    """Record the individuals' code."""
    redact: bool = True
    """Replace what looks like a key or a password in prompts, responses and code."""
    redact_patterns: tuple[str, ...] = ()
    """More regular expressions of what is replaced; a JSON list in the environment."""
    spool_bytes: int = Field(2 << 30, gt=0)
    """Size of a spool at which its oldest spans go."""
    exit_timeout: float = Field(10.0, ge=0)
    """Seconds that a process waits at its end until its spans have arrived; what has not waits in the spool."""

    serve_password: SecretStr | None = None
    """Password of the user ``genesis`` of `genesis-otel serve`; unset, a new one at each start."""
    serve_reader_password: SecretStr | None = None
    """Password of its user ``reader``, who can only read."""

    @property
    def store(self) -> Embedded | Server | None:
        """What is read: the server or the folder that ``CLICKHOUSE_URL`` names, else the embedded store.

        None with a collector and no ``CLICKHOUSE_URL``.

        :raises StoreError: ``CLICKHOUSE_URL`` is malformed.
        """
        if self.clickhouse_url is None:
            return None if self._collector() else Embedded(self.data_dir.expanduser().absolute() / "store")
        url = self.clickhouse_url.get_secret_value().strip()
        if not url.startswith("chdb:"):
            split_url(url)
            return Server(url)
        parts = urlsplit(url)
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute() or folder == Path("/"):
            raise StoreError(f"CLICKHOUSE_URL names no folder after chdb://. Its form is {URL_FORM}")
        return Embedded(folder)

    @property
    def destination(self) -> Embedded | Server | Collector | Off:
        """Where spans go.

        :raises StoreError: ``CLICKHOUSE_URL`` is malformed, or names the embedded store, which is not installed.
        :raises ValueError: the collector's endpoint or protocol is.
        """
        if not self.enabled:
            return Off("GENESIS_OTEL_ENABLED is false")
        if self.sdk_disabled:
            return Off("OTEL_SDK_DISABLED is true")
        collector = self._collector()
        store = self.store
        if collector:
            return collector
        if isinstance(store, Embedded) and not embedded_installed():
            remedy = f"pip install 'genesis-otel[embedded]', or set CLICKHOUSE_URL to {URL_FORM}"
            if self.clickhouse_url is not None:
                raise StoreError(f"CLICKHOUSE_URL names the embedded store, which is not installed: {remedy}")
            return Off(f"no CLICKHOUSE_URL, and the embedded store is not installed: {remedy}", asked=False)
        assert store is not None  # noqa: S101 (only a collector leaves it out)
        return store

    def spool_folder(self, destination: Destination) -> Path:
        """The spool of a destination: what was meant for one is never delivered to another."""
        if isinstance(destination, Embedded):
            return destination.folder / _serve.SPOOL
        name = hashlib.sha256(f"{type(destination).__name__} {_without_password(destination)}".encode()).hexdigest()[
            :16
        ]
        return self.data_dir.expanduser().absolute() / "spool" / name

    def _collector(self) -> Collector | None:
        given = self.otlp_traces_endpoint or self.otlp_endpoint
        if given is None:
            return None
        endpoint = given.get_secret_value().strip()
        try:
            parts = urlsplit(endpoint)
            port = parts.port
        except ValueError:
            raise ValueError(_ENDPOINT) from None
        protocol = (self.otlp_protocol or ("grpc" if port == 4317 else "http/protobuf")).strip()
        if protocol not in ("grpc", "http/protobuf"):
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; it can be grpc or http/protobuf")
        if not (parts.scheme in ("http", "https") and parts.hostname):
            raise ValueError(_ENDPOINT)
        if protocol != "grpc" and self.otlp_traces_endpoint is None:
            endpoint = f"{endpoint.rstrip('/')}/v1/traces"
        return Collector(endpoint, protocol)


_ENDPOINT = (
    "OTEL_EXPORTER_OTLP_ENDPOINT cannot be read; its form is http(s)://host:port, "
    "for instance http://localhost:4318, or http://localhost:4317 for gRPC"
)


def load_settings(**overrides: Any) -> Settings:
    """The settings, ``overrides`` before everything else.

    :raises ValueError: one of them is wrong or unknown; one line, which never repeats a value.
    """
    unknown = overrides.keys() - Settings.model_fields.keys()
    if unknown:
        raise ValueError(f"no such setting: {', '.join(sorted(unknown))}; there are {', '.join(Settings.model_fields)}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)
        )
        raise ValueError(f"wrong settings: {wrong}") from None


def embedded_installed() -> bool:
    """Whether the extra ``embedded`` is there; looks without loading it."""
    return all(importlib.util.find_spec(name) is not None for name in ("chdb", "waitress"))


def open_client(settings: Settings | None = None, *, start: bool = False) -> "Client":
    """A client for reading, whatever the destination of spans is.

    :param start: with the embedded store, never open the engine in this process: start a store process when none runs.
    :raises StoreError: the store cannot be reached, or none is named.
    """
    store = (settings or load_settings()).store
    if isinstance(store, Embedded):
        return _serve.open_store(store.folder, start=start)
    if store is None:
        raise StoreError(f"spans go to a collector: set CLICKHOUSE_URL to the database that it fills ({URL_FORM})")
    from genesis_otel._clickhouse import connect

    return connect(store.url)


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
        """Wait until every span that has ended has arrived; False when ``timeout`` (by default the exit timeout) is over."""
        timeout = self.settings.exit_timeout if timeout is None else timeout
        return self._durable is None or self._durable.force_flush(int(timeout * 1000))

    def shutdown(self) -> None:
        """Flush within the exit timeout, end, and say how many spans still wait in the spool. A second call does nothing."""
        if not _forget(self):
            return
        atexit.unregister(self.shutdown)
        if self._durable is None:
            return
        self.flush()
        self._ended.set()
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
        said = False
        while True:
            try:
                _serve.ensure_store_process(folder)
                said = False
            except Exception as error:
                if not said:
                    log.warning("spans wait in the spool: %s", first_line(error))
                said = True
            if self._ended.wait(WATCH_INTERVAL):
                return


_lock = threading.Lock()
_current: Telemetry | None = None
_tried = False


def configure(
    *,
    exporter: SpanExporter | None = None,
    redactor: Callable[[str], str] | None = None,
    resource_attributes: Mapping[str, str | bool | int | float] | None = None,
    **overrides: Any,
) -> Telemetry:
    """Record this process's spans. Once a process: called again, it gives what is there.

    Where an application has set up OpenTelemetry's SDK before, its provider gets our processors and its spans go where
    they went, too; otherwise a provider is made and becomes the global one.

    :param exporter: takes the place of the destination that the settings name, with a spool of its own.
    :param redactor: gets every prompt, response and code and gives what is recorded; instead of ours and its patterns.
    :param resource_attributes: say more of this process on each of its spans.
    :param overrides: any field of `Settings`.
    :raises ValueError: a setting is wrong.
    :raises StoreError: the destination cannot be used.
    """
    global _current
    with _lock:
        if _current is not None:
            if overrides or exporter is not None or redactor is not None or resource_attributes:
                log.warning("telemetry is configured already; what was given now is not used")
            return _current
        settings = load_settings(**overrides)
        destination: Destination = settings.destination
        if exporter is not None and not (isinstance(destination, Off) and destination.asked):
            destination = Custom(f"{type(exporter).__module__}.{type(exporter).__qualname__}")
        if isinstance(destination, Off):
            _say_off(destination)
            _current = Telemetry(settings, destination, trace.get_tracer_provider())
            return _current
        if isinstance(destination, Embedded):
            _serve.prepare(destination.folder)
        _current = _wired(settings, destination, exporter, redactor or _redactor(settings), resource_attributes or {})
        atexit.register(_current.shutdown)
        return _current


def ensure_configured() -> Telemetry | None:
    """`configure` from the environment, for code that must not fail: what is wrong is said once, and None is given."""
    global _tried
    if _current is not None or _tried:
        return _current
    try:
        return configure()
    except Exception as error:
        log.warning("%s: %s", DISABLED, first_line(error))
        return None
    finally:
        _tried = True


@functools.cache
def _say_off(off: Off) -> None:
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
    from genesis_otel._ids import DerivedIdGenerator
    from genesis_otel._llm import LLMSpanProcessor

    durable = DurableSpanProcessor(
        exporter or exporter_of(destination),
        settings.spool_folder(destination),
        limits=limits_of(settings, destination),
    )
    processors: tuple[SpanProcessor, ...] = (
        PlaceOfOthers(CORRELATION.__contains__),
        LLMSpanProcessor(
            durable, capture_content=settings.capture_content, capture_code=settings.capture_code, redact=redact
        ),
    )
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
    from genesis_otel._llm import redactor

    if not (settings.redact or settings.redact_patterns):
        return None
    return redactor(settings.redact_patterns, defaults=settings.redact)


class PlaceOfOthers(BaggageSpanProcessor):
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
            "the sampler of this process (%s) drops spans, and what they hold is missing in the tables: use always_on",
            provider.sampler.get_description(),
        )
    limits = provider._span_limits
    lengths = [each for each in (limits.max_attribute_length, limits.max_span_attribute_length) if each is not None]
    if lengths:
        log.warning(
            "attributes are cut at %d characters, which breaks prompts, code and JSON: unset OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT "
            "and OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            min(lengths),
        )


def limits_of(settings: Settings, destination: Destination) -> Limits:
    """An exporter that is not ours may speak to anything: it gets what every receiver of OTLP takes, and the search's spans alone."""
    limits = OTLP_LIMITS if isinstance(destination, (Collector, Custom)) else Limits()
    interval = None if isinstance(destination, Custom) else STATE_INTERVAL
    return replace(limits, spool_bytes=settings.spool_bytes, state_interval=interval)


def exporter_of(destination: Destination) -> SpanExporter | None:
    """What the processor hands batches to; None where a store process drains the spool."""
    if isinstance(destination, Server):
        from genesis_otel._clickhouse import connect
        from genesis_otel.exporter import ClickHouseSpanExporter

        return ClickHouseSpanExporter(functools.partial(connect, destination.url))
    if isinstance(destination, Collector):
        return _OnFirstUse(functools.partial(_otlp, destination))
    return None


def _otlp(collector: Collector) -> SpanExporter:
    if collector.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter(endpoint=collector.endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter(endpoint=collector.endpoint)


class _OnFirstUse(SpanExporter):
    """An exporter that is made where it is used: in the processor's thread, and anew in a forked child (gRPC needs it)."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._made: SpanExporter | None = None
        self._pid = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._made is None or self._pid != os.getpid():
            self._made, self._pid = self._make(), os.getpid()
        return self._made.export(spans)

    def shutdown(self) -> None:
        if self._made is not None and self._pid == os.getpid():
            self._made.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def _without_password(destination: Destination) -> str:
    if not isinstance(destination, (Server, Collector)):
        return str(destination)
    given = destination.url if isinstance(destination, Server) else destination.endpoint
    parts = urlsplit(given)
    return f"{parts.scheme}://{parts.username or ''}@{parts.hostname}:{parts.port}{parts.path.rstrip('/')}"
