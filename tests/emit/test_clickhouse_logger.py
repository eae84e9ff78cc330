"""`ch_logger`: the first logger's calls fill the seven tables, and no call ever raises or waits."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel import attributes as names
from genesis_otel import clickhouse_logger, spans
from genesis_otel._emit import context
from genesis_otel.clickhouse_logger import ClickHouseLogger
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect
from tests.support.environment import without_settings
from tests.support.recording import Recorded, attributes_of, hostile_values, ids_of, record, store_spans, turn_off


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The spans of this test's own provider; the logger itself finds telemetry switched off and sets up nothing."""
    turn_off(monkeypatch)
    return record(monkeypatch)


@pytest.fixture
def ch_logger(recorded: Recorded) -> ClickHouseLogger:
    return ClickHouseLogger()


def rows(client: Client, query: str) -> list[dict[str, Any]]:
    return list(client.query(query).named_results())


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": 'Improve "this"\n\tcode: \\u2603 ☃ 😀 \x00 end'},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "bob"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
]


def search(log: ClickHouseLogger) -> None:
    """A search as written for the first logger, call by call, with positional arguments where it used them."""
    log.log_evolution_run(
        run_id="run_1",
        task_name="circle_packing",
        config={"evolution": {"num_generations": 10}},
        population_size=20,
        cluster_type="local",
        database_path="results/circle_packing.db",
    )
    log.log_action("job_submitted", details={"job_id": "j", "generation": 5, "parent_id": "p"}, metadata={"n": 1})
    log.log_llm_interaction(
        model="claude-3-5-sonnet-20241022",
        messages=MESSAGES,
        response="Done.\n",
        cost=0.01,
        execution_time=2.5,
        metadata={"generation": 5, "temperature": 0.5},
        thought="Hm.",
    )
    log.log_individual(
        "run_1",
        "ind_001",
        5,
        "p",
        "mutate",
        0.95,
        0.90,
        {"accuracy": 0.95, "size": 1024},
        True,
        0.05,
        0.02,
        0.01,
        "ab",
        9,
    )
    log.log_lineage("run_1", "ind_001", "p", 5, "mutate", 0.05, "Optimized loop algorithm")
    log.log_pareto_front(
        "run_1",
        5,
        [{"individual_id": "ind_001", "fitness_score": 0.95, "combined_score": 0.9, "metrics": {"size": 1024}}],
    )
    log.log_generation("run_1", 5, 20, 0.95, 0.82, 3, 1.25, {"median_score": 0.83})
    log.update_evolution_run("run_1", "completed", 10)


