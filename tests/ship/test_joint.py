"""Small batches of several queues are sent as one, and nothing is lost or stored twice, whenever their process is killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._ship.delivery.contract import Limits, Outage
from genesis_otel._ship.delivery.drain import Drain
from genesis_otel._ship.delivery.insert import InsertExporter, Prepared
from genesis_otel._ship.spool import dead_letters, joint, layout
from genesis_otel._ship.spool.queue import Batch, Queue, take
from genesis_otel._ship.spool.status import status
from tests.support.destinations import Store, spooled

TOGETHER = Limits(together=True)


class Blocks(Store):
    """Remembers what it was sent, accepted or not."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[str]] = []

    def send(self, names: list[str]) -> None:
        self.sent.append(names)
        super().send(names)


@contextmanager
def draining(folder: Path, exporter: Store | InsertExporter) -> Iterator[Drain]:
    """A drain that lets go of its queues at the end, as if its process had died."""
    drain = Drain(folder, exporter, TOGETHER)
    try:
        yield drain
    finally:
        drain.close()


@contextmanager
def in_flight(folder: Path) -> Iterator[list[joint.Part]]:
    """The batches that go together."""
    queues = [queue for name in layout.queues(folder) if (queue := take(folder, name)) is not None]
    try:
        yield joint.gather(folder, queues, rows=1000, size=1 << 20)
    finally:
        for queue in queues:
            queue.release()


class Killed(Queue):
    """A queue whose process is killed as it is about to take off a batch."""

    def done(self, batch: Batch) -> None:
        raise KeyboardInterrupt


def test_queues_are_delivered_in_one_block(tmp_path: Path) -> None:
    """What waits in three queues is sent at once, in the order of the queues, and nothing is left of them."""
    for names in ("ab", "c", "def"):
        spooled(tmp_path, *names)
    store = Blocks()
    with draining(tmp_path, store) as drain:
        assert drain.round() == 6
    assert [sorted(block) for block in store.sent] == [list("abcdef")]
    assert all("".join(names) in "".join(store.names) for names in ("ab", "c", "def"))
    assert not layout.queues(tmp_path)
    assert not (tmp_path / joint.JOINT).exists()


def test_without_being_told_to_queues_are_delivered_one_by_one(tmp_path: Path) -> None:
    """Where several processes may drain a folder, each queue is a block of its own."""
    for names in ("ab", "c"):
        spooled(tmp_path, *names)
    store = Blocks()
    drain = Drain(tmp_path, store, Limits())
    drain.round()
    drain.close()
    assert sorted(store.sent) == [["a", "b"], ["c"]]


def test_a_large_batch_takes_no_more_queues(tmp_path: Path) -> None:
    """Once the batches together are as large as one may be, the remaining queues wait for the next block."""
    for names in ("ab", "cd", "ef"):
        spooled(tmp_path, *names)
    store = Blocks()
    drain = Drain(tmp_path, store, Limits(together=True, max_rows=3))
    drain.round()
    drain.close()
    assert [len(block) for block in store.sent] == [4, 2]
    assert sorted(store.names) == list("abcdef")


def test_after_an_outage_the_same_block_is_sent(tmp_path: Path) -> None:
    """A block that was not accepted is sent again unchanged, by this process and by the one after it, whatever has been
    spooled meanwhile; the rest follows."""
    spooled(tmp_path, *"ab")
    spooled(tmp_path, *"cd")
    store = Blocks()
    store.away = True
    for new in "ef":
        with draining(tmp_path, store) as drain:
            for _ in range(2):
                with pytest.raises(Outage):
                    drain.round()
        spooled(tmp_path, new)
    store.away = False
    with draining(tmp_path, store) as drain:
        drain.round()
        drain.round()
    first, *others = store.sent
    assert others[:4] == [first] * 4
    assert sorted(first) == list("abcd")
    assert sorted(store.names) == list("abcdef")


@pytest.mark.parametrize("survivors", [0, 1])
def test_killed_after_the_confirmation_nothing_is_sent_again(tmp_path: Path, survivors: int) -> None:
    """A process that is killed between the confirmation of a block and the last of its queues has delivered them all."""
    spooled(tmp_path, *"ab")
    spooled(tmp_path, *"cd")
    with in_flight(tmp_path) as parts:
        assert len(parts) == 2
        parts[survivors][0].__class__ = Killed
        with pytest.raises(KeyboardInterrupt):
            joint.done(tmp_path, parts)
        parts[survivors][0].__class__ = Queue
    store = Blocks()
    with draining(tmp_path, store) as drain:
        drain.round()
    assert store.sent == []
    assert status(tmp_path).waiting == 0
    assert not (tmp_path / joint.JOINT).exists()


