"""Records which run an OpenEvolve checkpoint belongs to, in our own file within it.

In: the folder of a checkpoint. Out: the run's id, its completed iterations, and the last iteration in the checkpoint. On
failure: a checkpoint without the file, or with an unreadable one, belongs to no known run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

NAME = "genesis_otel.json"


class Checkpoint(NamedTuple):
    """What a checkpoint says about its run."""

    run_id: str = ""
    completed: frozenset[int] = frozenset()
    failed: frozenset[str] = frozenset()
    """Programs whose evaluation failed, whatever OpenEvolve's metrics for them say."""
    individuals: Mapping[str, int] = MappingProxyType({})
    """The generation of each individual, in a coevolution."""
    last_iteration: int = 0


def save(
    folder: Path,
    run_id: str,
    completed: Iterable[int],
    failed: Iterable[str] = (),
    individuals: Mapping[str, int] | None = None,
) -> None:
    """Note in a checkpoint which run it belongs to."""
    note: dict[str, Any] = {"run_id": run_id, "completed": sorted(completed), "failed": sorted(failed)}
    if individuals is not None:
        note["individuals"] = dict(individuals)
    (folder / NAME).write_text(json.dumps(note), encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """What a checkpoint says about its run."""
    note, metadata = _read(folder / NAME), _read(folder / "metadata.json")
    last = metadata.get("last_iteration")
    run_id, individuals = note.get("run_id"), note.get("individuals")
    return Checkpoint(
        run_id if isinstance(run_id, str) else "",
        frozenset(number for number in _list(note, "completed") if type(number) is int),
        frozenset(name for name in _list(note, "failed") if isinstance(name, str)),
        {name: number for name, number in individuals.items() if type(number) is int}
        if isinstance(individuals, dict)
        else {},
        last if type(last) is int else 0,
    )


def _list(note: Mapping[str, Any], name: str) -> list[Any]:
    found = note.get(name)
    return found if isinstance(found, list) else []


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
