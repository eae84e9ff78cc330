"""Removes duplicate calls, recorded by several instrumentations in processes without ours, until one row of each is left.

In: a client that may delete rows of ``llm_logs``. Out: the number of rows removed, by model. A second call removes nothing. On failure:
what ClickHouse raises; rows already removed stay removed, and the next call continues.

Two rows belong to one call if the span of one is the parent of the other's, or if both have the same answer (``response_id``), from
different instrumentations, at the same time. The outer row stays, with its prompt and its role; if only the inner row knows the cost,
or the tokens, the inner one stays instead. If one of a call's spans has yet to arrive, the duplicate is removed once it has. A span
that is delivered again afterwards becomes a row again: call this again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from genesis_otel import attributes as names
from genesis_otel._store.mutations import rewrite
from genesis_otel._store.portions import portions
from genesis_otel._store.present import existing
from genesis_otel._store.tables import LANDING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

IDS_PER_STATEMENT = 2_000
"""They fit into a parameter: see :mod:`~genesis_otel._store.portions`."""

KNOWS = "2 * (cost_source NOT IN {unpriced:Array(String)}) + (input_tokens + output_tokens > 0)"
"""What a row knows: 2 for the cost plus 1 for the tokens."""

ROW = f"""(
    SELECT
        id, run_id, trace_id, span_id, parent_span_id, response_id, model, operation = 'embeddings' AS embeds, timestamp AS began,
        timestamp + toIntervalMillisecond(toInt64(execution_time * 1000)) AS ended,
        {KNOWS} AS knows
    FROM llm_logs
    WHERE ({{run_id:String}} = '' OR run_id = {{run_id:String}}) AND CONDITION
)"""  # noqa: S608 - a constant of ours

# Calls of which something arrived since, by ingested_at: any row of their trace, or any with their answer.
NEW = "SELECT KEY FROM llm_logs WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64})"

PAIRS = f"""
SELECT DISTINCT
    i.id AS inner_id, o.id AS outer_id, i.knows, o.knows, i.model, o.model, (i.trace_id, i.span_id) AS inner_span,
    (o.trace_id, o.span_id) AS outer_span
FROM {ROW} AS i
INNER JOIN {ROW} AS o ON JOINED
WHERE i.embeds = o.embeds AND i.id != o.id
"""  # noqa: S608 - a constant of ours

NESTED = PAIRS.replace("JOINED", "i.trace_id = o.trace_id AND i.parent_span_id = o.span_id").replace(
    "CONDITION", f"trace_id IN ({NEW.replace('KEY', 'trace_id')})"
)

SAME_ANSWER = f"""
{PAIRS.replace("JOINED", "i.response_id = o.response_id AND i.run_id = o.run_id")}
    AND i.began <= o.ended AND o.began <= i.ended
    AND (o.began, -toUnixTimestamp64Milli(o.ended), o.span_id) < (i.began, -toUnixTimestamp64Milli(i.ended), i.span_id)
""".replace("CONDITION", f"response_id != '' AND response_id IN ({NEW.replace('KEY', 'response_id')})")

SCOPES = f"""
SELECT TraceId, SpanId, ScopeName FROM {LANDING}
WHERE TraceId IN splitByChar(',', {{traces:String}}) AND SpanId IN splitByChar(',', {{spans:String}})
"""  # noqa: S608 - a constant of ours

# A row that has been priced since it was judged stays: by what it knows now, another one of its call may be about to go.
DELETE = f"ALTER TABLE llm_logs DELETE WHERE id IN CAST(splitByChar(',', {{ids:String}}), 'Array(UUID)') AND {KNOWS} <= {{knows:UInt8}}"


class Pair(NamedTuple):
    """Two rows of one call, and what each knows (:data:`KNOWS`)."""

    inner: UUID
    outer: UUID
    inner_knows: int
    outer_knows: int
    inner_model: str
    outer_model: str
    inner_span: tuple[str, str]
    outer_span: tuple[str, str]


class Removed(NamedTuple):
    """How many rows of a model duplicated another row's call."""

    model: str
    rows: int


