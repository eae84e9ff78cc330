"""A candidate that GEPA proposes, from its start to the end of its iteration, and what it is reflected on.

In: what GEPA's callbacks and wrapped methods pass. Out: the individual's span, its failure, and the proposals of an iteration that a model is
to write. On failure: nothing here raises by itself; the caller is quiet about what a span's methods raise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genesis_otel import spans
from genesis_otel._log import first_line


@dataclass
class Proposal:
    """A candidate that has been started and not ended."""

    individual: spans.Individual
    parents: tuple[int, ...]
    candidate: dict[str, str] = field(default_factory=dict)
    number: int | None = None
    """GEPA's number, once the candidate is accepted."""
    has_text: bool = False
    """Whether its own text has been written, so that it is more than its parent."""
    error: Exception | None = None
    """The outcome of its latest reflection, if that was not a text."""
    failed: bool = False

    def fail(self, error: BaseException | str) -> None:
        """The proposal comes to nothing; the first reason counts."""
        if self.failed:
            return
        self.failed = True
        self.individual.fail(error)
        why = first_line(error) if isinstance(error, BaseException) else error
        self.individual.action("proposal_failed", {"individual_id": self.individual.id, "error": why})

    def written(self, texts: Mapping[str, str] | None) -> None:
        """Reflection has ended, with new texts for some of its components or without any."""
        if texts:
            self.candidate.update(texts)
            self.has_text = True
            self.individual.record(edit_summary=f"rewritten: {', '.join(texts)}")
        else:
            self.fail(self.error or "reflection proposed no new text")


class Reflection(NamedTuple):
    """A proposal whose text a model is to write, and what it is shown."""

    proposal: Proposal
    dataset: object
    components: Sequence[str]

    def prompts(self) -> int:
        """How many prompts GEPA sends for it: one per component with something to reflect on."""
        dataset = self.dataset
        return sum(bool(dataset.get(name)) for name in self.components) if isinstance(dataset, Mapping) else 0


def reflections(proposals: Sequence[Proposal], jobs: Sequence[Any]) -> list[Reflection]:
    """What GEPA reflects on at once.

    :param proposals: the open ones, oldest first: GEPA reports each as it prepares it, in the order in which it proposes.
    :param jobs: GEPA's own, each a candidate, a dataset and the components to rewrite.
    """
    pending = [each for each in proposals if each.number is None and not each.has_text][-len(jobs) :] if jobs else []
    return [
        Reflection(proposal, dataset, tuple(components))
        for proposal, (_, dataset, components) in zip(pending, jobs, strict=False)
    ]
