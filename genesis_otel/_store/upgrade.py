"""Brings rows that an earlier version stored to what this one would store: init does this once, after the tables and views.

In: a client whose database has this version's tables and views. Out: the same rows, no more and no fewer, and one line per change.
What the views make of a row's raw span decides; if the raw span is gone, the row itself does, in a store of 0.1.0 alone: a failed
individual's 0, NaN, `correct: false` beside a 0. In a later store, a 0 is a score. On failure: what ClickHouse raises; every step can be
repeated, and the next init starts over.

Before 0.2.0 a missing score was stored as 0. With that, the best individual of a search below 0 would be a failure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from genesis_otel import attributes as names
from genesis_otel._store import landing
from genesis_otel._store.backfill import SETTINGS, Stretch, reading, stretches
from genesis_otel._store.mutations import rewrite
from genesis_otel._store.tables import IDENTITY, STORED_IN, TOLD_AGAIN, rows_of

log = logging.getLogger(__name__)

REPORTED = 10.0
"""Seconds after which it is said how far an upgrade is, and then again."""

REBUILT = ("evolution_runs", "generations", "individuals", "pareto_fronts", "code_lineages")
"""Tables whose rows are rebuilt from their raw spans. ``llm_logs`` has prompts and repriced costs, so only the column that changed is
set there."""

REBUILDS = 3
"""At most: a search that tells the same generation again within seconds, time after time, is not waited for."""

FAILED = (
    "(JSONExtractRaw(metrics, 'correct') = 'false' OR (status = 'error' AND "
    "(JSONHas(metrics, 'error') OR JSONExtractRaw(metrics, 'timeout') = 'true')))"
)
"""Metrics that show that the program failed: the condition of ``sql/individuals.sql``, applied to a row."""

UNSCORED = (
    "SELECT run_id, individual_id FROM individuals GROUP BY run_id, individual_id HAVING count(fitness_score) = 0"
)
SCORED = "SELECT run_id, individual_id FROM individuals WHERE fitness_score IS NOT NULL"
SCORES = "SELECT run_id, individual_id, any(fitness_score) AS score FROM individuals GROUP BY run_id, individual_id"

MUTATION: dict[str, Any] = {
    "mutations_sync": 2,
    # A replica reads the rows that it has by then, which are the same.
    "allow_nondeterministic_mutations": 1,
}


class Rule(NamedTuple):
    """What is set in the rows of a table that meet a condition, and what that means."""

    table: str
    set_to: str
    where: str
    said: str


def upgrade_rows(client: Client, columns: Mapping[str, str], *, first_rows: int | None, on_cluster: str) -> list[str]:
    """Bring rows of an earlier version to what this one would have stored.

    :param columns: those of the landing table.
    :param first_rows: until when the rows were stored by 0.1.0, in milliseconds since 1970; None if none were.
    :param on_cluster: the ``ON CLUSTER`` clause, or nothing.
    """
    done = []
    compared = _reporting()
    for table in REBUILT:
        rebuilt = 0
        # Of rows with one key, a merge leaves the one that was inserted last, even if a search has told a newer one meanwhile: that one is then
        # missing, and rebuilt in turn.
        for _ in range(REBUILDS if table in TOLD_AGAIN else 1):
            count = sum(
                _rebuild(client, table, columns, stretch) for stretch in compared(table, stretches(client, columns))
            )
            if not count:
                break
            client.command(f"OPTIMIZE TABLE {STORED_IN[table]} {on_cluster} FINAL")
            rebuilt = rebuilt or count
        if rebuilt:
            done.append(f"{table}: {rebuilt} rows now match their spans")
    by_rows = () if first_rows is None else (_of(first_rows, rule) for rule in _by_rows(columns))
    for rule in (*by_rows, *_by_spans(columns)):
        count = _count(client, f"{rule.table} WHERE ifNull({rule.where}, false)")
        if count:
            rewrite(
                client,
                rule.table,
                f"ALTER TABLE {rule.table} {on_cluster} UPDATE {rule.set_to} WHERE ifNull({rule.where}, false)",
                settings=MUTATION,
            )
            done.append(f"{rule.table}: {count} {rule.said}")
    return done


def _reporting() -> Callable[[str, Sequence[Stretch]], Iterator[Stretch]]:
    """Yields the stretches that a table's rows are compared in, and says from time to time how far that is."""
    began = said = time.monotonic()

    def compared(table: str, found: Sequence[Stretch]) -> Iterator[Stretch]:
        nonlocal said
        for number, stretch in enumerate(found):
            if (now := time.monotonic()) - said >= REPORTED:
                said = now
                log.warning(
                    "upgrading for %.0f s: comparing %s (table %d of %d) with the spans of %s, %d of %d",
                    now - began,
                    table,
                    REBUILT.index(table) + 1,
                    len(REBUILT),
                    f"{stretch.begin:%Y-%m-%d}",
                    number + 1,
                    len(found),
                )
            yield stretch

    return compared


