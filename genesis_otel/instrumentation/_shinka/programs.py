"""What ShinkaEvolve's objects say: programs and their metadata, results folders, and the state of the model selection.

In: objects of shinka's, which are read and not changed. Out: values for spans. On failure: an unreadable file is None or empty;
anything else raises, and the caller logs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KEPT = (
    "patch_name",
    "model_name",
    "num_applied",
    "novelty_attempt",
    "resample_attempt",
    "patch_attempt",
    "novelty_checks_performed",
    "max_similarity",
    "system_prompt_id",
    "failure_stage",
    "failure_class",
)
"""The metadata of a program or a failed proposal that goes into ``individuals.metadata``."""

NOTHING = (None, "", "none")
"""What shinka stores if a model did not describe its patch."""


def priced(cost: float | None) -> float | None:
    """shinka's cost. Its 0 may mean that it has no price: then the cost of the calls counts."""
    return cost or None


def metrics_of(program: Any) -> dict[str, Any]:
    """Public and private metrics together."""
    return {**(program.private_metrics or {}), **(program.public_metrics or {})}


def ids(programs: Iterable[Any]) -> list[str]:
    """The ids of programs; ids are returned unchanged."""
    return [str(getattr(each, "id", each)) for each in programs if each is not None]


def read(path: Path) -> str | None:
    """A file's text, if the file exists."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def last_line(text: object) -> str:
    """The last line that an evaluator printed."""
    lines = str(text or "").strip().splitlines()
    return lines[-1] if lines else ""


def without_score(stderr: object, timing: Mapping[str, Any], limit: object) -> str:
    """Why an evaluation left no score, as far as that is known: its exception, or its time limit; what else it printed last is no reason.

    :param timing: a program's metadata.
    :param limit: shinka's ``HH:MM:SS``, which it counts from the beginning of the proposal.
    """
    said, last = "the evaluator left no score", last_line(stderr)
    if TRACEBACK in str(stderr or ""):
        return last
    begun, ended = timing.get("pipeline_started_at"), timing.get("evaluation_finished_at")
    parts = str(limit or "").split(":")
    if isinstance(begun, float) and isinstance(ended, float) and len(parts) == 3 and all(map(str.isdigit, parts)):
        hours, minutes, seconds = map(int, parts)
        if ended - begun > hours * 3600 + minutes * 60 + seconds:
            said = f"{said}, and shinka's time limit of {limit} had passed"
    return f"{said}; the last line that it printed: {last}" if last else said


TRACEBACK = "Traceback (most recent call last)"


def noted_run(note: Path) -> str | None:
    """The run that was recorded in a results folder."""
    try:
        found = json.loads(note.read_text(encoding="utf-8")).get("run_id")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def task_name(evaluator: str, results: Path) -> str:
    """The name of the evaluator's folder, which is how shinka's examples are named."""
    folder = Path(evaluator).absolute().parent
    return "shinka" if not evaluator or folder == results else folder.name or "shinka"


def chances(program: Any) -> dict[str, float]:
    """Each model's probability of being chosen for a program, as its bandit had it at that time (``posterior``)."""
    told = (program.metadata or {}).get("llm_result")
    found = told.get("model_posteriors") if isinstance(told, dict) else None
    return {str(model): float(chance) for model, chance in found.items()} if isinstance(found, dict) else {}


def arms(bandit: Any, likely: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """What a bandit knows of each model, by its own names, and each one's latest probability; the bandit's random state is not touched."""
    state = bandit.get_state()
    names = list(state.get("arm_names") or ())
    columns = {
        name: list(values) for name, values in state.items() if hasattr(values, "__len__") and name != "arm_names"
    }
    return {
        str(model): {name: float(values[at]) for name, values in columns.items() if len(values) == len(names)}
        | ({"posterior": likely[str(model)]} if str(model) in likely else {})
        for at, model in enumerate(names)
    }


def stopped_by(runner: Any) -> str:
    """Why no further proposals were started, if not because all were stored."""
    if runner.cost_limit_reached:
        return "cost_limit"
    if runner.completed_generations >= runner.evo_config.num_generations:
        return ""
    if runner.stuck_detection_count >= runner.max_stuck_detections:
        return "stuck"
    return "generation_budget"
