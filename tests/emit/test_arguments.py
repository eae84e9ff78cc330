"""Argument names: type checkers know them all, and a misspelt argument costs a search nothing but that argument."""

from __future__ import annotations

import inspect
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genesis_otel import attributes as names
from genesis_otel import spans
from genesis_otel._settings import FIELDS, SettingsArguments
from tests.support.recording import Recorded, attributes_of

RIGHT = """
import genesis_otel
from genesis_otel import spans

genesis_otel.configure(data_dir="/tmp/x", clickhouse_url="http://u:p@h", redact_patterns=["x"], exit_timeout=1)
with spans.run("t", objectives={"a": "max"}, direction="min", budget=1.0) as run:
    run.action("a", {}, generation=1, individual_id="i")
    run.llm_call("m", generation=1, role="meta").response("r", input_tokens=1)
    run.individual("i", generation=3, parents=["a", "b"]).end()
    with run.generation(0) as generation:
        generation.llm_call("m", provider="openai", individual_id="i").end()
        with generation.individual(mutation_type="init", parent_id="p") as individual:
            individual.llm_call("m", messages="x", metadata={"a": 1}).end()
            with individual.evaluation(details={"a": 1}) as evaluation:
                evaluation.result(correct=True)
            individual.record(fitness=1.0)
            individual.action("a", time=1.0)

@genesis_otel.evaluation
def evaluate(program: str) -> float:
    return 1.0

@genesis_otel.llm_call("m", role="meta")
async def ask(prompt: str) -> str:
    return prompt

score: float = evaluate("x")
"""

WRONG = """
import genesis_otel
from genesis_otel import spans

genesis_otel.configure(data_folder="/tmp/x")
run = spans.run("t", objective={"a": "max"})
run.generation(0, hold=True)
run.individual(mutation_typ="init")
run.llm_call("m", generation=1, individual="i")
run.action("a", generatoin=1)
generation = run.generation(0)
generation.individual(mutation_typ="init")
generation.individual(generation=1)
generation.llm_call("m", providr="openai")
generation.pareto_front([], tim=1)
generation.end(best=1.0)
individual = generation.individual(lineage="no")
individual.record(fitnes=1.0)
individual.llm_call("m", mesages="x")
evaluation = individual.evaluation(detials={})
evaluation.result(corect=True)
individual.llm_call("m").response("r", tokens=1)
spans.individual(mutation_typ="init")
spans.llm_call("m", mesages="x")
spans.evaluation(detials={})
spans.action("a", detials={})
spans.lineage("c", "p", fitness=1)
spans.pareto_front([], run="r")
run.end(state="failed")
"""


def complaints(code: str, folder: Path) -> list[int]:
    """The lines in which strict mypy finds an error."""
    script = folder / "search.py"
    script.write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", "", str(script)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = re.findall(r"search\.py:(\d+): error", answer.stdout)
    assert found or answer.returncode == 0, answer.stdout + answer.stderr
    return list(dict.fromkeys(map(int, found)))  # mypy may report two errors for one line with an overloaded function


def test_a_type_checker_knows_every_argument(tmp_path: Path) -> None:
    """Correct calls pass; each line with a misspelt, unknown or wrongly typed argument is an error."""
    assert complaints(RIGHT, tmp_path) == []
    lines = [number for number, line in enumerate(WRONG.splitlines(), 1) if "(" in line]
    lines.remove(WRONG.splitlines().index("generation = run.generation(0)") + 1)
    assert complaints(WRONG, tmp_path) == lines


def test_a_misspelt_name_loses_nothing_else(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """Every record of such a search arrives with its other arguments; nothing is raised."""
    wrong: dict[str, Any] = {"mispelt": 1}
    run = spans.run("t", population_size=3, **wrong)
    generation = run.generation(0, **wrong)
    individual = generation.individual("a", mutation_type="init", **wrong)
    individual.record(fitness=0.5, **wrong)
    call = individual.llm_call("m", role="meta", **wrong)
    call.prompt("p", **wrong)
    call.response("r", input_tokens=3, **wrong)
    call.end(**wrong)
    job = individual.evaluation("j", details={"x": 1}, **wrong)
    job.result(correct=True, **wrong)
    job.end(**wrong)
    individual.action("b", {"c": 1}, **wrong)
    individual.end(**wrong)
    generation.pareto_front([individual], **wrong)
    generation.end(best_score=0.5, **wrong)
    spans.lineage("a", "b", 1, **wrong)
    spans.pareto_front([], run_id="r", **wrong)
    spans.llm_call("n", **wrong).end()
    run.end(total_generations=7, **wrong)
    row = attributes_of(recorded.one("individual"))
    assert (row[names.INDIVIDUAL_FITNESS_SCORE], row[names.INDIVIDUAL_MUTATION_TYPE]) == (0.5, "init")
    assert attributes_of(recorded.one("chat m"))[names.GEN_AI_USAGE_INPUT_TOKENS] == 3
    assert attributes_of(recorded.one("evaluation"))[names.EVALUATION_CORRECT] is True
    assert attributes_of(recorded.one("generation"))[names.GENERATION_BEST_SCORE] == 0.5
    assert attributes_of(recorded.one("run t"))[names.RUN_TOTAL_GENERATIONS] == 7
    for name in ("action b", "lineage", "pareto_front", "chat n"):
        recorded.one(name)
    warned = [line.getMessage() for line in caplog.records if "takes no argument 'mispelt'" in line.getMessage()]
    assert len(warned) == 19


def test_the_warning_names_the_line_and_suggests_the_right_name(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once per line of the search, however often the line is reached, also from within the handles' own
    methods."""
    caplog.set_level(logging.WARNING)
    wrong: dict[str, Any] = {"mutation_typ": "init"}
    line = 0
    with spans.generation(0, run_id="r") as generation:
        for _ in range(3):
            frame = inspect.currentframe()
            line = frame.f_lineno + 1 if frame else 0
            generation.individual("a", **wrong).end()
    assert [each.getMessage() for each in caplog.records] == [
        f"{__file__}:{line}: individual() takes no argument 'mutation_typ', which was dropped; did you mean 'mutation_type'?"
    ]


def test_a_handle_overrides_where_an_argument_says_a_record_belongs(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """A generation that is given another one's number keeps its individual, and warns."""
    twice: dict[str, Any] = {"generation": 7}
    with spans.generation(3, run_id="r") as generation:
        generation.individual("a", **twice).end()
    assert attributes_of(recorded.one("individual"))[names.GENERATION] == 3
    assert [line.getMessage().split(": ")[1] for line in caplog.records] == [
        "individual() takes no argument 'generation', which was dropped"
    ]


def test_configure_names_every_setting() -> None:
    """The arguments of `configure` that checkers know are exactly the fields of the settings."""
    assert set(SettingsArguments.__annotations__) == set(FIELDS)
