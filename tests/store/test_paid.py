"""What a run paid, against an account in plain Python: its calls, and what individuals and generations report beyond them."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries

BEGAN = datetime(2026, 3, 1, tzinfo=timezone.utc)
NAMES = ("", "a", "b", "c")


class Individual(NamedTuple):
    run_id: str
    individual_id: str
    generation: int
    timestamp: datetime
    mutation_type: str
    api_cost: float
    span_id: str


class Call(NamedTuple):
    run_id: str
    individual_id: str
    generation: int | None
    timestamp: datetime
    cost: float
    span_id: str


class Generation(NamedTuple):
    run_id: str
    generation: int
    timestamp: datetime
    total_cost: float
    span_id: str


Rows = dict[str, list[Any]]


def searches(seed: int) -> Rows:
    """Six runs: individuals (some recorded more than once, copied or without an id), calls (of individuals, of generations or of the run
    alone, or none at all) and generations, each with or without a cost."""
    chance = random.Random(seed)
    made: Rows = {"individuals": [], "llm_logs": [], "generations": []}

    def usd() -> float:
        return chance.choice((0.0, 0.0, 0.125, 0.25, 0.5, 1.0))

    for run in (f"r{number}" for number in range(6)):
        calls_of = chance.choice(("individuals", "generations", "the run", "nothing"))
        for at in chance.sample(range(100), chance.randint(0, 12)):
            name, when = chance.choice(NAMES), BEGAN + timedelta(seconds=at)
            how = chance.choice(("diff", "diff", "copy"))
            made["individuals"].append(Individual(run, name, chance.randint(0, 3), when, how, usd(), f"i{at}"))
        for number in range(0 if calls_of == "nothing" else chance.randint(0, 12)):
            name = chance.choice(NAMES) if calls_of == "individuals" else ""
            generation = None if calls_of == "the run" else chance.choice((None, 0, 1, 2) if name else (0, 1, 2))
            made["llm_logs"].append(Call(run, name, generation, BEGAN, usd(), f"c{number}"))
        for number in range(chance.randint(0, 4)):
            made["generations"].append(Generation(run, number, BEGAN, usd(), f"g{number}"))
    return made


def account(made: Rows, run: str) -> float:
    """What a run paid, by definition: a reported cost is compared with the calls that it includes, at the finest level possible.

    A generation's total includes the calls that name it, and those of its individuals that name none; if an individual's last call names a
    generation before or after all in which the individual was recorded, its calls are included where it is."""
    called: dict[tuple[str, int], float] = defaultdict(float)
    unnamed: dict[tuple[str, int], float] = defaultdict(float)
    last_called: dict[tuple[str, int], int] = {}
    named: dict[int, float] = defaultdict(float)
    recorded: dict[tuple[str, int], list[int]] = defaultdict(list)
    told: dict[tuple[str, int], float] = defaultdict(float)
    in_generation: dict[tuple[str, int], int] = {}

    def put(name: str, generation: int) -> tuple[str, int]:
        member = (name, 0 if name else generation)
        in_generation[member] = max(generation, in_generation.get(member, -1))
        return member

    for call in (each for each in made["llm_logs"] if each.run_id == run):
        of = put(call.individual_id, at := -1 if call.generation is None else call.generation)
        called[of] += call.cost
        unnamed[of] += call.cost if call.generation is None else 0.0
        named[at] += 0.0 if call.generation is None else call.cost
        last_called[of] = max(at, last_called.get(of, -1))
    rows = sorted(
        (each for each in made["individuals"] if each.run_id == run),
        key=lambda each: (each.mutation_type != "copy", each.timestamp),
    )
    for each in rows:
        recorded[each.individual_id, 0 if each.individual_id else each.generation].append(each.generation)
    for one in {each.individual_id or each.span_id: each for each in rows}.values():
        told[put(one.individual_id, one.generation)] += 0.0 if one.mutation_type == "copy" else one.api_cost
    whole = {each.generation: each.total_cost for each in made["generations"] if each.run_id == run}

    def included(member: tuple[str, int]) -> float:
        """The calls of an individual that its generation's total includes, beside those that name the generation."""
        among = recorded[member]
        elsewhere = member[0] and among and not min(among) <= last_called.get(member, -1) <= max(among)
        return called[member] if elsewhere else unnamed[member]

    by_generation = not sum(called.values()) or any(called[each] > 0 and at >= 0 for each, at in in_generation.items())
    paid = 0.0
    for place in {*in_generation.values(), *whole, *named} if by_generation else {-1}:
        members = [each for each, at in in_generation.items() if not by_generation or at == place]
        calls = sum(called[each] for each in members)
        if any(each[0] and called[each] > 0 for each in members):
            own = sum(max(0.0, told[each] - called[each]) for each in members)
        else:
            own = max(0.0, sum(told[each] for each in members) - calls)
        reported = sum(cost for at, cost in whole.items() if not by_generation or at == place)
        within = sum(map(included, members)) + named[place] if by_generation else calls
        paid += calls + own + max(0.0, reported - within - own)
    return paid


def summed(store: Client, part: str, where: str, **parameters: str) -> dict[str, float]:
    """The cost of each run by a part."""
    sql = f"SELECT run_id, sum(cost) FROM ({queries.part(part, where)}) GROUP BY run_id"
    return {str(run): cost for run, cost in store.query(sql, parameters=parameters).result_rows}


@pytest.mark.parametrize("seed", range(4))
def test_a_run_costs_what_its_rows_sum_up_to(store: Client, seed: int) -> None:
    """The cost of each of many runs is that of an account kept in Python, as a sum of its rows and as a total, alone and among others."""
    made = searches(seed)
    for table, rows in made.items():
        store.insert(table, rows, column_names=list(rows[0]._fields))
    runs = sorted({each.run_id for rows in made.values() for each in rows})
    paid = {run: pytest.approx(account(made, run), abs=1e-9) for run in runs}
    for part in ("spent", "cost"):
        assert dict.fromkeys(runs, 0.0) | summed(store, part, "1") == paid
        for run in runs:
            assert {run: 0.0} | summed(store, part, "run_id = {run:String}", run=run) == {run: paid[run]}


def test_calls_of_a_survivor_count_once(store: Client) -> None:
    """An individual that is recorded again in later generations costs what its calls cost: the totals of the generations in which they
    were made include them."""
    rows: Rows = {"individuals": [], "llm_logs": [], "generations": []}
    for number in range(3):
        new = f"made_in_{number}"
        for name in dict.fromkeys(("made_in_0", f"made_in_{max(0, number - 1)}", new)):
            cost = 0.25 if name == new or name == "made_in_0" else 0.0
            when = BEGAN + timedelta(seconds=number)
            rows["individuals"].append(Individual("r", name, number, when, "diff", cost, f"i{number}{name}"))
            if cost:  # the first is evaluated again by a model in each generation
                rows["llm_logs"].append(Call("r", name, number, when, cost, f"c{number}{name}"))
        total = sum(each.cost for each in rows["llm_logs"] if each.generation == number)
        rows["generations"].append(Generation("r", number, BEGAN + timedelta(seconds=number), total, f"g{number}"))
    for table, each in rows.items():
        store.insert(table, each, column_names=list(each[0]._fields))
    paid = sum(call.cost for call in rows["llm_logs"])
    assert summed(store, "cost", "1") == summed(store, "spent", "1") == {"r": paid}
    by_generation = store.query(
        f"SELECT generation, sum(cost) FROM ({queries.part('spent', '1')}) GROUP BY generation ORDER BY 1"
    )
    assert by_generation.result_rows == [(0, 0.25), (1, 0.5), (2, 0.5)]
