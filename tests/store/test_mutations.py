"""Whoever waits for rows to be rewritten is told for what, how much is left, and what to do: a store whose merges somebody stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httpclient import HttpClient
from urllib3 import Timeout

from genesis_otel._serve import client as store_process
from genesis_otel._store import mutations
from genesis_otel._store.deleted import delete
from genesis_otel._store.errors import StoreError
from genesis_otel._store.reprice import reprice
from tests.support.waiting import until

MERGES_STOPPED = """
import signal, sys
from pathlib import Path
from genesis_otel._serve import process, room

stop = [True]
usual = room.Merges.need_room

def need_room(merges, folder):
    if stop:
        merges._command(f"SYSTEM {'STOP' if stop.pop() else 'START'} MERGES")
    usual(merges, folder)

room.Merges.need_room = need_room
signal.signal(signal.SIGUSR1, lambda *_: stop.append(False))
process.serve(Path(sys.argv[1]))
"""
CALL = (
    "INSERT INTO llm_logs (id, timestamp, model, provider, input_tokens, span_id, run_id) "
    "SELECT generateUUIDv4(), toDateTime64('2026-08-01', 3), 'gpt-4o', 'openai', 1000000, 's', 'r'"
)


@pytest.fixture
def halted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HttpClient, Callable[[], None]]]:
    """A client of a store with one unpriced call, whose merges are stopped; and what starts them."""
    monkeypatch.setattr(mutations, "FIRST_REPORT", 0.2)
    process = subprocess.Popen([sys.executable, "-c", MERGES_STOPPED, str(tmp_path / "store")])
    try:
        until(lambda: store_process.running(tmp_path / "store"), "the store's start")
        with contextlib.closing(store_process.open_store(tmp_path / "store")) as client:
            client.command(CALL)
            yield cast(HttpClient, client), lambda: process.send_signal(signal.SIGUSR1)
    finally:
        process.terminate()
        process.wait(60)


def priced(client: Client) -> bool:
    reprice(client)
    return client.query("SELECT cost, cost_source FROM llm_logs").result_rows == [(2.5, "genai-prices")]


def deleted(client: Client) -> bool:
    delete(client, "r")
    return bool(client.command("SELECT count() FROM llm_logs") == 0)


@pytest.mark.parametrize("does", [priced, deleted])
def test_a_command_that_waits_for_merges_says_so(
    does: Callable[[Client], bool],
    halted: tuple[HttpClient, Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The table, what is left to do and the statement that starts the merges; once they are started, the command is done."""
    client, start_merges = halted
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(does, client)
        said = "ClickHouse is rewriting llm_logs (mutations: 1, parts left: 1); if it never ends, its merges are stopped: SYSTEM START MERGES"
        until(lambda: f"{said} default.llm_logs" in caplog.text or done.done(), "the line that says why")
        assert not done.done()
        start_merges()
        assert done.result()


def test_a_mutation_that_fails_is_named(halted: tuple[HttpClient, Callable[[], None]]) -> None:
    """Mutations are applied in order: somebody else's that can never succeed holds up all later ones, until it is killed as the error says."""
    client, start_merges = halted
    start_merges()
    client.command(
        "ALTER TABLE llm_logs UPDATE error = toString(throwIf(1, 'no such luck')) WHERE 1",
        settings={"mutations_sync": 0},
    )
    with pytest.raises(StoreError, match=r"rewriting llm_logs .*no such luck.* To give it up: KILL MUTATION") as failed:
        reprice(client)
    assert "\n" not in str(failed.value)
    remedy = str(failed.value).partition("To give it up: ")[2].partition(". Then run")[0]
    client.command(remedy)
    until(lambda: client.command("SELECT count() FROM system.mutations WHERE NOT is_done") == 0, "the other mutation")
    assert reprice(client) == []
    assert client.query("SELECT cost FROM llm_logs").result_rows == [(2.5,)]


def test_an_answer_that_does_not_come_is_no_end(halted: tuple[HttpClient, Callable[[], None]]) -> None:
    """The command ends with an error that says that the mutation goes on, and what to do; then it finds it done."""
    client, start_merges = halted
    client.timeout = Timeout(connect=10, read=1)
    with pytest.raises(
        StoreError, match=r"no answer after 1 s: .*llm_logs.*SYSTEM START MERGES.*run the command again"
    ):
        reprice(client)
    start_merges()
    client.timeout = Timeout(connect=10, read=60)
    until(lambda: client.command("SELECT count() FROM system.mutations WHERE NOT is_done") == 0, "the mutation")
    assert reprice(client) == []
    assert client.query("SELECT cost FROM llm_logs").result_rows == [(2.5,)]