def test_the_first_loggers_calls_fill_the_seven_tables(
    ch_logger: ClickHouseLogger, recorded: Recorded, store: Client, connect: Connect
) -> None:
    """Each call becomes its row in its table, with every value where the first logger put it."""
    search(ch_logger)
    store_spans(ClickHouseSpanExporter(connect), (recorded.spans))
    (run,) = rows(store, "SELECT * FROM evolution_runs")
    assert (run["run_id"], run["task_name"], run["status"]) == ("run_1", "circle_packing", "completed")
    assert json.loads(run["config"]) == {"evolution": {"num_generations": 10}}
    assert (run["total_generations"], run["population_size"], run["cluster_type"]) == (10, 20, "local")
    assert (run["database_path"], run["end_time"] > run["start_time"]) == ("results/circle_packing.db", True)
    (generation,) = rows(store, "SELECT * FROM generations")
    assert {
        name: generation[name]
        for name in (
            "generation",
            "num_individuals",
            "best_score",
            "avg_score",
            "pareto_size",
            "total_cost",
            "task_name",
        )
    } == {
        "generation": 5,
        "num_individuals": 20,
        "best_score": 0.95,
        "avg_score": 0.82,
        "pareto_size": 3,
        "total_cost": 1.25,
        "task_name": "circle_packing",
    }
    assert json.loads(generation["metadata"]) == {"median_score": 0.83}
    (individual,) = rows(store, "SELECT * FROM individuals")
    expected = {
        "run_id": "run_1",
        "individual_id": "ind_001",
        "generation": 5,
        "parent_id": "p",
        "mutation_type": "mutate",
        "fitness_score": 0.95,
        "combined_score": 0.90,
        "is_pareto": True,
        "api_cost": 0.05,
        "embed_cost": 0.02,
        "novelty_cost": 0.01,
        "code_hash": "ab",
        "code_size": 9,
    }
    assert {name: individual[name] for name in expected} == expected
    assert json.loads(individual["metrics"]) == {"accuracy": 0.95, "size": 1024}
    (edge,) = rows(store, "SELECT * FROM code_lineages")
    assert (edge["child_id"], edge["parent_id"], edge["generation"]) == ("ind_001", "p", 5)
    assert (edge["fitness_delta"], edge["edit_summary"]) == (0.05, "Optimized loop algorithm")
    (member,) = rows(store, "SELECT * FROM pareto_fronts")
    assert (member["individual_id"], member["generation"], member["fitness_score"]) == ("ind_001", 5, 0.95)
    (action,) = rows(store, "SELECT * FROM agent_actions")
    assert (action["action_type"], action["run_id"], action["generation"]) == ("job_submitted", "run_1", 5)
    assert json.loads(action["details"]) == {"job_id": "j", "generation": 5, "parent_id": "p"}
    assert json.loads(action["metadata"]) == {"n": 1}
    (call,) = rows(store, "SELECT * FROM llm_logs")
    assert json.loads(call["messages"]) == MESSAGES
    assert (call["response"], call["thought"], call["cost"]) == ("Done.\n", "Hm.", 0.01)
    assert call["execution_time"] == pytest.approx(2.5)
    assert json.loads(call["metadata"]) == {"generation": 5, "temperature": 0.5}
    assert (call["run_id"], call["generation"], call["model"]) == ("run_1", 5, "claude-3-5-sonnet-20241022")


def test_all_calls_of_a_generation_share_its_trace(ch_logger: ClickHouseLogger, recorded: Recorded) -> None:
    """Although the calls are flat, the spans of run and generation are where handles would have put them."""
    search(ch_logger)
    trace_id, span_id = context.derived_ids("run_1", 5)
    inside = [span for span in recorded.spans if attributes_of(span).get(names.GENERATION) == 5]
    assert len(inside) == 6
    assert {ids_of(span)[0] for span in inside} == {trace_id}
    assert ids_of(recorded.one("generation")) == (trace_id, span_id)
    assert {span.parent.span_id for span in inside if span.parent} == {span_id}
    root = recorded.one("generation")
    first = recorded.one("action job_submitted")
    assert root.start_time and first.start_time and root.end_time
    assert ids_of(recorded.one("run circle_packing")) == context.derived_ids("run_1")


def test_a_run_that_another_process_ends_is_ended(
    ch_logger: ClickHouseLogger, recorded: Recorded, store: Client, connect: Connect
) -> None:
    """A process that knows only the run's id ends it: one row, with what the first process recorded."""
    ch_logger.log_evolution_run("r", "t", "{}", 5, "slurm", "path")
    begun = recorded.spans
    store_spans(ClickHouseSpanExporter(connect), (begun))
    assert rows(store, "SELECT status, total_generations FROM evolution_runs")[0]["status"] == "running"
    ClickHouseLogger().update_evolution_run("r", "failed", 3)
    store_spans(ClickHouseSpanExporter(connect), (recorded.spans[len(begun) :]))
    (run,) = rows(store, "SELECT * FROM evolution_runs")
    assert (run["status"], run["total_generations"], run["task_name"], run["cluster_type"]) == (
        "failed",
        3,
        "t",
        "slurm",
    )
    assert run["end_time"].year > 2000


