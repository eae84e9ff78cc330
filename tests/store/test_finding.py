"""What a run has found: who counts, and when it is stagnant, on individuals at the edge of each rule."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import queries
from genesis_otel._read.format import number

RUN = "run"


def individuals(
    store: Client,
    scores: list[float],
    how: str = "diff",
    first: int = 0,
    status: str = "ok",
    again: str = "",
    later: int = 0,
) -> None:
    """Individuals that finish in this order, one per generation; ``again`` names the spans of a later evaluation."""
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, status, span_id)"
        " SELECT {run:String}, concat('i', toString(number + {first:UInt32}) AS place), place, {how:String},"
        " addMilliseconds(now64(3) - 60, 1000 * (number + {first:UInt32} + {later:UInt32})), {scores:Array(Float64)}[number + 1], {status:String}, concat({again:String}, place)"
        " FROM numbers(length({scores:Array(Float64)}))",
        parameters={
            "run": RUN,
            "scores": scores,
            "how": how,
            "first": first,
            "status": status,
            "again": again,
            "later": later,
        },
    )


def pulse(store: Client) -> dict[str, Any]:
    (row,) = queries.ask(store, "pulse", run_id=RUN)
    return row


@pytest.mark.parametrize(("others", "is_stagnant"), [(49, False), (50, True)])
def test_a_run_is_stagnant_when_as_many_as_its_patience_are_no_better(
    store: Client, others: int, is_stagnant: bool
) -> None:
    """Where a generation is one individual the patience is 50: the 50th that is no better makes the run stagnant, and copies are not
    among them."""
    individuals(store, [1.0] + [0.5] * others)
    individuals(store, [0.5] * 10, how="migration", first=100)
    assert bool(pulse(store)["stagnant"]) is is_stagnant


def test_a_copy_counts_neither_as_a_failure_nor_as_an_individual(store: Client) -> None:
    """Copies that failed or are incorrect are in no count of a run, of its mutation types, and in no list of failures."""
    individuals(store, [1.0, 2.0], first=1)
    individuals(store, [3.0], how="copy", first=10, status="error")
    individuals(store, [4.0], how="migrant", first=20, status="incorrect")
    shown = pulse(store)
    counted = ("individuals", "failed_individuals", "incorrect_individuals", "best_score")
    assert tuple(shown[name] for name in counted) == (2, 0, 0, 2.0)
    assert queries.ask(store, "mutation_effectiveness", run_id=RUN)[0]["count"] == 2
    assert not queries.ask(store, "failures", run_id=RUN)
    assert not [row for row in queries.ask(store, "events", run_id=RUN) if row["failed"]]


def test_an_individual_counts_as_it_was_last(store: Client) -> None:
    """Evaluated again after a resumption, it is one individual, with its latest score, outcome and cost."""
    individuals(store, [9.0, 5.0, 1.0], first=1)
    individuals(store, [7.0], first=1, again="again", later=9)
    shown = pulse(store)
    assert (shown["individuals"], shown["best_score"], shown["best_individual"]) == (3, 7.0, "i1")
    individuals(store, [8.0], first=1, again="and again", later=19, status="error")
    shown = pulse(store)
    assert (shown["individuals"], shown["failed_individuals"], shown["best_score"]) == (3, 1, 5.0)
    (row,) = [each for each in queries.ask(store, "top_individuals", run_id=RUN) if each["individual_id"] == "i2"]
    assert row["fitness_score"] == 5.0


def test_a_copy_with_the_same_id_does_not_take_the_place_of_its_original(store: Client) -> None:
    """A survivor that is recorded as a copy in a later generation stays the best, as of when it was found, with its cost and its program."""
    individuals(store, [1.0], first=1)
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, api_cost, code, span_id)"
        " SELECT run_id, 'i2', 2, 'diff', timestamp + 1, 9, 0.25, 'best = 9', '2' FROM individuals"
    )
    individuals(store, [2.0], first=3)
    individuals(store, [9.0], how="copy", first=2, again="again", later=9)
    shown = pulse(store)
    assert (shown["individuals"], shown["best_score"], shown["best_individual"], shown["cost"]) == (3, 9.0, "i2", 0.25)
    assert (shown["best_generation"], shown["since_improvement"], shown["improvements"]) == (2, 1, 1)
    (program,) = queries.ask(store, "individual_programs", run_id=RUN, individual_ids=["i2"])
    assert program["code"] == "best = 9"
    vectors = {row["individual_id"]: row["vector"] for row in queries.ask(store, "code_vectors_since", run_id=RUN)}
    assert vectors["i2"]
    late = queries.columns(store, "individuals_since", run_id=RUN, leaders=["i1", "i2"])
    assert dict(zip(late["individual_id"], late["score"], strict=True)) == {"i1": 1.0, "i2": 9.0, "i3": 2.0}


@pytest.mark.parametrize("spans", ["12", "21"])
def test_of_rows_of_one_millisecond_the_same_counts_whichever_arrived_last(store: Client, spans: str) -> None:
    """Its score and its program are those of one row, the one with the greater span id."""
    for span in spans:
        store.command(
            "INSERT INTO individuals (run_id, individual_id, timestamp, fitness_score, code, span_id)"
            " VALUES ({run:String}, 'i', '2026-01-01 00:00:00.000', {span:String}, repeat('word ', {span:String}::UInt8), {span:String})",
            parameters={"run": RUN, "span": span},
        )
    assert pulse(store)["best_score"] == 2.0
    (program,) = queries.ask(store, "individual_programs", run_id=RUN, individual_ids=["i"])
    assert program["code"] == "word word "


@pytest.mark.parametrize(("copied", "found"), [(2, 0), (0, 2)])
def test_a_parent_lives_where_it_was_found(store: Client, copied: int, found: int) -> None:
    """A child on its parent's island did not arrive there, even if the parent was also copied to another one under its own id."""
    for how, island, at in (("copy", "b", copied), ("diff", "a", found)):
        store.command(
            "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, fitness_score, island, span_id)"
            " VALUES ({run:String}, 'parent', {at:Int32}, {how:String}, now64(3) - 60 + {at:Int32}, 1, {island:String}, {how:String})",
            parameters={"run": RUN, "how": how, "island": island, "at": at},
        )
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, parent_id, timestamp, fitness_score, island, span_id)"
        " SELECT {run:String}, concat('child on ', island), 3, 'parent', now64(3) - 50, 1, arrayJoin(['a', 'b']) AS island, island",
        parameters={"run": RUN},
    )
    for _ in range(2):
        assert {row["island"]: row["arrived"] for row in queries.ask(store, "islands", run_id=RUN)} == {"a": 0, "b": 1}
        moved = queries.ask(store, "migrations", run_id=RUN)
        assert [(row["kind"], row["individual_id"], row["from_island"], row["to_island"]) for row in moved] == [
            ("crossed", "child on b", "a", "b")
        ]
        # Merged, the rows of the copy and of its original are in another order.
        store.command("OPTIMIZE TABLE individuals FINAL")


