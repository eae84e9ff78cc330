"""The real collector and a store process behind it, as separate processes that can be killed and restarted."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._ship.spool.lock import ProcessLock
from tests.support.waiting import LONGEST, until

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "otel-collector"
PASSWORD = "only-for-tests-0123456789"
READER = "reads-only-0123456789"


def binary() -> Path:
    """The collector built by `make collector`. Without it a test is skipped, with a visible message; in CI it fails."""
    said = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "build_collector.py"), "--path"],
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(said.stdout.strip())
    if not path.exists():
        text = f"NOTHING OF THE COLLECTOR'S PATH IS TESTED: there is no {path}; `make collector` builds it (needs Go)"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return path


WORKERS = 8
"""The number of parallel pytest workers: each has its own ports."""
PORTS = range(12_000, 32_000)
"""Below those that the kernel gives to clients and to port 0 (32,768 and up), so that no other process gets one of
these by chance."""
_share = PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS :: WORKERS]
# Another test run on this machine, outside this division, starts elsewhere.
_ports = itertools.islice(itertools.cycle(_share), os.getpid() * 61 % len(_share), None)


def free_ports(count: int) -> list[int]:
    """Free ports that stay free until a process asks for them by number; none is given out twice in short order."""
    found: list[int] = []
    for port in _ports:
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


@dataclass
class Store:
    """`genesis-otel serve` on a folder, at a port of its own that stays the same across restarts."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GENESIS_OTEL_"))},
            "CLICKHOUSE_URL": f"chdb://{self.folder}",
            "GENESIS_OTEL_SERVE_PASSWORD": PASSWORD,
            "GENESIS_OTEL_SERVE_READER_PASSWORD": READER,
        }
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "genesis_otel", "serve", "--port", str(self.port)],
                env=environment,
                stdout=log,
                stderr=log,
            )
        until(lambda: store_process.running(self.folder) is not None or self._ended(), "the store's start")
        assert not self._ended(), (self.folder.parent / f"{self.folder.name}.log").read_text()

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(LONGEST)
            self.process = None

    def client(self, **options: Any) -> Client:
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username="genesis",
            password=PASSWORD,
            autogenerate_session_id=False,
            **options,
        )

    def count(self, sql: str) -> int:
        with contextlib.closing(self.client()) as client:
            return int(str(client.command(sql)))


@contextlib.contextmanager
def pausing(folder: Path, gate: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A store process on ``folder`` that reads its spool only when woken: its pauses are longer than any test.

    With ``gate`` it is given while it is still starting: it owns the folder, and has no bell before that file exists.
    """
    code = (
        "import sys, time, pathlib; from genesis_otel._serve import process; process.PAUSE = process.STEADY_PAUSE = 3600.0\n"
        "hung = process.hung\n"
        "def late(folder):\n"
        "    while sys.argv[2:] and not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.05)\n"
        "    return hung(folder)\n"
        "process.hung = late\n"
        "process.serve(pathlib.Path(sys.argv[1]), idle_timeout=None)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *([str(gate)] if gate else [])], stderr=subprocess.DEVNULL
    )
    try:
        if gate:
            until(lambda: ProcessLock.holder(folder / store_folder.LOCK), "the store process owns its folder")
        else:
            until(lambda: store_process.running(folder) is not None, "the store process answers")
        yield owner
    finally:
        owner.kill()
        owner.wait()


@dataclass
class Collector:
    """The collector with our configuration (or another), in front of a store."""

    path: Path
    folder: Path
    configs: Sequence[Path | str]
    environment: Mapping[str, str]
    options: Sequence[str] = ()
    grpc: int = 0
    http: int = 0
    health: int = 0
    metrics: int = 0
    prometheus: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.grpc, self.http, self.health, self.metrics, self.prometheus = free_ports(5)
        (self.folder / "queue").mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> str:
        return (self.folder / "collector.log").read_text()

    def variables(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "CLICKHOUSE_"))},
            "OTELCOL_STORAGE": str(self.folder / "queue"),
            "OTELCOL_GRPC_PORT": str(self.grpc),
            "OTELCOL_HTTP_PORT": str(self.http),
            "OTELCOL_HEALTH_PORT": str(self.health),
            "OTELCOL_METRICS_PORT": str(self.metrics),
            "OTELCOL_PROMETHEUS_PORT": str(self.prometheus),
            **self.environment,
        }

    def arguments(self) -> list[str]:
        return [str(self.path), *(f"--config={config}" for config in self.configs), *self.options]

    def start(self) -> None:
        with (self.folder / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(self.arguments(), env=self.variables(), stdout=log, stderr=log)
        until(
            lambda: self.healthy() or self.process is None or self.process.poll() is not None, "the collector's start"
        )
        assert self.process.poll() is None, self.log

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(LONGEST)
            self.process = None


def environment_of(store: Store, database: str = "default") -> dict[str, str]:
    """The environment that tells a collector where a store is."""
    return {
        "CLICKHOUSE_ENDPOINT": store.url,
        "CLICKHOUSE_DATABASE": database,
        "CLICKHOUSE_USER": "genesis",
        "CLICKHOUSE_PASSWORD": PASSWORD,
    }


@contextlib.contextmanager
def running(*processes: Store | Collector) -> Iterator[None]:
    """Start them in order, and kill those that are still running at the end."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.kill()
