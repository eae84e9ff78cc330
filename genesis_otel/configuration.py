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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace

# Loaded before an application creates its provider, for the reason that the module gives.
from genesis_otel import processor  # noqa: F401
from genesis_otel._destinations import exporter_of, watch_command
from genesis_otel._emit import configured, opened, tally
from genesis_otel._emit.configured import Configured
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import Trouble, due, first_line, printed
from genesis_otel._serve import bell
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
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

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from typing_extensions import Unpack

    from genesis_otel._wiring import Wired

__all__ = ["Telemetry", "configure", "ensure_configured"]

log = logging.getLogger(__name__)


WATCH_INTERVAL = 2.0
"""Seconds between two checks that the store process is alive: after this time at most, a dead one is replaced."""


class Telemetry:
    """The telemetry that `configure` set up."""

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        wired: Wired | None = None,
    ) -> None:
        """Called only by `configure`. Without parts it records nothing."""
        self.settings = settings
        self.destination = destination
        self.provider: trace.TracerProvider = wired.provider if wired else trace.get_tracer_provider()
        self.spool: Path | None = settings.spool_folder(destination) if wired else None
        self._processors = wired.processors if wired else ()
        self._pid = os.getpid()
        self._durable = wired.durable if wired else None
        self._meter_provider = wired.meter_provider if wired else None
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
        for each in self._processors:
            each.shutdown()
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
        return Telemetry(settings, destination)
    if isinstance(destination, Embedded):
        store_folder.prepare(destination.folder)
    made = None if isinstance(exporter, _Elsewhere) else exporter
    from genesis_otel._wiring import wire  # only a process that records needs the parts

    sender = exporter_of(destination) if exporter is None else made
    telemetry = Telemetry(settings, destination, wire(settings, destination, sender, redactor, resource_attributes))
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
