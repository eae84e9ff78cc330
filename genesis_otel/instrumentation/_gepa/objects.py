"""What GEPA's own objects say: an engine's set-up, a state's scores, a candidate's text.

In: the engine, the state and the candidates of GEPA 0.1; they are read, and never kept. Out: plain values. On failure: what a version
lacks raises, and is logged by the hook that asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Candidate = Mapping[str, str]
"""A text by component."""


def code_of(candidate: Candidate) -> str:
    """The text of a candidate with one component; of several, their JSON."""
    return next(iter(candidate.values())) if len(candidate) == 1 else json.dumps(dict(candidate), indent=2)


def metrics_of(state: Any, number: int) -> dict[str, Any]:
    """The means of the objectives, and the score on each validation example."""
    objectives = dict(state.prog_candidate_objective_scores[number] or {})
    return {
        **objectives,
        "scores": {str(key): score for key, score in state.prog_candidate_val_subscores[number].items()},
    }


def config_of(engine: Any) -> dict[str, Any]:
    """How a search was set up."""
    proposer, lm = engine.reflective_proposer, getattr(engine.reflective_proposer, "reflection_lm", None)
    return {
        "seed": engine.seed,
        "frontier_type": engine.frontier_type,
        "perfect_score": engine.perfect_score,
        "components": sorted(engine.seed_candidate),
        "merge": engine.merge_proposer is not None,
        "adapter": type(engine.adapter).__name__,
        "candidate_selector": type(proposer.candidate_selector).__name__,
        "acceptance_criterion": type(getattr(engine, "acceptance_criterion", None)).__name__,
        "reflection_lm": getattr(lm, "model", None),
        "trainset_size": len(proposer.trainset),
        "valset_size": len(engine.valset) if engine.valset is not None else None,
        "max_metric_calls": limit_of(engine.stop_callback, "max_metric_calls"),
        # OpenEvolve's name: readers derive the expected number of generations from it.
        "max_iterations": limit_of(engine.stop_callback, "max_proposals"),
    }


def limit_of(stopper: Any, name: str) -> int | None:
    """A search's limit on something, if one of its stoppers sets one."""
    several = [stopper, *(getattr(stopper, "stoppers", None) or ())]
    allowed = [getattr(each, name, None) for each in several]
    return min((each for each in allowed if type(each) is int), default=None)
