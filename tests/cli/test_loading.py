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
