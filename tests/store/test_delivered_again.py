"""A store to which every span was delivered a second time, in other batches, before ClickHouse has merged any of it: whatever is read
from it is what one delivery gives."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import attributes, queries, spans
from genesis_otel._ship.finish import LLMSpanProcessor
from tests.support import hard_cases
from tests.support.dashboards import ASKED, BOARDS, Asked, around_now, chosen
from tests.support.grafana_query import sent
from tests.support.hard_cases import GOING_ON, TASK, UPWARDS
from tests.support.recording import record
from tests.support.searched import RUN, search_spans, stored

JUDGED = "judged"
RUNS = (UPWARDS, RUN, JUDGED)
INDIVIDUALS = ["four_best", "one_nan", "four_a", "j1"]
OF_ROWS = {"arrivals", "table_rows", "unmerged"}
"""Queries about the rows as they are stored: how many there are, and how many wait for a merge."""
OF_ARRIVAL = {"Rows per second", "Spans per second", "Storage", "Duplicate rows", "Rows waiting for a merge", "Freshness", "Delay"} | {
    "Delay p99", "Since the last row"
}  # fmt: skip
"""Panels of the same, and of when spans arrived."""
PASSING = frozenset({"silent_seconds", "silent", "ingested_at", "burn", "seconds", "budget_seconds", "share of time"})
"""Columns that depend on when they are asked for."""


def judged() -> Sequence[ReadableSpan]:
    """A search of which models judge the novelty."""
    with pytest.MonkeyPatch.context() as patch:
        recorded = record(patch, through=LLMSpanProcessor)
        began = time.time_ns() - 600_000_000_000
        run = spans.run(TASK, run_id=JUDGED, start_time=began)
        generation = run.generation(1, start_time=began)
        for number in range(3):
            individual = generation.individual(f"j{number}", mutation_type="diff", start_time=began)
            call = individual.llm_call("gpt-4.1-mini", messages="Is it new?", role="novelty", start_time=began)
            call.response("Yes.", input_tokens=10, output_tokens=1, cost=0.25)
            call.end(began + 1_000_000_000)
            individual.action("novelty_rejected", time=began)
            individual.record(fitness=float(number), metadata={"max_similarity": 0.5})
            individual.end(began + (number + 2) * 1_000_000_000)
        generation.end(end_time=began + 9_000_000_000)
        run.end(end_time=began + 10_000_000_000)
        return recorded.spans


@pytest.fixture(scope="module")
def stores(engine: Path) -> Iterator[tuple[Client, Client]]:
    """Clients on a store to which these searches were delivered once, and on one to which they were delivered twice."""
    hard = [span for span in hard_cases.hard_spans() if (span.attributes or {}).get(attributes.RUN_ID) != GOING_ON]
    made = [*hard, *search_spans(), *judged()]
    with stored(engine, "once", made) as once, stored(engine, "again", made) as again:
        again.command("SYSTEM STOP MERGES")
        # Through the views, in one block: no token and no block is one that ClickHouse has seen.
        again.command(
            "INSERT INTO otel_traces SELECT * FROM otel_traces",
            settings={"insert_deduplicate": 0, "deduplicate_blocks_in_dependent_materialized_views": 0},
        )
        rows = [int(str(client.command("SELECT count() FROM llm_logs"))) for client in (once, again)]
        assert rows[1] == 2 * rows[0]
        yield once, again


def comparable(found: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Rows as text, sorted, without what passes: the order of equal rows is nobody's promise."""
    return sorted(
        [
            f"{value:.9g}" if isinstance(value, float) else str(value)
            for name, value in row.items()
            if name not in PASSING
        ]
        for row in found
    )


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", sorted(set(queries.names()) - OF_ROWS))
def test_a_query_counts_once_what_was_delivered_twice(stores: tuple[Client, Client], name: str, run: str) -> None:
    """Each named query answers as if each span had been delivered once."""
    known = {"run_id": run, "run_ids": list(RUNS), "task": TASK, "individual_ids": INDIVIDUALS, "limit": 1000}
    given = {each.name: known[each.name] for each in queries.load(name).parameters if each.name in known}
    once, again = (comparable(queries.ask(client, name, **given)) for client in stores)
    assert again == once


@pytest.mark.parametrize("asked", [asked for asked in ASKED if asked.title not in OF_ARRIVAL], ids=str)
def test_a_panel_counts_once_what_was_delivered_twice(stores: tuple[Client, Client], asked: Asked) -> None:
    """Each query of each dashboard answers as if each span had been delivered once."""
    times = around_now()
    everything = {"task": (TASK,), "run": RUNS, "runs": RUNS, "model": (hard_cases.PRICED, hard_cases.UNPRICED)}
    every = [chosen(BOARDS[asked.board], run, runs=RUNS, individual="four_best") for run in RUNS]
    for sql in dict.fromkeys(sent(asked.sql, variables, times, everything) for variables in every):
        once, again = (comparable(client.query(sql).named_results()) for client in stores)
        assert again == once
