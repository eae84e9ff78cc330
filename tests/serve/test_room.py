"""A store whose disk is nearly full takes nothing, says so, and continues once there is space: the real engine, with a different limit for the disk."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from opentelemetry.sdk.trace import TracerProvider

from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._serve import room
from genesis_otel._ship.spool.status import status
from genesis_otel._store.errors import StoreError
from genesis_otel.processor import DurableSpanProcessor
from tests.support.waiting import until

# Until there is said to be space, more must stay free than any disk has.
NEARLY_FULL = """
import logging, signal, sys
from pathlib import Path
from genesis_otel._serve import process, room

logging.basicConfig(level=logging.INFO)
usual, room.KEEP_FREE = 1 << 20, 1 << 62
signal.signal(signal.SIGUSR1, lambda *_: setattr(room, "KEEP_FREE", usual))
process.serve(Path(sys.argv[1]))
"""

COUNT = """
import sys
from pathlib import Path
from genesis_otel._serve.client import open_store

client = open_store(Path(sys.argv[1]))
print(client.command("SELECT count() FROM otel_traces"))
client.close()
"""


def count(store: Path) -> int:
    """The spans in a store, which is made if there is none; in its own process, since a process opens one engine."""
    return int(subprocess.run([sys.executable, "-c", COUNT, str(store)], capture_output=True, check=True).stdout)


def test_a_store_whose_disk_is_nearly_full_takes_nothing_and_can_be_read(tmp_path: Path) -> None:
    """Spans wait in the spool, other clients' inserts are refused with ClickHouse's code, one line says why; with space again all go in."""
    store, log = tmp_path / "store", tmp_path / "log"
    assert count(store) == 0  # makes it, while there is space
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", NEARLY_FULL, str(store)], stderr=file)
    try:
        until(lambda: store_process.running(store), "the store's start")
        address = store_process.running(store)
        assert address is not None
        provider = TracerProvider(shutdown_on_exit=False)
        processor = DurableSpanProcessor(None, store / store_folder.SPOOL)
        provider.add_span_processor(processor)
        for _ in range(3):
            provider.get_tracer("test").start_span("span").end()
        until(lambda: "must stay free" in log.read_text(), "the line that says why")
        with contextlib.closing(
            clickhouse_connect.get_client(
                host=address.host, port=address.port, username="genesis", password=address.secret
            )
        ) as client:
            writes: tuple[Callable[[], object], ...] = (
                lambda: client.insert("agent_actions", [["r"]], column_names=["run_id"]),
                lambda: client.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n"),
                lambda: client.command("ALTER TABLE agent_actions MODIFY TTL toDateTime(timestamp) + INTERVAL 1 DAY"),
                lambda: client.command("ALTER TABLE agent_actions DELETE WHERE run_id = 'r'"),
            )
            for write in writes:
                with pytest.raises(DatabaseError) as refused:
                    write()
                assert refused.value.code == 243
            assert client.command("SELECT count() FROM otel_traces") == 0
            assert status(store / store_folder.SPOOL).waiting == 3
            process.send_signal(signal.SIGUSR1)
            until(lambda: client.command("SELECT count() FROM otel_traces") == 3, "the delivery")
            client.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
            client.insert("t", [[1]])
            client.command("OPTIMIZE TABLE t FINAL")
        assert log.read_text().count("must stay free") == 1
    finally:
        process.terminate()
        process.wait(60)


LATE = """
import sys
from pathlib import Path
from genesis_otel._serve.client import open_store
from genesis_otel._store.deleted import delete

client = open_store(Path(sys.argv[1]))
delete(client, "gone")
client.command("INSERT INTO individuals (run_id, individual_id, timestamp) SELECT 'gone', 'late', now64(3)")
client.close()
"""


@pytest.mark.parametrize("again", [False, True])
def test_a_store_whose_disk_is_nearly_full_can_be_ended(tmp_path: Path, again: bool) -> None:
    """Also if there is space again only then: removing late rows of a deleted run would wait for merges, which are stopped, forever."""
    store = tmp_path / "store"
    subprocess.run([sys.executable, "-c", LATE, str(store)], check=True)
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", NEARLY_FULL, str(store)], stderr=file)
    try:
        until(lambda: "must stay free" in log.read_text(), "the line that says why")
        if again:
            process.send_signal(signal.SIGUSR1)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("by", ["a store process", "a reader"])
def test_no_store_is_made_on_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The engine would report success and leave definitions that are empty files, which no later start can read: nothing of it is begun,
    and the reason is said. With space, the same folder becomes a store."""
    store = tmp_path / "store"
    with monkeypatch.context() as nearly_full:
        nearly_full.setattr(room, "KEEP_FREE", 1 << 62)
        if by == "a reader":
            with pytest.raises(StoreError, match="must stay free: make room"):
                store_process.open_store(store)
        else:
            done = subprocess.run(
                [sys.executable, "-c", NEARLY_FULL, str(store)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 1 and "must stay free: make room" in done.stderr
    assert not (store / "clickhouse").exists()
    assert count(store) == 0


def test_a_limit_on_files_is_lifted_or_said() -> None:
    """A soft limit by `ulimit -f` is raised; a hard limit is reported."""
    program = (
        "import resource, sys; from genesis_otel._serve import room; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, eval(sys.argv[1]))); "
        "print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], room.unlimited_files(), resource.getrlimit(resource.RLIMIT_FSIZE)[0])"
    )

    def told(hard: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", program, hard], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert told("resource.RLIM_INFINITY") == ["5000000", str(resource.RLIM_INFINITY)]
    assert told("6_000_000")[:5] == ["5000000", "files", "are", "limited", "to"]


def test_what_cannot_be_asked_has_room(tmp_path: Path) -> None:
    """A folder that does not exist stops nothing."""
    assert room.lacking(tmp_path / "nowhere") == ""