def test_events_write_scores_as_tables_do(store: Client) -> None:
    """A score that is very small or very large is neither 0 nor infinite in the list of events, of individuals and of generations."""
    scores = [1e-9, -2.5e-7, 1e308, -1e308, 0.1234567, 0.0, 123456.7891234, 1e15, 0.0001, -3.0]
    individuals(store, scores)
    store.command(
        "INSERT INTO generations (run_id, generation, timestamp, num_individuals, best_score, span_id)"
        " SELECT run_id, generation, timestamp, 1, fitness_score, span_id FROM individuals"
    )
    told: dict[str, list[str]] = {row["what"]: [] for row in queries.ask(store, "events", run_id=RUN, limit=100)}
    for row in queries.ask(store, "events", run_id=RUN, limit=100):
        told[row["what"]].append(row["told"].split()[-1])
    written = [number(score) for score in reversed(scores)]
    assert told == {"generation": written, "individual": written}


def test_a_long_reason_is_cut_between_characters(store: Client) -> None:
    """A cut through one makes a text that is none, which clients show as the hexadecimal digits of its bytes."""
    said = {"run": RUN, "error": "x" + "é" * 2000}
    store.command(
        "INSERT INTO individuals (run_id, individual_id, timestamp, status, error, span_id) VALUES ({run:String}, 'i', now64(3), 'error', {error:String}, 'i')",
        parameters=said,
    )
    store.command(
        "INSERT INTO llm_logs (id, run_id, timestamp, model, status, error, span_id)"
        " VALUES (generateUUIDv4(), {run:String}, now64(3), 'm', 'error', {error:String}, 'c')",
        parameters=said,
    )
    store.command(
        "INSERT INTO agent_actions (run_id, timestamp, action_type, details, span_id)"
        " SELECT {run:String}, now64(3), 'job_failed', toJSONString(map('error', {error:String})), 'j'",
        parameters=said,
    )
    told = {row["what"]: row["told"] for row in queries.ask(store, "events", run_id=RUN)}
    assert told == dict.fromkeys(("individual", "LLM call m", "job_failed"), said["error"][:1000])


