"""Which run a checkpoint of OpenEvolve's belongs to: a file of ours within it.

In: the folder of a checkpoint. Out: the run's id, the iterations that it has completed, and the last one that the checkpoint holds. On
failure: a checkpoint without the file, or with one that cannot be read, belongs to no run that is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

NAME = "genesis_otel.json"


class Checkpoint(NamedTuple):
    """What a checkpoint says of its run."""

    run_id: str = ""
    completed: frozenset[int] = frozenset()
    last_iteration: int = 0


def save(folder: Path, run_id: str, completed: Iterable[int]) -> None:
    """Note in a checkpoint which run it belongs to."""
    note = {"run_id": run_id, "completed": sorted(completed)}
    (folder / NAME).write_text(json.dumps(note), encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """What a checkpoint says of its run."""
    note, metadata = _read(folder / NAME), _read(folder / "metadata.json")
    last = metadata.get("last_iteration")
    run_id, completed = note.get("run_id"), note.get("completed")
    return Checkpoint(
        run_id if isinstance(run_id, str) else "",
        frozenset(number for number in completed if type(number) is int)
        if isinstance(completed, list)
        else frozenset(),
        last if type(last) is int else 0,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
