"""Scores of OpenEvolve's programs, which of them failed, and the front over all programs of the run so far.

In: OpenEvolve's programs and their metrics. Out: score, fitness, gain over the parent, and the front, which grows as programs are added.
On failure: what OpenEvolve's own functions raise on metrics that it cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genesis_otel._emit import pareto, tally
from genesis_otel._emit.json_values import plain
from genesis_otel._emit.member import Member, front_of
from genesis_otel._emit.values import number
from genesis_otel.instrumentation._openevolve.outcome import failure, is_failed

BEFORE = "before the search was continued"
"""Why a program failed of which only that is known."""


class Scores:
    """What is known of the programs of a search, across the processes that worked on its run."""

    def __init__(
        self, known: tally.RunTally, objectives: Mapping[str, str], features: Sequence[str], failed: Iterable[str]
    ) -> None:
        """:param known: what this process knows about the run.
        :param features: OpenEvolve's names of the metrics that are dimensions of its grid, and no part of the score.
        :param failed: programs that failed before.
        """
        self.front: list[Member] = list(known.front)
        self.broken: dict[str, str] = dict.fromkeys(failed, BEFORE)
        """Why programs failed that may still become parents."""
        self._tally, self._objectives, self._features = known, objectives, features

    def of(self, metrics: Mapping[str, Any], error: str) -> tuple[float | None, float | None]:
        """OpenEvolve's score, and the fitness. For a failure OpenEvolve's score is 0, or whatever its placeholder metrics amount to; but
        if a later stage of a cascade failed, it continues with the score of the earlier stages."""
        from openevolve.utils.metrics_utils import get_fitness_score  # type: ignore[import-untyped]

        if error and is_failed(metrics):
            return None, None
        score = get_fitness_score(metrics, self._features)
        return score, self._primary(metrics, score)

    def gain(self, program: Any, fitness: float | None) -> float | None:
        """A program's fitness minus its parent's; None if one of them has none, or the parent failed."""
        before = program.metadata.get("parent_metrics")
        if not before or not program.parent_id or fitness is None:
            return None
        if program.parent_id in self.broken or failure(before):
            return None
        of_parent = self.of(before, "")[1]
        return None if of_parent is None else fitness - of_parent

    def learn(self, programs: Iterable[Any]) -> None:
        """Take over the programs of a loaded checkpoint."""
        known = {member.individual_id for member in self.front}
        for program in programs:
            metrics = program.metrics or {}
            failed = program.id in self.broken or bool(failure(metrics))
            score, fitness = self.of(metrics, "failed" if failed else "")
            member = self._member(program, fitness, score, failed=failed)
            self._tally.learn(member)
            if member.counts and program.id not in known:
                self.front.append(member)
        self.front = front_of(self._objectives, self.front)

    def extend_front(self, program: Any, fitness: float | None, score: float | None) -> bool:
        """Add a program that did not fail; whether it is on the front."""
        child = self._member(program, fitness, score, failed=False)
        self.front = front_of(self._objectives, [*self.front, child])
        return child in self.front

    def _primary(self, metrics: Mapping[str, Any], score: float) -> float | None:
        """The only objective, or the first to be maximised; without one, the score that OpenEvolve uses."""
        objectives = self._objectives
        for name, direction in objectives.items():
            if name in metrics and (len(objectives) == 1 or pareto.DIRECTIONS.get(direction.lower())):
                return number(metrics[name], name)
        return score

    def _member(self, program: Any, fitness: float | None, score: float | None, *, failed: bool) -> Member:
        size = float(len(program.code.encode("utf-8", "backslashreplace")))
        copied = is_migrant(program)
        # Converted once, rather than for each front that includes it.
        return Member(program.id, fitness, score, plain(program.metrics), size, 0.0, failed, copied=copied)


def is_migrant(program: Any) -> bool:
    """Whether a program is a copy that OpenEvolve made on another island."""
    return bool(program.metadata.get("migrant"))
