"""A store of an earlier version is upgraded when it is opened, however long that takes; who waits for it is told why."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._serve import process as _process
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._store.errors import StoreError
from tests.support.old_store import unpacked
from tests.support.waiting import until

UPGRADING = (
    "import sys\nfrom pathlib import Path\n"
    "from genesis_otel._serve.folder import LOCK, upgrade_marked\nfrom genesis_otel._ship.spool.lock import ProcessLock\n"
    "folder = Path(sys.argv[1])\nassert ProcessLock(folder / LOCK).take(10)\n"
    "with upgrade_marked(folder):\n    print('upgrading', flush=True)\n    sys.stdin.readline()\n"
)
"""A process that upgrades a store until a line ends it."""


@contextlib.contextmanager
def being_upgraded(folder: Path) -> Iterator[subprocess.Popen[str]]:
    store_folder.prepare(folder)
    told = [sys.executable, "-c", UPGRADING, str(folder)]
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "upgrading\n"
        try:
            yield process
        finally:
            process.communicate("\n")


def test_a_command_waits_for_an_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade may take longer than a start: what waits for the store says so, and has the store when it is done."""
    folder = tmp_path / "store"
    failed: list[BaseException] = []
    said = threading.Event()

    class Word(logging.Handler):
        """Hears that the short limit is over, before the next one begins."""

        def emit(self, record: logging.LogRecord) -> None:
            if "is being upgraded to this version" in record.getMessage():
                monkeypatch.undo()
                said.set()

    def wait() -> None:
        try:
            store_process.ensure_store_process(folder)
        except BaseException as error:
            failed.append(error)

    word = Word()
    store_process.log.addHandler(word)
    waiting = threading.Thread(target=wait)
    try:
        with being_upgraded(folder):
            monkeypatch.setattr(store_process, "START_TIMEOUT", 0.2)
            waiting.start()
            until(lambda: failed or said.is_set(), "a word on the upgrade")
            assert not failed
        waiting.join()
        assert not failed
        assert store_process.running(folder)
    finally:
        store_process.log.removeHandler(word)
        store_process.stop(folder, 60)


def test_who_cannot_wait_is_told_of_the_upgrade(tmp_path: Path) -> None:
    """The process that upgrades a store is not to be ended: the error says what it does, and where to read how far it is."""
    folder = tmp_path / "store"
    with being_upgraded(folder) as process:
        for wait in (
            lambda: store_process.open_store(folder, timeout=0.1),
            lambda: store_process.ensure_store_process(folder, 0.1),
        ):
            with pytest.raises(StoreError) as refused:
                wait()
            told = str(refused.value)
            assert f"Process {process.pid} is upgrading the store" in told and "store.log" in told
            assert "kill" not in told
    assert store_folder.upgrades(folder) is None


def test_an_upgrade_says_what_it_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A command that finds an older store says that it has been upgraded, and the log of the store has each change; later, and for a new
    store, nothing is said."""
    folder = tmp_path / "old"
    store_folder.prepare(folder)
    unpacked("store", folder)
    for path, told in ((folder, 1), (folder, 0), (tmp_path / "new", 0)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            store_process.ensure_store_process(path)
        assert caplog.text.count("has been upgraded to this version") == told
        assert not (path / store_folder.UPGRADE).exists()
        store_process.stop(path, 60)
    log = (folder / store_folder.LOG).read_text()
    assert log.count("rows now match their spans") == 4
    assert log.count("upgraded view individuals_mv") == 1
    assert "created" not in (tmp_path / "new" / store_folder.LOG).read_text()


def test_a_search_of_0_1_0_is_looked_for_often(tmp_path: Path) -> None:
    """It knows no bell: while one writes, the store process pauses as little as for an empty spool, whatever a look costs."""
    for name, silent in (("q2-1-later", False), ("q-1-dead", False), ("q-2-alive", True)):
        (tmp_path / name).mkdir()
        if not name.endswith("dead"):
            assert ProcessLock(tmp_path / f"{name}.writer").take(0)
        assert _process.waits_silently(tmp_path) is silent
    assert _process.pause_after(1, 100.0, rings=False) == _process.PAUSE
