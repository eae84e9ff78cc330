"""How an evaluation of GEPA's ended, on its span.

In: an open evaluation, and what GEPA's adapter returned or raised. Out: its scores, the errors of its examples, and its end. On failure: what
an adapter's result lacks raises; the caller is quiet about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from genesis_otel import spans

ERRORS = 3
"""How many errors of examples an evaluation names; it counts all of them."""


def ended(evaluation: spans.Evaluation, result: Any) -> None:
    """Record a result: GEPA's ``EvaluationBatch``, or a tuple. An evaluation all of whose examples failed has failed."""
    scores = list(result[1] if isinstance(result, tuple) else result.scores)
    details: dict[str, Any] = {"scores": scores}
    # How each example's evaluation went: to GEPA, a failed one has a score like any other.
    told = getattr(result, "trajectories", None) or ()
    errors = [str(each["error"]) for each in told if isinstance(each, Mapping) and each.get("error")]
    if errors:
        details |= {"failed_examples": len(errors), "errors": errors[:ERRORS]}
    evaluation.result(combined_score=sum(scores) / len(scores) if scores else None, details=details)
    if errors and len(errors) == len(scores):
        evaluation.fail(errors[0])


def ending(evaluation: spans.Evaluation) -> Callable[..., None]:
    """A function that ends an evaluation at the end of a block, with the exception that leaves the block."""

    def leave(kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            evaluation.fail(error)
        evaluation.end()

    return leave
