"""Where a span belongs, and how that crosses threads, processes and flat calls; uses only the OpenTelemetry API.

In: a run id, a generation's number, an individual's id, or the current OpenTelemetry context. Out: contexts that put
spans into the trace of their generation and name it in baggage. The ids of the first span of a run or generation
are derived from its name, so that processes that know nothing of each other meet in the same trace.
On failure: what cannot be read counts as unknown; nothing here raises.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import generation_number, keep, text
from genesis_otel._log import warn_once

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator

IDS = "genesis-otel-ids"
"""Key in the OpenTelemetry context: ``(trace_id, span_id)`` for the root span being started. The provider's id
generator (``_ship.id_generator.DerivedIdGenerator``) reads it."""

ENVIRONMENT_NAMES = ("traceparent", "tracestate", "baggage")


class Place(NamedTuple):
    """Where a span belongs; what is unknown is empty or None."""

    run_id: str = ""
    generation: int | str | None = None
    individual_id: str = ""
    guessed: bool = False
    """Whether the run is merely the only open one, in a thread that does not say where it belongs."""

    @classmethod
    def of(cls, get: Callable[[str], object]) -> Place:
        """The place that a span's attributes, or a context's baggage, name."""
        return cls(text(get(names.RUN_ID)), generation_number(get(names.GENERATION)), text(get(names.INDIVIDUAL_ID)))

    def attributes(self) -> dict[str, int | str]:
        """The known parts of the place, as span attributes."""
        found: dict[str, int | str] = {}
        if self.run_id:
            found[names.RUN_ID] = self.run_id
        if self.generation is not None:
            found[names.GENERATION] = self.generation
        if self.individual_id:
            found[names.INDIVIDUAL_ID] = self.individual_id
        return found


def derived_ids(run_id: str, generation: int | str | None = None) -> tuple[int, int]:
    """Trace and span id of the first span of a run or generation: the same in every process."""
    name = f"genesis-otel\0{run_id}" if generation is None else f"genesis-otel\0{run_id}\0{generation}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    # Zero is not a valid id.
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def derived_span_context(run_id: str, generation: int | str | None = None) -> SpanContext:
    """The span context of that first span, as another process sees it."""
    trace_id, span_id = derived_ids(run_id, generation)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def place_of(context: Context | None = None) -> Place:
    """The place named by the baggage of ``context`` (by default the current one)."""
    found = baggage.get_all(context)
    if not found:
        return Place()
    return Place.of(found.get)


def placed(context: Context, place: Place) -> Context:
    """``context`` with baggage that names exactly ``place``."""
    values = (place.run_id, "" if place.generation is None else str(place.generation), place.individual_id)
    present = baggage.get_all(context)
    for name, value in zip(names.CORRELATION, values, strict=True):
        if value:
            context = baggage.set_baggage(name, value, context)
        elif name in present:
            context = baggage.remove_baggage(name, context)
    return context


def derived_context(place: Place) -> Context:
    """The context of ``place`` for callers without a handle: a child of its generation's (or its run's) first span."""
    context = otel.get_current()
    if place.run_id:
        parent = NonRecordingSpan(derived_span_context(place.run_id, place.generation))
        context = trace.set_span_in_context(parent, context)
    return placed(context, place)


# --- starting spans ---------------------------------------------------------------------------------------------------

_TRACER: tuple[object, Tracer] | None = None


def tracer() -> Tracer:
    """This package's tracer of the global provider, whichever provider that is now."""
    global _TRACER
    provider = trace.get_tracer_provider()
    known = _TRACER
    if known is None or known[0] is not provider:
        known = _TRACER = (provider, provider.get_tracer(names.SCOPE))
    return known[1]


def start(
    name: str,
    context: Context,
    *,
    attributes: Mapping[str, str | int | float | bool] | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    start_time: int | None = None,
) -> Span:
    """Start a span of this package; a non-recording one if somebody's processor or sampler raises."""
    try:
        return tracer().start_span(name, context, kind, attributes, start_time=start_time)
    except Exception as error:
        pass_on(error)
        warn_once("start", "A span could not be started and was dropped", exc_info=True)
        return INVALID_SPAN


_ROOTED: dict[tuple[str, int | str | None], None] = {}
_ROOTED_LIMIT = 10_000


def start_root(
    name: str,
    place: Place,
    *,
    links: Sequence[Link] = (),
    start_time: int | None = None,
) -> Span:
    """Start the first span of a run or a generation, with ids derived from its name.

    If the provider chooses ids itself, or if this process starts the run or generation again (two spans must not share
    an id), the span becomes a child of that first one instead, which is in the same trace.
    """
    root = (place.run_id, place.generation)
    base = trace.set_span_in_context(INVALID_SPAN, otel.get_current())
    try:
        token: Token[Context] | None = None
        if place.run_id:
            generator = getattr(trace.get_tracer_provider(), "id_generator", None)
            if getattr(generator, "derives", False) is True and root not in _ROOTED:
                keep(_ROOTED, root, None, _ROOTED_LIMIT)
                token = otel.attach(otel.set_value(IDS, derived_ids(*root), base))
            else:
                base = trace.set_span_in_context(NonRecordingSpan(derived_span_context(*root)), base)
        try:
            return tracer().start_span(name, placed(base, place), links=links, start_time=start_time)
        finally:
            if token is not None:
                detach(token)
    except Exception as error:
        pass_on(error)
        warn_once("start", "A span could not be started and was dropped", exc_info=True)
        return INVALID_SPAN


def detach(token: Token[Context]) -> None:
    """Undo an attach; in a thread or task other than the one that attached, there is nothing to undo."""
    try:
        # The API's own detach would log an error there.
        token.var.reset(token)
    except (ValueError, RuntimeError):
        pass
    except AttributeError:
        # An implementation of contexts other than Python's own (OTEL_PYTHON_CONTEXT).
        otel.detach(token)


# --- crossing threads and processes -----------------------------------------------------------------------------------


@contextmanager
def attached(context: Context) -> Iterator[None]:
    """Make ``context`` current for a block: in a worker thread, or for what ``from_environment`` read."""
    token = otel.attach(context)
    try:
        yield
    finally:
        detach(token)


def environ(context: Context | None = None) -> dict[str, str]:
    """Environment variables (``TRACEPARENT``, ``TRACESTATE``, ``BAGGAGE``) that carry ``context``, by default the current
    one, into a subprocess."""
    carrier: dict[str, str] = {}
    try:
        for each in _propagators():
            each.inject(carrier, context)
    except Exception as error:
        pass_on(error)
        warn_once("environ", "The trace context could not be written into an environment", exc_info=True)
    return {name.upper(): value for name, value in carrier.items()}


@functools.cache
def _propagators() -> tuple[TextMapPropagator, ...]:
    # Imported here: many searches run in one process.
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator(), W3CBaggagePropagator()


def from_environment(environment: Mapping[str, str] | None = None) -> Context:
    """The context that ``environ()`` put into this process's environment (or ``environment``)."""
    found = os.environ if environment is None else environment
    carrier = {name: found[name.upper()] for name in ENVIRONMENT_NAMES if name.upper() in found}
    context = otel.get_current()
    try:
        for each in _propagators():
            context = each.extract(carrier, context)
    except Exception as error:
        pass_on(error)
        warn_once("environ", "The trace context in the environment could not be read", exc_info=True)
    return context
