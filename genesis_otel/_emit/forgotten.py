"""Warns, once, if ``configure()`` was forgotten.

In: the event that a run starts, or that a worker evaluates. Out: a warning, if spans go nowhere, nobody turned telemetry off, and the
SDK is installed: a library with only OpenTelemetry's API leaves that to its application. On failure: nothing here raises.
"""

from __future__ import annotations

import importlib.util
import os
import sys

from opentelemetry import trace

from genesis_otel._emit import configured
from genesis_otel._emit.context import tracer
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import printed, warn_once
from genesis_otel._truth import truth

REMEDY = "call genesis_otel.configure() first, or set GENESIS_OTEL_ENABLED=false"


def records() -> bool:
    """Whether spans go anywhere: without a provider, or with the SDK disabled, they are non-recording."""
    return not type(tracer()).__module__.startswith("opentelemetry.trace")


def at_run(run_id: str) -> None:
    """Warn if a run starts unrecorded."""
    if _nowhere():
        warn_once("forgotten", "Run %s is not recorded: %s", printed(run_id), REMEDY)


def in_worker(kind: str) -> None:
    """Warn if something starts unrecorded: in a pool's worker it belongs to a run that is recorded elsewhere."""
    # In a worker it is loaded; anywhere else loading it for this would take 3 ms.
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None and _nowhere():
        warn_once(
            "forgotten",
            "%s in a worker process is not recorded: %s; also give the worker a handle, or handle.environ()",
            kind,
            REMEDY,
        )


def _nowhere() -> bool:
    try:
        if configured.current() is not None or not type(trace.get_tracer_provider()).__module__.startswith(
            "opentelemetry.trace"
        ):
            return False
        enabled, disabled = (truth(os.environ.get(each)) for each in ("GENESIS_OTEL_ENABLED", "OTEL_SDK_DISABLED"))
        if enabled is False or disabled:
            return False
        return importlib.util.find_spec("opentelemetry.sdk") is not None
    except Exception as error:
        pass_on(error)
        return False
