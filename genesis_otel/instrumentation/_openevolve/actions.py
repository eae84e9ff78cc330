"""Records what OpenEvolve's search does beside its iterations, as actions: cells of its grid taken, the archive, the best, migrations.

In: OpenEvolve's database and its programs, before and after a change. Out: an action per change, and the cell of the program being
added. On failure: each method catches its own errors and logs them once; the search goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genesis_otel import spans
from genesis_otel.instrumentation._hooks import quietly


class Actions:
    """The actions of a search, or of a phase of one."""

    def __init__(self, run: spans.Run, population: str | None) -> None:
        """:param population: the one whose phase it is, if there are two."""
        self._run, self._population = run, population
        self.latest = 0
        """The generation that an action belongs to: that of the iteration whose child arrived last."""
        self.being_added = ""
        self.cell: dict[str, Any] | None = None
        """The cell of the program being added."""
        self._holders: list[dict[str, str]] = []
        """For each island, which program held which cell before that."""

    @quietly
    def act(self, action_type: str, details: Mapping[str, Any], number: int | None = None) -> None:
        """Record something that is neither an iteration nor an individual."""
        at = self.latest if number is None else number
        spans.action(action_type, {"generation": at, **details}, run=self._run, generation=at)

    def island(self, island: object) -> object:
        """An island's name, prefixed by its population if there are two."""
        return island if self._population is None or island is None else f"{self._population}/{island}"

    def adding(self, program_id: str) -> None:
        """Note that a program is about to be added to the database."""
        self.being_added, self.cell, self._holders = program_id, None, []

    @quietly
    def fell_into(self, program: Any, database: Any, bins: Sequence[int]) -> None:
        """A program's cell of the grid was computed; remember it if the program is the one being added."""
        if program.id != self.being_added or self.cell is not None:
            return
        self.cell = {name: int(number) for name, number in zip(database.config.feature_dimensions, bins, strict=False)}
        self._holders = [dict(cells) for cells in database.island_feature_maps]

    @quietly
    def cells_changed(self, program: Any, database: Any) -> None:
        """Record whether the added program now holds a cell, and which program it replaced."""
        island = program.metadata.get("island")
        if not isinstance(island, int) or not island < len(self._holders):
            return
        before = self._holders[island]
        for key, holder in database.island_feature_maps[island].items():
            if holder == program.id and before.get(key) != holder:
                details = {"individual_id": program.id, "island": self.island(island), "cell": self.cell}
                self.act("cell_taken", {**details, "replaced": before.get(key, "")})

    @quietly
    def archive_changed(self, program: Any, before: set[str], after: set[str]) -> None:
        """Record whether programs entered or left the archive."""
        if before != after:
            changes = {"added": sorted(after - before), "removed": sorted(before - after)}
            self.act("archive_updated", {"individual_id": program.id, **changes, "archive_size": len(after)})

    @quietly
    def best_changed(self, program: Any, before: str | None, after: str | None) -> None:
        """Record whether there is a new best program."""
        if before != after:
            score = (program.metrics or {}).get("combined_score")
            self.act("best_updated", {"individual_id": after, "previous": before or "", "combined_score": score})

    @quietly
    def islands_migrated(self, migrants: list[Any]) -> None:
        """Programs were copied to other islands; each copy is recorded as an individual."""
        moves = [
            {"individual_id": each.id, "parent_id": each.parent_id, "island": self.island(each.metadata.get("island"))}
            for each in migrants
        ]
        self.act("migration", {"migrants": len(moves), "moves": moves})
