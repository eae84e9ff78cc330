"""Faults as scenes: a program of `programs` runs, is harmed, and the fate of its spans is added up.

In: a folder and a seed, which decides the moments. Out: a `Ledger`. On failure: a program that does not end is killed
and reported as hung; any other failure is raised with its output.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clickhouse_connect.driver.client import Client

from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._ship.delivery.drain import drain
from genesis_otel._ship.delivery.insert import InsertExporter
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.status import status
from genesis_otel._store import schema
from genesis_otel._store.connection import connect
from tests.faults.programs import Lines
from tests.support.between import HANG_UP, LOGIN, Answer, Between, Request, between, is_insert, passes
from tests.support.pipeline import CONFIGS, PASSWORD, Collector, Store, binary, environment_of
from tests.support.pipeline import running as pipeline

PATIENCE = 90.0
"""Seconds beyond its own duration in which a program must end: only a hang takes this long."""


@dataclass
class Ledger:
    """Which spans ended, and what became of them."""

    ended: set[str] = field(default_factory=set)
    """Ids of spans whose end had returned."""
    stored: Counter[str] = field(default_factory=Counter)
    counted: int = 0
    """Spans that are counted as lost."""
    unsaid: int = 0
    """Spans that may have ended without being reported: a kill, or the program's framework, prevented it."""
    hung: int = 0
    raised: int = 0
    passed: int = 0

    @property
    def doubled(self) -> int:
        return sum(times - 1 for times in self.stored.values())

    @property
    def missing(self) -> int:
        """Spans that ended but were not stored."""
        return len(self.ended - self.stored.keys())

    def holds(self) -> str:
        """Why the promise is broken, or ''."""
        beyond = len(self.stored.keys() - self.ended)
        faults = {
            f"{self.hung} hung": self.hung,
            f"{self.doubled} doubled": self.doubled,
            f"{self.missing} of {len(self.ended)} ended are missing, {self.counted} are counted": not (
                self.missing <= self.counted <= self.missing + self.unsaid
            ),
            f"{beyond} are stored that nobody ended": beyond > self.unsaid,
            f"{self.raised} exceptions were raised, {self.passed} arrived": self.raised != self.passed,
            "nothing ended": not self.ended,
        }
        return "; ".join(text for text, broken in faults.items() if broken)

    def __str__(self) -> str:
        return (
            f"ended {len(self.ended):7,}  stored {len(self.stored):7,}  counted {self.counted:6,}  doubled {self.doubled}  "
            f"hung {self.hung}  exceptions {self.passed}/{self.raised}"
        )


Scene = Callable[[Path, random.Random, float], Ledger]


# --- running ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(name: str, folder: Path, seed: int, seconds: float, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in its own process group. Its output goes through a pipe into a file: its own disk may be full."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    ours = ("OTEL_", "GENESIS_OTEL_", "CLICKHOUSE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | settings
    read, write = os.pipe()
    with (folder.parent / "said").open("ab") as said, (folder.parent / "log").open("ab") as log:
        listener = subprocess.Popen(["cat"], stdin=read, stdout=said)
        os.close(read)
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.programs", name, str(folder), str(seed), str(seconds)],
            stdout=write,
            stderr=log,
            env=environment,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
        os.close(write)
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        listener.wait()


def begun(folder: Path, lines: int = 1) -> None:
    """Wait until the program has ended a span."""
    said, deadline = folder.parent / "said", time.monotonic() + PATIENCE
    while said.stat().st_size < 17 * lines and time.monotonic() < deadline:
        time.sleep(0.01)


