"""What money bought, budgets and comparisons, against an account in plain Python of what the rows say, on searches that went badly."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._read.health import STALLED
from tests.support.bad_searches import FAILED, SEARCHES, UNSCORED, Part, Search, spans_of
from tests.support.dashboards import BY_NAME, panel
from tests.support.searched import stored

MASK = 2**64 - 1
Row = dict[str, Any]
BANDED = {"num_generations": 5, "evolution": {"islands": 2, "seed": 1}, "note": 'a "quoted" {brace}', "seed": 3}
ALIKE = {
    "alike 1": Search([Part([1.0, 2.0, FAILED, 3.0], 90)], task="band", config=BANDED),
    "alike 2": Search([Part([UNSCORED, 0.5, 2.5, 1.0, 6.0, 7.0], 90)], task="band", config={**BANDED, "seed": 4}),
    "alike 3": Search([Part([4.0], 90)], task="band", config={**BANDED, "evolution": {"islands": 2, "seed": 9}}),
    "alike 4": Search([Part([3.0, 3.0, 8.0], 90)], task="band", config={**BANDED, "seed": None}),
    "less 1": Search([Part([9.0, 1.0, 5.0], 90)], task="band", direction="min", config=BANDED),
    "less 2": Search([Part([7.0, 8.0, 2.0, 0.5], 90)], task="band", direction="min", config=BANDED),
    "other": Search([Part([9.0], 90)], task="band", config={**BANDED, "note": "", "extra": [1, {"a": 2}]}),
}
EVERY = {**SEARCHES, **ALIKE}


@pytest.fixture(scope="module")
def client(engine: Path) -> Iterator[Client]:
    """A client on a database of these searches."""
    with stored(engine, "accounts", *(made for named in EVERY.items() for made in spans_of(*named))) as opened:
        yield opened


def rows(client: Client, columns: str, table: str, run_id: str) -> list[Row]:
    """Rows of a run by their first column, each once, in order of time and then of that column."""
    answer = client.query(f"SELECT {columns} FROM {table} WHERE run_id = {{run:String}}", {"run": run_id})
    once = {row[0]: dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows}
    return sorted(once.values(), key=lambda row: (row["timestamp"], next(iter(row.values()))))


def close(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-6, abs=1e-9)


# --- what money bought ---------------------------------------------------------------------------------------------------

# Cumulated probabilities of a Poisson variable of mean 1, in 2^32nds.
POISSON = (1580030168, 3160060337, 3950075421, 4213413783, 4279248373, 4292415291, 4294609777)


def weight(lot: int, resample: int) -> int:
    """How often a resample draws a lot: by ClickHouse's intHash64, a salt and the finalizer of MurmurHash3."""
    key = (lot * 200 + resample) ^ 0x4CF2D2BAAE6DA887
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        key = ((key ^ key >> 33) * factor) & MASK
    dice = (key ^ key >> 33) >> 32
    return sum(dice >= bound for bound in POISSON)


def bought(client: Client, runs: Sequence[str]) -> dict[tuple[str, str], Row]:
    """What money bought in these runs, by kind of spending and name."""
    # By name, and by lot: individuals, improvements, gain, cost; and the number of calls without a price.
    lots: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0] * 4))
    unpriced: dict[tuple[str, str], int] = defaultdict(int)
    for run_id in runs:
        calls = rows(
            client, "span_id, individual_id, toString(model) AS model, role, status, timestamp, cost, llm_logs.unpriced AS unpriced",
            "llm_logs", run_id,
        )  # fmt: skip
        made = rows(
            client, "individual_id, timestamp, generation, fitness_score, status, toString(mutation_type) AS how", "individuals", run_id
        )  # fmt: skip
        gains = gained(run_id, made)
        hashes = client.query(
            "SELECT unit, cityHash64({run:String}, unit) % 512 FROM (SELECT arrayJoin({units:Array(String)}) AS unit)",
            {"run": run_id, "units": [row["individual_id"] for row in made]},
        )
        lot: dict[str, int] = {str(unit): int(number) for unit, number in hashes.result_rows}
        assert {row["individual_id"] for row in calls} <= set(lot)
        for row in made:
            own = [call for call in calls if call["individual_id"] == row["individual_id"]]
            makers = [call["model"] for call in own if call["status"] == "ok" and call["role"] in ("", "mutation")]
            parts = {
                ("model", model): [call for call in own if call["model"] == model]
                for model in {call["model"] for call in own}
            }
            if row["generation"] > 0:
                parts["mutation type", row["how"]] = own
            for key, paid in parts.items():
                unpriced[key] += sum(call["unpriced"] for call in paid)
                there = lots[key][lot[row["individual_id"]]]
                if any(call["unpriced"] for call in paid):
                    continue
                if key[0] == "mutation type" or makers[-1:] == [key[1]]:
                    gain = gains[row["individual_id"]]
                    there[:3] = [there[0] + 1, there[1] + (gain > 0), there[2] + gain]
                there[3] += sum(call["cost"] for call in paid)
    return {key: _bought(list(by_lot.items()), unpriced[key]) for key, by_lot in lots.items()}


