"""The bell: a process that waits for its spans is not held up by a pause of the store process."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from genesis_otel import configuration, spans
from genesis_otel._serve import bell
from tests.support.pipeline import pausing


def test_a_waiting_process_has_its_spans_delivered_at_once(tmp_path: Path) -> None:
    """A process that flushes rings; the store process does not sleep out its pause. The pause here is longer than any wait."""
    folder = tmp_path / "store"
    with pausing(folder) as owner:
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


def test_a_store_process_that_is_still_starting_is_rung_when_it_is_there(tmp_path: Path) -> None:
    """The first short script of a new store: its one ring would be heard by nobody, and it would wait out its exit timeout."""
    folder, gate = tmp_path / "store", tmp_path / "gate"
    with pausing(folder, gate):
        telemetry = configuration.configure(clickhouse_url=f"chdb://{folder}", data_dir=tmp_path / "data", quiet=True)
        try:
            spans.run("t").end()
            assert not telemetry.flush(0)
            with ThreadPoolExecutor(1) as waiting:
                delivered = waiting.submit(telemetry.flush, 60)
                time.sleep(1)  # it has rung for the first time
                gate.touch()
                assert delivered.result()
        finally:
            telemetry.shutdown()


def test_ringing_without_a_listener_does_nothing(tmp_path: Path) -> None:
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
