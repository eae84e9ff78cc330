"""The id generator that brings flat calls and other processes together in one trace.

In: the ids that :mod:`genesis_otel.spans` derives from a run's id and a generation's number, passed in the current
OpenTelemetry context. Out: those ids for the span they are meant for, random ids for all others. On failure: random ids.

The random ids come from the operating system. The SDK's own generator uses Python's ``random``, which searches seed and
forks copy: then sibling workers, or a search and its repetition, would produce spans with the same ids.
"""

from __future__ import annotations

import os
import struct

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
        return ids[0] if ids is not None else _random() << 64 | _random()

    def generate_span_id(self) -> int:
        """The span id derived for the span being started, or a random one."""
        ids = _derived()
        return ids[1] if ids is not None else _random()

    def is_trace_id_random(self) -> bool:
        """True: the derived ids are parts of a SHA-256, and so evenly distributed that samplers based on them work."""
        return True


def _derived() -> tuple[int, int] | None:
    """The ids derived for the span being started; None for a span that a signal handler starts meanwhile."""
    ids = context.get_value(IDS)
    return None if not isinstance(ids, tuple) or handler_within(start_root.__code__) else ids


_numbers: list[int] = []
"""Random numbers of 64 bits, fetched by the hundred, since each request is a system call."""


def _random() -> int:
    numbers = _numbers
    while True:
        try:
            # Zero is not a valid id.
            return numbers.pop() or 1
        except IndexError:
            numbers.extend(struct.unpack("<128Q", os.urandom(1024)))


def _forked() -> None:
    # Another list, rather than an empty one: a signal handler may have forked just before the parent's numbers are added to it.
    global _numbers
    _numbers = []


os.register_at_fork(after_in_child=_forked)
