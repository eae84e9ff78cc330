"""Determines how an OpenEvolve evaluation went: whether it failed, why, and in which stage of a cascade.

In: OpenEvolve's metrics and artifacts of the evaluation. Out: why it failed, in one line; empty if it did not. On failure: no
mapping makes this raise.

OpenEvolve does not mark failures explicitly. An evaluator that raises, or returns something other than metrics, leaves
``{"error": 0.0}``, a timeout ``timeout: True``; empty metrics stay empty. A later stage of a cascade that fails leaves the metrics of
the earlier stages, and appears only in the artifacts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

STAGE = "failure_stage"
"""OpenEvolve's key for the failed stage; the evaluators in its examples use it, too."""

attempt: ContextVar[dict[str, Any]] = ContextVar("attempt")
"""The artifacts of the current attempt, if it fails. Those that OpenEvolve keeps for a program may be from an earlier attempt, which
failed and was retried."""


def attempted(result: object) -> None:
    """Note the artifacts of an attempt, or of a stage of it, if it failed and its outcome is being recorded."""
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
    return f"{where}{said.strip() or ('no reason given' if set(metrics) - {'error'} else 'no metrics')}"


def is_failed(metrics: Mapping[str, Any]) -> bool:
    """Whether metrics are those of a failure: none at all, which OpenEvolve never prefers to any others although it scores them as 0.
    A number named ``error`` beside others is an ordinary metric, as in a search that minimises it: OpenEvolve itself marks a failure
    by 0 and no other metric, and evaluators write it beside zeros."""
    if not metrics:
        return True
    error = metrics.get("error")
    if error is None or error is False or error == "":
        return False
    if isinstance(error, bool) or not isinstance(error, (int, float)):
        return True
    others = [
        value
        for name, value in metrics.items()
        if name != "error"
        # Added by OpenEvolve to the metrics of a failure.
        and not name.startswith("llm_")
        and not name.endswith("_passed")
        and isinstance(value, (int, float))
        and not isinstance(value, bool)
    ]
    return not others or not (error or any(others))
