"""Individuals that their generation holds until its front is known: safe on disk meanwhile.

In: what :class:`genesis_otel._emit.tally.Holder` is told. Out: each held individual in the spool's folder (:mod:`hold`), as it
would be stored if its process died now: then whoever drains the folder delivers it, with ``is_pareto`` as it was known at its
end. On failure: said once; the individual is held in memory all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span

from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.values import warn_once
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.spool.hold import Hold


class HeldIndividuals:
    """Keeps them in a spool's folder, a file for each generation.

    :param folder: the spool's.
    :param finish: makes spans what they should be stored as.
    :param encode: makes records of them, as the spool's processor does.
    """

    def __init__(self, folder: Path, finish: LLMSpanProcessor, encode: Callable[[ReadableSpan], bytes]) -> None:
        self._folder, self._finish, self._encode = folder, finish, encode
        self._holds: dict[int, Hold] = {}

    def on_hold(self, of: object, span: Any, attributes: Mapping[str, Any], end_time: int) -> None:
        """Put it on disk; what is no span of the SDK's, or is not recorded, is nobody's to keep."""
        try:
            if isinstance(span, Span) and span.context.trace_flags.sampled:
                hold = self._holds.get(id(of)) or self._holds.setdefault(id(of), Hold(self._folder))
                hold.keep(_key(span), self._encode(self._finish.as_held(span, attributes, end_time)))
        except Exception as error:
            pass_on(error)
            warn_once("hold", "A held individual could not be put on disk, and waits in memory alone", exc_info=True)

    def on_release(self, of: object, span: Any) -> None:
        """It is in the spool now."""
        self._told(of, lambda hold: hold.release(_key(span)))

    def on_all_released(self, of: object) -> None:
        """Nothing of the generation is held any more."""
        self._told(of, Hold.close)
        self._holds.pop(id(of), None)

    def _told(self, of: object, tell: Any) -> None:
        hold = self._holds.get(id(of))
        try:
            if hold is not None:
                tell(hold)
        except Exception as error:
            pass_on(error)
            warn_once("release", "A held individual may be delivered twice; it is stored once", exc_info=True)


def _key(span: Span) -> bytes:
    return int(span.context.span_id).to_bytes(8, "big")
