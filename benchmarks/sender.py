"""A synthetic search for benchmarks: it starts and ends spans as fast as it can and sends them where the environment says.

Run only by the benchmarks, in a separate process and with the package of any commit on the path. In: ``ready`` is printed when all
attributes are prepared; a line on standard input starts it. Out: seconds of CPU of the emitting thread; another line ends the process.

A unit's spans end before the next unit's start: a search has tens of open spans, not thousands, and code that compares an ended span with
all open ones would otherwise be measured in an unrealistic case.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from shapes import SHAPES

QUEUE = 1_000_000
"""Queue size of the SDK's processor: its default of 2,048 drops most of a burst, which is fast but not comparable."""


def provider_of(way: str) -> trace.TracerProvider:
    """Set up with ``configure()``, or as in OpenTelemetry's own documentation."""
    if way == "configured":
        import genesis_otel

        return genesis_otel.configure().provider
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=QUEUE))
    return provider


def main() -> None:
    """Start and end spans, then wait to be stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("configured", "plain"))
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("units", type=int)
    given = parser.parse_args()
    tracer = provider_of(given.way).get_tracer("benchmark")
    units = [list(SHAPES[given.shape].spans(number)) for number in range(given.units)]
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.thread_time()
    for unit in units:
        for span in [tracer.start_span(made.name, kind=made.kind, attributes=made.attributes) for made in unit]:
            span.end()
    print(time.thread_time() - begun, flush=True)
    sys.stdin.readline()
    os._exit(0)  # what waits at exit is not what is measured


if __name__ == "__main__":
    main()
