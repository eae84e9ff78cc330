"""Calls in current names alone take a short way to their rows: it must be the row of the long way, whatever the attributes hold."""

from __future__ import annotations

import json
import random

from clickhouse_connect.driver.client import Client

COLUMNS = ("Timestamp", "TraceId", "SpanId", "ScopeName", "SpanAttributes", "Duration", "StatusCode")
NUMBERS = (
    *("0", "5", "10", "15", "1200", "", "-1", "1.5", "NaN", "inf", "json: unsupported value: NaN", "x"),
    *(str(2**63 - 1), str(2**64 - 1), "9" * 25),
)
TEXTS = ("", "gpt-4o", 'a "quoted" text\n', "[]", "{}", '["stop"]', '["stop", "length"]', '{"model": "m"}', "anthropic")
HOSTS = (
    "",
    ".",
    "api.openai.com",
    "https://eu.api.groq.com:443/v1",
    "localhost:8000",
    "http://user:secret@api.x.ai/v1",
)
VALUES = {
    "genesis.generation.number": NUMBERS,
    "genesis.individual.id": TEXTS,
    "genesis.place": TEXTS,
    "genesis.llm.role": TEXTS,
    "genesis.llm.metadata": TEXTS,
    "gen_ai.provider.name": TEXTS,
    "server.address": HOSTS,
    "gen_ai.request.model": TEXTS,
    "gen_ai.response.model": TEXTS,
    "gen_ai.response.id": TEXTS,
    "gen_ai.response.finish_reasons": TEXTS,
    "gen_ai.response.time_to_first_chunk": NUMBERS,
    "gen_ai.usage.cost": NUMBERS,
    "gen_ai.usage.input_tokens": NUMBERS,
    "gen_ai.usage.output_tokens": NUMBERS,
    "gen_ai.usage.cache_read.input_tokens": NUMBERS,
    "gen_ai.usage.cache_write.input_tokens": NUMBERS,
    "gen_ai.usage.reasoning.output_tokens": NUMBERS,
}
"""What a call of this package may hold besides its messages, and values of each, well and badly formed."""


def message(role: str, *parts: tuple[str, object]) -> dict[str, object]:
    return {"role": role, "parts": [{"type": kind, "content": content} for kind, content in parts]}


ASKED: tuple[object, ...] = (
    [message("user", ("text", "Improve it."))],
    [message("system", ("text", 'Be "brief".\n')), message("user", ("text", "a"), ("text", "b"))],
    [message("user", ("text", 5))],
    [message("alien", ("text", "a"))],
    [message("user", ("image", "a"))],
    [message("user", ("text", ""))],
    [],
)
ANSWERED: tuple[object, ...] = (
    [message("assistant", ("text", "Done.")) | {"finish_reason": "stop"}],
    [message("assistant", ("reasoning", "Hm."), ("text", "Done."), ("thinking", "Well."))],
    [message("assistant", ("reasoning", "Hm."))],
    [message("assistant", ("text", None))],
    [message("assistant", ("text", "[]"))],
    "no JSON",
)


def call(chance: random.Random) -> dict[str, str]:
    """The attributes of a call; every second has plain messages."""
    told = {name: chance.choice(VALUES[name]) for name in chance.sample(sorted(VALUES), chance.randrange(len(VALUES)))}
    plain = chance.random() < 0.5
    if chance.random() < 0.8:
        told["gen_ai.input.messages"] = json.dumps(chance.choice(ASKED[:2] if plain else ASKED))
    if chance.random() < 0.8:
        told["gen_ai.output.messages"] = json.dumps(chance.choice(ANSWERED[:2] if plain else ANSWERED))
    operation = chance.choice(("chat", "completion", "text_completion", "embedding", "embeddings"))
    source = chance.choice(("told", "price-list", "unknown-model"))
    return told | {"genesis.run.id": "r", "gen_ai.operation.name": operation, "genesis.llm.cost_source": source}


def test_both_ways_make_the_same_row(store: Client) -> None:
    """The same call as it is and with one more name, which makes it take the long way, are equal rows, column by column."""
    store.command("CREATE TABLE seen (trace_id String) ENGINE = MergeTree ORDER BY trace_id")
    store.command("CREATE MATERIALIZED VIEW seen_mv TO seen AS SELECT TraceId AS trace_id FROM simple_calls")
    chance = random.Random(17)
    rows = []
    for number in range(600):
        attributes = call(chance)
        for way, more in (("short", {}), ("long", {"genesis.llm.within": ""})):
            told = attributes | more
            rows.append((1_760_000_000_000_000_000, f"{number:032x}", way, "genesis_otel", told, 2 * 10**9, "Ok"))
    store.insert("otel_traces", rows, column_names=COLUMNS)
    compared = "* EXCEPT (id, span_id, ingested_at)"
    short, long = (
        store.query(f"SELECT {compared} FROM llm_logs WHERE span_id = '{way}' ORDER BY trace_id").result_rows
        for way in ("short", "long")
    )
    assert len(short) == len(long) == 600
    assert [str(row) for row in short] == [str(row) for row in long]
    seen = {trace for (trace,) in store.query("SELECT trace_id FROM seen").result_rows}
    assert 200 < len(seen) < 500


def test_what_is_not_simple_takes_the_long_way(store: Client) -> None:
    """A call with a name of another instrumentation, an event or an error has what those say in its row."""
    base = {
        "genesis.run.id": "r",
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": "10",
        "genesis.llm.cost_source": "told",
    }
    exception = ["exception"], [{"exception.type": "ValueError", "exception.message": "bad"}]
    rows = [
        (base | {"gen_ai.usage.total_tokens": "30"}, "Ok", [], []),
        (base | {"error.type": "Timeout"}, "Ok", [], []),
        (base, "Error", [], []),
        (base, "Ok", *exception),
    ]
    store.insert(
        "otel_traces",
        [
            (
                10**9 + at,
                f"{at:032x}",
                f"{at:016x}",
                "genesis_otel",
                told,
                10**9,
                status,
                [10**9] * len(names),
                names,
                of,
            )
            for at, (told, status, names, of) in enumerate(rows)
        ],
        column_names=(*COLUMNS, "Events.Timestamp", "Events.Name", "Events.Attributes"),
    )
    found = store.query("SELECT status, error, input_tokens FROM llm_logs ORDER BY trace_id").result_rows
    assert found == [("ok", "", 10), ("error", "Timeout", 10), ("error", "", 10), ("error", "ValueError: bad", 10)]