def gained(run_id: str, made: Sequence[Row]) -> dict[str, float]:
    """By how much each individual was better than all before it; nothing for the first."""
    sign = -1 if EVERY[run_id].direction == "min" else 1
    best: float | None = None
    gains = {}
    for row in made:
        height = sign * row["fitness_score"] if row["status"] == "ok" and row["fitness_score"] is not None else None
        better = height is not None and best is not None and height > best
        gains[row["individual_id"]] = height - best if height is not None and best is not None and better else 0.0
        best = height if height is not None and (best is None or better) else best
    return gains


def _bought(lots: Sequence[tuple[int, Sequence[float]]], unpriced: int) -> Row:
    individuals, improvements, gain, cost = (sum(values[place] for _, values in lots) for place in range(4))
    again = [
        [sum(weight(lot, resample) * values[place] for lot, values in lots) for place in range(4)]
        for resample in range(200)
    ]
    known = individuals >= 5 and improvements > 0 and min(paid for *_, paid in again) > 0

    def within(place: int) -> list[float | None]:
        if not known:
            return [None, None]
        ratios = statistics.quantiles([each[place] / each[3] for each in again], n=20, method="inclusive")
        return [ratios[0], ratios[-1]]

    return {
        "individuals": individuals,
        "improvements": improvements,
        "gain": gain,
        "cost": cost,
        "unpriced": unpriced,
        "improvements_per_dollar": improvements / cost if cost else None,
        "gain_per_dollar": gain / cost if cost else None,
        **dict(zip(("improvements_low", "improvements_high"), within(1), strict=True)),
        **dict(zip(("gain_low", "gain_high"), within(2), strict=True)),
    }


@pytest.mark.parametrize("run_id", [*EVERY, None])
def test_what_money_bought_is_what_the_rows_say(client: Client, run_id: str | None) -> None:
    """By model and mutation type, of each run in *Run*, and of its newest twenty together in *LLM*: individuals, improvements, gain, cost,
    both by the dollar, and the bounds of the same bootstrap."""
    if run_id is None:
        newest = client.query("SELECT run_id FROM evolution_runs ORDER BY start_time DESC, run_id LIMIT 20").result_rows
        expected, shown = bought(client, [row[0] for row in newest]), panel(client, "llm/What money bought")
        assert any(row["gain_low"] is not None for row in shown)
    else:
        expected, shown = bought(client, [run_id]), panel(client, "run/What money bought", run=run_id)
    found = {(row.pop("what"), row.pop("name")): row for row in shown}
    assert found == {key: {name: close(value) for name, value in row.items()} for key, row in expected.items()}


# --- budgets -------------------------------------------------------------------------------------------------------------


def spending(client: Client, run_id: str, otherwise: float) -> dict[str, Any]:
    """How a run spends, counted at the store's present time."""
    ((began, ended, status, now),) = client.query(
        "SELECT toUnixTimestamp64Milli(start_time) / 1000, toUnixTimestamp64Milli(end_time) / 1000, status, toUnixTimestamp64Milli(now64(3)) / 1000"
        " FROM evolution_runs WHERE run_id = {run:String}",
        {"run": run_id},
    ).result_rows
    at = "toUnixTimestamp64Milli(timestamp) / 1000 AS timestamp"
    calls = rows(client, f"span_id, {at}, cost", "llm_logs", run_id)
    made = rows(client, f"individual_id, {at}, generation", "individuals", run_id)
    is_open = status == "running"
    seen = [row["timestamp"] for row in (*calls, *made)]
    for table in ("generations", "agent_actions"):
        seen += [row["timestamp"] for row in rows(client, f"span_id, {at}", table, run_id)]
    last = max(began, ended, *(seen if is_open else ()))
    alive = is_open and now - last < STALLED
    until = now if alive else last
    cost = sum(row["cost"] for row in calls)
    lately = sum(row["cost"] for row in calls if row["timestamp"] > until - 3600)
    burn = lately / min(3600, max(1, until - began)) * 3600
    planned, done = EVERY[run_id].config["num_generations"], max((row["generation"] for row in made), default=0)
    own = EVERY[run_id].budget
    allowed = otherwise if own is None else own
    return {
        "share of budget": cost / allowed if allowed > 0 else None,
        "left": allowed - cost,
        "per hour": burn,
        "projected total": cost if not is_open else cost / done * max(planned, done) if done else None,
        "time left": (until - began) / done * max(0, planned - done) if is_open and done else None,
        "budget lasts": max(0, allowed - cost) / burn * 3600 if is_open and burn > 0 else None,
    }


