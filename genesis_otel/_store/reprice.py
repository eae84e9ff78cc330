"""Prices LLM calls that reached the store without a cost: from other instrumentations, in processes without ours.

In: a client that may change ``llm_logs``. Out: the rows' ``cost``, computed from the tokens as ``prices`` does for spans, and their
``cost_source``; the changes, by model. A second call finds nothing to change. On failure: what ClickHouse raises; the pages
before that are done, and the next call continues after them.

Rows are changed by mutations, which replicate by themselves and rewrite only the two columns. A span that is delivered again
afterwards becomes another row without a cost, which replaces the first when ClickHouse merges them: call this again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from genesis_otel import attributes as names
from genesis_otel._store import prices
from genesis_otel._store.mutations import ALL_REPLICAS, rewrite
from genesis_otel._store.own_prices import OwnPrices
from genesis_otel._store.portions import portions
from genesis_otel._store.tokens import TOO_MANY, Tokens, by_the_rule

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

NOT_PRICED = ""
"""The ``cost_source`` of a call that our process never saw, and whose instrumentation reported no cost."""

ROWS_PER_MUTATION = 2_000
"""Their ids fit into a parameter: see :mod:`~genesis_otel._store.portions`. What a server stores of the mutation (the ids twice,
and the costs) must stay under 256 KiB (``max_query_size``), and well under the 1 MiB of a ZooKeeper node."""
ROWS_PER_PAGE = 40_000
"""Twenty mutations, of which only the last is waited for: ClickHouse applies them all in one pass over a part."""
ROWS_PER_REPORT = 1_000
"""Rows between two reports of progress: a tenth of a second."""

CHOSEN = "cost = 0 AND cost_source IN {open:Array(String)} AND ({run_id:String} = '' OR run_id = {run_id:String})"

COUNT = f"SELECT count() FROM llm_logs WHERE {CHOSEN}"  # noqa: S608 - a constant of ours

# The first of the two conditions on the time makes the index usable.
PAGE = f"""
SELECT
    toString(id) AS id, toUnixTimestamp64Milli(timestamp) AS milliseconds, cost_source, model, response_model, provider,
    input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, status, error
FROM llm_logs
WHERE {CHOSEN}
    AND timestamp >= fromUnixTimestamp64Milli({{milliseconds:Int64}})
    AND (timestamp, llm_logs.id) > (fromUnixTimestamp64Milli({{milliseconds:Int64}}), {{id:UUID}})
ORDER BY timestamp, llm_logs.id
LIMIT {{rows:UInt32}}
"""  # noqa: S608 - a constant of ours

# As text: with arrays, which the engine writes out again at every step of a mutation, it takes four times as long.
IDS = "CAST(splitByChar(',', {ids:String}), 'Array(UUID)')"
UPDATE = f"""
ALTER TABLE llm_logs UPDATE
    cost = transform(id, {IDS}, CAST(splitByChar(',', {{costs:String}}), 'Array(Float64)'), cost),
    cost_source = {{source:String}}
