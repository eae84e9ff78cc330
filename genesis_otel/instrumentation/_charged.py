"""Reads OpenRouter's charges from the answers that OpenAI's client receives, which OpenTelemetry's instrumentations leave out.

In: every answer, and every chunk of one, on its way through the client. Out: ``usage.cost`` on the current call's span,
or, for a stream, noted under the answer's id until its span ends. On failure: the call goes on, and is priced by its tokens; a client
without the method is left unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Span

from genesis_otel import attributes as names
from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import warn_once
from genesis_otel._ship.calls import charges
from genesis_otel._ship.calls.llm_names import charge_of, is_llm_call

METHOD = "_process_response_data"
"""The method of OpenAI's client that turns an answer, or a stream's chunk, into an object. It is private; no public hook sees both."""
MARK = "genesis_otel_reads_charges"


def watch() -> bool:
    """Read the charges from now on, in every client of this process; false if OpenAI's client is missing or lacks the method."""
    try:
        from openai._base_client import BaseClient
    except ImportError:
        return False
    process = getattr(BaseClient, METHOD, None)
    if process is None:
        warn_once(
            "charges",
            "OpenRouter's charges cannot be read from this version of openai; calls are priced by their tokens",
        )
        return False
    if hasattr(process, MARK):
        return True

    @functools.wraps(process)
    def reading(self: Any, *args: Any, **told: Any) -> Any:
        _read(told.get("data"))
        return process(self, *args, **told)

    setattr(reading, MARK, True)
    setattr(BaseClient, METHOD, reading)
    return True


def stop() -> None:
    """Restore the clients."""
    from openai._base_client import BaseClient

    reading = getattr(BaseClient, METHOD, None)
    if hasattr(reading, MARK):
        setattr(BaseClient, METHOD, reading.__wrapped__)  # type: ignore[union-attr]


def _read(data: object) -> None:
    try:
        if not isinstance(data, Mapping):
            return
        # An event of a Responses stream contains the answer.
        inside = data.get("response")
        answer = inside if isinstance(inside, Mapping) else data
        charge = charge_of(answer.get("usage"))
        if not charge or charge < 0:
            return
        current = trace.get_current_span()
        if isinstance(current, Span) and current.is_recording() and is_llm_call(current.attributes or {}):
            current.set_attributes({names.GEN_AI_USAGE_COST: charge, names.LLM_COST_SOURCE: names.COST_OPENROUTER})
        elif isinstance(answer.get("id"), str):
            charges.note(answer["id"], charge)
    except Exception as error:
        pass_on(error)
        warn_once("charge", "A charge could not be read; the call is priced by its tokens", exc_info=True)