def _rebuild(client: Client, table: str, columns: Mapping[str, str], stretch: Stretch) -> int:
    """Insert again, with the same sort key, the rows of a stretch that differ from what their spans now yield: the last one stays."""
    target, key = STORED_IN[table], ", ".join(IDENTITY[table])
    read, written, parameters = reading(client, table, columns, stretch)
    stored = f"FROM {target} FINAL WHERE run_id IN {{runs:Array(String)}}"
    # What a generation told before it was opened again has been replaced, and differs for that.
    newest, not_replaced = (
        (", max(timestamp) AS newest", " WHERE timestamp >= newest") if table in TOLD_AGAIN else ("", "")
    )
    differing = (
        f"SELECT {written}, ingested_at FROM (SELECT {written} FROM ({read}) EXCEPT SELECT {written} {stored}) AS told "
        f"INNER JOIN (SELECT {key}, any(ingested_at) AS ingested_at{newest} {stored} GROUP BY {key}) AS stored USING ({key}){not_replaced}"
    )
    count = _count(client, f"({differing})", parameters)
    if count:
        client.command(
            f"INSERT INTO {target} ({written}, ingested_at) {differing}", parameters=parameters, settings=SETTINGS
        )
    return count


def _count(client: Client, rows: str, parameters: Mapping[str, Any] | None = None) -> int:
    return int(client.query(f"SELECT count() FROM {rows}", parameters=dict(parameters or {})).result_rows[0][0])


def _of(first_rows: int, rule: Rule) -> Rule:
    """The rule for rows of 0.1.0 alone. Whenever rows have been compared with their spans, which tell what they told then, it is due again."""
    return rule._replace(where=f"(ingested_at <= fromUnixTimestamp64Milli({first_rows})) AND ({rule.where})")


