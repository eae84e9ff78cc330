"""Keeps the charges that providers report in their answers until the calls' spans end.

In: an answer's id and charge, from whoever sees the answer (``instrumentation/_charged.py``). Out: the charge, once, for the
span with that id. On failure: the call is priced by its tokens. No lock is taken, so a fork never inherits a held one.
"""

from __future__ import annotations

from genesis_otel._emit.values import keep

KEPT = 4_096
"""Maximum answers kept whose span has not ended; those that nobody records stay until they are the oldest."""

_CHARGES: dict[str, list[float]] = {}
"""By answer id; several charges if an endpoint gives every answer the same id."""


def note(answer_id: str, charge: float) -> None:
    """Remember the charge that an answer reported."""
    keep(_CHARGES, answer_id, [*_CHARGES.get(answer_id, ()), charge], KEPT)


def take(answer_id: str) -> float | None:
    """The charge of an answer; only the first caller gets it."""
    known = _CHARGES.get(answer_id)
    if not known:
        return None
    charge, *rest = known
    if rest:
        _CHARGES[answer_id] = rest
    else:
        _CHARGES.pop(answer_id, None)
    return charge
