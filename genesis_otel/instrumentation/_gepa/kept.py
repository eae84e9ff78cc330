"""Which run GEPA's state belongs to: a file of ours beside it, in the search's ``run_dir``.

In: the folder, the run, and its individuals that are candidates of the state. Out: the same, for the process that resumes from there.
On failure: a folder without the file, or with an unreadable one, belongs to no known run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

STATE = "gepa_state.bin"
NAME = "genesis_otel.json"


class Kept(NamedTuple):
    """A run, as recorded in its state's folder."""

    run_id: str = ""
    candidates: tuple[str, ...] = ()
    """The individuals' ids, by GEPA's candidate numbers. GEPA saves its state when an iteration starts, so the last ones may belong to
    an iteration that was lost with its process."""
    processes: int = 0
    """How many processes have worked on it."""


def is_resumed(folder: str | os.PathLike[str] | None) -> bool:
    """Whether GEPA will resume from a state in this folder: GEPA's own check."""
    return folder is not None and (Path(folder) / STATE).exists()


def load(folder: str | os.PathLike[str] | None) -> Kept:
    """What the folder of a resumed state says about its run."""
    if folder is None or not is_resumed(folder):
        return Kept()
    try:
        found: Any = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
        run_id, candidates, processes = found["run_id"], found["candidates"], found["processes"]
    except (OSError, ValueError, TypeError, KeyError):
        return Kept()
    readable = isinstance(run_id, str) and isinstance(candidates, list) and type(processes) is int
    return Kept(run_id, tuple(map(str, candidates)), processes) if readable else Kept()


def save(folder: str | os.PathLike[str], kept: Kept) -> None:
    """Record beside a state which run it belongs to."""
    written = Path(folder) / f"{NAME}.{os.getpid()}"
    written.write_text(json.dumps(kept._asdict()), encoding="utf-8")
    written.replace(Path(folder) / NAME)
