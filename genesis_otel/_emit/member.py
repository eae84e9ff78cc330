"""An individual that has ended, as generations compare it with others: its score, and its place on a front.

In: what a search says about an individual, or an earlier process noted. Out: the score that counts, the values of objectives, and the
member as the event ``genesis.pareto_front`` lists it. On failure: what is missing or not finite counts as unknown; nothing here raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genesis_otel._emit import pareto
from genesis_otel._emit.interruption import pass_on
from genesis_otel._emit.json_values import plain
from genesis_otel._emit.values import number, text
from genesis_otel._log import warn_once

COPIES = frozenset({"migration", "migrant", "copy"})
"""Mutation types of individuals that were only moved elsewhere."""


def known_score(told: float | None, metrics: object, *, failed: bool = False) -> float | None:
    """A score that can be compared with others: None if there is none, or if it is not finite, and for the 0 that evaluators
    write in place of a missing score: beside ``correct: false``, or, for a failed individual, beside ``error`` or
    ``timeout`` (``sql/individuals.sql`` applies the same rule)."""
    if told is None or not math.isfinite(told):
        return None
    if told == 0:
        metrics = as_mapping(metrics)
        if isinstance(metrics, Mapping):
            of_a_failure = failed and ("error" in metrics or verdict(metrics, "timeout") is True)
            if of_a_failure or verdict(metrics, "correct") is False:
                return None
    return told


def as_mapping(metrics: object) -> object:
    """Metrics as a mapping, also if they were given as JSON or as an object with fields; else as they came."""
    if metrics is None or isinstance(metrics, Mapping):
        return metrics
    try:
        simple = json.loads(metrics) if isinstance(metrics, str) else plain(metrics)
    except Exception as error:
        pass_on(error)
        return metrics
    return simple if isinstance(simple, Mapping) else metrics


def verdict(metrics: object, name: str) -> bool | None:
    """What metrics say about ``name``, if that is true or false, be it numpy's; None otherwise."""
    said = metrics.get(name) if isinstance(metrics, Mapping) else None
    if said is None or isinstance(said, (bool, str, int, float)):
        return said if isinstance(said, bool) else None
    simple = plain(said)
    return simple if isinstance(simple, bool) else None


@dataclass(slots=True)
class Member:
    """An individual that has ended; ``fitness`` is its :func:`known_score`. It is ``failed`` if an error kept it from a result,
    ``incorrect`` if it ran but did not pass, and ``copied`` if it was only moved elsewhere, like a migrant."""

    individual_id: str
    fitness: float | None
    combined: float | None
    metrics: object
    code_size: float | None
    cost: float
    failed: bool
    incorrect: bool = False
    copied: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is compared with others: not if it failed, is incorrect or a copy (as in ``sql/parts/programs.sql``)."""
        return not (self.failed or self.incorrect or self.copied)

    @property
    def score(self) -> float | None:
        """The score that counts, if there is one."""
        return self.fitness if self.counts else None

    def objective(self, name: str) -> float | None:
        """The value of an objective: a metric, or one of the individual's own columns."""
        if isinstance(self.metrics, Mapping) and name in self.metrics:
            return number(self.metrics[name], f"objective {name}")
        own = {"fitness": self.fitness, "fitness_score": self.fitness, "code_size": self.code_size}
        return {**own, "combined": self.combined, "combined_score": self.combined}.get(name)

    def as_front_member(self) -> dict[str, Any]:
        """The member as listed in the event ``genesis.pareto_front``."""
        return {
            "individual_id": self.individual_id,
            "fitness_score": self.fitness,
            "combined_score": self.combined,
            "metrics": {} if self.metrics is None else self.metrics,
        }

    def as_note(self) -> dict[str, Any]:
        """The member as noted for another process: only numeric metrics, which hold no secrets."""
        metrics = self.metrics if isinstance(self.metrics, Mapping) else {}
        numbers = {text(name): value for name, value in metrics.items() if type(value) in (int, float, bool)}
        return {
            "individual_id": self.individual_id,
            "fitness": self.fitness,
            "combined": self.combined,
            "metrics": numbers,
            "code_size": self.code_size,
            "cost": self.cost,
            **{name: True for name in ("failed", "incorrect", "copied") if getattr(self, name)},
        }

    @classmethod
    def of_note(cls, note: Mapping[str, Any]) -> Member:
        """The member that :meth:`as_note` wrote."""
        get = note.get
        return cls(
            text(get("individual_id")),
            number(get("fitness"), "fitness"),
            number(get("combined"), "combined"),
            get("metrics"),
            number(get("code_size"), "code_size"),
            number(get("cost"), "cost") or 0.0,
            get("failed") is True,
            get("incorrect") is True,
            get("copied") is True,
        )


def front_of(objectives: Mapping[str, str], members: Iterable[Member]) -> list[Member]:
    """Those of the members that count and that no other one dominates, in their order."""
    counted = [each for each in members if each.counts]
    values = [[each.objective(name) for name in objectives] for each in counted]
    return [counted[at] for at in pareto.front(objectives, values)]


def front_members(members: object, ended: Sequence[Member]) -> list[dict[str, Any]]:
    """The members of a front as listed in the event; a single member is treated as a list of one.

    :param ended: the individuals that an id may name.
    """
    try:
        several = [members] if members is None or isinstance(members, (str, Mapping)) else list(members)  # type: ignore[call-overload]
    except Exception as error:
        pass_on(error)
        several = [members]
    return [_front_member(member, ended) for member in several if member is not None]


def _front_member(member: object, ended: Sequence[Member]) -> dict[str, Any]:
    """A member of a front, from a mapping or an object with its columns, or from the id of an individual that ended before."""
    if isinstance(member, Member):
        return member.as_front_member()
    identifier = getattr(member, "id", member)
    simple = plain(member) if identifier is member else text(identifier)
    if isinstance(simple, dict):
        return simple
    wanted = text(identifier)
    known = [one for one in ended if one.individual_id == wanted]
    if not known:
        warn_once("front", "A front names an individual that has not ended in this process: its scores are unknown")
        return {"individual_id": wanted}
    return known[-1].as_front_member()
