"""How much space a run takes."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import spans
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._store import tables
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.recording import record, store_spans

REFERENCE_BYTES = 240_000
"""What the reference says that a run of 20 x 10 with 400 LLM calls and 500 actions holds compressed: ~240 KB."""


def prose(chance: random.Random, words: int) -> str:
    """Text that compresses like real text: words from a vocabulary of a few thousand, frequent ones more often."""
    vocabulary = [hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()[: 2 + n % 9] for n in range(4000)]
    return " ".join(vocabulary[min(int(chance.paretovariate(0.7)), 3999)] for _ in range(words))


def typical_run(chance: random.Random) -> None:
    """20 individuals in each of 10 generations, two LLM calls and one evaluation (two actions) each, 100 more actions.

    A prompt contains the whole program and instructions; with the answer, a call is 5 KB, as in the reference (2 MB for 400).
    """
    instructions = prose(chance, 250)
    programs = [prose(chance, 300)]
    with spans.run("circle_packing", config={"evolution": {"num_generations": 10}}, population_size=20) as run:
        for number in range(10):
            with run.generation(number) as generation:
                for at in range(20):
                    parent = f"ind_gen{number - 1}_{at}" if number else ""
                    with generation.individual(
                        f"ind_gen{number}_{at}", parent_id=parent, mutation_type="mutate"
                    ) as one:
                        program = chance.choice(programs[-20:])
                        for _ in range(2):
                            with one.llm_call(
                                "gpt-4o", provider="openai", messages=f"{instructions}\n{program}"
                            ) as call:
                                begin = chance.randrange(len(program))
                                program = program[:begin] + prose(chance, 20) + program[begin + 100 :]
                                call.response(program, input_tokens=900, output_tokens=500, finish_reason="stop")
                        programs.append(program)
                        with one.evaluation(f"job_{number}_{at}") as evaluation:
                            evaluation.result(correct=True, combined_score=chance.random())
                        one.record(
                            fitness=chance.random(),
                            combined=chance.random(),
                            metrics={"accuracy": chance.random(), "size": len(program), "speed": chance.random()},
                            code=program,
                            edit_summary=prose(chance, 12),
                        )
                for _ in range(10):
                    run.action("archive_updated", {"generation": number, "size": chance.randrange(100)})


def test_a_typical_run_fits_into_what_the_reference_says(
    store: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seven tables hold a typical run in at most 240 KB, compressed, including everything that we add to the columns."""
    recorded = record(monkeypatch, through=LLMSpanProcessor)
    typical_run(random.Random(20))
    store_spans(ClickHouseSpanExporter(connect), (recorded.spans))
    rows = {table: int(str(store.command(f"SELECT count() FROM {table}"))) for table in tables.TABLES}
    assert (rows["individuals"], rows["generations"], rows["llm_logs"], rows["agent_actions"]) == (200, 10, 400, 500)
    sizes: dict[str, int] = {}
    for table in tables.STORED_IN.values():
        store.command(f"OPTIMIZE TABLE {table} FINAL")
        # ClickHouse keeps all columns of a small part in one file, so its size on disk counts.
        sizes[table] = int(
            str(
                store.command(
                    "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} AND table = {table:String}",
                    parameters={"database": store.database, "table": table},
                )
            )
        )
    assert sum(sizes.values()) <= REFERENCE_BYTES, json.dumps(sizes)
