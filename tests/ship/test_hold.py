"""Held individuals: exact once their generation ends, on disk until then, and delivered if their process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.hold import Hold, adopt
from genesis_otel._ship.spool.queue import take
from genesis_otel._ship.spool.status import status
from genesis_otel.exporter import ClickHouseSpanExporter
from tests.conftest import Connect

LIMITS = {"segment_bytes": 1 << 20, "spool_bytes": 1 << 30}

SEARCH = """
import os, signal, sys
import genesis_otel

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def individual(name, fitness, size):
    with generation.individual(name) as made:
        made.record(fitness=fitness, metrics={"size": size}, code="key = 'sk-ant-" + "api03-" + "Zk4" * 30 + "'")

if sys.argv[1] == "releasing":
    from genesis_otel._ship.held_individuals import HeldIndividuals
    HeldIndividuals.on_release = lambda *_: die()
genesis_otel.configure()
run = genesis_otel.run("t", run_id="r", objectives={"fitness": "max", "size": "min"})
generation = run.generation(1, hold_individuals=True)
individual("best", 0.9, 50)
individual("smaller", 0.5, 20)
individual("worse", 0.4, 60)
if sys.argv[1] == "forked":
    if os.fork() == 0:
        os._exit(0)
    os.wait()
if sys.argv[1] == "killed":
    die()
individual("best of all", 0.95, 10)
generation.end()
die()
"""


def searched(tmp_path: Path, how: str) -> Path:
    """The spool of a search that was killed, before its generation ended or right after."""
    environment = os.environ | {
        "GENESIS_OTEL_DATA_DIR": str(tmp_path),
        "CLICKHOUSE_URL": "http://genesis@127.0.0.1:9/default",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, how], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (spool,) = (tmp_path / "spool").iterdir()
    return spool


FRONT = "SELECT individual_id, is_pareto, code LIKE '%Zk4Zk4%' FROM individuals ORDER BY individual_id"


def test_held_individuals_of_a_killed_process_arrive(tmp_path: Path, store: Client, connect: Connect) -> None:
    """A generation that never ended loses none of its individuals: each is stored with the front as it was known when
    it ended, with secrets removed as in any other."""
    spool = searched(tmp_path, "killed")
    drain(spool, ClickHouseSpanExporter(connect))
    assert store.query(FRONT).result_rows == [
        ("best", True, False),
        ("smaller", True, False),
        ("worse", False, False),
    ]
    drain(spool, ClickHouseSpanExporter(connect))
    assert store.command("SELECT count() FROM individuals") == 3
    assert not list(spool.glob("h-*"))


@pytest.mark.parametrize("how", ["ended", "forked"])
def test_held_individuals_of_a_generation_that_ended_are_exact(
    how: str, tmp_path: Path, store: Client, connect: Connect
) -> None:
    """Once their generation has ended, they say who is on its front, each is stored once, and none is held any longer."""
    spool = searched(tmp_path, how)
    assert not list(spool.glob("h-*"))
    drain(spool, ClickHouseSpanExporter(connect))
    assert [row[:2] for row in store.query(FRONT).result_rows] == [
        ("best", False),
        ("best of all", True),
        ("smaller", False),
        ("worse", False),
    ]


def test_an_individual_whose_release_was_interrupted_is_exact(tmp_path: Path, store: Client, connect: Connect) -> None:
    """Killed between the delivery of an individual and the note that it is no longer held, a process has it delivered twice: the second time, too,
    it says that another one has taken its place on the front."""
    spool = searched(tmp_path, "releasing")
    assert list(spool.glob("h-*.held"))
    drain(spool, ClickHouseSpanExporter(connect))
    drain(spool, ClickHouseSpanExporter(connect))
    store.command("OPTIMIZE TABLE individuals FINAL")
    assert store.query("SELECT is_pareto FROM individuals WHERE individual_id = 'best'").result_rows == [(False,)]


def test_held_individuals_are_not_drained_while_their_process_lives(tmp_path: Path) -> None:
    """While an individual is held, no drain takes it: neither this version's nor 0.1.0's, which knows only queues and dead letters."""
    hold = Hold(tmp_path)
    hold.keep(b"12345678", b"a span")
    assert adopt(tmp_path, **LIMITS) == 0
    assert layout.queues(tmp_path) == [] and status(tmp_path).waiting == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".held", ".holder"}
    hold.close()
    assert list(tmp_path.iterdir()) == []


def test_released_individuals_are_not_delivered_again(tmp_path: Path) -> None:
    """If a process died while it released its individuals, only those not yet released are adopted, complete."""
    dying = (
        "import os, signal, sys; from pathlib import Path; from genesis_otel._ship.spool.hold import Hold\n"
        "hold = Hold(Path(sys.argv[1]))\n"
        "for n in range(3): hold.keep(b'%08d' % n, b'record %d' % n)\n"
        "hold.release(b'%08d' % 1)\n"
        "os.write(hold._file, b'half a record')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", dying, str(tmp_path)], check=False, timeout=60)
    assert adopt(tmp_path, **LIMITS) == 2
    (name,) = layout.queues(tmp_path)
    taken = take(tmp_path, name)
    assert taken is not None
    batch = taken.next(10, 1 << 20)
    assert batch is not None and batch.records == [b"record 0", b"record 2"]
    assert adopt(tmp_path, **LIMITS) == 0


FULL = """
import os, resource, sys
from pathlib import Path
import genesis_otel

genesis_otel.configure()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
run = genesis_otel.run("t", run_id="r", objectives={"fitness": "max"})
generation = run.generation(1, hold_individuals=True)
for number in range(6):
    with generation.individual(f"i{number}") as made:
        made.record(fitness=number, code="x" * 1000)
    (held,) = Path(sys.argv[1]).rglob("*.held")
    if number == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (held.stat().st_size + 10, unlimited[1]))
    if number == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
if sys.argv[2] == "killed":
    os._exit(9)
generation.end()
print("went on")
"""


@pytest.mark.parametrize("how", ["ends", "killed"])
def test_a_disk_that_is_full_stops_no_search_that_holds_individuals(tmp_path: Path, how: str) -> None:
    """Where an individual fits on the disk in part only, the search goes on, nothing of that part remains, and all arrive; if the process
    is killed, those that could be kept do."""
    environment = os.environ | {
        "GENESIS_OTEL_DATA_DIR": str(tmp_path),
        "CLICKHOUSE_URL": "http://genesis@127.0.0.1:9/default",
        "GENESIS_OTEL_EXIT_TIMEOUT": "0.5",
    }
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), how], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == ((9, "") if how == "killed" else (0, "went on\n")), done.stderr
    (spool,) = (path.parent for path in tmp_path.rglob("q*.account"))
    adopt(spool, **LIMITS)
    kept = b"".join(path.read_bytes() for path in spool.rglob("*.seg"))
    found = {number for number in range(6) if f"i{number}".encode() in kept}
    assert found == {0, 1, 4, 5} | ({2, 3} if how == "ends" else set())
