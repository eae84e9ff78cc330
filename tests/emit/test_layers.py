"""Emitting spans needs OpenTelemetry's API and nothing else, and does nothing without an SDK. (Which module may import
which is a contract of import-linter, in pyproject.toml.)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import genesis_otel
from genesis_otel import spans
from tests.support.searched import end_store

HOOK = """
import importlib.abc, sys

ALLOWED = {"genesis_otel", "typing_extensions"}
OTEL = ("attributes", "baggage", "context", "environment_variables", "propagate", "propagators", "trace", "util", "version")

class OnlyTheApi(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root, _, rest = name.partition(".")
        if root in sys.stdlib_module_names or root in ALLOWED:
            return None
        if root == "opentelemetry" and (not rest or rest.split(".")[0] in OTEL):
            return None
        raise ModuleNotFoundError(f"not here: {name}", name=name)

sys.meta_path.insert(0, OnlyTheApi())
"""

SEARCH = """
import asyncio, logging, threading
logging.basicConfig(level=logging.DEBUG)
from genesis_otel import spans
import genesis_otel

with spans.run("t", objectives={"accuracy": "max"}) as run:
    with run.generation(0, hold_individuals=True) as generation:
        with generation.individual(mutation_type="init") as individual:
            with individual.llm_call("gpt-4o", messages="x") as call:
                call.first_token()
                call.response("y", input_tokens=1)
            with individual.evaluation() as evaluation:
                evaluation.result(correct=True, combined_score=0.9)
            individual.record(fitness=0.9, metrics={"accuracy": 0.9}, code="print()")
        generation.pareto_front([individual])
    with genesis_otel.attached(genesis_otel.from_environment(run.environ())):
        spans.action("a", {"b": 1})
        spans.lineage("c", "p", 1, run_id=run.id)
        spans.pareto_front([], run_id=run.id, generation=1)

async def later():
    async with spans.individual("a"):
        pass

asyncio.run(later())
assert run.id.startswith("run_"), run.id
assert threading.active_count() == 1
try:
    with spans.individual():
        raise KeyError("the search's own")
except KeyError:
    pass
else:
    raise AssertionError("swallowed")
"""


def run_python(code: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def test_instrumented_code_runs_with_the_api_alone(tmp_path: Path) -> None:
    """With only opentelemetry-api importable and no SDK, a whole search runs, logs nothing and leaves nothing
    behind."""
    answer = run_python(HOOK + SEARCH, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (0, "")
    said = [line for line in answer.stderr.splitlines() if "asyncio" not in line]
    assert said == []
    assert list(tmp_path.iterdir()) == []


def test_the_logger_is_off_with_the_api_alone(tmp_path: Path) -> None:
    """Without the modules that ship and store, every call of `ch_logger` does nothing, and one line says that it is
    disabled."""
    code = """
import logging
logging.basicConfig()
from genesis_otel.clickhouse_logger import ch_logger
for n in range(3):
    ch_logger.log_evolution_run("r", "t", {}, 1, "local", "p")
    ch_logger.log_action("a", {})
    ch_logger.log_llm_interaction("m", [], "x")
    assert ch_logger.get_run_id_by_path("elsewhere") is None
assert not ch_logger.enabled
assert ch_logger.client is None
"""
    answer = run_python(HOOK + code, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("ClickHouse logging disabled") == len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("import genesis_otel", ("opentelemetry", "clickhouse_connect", "pydantic", "numpy")),
        (
            "from genesis_otel import configuration, spans",
            (
                *("clickhouse_connect", "pydantic", "numpy", "genai_prices", "chdb", "dotenv", "rich", "tomllib"),
                *("urllib3", "multiprocessing"),
            ),
        ),
        ("from genesis_otel import spans", ("opentelemetry.sdk", "clickhouse_connect", "pydantic", "numpy", "moocore")),
        (
            "from genesis_otel.clickhouse_logger import ch_logger",
            ("opentelemetry.sdk", "clickhouse_connect", "pydantic", "numpy", "chdb", "genai_prices"),
        ),
        # Not even the database client: it is loaded while a store process starts.
        (
            "from genesis_otel._read import client",
            ("opentelemetry", "clickhouse_connect", "numpy", "pandas", "pyarrow", "rich", "chdb"),
        ),
    ],
)
def test_importing_is_light(imported: str, absent: tuple[str, ...], tmp_path: Path) -> None:
    """Importing loads nothing that is not needed yet, and `ch_logger` does not connect."""
    code = f"{imported}\nimport sys\nprint([name for name in {absent!r} if name in sys.modules])"
    assert run_python(code, cwd=tmp_path).stdout == "[]\n"


def test_configuring_compiles_no_patterns(tmp_path: Path) -> None:
    """Until a text is recorded, the search for secrets is not loaded: compiling its expressions would take most of the
    time."""
    code = """
import sys
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import genesis_otel
genesis_otel.configure(exporter=InMemorySpanExporter(), data_dir=sys.argv[1])
absent = ("genesis_otel._ship.redaction.matches", "genesis_otel._ship.redaction.scan", "re2", "importlib.metadata")
print([name for name in absent if name in sys.modules])
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.stdout == "[]\n", answer.stderr


def test_configuring_is_light(tmp_path: Path) -> None:
    """A search that records to the embedded store loads neither a database client nor the price list: not when it is
    set up, not when it records calls without a price, and not when it ends; it loads what judges secrets only for a
    text that may hold one, and not what another process does: draining the spool, and the store's SQL."""
    code = """
import atexit, sys
absent = ("clickhouse_connect", "pydantic", "genai_prices", "chdb", "urllib3", "genesis_otel._ship.redaction.matches",
    "genesis_otel._ship.delivery.drain", "genesis_otel.queries", "opentelemetry.sdk.trace.export", "pickle", "statistics", "tempfile")
atexit.register(lambda: print([n for n in absent if n in sys.modules]))
import genesis_otel
genesis_otel.configure(data_dir=sys.argv[1], exit_timeout=0)
with genesis_otel.run("t") as run, run.generation(0) as generation:
    with generation.individual(mutation_type="init") as individual:
        individual.record(fitness=0.5, code="print()")
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    end_store(tmp_path / "store")
    assert answer.stdout == "[]\n", answer.stderr


def test_the_public_names_are_these() -> None:
    """`genesis_otel` exports exactly these names; each is the object of its module, and `dir` lists it."""
    assert genesis_otel.__all__ == [
        *("__version__", "action", "attached", "configure", "connect", "environ", "evaluation", "from_environment"),
        *("generation", "individual", "install_logger", "instrument", "lineage", "llm_call", "pareto_front", "run"),
    ]
    elsewhere = ("configure", "connect", "install_logger", "instrument")
    for name in set(genesis_otel.__all__) - {"__version__", *elsewhere}:
        assert getattr(genesis_otel, name) is getattr(spans, name)
    assert all(callable(getattr(genesis_otel, name)) for name in elsewhere)
    assert set(genesis_otel.__all__) <= set(dir(genesis_otel))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        genesis_otel.nothing  # noqa: B018


def test_what_spans_exports_is_there() -> None:
    """`genesis_otel.spans.__all__` is sorted and complete for users, and every name in it exists."""
    assert spans.__all__ == sorted(spans.__all__)
    assert all(hasattr(spans, name) for name in spans.__all__)
    assert {"Run", "Generation", "Individual", "Evaluation", "LLMCall"} < set(spans.__all__)
