"""The bell: a process that waits for its spans is not held up by a pause of the store process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from genesis_otel import configuration, spans
from genesis_otel._serve import bell
from genesis_otel._serve import client as store_process
from tests.support.pipeline import until


def test_who_waits_for_its_spans_has_them_looked_for_at_once(tmp_path: Path) -> None:
    """A process that flushes rings; the store process does not sleep out its pause. The pause here is longer than any wait."""
    folder = tmp_path / "store"
    code = (
        "import sys, pathlib; from genesis_otel._serve import process; process.PAUSE = process.STEADY_PAUSE = 3600.0;"
        "process.serve(pathlib.Path(sys.argv[1]), idle_timeout=None)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(folder)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: store_process.running(folder) is not None, "the store process answers")
        telemetry = configuration.configure(clickhouse_url=f"chdb://{folder}", data_dir=tmp_path / "data", quiet=True)
        try:
            spans.run("t").end()
            assert telemetry.flush(60)
        finally:
            telemetry.shutdown()
        owner.terminate()
        # When told to end, it does not sleep either.
        assert owner.wait(60) == 0
        assert not (folder / bell.PIPE).exists()
    finally:
        owner.kill()
        owner.wait()


def test_ringing_where_nobody_listens_does_nothing(tmp_path: Path) -> None:
    """No folder, no pipe, a pipe that a killed process left, a file in its place: nothing is raised, waited for or created."""
    bell.ring(tmp_path / "nowhere")
    bell.ring(tmp_path)
    assert list(tmp_path.iterdir()) == []
    os.mkfifo(tmp_path / bell.PIPE)
    bell.ring(tmp_path)
    with bell.hung(tmp_path) as hung:
        for _ in range(100_000):
            hung.ring()
        bell.ring(tmp_path)
        hung.wait(3600)
        hung.wait(0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_pipes_has_a_bell_for_signals(tmp_path: Path) -> None:
    """If no named pipe can be created, the process is still woken by itself."""
    with bell.hung(tmp_path / "not there") as hung:
        hung.ring()
        hung.wait(3600)
