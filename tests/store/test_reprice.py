"""Repricing: LLM calls that never passed this package get the cost that it would have given them, once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel import attributes as names
from genesis_otel._cli.app import main
from genesis_otel._serve import client as store_process
from genesis_otel._ship.calls.cost import price
from genesis_otel._ship.calls.llm_names import counts
from genesis_otel._store import reprice as _reprice
from genesis_otel._store.own_prices import read_own_prices
from genesis_otel._store.reprice import Repriced, open_calls, reprice
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.dialects import DIALECTS
from tests.support.recording import store_spans
from tests.support.searched import RUN, end_store, fill, search_spans

START = 1_785_542_400_000_000_000
"""2026-08-01 00:00 UTC."""
HOUR = 3600 * 10**9
GPT_4O = DIALECTS["current"]
COST = (600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6
"""Of each of the dialects' calls, by the price list of its day."""


def calls(*told: dict[str, Any], run: str = "r", start: int = START, apart: int = 10**9) -> Sequence[ReadableSpan]:
    """Spans of another instrumentation, in a process that only has the SDK."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for number, attributes in enumerate(told):
        began = start + number * apart
        span = provider.get_tracer("theirs").start_span("call", start_time=began)
        span.set_attributes({names.RUN_ID: run, "gen_ai.operation.name": "chat", **attributes})
        span.end(began + 10**9)
    return kept.get_finished_spans()


def costs(client: Client) -> list[Any]:
    """Cost and source of every row, by time."""
    rows = client.query("SELECT cost, cost_source FROM llm_logs ORDER BY timestamp, id").result_rows
    return [(row[0], row[1]) for row in rows]


def mutations(client: Client) -> int:
    sql = "SELECT count() FROM system.mutations WHERE database = {database:String}"
    return int(str(client.command(sql, parameters={"database": client.database})))


CALLS: dict[str, dict[str, Any]] = {
    **DIALECTS,
    "cache read and written": {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.usage.input_tokens": 5000,
        "gen_ai.usage.output_tokens": 70,
        "gen_ai.usage.cache_read.input_tokens": 3000,
        "gen_ai.usage.cache_creation.input_tokens": 1000,
    },
    "cached tokens that came apart": {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 70,
        "gen_ai.usage.cache_read.input_tokens": 3000,
    },
    "dearer beyond 200,000 tokens": {
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-pro",
        "gen_ai.usage.input_tokens": 300_000,
        "gen_ai.usage.output_tokens": 1,
    },
    "an alias of the provider's": {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "our-deployment",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 1,
    },
    "a provider's name of OpenTelemetry's": {
        "gen_ai.provider.name": "x_ai",
        "gen_ai.request.model": "grok-4",
        "gen_ai.usage.input_tokens": 7,
    },
    "embedding": {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.usage.input_tokens": 70_000,
    },
    "unknown model": {
        "gen_ai.provider.name": "some\"body's\\ \n\t🦆",
        "gen_ai.request.model": "modèle'; DROP TABLE llm_logs; --\t\n",
        "gen_ai.usage.input_tokens": 5,
    },
    "no model": {"gen_ai.usage.input_tokens": 5},
    "no tokens": {"gen_ai.request.model": "gpt-4o"},
    "absurd tokens": {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": str(2**64 - 1)},
}


def test_a_row_gets_what_its_span_would_have_got(store: Client, connect: Connect) -> None:
    """Cost and source are those that our own process gives a span with these attributes, whatever the instrumentation."""
    spans = calls(*CALLS.values())
    store_spans(ClickHouseSpanExporter(connect), spans)
    assert costs(store) == [(0.0, "")] * len(CALLS)
    told = reprice(store)
    told_of = [(dict(span.attributes or {}), span.start_time) for span in spans]
    expected = [price(attributes, counts(attributes), start) for attributes, start in told_of]
    assert dict(zip(CALLS, costs(store), strict=True)) == dict(zip(CALLS, expected, strict=True))
    sources = [source for _, source in expected]
    assert {source: sources.count(source) for source in sources} == {
        "genai-prices": 10,
        "unknown-model": 2,
        "no-tokens": 2,
    }
    assert costs(store)[: len(DIALECTS)] == [(pytest.approx(COST), "genai-prices")] * len(DIALECTS)
    assert sum(each.calls for each in told) == len(CALLS)
    assert sum(each.cost for each in told) == pytest.approx(sum(cost for cost, _ in expected))


def test_a_call_of_any_time_is_priced(store: Client) -> None:
    """Also one whose clock told a time before 1900, or after 2262, which nanoseconds in 64 bits turn into one of 1677."""
    told = {
        "genesis.run.id": "r",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": "10",
    }
    store.insert(
        "otel_traces",
        [
            (time, f"{number:032x}", f"{number:016x}", told)
            for number, time in enumerate((-(2**63), -(10**18) * 3, 0, 10**18 * 9))
        ],
        column_names=("Timestamp", "TraceId", "SpanId", "SpanAttributes"),
    )
    assert [each.calls for each in reprice(store)] == [4]
    assert [source for _, source in costs(store)] == ["genai-prices"] * 4
    assert reprice(store) == []


def test_the_second_time_changes_nothing(store: Client, connect: Connect) -> None:
    """No mutation is even started, and the answer is empty."""
    store_spans(ClickHouseSpanExporter(connect), calls(*CALLS.values()))
    assert reprice(store)
    after, rows = mutations(store), costs(store)
    assert after > 0
    assert open_calls(store) == 0
    assert reprice(store) == []
    assert reprice(store, again=True) == []
    assert (mutations(store), costs(store)) == (after, rows)


def test_what_has_a_cost_keeps_it(store: Client, connect: Connect) -> None:
    """A reported cost, one of our own, and one of the first logger's rows, which has no source."""
    told = {"gen_ai.usage.cost": 0.5}, {"gen_ai.cost.total_cost": 0.0625}, {"llm.cost.total": 0.25}
    own = {"genesis.llm.cost_source": "genai-prices", "gen_ai.usage.cost": 0.125}
    store_spans(ClickHouseSpanExporter(connect), calls(*({**GPT_4O, **each} for each in (*told, own))))
    store.command(
        "INSERT INTO llm_logs (id, timestamp, model, cost) SELECT generateUUIDv4(), toDateTime64('2026-09-01', 3), 'gpt-4o', 2"
    )
    before = costs(store)
    assert [cost for cost, _ in before] == [0.5, 0.0625, 0.25, 0.125, 2.0]
    assert reprice(store) == []
    assert (costs(store), mutations(store)) == (before, 0)


