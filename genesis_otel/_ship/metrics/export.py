"""Chooses where metrics go: the application's meter provider, or one created from ``OTEL_METRICS_EXPORTER``.

In: the environment variables of OpenTelemetry's SDK, and the resource of this process's spans. Out: a meter provider, or None if nobody
asked for metrics; then nothing of the SDK's metrics is loaded and nothing is measured. On failure: an unknown exporter name, or
an exporter that cannot be created, is logged once, and there are no metrics; spans are still recorded.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import metrics
from opentelemetry.sdk.resources import Resource

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import first_line, warn_once

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter

INSTANCE = "service.instance.id"


def provider_set() -> metrics.MeterProvider | None:
    """The SDK meter provider that the application has set, if any."""
    sdk = sys.modules.get("opentelemetry.sdk.metrics")
    provider = metrics.get_meter_provider() if sdk is not None else None
    return provider if sdk is not None and isinstance(provider, sdk.MeterProvider) else None


def make_provider(resource: Resource) -> MeterProvider | None:
    """A provider with the exporters that ``OTEL_METRICS_EXPORTER`` names, set as the process's own; None if it names none."""
    named = [each.strip() for each in os.environ.get("OTEL_METRICS_EXPORTER", "").split(",")]
    named = [each for each in named if each and each != "none"]
    if not named:
        return None
    from opentelemetry.sdk.metrics import MeterProvider

    try:
        readers = [_reader(name) for name in named]
    except Exception as error:
        pass_on(error)
        warn_once("metrics", "there are no metrics: OTEL_METRICS_EXPORTER=%s: %s", ",".join(named), first_line(error))
        return None
    if INSTANCE not in resource.attributes:
        resource = resource.merge(Resource({INSTANCE: str(uuid.uuid4())}))
    # Shut down by Telemetry.shutdown, with a timeout.
    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider


def _reader(name: str) -> Any:
    from importlib.metadata import entry_points

    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    known = {each.name: each for each in entry_points(group="opentelemetry_metrics_exporter")}
    wanted = _otlp() if name == "otlp" else name
    if wanted not in known:
        raise ValueError(f"{name} is not installed; available: {', '.join(sorted(known))}")
    kind = known[wanted].load()
    # Prometheus's reader is scraped; the other exporters push.
    return kind() if issubclass(kind, MetricReader) else PeriodicExportingMetricReader(_of_this_process(kind()))


def _of_this_process(exporter: MetricExporter) -> MetricExporter:
    """Keep an exporter from sending in a forked child, where the SDK's reader would go on with the parent's values, in its name."""
    from opentelemetry.sdk.metrics.export import MetricExportResult

    pid, export = os.getpid(), exporter.export

    def export_here(metrics_data: Any, *arguments: Any, **named: Any) -> Any:
        if os.getpid() != pid:
            return MetricExportResult.SUCCESS
        return export(metrics_data, *arguments, **named)

    exporter.export = export_here  # type: ignore[method-assign]
    return exporter


def _otlp() -> str:
    """The OTLP exporter, by the same rule as for spans: the protocol set, else gRPC on port 4317 and HTTP on any other."""
    asked = os.environ.get
    told = asked("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or asked("OTEL_EXPORTER_OTLP_PROTOCOL")
    endpoint = asked("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or asked("OTEL_EXPORTER_OTLP_ENDPOINT")
    port = urlsplit(endpoint).port if endpoint else 4317
    return "otlp_proto_grpc" if (told == "grpc" if told else port == 4317) else "otlp_proto_http"
