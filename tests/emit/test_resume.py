"""One search is one run: a process that continues a run knows what earlier ones found. Each search is a separate
process."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genesis_otel._ship.run_memory import RunMemory

BEGIN = """
import json, os, sys
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
import genesis_otel
from genesis_otel import spans
"""

FIRST = f"""{BEGIN}
run = spans.run("t", run_id="r", objectives={{"fitness": "DIRECTION"}})
for number, scores in enumerate(([1.0, 3.0], [2.0])):
    with run.generation(number) as generation:
        for at, score in enumerate(scores):
            with generation.individual(f"{{number}}-{{at}}") as individual:
                individual.record(fitness=score, metrics={{"fitness": score, "secret": "sk-hidden"}})
generation = run.generation(2)
with generation.individual("2-0") as individual:
    individual.record(fitness=2.5, api_cost=0.5)
with generation.individual("2-1") as individual:
    individual.fail("no edit")
os._exit(9)
"""

SECOND = f"""{BEGIN}
with spans.run("t", run_id="r", objectives={{"fitness": "DIRECTION"}}) as run:
    with run.generation(2) as generation, generation.individual("2-2", parent_id="0-1") as individual:
        individual.record(fitness=2.25)
    with run.generation(3) as generation, generation.individual("3-0", parent_id="2-0") as individual:
        individual.record(fitness=2.75)
"""

EXPORTER = """
import json, os
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def __init__(self, path):
        self.path = path

    def export(self, spans):
        with open(self.path, "a") as file:
            for span in spans:
                events = [dict(event.attributes) for event in span.events]
                file.write(json.dumps({"name": span.name, "events": events, **dict(span.attributes)}) + "\\n")
        return SpanExportResult.SUCCESS
"""


def search(code: str, folder: Path, *, expected: int = 0, **environment: str) -> list[dict[str, Any]]:
    """Run a search; returns the attributes of its spans as the exporter received them."""
    (folder / "to_file.py").write_text(EXPORTER)
    begin = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\nimport genesis_otel, to_file\n"
        f"genesis_otel.configure(data_dir={str(folder)!r}, exporter=to_file.ToFile({str(folder / 'spans')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        env={**os.environ, "GENESIS_OTEL_QUIET": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    written = folder / "spans"
    return [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []


def one(found: list[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """The last span with these attributes."""
    names = {name.replace("__", "."): value for name, value in wanted.items()}
    return [span for span in found if all(span.get(name) == value for name, value in names.items())][-1]


def test_a_run_goes_on_in_another_process(tmp_path: Path) -> None:
    """After a kill: the best never falls, the parents' scores are known, the unfinished generation includes its earlier
    individuals, and all generations count. No text of the metrics is kept."""
    search(FIRST.replace("DIRECTION", "max"), tmp_path, expected=9)
    found = search(SECOND.replace("DIRECTION", "max"), tmp_path)
    child = one(found, genesis__individual__id="2-2")
    assert child["genesis.lineage.fitness_delta"] == 2.25 - 3.0
    generation = one(found, name="generation", genesis__generation__number=2)
    assert generation["genesis.generation.num_individuals"] == 3
    assert generation["genesis.generation.best_score"] == 2.5
    assert generation["genesis.generation.total_cost"] == 0.5
    metadata = json.loads(generation["genesis.generation.metadata"])
    assert (metadata["failed"], metadata["best_so_far"]) == (1, 3.0)
    last = one(found, name="generation", genesis__generation__number=3)
    assert json.loads(last["genesis.generation.metadata"])["best_so_far"] == 3.0
    ended = one(found, genesis__record="run", genesis__run__status="completed")
    assert ended["genesis.run.total_generations"] == 4
    kept = "".join(path.read_text() for path in (tmp_path / "runs").iterdir())
    assert "0-1" in kept and "hidden" not in kept


def test_a_run_that_is_minimised_goes_on_with_its_lowest(tmp_path: Path) -> None:
    """The best of a minimising search is the lowest, also after a resume."""
    search(FIRST.replace("DIRECTION", "min"), tmp_path, expected=9)
    found = search(SECOND.replace("DIRECTION", "min"), tmp_path)
    last = one(found, name="generation", genesis__generation__number=3)
    assert json.loads(last["genesis.generation.metadata"])["best_so_far"] == 1.0


@pytest.mark.parametrize(
    "continues", ['spans.run("t", run_id="r")', 'spans.attached(spans.at(run_id="r"))'], ids=["resumes", "joins"]
)
def test_a_process_that_does_not_tell_the_direction_goes_by_the_runs(tmp_path: Path, continues: str) -> None:
    """Whether it continues the run or only records a generation of it, the best of that generation is the lowest."""
    search(FIRST.replace("DIRECTION", "min"), tmp_path, expected=9)
    code = f"""{BEGIN}