WHERE id IN {IDS} AND cost = 0 AND cost_source IN {{open:Array(String)}}
"""

DO_NOT_WAIT: dict[str, Any] = {"mutations_sync": 0}

START = (-9_223_372_036_856, "00000000-0000-0000-0000-000000000000")
"""A time before the first that nanoseconds in 64 bits can tell, in 1677, where a span of after 2262 is, too; and the smallest id."""


class Call(NamedTuple):
    """A row without a cost."""

    id: str
    milliseconds: int
    cost_source: str
    model: str
    response_model: str
    provider: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    status: str
    error: str


class Repriced(NamedTuple):
    """What happened to the calls of a model."""

    model: str
    provider: str
    cost_source: str
    calls: int
    cost: float


def open_calls(client: Client, *, run_id: str = "", again: bool = False) -> int:
    """The number of rows that :func:`reprice` would look at."""
    return int(str(client.command(COUNT, parameters=_chosen(run_id, again))))


def reprice(
    client: Client,
    *,
    run_id: str = "",
    again: bool = False,
    dry_run: bool = False,
    own: OwnPrices = prices.NO_OWN_PRICES,
    progress: Callable[[int], None] = lambda rows: None,
) -> list[Repriced]:
    """Give each call without a cost the cost of its tokens, and return the changes, most expensive first.

    :param run_id: only calls of this run; '' takes all runs.
    :param again: also retry calls for which no price was found: a newer price list, or the user's, may have their model.
    :param dry_run: change nothing; the return value is the same.
    :param own: the user's prices, which take precedence over the price list.
    :param progress: called with the number of rows done since the last call.
    """
    chosen = _chosen(run_id, again)
    totals: dict[tuple[str, str, str], tuple[int, float]] = {}
    for page in _pages(client, chosen):
        priced: dict[str, dict[str, float]] = {}
        for number, call in enumerate(page, 1):
            if number % ROWS_PER_REPORT == 0:
                progress(ROWS_PER_REPORT)
            cost, source = _price(call, own)
            # A call that was delivered twice is two rows until they are merged.
            if source == call.cost_source or call.id in priced.get(source, ()):
                continue
            priced.setdefault(source, {})[call.id] = cost
            group = (call.model, call.provider, source)
            calls, dollars = totals.get(group, (0, 0.0))
            totals[group] = (calls + 1, dollars + cost)
        if not dry_run:
            _change(client, priced, chosen["open"])
        progress(len(page) % ROWS_PER_REPORT)
    changed = [Repriced(*group, *sums) for group, sums in totals.items()]
    return sorted(changed, key=lambda each: (-each.cost, -each.calls, each))


def _chosen(run_id: str, again: bool) -> dict[str, Any]:
    return {"run_id": run_id, "open": list(names.COST_UNPRICED) if again else [NOT_PRICED]}


def _pages(client: Client, chosen: dict[str, Any]) -> Iterator[Sequence[Call]]:
    """The rows in order of time, so that the rows of a page are in few parts of the table."""
    milliseconds, last = START
    while True:
        page = {**chosen, "milliseconds": milliseconds, "id": last, "rows": ROWS_PER_PAGE}
        calls = [Call(*row) for row in client.query(PAGE, parameters=page).result_rows]
        if calls:
            yield calls
        if len(calls) < ROWS_PER_PAGE:
            return
        milliseconds, last = calls[-1].milliseconds, calls[-1].id


def _price(call: Call, own: OwnPrices) -> tuple[float, str]:
    counts = [
        # As for spans: a number that no model can reach is not a count.
        count if count < TOO_MANY else None
        for count in (
            call.input_tokens,
            call.output_tokens,
            call.cached_tokens,
            call.cache_write_tokens,
            call.reasoning_tokens,
        )
    ]
    # A row has 0 where its span had no count. Rows of older versions hold the counts as reported.
    tokens = by_the_rule(Tokens(*counts)) if any(counts) else Tokens(None, None)
    moment = datetime.fromtimestamp(call.milliseconds / 1000, timezone.utc) if call.milliseconds else None
    error = call.error if call.status == "error" else None
    return prices.price_of((call.response_model, call.model), call.provider, tokens, moment, own=own, error=error)


def _change(client: Client, priced: dict[str, dict[str, float]], open_sources: list[str]) -> None:
    mutations = [
        (source, ids, costs) for source, costs in priced.items() for ids in portions(list(costs), ROWS_PER_MUTATION)
    ]
    for number, (source, ids, costs) in enumerate(mutations, 1):
        rewrite(
            client,
            "llm_logs",
            UPDATE,
            {
                "ids": ",".join(ids),
                "costs": ",".join(repr(costs[each]) for each in ids),
                "source": source,
                "open": open_sources,
            },
            # Mutations are applied in order: when the last one is done, all are.
            ALL_REPLICAS if number == len(mutations) else DO_NOT_WAIT,
        )