def dedupe(client: Client, *, run_id: str = "", since: datetime | None = None, dry_run: bool = False) -> list[Removed]:
    """Remove all rows but one of each call, and return how many were removed, by model.

    :param run_id: only calls of this run; '' takes all runs.
    :param since: only calls of which a row arrived since then.
    :param dry_run: change nothing; the return value is the same.
    """
    asked = {
        "run_id": run_id,
        "since": 0 if since is None else int(since.timestamp() * 1000),
        "unpriced": list(names.COST_UNPRICED),
    }
    pairs, beside = (
        [Pair(*row) for row in client.query(sql, parameters=asked).result_rows] for sql in (NESTED, SAME_ANSWER)
    )
    judged = [*beside, *filter(_of_two_models, pairs)]
    scopes = _scopes(client, [span for pair in judged for span in (pair.inner_span, pair.outer_span)])
    # A program that records a call of another model within one of its own means two (_ship/calls/same_call.py).
    pairs = [
        pair
        for pair in pairs
        if not _of_two_models(pair) or {scopes.get(pair.inner_span), scopes.get(pair.outer_span)} != {names.SCOPE}
    ]
    pairs += [pair for pair in beside if scopes.get(pair.inner_span, "") != scopes.get(pair.outer_span, "")]
    models = {
        row: model for pair in pairs for row, model in ((pair.inner, pair.inner_model), (pair.outer, pair.outer_model))
    }
    knows: dict[UUID, int] = {}
    for pair in pairs:
        # A row that was delivered twice may know more in one of them.
        for row, known in ((pair.inner, pair.inner_knows), (pair.outer, pair.outer_knows)):
            knows[row] = max(known, knows.get(row, 0))
    doubled = sorted(_duplicates(pairs, knows))
    for known in () if dry_run else sorted({knows[row] for row in doubled}):
        rows_of = [row for row in doubled if knows[row] == known]
        for some in portions(rows_of, IDS_PER_STATEMENT):
            rewrite(
                client,
                "llm_logs",
                DELETE,
                {"ids": ",".join(map(str, some)), "knows": known, "unpriced": asked["unpriced"]},
            )
    rows = Counter(models[each] for each in doubled)
    return [Removed(model, rows[model]) for model in sorted(rows)]


def _of_two_models(pair: Pair) -> bool:
    """Whether the models differ in more than the gateway before their names."""
    return pair.inner_model.rpartition("/")[2] != pair.outer_model.rpartition("/")[2]


def _scopes(client: Client, spans: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The instrumentation scope of each span, while its trace is kept; none if the landing table predates the scope column."""
    if not spans or "ScopeName" not in existing(client, LANDING)[LANDING].columns:
        return {}
    found = {}
    wanted = sorted(set(spans))
    for some in portions(wanted, IDS_PER_STATEMENT):
        traces, ids = zip(*some, strict=True)
        asked = {"traces": ",".join(traces), "spans": ",".join(ids)}
        for trace, span, scope in client.query(SCOPES, parameters=asked).result_rows:
            found[trace, span] = scope
    return found


def _duplicates(pairs: Iterable[Pair], knows: Mapping[UUID, int]) -> Iterator[UUID]:
    """The rows to remove: within each call, from the inside out, either the outer rows that know less, or else the inner ones."""
    outer_of: dict[UUID, UUID] = {}
    open_inside: Counter[UUID] = Counter()
    for pair in pairs:
        if pair.inner not in outer_of:
            outer_of[pair.inner] = pair.outer
            open_inside[pair.outer] += 1
    left: dict[UUID, list[UUID]] = {row: [] for row in knows}
    done = [row for row in knows if not open_inside[row]]
    # Spans that are each other's parents are never reached, and stay.
    for row in done:
        inside = left[row]
        if knows[row] >= max((knows[each] for each in inside), default=0):
            yield from inside
            inside = [row]
        else:
            yield row
        outer = outer_of.get(row)
        if outer is not None:
            left[outer].extend(inside)
            open_inside[outer] -= 1
            if not open_inside[outer]:
                done.append(outer)
