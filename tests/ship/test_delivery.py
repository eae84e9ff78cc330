"""Delivery when things go wrong around the processor: slow and missing collectors, forks, a full disk, a late end."""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from genesis_otel._ship.delivery.contract import Limits, Outage
from genesis_otel._ship.delivery.drain import PATIENCE, Drain, drain
from genesis_otel._ship.delivery.requeue import dead_letters
from genesis_otel._ship.spool import losses
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel.processor import DurableSpanProcessor
from tests.support.destinations import FAST, Ambiguous, Store, end
from tests.support.otlp_receiver import SLOW, bound, receiving
from tests.support.waiting import until

Make = Callable[..., tuple[Tracer, DurableSpanProcessor]]

FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Creates tracers on durable processors in ``tmp_path``, and shuts them all down at the end."""
    made: list[DurableSpanProcessor] = []

    def tracing(exporter: SpanExporter | None, limits: Limits = FAST) -> tuple[Tracer, DurableSpanProcessor]:
        made.append(DurableSpanProcessor(exporter, tmp_path, limits=limits))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(made[-1])
        return provider.get_tracer("test"), made[-1]

    yield tracing
    for processor in made:
        processor.shutdown()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Limits every file of this process to ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


# --- destinations -----------------------------------------------------------------------------------------------------


def test_a_collector_that_answers_too_late(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The real OTLP exporter, whose requests time out at first: every end() returns before its first request does, and every span arrives."""
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    ended, order = threading.Event(), list[bool]()

    class Late(OTLPSpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            # Were an end() to wait for this, it would be a minute before either returned.
            order.append(ended.wait(60))
            return result

    with receiving([SLOW, SLOW]) as receiver:
        tracer, processor = make(Late(receiver.traces, timeout=1))
        for name in "abcde":
            end(tracer, name)
        assert not order
        ended.set()
        assert processor.force_flush(60_000)
        # A collector that answered, but too late for a client on a busy machine, receives it once more.
        assert set(receiver.names) == set("abcde")


def test_a_collector_that_starts_later(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Spans that end while the connection is refused arrive once a collector listens."""
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    server = bound()
    address = f"http://127.0.0.1:{server.server_port}/v1/traces"
    tracer, processor = make(OTLPSpanExporter(address, timeout=20))
    end(tracer, *"abc")
    assert not processor.force_flush(700)
    with receiving([], server) as receiver:
        assert processor.force_flush(60_000)
        assert sorted(receiver.names) == list("abc")


def test_a_bad_span_that_is_alone_is_found_by_another(make: Make, tmp_path: Path) -> None:
    """A single failing span cannot be told from an outage, so it waits; once a later span is accepted, it can."""
    exporter = Ambiguous()
    tracer, processor = make(exporter)
    end(tracer, "poison")
    until(lambda: exporter.calls >= 20, "twenty attempts")
    assert (spool_status(tmp_path).dead, processor.waiting()) == (0, 1)
    end(tracer, "a")
    assert processor.force_flush(60_000)
    assert set(exporter.names) == {"a"}
    assert [span.name for _, _, span in dead_letters(tmp_path) if span] == ["poison"]


def test_an_outage_while_a_batch_is_split_makes_no_dead_letter(make: Make, tmp_path: Path) -> None:
    """If the destination goes away in the middle of the search for a bad span, no span becomes a dead letter because of that."""

    class Leaving(Ambiguous):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            # It accepts one span while the parts are being tried, and is unreachable again.
            self.away = self.calls != PATIENCE
            return super().export(spans)

    exporter = Leaving()
    tracer, _ = make(None)
    end(tracer, *"abcdefgh")
    draining = Drain(tmp_path, exporter, FAST)
    for _ in range(PATIENCE + 3):
        with pytest.raises(Outage):
            draining.round()
    draining.close()
    assert exporter.names
    assert (spool_status(tmp_path).dead, spool_status(tmp_path).waiting) == (0, 8)


def test_an_exporter_that_raises_is_an_outage(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """An exporter that raises, against its contract, is retried; what is logged contains no password."""

    class Raising(Ambiguous):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            if self.calls < 3:
                self.calls += 1
                raise RuntimeError("no http://user:secret@host")
            return super().export(spans)

    exporter = Raising()
    tracer, processor = make(exporter)
    end(tracer, *"abc")
    assert processor.force_flush(60_000)
    assert sorted(exporter.names) == list("abc")
    assert "spans wait in" in caplog.text
    assert "secret" not in caplog.text


def test_a_span_that_cannot_be_prepared_is_refused(make: Make, tmp_path: Path) -> None:
    """A span that an exporter cannot turn into a row is the only dead letter, and stops no other span."""

    class Picky(Store):
        def prepare(self, spans: Sequence[ReadableSpan]) -> list[str]:
            names = super().prepare(spans)
            if "odd" in names:
                raise KeyError("odd")
            return names

    store = Picky()
    tracer, _ = make(None)
    end(tracer, "a", "b", "odd", "c")
    assert drain(tmp_path, store) == 4
    assert sorted(store.names) == list("abc")
    assert [reason for _, reason, _ in dead_letters(tmp_path)] == ["KeyError: 'odd'"]


def test_the_exporters_own_requests_are_not_traced(make: Make) -> None:
    """An instrumented HTTP client makes no spans for the exporter's requests: each export would cause another."""
    seen: list[object] = []

    class Asking(Ambiguous):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            seen.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
            return super().export(spans)

    tracer, processor = make(Asking())
    end(tracer, "a")
    assert processor.force_flush(60_000)
    assert seen == [True]
    assert get_value(_SUPPRESS_INSTRUMENTATION_KEY) is None


# --- the end ----------------------------------------------------------------------------------------------------------


def test_shutdown_delivers_waiting_spans(make: Make) -> None:
    """Even without a preceding flush, the provider's shutdown delivers the spans that have ended."""
    store = Store()
    tracer, processor = make(store, Limits(flush_interval=3600))
    time.sleep(0.2)  # by now its thread has run once and sleeps for an hour
    end(tracer, *"abc")
    processor.shutdown()
    assert store.names == list("abc")
    assert processor.waiting() == 0


def test_spans_that_end_after_shutdown_are_kept(make: Make, tmp_path: Path) -> None:
    """A span that ends late, in an exit handler, is in the spool for the next drain."""
    store = Store()
    tracer, processor = make(store)
    processor.shutdown()
    end(tracer, "late")
    assert processor.waiting() == 1
    assert drain(tmp_path, store) == 1
    assert store.names == ["late"]


# --- forks ------------------------------------------------------------------------------------------------------------


@FORKS
def test_a_childs_spans_go_out_while_it_lives(make: Make) -> None:
    """Spans that a forked worker ends are delivered promptly by the process that owns the exporter: connections are not shared."""
    store = Store()
    tracer, _ = make(store)
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        end(tracer, "child")
        os.read(wait, 1)
        os._exit(len(store.names))
    until(lambda: store.names, "the delivery of the child's span")
    seen = list(store.names)
    time.sleep(0.2)
    os.write(go, b".")
    assert os.waitpid(child, 0)[1] == 0, "the child has exported something itself"
    os.close(wait)
    os.close(go)
    assert seen == ["child"]


ORPHANS = """
import os, sys, time
from pathlib import Path
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from genesis_otel.processor import DurableSpanProcessor
from genesis_otel._ship.delivery.contract import Limits

class Printing(SpanExporter):
    def export(self, spans):
        os.write(1, "".join(f"{os.getpid()} {span.name}\\n" for span in spans).encode())
        return SpanExportResult.SUCCESS

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(DurableSpanProcessor(Printing(), Path(sys.argv[1]), limits=Limits(flush_interval=0.05)))
tracer = provider.get_tracer("test")
tracer.start_span("parent").end()
assert provider.force_flush(100_000)
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.02)
    tracer.start_span("orphan").end()
    provider.force_flush(100_000)
    os._exit(0)
os.kill(parent, 9)
"""


def test_a_child_whose_parent_is_gone_exports_itself(tmp_path: Path) -> None:
    """If the process with the exporter is killed, a surviving child delivers the spans it ends."""
    seen = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ORPHANS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    by_name = {line.split()[1]: line.split()[0] for line in seen.stdout.splitlines()}
    assert by_name.keys() == {"parent", "orphan"}, seen.stderr
    assert len(seen.stdout.splitlines()) == 2
    assert by_name["parent"] != by_name["orphan"]


FORK_BEFORE_POOL = """
import os, sys
from pathlib import Path
from genesis_otel.processor import DurableSpanProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
provider.add_span_processor(DurableSpanProcessor(None, Path(sys.argv[1])))
import concurrent.futures.thread  # as any library may, at any time
child = os.fork()
if child == 0:
    provider.get_tracer("test").start_span("child").end()
    os._exit(0)
os._exit(os.waitpid(child, 0)[1])
"""


def test_a_fork_of_a_bare_provider_does_not_hang(tmp_path: Path) -> None:
    """The SDK's own fork handler starts a thread pool in the child, which hangs if the pool's module was loaded after it."""
    with subprocess.Popen([sys.executable, "-c", FORK_BEFORE_POOL, str(tmp_path)], start_new_session=True) as forking:
        try:
            assert forking.wait(120) == 0
        finally:
            if forking.poll() is None:
                os.killpg(forking.pid, signal.SIGKILL)
    assert spool_status(tmp_path).waiting == 1


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_a_disk_that_stays_full(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond 16 MiB in memory spans are dropped: each is counted, although there is no room to store the count, in few log lines."""
    tracer, _ = make(None)
    with full_disk(0):
        for _ in range(20):
            tracer.start_span("big", attributes={"x": "y" * (1 << 20)}).end()
        assert spool_status(tmp_path).waiting == 0
        assert spool_status(tmp_path).dropped == 5
    time.sleep(1.1)
    end(tracer, "again")
    assert (spool_status(tmp_path).waiting, spool_status(tmp_path).dropped) == (16, 5)
    losses._forked()  # forget what is in memory only
    assert spool_status(tmp_path).dropped == 5
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 2


def test_a_full_disk_is_drained(make: Make, tmp_path: Path) -> None:
    """If there is no room to record what was taken, the spool is drained all the same: that makes room."""
    tracer, processor = make(None, Limits(segment_bytes=1000))
    end(tracer, *"abcdefgh")
    store = Store()
    with full_disk(0):
        assert drain(tmp_path, store, Limits(max_rows=3)) == 8
    assert store.names == list("abcdefgh")
    assert len(list(tmp_path.glob("q2-*/*.seg"))) == 1, "the file that is written to"
    assert processor.waiting() <= 8


def test_short_processes_stay_within_the_limit_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The limit also covers processes that end long before they fill a segment: the oldest segments are deleted, counted and logged."""
    limits = Limits(spool_bytes=20_000)
    for number in range(40):
        processor = DurableSpanProcessor(None, tmp_path, limits=limits)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        provider.get_tracer("t").start_span(f"{number:02d}", attributes={"x": "y" * 1000}).end()
        provider.shutdown()
    status = spool_status(tmp_path)
    assert status.bytes <= 22_000
    assert status.waiting + status.dropped == 40
    assert status.dropped > 0
    said = re.findall(r"(\d+) spans were dropped from .* over its limit", caplog.text)
    assert sum(map(int, said)) == status.dropped
    store = Store()
    drain(tmp_path, store)
    assert "39" in store.names
    assert "00" not in store.names
