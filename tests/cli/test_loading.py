"""What a command imports before it runs: only itself and what it needs, since a user is waiting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from genesis_otel._cli.app import COMMANDS, application, main
from genesis_otel._serve import client
from genesis_otel._serve.folder import LOG
from tests.support.searched import RUN, end_store, fill, search_spans

SHARED = {"app", "columns", "common", "completion", "tables"}
"""The modules of the command line that each command needs."""
UNNEEDED = (
    "opentelemetry",
    "pydantic",
    "rich",
    "numpy",
    "pandas",
    "pyarrow",
    "chdb",
    "genai_prices",
    "importlib_metadata",
)

LOADED = """
import sys
from genesis_otel._cli.app import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


def loaded_by(data: Path, *arguments: str) -> set[str]:
    """The modules that a command has loaded in a separate process when it has answered into a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        env={**os.environ, "GENESIS_OTEL_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (("runs",), "queries"),
        (("lineage",), "queries"),
        (("query", "llm_latency"), "queries"),
        (("best", "--code"), "programs"),
    ],
)
def test_a_command_loads_only_itself(arguments: tuple[str, ...], own: str, filled: Path) -> None:
    """Of the commands only the requested one, and in a pipe no table rendering, no emitting side, and no array
    library."""
    loaded = loaded_by(filled, *arguments)
    ours = {name.rpartition(".")[2] for name in loaded if name.startswith("genesis_otel._cli.")}
    assert ours == SHARED | {own}
    assert [name for name in UNNEEDED if name in loaded] == []


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a search, whose store no process serves."""
    data = tmp_path_factory.mktemp("at_rest")
    fill(data / "store", search_spans())
    end_store(data / "store")
    return data


EARLY = """
import sys
from genesis_otel._cli.early import start_store
start_store(sys.argv[1:])
assert not [name for name in ("typer", "clickhouse_connect", "opentelemetry") if name in sys.modules]
from genesis_otel._serve import client
for begun in client._soon.values():
    begun.join()
print(len(client._soon))
"""


@pytest.mark.parametrize(
    ("begins", "arguments", "settings"),
    [
        (True, ("runs", "--limit", "3"), {}),
        (True, ("query", "llm_latency"), {}),
        (False, ("query", "--list"), {}),
        (False, ("runs", "--help"), {}),
        (False, ("--url", "http://db", "runs"), {}),
        (False, ("init",), {}),
        (False, (), {}),
        (False, ("runs",), {"CLICKHOUSE_URL": "http://db.example:8123/genesis"}),
        (False, ("runs",), {"CLICKHOUSE_URL": "nonsense"}),
        (False, ("runs",), {"GENESIS_OTEL_DATA_DIR": "nowhere"}),
    ],
)
def test_a_command_that_asks_starts_the_store_before_it_loads_the_rest(
    tmp_path: Path, at_rest: Path, begins: bool, arguments: tuple[str, ...], settings: dict[str, str]
) -> None:
    """Only one that will ask the embedded store, and only a store that exists."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", EARLY, *arguments],
            env={**os.environ, "GENESIS_OTEL_DATA_DIR": str(at_rest), **settings},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (f"{int(begins)}\n", "")
        assert (client.running(at_rest / "store") is not None) == begins
        assert not (tmp_path / "nowhere").exists()
    finally:
        end_store(at_rest / "store")


def test_the_command_waits_for_the_store_that_it_started(at_rest: Path) -> None:
    """It answers as with a store that is up, and only one process is started."""
    log = at_rest / "store" / LOG
    closed = log.read_text().count("is closed")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "genesis_otel", "runs"],
            env={**os.environ, "GENESIS_OTEL_DATA_DIR": str(at_rest)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and RUN in done.stdout and not done.stderr
    finally:
        end_store(at_rest / "store")
    assert log.read_text().count("is closed") == closed + 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_loaded_alone_is_found(name: str) -> None:
    """Each is found by its name, and its group has only it."""
    alone = typer.main.get_command(application([name]))
    assert isinstance(alone, TyperGroup)
    assert list(alone.commands) == [name]


def test_an_unknown_command_is_compared_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped word is compared with every command, and `--help` lists them all, whatever follows it."""
    assert main(["lineag"]) == 2
    assert "lineage" in capsys.readouterr().err
    assert main(["--help", "runs"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in COMMANDS)
