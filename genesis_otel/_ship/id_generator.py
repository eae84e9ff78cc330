"""The id generator that brings flat calls and other processes together in one trace.

In: the ids that :mod:`genesis_otel.spans` derives from a run's id and a generation's number, passed in the current
OpenTelemetry context. Out: those ids for the span they are meant for, random ids for all others. On failure: random ids.

The random ids come from the operating system. The SDK's own generator uses Python's ``random``, which searches seed and
forks copy: then sibling workers, or a search and its repetition, would produce spans with the same ids.
"""

from __future__ import annotations

import os

from opentelemetry import context
from opentelemetry.sdk.trace.id_generator import IdGenerator

from genesis_otel._emit.context import IDS, start_root
from genesis_otel._emit.interruption import handler_within


class DerivedIdGenerator(IdGenerator):
    """For ``TracerProvider(id_generator=DerivedIdGenerator())``."""

    derives = True
    """Tells :mod:`genesis_otel.spans` that this generator uses the ids in the context."""

    def generate_trace_id(self) -> int:
        """The trace id derived for the span being started, or a random one."""
        ids = _derived()
        return ids[0] if ids is not None else _random(16)

    def generate_span_id(self) -> int:
        """The span id derived for the span being started, or a random one."""
        ids = _derived()
        return ids[1] if ids is not None else _random(8)

    def is_trace_id_random(self) -> bool:
        """True: the derived ids are parts of a SHA-256, and so evenly distributed that samplers based on them work."""
        return True


def _derived() -> tuple[int, int] | None:
    """The ids derived for the span being started; None for a span that a signal handler starts meanwhile."""
    ids = context.get_value(IDS)
    return None if not isinstance(ids, tuple) or handler_within(start_root.__code__) else ids


def _random(size: int) -> int:
    # Zero is not a valid id.
    return int.from_bytes(os.urandom(size), "big") or 1