def to_its_end(program: subprocess.Popen[bytes], seconds: float, ledger: Ledger, folder: Path) -> None:
    """Wait for a program to end; one that does not has hung."""
    try:
        code = program.wait(seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        ledger.hung += 1
        return
    log = (folder.parent / "log").read_text()
    if code or "Traceback" in log or "Exception ignored" in log:
        raise AssertionError(f"the program ended with {code}:\n{log[-4000:]}")


def add_up(ledger: Ledger, folder: Path) -> Ledger:
    """Collect the reported and stored spans, and drain the rest."""
    _read_said(ledger, folder)
    stored = folder.parent / "stored"
    # Twice: the first round releases queues, and the second finds them ended.
    for _ in range(2):
        drain(folder, Lines(stored))
    ledger.stored = Counter(stored.read_text().splitlines())
    ledger.counted = status(folder).dropped
    return ledger


def _read_said(ledger: Ledger, folder: Path) -> None:
    for line in (folder.parent / "said").read_text().splitlines():
        if line.startswith("= raised"):
            ledger.raised += int(line.split()[2])
        elif line.startswith("= passed"):
            ledger.passed += int(line.split()[2])
        elif len(line) == 16:
            ledger.ended.add(line)


def by_itself(name: str, *, unsaid: int = 0) -> Scene:
    """A program that harms itself."""

    def scene(folder: Path, chance: random.Random, seconds: float) -> Ledger:
        ledger = Ledger(unsaid=unsaid)
        with running(name, folder, chance.getrandbits(32), seconds) as program:
            to_its_end(program, seconds, ledger, folder)
        return add_up(ledger, folder)

    return scene


# --- harm from outside ------------------------------------------------------------------------------------------------


def kill_search(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """Kill -9 of a search and its workers, several times in the same folder."""
    ledger = Ledger()
    deadline = time.monotonic() + seconds
    lines = 1
    while time.monotonic() < deadline:
        with running("on_and_on", folder, chance.getrandbits(32), 60.0):
            begun(folder, lines + 3)
            time.sleep(chance.uniform(0, 0.4))
        ledger.unsaid += 3
        lines = (folder.parent / "said").stat().st_size // 17
    return add_up(ledger, folder)


def remove_folder(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """The spool's folder is removed while a search with two workers writes to it."""
    ledger = Ledger()
    with running("on_and_on", folder, chance.getrandbits(32), seconds + 2.0) as program:
        begun(folder, 10)
        time.sleep(chance.uniform(0, seconds))
        shutil.rmtree(folder, ignore_errors=True)
        to_its_end(program, seconds + 2.0, ledger, folder)
    return add_up(ledger, folder)


def damage(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """A search's leftover files are truncated, zeroed, and replaced by foreign data."""
    ledger = Ledger()
    with running("on_and_on", folder, chance.getrandbits(32), seconds) as program:
        to_its_end(program, seconds, ledger, folder)
    for name in layout.queues(folder):
        path = folder / name
        segments = sorted(path.glob("*.seg"))
        for segment in chance.sample(segments, max(1, len(segments) // 3)):
            chance.choice((_cut, _zero, _flip, _folder))(segment, chance)
        (path / "0a.seg").write_text("?")
        (path / "cut").write_text(chance.choice(("[1, 99999999, 0]", "[99, 5, 7]", "[1]", "{", "[1, 0, 99999999, 0]")))
    (folder / "q2-1-nothing").write_text("")
    (folder / "q2-2-lock").mkdir()
    (folder / "q2-2-lock.drain").mkdir()
    (folder / "dropped").write_text("what is this\n[1]\n")
    return add_up(ledger, folder)


def kill_store(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """Kill -9 of the store process of an embedded store, repeatedly, while a search records through `configure`."""

    def kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    return _embedded(folder, chance, seconds, kill)


def _embedded(folder: Path, chance: random.Random, seconds: float, harm: Callable[[int], None]) -> Ledger:
    """A search with an embedded store whose process is harmed repeatedly."""
    ledger, store = Ledger(), folder.parent / "store"
    try:
        with running(
            "configured", folder, chance.getrandbits(32), PATIENCE, CLICKHOUSE_URL=f"chdb://{store}"
        ) as program:
            deadline, harmed = time.monotonic() + PATIENCE, 0
            enough = 0.0
            while time.monotonic() < deadline and (not harmed or time.monotonic() < enough):
                address = store_process.running(store)
                if address is None:
                    time.sleep(0.05)
                    continue
                enough = enough or time.monotonic() + seconds
                time.sleep(chance.uniform(0, 1.5))
                harm(address.pid)
                harmed += 1
            (folder.parent / "enough").touch()
            to_its_end(program, 60.0, ledger, folder)
        _read_said(ledger, folder)
        spool = store / store_folder.SPOOL
        deadline = time.monotonic() + PATIENCE
        while status(spool).waiting and time.monotonic() < deadline:
            store_process.ensure_store_process(store)
            time.sleep(0.2)
        with contextlib.closing(store_process.open_store(store)) as client:
            ledger.stored = _actions(client)
        ledger.counted = status(spool).dropped
    finally:
        address = store_process.running(store)
        if address is not None:
            os.kill(address.pid, signal.SIGTERM)
            while store_process.running(store):
                time.sleep(0.05)
    return ledger


def _actions(client: Client, final: str = "") -> Counter[str]:
    """The stored actions of the program by span, and how often each is stored; after a minute there is a report of the spool's state, too."""
    rows = client.query(
        f"SELECT span_id, count() FROM agent_actions {final} WHERE action_type = 'a' GROUP BY span_id"
    ).result_rows
    return Counter({str(span): int(times) for span, times in rows})


def kill_collector(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """Kill -9 of the collector, repeatedly, while a search exports to it; at the end it runs again.

    Spans that it had received and not yet acknowledged when it was killed arrive again in another batch, and are one
    row after a merge.
    """
    ledger = Ledger()
    store = Store(folder.parent / "store")
    folder.parent.mkdir(parents=True, exist_ok=True)
    collector = Collector(
        binary(), folder.parent / "collector", [CONFIGS / "config.yaml"], environment_of(store, "default")
    )
    with pipeline(store):
        with contextlib.closing(store.client()) as client:
            schema.init_schema(client)
        with pipeline(collector):
            protocol, port = chance.choice((("grpc", collector.grpc), ("http/protobuf", collector.http)))
            with running(
                "configured",
                folder,
                chance.getrandbits(32),
                PATIENCE,
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
                OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            ) as program:
                begun(folder, 10)
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    time.sleep(chance.uniform(0, 1.0))
                    collector.kill()
                    time.sleep(chance.uniform(0, 0.5))
                    collector.start()
                (folder.parent / "enough").touch()
                to_its_end(program, 60.0, ledger, folder)
            _read_said(ledger, folder)
            deadline = time.monotonic() + PATIENCE
            with contextlib.closing(store.client()) as client:
                while len(_actions(client)) < len(ledger.ended) and time.monotonic() < deadline:
                    time.sleep(0.2)
                ledger.stored = _actions(client, "FINAL")
    ledger.counted = sum(status(spool).dropped for spool in (folder.parent / "data" / "spool").iterdir())
    return ledger


def lose_answers(folder: Path, chance: random.Random, seconds: float) -> Ledger:
    """A proxy in front of ClickHouse passes inserts on and loses every other answer, in one way or another."""
    ledger = Ledger()
    store = Store(folder.parent / "store")
    folder.parent.mkdir(parents=True, exist_ok=True)
    lost = (
        Answer(502),
        Answer(504, {"Content-Type": "text/html"}, LOGIN),
        Answer(200, {}, LOGIN),
        Answer(200),
        HANG_UP,
    )

    def loses(server: Between, request: Request) -> Answer:
        answer = passes(server, request)
        return chance.choice(lost) if is_insert(request) and chance.random() < 0.5 else answer

    with pipeline(store), between(store.port, loses) as server:
        with running(
            "configured",
            folder,
            chance.getrandbits(32),
            seconds + 1.0,
            CLICKHOUSE_URL=f"http://genesis:{PASSWORD}@127.0.0.1:{server.port}/searches",
        ) as program:
            to_its_end(program, seconds + 1.0 + 60.0, ledger, folder)
        _read_said(ledger, folder)
        (spool,) = (folder.parent / "data" / "spool").iterdir()
        # The spans that were still on their way, without the proxy.
        direct = InsertExporter(
            partial(connect, f"http://genesis:{PASSWORD}@127.0.0.1:{store.port}/searches", create=True)
        )
        drain(spool, direct)
        direct.shutdown()
        with contextlib.closing(store.client(database="searches")) as client:
            ledger.stored = _actions(client)
    ledger.counted = status(spool).dropped
    return ledger


def _cut(segment: Path, chance: random.Random) -> None:
    os.truncate(segment, chance.randrange(segment.stat().st_size + 1))


def _zero(segment: Path, chance: random.Random) -> None:
    data = bytearray(segment.read_bytes())
    at = chance.randrange(max(1, len(data)))
    length = chance.randrange(4000)
    data[at : at + length] = bytes(len(data[at : at + length]))
    segment.write_bytes(data)


def _flip(segment: Path, chance: random.Random) -> None:
    data = bytearray(segment.read_bytes())
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    segment.write_bytes(data)


def _folder(segment: Path, chance: random.Random) -> None:
    segment.unlink()
    segment.mkdir()


SCENES: dict[str, Scene] = {
    # Besides the reported ones: run.start, and evaluations as they begin.
    "alarms that raise and record": by_itself("alarms", unsaid=10**9),
    "finalisers": by_itself("finalisers"),
    "forks in ends and flushes": by_itself("forks"),
    "full disk": by_itself("full_disk"),
    "clock": by_itself("clock"),
    "kill -9 of search and workers": kill_search,
    "removed folder": remove_folder,
    "damage": damage,
    "kill -9 of the store": kill_store,
    "kill -9 of the collector": kill_collector,
    "lost answers to inserts": lose_answers,
}
