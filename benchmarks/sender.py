"""A search as benchmarks have it: it starts and ends spans as fast as it can, which go where the environment says.

Run by the benchmarks alone, in a process of its own and with the package of any commit on the path. In: ``ready`` is printed when all
attributes are there; a line on standard input begins. Out: seconds of CPU of the thread that did it; another line ends the process.

A unit's spans are ended before the next ones start: a search has tens of spans open and not thousands, and who compares an ended
span with all that are open would be measured at something that does not happen.
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
"""Spans that the SDK's processor may keep: its own 2,048 drop most of a burst, which is fast and no comparison."""


def provider_of(way: str) -> trace.TracerProvider:
    """What ``configure()`` sets up, or what OpenTelemetry's own documentation does."""
    if way == "configured":
        import genesis_otel

        return genesis_otel.configure().provider
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=QUEUE))
    return provider


def main() -> None:
    """Start and end spans, and wait to be ended."""
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