def test_a_copy_is_no_mutation_and_no_child(store: Client) -> None:
    """Edges to copies are in no rate of success, no list of gains, and no count of a parent's children, and neither is the gain of an
    individual that failed or is incorrect."""
    individuals(store, [1.0, 2.0], first=1)
    individuals(store, [3.0], how="migration", first=3)
    individuals(store, [4.0], first=4, status="incorrect")
    store.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, span_id)"
        " SELECT {run:String}, concat('i', toString(number)), 'i1', number, if(number = 3, 'migration', 'diff'),"
        " now64(3) - 60 + number, number - 1., toString(number) FROM numbers(2, 3)",
        parameters={"run": RUN},
    )
    (rate,) = queries.ask(store, "mutation_success_rate", run_id=RUN)
    assert (rate["mutation_type"], rate["total"], rate["improvements"], rate["avg_gain"]) == ("diff", 2, 1, 1.0)
    (gains,) = queries.ask(store, "mutation_gains", run_id=RUN)
    assert (gains["count"], gains["best_improvement"]) == (1, 1.0)
    assert [row["child_id"] for row in queries.ask(store, "best_mutations", run_id=RUN)] == ["i2"]
    (parent,) = queries.ask(store, "prolific_parents", run_id=RUN)
    assert parent["parent_id"] == "i1" and parent["num_children"] == 2


@pytest.mark.parametrize("status", ["error", "incorrect"])
def test_a_gain_over_a_parent_without_a_score_is_unknown(store: Client, status: str) -> None:
    """A parent that failed or is incorrect has no score, even if one was reported, so no list of gains and no mean has what its child
    gained; once it was evaluated again and is well, the gain counts."""
    individuals(store, [1.0], first=1, status=status)
    individuals(store, [5.0, 7.0], first=2)
    store.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, span_id) VALUES"
        " ({run:String}, 'i2', 'i1', 2, 'diff', now64(3), 4, 'a'), ({run:String}, 'i3', 'i2', 3, 'diff', now64(3), 2, 'b')",
        parameters={"run": RUN},
    )

    def gains() -> tuple[Any, ...]:
        (row,) = queries.ask(store, "mutation_success_rate", run_id=RUN)
        detail = queries.ask(store, "individuals_in_detail", run_id=RUN, individual_ids=["i2", "i3"])
        return (
            row["total"],
            row["improvements"],
            row["avg_gain"],
            [each["count"] for each in queries.ask(store, "mutation_gains", run_id=RUN)],
            [each["child_id"] for each in queries.ask(store, "best_mutations", run_id=RUN)],
            {each["parent_id"]: each["avg_improvement"] for each in queries.ask(store, "prolific_parents", run_id=RUN)},
            {each["individual_id"]: each["gain"] for each in detail},
        )

    assert gains() == (2, 1, 2.0, [1], ["i3"], {"i1": None, "i2": 2.0}, {"i2": None, "i3": 2.0})
    individuals(store, [1.0], first=1, again="again", later=1)
    assert gains() == (2, 2, 3.0, [2], ["i2", "i3"], {"i1": 4.0, "i2": 2.0}, {"i2": 4.0, "i3": 2.0})