def _by_rows(columns: Mapping[str, str]) -> Iterator[Rule]:
    """What the rows of 0.1.0 themselves show."""
    source = landing.source(columns)
    spans = f"SELECT TraceId, SpanId FROM {source} WHERE SpanAttributes['{names.RECORD}'] = '{names.RECORD_INDIVIDUAL}'"
    yield Rule(
        "individuals",
        "correct = JSONExtractRaw(metrics, 'correct') = 'true', "
        "status = if(status = 'ok' AND JSONExtractRaw(metrics, 'correct') = 'false', 'incorrect', status)",
        "correct IS NULL AND JSONExtractRaw(metrics, 'correct') IN ('true', 'false')",
        "individuals now record whether they are correct",
    )
    yield Rule(
        "individuals",
        "correct = false, status = if(status = 'ok', 'incorrect', status)",
        "correct IS NULL AND (run_id, individual_id) IN (SELECT run_id, individual_id FROM agent_actions "
        "WHERE action_type IN ('job_completed', 'job_failed') AND individual_id != '' GROUP BY run_id, individual_id "
        "HAVING argMax(JSONExtractRaw(details, 'correct'), timestamp) = 'false')",
        "individuals are now incorrect, as their evaluation reported",
    )
    yield _null_scores("individuals", ("fitness_score", "combined_score"), zero=FAILED)
    yield _null_zeros(
        "individuals",
        ("fitness_score", "combined_score"),
        f"status = 'error' AND (trace_id, span_id) NOT IN ({spans})",
    )
    yield _null_scores("generations", ("best_score", "avg_score"))
    yield _null_zeros(
        "generations",
        ("best_score", "avg_score"),
        "(run_id, generation) IN (SELECT run_id, generation FROM individuals GROUP BY run_id, generation "
        "HAVING count(fitness_score) = 0)",
    )
    yield _null_scores("pareto_fronts", ("fitness_score", "combined_score"))
    yield _null_zeros("pareto_fronts", ("fitness_score", "combined_score"), f"(run_id, individual_id) IN ({UNSCORED})")
    yield _null_scores("code_lineages", ("fitness_delta",))
    yield Rule(
        "code_lineages",
        "score_told = if(fitness_delta = 0, '', toString(assumeNotNull(fitness_delta))), fitness_delta = NULL",
        f"fitness_delta IS NOT NULL AND ((run_id, child_id) IN ({UNSCORED}) OR (run_id, parent_id) IN ({UNSCORED}))",
        "deltas to or from an individual without a score are now NULL",
    )
    # A false delta of 0 was written because the parent's score was missing, or is the default of the first logger's call.
    yield _null_zeros(
        "code_lineages",
        ("fitness_delta",),
        f"((run_id, parent_id) NOT IN ({SCORED}) OR (run_id, child_id, parent_id) IN ("
        "SELECT edge.run_id, edge.child_id, edge.parent_id FROM code_lineages AS edge "
        f"INNER JOIN ({SCORES}) AS child ON child.run_id = edge.run_id AND child.individual_id = edge.child_id "
        f"INNER JOIN ({SCORES}) AS parent ON parent.run_id = edge.run_id AND parent.individual_id = edge.parent_id "
        "WHERE edge.fitness_delta = 0 AND child.score != parent.score))",
    )


def _by_spans(columns: Mapping[str, str]) -> Iterator[Rule]:
    """Columns of rows that are not rebuilt."""
    calls, actions = (landing.reading(rows_of(table), columns) for table in ("llm_logs", "agent_actions"))
    yield Rule(
        "llm_logs",
        "generation = NULL",
        "generation = 0 AND (run_id = '' OR (trace_id, span_id) IN "
        f"(SELECT trace_id, span_id FROM ({calls}) WHERE generation IS NULL))",
        "calls whose generation was not given now have none",
    )
    yield Rule(
        "agent_actions",
        "generation = NULL",
        "generation = 0 AND (run_id = '' OR (trace_id, span_id) IN "
        f"(SELECT trace_id, span_id FROM ({actions}) WHERE generation IS NULL))",
        "actions whose generation was not given now have none",
    )


def _null_scores(table: str, scores: tuple[str, ...], *, zero: str = "false") -> Rule:
    """Numbers that are not scores become NULL and move to ``score_told``: those that are not finite, and 0 under a condition."""
    none = {score: f"(NOT isFinite({score}) OR ({score} = 0 AND {zero}))" for score in scores}
    words = ", ".join(f"ifNull(if({is_none}, toString({score}), ''), '')" for score, is_none in none.items())
    return Rule(
        table,
        ", ".join(f"{score} = if({is_none}, NULL, {score})" for score, is_none in none.items())
        + f", score_told = arrayStringConcat(arrayDistinct(arrayFilter(word -> word != '', [{words}])), ', ')",
        f"({' OR '.join(none.values())})",
        "values that are not scores are now NULL",
    )


def _null_zeros(table: str, scores: tuple[str, ...], where: str) -> Rule:
    """Zeros that were stored because a score was missing become NULL."""
    return Rule(
        table,
        ", ".join(f"{score} = if({score} = 0, NULL, {score})" for score in scores),
        f"(({' OR '.join(f'{score} = 0' for score in scores)}) AND {where})",
        "zeros that stood for a missing score are now NULL",
    )
