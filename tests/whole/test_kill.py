"""Kill -9 of a search and its forked workers at random moments: spans that had ended are stored, once."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect

MOMENTS = 20

SEARCH = """
import os, sys
from pathlib import Path
from opentelemetry.sdk.trace import TracerProvider
from genesis_otel import attributes
from genesis_otel._ship.encoding import rows
from genesis_otel._ship.id_generator import DerivedIdGenerator
from genesis_otel.processor import DurableSpanProcessor

provider = TracerProvider(id_generator=DerivedIdGenerator(), shutdown_on_exit=False)
encode = rows.encode if "rows" in sys.argv else None
provider.add_span_processor(DurableSpanProcessor(None, Path(sys.argv[1]), encode=encode))
tracer = provider.get_tracer("search")

def work():
    while True:
        span = tracer.start_span("individual", attributes={attributes.RECORD: "individual", attributes.INDIVIDUAL_ID: "x" * 500})
        span.end()
        # Only now is it promised. One write of a pipe is whole, up to 4096 bytes.
        os.write(1, b"%016x\\n" % span.get_span_context().span_id)

tracer.start_span("before the fork").end()
for _ in range(2):
    if os.fork() == 0:
        work()
work()
"""


def test_ended_spans_are_stored_once(tmp_path: Path, store: Client, connect: Connect) -> None:
    """A search with two workers is killed twenty times; after a drain every span whose end() had returned is stored,
    once, whether it was spooled as rows or pickled (as by other searches into the same folder)."""
    chance = random.Random(20)
    promised: list[str] = []
    for moment in range(MOMENTS):
        with subprocess.Popen(
            [sys.executable, "-c", SEARCH, str(tmp_path), ("rows", "pickles")[moment % 2]],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as search:
            assert search.stdout is not None
            seen = read_for(search.stdout.fileno(), until=b"\n", seconds=120)
            assert seen
            seen += read_for(search.stdout.fileno(), seconds=chance.uniform(0, 0.15))
            os.killpg(search.pid, signal.SIGKILL)
            search.wait()
            seen += search.stdout.read()
        promised += [line.decode() for line in seen.split(b"\n")[:-1]]
    assert len(promised) >= MOMENTS
    exporter = ClickHouseSpanExporter(connect)
    drain(tmp_path, exporter)
    stored = [row[0] for row in store.query("SELECT span_id FROM individuals").result_rows]
    assert len(stored) == len(set(stored))
    assert set(promised) <= set(stored)
    # A span may have ended without its line having been printed: at most one per process.
    assert len(stored) - len(promised) <= 3 * MOMENTS
    assert spool_status(tmp_path) == (0, 0, 0, 0, 0, 0, 0.0)


DRAINER = """
import sys, time
from pathlib import Path
from opentelemetry.sdk.trace.export import SpanExporter
from genesis_otel._ship.encoding import codec
from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.encoding.records import as_span

class Slow(SpanExporter):
    encode, read = staticmethod(codec.encode), staticmethod(as_span)

    def prepare(self, spans):
        return spans

    def send(self, spans):
        with open(sys.argv[2], "a") as file:
            file.write(" ".join(f"{span.context.span_id:016x}" for span in spans) + "\\n")
        print("sent", flush=True)
        time.sleep(0.02)

drain(Path(sys.argv[1]), Slow(), Limits(max_rows=10))
"""


def test_a_drain_that_is_killed_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    """If it is killed between delivery and recording that, a drain sends exactly the same batch again, with the same
    deduplication token."""
    spool, log = tmp_path / "spool", tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(spool)], stdout=subprocess.PIPE, start_new_session=True
    ) as search:
        assert search.stdout is not None
        assert read_for(search.stdout.fileno(), until=b"\n", seconds=120)
        read_for(search.stdout.fileno(), seconds=0.1)
        os.killpg(search.pid, signal.SIGKILL)
        search.wait()
    chance = random.Random(4)
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", DRAINER, str(spool), str(log)], stdout=subprocess.PIPE) as drainer:
            assert drainer.stdout is not None
            drainer.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            drainer.kill()
    subprocess.run([sys.executable, "-c", DRAINER, str(spool), str(log)], stdout=subprocess.DEVNULL, check=True)
    batches = log.read_text().splitlines()
    distinct = set(batches)
    assert len(batches) - len(distinct) <= 6
    spans = [span for batch in distinct for span in batch.split()]
    assert len(spans) == len(set(spans)), "no two batches share a span"
    assert spool_status(spool).waiting == 0


def read_for(file: int, *, seconds: float, until: bytes | None = None) -> bytes:
    """Read from a pipe for ``seconds``, or until ``until`` appears."""
    deadline, seen = time.monotonic() + seconds, b""
    while (left := deadline - time.monotonic()) > 0 and not (until and until in seen):
        if select.select([file], [], [], left)[0]:
            piece = os.read(file, 65536)
            if not piece:
                break
            seen += piece
    return seen
