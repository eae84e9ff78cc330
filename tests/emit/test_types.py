"""What a type checker sees of the public API. mypy checks this module like any other (`make check`); run, its calls work as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from typing_extensions import assert_type

import genesis_otel
from genesis_otel import reading, spans
from genesis_otel.configuration import Telemetry

if TYPE_CHECKING:
    import pandas
    import polars

if TYPE_CHECKING:
    pass


class Judge:
    @genesis_otel.evaluation
    def score(self, path: str, depth: int = 1) -> dict[str, float]:
        return {path: depth}


@genesis_otel.evaluation()
def score(path: str) -> float:
    return len(path)


@genesis_otel.llm_call("gpt-4o")
async def ask(prompt: str) -> str:
    return prompt


@genesis_otel.llm_call
async def stream(prompt: str) -> AsyncIterator[str]:
    yield prompt


def test_a_handle_has_the_type_of_its_record() -> None:
    """As a block, from the package's names as from another handle; without a provider, too."""
    with genesis_otel.run("task", objectives={"size": "min"}) as run, run.generation(0) as generation:
        assert_type(run, spans.Run)
        assert_type(run.over_budget, bool | None)
        assert_type(run.context, Context)
        assert_type(generation, spans.Generation)
        with generation.individual(mutation_type="init") as individual:
            assert_type(individual, spans.Individual)
            with individual.llm_call("gpt-4o", messages="Improve.") as call, individual.evaluation() as evaluation:
                assert_type(call, spans.LLMCall)
                assert_type(evaluation, spans.Evaluation)
            individual.record(fitness=0.5, metrics={"size": 3})
    kinds = (spans.Run, spans.Generation, spans.Individual, spans.LLMCall, spans.Evaluation)
    assert tuple(map(type, (run, generation, individual, call, evaluation))) == kinds


def test_a_recorded_function_keeps_its_signature() -> None:
    """With and without arguments for the decorator, as a method, as a coroutine function and as an asynchronous generator."""
    assert assert_type(Judge().score("a", 2), dict[str, float]) == {"a": 2}
    assert assert_type(score("abc"), float) == 3
    assert asyncio.run(ask("Improve.")) == "Improve."
    assert_type(stream("Improve."), AsyncIterator[str])


# --- only checked, not run --------------------------------------------------------------------------------------------


def wrong(run: spans.Run) -> None:
    """What does not exist, or has another type, is an error."""
    run.generation(1, popluation=3)  # type: ignore[call-arg]
    score(3)  # type: ignore[arg-type]
    genesis_otel.configure(exit_timeout=[])  # type: ignore[arg-type]
    genesis_otel.configure(exit_timeot=3)  # type: ignore[call-arg]


def reads(store: reading.Store) -> None:
    """What a notebook reads."""
    assert_type(genesis_otel.connect(), reading.Store)
    answer = store.query("llm_latency", run="latest")
    assert_type(answer[0], dict[str, Any])
    assert_type(answer[:2], list[dict[str, Any]])
    assert_type(answer.pandas(), pandas.DataFrame)
    assert_type(answer.polars(), polars.DataFrame)
    assert_type(answer.parquet("answer.parquet"), Path)
    assert_type(next(iter(store.runs())), Mapping[str, Any])
    assert_type(store.run(), reading.Run)
    assert_type(store.run().best, reading.Individual)


def configures() -> None:
    """Settings by name."""
    telemetry = genesis_otel.configure(exit_timeout=3, redact_patterns=["x"], resource_attributes={"team": "a"})
    assert_type(telemetry, Telemetry)
    assert_type(telemetry.flush(2.0), bool)