def test_a_status_decides_whether_a_run_stays_open(ch_logger: ClickHouseLogger, recorded: Recorded) -> None:
    """`running` in an update leaves the run open; any other status at the start ends it at once."""
    ch_logger.log_evolution_run("r", "t", {}, 5, "local", "path")
    ch_logger.update_evolution_run("r", "running", 3)
    assert recorded.records("run")[-1][names.RUN_TOTAL_GENERATIONS] == 3
    ch_logger.update_evolution_run("r", "completed", 4)
    ch_logger.log_evolution_run("s", "t", {}, 5, "local", "path", "failed")
    told = [(one[names.RUN_ID], one[names.RUN_STATUS]) for one in recorded.records("run")]
    assert told == [("r", "running"), ("r", "running"), ("r", "completed"), ("s", "running"), ("s", "failed")]


def test_calls_without_a_run_belong_to_the_current_one(ch_logger: ClickHouseLogger, recorded: Recorded) -> None:
    """An LLM call or action that names no run belongs to the process's run, unless context, details or metadata say
    otherwise."""
    ch_logger.log_llm_interaction("m", "x", "y")
    ch_logger.log_evolution_run("r", "t", {}, 5, "local", "path")
    ch_logger.log_action("told", {"generation": "7", "individual_id": "a", "run_id": "other"})
    ch_logger.log_action("current", {})
    with spans.generation(2, run_id="around") as generation, generation.individual("b"):
        ch_logger.log_action("within", {})
        ch_logger.log_llm_interaction("m", "x", "y", metadata={"role": "judge"})
    places = [
        (found.get(names.RUN_ID, ""), found.get(names.GENERATION), found.get(names.INDIVIDUAL_ID, ""))
        for found in map(attributes_of, recorded.spans)
        if found.get(names.RECORD) in (None, "action")
    ]
    assert places == [
        ("", None, ""),
        ("other", 7, "a"),
        ("r", None, ""),
        ("around", 2, "b"),
        ("around", 2, "b"),
    ]
    within = recorded.named("chat m")[1]
    assert within.parent and within.parent.span_id == ids_of(recorded.one("individual"))[1]
    assert attributes_of(within)[names.LLM_ROLE] == "judge"


