"""Where records belong that do not say so: in threads, forked children, pool workers, and at the end of the process."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from genesis_otel import attributes as names
from genesis_otel import spans
from tests.support.recording import Recorded, attributes_of, ids_of


def in_a_thread(work: Callable[[], object]) -> None:
    """Threads of a pool do not inherit context."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


# --- threads ----------------------------------------------------------------------------------------------------------


def everything() -> None:
    """One record of each kind, without saying where it belongs."""
    with spans.individual("i") as individual:
        individual.record(fitness=1.0)
    with spans.llm_call("m", metadata={"a": 1}):
        pass
    with spans.evaluation() as evaluation:
        evaluation.result(correct=True, metadata={"b": 2})
    spans.action("act")


def test_records_of_a_thread_without_a_run_join_the_only_one(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """Its records join the run, are marked as guessed, and name neither a generation nor an individual; there is one
    warning for each kind."""
    with spans.run("t") as run, run.generation(3):
        in_a_thread(everything)
        in_a_thread(everything)
    for kind, metadata in (
        ("individual", names.INDIVIDUAL_METADATA),
        ("chat m", names.LLM_METADATA),
        ("evaluation", names.EVALUATION_METADATA),
        ("action act", names.ACTION_METADATA),
    ):
        for span in recorded.named(kind):
            told = attributes_of(span)
            assert told[names.RUN_ID] == run.id, kind
            assert names.GENERATION not in told
            assert json.loads(told[metadata])["place"] == "guessed"
            if kind != "individual":
                assert names.INDIVIDUAL_ID not in told
    assert json.loads(attributes_of(recorded.named("chat m")[0])[names.LLM_METADATA])["a"] == 1
    assert json.loads(attributes_of(recorded.named("evaluation")[0])[names.EVALUATION_METADATA])["b"] == 2
    said = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(said) == 4 and all("only open run" in line and "handle.context" in line for line in said)


def test_between_two_runs_nothing_is_guessed(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """With two open runs, or none, a record belongs to no run, and one warning per kind says what to do."""
    one, other = spans.run("t"), spans.run("t")
    in_a_thread(everything)
    one.end()
    other.end()
    everything()
    for span in [*recorded.named("individual"), *recorded.named("chat m")]:
        assert names.RUN_ID not in attributes_of(span)
        assert "guessed" not in json.dumps(attributes_of(span))
    said = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(said) == 2 and all("pass run=" in line for line in said)


def test_an_explicit_place_is_not_a_guess(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """In a thread, a handle, a run id or an attached context is not a guess."""
    with spans.run("t") as run, run.generation(1) as generation:
        in_a_thread(lambda: spans.individual("a", generation=generation).end())
        in_a_thread(lambda: spans.individual("b", run_id="elsewhere").end())

        def attached() -> None:
            with spans.attached(generation.context):
                spans.individual("c").end()

        in_a_thread(attached)
    found = {each[names.INDIVIDUAL_ID]: each for each in recorded.records("individual")}
    assert [found[name][names.RUN_ID] for name in "abc"] == [run.id, "elsewhere", run.id]
    assert found["a"][names.GENERATION] == found["c"][names.GENERATION] == 1
    assert all(names.INDIVIDUAL_METADATA not in each for each in found.values())
    assert caplog.records == []


# --- other processes --------------------------------------------------------------------------------------------------

PREPARED = """
import json, multiprocessing, os, sys, threading, time
SPANS = FOLDER + "/spans"
sys.path.insert(0, FOLDER)
import genesis_otel
from genesis_otel import spans
import to_file
"""

WITH_FILE = """
import json
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

def hide(text):
    return text.replace("mine", "hidden")

class ToFile(SpanExporter):
    def __init__(self, path):
        self.path = path

    def export(self, spans):
        with open(self.path, "a") as file:
            for span in spans:
                told = {"name": span.name, "trace": span.context.trace_id, "span": span.context.span_id}
                told |= {"parent": span.parent.span_id if span.parent else 0, "status": span.status.status_code.name}
                file.write(json.dumps({**told, **span.resource.attributes, **span.attributes}) + "\\n")
        return SpanExportResult.SUCCESS
"""

CONFIGURED = """
def configure():
    genesis_otel.configure(
        data_dir=FOLDER, exporter=to_file.ToFile(FOLDER + "/spans"), redactor=to_file.hide,
        resource_attributes={"team": "packing"},
    )
"""


def process(code: str, folder: Path, *, expected: int = 0, **environment: Any) -> tuple[list[dict[str, Any]], str]:
    """Run a program; returns the spans of it and of its workers, and its standard error."""
    (folder / "to_file.py").write_text(WITH_FILE)
    script = folder / "search.py"
    script.write_text(
        PREPARED.replace("FOLDER", repr(str(folder))) + CONFIGURED.replace("FOLDER", repr(str(folder))) + code
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == expected, done.stderr
    written = folder / "spans"
    return [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else [], done.stderr


POOL = """
def evaluate(individual):
    with individual, individual.evaluation("job") as evaluation:
        evaluation.result(correct=True)
        with individual.llm_call("m", messages="mine") as call:
            call.response("also mine")
        spans.action("seen")
    return os.getpid()

if __name__ == "__main__":
    configure()
    with spans.run("t", run_id="r") as run, run.generation(4) as generation, generation.individual("a") as individual:
        with multiprocessing.get_context("METHOD").Pool(1) as pool:
            assert pool.apply(evaluate, (individual,)) != os.getpid()
            pool.close()
            pool.join()
        individual.record(fitness=1.0)
        # What a worker has spooled, the exporter of this process hands over in its turn.
        while not (os.path.exists(SPANS) and "action seen" in open(SPANS).read()):
            time.sleep(0.05)
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_an_individual_crosses_into_a_pool(method: str, tmp_path: Path) -> None:
    """A pickled individual is a reference: spans in the worker are its children, and the individual itself ends once,
    in its own process."""
    found, said = process(POOL.replace("METHOD", method), tmp_path)
    (individual,) = [span for span in found if span["name"] == "individual"]
    evaluations = [span for span in found if span["name"] == "evaluation"]
    assert len(evaluations) == 1, (said, [span["name"] for span in found])
    (evaluation,) = evaluations
    assert (evaluation["parent"], evaluation["trace"]) == (individual["span"], individual["trace"])
    (action,) = [span for span in found if span["name"] == "action seen"]
    for span in (evaluation, action):
        assert (span["genesis.run.id"], span["genesis.generation.number"], span["genesis.individual.id"]) == (
            "r",
            4,
            "a",
        )
        assert span["team"] == "packing"
    (call,) = [span for span in found if span["name"] == "chat m"]
    assert "hidden" in call["gen_ai.input.messages"] and "mine" not in call["gen_ai.output.messages"]
    assert [span["genesis.run.status"] for span in found if span.get("genesis.record") == "run"] == [
        "running",
        "completed",
    ]


def test_a_redactor_that_cannot_cross_lets_no_content_cross(tmp_path: Path) -> None:
    """A worker that cannot have the redactor records no prompts, rather than using another redactor, and says so."""
    code = POOL.replace("METHOD", "spawn").replace("    configure()\n", f"""
    genesis_otel.configure(
        data_dir={str(tmp_path)!r}, exporter=to_file.ToFile(SPANS), redactor=lambda text: text.replace("mine", "hidden")
    )
""")  # fmt: skip
    found, said = process(code, tmp_path)
    (call,) = [span for span in found if span["name"] == "chat m"]
    assert "gen_ai.input.messages" not in call and "mine" not in json.dumps(call)
    assert said.count("the redactor cannot be pickled") == 1


def test_pickled_handles_are_references(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """A pickled run, generation or individual has its ids and can begin child records, but ends nothing."""
    run = spans.run("t", run_id="r")
    generation = run.generation(2)
    individual = generation.individual("a", parents=["p", "q"])
    there = pickle.loads(pickle.dumps((run, generation, individual)))  # noqa: S301
    assert (there[0].id, there[0].task) == ("r", "t")
    assert (there[1].number, there[1].run_id) == (2, "r")
    assert (there[2].id, there[2].parents) == ("a", ("p", "q"))
    for reference in there:
        with reference:
            spans.action("within")
        reference.end()
    there[2].record(fitness=1.0)
    there[1].individual("b").end()
    there[0].generation(3).end()
    assert [span.name for span in recorded.spans if span.name in ("run t", "individual")] == ["individual"]
    parents = [span.parent.span_id for span in recorded.named("action within") if span.parent]
    individual.end()
    generation.end()
    run.end()
    ended = [recorded.one("run t"), recorded.named("generation")[-1], recorded.named("individual")[-1]]
    assert parents == [ids_of(span)[1] for span in ended]
    assert ["record() in a worker has no effect" in line.getMessage() for line in caplog.records] == [True]


def test_no_password_is_pickled(tmp_path: Path) -> None:
    """A handle that a search pickles to disk contains no password; its worker is then configured from the
    environment."""
    code = """
import pickle
genesis_otel.configure(data_dir=FOLDER, clickhouse_url="http://u:hunter2@127.0.0.1:1/d", exit_timeout=0)
with spans.run("t") as run:
    assert b"hunter2" not in pickle.dumps(run)
    assert pickle.loads(pickle.dumps(run)).id == run.id
"""
    process(code.replace("FOLDER", repr(str(tmp_path))), tmp_path)


FORKED = """
configure()
with spans.run("t", run_id="r") as run:
    def child():
        spans.individual("threadless").end()

    if not os.fork():
        thread = threading.Thread(target=child)  # without the context that came with the fork
        thread.start()
        thread.join()
        spans.individual("with context").end()
        sys.exit(3)
    os.wait()
"""


def test_a_forked_child_forgets_the_runs_that_it_inherited(tmp_path: Path) -> None:
    """It neither guesses nor ends any of them; context that was current at the fork stays."""
    found, _ = process(FORKED, tmp_path)
    individuals = {
        span["genesis.individual.id"]: span.get("genesis.run.id") for span in found if span["name"] == "individual"
    }
    assert individuals == {"threadless": None, "with context": "r"}
    assert [span["genesis.run.status"] for span in found if span.get("genesis.record") == "run"] == [
        "running",
        "completed",
    ]


# --- the end of the process -------------------------------------------------------------------------------------------

LEFT = """
configure()
run = spans.run("t", run_id="r")
generation = run.generation(1)
generation.individual("ended").end()
individual = generation.individual("left")
individual.record(fitness=2.0)
call = individual.llm_call("m", messages="mine")
"""


def test_handles_that_are_left_open_are_ended_with_a_mark(tmp_path: Path) -> None:
    """When the process exits, each arrives with what is known of it, as failed, and marked as left open."""
    found, _ = process(LEFT, tmp_path)
    mark = "still open when its process ended"
    by_name = {span["name"]: span for span in found if span.get("genesis.individual.id") != "ended"}
    assert by_name["run t"]["genesis.run.status"] == "failed"
    assert by_name["run t"]["genesis.run.error"] == mark
    assert by_name["individual"]["genesis.individual.fitness_score"] == 2.0
    assert by_name["generation"]["genesis.generation.num_individuals"] == 2
    assert "hidden" in by_name["chat m"]["gen_ai.input.messages"]
    assert {by_name[name]["status"] for name in ("run t", "generation", "individual", "chat m")} == {"ERROR"}


def test_an_exception_that_ends_the_program_is_the_reason(tmp_path: Path) -> None:
    """A run that is still open when an exception ends the program fails with that exception; one that was ended by hand
    does not."""
    found, _ = process(LEFT + 'raise LookupError("no such island")\n', tmp_path, expected=1)
    (run,) = [span for span in found if span["name"] == "run t"]
    assert run["genesis.run.error"] == "LookupError: no such island (still open when its process ended)"


def test_runs_of_the_first_logger_end_with_their_process(tmp_path: Path) -> None:
    """A run that `ch_logger` began and did not end has failed when the process ends; one that it ended has not."""
    code = """
configure()
from genesis_otel.clickhouse_logger import ch_logger
for run_id in ("left", "ended"):
    ch_logger.log_evolution_run(run_id, "t", {}, 1, "local", run_id)
ch_logger.update_evolution_run("ended", "completed", 3)
raise KeyError("x")
"""
    found, _ = process(code, tmp_path, expected=1)
    ends = {span["genesis.run.id"]: span for span in found if span["name"] == "run t"}
    assert {name: span["genesis.run.status"] for name, span in ends.items()} == {"left": "failed", "ended": "completed"}
    assert ends["left"]["genesis.run.error"].startswith("KeyError: 'x'")


# --- what a search logs -----------------------------------------------------------------------------------------------


def test_a_run_says_where_it_goes(tmp_path: Path) -> None:
    """One line on standard error: its id, the destination, and the command that watches it; with `GENESIS_OTEL_QUIET`,
    none. A terminal does not obey an id."""
    code = 'genesis_otel.configure(data_dir=FOLDER)\nspans.run("t", run_id="a run").end()\n'
    code = code.replace("FOLDER", repr(str(tmp_path)))
    _, said = process(code, tmp_path, GENESIS_OTEL_QUIET="false")
    store = f"chdb://{tmp_path}/store"
    assert (
        said == f"genesis-otel: run a run goes to {store}; watch it with `genesis-otel --url {store} watch 'a run'`\n"
    )
    _, said = process(code, tmp_path, GENESIS_OTEL_QUIET="false", GENESIS_OTEL_DATA_DIR=str(tmp_path))
    assert said == f"genesis-otel: run a run goes to {store}; watch it with `genesis-otel watch 'a run'`\n"
    _, said = process(code, tmp_path, GENESIS_OTEL_QUIET="true")
    assert said == ""
    clearing = code.replace("a run", "é\\x1b[2J")
    _, said = process(clearing, tmp_path, GENESIS_OTEL_QUIET="false", GENESIS_OTEL_DATA_DIR=str(tmp_path))
    assert said == f"genesis-otel: run 'é\\x1b[2J' goes to {store}; watch it with `genesis-otel watch latest`\n"


@pytest.mark.parametrize(
    ("environment", "warned"),
    [({}, True), ({"GENESIS_OTEL_ENABLED": "false"}, False), ({"OTEL_SDK_DISABLED": "true"}, False)],
)
def test_a_missing_configure_is_reported_once(environment: dict[str, str], warned: bool, tmp_path: Path) -> None:
    """Without `configure()`, one line at the first run says so, unless a setting turned telemetry off."""
    code = 'for _ in range(3):\n    spans.run("t").end()\n'
    _, said = process(code, tmp_path, expected=0, **environment)
    assert (said.count("genesis_otel.configure()"), len(said.splitlines())) == ((1, 1) if warned else (0, 0))


def test_a_search_that_is_switched_off_logs_nothing(tmp_path: Path) -> None:
    """`configure(enabled=False)` is deliberate, so no line says that nothing is recorded."""
    _, said = process('genesis_otel.configure(enabled=False)\nspans.run("t").end()\n', tmp_path)
    assert said == ""


def test_a_worker_without_configuration_says_so(tmp_path: Path) -> None:
    """Evaluations in a spawned pool with nothing that names their run: one warning, which says what to do."""
    code = """
def evaluate(number):
    with spans.evaluation():
        return number

if __name__ == "__main__":
    configure()
    with spans.run("t"), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(evaluate, [1, 2, 3]) == [1, 2, 3]
        pool.close()
        pool.join()
"""
    _, said = process(code, tmp_path)
    assert said.count("evaluation in a worker process is not recorded") == 1 and "handle.environ()" in said
