"""The id generator that lets flat calls and other processes meet in one trace.

In: the ids that :mod:`genesis_otel.spans` derives from a run's id and a generation's number, passed in the current
OpenTelemetry context. Out: these for the span that they are meant for, random ids for all others. On failure: random ids.

The random ids come from the system. The SDK's own generator draws them from Python's ``random``, which searches seed and
forks copy: then spans of a worker and of its sibling, or of a search and of its repetition, have the same ids.
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
    """Says to :mod:`genesis_otel.spans` that ids put into the context are taken."""

    def generate_trace_id(self) -> int:
        """The trace id that was derived for the span that is being started, or a random one."""
        ids = _told()
        return ids[0] if ids is not None else _random(16)

    def generate_span_id(self) -> int:
        """The span id that was derived for the span that is being started, or a random one."""
        ids = _told()
        return ids[1] if ids is not None else _random(8)

    def is_trace_id_random(self) -> bool:
        """True: the derived ids are parts of a SHA-256 and as evenly spread, so that samplers that go by them work."""
        return True


def _told() -> tuple[int, int] | None:
    """The ids that were derived for the span that is being started; not for one that a signal handler starts meanwhile."""
    ids = context.get_value(IDS)
    return None if not isinstance(ids, tuple) or handler_within(start_root.__code__) else ids


def _random(size: int) -> int:
    # Zero is no id.
    return int.from_bytes(os.urandom(size), "big") or 1
