"""The ancestry of an individual: its chain of ancestors, with the gain and cost of each step.

In: a client and ids. Out: the steps, seed first. If an individual has several parents, the chain follows the first and lists the
others. A cyclic lineage ends before it would repeat an individual. On failure: what ClickHouse raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from genesis_otel import queries
from genesis_otel._store.portions import portions

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

__all__ = ["Step", "ancestors", "chain"]

PIECE = 1_000
"""Ids per query: a parameter has to fit into a URL or a form."""


@dataclass(frozen=True)
class Step:
    """An individual in the chain, and how it was derived from the previous step."""

    generation: int | None
    """None if the individual is known only from its children."""
    individual_id: str
    mutation_type: str = ""
    fitness_score: float | None = None
    gain: float | None = None
    """How much better it is than its parent, in the run's direction; None for a seed, or if unknown."""
    edit_summary: str = ""
    models: tuple[str, ...] = ()
    """The models that were called for it."""
    cost: float = 0.0
    """In USD: its LLM calls, embeddings and novelty checks."""
    unpriced: int = 0
    """The number of its calls without a price."""
    is_pareto: bool = False
    status: str = ""
    other_parents: tuple[str, ...] = ()
    timestamp: datetime | None = None
    trace_id: str = ""


def ancestors(client: Client, run_id: str, individual_id: str) -> list[Step]:
    """The steps from the seed to ``individual_id``, inclusive."""
    rows = queries.ask(client, "parents", run_id=run_id)
    parents = {str(row["child_id"]): [str(each) for each in row["parent_ids"]] for row in rows}
    ids = chain(parents, individual_id)
    detail = {
        str(row["individual_id"]): row
        for piece in portions(ids, PIECE)
        for row in queries.ask(client, "individuals_in_detail", run_id=run_id, individual_ids=piece)
    }
    steps = []
    for each in ids:
        row, others = detail.get(each), tuple(parents.get(each, ())[1:])
        if row is None:
            steps.append(Step(None, each, other_parents=others))
            continue
        steps.append(
            Step(
                generation=row["generation"],
                individual_id=each,
                mutation_type=row["mutation_type"],
                fitness_score=row["fitness_score"] if row["status"] == "ok" else None,
                gain=row["gain"] if parents.get(each) else None,
                edit_summary=row["edit_summary"],
                models=tuple(row["models"]),
                cost=row["cost"],
                unpriced=row["unpriced"],
                is_pareto=bool(row["is_pareto"]),
                status=row["status"],
                other_parents=others,
                timestamp=row["timestamp"],
                trace_id=row["trace_id"],
            )
        )
    return steps


def chain(parents: Mapping[str, Sequence[str]], individual_id: str) -> list[str]:
    """The ids from the first ancestor to ``individual_id``, following first parents, each id once."""
    ids = {individual_id: None}
    current = individual_id
    while parents.get(current) and parents[current][0] not in ids:
        current = parents[current][0]
        ids[current] = None
    return list(reversed(ids))