def test_calls_in_a_subprocess_belong_where_its_environment_says(
    ch_logger: ClickHouseLogger, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `TRACEPARENT` and `BAGGAGE` in the environment, calls that name nothing belong to the individual."""
    with spans.generation(2, run_id="r").individual("a") as individual:
        environment = individual.environ()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ch_logger.log_action("evaluated", {})
    span = recorded.one("action evaluated")
    assert span.parent and span.parent.span_id == ids_of(recorded.one("individual"))[1]
    assert attributes_of(span)[names.INDIVIDUAL_ID] == "a"


def test_an_llm_call_began_when_it_did(ch_logger: ClickHouseLogger, recorded: Recorded) -> None:
    """The span ends now and began `execution_time` seconds ago; one that it cannot have taken is unknown, a span of no length."""
    began = time.time_ns()
    ch_logger.log_llm_interaction("m", "x", "y", execution_time=2.5)
    for nonsense in (-1, math.nan, math.inf, 1e30, "x"):
        ch_logger.log_llm_interaction("m", "x", "y", execution_time=nonsense)  # type: ignore[arg-type]
    lasted = [(span.end_time or 0) - (span.start_time or 0) for span in recorded.named("chat m")]
    assert lasted[0] == 2_500_000_000
    assert lasted[1:] == [0] * 5
    assert all(began <= (span.end_time or 0) <= time.time_ns() for span in recorded.spans)


# --- hostile values ---------------------------------------------------------------------------------------------------


@dataclass
class Setting:
    name: str
    path: Path


class Configuration(dict[str, Any]):
    """A mapping like Hydra's: reading a missing value raises."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if value == "???":
            raise LookupError(key)
        return value


class Lazy:
    """A mapping that is not a dict."""

    def __init__(self, **values: Any) -> None:
        self._values = Configuration(values)

    def keys(self) -> Any:
        return self._values.keys()

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_values_that_json_lacks_are_converted_or_kept_as_text(ch_logger: ClickHouseLogger, recorded: Recorded) -> None:
    """Dataclasses, paths, times, numpy values, sets, odd keys, cycles, NaN, surrogates: valid JSON that reads back."""
    from collections.abc import Mapping

    import numpy as np

    Mapping.register(Lazy)
    circle: list[Any] = [1]
    circle.append(circle)
    details = {
        "dataclass": Setting("a", Path("/x")),
        "path": PurePosixPath("/y"),
        "time": datetime(2024, 1, 15, tzinfo=timezone.utc),
        "numpy": [np.float64(0.5), np.int64(7), np.bool_(True), np.str_("s"), np.arange(2), np.float32("nan")],
        "set": {3},
        "bytes": b"b\xff",
        "mapping": Lazy(seed=7, missing="???", inner=Lazy(deep=[Lazy(x=1)])),
        "circle": circle,
        "numbers": [math.nan, math.inf, -math.inf, 10**400],
        "surrogate": "a\udc80b",
        "task": asyncio.Lock,
        1: "int key",
        None: "none key",
        ("a", 1): "tuple key",
    }
    ch_logger.log_action("hostile", details)
    found = json.loads(recorded.records("action")[0][names.ACTION_DETAILS])
    assert found["dataclass"] == {"name": "a", "path": "/x"}
    assert (found["path"], found["time"]) == ("/y", "2024-01-15T00:00:00+00:00")
    assert found["numpy"] == [0.5, 7, True, "s", [0, 1], "NaN"]
    assert (found["set"], found["bytes"]) == ([3], "b\\xff")
    assert found["mapping"] == {"seed": 7, "missing": "<LookupError>", "inner": {"deep": [{"x": 1}]}}
    assert found["circle"] == [1, "<list>"]
    assert found["numbers"] == ["NaN", "Infinity", "-Infinity", 10**400]
    assert found["surrogate"] == "a\udc80b"
    assert "Lock" in found["task"]
    assert (found["1"], found["null"], found["('a', 1)"]) == ("int key", "none key", "tuple key")


def test_ten_megabytes_arrive_whole(
    ch_logger: ClickHouseLogger, recorded: Recorded, store: Client, connect: Connect
) -> None:
    """A prompt and an answer of ten megabytes, with quotes and SQL in them, read back unchanged."""
    prompt = "'; DROP TABLE llm_logs; -- ☃\n\"" * 350_000
    ch_logger.log_llm_interaction("m", [{"role": "user", "content": prompt}], prompt + "!")
    store_spans(ClickHouseSpanExporter(connect), (recorded.spans))
    (call,) = rows(store, "SELECT messages, response FROM llm_logs")
    assert len(prompt.encode()) > 10**7
    assert json.loads(call["messages"]) == [{"role": "user", "content": prompt}]
    assert call["response"] == prompt + "!"


def test_no_value_is_too_hostile(
    ch_logger: ClickHouseLogger, recorded: Recorded, store: Client, connect: Connect
) -> None:
    """Any value for any argument: no call raises, and each call has its row in the store."""
    values = hostile_values()
    log: Any = ch_logger
    for value in values:
        log.log_evolution_run(value, value, value, value, value, value)
        log.log_generation(value, value, value, value, value, value, value, value)
        log.log_individual(*[value] * 14)
        log.log_pareto_front("r", 1, [{"individual_id": "x", "fitness_score": value, "metrics": value}])
        log.log_pareto_front(value, value, value)
        log.log_lineage(*[value] * 7)
        log.log_llm_interaction(*[value] * 7)
        log.log_llm_interaction("m", [{"role": "user", "content": value}], value)
        log.log_action(value, value, value)
        log.log_action("a", {"generation": value, "individual_id": value, "run_id": value})
        log.update_evolution_run(value, value, value)
        log.get_run_id_by_path(value)
    store_spans(ClickHouseSpanExporter(connect), (recorded.spans))
    counts = {
        table: rows(store, f"SELECT uniqExact(span_id) AS n FROM {table}")[0]["n"]
        for table in ("evolution_runs_log", "generations", "individuals", "code_lineages", "llm_logs", "agent_actions")
    }
    n = len(values)
    assert counts.pop("evolution_runs_log") >= 2 * n
    assert counts == {
        "generations": n,
        "individuals": n,
        "code_lineages": n,
        "llm_logs": 2 * n,
        "agent_actions": 2 * n,
    }
    assert rows(store, "SELECT count() AS n FROM pareto_fronts WHERE run_id = 'r'")[0]["n"] == n


def test_invalid_calls_do_not_raise(ch_logger: ClickHouseLogger, caplog: pytest.LogCaptureFixture) -> None:
    """An unknown or missing argument is logged once and not raised."""
    log: Any = ch_logger
    for _ in range(2):
        log.log_generation(run_id="r", nonsense=1)
        log.log_action()
    warnings = [line.getMessage() for line in caplog.records]
    assert warnings == ["ch_logger.log_generation failed", "ch_logger.log_action failed"]


# --- the store --------------------------------------------------------------------------------------------------------


def test_off_means_off(ch_logger: ClickHouseLogger, caplog: pytest.LogCaptureFixture) -> None:
    """When switched off, it is not enabled, has no client and finds no run of another process; it still knows its own
    runs."""
    assert not ch_logger.enabled
    assert ch_logger.client is None
    assert ch_logger.get_run_id_by_path("elsewhere") is None
    ch_logger.log_evolution_run("first", "t", {}, 5, "local", Path("results/x").as_posix())
    ch_logger.log_evolution_run("second", "t", {}, 5, "local", "results/x")
    assert ch_logger.get_run_id_by_path("results/x") == "second"
    assert ch_logger.get_run_id_by_path(Path("results/x")) == "second"  # type: ignore[arg-type]


def test_the_module_has_the_one_logger() -> None:
    """`ch_logger` and its class are the exports of the module."""
    assert clickhouse_logger.__all__ == ["ClickHouseLogger", "ch_logger"]
    assert isinstance(clickhouse_logger.ch_logger, ClickHouseLogger)


PROCESS = """
import logging, sys
logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
sys.path.insert(0, {tests!r})
from tests.emit.test_clickhouse_logger import search
from genesis_otel.clickhouse_logger import ch_logger
"""


def process(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process whose store is a folder of this test."""
    known = without_settings()
    known |= {"CLICKHOUSE_URL": f"chdb://{folder}", "GENESIS_OTEL_DATA_DIR": str(folder / "data"), **environment}
    start = PROCESS.format(tests=str(Path(__file__).parents[2]))
    return subprocess.run(
        [sys.executable, "-c", start + code], env=known, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_search_changes_its_import_and_nothing_else(tmp_path: Path) -> None:
    """In a real process with an embedded store: the calls, `.enabled`, `.client`, and the next process finds the run."""
    first = process(
        """
assert ch_logger.enabled
assert ch_logger.get_run_id_by_path("results/circle_packing.db") is None
search(ch_logger)
assert ch_logger.get_run_id_by_path("results/circle_packing.db") == "run_1"
assert "chdb" not in sys.modules
""",
        tmp_path / "store",
    )
    assert (first.returncode, first.stderr) == (0, "")
    second = process(
        """
print(ch_logger.get_run_id_by_path("results/circle_packing.db"), ch_logger.get_run_id_by_path("it's \\udc80 not"))
client = ch_logger.client
print(client.database, client is ch_logger.client)
for table in ("individuals", "generations", "llm_logs", "agent_actions", "code_lineages", "pareto_fronts"):
    print(client.query(f"SELECT count() FROM {table}").result_rows[0][0])
print(client.command("SELECT status FROM evolution_runs"))
assert "chdb" not in sys.modules
""",
        tmp_path / "store",
    )
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.split() == ["run_1", "None", "default", "True", *["1"] * 6, "completed"]


def test_a_missing_store_costs_one_log_line(tmp_path: Path) -> None:
    """With a server that refuses connections: every call returns, and `client` is None, with one log line that omits
    the password."""
    answer = process(
        """
search(ch_logger)
for _ in range(3):
    assert ch_logger.client is None
assert ch_logger.get_run_id_by_path("elsewhere") is None
print(ch_logger.enabled)
""",
        tmp_path / "store",
        CLICKHOUSE_URL="http://user:hunter2@127.0.0.1:9/db",
        GENESIS_OTEL_EXIT_TIMEOUT="0.5",
    )
    assert (answer.returncode, answer.stdout) == (0, "True\n"), answer.stderr
    assert answer.stderr.count("ch_logger has no client") == 1
    assert "hunter2" not in answer.stderr


def test_invalid_settings_switch_it_off(tmp_path: Path) -> None:
    """A malformed `CLICKHOUSE_URL` is logged once; the search goes on without telemetry."""
    answer = process(
        "search(ch_logger); print(ch_logger.enabled, ch_logger.client)",
        tmp_path,
        CLICKHOUSE_URL="mysql://u:hunter2@h/x",
    )
    assert (answer.returncode, answer.stdout) == (0, "False None\n"), answer.stderr
    assert answer.stderr.count("ClickHouse logging disabled") == 1
    assert "hunter2" not in answer.stderr


def test_each_warning_is_logged_once(
    ch_logger: ClickHouseLogger, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand invalid values make one warning per kind, and none repeats a prompt."""
    caplog.set_level(logging.WARNING)
    for _ in range(100):
        ch_logger.log_generation("r", 1, "SECRET", "SECRET", None, 1)  # type: ignore[arg-type]
        ch_logger.log_llm_interaction("m", "SECRET", "SECRET", cost="SECRET")  # type: ignore[arg-type]
    assert len(caplog.records) == 3
    assert "SECRET" not in caplog.text


def test_a_failure_of_the_first_loggers_has_no_score(
    ch_logger: ClickHouseLogger, recorded: Recorded, store: Client, connect: Connect
) -> None:
    """Its callers report 0.0 with `correct: false`: that is not a score, and neither is what they compute from it, such
    as a delta or the best of failures."""
    ch_logger.log_evolution_run("r", "t", {}, 2, "local", "", direction="min", objectives={"size": "MIN"})
    for name, parent, generation, score, correct in (
        ("a", "", 0, -1.0, True),
        ("b", "a", 1, 0.0, False),
        ("c", "b", 2, -3.0, True),
        ("d", "c", 2, 0.0, True),
    ):
        metrics = {"correct": correct, "combined_score": score}
        ch_logger.log_individual("r", name, generation, parent, "diff", score, score, metrics, False)
        ch_logger.log_lineage("r", name, parent, generation, "diff", score - 1.0)
    for generation, best, average in ((0, -1.0, -1.0), (1, 0.0, 0.0), (2, -3.0, -1.5)):
        ch_logger.log_generation("r", generation, 1, best, average, 0)
    store_spans(ClickHouseSpanExporter(connect), recorded.spans)
    assert store.query(
        "SELECT individual_id, fitness_score, score_told, status, correct FROM individuals ORDER BY individual_id"
    ).result_rows == [
        ("a", -1.0, "", "ok", True),
        ("b", None, "0", "incorrect", False),
        ("c", -3.0, "", "ok", True),
        ("d", 0.0, "", "ok", True),
    ]
    deltas = store.query("SELECT child_id, fitness_delta FROM code_lineages ORDER BY child_id").result_rows
    assert deltas == [("a", -2.0), ("b", None), ("c", None), ("d", -1.0)]
    assert store.query("SELECT best_score, avg_score FROM generations ORDER BY generation").result_rows == [
        (-1.0, -1.0),
        (None, None),
        (-3.0, -1.5),
    ]
    assert store.query("SELECT direction, objectives FROM evolution_runs").result_rows == [("min", {"size": "min"})]
    assert store.command("SELECT count() FROM pareto_fronts") == 0
