"""Settings: read once into a frozen object, which determines the destination and the store.

In: arguments, the environment, ``.env``, defaults, in that order. Out: a frozen `Settings`, whose destination is where spans go, and
whose store is where they are read. On failure: ValueError or StoreError with the remedy and without any password or value. Nothing here
connects to anything or loads an engine.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict
from urllib.parse import quote, unquote

from msgspec import Meta, Struct

from genesis_otel import _fields
from genesis_otel._fields import Secret, named
from genesis_otel._log import warn_once
from genesis_otel._serve import folder as store_folder
from genesis_otel._store.errors import URL_FORM, StoreError, split_url
from genesis_otel._urls import UrlError, shown, split

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from genesis_otel._store.own_prices import OwnPrices

DISABLED = "ClickHouse logging disabled"


# Of msgspec's kind, since each dataclass takes 0.4 ms of every program's start.


class Embedded(Struct, frozen=True):
    """The embedded store in a folder, served by its store process."""

    folder: Path

    def __str__(self) -> str:
        """Its URL."""
        return f"chdb://{self.folder}"


class Server(Struct, frozen=True):
    """A ClickHouse server."""

    url: str

    def __repr__(self) -> str:
        return f"Server({self})"

    def __str__(self) -> str:
        """Its URL without the password."""
        return shown(self.url)


class Collector(Struct, frozen=True):
    """An OpenTelemetry Collector, or anything else that accepts OTLP."""

    endpoint: str
    protocol: str

    def __repr__(self) -> str:
        return f"Collector({self})"

    def __str__(self) -> str:
        """Its endpoint without the password, and the protocol."""
        return f"{shown(self.endpoint)} ({self.protocol})"


class CustomExporter(Struct, frozen=True):
    """A span exporter that the caller provides."""

    name: str

    def __str__(self) -> str:
        """The exporter's class."""
        return self.name


class Disabled(Struct, frozen=True):
    """Nowhere: spans are not recorded."""

    reason: str
    asked: bool = True

    def __str__(self) -> str:
        """Why."""
        return self.reason


Destination = Embedded | Server | Collector | CustomExporter | Disabled


def _data_dir() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("genesis-otel"))