with {continues}, spans.generation(3, run_id="r") as generation:
    for at, score in enumerate((7.0, 4.0, 5.0)):
        with generation.individual(f"3-{{at}}") as individual:
            individual.record(fitness=score)
"""
    last = one(search(code, tmp_path), name="generation", genesis__generation__number=3)
    assert last["genesis.generation.best_score"] == 4.0


def test_the_front_of_a_resumed_generation_is_that_of_all_in_it(tmp_path: Path) -> None:
    """The front of a generation that a kill interrupted includes the individuals found before the kill, which are on it
    or compared with later ones."""
    begin = f"""{BEGIN}
run = spans.run("t", run_id="r", objectives={{"speed": "max", "size": "min"}})
generation = run.generation(0)
def add(name, speed, size):
    with generation.individual(name) as individual:
        individual.record(fitness=speed, metrics={{"speed": speed, "size": size}})
"""
    search(f"{begin}add('fast', 9, 90)\nadd('beaten', 1, 50)\nadd('small', 2, 10)\nos._exit(9)\n", tmp_path, expected=9)
    found = search(f"{begin}add('late', 3, 40)\nadd('late and beaten', 8, 95)\ngeneration.end()\n", tmp_path)
    generation = one(found, name="generation")
    front = [event["genesis.pareto_front.members"] for event in generation["events"]]
    assert [[member["individual_id"] for member in json.loads(members)] for members in front] == [
        ["fast", "small", "late"]
    ]
    assert generation["genesis.generation.pareto_size"] == 3
    beaten = one(found, genesis__individual__id="late and beaten")
    assert beaten["genesis.individual.is_pareto"] is False


def test_a_generation_that_is_evaluated_again_counts_each_individual_once(tmp_path: Path) -> None:
    """A search that begins its interrupted generation anew has each individual once in its statistics and on its front, as it was last;
    all that was paid, for calls outside of individuals too, is in the generation's cost and counts for the budget."""
    code = f"""{BEGIN}
run = spans.run("t", run_id="r", objectives={{"speed": "max", "size": "min"}}, budget=2.0)
generation = run.generation(0)
for name, speed in (("a", SPEED), ("b", 1.0)):
    with generation.individual(name) as individual:
        individual.record(fitness=speed, metrics={{"speed": speed, "size": 9 - speed}}, api_cost=0.5)
with generation.llm_call("m") as call:
    call.response("x", cost=0.25)
"""
    search(f"{code.replace('SPEED', '8.0')}assert run.over_budget is False\nos._exit(9)\n", tmp_path, expected=9)
    found = search(f"{code.replace('SPEED', '2.0')}assert run.over_budget\ngeneration.end()\n", tmp_path)
    generation = one(found, name="generation")
    assert generation["genesis.generation.num_individuals"] == 2
    assert generation["genesis.generation.best_score"] == 2.0
    assert generation["genesis.generation.total_cost"] == 2.5
    (front,) = (event["genesis.pareto_front.members"] for event in generation["events"])
    assert [member["individual_id"] for member in json.loads(front)] == ["a"]


def test_the_calls_of_a_copy_count_for_the_budget_after_a_resumption(tmp_path: Path) -> None:
    """A copy costs nothing, but a call made for it was paid, by whichever process."""
    code = f"""{BEGIN}
run = spans.run("t", run_id="r", budget=1.0)
with run.generation(0) as generation, generation.individual(mutation_type="migration") as individual:
    individual.record(api_cost=50)
    with individual.llm_call("m") as call:
        call.response("x", cost=0.75)
assert run.over_budget is AFTER
os._exit(9)
"""
    search(code.replace("AFTER", "False"), tmp_path, expected=9)
    search(code.replace("AFTER", "True"), tmp_path, expected=9)


