"""How an evaluation of OpenEvolve's went: whether it failed, why, and in which stage of a cascade.

In: the metrics and artifacts that OpenEvolve makes of it. Out: why it failed, in one line; empty if it did not. On failure: nothing
raises that is a mapping.

OpenEvolve has no word of its own for a failure. An evaluator that raises or gives no metrics leaves ``{"error": 0.0}``, a time limit
``timeout: True``. A later stage of a cascade that fails leaves the metrics of the stages before, and says so in the artifacts alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

STAGE = "failure_stage"
"""OpenEvolve's name for the stage that failed; evaluators of its examples use it, too."""

attempt: ContextVar[dict[str, Any]] = ContextVar("attempt")
"""The artifacts of the attempt that is under way, if it fails. Those that OpenEvolve keeps for a program may be of an attempt before, which failed
and was tried again."""


def attempted(result: object) -> None:
    """Note what an attempt, or a stage of it, came to if that is a failure; where somebody wants to know."""
    own, artifacts = attempt.get(None), getattr(result, "artifacts", None)
    if own is not None and isinstance(artifacts, Mapping) and artifacts.get(STAGE):
        own.update(artifacts)


def failure(
    metrics: Mapping[str, Any], artifacts: Mapping[str, Any] | None = None, own: Mapping[str, Any] | None = None
) -> str:
    """Why an evaluation failed; empty if it did not.

    :param artifacts: those that OpenEvolve keeps for the program.
    :param own: those of the last attempt.
    """
    artifacts, own = artifacts or {}, own or {}
    stage = own.get(STAGE)
    stage = stage if isinstance(stage, str) else ""
    where = f"{stage}: " if stage else ""
    if metrics.get("timeout") is True or own.get(f"{stage}_timeout") is True:
        return f"{where}timeout after {artifacts.get('timeout_duration', '?')} s"
    if not stage and not is_failed(metrics):
        return ""
    error = metrics.get("error")
    if isinstance(error, str) and error:
        return f"{where}{error}"
    artifacts = {**artifacts, **own}
    trace = str(artifacts.get(f"{stage}_traceback") or artifacts.get("traceback") or "").strip().splitlines()
    said = trace[-1] if trace else str(artifacts.get(f"{stage}_stderr") or artifacts.get("stderr") or "")
    return f"{where}{said.strip() or 'evaluation failed'}"


def is_failed(metrics: Mapping[str, Any]) -> bool:
    """Whether metrics are those of a failure. A number that is called ``error`` beside others is one of them, as of a search that
    minimises it: OpenEvolve's own word for a failure is 0 beside nothing, and evaluators write it beside zeros."""
    error = metrics.get("error")
    if error is None or error is False or error == "":
        return False
    if isinstance(error, bool) or not isinstance(error, (int, float)):
        return True
    others = [
        value
        for name, value in metrics.items()
        if name != "error"
        # What OpenEvolve adds to the metrics of a failure.
        and not name.startswith("llm_")
        and not name.endswith("_passed")
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
    ]
    return not others or not (error or any(others))
