"""What counts as a failed evaluation in OpenEvolve, and how it is described."""

from __future__ import annotations

from typing import Any

import pytest

from genesis_otel.instrumentation._openevolve.outcome import failure

RAISED = {"stderr": "bad", "traceback": "Traceback (most recent call last):\n  File ...\nValueError: bad\n"}


@pytest.mark.parametrize(
    ("metrics", "artifacts", "own", "expected"),
    [
        ({"combined_score": 0.0}, {}, {}, ""),
        ({"error": 0.0}, RAISED, {}, "ValueError: bad"),
        ({"error": 0.0}, {}, {}, "no metrics"),
        ({}, {}, {}, "no metrics"),
        ({"error": "no result", "combined_score": 0.0}, {}, {}, "no result"),
        ({"error": "", "combined_score": 0.5}, {}, {}, ""),
        ({"error": None, "combined_score": 0.5}, {}, {}, ""),
        ({"error": 0.0, "timeout": True}, {"timeout_duration": 3}, {}, "timeout after 3 s"),
        # A model's rating of a failed program's code is not a score of the program.
        ({"error": 0.0, "llm_quality": 0.7, "llm_average": 0.7}, RAISED, {}, "ValueError: bad"),
        ({"error": 0.0, "stage1_passed": 0.0}, {}, {"failure_stage": "stage1", **RAISED}, "stage1: ValueError: bad"),
        (
            {"combined_score": 0.6, "stage2_passed": 0.0},
            {},
            {"failure_stage": "stage2", "stage2_stderr": "worse"},
            "stage2: worse",
        ),
        (
            {"combined_score": 0.6, "stage3_passed": 0.0, "timeout": True},
            {"timeout_duration": 9},
            {"failure_stage": "stage3", "stage3_timeout": True},
            "stage3: timeout after 9 s",
        ),
        # An error value to minimise, and none at all.
        ({"error": 0.25, "combined_score": -0.25}, {}, {}, ""),
        ({"error": 0.0, "combined_score": 1.0}, {}, {}, ""),
        ({"error": 0.0, "combined_score": 0.0}, {}, {}, "no reason given"),
        # An earlier attempt failed, and OpenEvolve keeps its artifacts.
        ({"combined_score": 0.5}, {"failure_stage": "evaluation", "attempt": 1, **RAISED}, {}, ""),
    ],
)
def test_a_failure_is_recognised_by_metrics_and_artifacts(
    metrics: dict[str, Any], artifacts: dict[str, Any], own: dict[str, Any], expected: str
) -> None:
    """OpenEvolve's own phrases for a failure, including a stage's, and evaluators' metrics that only look like one."""
    assert failure(metrics, artifacts, own) == expected