def test_means_and_gains_of_huge_scores_are_finite(store: Client) -> None:
    """Of scores whose sum is beyond the largest number, the mean is right, and a total gain is at most the largest number."""
    huge, most = 1.5e308, sys.float_info.max
    individuals(store, [-huge, 0.0, huge, huge, huge], first=1)
    # All in one generation, on one island.
    store.command("INSERT INTO evolution_runs_log (run_id, start_time, told_at) VALUES ('one', now64(3), 1)")
    store.command(
        "INSERT INTO individuals SELECT * REPLACE ('one' AS run_id, 1 AS generation, 'island' AS island) FROM individuals"
    )
    store.command(
        "INSERT INTO code_lineages (run_id, child_id, parent_id, generation, mutation_type, timestamp, fitness_delta, span_id)"
        " SELECT run_id, individual_id, 'i2', 1, mutation_type, timestamp, fitness_score, span_id FROM individuals"
        " WHERE run_id = 'one' AND fitness_score > 0"
    )

    def the(name: str) -> dict[str, Any]:
        (row,) = queries.ask(store, name, run_id="one")
        return row

    assert the("best_so_far")["improvement"] == the("run_summary")["gained"] == most
    assert the("mutation_effectiveness")["avg_fitness"] == pytest.approx(huge / 5 * 2)
    assert the("islands")["avg_score"] == pytest.approx(huge / 5 * 2)
    assert the("mutation_gains")["avg_improvement"] == the("prolific_parents")["avg_improvement"] == huge
    assert the("mutation_success_rate")["avg_delta"] == the("mutation_success_rate")["avg_gain"] == huge


def test_a_run_that_cost_nothing_is_in_the_list_of_costs(store: Client) -> None:
    """With a cost of 0, as one of a free model is: it is not left out."""
    store.command(
        "INSERT INTO generations (run_id, generation, timestamp) VALUES ('free', 0, now64(3)), ('free', 1, now64(3))"
    )
    store.command("INSERT INTO evolution_runs_log (run_id, task_name) VALUES ('begun', 'task')")
    store.command("INSERT INTO llm_logs (id, run_id, timestamp, cost) VALUES (generateUUIDv4(), 'paid', now64(3), 0.5)")
    listed = [tuple(row.values()) for row in queries.ask(store, "run_costs")]
    assert listed == [("paid", "", 0.5, 0, 0), ("begun", "task", 0.0, 0, 0), ("free", "", 0.0, 2, 0)]


def test_a_reported_cost_is_never_below_that_of_its_calls(store: Client) -> None:
    """Who reports less than the calls cost takes nothing back; what a copy reports is what the original cost, and is not added."""
    individuals(store, [1.0, 2.0], first=1)
    individuals(store, [1.0], how="migration", first=3)
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, mutation_type, timestamp, api_cost, span_id)"
        " SELECT run_id, individual_id, generation, mutation_type, timestamp + 1, [0.25, 1., 50.][generation], concat('told ', span_id)"
        " FROM individuals WHERE run_id = {run:String}",
        parameters={"run": RUN},
    )
    store.command(
        "INSERT INTO llm_logs (id, run_id, individual_id, generation, timestamp, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, concat('i', toString(number)), number, now64(3), 0.5, 'told', toString(number) FROM numbers(1, 2)",
        parameters={"run": RUN},
    )
    assert pulse(store)["cost"] == 1.5
    # Of generations, too: one whose reported cost is all of it, and one whose calls name no individual.
    individuals(store, [1.0], first=4)
    store.command(
        "INSERT INTO individuals (run_id, individual_id, generation, timestamp, api_cost, span_id) VALUES ({run:String}, 'i5', 5, now64(3), 0.75, 's')",
        parameters={"run": RUN},
    )
    store.command(
        "INSERT INTO llm_logs (id, run_id, generation, timestamp, cost, cost_source, span_id)"
        " SELECT generateUUIDv4(), {run:String}, 5, now64(3), 0.5, 'told', 'c'",
        parameters={"run": RUN},
    )
    store.command(
        "INSERT INTO generations (run_id, generation, timestamp, total_cost, span_id) SELECT {run:String}, 1, now64(3), 1, 'g'",
        parameters={"run": RUN},
    )
    spent = {row["generation"]: row["total_cost"] for row in queries.ask(store, "generation_costs", run_id=RUN)}
    assert spent == {1: 1.0, 2: 1.0, 5: 0.75}


def test_a_generation_s_scores_are_those_of_its_individuals(store: Client) -> None:
    """What was reported of a generation is shown only if no individual of it is known."""
    individuals(store, [1.0], first=1)
    store.command(
        "INSERT INTO generations (run_id, generation, timestamp, best_score, avg_score, span_id)"
        " SELECT {run:String}, number, now64(3), 9, 9, toString(number) FROM numbers(1, 2)",
        parameters={"run": RUN},
    )
    shown = [
        (row["generation"], row["best_score"], row["avg_score"])
        for row in queries.ask(store, "fitness_trajectory", run_id=RUN)
    ]
    assert shown == [(1, 1.0, 1.0), (2, 9.0, 9.0)]
