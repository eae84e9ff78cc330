"""What a spool reports about itself: in ClickHouse, at intervals, and without getting in the way of the spans."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.sdk.trace import TracerProvider

from genesis_otel import queries
from genesis_otel._destinations import limits_of
from genesis_otel._settings import Collector, CustomExporter, Server, load_settings
from genesis_otel._ship.delivery import spool_state
from genesis_otel._ship.delivery.contract import Limits, Outage
from genesis_otel._ship.delivery.drain import Drain, drain
from genesis_otel._ship.delivery.requeue import requeue
from genesis_otel._ship.delivery.spool_state import SpoolState
from genesis_otel._ship.spool import losses
from genesis_otel._ship.spool.dead_letters import bury
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import DurableSpanProcessor
from tests.support.destinations import FAST, Store, end, spooled
from tests.support.waiting import until

AT_ONCE, NEVER = Limits(state_interval=0.0), Limits(state_interval=3600.0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interval is required between two reports."""
    monkeypatch.setattr(spool_state, "GAP", 0.0)
    monkeypatch.setattr(spool_state, "SHARE", 0)


def told(store: Client) -> list[dict[str, Any]]:
    """The last report of each spool, as users query it."""
    return list(queries.ask(store, "spools"))


def details(state: SpoolState, **how: Any) -> dict[str, Any]:
    """The details of the report that is due."""
    span = state.due(**how)
    assert span is not None
    return dict(json.loads(str((span.attributes or {})["genesis.action.details"])))


@pytest.mark.usefixtures("at_once")
def test_refusals_and_losses_are_reported_to_the_store(
    connect: Callable[[], Client], store: Client, tmp_path: Path
) -> None:
    """Dead letters and drops are reported at once, by machine and folder; requeued letters are no longer counted."""
    bury(tmp_path, b"no span", "Code: 6")
    losses.note(tmp_path, 3, "the disk is full")
    exporter = ClickHouseSpanExporter(connect)
    draining = Drain(tmp_path, exporter, NEVER)
    draining.round()
    (row,) = told(store)
    assert (row["host"], row["folder"]) == (socket.gethostname(), str(tmp_path))
    assert (row["waiting"], row["dead_letters"], row["dropped"]) == (0, 1, 3)
    draining.round()
    assert store.query("SELECT count() FROM agent_actions").result_rows == [(1,)], "the same is not told twice"
    for letter in (tmp_path / "dead").iterdir():
        letter.unlink()
    draining.round()
    draining.close()
    exporter.shutdown()
    (row,) = told(store)
    assert (row["dead_letters"], row["dropped"]) == (0, 3)
    assert store.query("SELECT DISTINCT run_id, action_type FROM agent_actions").result_rows == [("", "spool_state")]


@pytest.mark.usefixtures("at_once")
def test_waiting_spans_are_reported_during_delivery(tmp_path: Path) -> None:
    """After each batch once the interval has passed, and also for an outage's backlog; an idle spool is silent."""
    store = Store()
    spooled(tmp_path, *"abc")
    draining = Drain(tmp_path, store, Limits(max_rows=1, state_interval=0.0))
    draining.round()
    assert store.names == ["a", "spool_state", "b", "spool_state", "c", "spool_state"]
    draining.round()
    draining.close()
    assert len(store.names) == 6


def test_nothing_is_reported_before_its_time(tmp_path: Path) -> None:
    """A short search leaves only its own spans."""
    store = Store()
    spooled(tmp_path, *"abc")
    draining = Drain(tmp_path, store, NEVER)
    draining.round()
    draining.close()
    assert store.names == ["a", "b", "c"]


def test_custom_exporters_get_no_report(tmp_path: Path) -> None:
    """A custom exporter gets the search's spans, and no report of ours; servers and collectors do."""
    store = Store()
    bury(tmp_path, b"no span", "Code: 6")
    assert drain(tmp_path, store) == 0 and store.names == []
    settings = load_settings()
    assert limits_of(settings, CustomExporter("of somebody")).state_interval is None
    assert limits_of(settings, Server("http://h:1")).state_interval is not None
    assert limits_of(settings, Collector("http://h:1", "grpc")).state_interval is not None


def test_the_end_of_a_backlog_is_reported(tmp_path: Path) -> None:
    """A backlog that was reported is reported as gone when no process is left to report it later."""
    spooled(tmp_path, *"abc")
    state = SpoolState(tmp_path, 3600.0)
    assert state.due(delivered=1) is None
    store = Store()
    drain(tmp_path, store)
    assert details(state, last=True)["waiting"] == 0
    assert state.due(last=True) is None
    assert SpoolState(tmp_path, 3600.0).due(delivered=5, last=True) is None, "nothing had waited"


def test_a_processor_reports_when_it_ends(tmp_path: Path) -> None:
    """Its shutdown reports the state of a spool that a dead process had left full."""
    spooled(tmp_path, "left")
    store = Store()
    processor = DurableSpanProcessor(store, tmp_path, limits=Limits(flush_interval=0.02, state_interval=3600.0))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    end(provider.get_tracer("test"), "mine")
    until(lambda: "left" in store.names, "the delivery of what was left")
    processor.shutdown()
    assert sorted(store.names) == ["left", "mine", "spool_state"]


def test_a_failed_report_does_not_affect_spans(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The spans are delivered even if the report fails; the report neither waits in the spool nor becomes a dead
    letter."""
    store = Store()
    store.refuses = "spool_state"
    spooled(tmp_path, *"ab")
    assert drain(tmp_path, store, AT_ONCE) == 2
    assert store.names == ["a", "b"] and not (tmp_path / "dead").exists()
    store.away = True
    spooled(tmp_path, "c")
    with pytest.raises(Outage):
        drain(tmp_path, store, AT_ONCE)
    assert caplog.messages == []


@pytest.mark.usefixtures("at_once")
def test_a_requeued_letter_is_a_change(tmp_path: Path) -> None:
    """A requeued dead letter, a new one, and a dropped span are reported at once; nothing else is reported before its
    time."""
    state = SpoolState(tmp_path, 3600.0)
    assert state.due() is None
    bury(tmp_path, b"no span", "Code: 6")
    assert details(state)["dead_letters"] == 1
    assert state.due(delivered=100) is None
    assert requeue(tmp_path, FAST) == 1
    again = details(state)
    assert (again["dead_letters"], again["waiting"]) == (0, 1)
    losses.note(tmp_path, 2, "why")
    assert details(state)["dropped"] == 2


def test_many_losses_are_reported_periodically(tmp_path: Path) -> None:
    """The second one is reported after some seconds, or when no process would be left to report it later."""
    state = SpoolState(tmp_path, 3600.0)
    for number in range(1, 4):
        losses.note(tmp_path, 1, "the disk is full")
        told = state.due()
        assert (told is not None) == (number == 1)
    assert details(state, last=True)["dropped"] == 3
