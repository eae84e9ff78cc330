"""Stores for the commands to read, and the command run in the test's process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genesis_otel._cli.app import main
from tests.support.command import Run
from tests.support.environment import take_settings_out
from tests.support.searched import (
    GOING_ON,
    LATER,
    end_store,
    fill,
    search_spans,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose store holds a search that ended and one that is still running."""
    data = tmp_path_factory.mktemp("filled")
    fill(data / "store", search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    yield data
    end_store(data / "store")


@pytest.fixture
def empty(on_the_filled_store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder for the commands of this test."""
    data = tmp_path / "data"
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(data))
    yield data
    end_store(data / "store")


@pytest.fixture
def on_the_filled_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filled: Path) -> None:
    """The test starts in an empty folder, without the settings of whoever runs it, on the filled store."""
    take_settings_out(monkeypatch)
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(filled))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TERM", "xterm-256color")
    time.tzset()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: exit code, standard output, standard error."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return ran