PREFIX = "GENESIS_OTEL_"
"""The prefix of environment variables, for settings without a variable name of their own."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. As an argument, a setting has its field's name; in the environment and in ``.env`` it is ``GENESIS_OTEL_``
    followed by that name in capitals, unless another name is given here."""

    enabled: bool = True
    """False records nothing."""
    clickhouse_url: Secret | None = named("CLICKHOUSE_URL")
    """``CLICKHOUSE_URL``: ``http(s)://user:password@host:port/database``, or ``chdb:///folder`` for the embedded store."""
    otlp_endpoint: Secret | None = named("OTEL_EXPORTER_OTLP_ENDPOINT")
    """``OTEL_EXPORTER_OTLP_ENDPOINT``: the collector. Spans go there; ``CLICKHOUSE_URL`` is then for reading."""
    otlp_traces_endpoint: Secret | None = named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    """``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``: the same for traces only; used unchanged, without adding ``/v1/traces``."""
    otlp_protocol: str | None = named("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    """``OTEL_EXPORTER_OTLP_PROTOCOL``: ``grpc`` or ``http/protobuf``; by default gRPC on port 4317 and HTTP on any other."""
    sdk_disabled: bool = named("OTEL_SDK_DISABLED", default=False)
    """``OTEL_SDK_DISABLED``: true records nothing."""
    service_name: str | None = None
    """``service.name`` of the spans; by default ``OTEL_SERVICE_NAME``, or ``genesis``."""
    data_dir: Path = field(default_factory=_data_dir)
    """Folder of the embedded store and of the spools."""
    capture_content: bool = True
    """Record prompts and responses."""
    capture_code: bool = True
    """Record the individuals' code."""
    capture_output: bool = True
    """Record the output of evaluations: standard output, errors, tracebacks."""
    redact: bool = True
    """Replace what looks like a key or a password in prompts, responses and code."""
    redact_patterns: tuple[str, ...] = ()
    """Additional regular expressions whose matches are replaced; a JSON list in the environment."""
    prices: Path | None = None
    """A TOML file with your own prices, which take precedence over the price list."""
    spool_bytes: Annotated[int, Meta(gt=0)] = 2 << 30
    """Size of a spool at which its oldest spans are deleted."""
    exit_timeout: Annotated[float, Meta(ge=0)] = 10.0
    """Seconds that a process waits at exit for its spans to arrive; those that have not arrived stay in the spool."""

    stalled_after: Annotated[int, Meta(gt=0)] = 900
    """Seconds without a sign of life after which a running search is shown as stalled."""
    quiet: bool = False
    """True prints nothing to standard error when a run starts."""
    run_id: str = ""
    """The id of the first run that starts; a run with a known id is resumed."""
    budget: Annotated[float, Meta(gt=0, le=sys.float_info.max)] | None = None
    """What a run may spend, in USD, unless ``run(budget=...)`` says otherwise."""
    stop_over_budget: bool = False
    """True ends the search of a supported framework at its next step when its budget is spent."""
    resume_days: Annotated[float, Meta(ge=0)] = 30.0
    """Days after a run's last sign of life for which the data needed to resume it is kept in the data folder."""

    serve_password: Secret | None = None
    """Password of the user ``genesis`` of `genesis-otel serve`; by default a new one at each start."""
    serve_reader_password: Secret | None = None
    """Password of its user ``reader``, who can only read."""

    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """The names of the settings that were given, rather than defaulted."""

    def arguments(self) -> dict[str, Any]:
        """The arguments with which :func:`load_settings` in another process returns the same settings."""
        return {name: getattr(self, name) for name in sorted(self.given)}

    @property
    def memory_folder(self) -> Path:
        """The folder where runs keep what they need to resume after an interruption."""
        return self.data_dir.expanduser().absolute() / "runs"

    @property
    def store(self) -> Embedded | Server | None:
        """Where data is read: the server or folder in ``CLICKHOUSE_URL``, otherwise the embedded store.

        None if there is a collector and no ``CLICKHOUSE_URL``.

        :raises StoreError: ``CLICKHOUSE_URL`` is malformed.
        """
        if self.clickhouse_url is None:
            return None if self._collector() else Embedded(self.data_dir.expanduser().absolute() / "store")
        url = self.clickhouse_url.get_secret_value().strip()
        if not url.startswith("chdb:"):
            split_url(url)
            return Server(url)
        # Everything that follows is the path: a folder may be called a#b or a?b.
        folder = Path(unquote(url.removeprefix("chdb:").removeprefix("//")))
        if not folder.is_absolute() or folder == Path("/"):
            raise StoreError(f"CLICKHOUSE_URL has no absolute folder after chdb://. Its form is {URL_FORM}")
        return Embedded(folder)

    @property
    def destination(self) -> Embedded | Server | Collector | Disabled:
        """Where spans go.

        :raises StoreError: ``CLICKHOUSE_URL`` is malformed, or names the embedded store, which is not installed.
        :raises ValueError: the collector's endpoint or protocol is malformed.
        """
        if not self.enabled:
            return Disabled("GENESIS_OTEL_ENABLED is false")
        if self.sdk_disabled:
            return Disabled("OTEL_SDK_DISABLED is true")
        collector = self._collector()
        store = self.store
        if collector:
            return collector
        if isinstance(store, Embedded) and not embedded_installed():
            remedy = f"pip install 'genesis-otel[embedded]', or set CLICKHOUSE_URL to {URL_FORM}"
            if self.clickhouse_url is not None:
                raise StoreError(f"CLICKHOUSE_URL names the embedded store, which is not installed: {remedy}")
            return Disabled(f"no CLICKHOUSE_URL, and the embedded store is not installed: {remedy}", asked=False)
        assert store is not None  # noqa: S101 (only a collector leaves it out)
        return store

    @property
    def own_prices(self) -> OwnPrices:
        """The prices in the file ``prices``; empty if there is none.

        :raises ValueError: the file cannot be read, or contains something that is not a price.
        """
        if self.prices is None:
            return {}
        from genesis_otel._store.own_prices import read_own_prices

        return read_own_prices(self.prices)

    def spool_folder(self, destination: Destination) -> Path:
        """The spool of a destination. Each has its own, so spans for one are never delivered to another."""
        if isinstance(destination, Embedded):
            return destination.folder / store_folder.SPOOL
        # Imported here: it loads OpenSSL, and the embedded store needs no such name.
        import hashlib

        name = hashlib.sha256(f"{type(destination).__name__} {without_password(destination)}".encode()).hexdigest()[:16]
        return self.data_dir.expanduser().absolute() / "spool" / name

    def _collector(self) -> Collector | None:
        given = self.otlp_traces_endpoint or self.otlp_endpoint
        if given is None:
            return None
        endpoint = given.get_secret_value().strip()
        try:
            parts = split(endpoint)
        except UrlError as error:
            raise ValueError(f"OTEL_EXPORTER_OTLP_ENDPOINT cannot be parsed: {error}. {_ENDPOINT}") from None
        protocol = (self.otlp_protocol or ("grpc" if parts.port == 4317 else "http/protobuf")).strip()
        if protocol not in ("grpc", "http/protobuf"):
            raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; it must be grpc or http/protobuf")
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"OTEL_EXPORTER_OTLP_ENDPOINT starts with {parts.scheme!r}. {_ENDPOINT}")
        if protocol != "grpc" and self.otlp_traces_endpoint is None:
            endpoint = f"{endpoint.rstrip('/')}/v1/traces"
        return Collector(endpoint, protocol)


