"""The spool: records that were appended come out, once, in order, whatever happens to processes and disk."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.delivery.requeue import requeue
from genesis_otel._ship.spool import account, dead_letters, layout, limit, losses
from genesis_otel._ship.spool.queue import Queue, take
from genesis_otel._ship.spool.status import status
from genesis_otel._ship.spool.turn import Turn
from genesis_otel._ship.spool.writer import Writer


def writer(folder: Path, *, segment_bytes: int = 1 << 20, spool_bytes: int = 1 << 30) -> Writer:
    return Writer(folder, segment_bytes=segment_bytes, spool_bytes=spool_bytes)


def only_queue(folder: Path) -> Queue:
    """The only queue of a folder."""
    (name,) = layout.queues(folder)
    queue = take(folder, name)
    assert queue is not None
    return queue


def everything(folder: Path, *, rows: int = 7, size: int = 100) -> list[bytes]:
    """Drain a folder in small batches."""
    found: list[bytes] = []
    for name in layout.queues(folder):
        queue = take(folder, name)
        assert queue is not None
        while batch := queue.next(rows, size):
            assert len(batch.records) <= rows
            found += batch.records
            queue.done(batch)
        queue.release()
    return found


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.binary(max_size=300), max_size=40),
    segment=st.integers(1, 500),
    rows=st.integers(1, 10),
    size=st.integers(1, 400),
    living=st.booleans(),
)
def test_records_that_go_in_come_out(
    records: list[bytes], segment: int, rows: int, size: int, living: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any records, in segments and batches of any size, from a living or a dead writer, come out once and in order."""
    folder = tmp_path_factory.mktemp("spool")
    source = writer(folder, segment_bytes=segment)
    for record in records:
        source.append(record)
    assert status(folder).waiting == len(records)
    if not living:
        source.close()
    assert everything(folder, rows=rows, size=size) == records
    assert status(folder).waiting == 0
    if living:
        source.append(b"later")
        source.close()
        assert everything(folder) == [b"later"]
    assert list(folder.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.binary(min_size=1, max_size=50), min_size=2, max_size=20, unique=True),
    at=st.floats(0, 0.999),
    flip=st.integers(1, 255),
)
def test_damage_costs_only_the_damaged_record(
    records: list[bytes], at: float, flip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One flipped byte loses at most the record it is in, and the loss is counted."""
    folder = tmp_path_factory.mktemp("spool")
    source = writer(folder)
    for record in records:
        source.append(record)
    source.close()
    (segment,) = folder.glob("q2-*/*.seg")
    data = bytearray(segment.read_bytes())
    data[int(len(data) * at)] ^= flip
    segment.write_bytes(data)
    found = everything(folder, rows=3, size=120)
    remaining = iter(records)
    assert all(record in remaining for record in found), "order is kept"
    assert len(found) >= len(records) - 1
    assert status(folder).dropped == len(records) - len(found)


def test_half_a_record_of_a_dead_process_is_skipped(tmp_path: Path) -> None:
    """A record that its process did not finish writing is skipped silently: end() had not returned."""
    child = os.fork()
    if child == 0:
        source = writer(tmp_path)
        source.append(b"whole")
        source.append(b"half of this is missing")
        os._exit(0)
    os.waitpid(child, 0)
    (segment,) = tmp_path.glob("q2-*/*.seg")
    segment.write_bytes(segment.read_bytes()[:-5])
    assert everything(tmp_path) == [b"whole"]
    assert status(tmp_path).dropped == 0


def test_half_a_record_of_a_living_process_is_waited_for(tmp_path: Path) -> None:
    """A record that is still being written is not read; once complete, it is."""
    source = writer(tmp_path)
    source.append(b"first")
    source.append(b"second")
    (segment,) = tmp_path.glob("q2-*/*.seg")
    data = segment.read_bytes()
    segment.write_bytes(data[:-3])
    queue = only_queue(tmp_path)
    batch = queue.next(10, 1000)
    assert batch is not None
    assert batch.records == [b"first"]
    queue.done(batch)
    assert queue.next(10, 1000) is None
    segment.write_bytes(data)
    batch = queue.next(10, 1000)
    assert batch is not None
    assert batch.records == [b"second"]
    queue.release()
    source.close()


def test_a_batch_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """A batch whose delivery was interrupted when its process died is read again with exactly its records, although
    more have been added."""
    source = writer(tmp_path)
    source.append(b"a")
    source.append(b"b")
    queue = only_queue(tmp_path)
    first = queue.next(10, 1000)
    source.append(b"c")
    queue.release()
    again = only_queue(tmp_path)
    assert again.next(10, 1000) == first
    assert again.next(1, 1) == first
    assert first is not None
    again.done(first)
    rest = again.next(10, 1000)
    assert rest is not None
    assert rest.records == [b"c"]
    again.release()
    source.close()


def test_one_process_drains_at_a_time(tmp_path: Path) -> None:
    """A queue that one process drains is not given to another until the first is gone."""
    source = writer(tmp_path)
    source.append(b"a")
    (name,) = layout.queues(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from genesis_otel._ship.spool.queue import take\n"
        f"queue = take(Path({str(tmp_path)!r}), {name!r}); print(queue is not None, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert take(tmp_path, name) is None
        other.kill()
        other.wait()
    queue = take(tmp_path, name)
    assert queue is not None
    queue.release()
    source.close()


def test_reading_does_not_end_a_live_queue(tmp_path: Path) -> None:
    """Reading the status or taking queues, also by the writer's own process, never makes a live writer look dead."""
    source = writer(tmp_path)
    for _ in range(3):
        assert status(tmp_path).writers == 1
        only_queue(tmp_path).release()
    code = f"from pathlib import Path; from genesis_otel._ship.spool.status import status; print(status(Path({str(tmp_path)!r})).writers)"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout == "1\n"
    source.close()
    assert status(tmp_path).writers == 0


def test_over_the_limit_the_oldest_are_deleted_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the limit, and only there, whole segments are deleted, oldest first; the newest are kept, and all are
    accounted for."""
    source = writer(tmp_path, segment_bytes=1000, spool_bytes=10_000)
    records = [f"{number:04d}".encode() * 20 for number in range(500)]
    for record in records:
        source.append(record)
    state = status(tmp_path)
    assert state.bytes <= 12_000
    assert state.dropped > 0
    assert state.dropped + state.waiting == 500
    assert "over its limit" in caplog.text
    source.close()
    assert everything(tmp_path) == records[-state.waiting :]


def test_two_that_keep_the_limit_at_once_drop_no_more_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process that begins a segment keeps to the limit: what another one has just dropped is not dropped from what is left."""
    source = writer(tmp_path, segment_bytes=1000)
    for number in range(20):
        source.append(b"%03d" % number * 300)
    source.close()
    drop = limit._drop

    def dropping(folder: Path, path: Path, most: int) -> None:
        monkeypatch.setattr(limit, "_drop", drop)
        limit.enforce(folder, most)
        drop(folder, path, most)

    before = status(tmp_path)
    monkeypatch.setattr(limit, "_drop", dropping)
    limit.enforce(tmp_path, before.bytes - 1)
    assert status(tmp_path).waiting == before.waiting - losses.total(tmp_path)
    assert len(list(tmp_path.glob("q2-*/*.gone"))) == 1


def test_a_spool_that_is_exactly_full_keeps_everything(tmp_path: Path) -> None:
    """At the limit nothing is deleted, one byte above it one segment is: the oldest."""
    source = writer(tmp_path, segment_bytes=1000)
    records = [f"{number:03d}".encode() * 100 for number in range(20)]
    for record in records:
        source.append(record)
    source.close()
    size = status(tmp_path).bytes
    limit.enforce(tmp_path, size)
    assert status(tmp_path).dropped == 0
    limit.enforce(tmp_path, size - 1)
    dropped = status(tmp_path).dropped
    assert 0 < dropped <= 4
    assert everything(tmp_path) == records[dropped:]


def test_the_segment_being_written_is_never_deleted(tmp_path: Path) -> None:
    """However small the limit, what a living process is writing to stays, until that process is gone."""
    source = writer(tmp_path)
    source.append(b"of a living process")
    limit.enforce(tmp_path, 1)
    assert (status(tmp_path).waiting, status(tmp_path).dropped) == (1, 0)
    source.close()
    limit.enforce(tmp_path, 1)
    assert (status(tmp_path).waiting, status(tmp_path).dropped) == (0, 1)


def test_a_writer_that_looks_while_its_folder_is_being_removed_loses_nothing_in_silence(tmp_path: Path) -> None:
    """A removal that has reached the lock, but not yet the segment, is not taken for a move of the folder, of which nothing is lost."""
    folder = tmp_path / "spool"
    source = writer(folder, segment_bytes=20)
    for number in range(3):
        source.append(b"%019d" % number)
    (folder / f"{source.id}.writer").unlink()
    assert source.look()
    source.append(b"during the removal")
    shutil.rmtree(folder)
    assert not source.look()
    assert source.rescue() == ([b"during the removal"], 3)
    source.close()


def test_a_writer_whose_lock_alone_was_removed_begins_another_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has written is a dead writer's by then: delivered, not written again."""
    source = writer(tmp_path)
    source.append(b"before")
    (tmp_path / f"{source.id}.writer").unlink()
    assert source.look()
    monkeypatch.setattr("genesis_otel._ship.spool.writer.REMOVAL", 0.0)
    assert not source.look()
    assert source.rescue() == ([], 0)
    source.close()
    assert everything(tmp_path) == [b"before"]


def test_a_full_disk_raises_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """If a write fails, append reports it, and later records are intact."""
    source = writer(tmp_path)
    source.append(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(OSError):
            source.append(b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    source.append(b"after")
    source.close()
    assert everything(tmp_path) == [b"before", b"after"]
    assert status(tmp_path).dropped == 0


def test_only_the_user_can_read_the_spool(tmp_path: Path) -> None:
    """The spool contains prompts: none of its files or folders can be read by other users."""
    old = os.umask(0)
    try:
        folder = tmp_path / "spool"
        source = writer(folder)
        source.append(b"a")
        dead_letters.bury(folder, b"b", "why")
        losses.note(folder, 1, "test")
        queue = only_queue(folder)
        batch = queue.next(1, 1)
        assert batch is not None
        queue.done(batch)
        assert [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077] == []
        queue.release()
        source.close()
    finally:
        os.umask(old)


def test_dead_letters_keep_record_and_reason(tmp_path: Path) -> None:
    """Refused records can be read back, byte for byte, with the reason on one line."""
    dead_letters.bury(tmp_path, b"one\n\x00", "because\nof this")
    dead_letters.bury(tmp_path, b"two", "\udc80")
    assert [(reason, record) for _, reason, record in dead_letters.buried(tmp_path)] == [
        ("because of this", b"one\n\x00"),
        ("\\udc80", b"two"),
    ]
    assert status(tmp_path).dead == 2


def test_a_damaged_cursor_starts_over(tmp_path: Path) -> None:
    """Without its record of what was taken, a queue is read from its beginning: twice is better than never."""
    source = writer(tmp_path)
    source.append(b"a")
    source.append(b"b")
    queue = only_queue(tmp_path)
    batch = queue.next(1, 1)
    assert batch is not None
    queue.done(batch)
    queue.release()
    (cut,) = tmp_path.glob("q2-*/cut")
    cut.write_text(json.dumps("?"))
    source.close()
    assert everything(tmp_path) == [b"a", b"b"]


def test_requeue_respects_the_given_limit(tmp_path: Path) -> None:
    """Dead letters are requeued into a spool that is larger than the default limit without losing a span."""
    source = writer(tmp_path, segment_bytes=1000)
    for number in range(20):
        source.append(f"{number:03d}".encode() * 200)
    source.close()
    dead_letters.bury(tmp_path, b"once refused", "why")
    assert requeue(tmp_path, Limits(spool_bytes=1 << 30)) == 1
    assert status(tmp_path).dropped == 0
    assert len(everything(tmp_path, size=2000)) == 21
    # With a smaller limit, the oldest would have been deleted: the given limit counts.
    source = writer(tmp_path, segment_bytes=1000)
    for number in range(20):
        source.append(f"{number:03d}".encode() * 200)
    source.close()
    dead_letters.bury(tmp_path, b"once refused", "why")
    requeue(tmp_path, Limits(spool_bytes=5000))
    assert status(tmp_path).dropped > 0


def test_two_that_requeue_at_once_put_each_letter_back_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first, and then finds nothing."""
    for number in range(3):
        dead_letters.bury(tmp_path, b"%d" % number, "why")
    put: list[int] = []
    second = threading.Thread(target=lambda: put.append(requeue(tmp_path, Limits())))
    append = Writer.append

    def appending(writer: Writer, record: bytes) -> None:
        if not second.ident:
            second.start()
            # It cannot end before this does; if it could, it would by then.
            second.join(1)
        append(writer, record)

    monkeypatch.setattr(Writer, "append", appending)
    put.append(requeue(tmp_path, Limits()))
    second.join()
    assert sorted(put) == [0, 3]
    assert everything(tmp_path) == [b"0", b"1", b"2"]


def test_a_letter_that_is_put_back_while_they_are_listed_is_left_out(tmp_path: Path) -> None:
    """`spool dead` beside `spool requeue` is no error."""
    for number in range(3):
        dead_letters.bury(tmp_path, b"%d" % number, "why")
    listed = dead_letters.buried(tmp_path)
    next(listed)
    sorted(dead_letters.files(tmp_path))[1].unlink()
    assert [record for _, _, record in listed] == [b"2"]


def test_at_the_limit_a_loss_is_counted_once(tmp_path: Path) -> None:
    """Segments deleted at the limit leave a gap in their queue's numbering, which is not counted again as damage."""
    source = writer(tmp_path, segment_bytes=500, spool_bytes=4000)
    for number in range(100):
        source.append(f"{number:03d}".encode() * 30)
    source.close()
    dropped = status(tmp_path).dropped
    found = everything(tmp_path)
    assert dropped > 0
    assert (len(found) + dropped, status(tmp_path).dropped) == (100, dropped)


def test_losses_of_a_dead_process_are_counted(tmp_path: Path) -> None:
    """Records that a process had only in memory, and losses that it could not write down, count when it is gone."""
    child = os.fork()
    if child == 0:
        source = writer(tmp_path)
        source.append(b"on disk")
        source.hold(7)
        (tmp_path / "dropped").mkdir()  # where losses are recorded, nothing can be written
        losses.note(tmp_path, 5, "test")
        os._exit(0)
    os.waitpid(child, 0)
    assert status(tmp_path).dropped == 12
    (tmp_path / "dropped").rmdir()
    assert everything(tmp_path) == [b"on disk"]
    assert status(tmp_path).dropped == 12
    assert account.read(tmp_path, "nothing") == (0, 0, 0)


def test_remaining_losses_are_logged_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However many losses occur in a minute, all are logged by the time their process is done with the folder."""
    for _ in range(50):
        losses.note(tmp_path, 2, "test")
    losses.close(tmp_path)
    said = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert sum(number for number in said if isinstance(number, int)) == losses.total(tmp_path) == 100
    assert len(said) == 2


def test_a_thread_does_not_wait_for_itself() -> None:
    """What a thread hands over while it is at work is handled by that work, afterwards and in order."""
    handled: list[int] = []

    def handle(item: int) -> None:
        handled.append(item)
        if item < 5:
            turn.run(item + 1)
            assert handled[-1] == item, "not in the middle of it"

    turn: Turn[int] = Turn(handle)
    turn.run(0)
    assert handled == list(range(6))


def test_a_handler_that_interrupts_a_listing_leaves_nothing_open(tmp_path: Path) -> None:
    """Wherever a signal handler's exception interrupts listing queues and segments, no listing stays open: Python would
    drop the next handler's exception if it were raised while such a listing is collected."""
    for number in range(1, 60):
        for place in (tmp_path / f"q2-{number}-a", tmp_path / "q2-1-a"):
            place.mkdir(exist_ok=True)
            (place / f"{number:08d}.seg").write_bytes(b"x")
    chosen = left = 0

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("too slow")

    def events(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event in ("c_return", "call"):
            left -= 1
            if left == 0:
                signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, late)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for at in range(1, 400, 3):
                left = at
                sys.setprofile(events)
                try:
                    layout.queues(tmp_path)
                    layout.segments(tmp_path / "q2-1-a")
                except TimeoutError:
                    chosen += 1
                finally:
                    sys.setprofile(None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert chosen > 100 and not [str(warning.message) for warning in said]
