"""`spool`: what waits and what was refused, for the embedded store and for a server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._serve import client as store_process
from genesis_otel._settings import Server, load_settings
from genesis_otel._ship.encoding import codec
from genesis_otel._ship.encoding import rows as _rows
from genesis_otel._ship.spool import dead_letters
from genesis_otel._ship.spool.status import status as spool_status
from tests.support.command import Run, server_url, spooled
from tests.support.pipeline import free_ports
from tests.support.searched import (
    BEST,
    RUN,
    search_spans,
)

pytestmark = pytest.mark.usefixtures("on_the_filled_store")


def test_spool_of_the_embedded_store(run: Run, empty: Path) -> None:
    """Waiting spans are shown, and drain delivers them through the store process; then none is waiting."""
    spans = search_spans()
    spooled(empty / "store" / "spool", spans)
    (status,) = json.loads(run("spool", "--format", "json")[1])
    assert (status["waiting"], status["dead"], status["dropped"], status["writers"]) == (len(spans), 0, 0, 0)
    assert run("spool", "drain") == (0, f"{len(spans)} spans delivered, 0 still waiting.\n", "")
    assert run("spool", "drain")[1] == "0 spans delivered, 0 still waiting.\n"
    assert json.loads(run("runs", "-f", "json")[1])[0]["run_id"] == RUN


def test_a_store_process_that_is_killed_during_a_drain_is_replaced(
    run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it has delivered anything: the drain goes on with another one, rather than wait in vain."""
    spans = search_spans()
    spooled(empty / "store" / "spool", spans)
    start, killed = store_process.ensure_store_process, list[int]()

    def starting(folder: Path, *arguments: float) -> None:
        start(folder, *arguments)
        address = store_process.running(folder)
        if address and not killed:
            os.kill(address.pid, signal.SIGKILL)
            killed.append(address.pid)

    monkeypatch.setattr(store_process, "ensure_store_process", starting)
    assert run("spool", "drain", "--timeout", "100") == (0, f"{len(spans)} spans delivered, 0 still waiting.\n", "")
    assert killed


def test_a_reader_sees_spans_that_waited(run: Run, empty: Path) -> None:
    """After a search was killed, with no store process left, the first command already shows its run."""
    spooled(empty / "store" / "spool", search_spans())
    assert json.loads(run("lineage", "latest", "-f", "json")[1])[-1]["individual_id"] == BEST


def test_spool_of_a_server(run: Run, filled: Path, empty: Path) -> None:
    """Spans for a server wait in a separate spool; if it is unreachable, that is reported and nothing is lost; when it
    is back, drain delivers them."""
    url = server_url(filled, "by_drain")
    spool = load_settings().spool_folder(Server(url))
    spans = search_spans()
    spooled(spool, spans)
    away = f"http://genesis:x@127.0.0.1:{free_ports(1)[0]}/by_drain"
    spooled(load_settings().spool_folder(Server(away)), spans[:3])
    code, out, err = run("--url", away, "spool", "drain")
    assert (code, out) == (1, "") and "3 spans still wait" in err and "Connection refused" in err
    code, _, err = run("--url", away, "spool")
    assert code == 0 and f"Spans for another destination wait in {spool}" in err
    assert run("--url", url, "spool", "drain") == (0, f"{len(spans)} spans delivered, 0 still waiting.\n", "")
    assert run("--url", url, "query", "SELECT count() AS n FROM generations")[1] == "n\n5\n"


@pytest.mark.parametrize("encode", [_rows.encode, codec.encode], ids=["row", "pickle of an earlier version"])
def test_dead_letters(encode: Callable[[ReadableSpan], bytes], run: Run, empty: Path) -> None:
    """Refused spans are listed with the reason, and can be sent again."""
    spool = empty / "store" / "spool"
    assert run("spool", "dead") == (0, "", "No span was refused.\n")
    span = search_spans()[0]
    spool.mkdir(parents=True, exist_ok=True)
    dead_letters.bury(spool, encode(span), "Code: 6, CANNOT_PARSE_TEXT")
    (letter,) = json.loads(run("spool", "dead", "--format", "json")[1])
    assert (letter["reason"], letter["span"], letter["run_id"]) == ("Code: 6, CANNOT_PARSE_TEXT", span.name, RUN)
    assert json.loads(run("spool", "--format", "json")[1])[0]["dead"] == 1
    assert "1 were refused" in run("check")[1]
    assert run("spool", "requeue")[1].startswith("1 span put back into the spool")
    assert run("spool", "drain")[1].endswith("0 still waiting.\n")
    assert spool_status(spool).dead == 0
    assert json.loads(run("runs", "-f", "json")[1])[0]["run_id"] == RUN


def test_no_spool_when_recording_is_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With recording off there is no spool, and the command says so."""
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "false")
    code, _, err = run("spool")
    assert code == 1 and "recording is off" in err