_ENDPOINT = "Its form is http(s)://host:port, for instance http://localhost:4318, or http://localhost:4317 for gRPC"


class SettingsArguments(TypedDict, total=False):
    """The fields of `Settings` as arguments."""

    enabled: bool
    clickhouse_url: str | Secret | None
    otlp_endpoint: str | Secret | None
    otlp_traces_endpoint: str | Secret | None
    otlp_protocol: str | None
    sdk_disabled: bool
    service_name: str | None
    data_dir: str | Path
    capture_content: bool
    capture_code: bool
    capture_output: bool
    redact: bool
    redact_patterns: Sequence[str]
    spool_bytes: int
    exit_timeout: float
    prices: str | Path | None
    stalled_after: int
    quiet: bool
    budget: float | None
    stop_over_budget: bool
    run_id: str
    resume_days: float
    serve_password: str | Secret | None
    serve_reader_password: str | Secret | None


FIELDS = _fields.variables_of(Settings, PREFIX)
"""The settings' environment variables, by setting."""
SECRETS = frozenset(each.name for each in fields(Settings) if each.type == "Secret | None")
"""The settings that may contain passwords. Annotations are texts in this module; evaluating all of them takes 2 ms."""


def load_settings(**overrides: Unpack[SettingsArguments]) -> Settings:
    """The settings; ``overrides`` take precedence over everything else.

    :raises ValueError: a setting is wrong or unknown; the message is one line and never repeats a value.
    """
    unknown = overrides.keys() - FIELDS.keys()
    if unknown:
        raise ValueError(f"no such setting: {', '.join(sorted(unknown))}; the settings are {', '.join(FIELDS)}")
    around = _fields.surroundings()
    for name, meant in _fields.misspelt(Settings, PREFIX, around).items():
        hint = f"; did you mean {meant}?" if meant else ""
        warn_once(f"variable {name}", "%s is not a setting of genesis-otel and has no effect%s", name, hint)
    values = _fields.read(Settings, PREFIX, overrides, around)
    return Settings(**values, given=frozenset(values))


def embedded_installed() -> bool:
    """Whether the extra ``embedded`` is installed; checked without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("chdb", "waitress"))


def without_password(destination: Destination) -> str:
    """Identifies a destination independently of its password. Spool folder names derive from this text, so its format must not change."""
    if not isinstance(destination, (Server, Collector)):
        return str(destination)
    parts = split(destination.url if isinstance(destination, Server) else destination.endpoint)
    user = quote(parts.username or "", safe="")
    return f"{parts.scheme}://{user}@{parts.hostname}:{parts.port}{parts.path.rstrip('/')}"
