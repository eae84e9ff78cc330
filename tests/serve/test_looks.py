"""A reader sees what had been spooled when it asked, however long the store process pauses."""

from __future__ import annotations

import contextlib
from pathlib import Path

from genesis_otel import configuration, spans
from genesis_otel._serve import client as store_process
from genesis_otel._serve.looks import Looks
from tests.support.pipeline import pausing
from tests.support.waiting import until


def test_a_reader_sees_spans_that_ended_before_its_question(tmp_path: Path) -> None:
    """Without a flush, and with a pause longer than any wait, the reader's question itself empties the spool."""
    folder = tmp_path / "store"
    with pausing(folder):
        telemetry = configuration.configure(clickhouse_url=f"chdb://{folder}", data_dir=tmp_path / "data", quiet=True)
        try:
            spans.run("t", run_id="r").end()
            with contextlib.closing(store_process.open_store(folder)) as client:

                def found() -> bool:
                    return client.query("SELECT run_id FROM evolution_runs").result_rows == [("r",)]

                # Not with the first question: on a busy machine the insert may take longer than a reader waits.
                until(found, "the run can be read")
        finally:
            telemetry.shutdown()


def test_a_reader_waits_for_a_look_that_begins_after_its_question() -> None:
    """A look in progress may already have passed the reader's spans, so the next one is requested. Soon after a look,
    nothing waits."""
    rung = []

    def ring() -> None:
        rung.append(True)
        with looks.one():
            pass

    looks = Looks(ring)
    looks.wait()
    assert rung == [True]
    looks.wait()
    assert rung == [True]


def test_a_reader_does_not_wait_forever() -> None:
    """If the store process does not look, the reader goes on with what is there."""
    Looks(lambda: None).wait()
