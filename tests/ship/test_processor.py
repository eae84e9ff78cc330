"""The durable processor: every ended span arrives, once, whatever the destination does in the meantime."""

from __future__ import annotations

import enum
import logging
import os
import pickle
import resource
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer, TraceState

from genesis_otel._ship.delivery.contract import Limits, Outage
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.delivery.requeue import dead_letters, requeue
from genesis_otel._ship.encoding.codec import decode, encode
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel.processor import DurableSpanProcessor
from tests.support.destinations import FAST, Ambiguous, Store, end
from tests.support.otlp_receiver import LOST, receiving
from tests.support.waiting import until


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Any]:
    """Makes tracers on durable processors in ``tmp_path``, and shuts them all down at the end."""
    made: list[DurableSpanProcessor] = []

    def make(exporter: SpanExporter | None, limits: Limits = FAST) -> tuple[Tracer, DurableSpanProcessor]:
        processor = DurableSpanProcessor(exporter, tmp_path, limits=limits)
        made.append(processor)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        return provider.get_tracer("test"), processor

    yield make
    for processor in made:
        processor.shutdown()


class Color(str, enum.Enum):
    RED = "red"


def test_a_span_comes_back_as_it_was(tmp_path: Path) -> None:
    """Encoding and decoding lose nothing that an exporter sees: ids, clocks, every kind of value, events, links, resource."""
    kept = InMemorySpanExporter()
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": "s", "list": (1, 2)}, "https://schema"))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("scope", "1.2", "https://scope", {"a": 1})
    values: dict[str, Any] = {
        "text": "☃",
        "none": None,
        "int": 2**100,
        "float": 1e-300,
        "bool": True,
        "bytes": b"\x00",
        "list": [1, None, "x", [2.5]],
        "map": {"a": {"b": (1,)}},
        "numpy": numpy.float64(0.5),
        "enum": Color.RED,
        "numpy text": numpy.str_("n"),
        "numpys": [numpy.float64(1), Color.RED],
    }
    link = Link(SpanContext(7, 8, True, TraceFlags(1), TraceState([("k", "v")])), {"l": 1})
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span("name", attributes=values, links=[link], kind=SpanKind.CLIENT, start_time=5)
        span.add_event("event", values, timestamp=6)
        span.set_status(StatusCode.ERROR, "why")
        span.end(9)
    before = kept.get_finished_spans()[0]
    after = decode(encode(before))
    assert (after.name, after.start_time, after.end_time) == ("name", 5, 9)
    assert after.events[0].name == "event"
    assert after.events[0].timestamp == 6
    assert dict(after.events[0].attributes or {}) == dict(before.events[0].attributes or {})
    assert after.context == before.context
    assert after.parent == before.parent
    assert after.resource == before.resource
    assert after.instrumentation_scope == before.instrumentation_scope
    assert dict(after.attributes or {}) == dict(before.attributes or {})
    assert after.kind is SpanKind.CLIENT
    assert after.status.status_code is StatusCode.ERROR
    assert [(each.context, dict(each.attributes or {})) for each in after.links] == [(link.context, {"l": 1})]
    assert [type(value) for value in (after.attributes or {}).values()][-4:-1] == [float, str, str]


def test_lone_surrogates_become_text() -> None:
    """What UTF-8 cannot say comes back as its escape, wherever it stood, so that no exporter stumbles over it."""
    provider = TracerProvider(resource=Resource({"r": "\ud800"}))
    kept = InMemorySpanExporter()
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider.add_span_processor(SimpleSpanProcessor(kept))
    span = provider.get_tracer("\udc80").start_span("n\udfff", attributes={"k\ud800": ["☃\ud800"]})
    span.add_event("e\ud800", {"a": "\ud800"})
    span.end()
    after = decode(encode(kept.get_finished_spans()[0]))
    after.to_json().encode()
    assert after.name == "n\\udfff"
    assert dict(after.attributes or {}) == {"k\\ud800": ("☃\\ud800",)}


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize("record", [b"", b"x", pickle.dumps(Attack()), pickle.dumps((1, 2)), pickle.dumps(["\udc80"])])
def test_what_is_no_span_is_refused(record: bytes) -> None:
    """A spool runs no code: bytes that name a class or are not a span raise ValueError."""
    with pytest.raises(ValueError, match="not a span"):
        decode(record)