def test_the_prices_are_those_of_the_call(store: Client, connect: Connect) -> None:
    """A model that is cheaper at night costs less at night: the time of the row counts, not that of repricing."""
    call = {
        "gen_ai.provider.name": "deepseek",
        "gen_ai.request.model": "deepseek-chat",
        "gen_ai.usage.input_tokens": 1_000_000,
    }
    # Cheap from 16:30 to 00:30.
    store_spans(ClickHouseSpanExporter(connect), calls(call, call, start=START + 12 * HOUR, apart=8 * HOUR))
    reprice(store)
    (day, _), (night, _) = costs(store)
    assert day == pytest.approx(2 * night) and night > 0


def test_the_answer_says_what_was_changed(store: Client, connect: Connect) -> None:
    """By model, provider and source of the cost: how many calls, how many dollars, most expensive first."""
    mini = {**GPT_4O, "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 1}
    unknown = {**GPT_4O, "gen_ai.request.model": "unheard-of"}
    store_spans(ClickHouseSpanExporter(connect), calls(mini, GPT_4O, unknown, GPT_4O))
    dearest, cheap, none = reprice(store)
    assert dearest[:4] == ("gpt-4o", "openai", "genai-prices", 2) and dearest.cost == pytest.approx(2 * COST)
    assert (cheap.model, cheap.calls) == ("gpt-4o-mini", 1) and 0 < cheap.cost < COST
    assert none == Repriced("unheard-of", "openai", "unknown-model", 1, 0.0)


def test_a_dry_run_changes_nothing(store: Client, connect: Connect) -> None:
    """It answers what would change, and exactly that changes afterwards."""
    store_spans(ClickHouseSpanExporter(connect), calls(*CALLS.values()))
    would = reprice(store, dry_run=True)
    assert costs(store) == [(0.0, "")] * len(CALLS) and mutations(store) == 0
    assert would and reprice(store) == would


def test_one_run_alone(store: Client, connect: Connect) -> None:
    """Given a run's id, calls of other runs are not changed."""
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, calls(GPT_4O, run="this"))
    store_spans(exporter, calls(GPT_4O, run="this_not", start=START + HOUR))
    assert (open_calls(store), open_calls(store, run_id="this")) == (2, 1)
    (told,) = reprice(store, run_id="this")
    assert told.calls == 1
    assert [source for _, source in costs(store)] == ["genai-prices", ""]