def test_all_that_a_run_paid_counts_for_the_budget_after_a_resumption(tmp_path: Path) -> None:
    """So do calls of an individual that reports less than they cost, calls that ended after their individual, and what a generation reports
    beyond its calls and individuals: 1 + 0.5 + 0.25."""
    code = """
run = spans.run("t", run_id="r", budget=BUDGET)
if run.over_budget is not False:
    sys.exit(3)
generation = run.generation(0)
with generation.individual() as individual:
    with individual.llm_call("m") as call:
        call.response("!", cost=1.0)
    late = individual.llm_call("m")
    individual.record(api_cost=0.125)
late.response("!", cost=0.5)
late.end()
generation.end(total_cost=0.125 + 0.5 + 0.25)
"""
    begin = f"import sys\nfrom genesis_otel import spans\n{code}"
    search(begin.replace("BUDGET", "1.75"), tmp_path)
    search(begin.replace("BUDGET", "1.74"), tmp_path, expected=3)
    search(begin.replace("BUDGET", "1.75"), tmp_path)


def test_another_run_starts_from_nothing(tmp_path: Path) -> None:
    """Nothing kept for one run affects another."""
    search(FIRST.replace("DIRECTION", "max"), tmp_path, expected=9)
    found = search(SECOND.replace("DIRECTION", "max").replace('"r"', '"other"'), tmp_path)
    ended = one(found, genesis__record="run", genesis__run__status="completed")
    assert ended["genesis.run.total_generations"] == 2
    assert "genesis.lineage.fitness_delta" not in one(found, genesis__individual__id="2-2")


def test_the_environment_names_the_first_run(tmp_path: Path) -> None:
    """`GENESIS_OTEL_RUN_ID` is the id of the process's first run and of no other; an argument takes precedence."""
    code = f"{BEGIN}\nfor run_id in (None, None, 'mine'):\n    spans.run('t', run_id=run_id).end()\n"
    found = search(code, tmp_path, GENESIS_OTEL_RUN_ID="given")
    ids = [span["genesis.run.id"] for span in found if span.get("genesis.run.status") == "completed"]
    assert (ids[0], ids[2]) == ("given", "mine") and ids[1].startswith("run_")


def test_old_runs_are_forgotten(tmp_path: Path) -> None:
    """A run without a sign of life for `resume_days` is forgotten, a live one is not; zero days keep nothing."""
    memory = RunMemory(tmp_path / "runs")
    memory.keep("old", {"completed": 1})
    (old,) = (tmp_path / "runs").iterdir()
    os.utime(old, (0, 0))
    memory.keep("new", {"completed": 1})
    memory.forget(30)
    assert list(memory.recall("old")) == []
    assert list(memory.recall("new")) == [{"completed": 1}]
    search(FIRST.replace("DIRECTION", "max"), tmp_path / "", expected=9, GENESIS_OTEL_RESUME_DAYS="0")
    assert len(list((tmp_path / "runs").iterdir())) <= 1


def test_a_removed_folder_is_created_again(tmp_path: Path) -> None:
    """Data noted after that is kept; with many runs, each keeps its own."""
    memory = RunMemory(tmp_path / "runs")
    memory.keep("r", {"completed": 1})
    shutil.rmtree(tmp_path / "runs")
    memory.keep("r", {"completed": 2})
    assert list(memory.recall("r")) == [{"completed": 2}]
    for at in range(40):
        memory.keep(f"run {at % 20}", {"completed": at})
    assert [list(memory.recall(f"run {at}")) for at in range(20)] == [
        [{"completed": at}, {"completed": at + 20}] for at in range(20)
    ]


def test_nan_and_infinities_are_kept(tmp_path: Path) -> None:
    """NaN and infinities of an individual come back unchanged, and so do unknown values."""
    memory = RunMemory(tmp_path)
    memory.keep("r", {"individual": {"combined": math.inf, "metrics": {"loss": math.nan}, "fitness": None}})
    memory.keep("r", {"individual": {"combined": 0.1 + 0.2, "metrics": {"null": "n\u00fcll \n", "large": 2**70}}})
    first, second = memory.recall("r")
    assert first["individual"]["combined"] == math.inf
    assert math.isnan(first["individual"]["metrics"]["loss"])
    assert first["individual"]["fitness"] is None
    assert second["individual"] == {"combined": 0.1 + 0.2, "metrics": {"null": "n\u00fcll \n", "large": 2**70}}


def test_a_truncated_line_costs_only_itself(tmp_path: Path) -> None:
    """A line truncated by a kill or a full disk is skipped; the data before and after it is kept."""
    memory = RunMemory(tmp_path)
    memory.keep("r", {"completed": 1})
    (file,) = tmp_path.iterdir()
    with file.open("a") as opened:
        opened.write('\n{"individual": {"individ')
    memory.keep("r", {"completed": 2})
    assert list(memory.recall("r")) == [{"completed": 1}, {"completed": 2}]
    assert file.stat().st_mode & 0o077 == 0
