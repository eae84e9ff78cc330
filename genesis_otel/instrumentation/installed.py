"""Instruments what is installed: language model clients, and the frameworks that this package supports.

In: the packages of this environment. Out: which of them are now recorded, and by what, returned and logged. On failure: what
cannot be instrumented is skipped with a warning, and nothing is raised into a search.

A client gets only one instrumentation, since two would record each call twice: the active one, or else the first in the order of
:data:`MAKERS`. LangChain, LiteLLM, DSPy and the like are not instrumented: their calls go through a client, and would be recorded twice.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec

from genesis_otel import __version__
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel.instrumentation import _charged as charged

__all__ = ["Instrumentor", "instrument"]

log = logging.getLogger(__name__)

CLIENTS = frozenset(
    ("openai", "anthropic", "google-genai", "mistralai", "cohere", "groq", "ollama", "together", "bedrock", "vertexai")
)
"""Entry points of `opentelemetry_instrumentor` that record a language model client, from any vendor."""

MAKERS = ("opentelemetry-instrumentation-genai-", "openinference-", "opentelemetry-")
"""Prefixes of instrumentation packages, in order of preference: those with the current `gen_ai.*` names, then those whose names change
least. The last prefix covers OpenTelemetry's older ones and Traceloop's."""

TRACES_ITSELF = {"anthropic": 2}
"""Clients that record their own calls, from this major version on."""

CONTENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
"""Makes OpenTelemetry's instrumentations put prompts and answers on their spans, unless the environment says otherwise."""

FRAMEWORKS = {
    "genesis": "genesis_otel.instrumentation.genesis",
    "gepa": "genesis_otel.instrumentation.gepa",
    "openevolve": "genesis_otel.instrumentation.openevolve",
    "shinka": "genesis_otel.instrumentation.shinka",
}


def instrument(
    *,
    task: str | None = None,
    objectives: Mapping[str, str] | None = None,
    stop_over_budget: bool | None = None,
) -> dict[str, str]:
    """Record every supported language model client and framework that is installed.

    :param task: what is evolved, for a framework's runs; by default the framework's own name for it.
    :param objectives: metrics and whether more (``max``) or less (``min``) of each is better, for a framework's runs.
    :param stop_over_budget: whether a framework's search ends at its next step once it has cost more than its budget; by default as
        set by ``configure()`` or ``GENESIS_OTEL_STOP_OVER_BUDGET``, else false.
    :return: what is now recorded, each with the package and version that records it.
    """
    found = {**_clients(), **_frameworks(task, objectives, stop_over_budget)}
    if found:
        log.info("recorded: %s", ", ".join(f"{name} (by {maker})" for name, maker in found.items()))
    else:
        log.warning(
            "instrument() found nothing to record: install an instrumentation of your client, "
            "for example opentelemetry-instrumentation-genai-openai"
        )
    return found


def _clients() -> dict[str, str]:
    for name, value in CONTENT.items():
        os.environ.setdefault(name, value)
    offered: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group="opentelemetry_instrumentor"):
        client = entry.name.lower().replace("_", "-")
        if client in CLIENTS:
            offered.setdefault(client, []).append(entry)
    found = {client: f"{client} {major}" for client, major in _tracing_themselves().items()}
    for client in sorted(set(offered) - set(found)):
        maker = _start(client, sorted(offered[client], key=_preference))
        if maker:
            found[client] = maker
    if "openai" in found:
        charged.watch()
    return found


def _tracing_themselves() -> dict[str, str]:
    known = {client: version(client) for client in TRACES_ITSELF if find_spec(client) is not None}
    return {client: told for client, told in known.items() if int(told.split(".")[0]) >= TRACES_ITSELF[client]}


def _preference(entry: EntryPoint) -> int:
    name = entry.dist.name if entry.dist else ""
    return next((rank for rank, maker in enumerate(MAKERS) if name.startswith(maker)), len(MAKERS))


def _start(client: str, entries: list[EntryPoint]) -> str:
    """Start the first instrumentation that works, unless one is active; returns the active one's name, or ''."""
    loaded = []
    for entry in entries:
        try:
            loaded.append((entry, entry.load()()))
        except ImportError:
            continue  # the client itself is not installed
        except Exception as error:
            pass_on(error)
            warn_once(f"load {entry.value}", "%s cannot be loaded", entry.value, exc_info=True)
    for entry, instrumentor in loaded:
        if instrumentor.is_instrumented_by_opentelemetry:
            return _maker(entry)
    for entry, instrumentor in loaded:
        try:
            # An instrumentation refuses client versions that it does not support, and logs that.
            instrumentor.instrument()
            if instrumentor.is_instrumented_by_opentelemetry:
                return _maker(entry)
        except Exception as error:
            pass_on(error)
            warn_once(f"start {entry.value}", "%s could not be started and does not record %s", entry.value, client)
    return ""


def _maker(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _frameworks(
    task: str | None, objectives: Mapping[str, str] | None, stop_over_budget: bool | None
) -> dict[str, str]:
    found = {}
    for name, module in FRAMEWORKS.items():
        if find_spec(name) is None:
            continue
        try:
            framework = importlib.import_module(module)
            is_meant = getattr(framework, "is_installed", None)
            if is_meant is not None and not is_meant():
                continue  # another package with that name
            framework.instrument(task=task, objectives=objectives, stop_over_budget=stop_over_budget)
            found[name] = f"genesis-otel {__version__}"
        except Exception as error:
            pass_on(error)
            warn_once(f"framework {name}", "%s is not recorded", name, exc_info=True)
    return found


# --- opentelemetry-instrument -----------------------------------------------------------------------------------------

_wanted = False


class Instrumentor:
    """Started by `opentelemetry-instrument`, unless `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` names `genesis_otel`."""

    def instrument(self, **_: object) -> None:
        """Configure this process if one of our settings is in its environment: merely having the package installed records nothing."""
        global _wanted
        _wanted = True
        if any(name.startswith("GENESIS_OTEL_") or name == "CLICKHOUSE_URL" for name in os.environ):
            from genesis_otel.configuration import ensure_configured

            ensure_configured()


def instrument_after_others() -> None:
    """Instrument what is left, after all other instrumentations: so each client has one, and a framework sees who records its calls."""
    if _wanted:
        instrument()