def test_again_looks_at_unknown_models_once_more(store: Client, connect: Connect) -> None:
    """What the price list lacked is looked up again on request; what it still lacks is not touched."""
    exporter = ClickHouseSpanExporter(connect)
    unknown = {**GPT_4O, "gen_ai.request.model": "unheard-of"}
    # As left by an older price list.
    marked = {"genesis.llm.cost_source": "unknown-model", "gen_ai.usage.cost": 0.0}
    store_spans(exporter, calls({**GPT_4O, **marked}, {**unknown, **marked}))
    assert reprice(store) == []
    (told,) = reprice(store, again=True)
    assert (told.model, told.calls) == ("gpt-4o", 1)
    assert costs(store) == [(pytest.approx(COST), "genai-prices"), (0.0, "unknown-model")]


def test_own_prices_count_too(store: Client, connect: Connect, tmp_path: Path) -> None:
    """The user's prices take precedence over the list, and price what was unknown when asked again; an existing cost is kept."""
    path = tmp_path / "prices.toml"
    path.write_text('[models."gpt-4o"]\ninput = 1\noutput = 2\n[models."unheard-*"]\noutput = 10\n', encoding="utf-8")
    own = read_own_prices(path)
    unknown = {**GPT_4O, "gen_ai.request.model": "unheard-of"}
    marked = {"genesis.llm.cost_source": "unknown-model", "gen_ai.usage.cost": 0.0}
    priced = {"genesis.llm.cost_source": "genai-prices", "gen_ai.usage.cost": 0.125}
    store_spans(ClickHouseSpanExporter(connect), calls(GPT_4O, {**unknown, **marked}, {**GPT_4O, **priced}))
    reprice(store, own=own)
    first = (pytest.approx(1200 / 1e6), "own-prices")
    assert costs(store) == [first, (0.0, "unknown-model"), (0.125, "genai-prices")]
    reprice(store, own=own, again=True)
    assert costs(store) == [first, (pytest.approx(1000 / 1e6), "own-prices"), (0.125, "genai-prices")]


@pytest.mark.parametrize(("page", "chunk"), [(1, 1), (7, 3), (50, 50), (51, 49)])
def test_pages_leave_no_row_out(
    page: int, chunk: int, store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are changed at once, and even if calls started in the same millisecond, each gets its own cost, once."""
    monkeypatch.setattr(_reprice, "ROWS_PER_PAGE", page)
    monkeypatch.setattr(_reprice, "ROWS_PER_MUTATION", chunk)
    told = [{**GPT_4O, "gen_ai.usage.input_tokens": 1000 + number} for number in range(50)]
    store_spans(ClickHouseSpanExporter(connect), calls(*told, apart=10**5))
    seen: list[int] = []
    (changed,) = reprice(store, progress=seen.append)
    assert changed.calls == sum(seen) == 50
    rows = store.query("SELECT input_tokens, cost FROM llm_logs").result_rows
    assert {row[0]: row[1] for row in rows} == {
        each["gen_ai.usage.input_tokens"]: price(each, counts(each), START)[0] for each in told
    }
    assert mutations(store) == sum(-(-min(page, 50 - first) // chunk) for first in range(0, 50, page))


def test_a_mutation_keeps_within_a_servers_limits(store: Client) -> None:
    """The longest parameter is shorter than 128 KiB, and the mutation shorter than 256 KiB: a server's default limits."""
    rows = _reprice.ROWS_PER_MUTATION
    store.command(
        "INSERT INTO llm_logs (id, timestamp, model, provider, input_tokens, output_tokens, span_id) "
        "SELECT generateUUIDv4(), toDateTime64('2026-08-01', 3), 'gpt-4o', 'openai', 3333333333 + number, 77777, toString(number) "
        "FROM numbers({rows:UInt32})",
        parameters={"rows": rows + 1},
    )
    (told,) = reprice(store)
    assert told.calls == rows + 1
    longest = store.query(
        "SELECT max(length(command)) FROM system.mutations WHERE database = {database:String}",
        parameters={"database": store.database},
    ).result_rows[0][0]
    assert rows * len("01234567-0123-0123-0123-012345678901,") < 128 << 10
    assert rows * 80 < longest < 256 << 10


def test_a_mutation_is_the_same_on_every_replica(store: Client) -> None:
    """It calls only deterministic functions: replicated tables refuse all others."""
    called = {name.lower() for name in re.findall(r"(\w+)\(", _reprice.UPDATE)} - {"array"}
    sql = "SELECT lower(name) FROM system.functions WHERE deterministic AND lower(name) IN {called:Array(String)}"
    known = {row[0] for row in store.query(sql, parameters={"called": sorted(called)}).result_rows}
    assert called == known >= {"transform", "splitbychar", "cast"}


def test_a_call_delivered_twice_is_priced_once(store: Client, connect: Connect) -> None:
    """Two unmerged rows of one call both get the cost; the answer counts one."""
    store.command("SYSTEM STOP MERGES llm_logs")
    spans = calls(GPT_4O, GPT_4O)
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, spans)
    store_spans(exporter, spans[1:])
    assert len(costs(store)) == 3
    store.command("SYSTEM START MERGES llm_logs")
    (told,) = reprice(store)
    assert told.calls == 2
    assert costs(store) == [(pytest.approx(COST), "genai-prices")] * len(costs(store))