def test_a_queue_that_is_gone_takes_no_other_with_it(tmp_path: Path) -> None:
    """If somebody removes one of the queues of a block that was not confirmed, the others are delivered."""
    for names in ("ab", "cd", "ef"):
        spooled(tmp_path, *names)
    with in_flight(tmp_path) as parts:
        gone = parts[1][0].name
    shutil.rmtree(tmp_path / gone)
    store = Blocks()
    with draining(tmp_path, store) as drain:
        drain.round()
    assert len(store.names) == len(set(store.names)) == 4
    assert not (tmp_path / joint.JOINT).exists()


def test_a_batch_that_was_in_flight_alone_is_sent_alone(tmp_path: Path) -> None:
    """A batch that an earlier process had begun to send is sent again as it was; the other queues go together."""
    spooled(tmp_path, *"ab")
    (name,) = layout.queues(tmp_path)
    queue = take(tmp_path, name)
    assert queue is not None
    assert queue.next(1, 1 << 20)
    queue.release()
    spooled(tmp_path, *"cd")
    spooled(tmp_path, *"ef")
    store = Blocks()
    with draining(tmp_path, store) as drain:
        drain.round()
    assert [sorted(block) for block in store.sent] == [list("cdef"), ["a"], ["b"]]


@pytest.mark.parametrize(
    "told", ["", "{", "[]", '{"positions": 1, "arrived": 0}', json.dumps({"positions": {"x": [1]}})]
)
def test_a_damaged_note_loses_nothing(told: str, tmp_path: Path) -> None:
    """If the file that notes what is in flight together is damaged, everything is delivered all the same."""
    spooled(tmp_path, *"ab")
    spooled(tmp_path, *"cd")
    with in_flight(tmp_path) as parts:
        assert parts
    (tmp_path / joint.JOINT).write_text(told)
    store = Blocks()
    with draining(tmp_path, store) as drain:
        drain.round()
    assert sorted(store.names) == list("abcd")
    assert not (tmp_path / joint.JOINT).exists()


def test_a_note_that_cannot_be_written_holds_up_nothing(tmp_path: Path) -> None:
    """If the disk takes no note, each queue is delivered by itself."""
    spooled(tmp_path, *"ab")
    spooled(tmp_path, *"cd")
    (tmp_path / f"{joint.JOINT}.new").mkdir()
    store = Blocks()
    with draining(tmp_path, store) as drain:
        assert drain.round() == 4
    assert sorted(store.sent) == [["a", "b"], ["c", "d"]]


def test_a_refused_span_is_found_among_several_queues(tmp_path: Path) -> None:
    """Of a block that is refused for the content of one span, only that span becomes a dead letter."""
    for names in ("ab", "cd", "ef"):
        spooled(tmp_path, *names)
    store = Blocks()
    store.refuses = "d"
    with draining(tmp_path, store) as drain:
        drain.round()
    assert sorted(store.names) == list("abcef")
    assert sum(1 for _ in dead_letters.files(tmp_path)) == 1
    assert not layout.queues(tmp_path)


def test_a_block_whose_acknowledgement_is_lost_is_stored_once(tmp_path: Path, connect: Callable[[], Client]) -> None:
    """A block that the engine had stored when its process died is sent again by the next one, and the engine knows it."""

    class Dies(InsertExporter):
        def send(self, prepared: Prepared) -> None:
            super().send(prepared)
            raise ConnectionError("killed")

    spooled(tmp_path, *"ab")
    spooled(tmp_path, *"cd")
    first = Dies(connect)
    with draining(tmp_path, first) as drain, pytest.raises(Outage):
        drain.round()
    first.shutdown()
    spooled(tmp_path, *"e")
    second = InsertExporter(connect)
    with draining(tmp_path, second) as drain:
        drain.round()
        assert status(tmp_path).waiting == 0
    second.shutdown()
    rows: Sequence[Sequence[object]] = connect().query("SELECT SpanName FROM otel_traces").result_rows
    assert sorted(str(name) for (name,) in rows) == list("abcde")
