"""What money bought: gains per dollar by model and mutation type, and their bootstrap intervals."""

from __future__ import annotations

import random
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries

RUN = "run"
SCORES = [float(number % 7 == 0) * number for number in range(300)]
"""Each seventh individual is better than all before it, by seven."""
COSTS = [0.01 * (1 + number % 5) for number in range(300)]


def individuals(store: Client, scores: list[float], how: str = "diff", first: int = 1) -> None:
    """Individuals in this order, one per generation."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, span_id) SELECT {run:String},"
        " concat('i', toString(number + {first:UInt32})), number + {first:UInt32}, {how:String}, addMilliseconds(now64(3) - 60, number + {first:UInt32}),"
        " {scores:Array(Float64)}[number + 1], concat('s', toString(number + {first:UInt32})) FROM numbers(length({scores:Array(Float64)}))",
        parameters={"run": RUN, "scores": scores, "how": how, "first": first},
    )


def calls(
    store: Client, costs: list[float], model: str, first: int = 1, role: str = "mutation", source: str = "told"
) -> None:
    """One call per individual."""
    store.command(
        "INSERT INTO llm_logs (id, run_id, individual_id, model, role, operation, timestamp, status, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, concat('i', toString(number + {first:UInt32})), {model:String}, {role:String}, 'chat',"
        " now64(3) - 70, 'ok', {costs:Array(Float64)}[number + 1], {source:String}, concat({model:String}, toString(number + {first:UInt32}))"
        " FROM numbers(length({costs:Array(Float64)}))",
        parameters={"run": RUN, "costs": costs, "model": model, "first": first, "role": role, "source": source},
    )


def shown(store: Client) -> dict[tuple[str, str], dict[str, Any]]:
    """The query's rows by kind and name."""
    return {(row["what"], row["name"]): row for row in queries.ask(store, "model_yield", run_id=RUN)}


def test_a_dollar_s_gain_is_gain_by_cost(store: Client) -> None:
    """By model and by mutation type: individuals, improvements, gain and cost as computed by hand."""
    individuals(store, SCORES)
    calls(store, COSTS, "m")
    for key in (("model", "m"), ("mutation type", "diff")):
        row = shown(store)[key]
        improvements, gained, paid = 42, 294.0, sum(COSTS)
        assert (row["individuals"], row["improvements"], row["gain"]) == (300, improvements, gained)
        assert row["cost"] == pytest.approx(paid)
        assert row["gain_per_dollar"] == pytest.approx(gained / paid)
        assert row["improvements_per_dollar"] == pytest.approx(improvements / paid)


def test_the_interval_is_that_of_any_bootstrap(store: Client) -> None:
    """Within a fifth of its width of what resampling with Python's random numbers yields, and the same each time."""
    individuals(store, SCORES)
    calls(store, COSTS, "m")
    gains = [7.0 if number and number % 7 == 0 else 0.0 for number in range(300)]
    chance = random.Random(1)
    ratios = []
    for _ in range(2000):
        again = chance.choices(range(300), k=300)
        ratios.append(sum(gains[each] for each in again) / sum(COSTS[each] for each in again))
    ratios.sort()
    low, high = ratios[100], ratios[1900]
    row = shown(store)["model", "m"]
    assert row["gain_low"] == pytest.approx(low, abs=(high - low) / 5)
    assert row["gain_high"] == pytest.approx(high, abs=(high - low) / 5)
    assert shown(store) == shown(store)


def test_an_improvement_is_that_of_the_model_that_made_it(store: Client) -> None:
    """Of two models, each has its own individuals and the cost of all its calls, including those that judged the other's programs."""
    individuals(store, SCORES[:100])
    individuals(store, SCORES[100:200], first=101)
    calls(store, COSTS[:100], "good")
    calls(store, COSTS[100:200], "other", first=101)
    calls(store, [1.0] * 100, "judge", role="novelty")
    rows = shown(store)
    assert (rows["model", "good"]["improvements"], rows["model", "other"]["improvements"]) == (14, 14)
    assert rows["model", "judge"]["improvements"] == rows["model", "judge"]["individuals"] == 0
    assert rows["model", "judge"]["cost"] == 100 and rows["model", "judge"]["gain_low"] is None
    assert rows["mutation type", "diff"]["cost"] == pytest.approx(sum(COSTS[:200]) + 100)


def test_unpriced_calls_are_left_out_and_counted(store: Client) -> None:
    """An individual with an unpriced call adds neither gain nor cost: a gain of unknown cost is not cheap."""
    individuals(store, [0.0, 1.0, 100.0])
    calls(store, [0.5, 0.5], "m")
    calls(store, [0.0], "m", first=3, source="unknown-model")
    row = shown(store)["model", "m"]
    assert (row["individuals"], row["improvements"], row["gain_per_dollar"], row["unpriced"]) == (2, 1, 1.0, 1)


def test_a_free_model_has_its_row(store: Client) -> None:
    """One whose calls cost nothing is counted with what it has found; by the dollar it has no number, and no interval."""
    individuals(store, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    calls(store, [0.0] * 6, "free")
    row = shown(store)["model", "free"]
    assert (row["individuals"], row["improvements"], row["gain"], row["cost"], row["unpriced"]) == (6, 5, 5.0, 0, 0)
    assert [row[each] for each in ("gain_per_dollar", "gain_low", "gain_high", "improvements_per_dollar")] == [None] * 4


def test_few_individuals_have_no_interval(store: Client) -> None:
    """With four, or without an improvement, a bootstrap would claim certainty that it cannot have."""
    individuals(store, [0.0, 1.0, 2.0, 3.0])
    calls(store, [0.5] * 4, "few")
    individuals(store, [0.0] * 50, first=10)
    calls(store, [0.5] * 50, "flat", first=10)
    rows = shown(store)
    for name in ("few", "flat"):
        assert [rows["model", name][each] for each in ("gain_low", "gain_high", "improvements_low")] == [None] * 3
    assert rows["model", "few"]["gain_per_dollar"] == 1.5 and rows["model", "flat"]["gain_per_dollar"] == 0