@pytest.mark.parametrize("run_id", EVERY)
def test_a_budget_is_what_the_rows_say(client: Client, run_id: str) -> None:
    """In *Run*: its share, what is left, the cost of the last hour, the cost and the time until the end, and how long the rest lasts. Of a
    running search, these lie between an account made before and one made after."""
    before = spending(client, run_id, 0.5)
    (shown,) = panel(client, "run/Budget", run=run_id, budget="0.5")
    after = spending(client, run_id, 0.5)
    assert shown.keys() == before.keys()
    for name, value in shown.items():
        if before[name] is None:
            assert value is None, name
        else:
            low, high = sorted((before[name], after[name]))
            rounding = 1e-6 * max(1.0, abs(value))
            assert low - rounding <= value <= high + rounding, (name, before[name], value, after[name])


# --- comparisons ---------------------------------------------------------------------------------------------------------


def compared(client: Client, title: str, runs: Sequence[str]) -> list[Row]:
    """The rows of a panel of *Compare*, with these runs chosen."""
    return panel(client, f"compare/{title}", runs=tuple(runs))


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration: its entries, and those of each that has some."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        inside = value if isinstance(value, dict) and value else None
        flat |= {f"{name}.{below}": each for below, each in inside.items()} if inside else {name: value}
    return flat


def test_what_was_set_differently_has_a_column_for_each_run(client: Client) -> None:
    """Every setting that is not the same in all runs, and no other, with each run's value; a run without the setting has none."""
    (transformation,) = BY_NAME["genesis-compare/What was set differently/A"].panel["transformations"]
    assert transformation == {
        "id": "groupingToMatrix",
        "options": {"rowField": "setting", "columnField": "run", "valueField": "value"},
    }
    told_by = {run_id: settings(EVERY[run_id].config) for run_id in ALIKE}
    names = {name for each in told_by.values() for name in each}
    different = {
        name
        for name in names
        if len({json.dumps(each.get(name, ...) if name in each else "none") for each in told_by.values()}) > 1
    }
    assert different == {"seed", "evolution.seed", "note", "extra"}
    expected = {(name, run_id): each[name] for run_id, each in told_by.items() for name in different if name in each}
    shown = {
        (row["setting"], row["run"]): json.loads(row["value"])
        for row in compared(client, "What was set differently", tuple(ALIKE))
    }
    assert shown == expected


def curve(client: Client, run_id: str) -> dict[int, float]:
    """The best so far when the last individual of each generation had finished, in the run's direction."""
    sign = -1 if EVERY[run_id].direction == "min" else 1
    top: float | None = None
    reached: dict[int, float] = {}
    for row in rows(client, "individual_id, timestamp, generation, fitness_score, status", "individuals", run_id):
        if row["status"] == "ok" and row["fitness_score"] is not None:
            height = sign * row["fitness_score"]
            top = height if top is None else max(height, top)
        if top is not None:
            reached[row["generation"]] = top
    best = sorted(reached.items())
    return {generation: sign * max(height for number, height in best if number <= generation) for generation, _ in best}


@pytest.mark.parametrize("runs", [tuple(ALIKE), tuple(EVERY)], ids=["alike", "every"])
def test_a_band_is_the_median_and_quartiles_of_its_runs(client: Client, runs: tuple[str, ...]) -> None:
    """For each generation, over the runs that have a score by then, those of the same task, direction and configuration but for the seed; an ended
    run keeps its best, and quartiles need three runs. *Bands* lists who is in which."""
    of_band = {row["band"]: row["of"] for row in compared(client, "Bands", runs)}
    groups: dict[str, list[str]] = defaultdict(list)
    for run_id in runs:
        config = {
            name: value for name, value in settings(EVERY[run_id].config).items() if name.rpartition(".")[2] != "seed"
        }
        same = (EVERY[run_id].task, EVERY[run_id].direction == "min", sorted(config.items(), key=str))
        groups[json.dumps(same, sort_keys=True)].append(run_id)
    by_name = {", ".join(sorted(members)): members for members in groups.values()}
    assert set(of_band.values()) <= set(by_name)
    sizes = sorted((len(members) for members in by_name.values()), reverse=True)[:3]
    assert [len(by_name[of_band[band]]) for band in "ABC"] == sizes
    curves = {run_id: curve(client, run_id) for run_id in runs}
    newest = max(generation for each in curves.values() for generation in each)
    expected: dict[int, Row] = {}
    for generation in range(newest + 1):
        row: Row = {}
        for band in "ABC":
            begun = [
                curves[each] for each in by_name[of_band[band]] if curves[each] and min(curves[each]) <= generation
            ]
            best = sorted(each[max(number for number in each if number <= generation)] for each in begun)
            lower, middle, upper = quartiles(best)
            row |= {band: close(middle), f"{band} upper quartile": close(upper), f"{band} lower quartile": close(lower)}
        expected[generation] = row
    shown = {row.pop("generation"): row for row in compared(client, "Similar runs as one band", runs)}
    assert shown == expected


def quartiles(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The lower quartile, the median and the upper one, interpolated; of fewer than three values, the median alone."""
    if len(values) < 3:
        return None, statistics.median(values) if values else None, None
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, middle, upper