def test_a_call_delivered_again_afterwards_is_priced_again(store: Client, connect: Connect) -> None:
    """The new row arrives without a cost and is the one that is kept; the next repricing gives it the same cost."""
    spans = calls(GPT_4O, GPT_4O)
    exporter = ClickHouseSpanExporter(connect)
    store_spans(exporter, spans)
    reprice(store)
    store_spans(exporter, spans[1:])
    store.command("OPTIMIZE TABLE llm_logs FINAL")
    assert [source for _, source in costs(store)] == ["genai-prices", ""]
    (told,) = reprice(store)
    assert told.calls == 1
    store.command("OPTIMIZE TABLE llm_logs FINAL")
    assert costs(store) == [(pytest.approx(COST), "genai-prices")] * 2


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a search of ours, to which another instrumentation's calls were added."""
    folder = tmp_path_factory.mktemp("foreign")
    fill(folder / "store", search_spans(), calls(GPT_4O, GPT_4O, run=RUN), calls(GPT_4O, run="elsewhere"))
    yield folder
    end_store(folder / "store")


def test_the_command(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the store process: first what would change, then one run, then all, then nothing."""
    monkeypatch.chdir(data)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
    monkeypatch.delenv("CLICKHOUSE_URL", raising=False)

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["reprice", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    assert "genesis-otel reprice --dry-run" in ran("--help")[1]
    code, out, err = ran("--run", "run_2024", "--dry-run")
    assert (code, out.splitlines()[0].split("\t")) == (0, ["model", "provider", "cost_source", "calls", "cost"])
    assert out.splitlines()[1].split("\t")[:4] == ["gpt-4o", "openai", "genai-prices", "2"]
    assert "--dry-run" in err
    code, out, err = ran("--run", RUN, "--format", "json")
    (told,) = json.loads(out)
    left = "Without a known price or tokens: {}. With new prices, try them again: genesis-otel reprice --again\n"
    assert (code, err) == (0, left.format("1 call"))
    assert told == {
        "model": "gpt-4o",
        "provider": "openai",
        "cost_source": "genai-prices",
        "calls": 2,
        "cost": pytest.approx(2 * COST),
    }
    assert "\tgpt-4o\t" not in ran("--run", "latest")[1]
    prices = data / "prices.toml"
    monkeypatch.setenv("GENESIS_OTEL_PRICES", str(prices))
    code, _, err = ran("--dry-run")
    assert code != 0 and f"{prices} cannot be read" in err
    prices.write_text('[models."gpt-4o"]\nrequest = 0.5\n', encoding="utf-8")
    assert ran("--dry-run")[1].splitlines()[1].split("\t")[2:] == ["own-prices", "1", "0.5"]
    monkeypatch.delenv("GENESIS_OTEL_PRICES")
    assert ran()[1].splitlines()[1].split("\t")[3] == "1"
    nothing = "Nothing to do: every call has a cost, or is known not to have one.\n"
    assert ran() == (0, "", nothing + left.format("1 call"))
    assert ran("--again") == (0, "", nothing)
    fill(data / "store", calls({**GPT_4O, "gen_ai.request.model": "unheard-of"}, run="unheard"))
    assert "--again" not in ran("--dry-run")[2]
    code, out, err = ran()
    assert (code, err) == (0, left.format("2 calls"))
    assert "unheard-of\topenai\tunknown-model\t1\t0.0" in out
    assert ran("--run", "nobody")[0] == 3
    with store_process.open_store(data / "store", start=True) as client:
        assert client.query(
            "SELECT countIf(cost_source = ''), countIf(cost_source = 'told') > 0 FROM llm_logs"
        ).result_rows == [(0, True)]
