"""Which run GEPA's state belongs to: a file of ours beside it, in the search's ``run_dir``.

In: the folder, and how many candidates the state has as a process begins. Out: the run's id, and the ids of candidates. On failure:
a folder without the file, or with one that cannot be read, belongs to no run that is known.

GEPA saves its state as an iteration begins: a candidate that was accepted after that is lost when the process dies, and its number
is given again. So the ids of candidates that a later process finds name that process, too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STATE = "gepa_state.bin"
NAME = "genesis_otel.json"


@dataclass(frozen=True)
class Kept:
    """A run, as its folder knows it."""

    run_id: str = ""
    begun: tuple[int, ...] = ()
    """For each process of the run: how many candidates the state had when it began."""

    def going_on(self, candidates: int) -> Kept:
        """The same when another process goes on with so many candidates."""
        return replace(self, begun=(*self.begun, candidates))

    def id_of(self, number: int) -> str:
        """The individual's id of a candidate: its number in the run, and of a later process which one that is."""
        process = max((at for at, begun in enumerate(self.begun) if begun <= number), default=0)
        return f"{self.run_id}-{number}" if process == 0 else f"{self.run_id}-{number}.{process}"


def is_resumed(folder: str | os.PathLike[str] | None) -> bool:
    """Whether GEPA will go on from a state in this folder: the question that it asks itself."""
    return folder is not None and (Path(folder) / STATE).exists()


def load(folder: str | os.PathLike[str] | None) -> Kept:
    """What the folder of a state that is gone on from says of its run."""
    if folder is None or not is_resumed(folder):
        return Kept()
    try:
        found: Any = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
        run_id, begun = found["run_id"], tuple(found["begun"])
    except (OSError, ValueError, TypeError, KeyError):
        return Kept()
    if not isinstance(run_id, str) or not all(type(each) is int for each in begun):
        return Kept()
    return Kept(run_id, begun)


def save(folder: str | os.PathLike[str], kept: Kept) -> None:
    """Note beside a state which run it belongs to."""
    written = Path(folder) / f"{NAME}.{os.getpid()}"
    written.write_text(json.dumps({"run_id": kept.run_id, "begun": kept.begun}), encoding="utf-8")
    written.replace(Path(folder) / NAME)
