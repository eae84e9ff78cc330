"""Keeps individuals safe on disk while their generation holds them until its Pareto front is known.

In: the calls of :class:`genesis_otel._emit.tally.Holder`. Out: each held individual in the spool's folder (:mod:`hold`), as it
should be stored if its process died now: then whoever drains the folder delivers it, with ``is_pareto`` as known at its
end. On failure: logged once; the individual is still held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.spool.hold import Hold


class HeldIndividuals:
    """Keeps held individuals in a spool's folder, one file per generation.

    :param folder: the spool's folder.
    :param finish: completes spans as they should be stored.
    :param encode: encodes them as records, as the spool's processor does.
    """

    def __init__(self, folder: Path, finish: LLMSpanProcessor, encode: Callable[[ReadableSpan], bytes]) -> None:
        self._folder, self._finish, self._encode = folder, finish, encode
        self._holds: dict[int, Hold] = {}

    def on_hold(self, of: object, span: Any, attributes: Mapping[str, Any], end_time: int) -> None:
        """Put a held individual on disk, if it is a sampled span of the SDK."""
        try:
            if isinstance(span, Span) and span.context.trace_flags.sampled:
                hold = self._holds.get(id(of)) or self._holds.setdefault(id(of), Hold(self._folder))
                hold.keep(_key(span), self._encode(self._finish.as_held(span, attributes, end_time)))
        except Exception as error:
            pass_on(error)
            warn_once("hold", "A held individual could not be put on disk, and waits in memory only", exc_info=True)

    def on_release(self, of: object, span: Any) -> None:
        """The individual is now in the spool."""
        self._with_hold(of, lambda hold: hold.release(_key(span)))

    def on_all_released(self, of: object) -> None:
        """The generation no longer holds any individuals."""
        self._with_hold(of, Hold.close)
        self._holds.pop(id(of), None)

    def _with_hold(self, of: object, act: Any) -> None:
        hold = self._holds.get(id(of))
        try:
            if hold is not None:
                act(hold)
        except Exception as error:
            pass_on(error)
            warn_once("release", "A held individual may be delivered twice; it is stored once", exc_info=True)


def _key(span: Span) -> bytes:
    return int(span.context.span_id).to_bytes(8, "big")
