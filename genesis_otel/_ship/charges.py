"""What providers say in their answers that a call was charged, until the call's span ends.

In: the id of an answer and the charge, from whoever sees the answer (``instrumentation/_charged.py``). Out: the charge, once, to the
span with that id. On failure: the call is priced by its tokens. No lock is taken, so that a fork finds none held.
"""

from __future__ import annotations

from genesis_otel._emit.values import keep

KEPT = 4_096
"""Answers whose span has not ended; those of nobody who records them stay until they are the oldest."""

_CHARGES: dict[str, list[float]] = {}
"""By the answer's id; several where an endpoint gives every answer the same one."""


def note(answer_id: str, charge: float) -> None:
    """An answer came, and said so."""
    keep(_CHARGES, answer_id, [*_CHARGES.get(answer_id, ()), charge], KEPT)


def take(answer_id: str) -> float | None:
    """The charge of an answer, to whoever asks first."""
    known = _CHARGES.get(answer_id)
    if not known:
        return None
    charge, *rest = known
    if rest:
        _CHARGES[answer_id] = rest
    else:
        _CHARGES.pop(answer_id, None)
    return charge