def test_a_span_is_on_disk_when_end_returns(durable: Any, tmp_path: Path) -> None:
    """Without an exporter and without any thread, ended spans are in the spool."""
    tracer, processor = durable(None)
    # Not their number: one that an earlier test has left may end meanwhile.
    before = set(threading.enumerate())
    end(tracer, *"abc")
    assert spool_status(tmp_path).waiting == processor.waiting() == 3
    assert set(threading.enumerate()) <= before
    store = Store()
    assert drain(tmp_path, store) == 3
    assert store.names == list("abc")
    assert processor.waiting() == 0


def test_spans_arrive_in_order_and_once(durable: Any) -> None:
    """From several threads, in small batches: every span arrives, once, and each thread's in its order."""
    store = Store()
    tracer, processor = durable(store, Limits(max_rows=50, flush_interval=0.01))
    threads = [
        threading.Thread(target=lambda at=at: end(tracer, *(f"{at}-{number:04d}" for number in range(500))))
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert processor.force_flush(60_000)
    assert sorted(store.names) == sorted(f"{at}-{number:04d}" for at in range(4) for number in range(500))
    for at in range(4):
        own = [name for name in store.names if name.startswith(f"{at}-")]
        assert own == sorted(own)


def test_an_outage_loses_nothing_and_blocks_nobody(
    durable: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the store is unreachable, spans wait, force_flush returns within its timeout, and one line is logged; then all arrive, once."""
    store = Store()
    store.away = True
    tracer, processor = durable(store)
    end(tracer, *(f"{number:03d}" for number in range(100)))
    assert not processor.force_flush(200)
    assert processor.waiting() == 100
    until(lambda: store.calls > 1, "another attempt")
    assert caplog.text.count("spans wait in") == 1
    store.away = False
    assert processor.force_flush(60_000)
    assert store.names == [f"{number:03d}" for number in range(100)]


def test_an_exporter_that_hangs_is_not_waited_for(durable: Any) -> None:
    """Neither end(), nor force_flush, nor shutdown waits for an exporter that never returns beyond its bound."""

    answer = threading.Event()
    waited: list[bool] = []

    class Hanging(Store):
        def send(self, names: list[str]) -> None:
            waited.append(answer.wait(120))

    tracer, processor = durable(Hanging())
    end(tracer, *"abc")
    assert not processor.force_flush(300)
    end(tracer, "d")
    processor.shutdown()
    assert not waited, "the exporter has returned before those who do not wait for it"
    assert processor.waiting() == 4
    answer.set()


def test_a_refused_span_is_isolated(durable: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A batch that is refused for one span is halved until that span is a dead letter; the rest is in, and it can be requeued."""
    store = Store()
    store.refuses = "poison"
    tracer, _ = durable(None)
    names = [f"{number:02d}" for number in range(40)]
    end(tracer, *names[:17], "poison", *names[17:])
    assert drain(tmp_path, store) == 41
    assert sorted(store.names) == names
    assert spool_status(tmp_path).dead == 1
    ((_, reason, span),) = dead_letters(tmp_path)
    assert span is not None
    assert (reason, span.name) == ("Code: 6, CANNOT_PARSE_TEXT", "poison")
    assert "spans refused for their content: 1;" in caplog.text
    assert "CANNOT_PARSE_TEXT" not in caplog.text, "a reason may quote a prompt"
    store.refuses = ""
    assert requeue(tmp_path, FAST) == 1
    drain(tmp_path, store)
    assert store.names.count("poison") == 1
    assert spool_status(tmp_path).dead == 0


def test_an_unreadable_record_is_a_dead_letter(durable: Any, tmp_path: Path) -> None:
    """A record that is not a span does not stop the ones around it."""
    tracer, processor = durable(None)
    end(tracer, "a")
    processor._writer.append(b"what is this")
    end(tracer, "b")
    store = Store()
    drain(tmp_path, store)
    assert store.names == ["a", "b"]
    assert [span for _, _, span in dead_letters(tmp_path)] == [None]


def test_an_exporter_without_reasons_loses_nothing_in_an_outage(durable: Any, tmp_path: Path) -> None:
    """However long everything fails, nothing becomes a dead letter; then all arrives."""
    exporter = Ambiguous()
    exporter.away = True
    tracer, processor = durable(exporter)
    end(tracer, *"abcdefgh")
    until(lambda: exporter.calls >= 60, "sixty attempts")
    assert (spool_status(tmp_path).dead, processor.waiting()) == (0, 8)
    exporter.away = False
    assert processor.force_flush(60_000)
    assert sorted(exporter.names) == list("abcdefgh")


@pytest.mark.parametrize("at", [0, 3, 7])
def test_an_exporter_without_reasons_isolates_a_bad_span(at: int, durable: Any, tmp_path: Path) -> None:
    """Wherever the bad span is, after a number of failures the others are delivered, one of them twice, and only the
    bad one becomes a dead letter."""
    exporter = Ambiguous()
    tracer, processor = durable(exporter)
    names = list("abcdefg")
    names.insert(at, "poison")
    end(tracer, *names)
    assert processor.force_flush(60_000)
    assert set(exporter.names) == set("abcdefg")
    assert len(exporter.names) <= 7 + 2, "what has proved that the destination is there went once more"
    assert [span.name for _, _, span in dead_letters(tmp_path) if span] == ["poison"]


@pytest.mark.parametrize("answers", [[], [500, 500], [400] * 3, [503, LOST]], ids=["well", "500", "400", "ack lost"])
def test_through_opentelemetrys_own_exporter(
    answers: list[int], durable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The real OTLP exporter behind the processor: every span arrives whatever the answers; only a lost acknowledgement
    sends spans twice."""
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    with receiving(answers) as receiver:
        exporter = OTLPSpanExporter(receiver.traces, timeout=60)
        try:
            tracer, processor = durable(exporter)
            end(tracer, *"abcde")
            assert processor.force_flush(60_000)
            # Duplicates are as many as were in the batch whose acknowledgement was lost.
            times = Counter(receiver.names)
            assert sorted(times) == list("abcde")
            assert max(times.values()) == (2 if LOST in answers else 1)
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]


def test_a_forked_child_spools_for_itself(durable: Any, tmp_path: Path) -> None:
    """A child that exits without exit handlers leaves its spans in the folder; the parent delivers them and its own, once."""
    store = Store()
    tracer, _ = durable(store)
    end(tracer, "parent-1")
    for number in range(3):
        child = os.fork()
        if child == 0:
            end(tracer, f"child-{number}")
            os._exit(0)
        os.waitpid(child, 0)
    end(tracer, "parent-2")
    until(lambda: len(store.names) >= 5, "the delivery")
    assert sorted(store.names) == ["child-0", "child-1", "child-2", "parent-1", "parent-2"]


def test_a_child_forked_while_spans_end_does_not_hang(durable: Any) -> None:
    """A fork during another thread's work gives the child fresh locks."""
    tracer, _ = durable(Store())
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            end(tracer, "busy")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                end(tracer, "child")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_a_full_disk_is_survived(durable: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing can be written, spans stay in memory, and none is lost once there is room again; it is logged once."""
    tracer, processor = durable(None)
    end(tracer, "a")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        end(tracer, "b", "c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert processor.waiting() == 3
    end(tracer, "d")
    store = Store()
    drain(tmp_path, store)
    assert store.names == list("abcd")
    assert caplog.text.count("cannot be written") == 1
    assert spool_status(tmp_path).dropped == 0


def test_an_unwritable_folder_never_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If no folder is available, the search continues, and spans that do not fit in memory are counted in the log."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    processor = DurableSpanProcessor(None, blocked / "spool", limits=FAST)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("test")
    tracer.start_span("big", attributes={"x": "y" * (17 << 20)}).end()
    end(tracer, "a")
    processor.shutdown()
    assert "1 spans were dropped" in caplog.text


def test_spans_that_are_not_sampled_are_not_kept(tmp_path: Path) -> None:
    """A span that the sampler drops is not recorded."""
    processor = DurableSpanProcessor(None, tmp_path)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    end(provider.get_tracer("test"), "a")
    assert processor.waiting() == 0
    processor.shutdown()


def test_drain_reports_an_unreachable_store(durable: Any, tmp_path: Path) -> None:
    """A manual drain raises Outage, and leaves everything where it is."""
    tracer, processor = durable(None)
    end(tracer, "a")
    store = Store()
    store.away = True
    with pytest.raises(Outage, match="ConnectionError: away"):
        drain(tmp_path, store)
    assert processor.waiting() == 1
