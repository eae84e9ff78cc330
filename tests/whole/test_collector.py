"""Delivery through a real collector: the same rows as direct delivery, each span once, whatever is killed in
between."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGRPC
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHTTP
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel import attributes as names
from genesis_otel import queries
from genesis_otel._cli.app import main
from genesis_otel._destinations import OTLP_LIMITS
from genesis_otel._settings import load_settings
from genesis_otel._ship.delivery import otlp
from genesis_otel._ship.delivery.contract import TooLarge
from genesis_otel._ship.delivery.otlp import OtlpExporter
from genesis_otel._ship.spool.status import status as spool_status
from genesis_otel._store import backfill, schema
from genesis_otel._store.tables import INSERT_SETTINGS, STORED_IN, TABLES
from genesis_otel.exporter import ClickHouseSpanExporter
from genesis_otel.processor import DurableSpanProcessor
from tests.conftest import Connect
from tests.support.environment import take_settings_out
from tests.support.golden import CASES, HOSTILE, SECOND, START, place, span
from tests.support.mapping import columns_of, golden, rows_of, spans_of
from tests.support.pipeline import CONFIGS, PASSWORD, ROOT, Collector, Store, binary, environment_of, running
from tests.support.recording import landing_columns, store_spans
from tests.support.waiting import until

STOCK = Path(__file__).parents[1] / "support" / "stock-collector.yaml"
MERGING = "--feature-gates=confmap.enableMergeAppendOption"
COUNT = "SELECT count() FROM otel_traces"

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The collector's binary."""
    return binary()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Store]:
    """A running store that keeps raw spans forever: the golden ones are from 2023."""
    store = Store(tmp_path / "store")
    with running(store):
        with contextlib.closing(store.client()) as client:
            schema.init_schema(client, traces_ttl_days=0)
        yield store


@pytest.fixture
def collecting(otelcol: Path, served: Store, tmp_path: Path) -> Iterator[Collector]:
    """Our configuration of the collector in front of that store."""
    collector = Collector(otelcol, tmp_path / "collector", [CONFIGS / "config.yaml"], environment_of(served))
    with running(collector):
        yield collector


def over_http(collector: Collector) -> SpanExporter:
    return OverHTTP(f"http://127.0.0.1:{collector.http}/v1/traces", timeout=30)


def over_grpc(collector: Collector) -> SpanExporter:
    return OverGRPC(f"http://127.0.0.1:{collector.grpc}", insecure=True, timeout=30)


def as_configured(collector: Collector) -> OtlpExporter:
    return otlp.exporter(f"http://127.0.0.1:{collector.http}/v1/traces", "http/protobuf")


def send(exporter: SpanExporter, spans: Sequence[ReadableSpan], size: int = 50) -> None:
    for begin in range(0, len(spans), size):
        assert exporter.export(spans[begin : begin + size]) is SpanExportResult.SUCCESS


def has_all(client: Client, sql: str, wanted: int) -> bool:
    """Whether ``sql`` counts this many and no insert is in progress: views write their rows after the rows that they
    read become visible."""
    inserting = "SELECT count() FROM system.processes WHERE query_kind = 'Insert'"
    return [int(str(client.command(each))) for each in (sql, inserting)] == [wanted, 0]


def landed(store: Store) -> int:
    return store.count("SELECT uniqExact(TraceId, SpanId) FROM otel_traces")


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in comparable form: without the time of their insert, ordered by identity."""
    return sorted(
        ({**row, "ingested_at": None} for row in rows),
        key=lambda row: (row["trace_id"], row["span_id"], row.get("position", 0)),
    )


def tables(client: Client) -> Rows:
    return {table: in_order(rows_of(client, table)) for table in TABLES}


def raw(client: Client, exporter: SpanExporter) -> list[dict[str, Any]]:
    """The landing table's rows, without the trace state of links, which the SDK's OTLP encoder leaves out. A span that
    ends before it begins has a duration of 0 on one path, and 2**64 minus the difference on the other; the views read
    both as 0."""
    left_out = "" if isinstance(exporter, OtlpExporter) else "EXCEPT `Links.TraceState` "
    answer = client.query(
        f"SELECT * {left_out}REPLACE (greatest(toInt64(Duration), 0) AS Duration) FROM otel_traces ORDER BY TraceId, SpanId"
    )
    return list(answer.named_results())


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "configs",
    [["config.yaml"], [STOCK], [STOCK, "existing-collector.yaml"], ["config.yaml", "existing-collector.yaml"]],
    ids=lambda configs: " with ".join(Path(config).stem for config in configs),
)
def test_the_collector_accepts_every_configuration(configs: list[str | Path], otelcol: Path, tmp_path: Path) -> None:
    """`validate` accepts each of our files unchanged, alone or merged with the configuration of a running collector."""
    collector = Collector(
        otelcol, tmp_path, [CONFIGS / config for config in configs], {"CLICKHOUSE_PASSWORD": PASSWORD}, [MERGING]
    )
    command, *arguments = collector.arguments()
    done = subprocess.run(
        [command, "validate", *arguments], env=collector.variables(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def exporters() -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("config.yaml", "existing-collector.yaml"):
        for exporter, told in yaml.safe_load((CONFIGS / name).read_text())["exporters"].items():
            if exporter.startswith("clickhouse"):
                found[f"{name} {exporter}"] = told
    return found


@pytest.mark.parametrize("name", exporters())
def test_inserts_have_the_settings_of_direct_delivery(name: str) -> None:
    """The settings of an insert are the same as in our own exporter; the collector creates no tables, acknowledges
    nothing early and never gives up."""
    told = exporters()[name]
    settings = {**told["connection_params"], "async_insert": int(told["async_insert"])}
    assert {key: int(value) for key, value in settings.items()} == INSERT_SETTINGS
    assert told["create_schema"] is False
    assert told["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert told["sending_queue"]["storage"].startswith("file_storage")
    assert told["password"] == "${env:CLICKHOUSE_PASSWORD}"


def test_the_merged_exporter_equals_the_standalone_one() -> None:
    """The exporter of `existing-collector.yaml` equals that of `config.yaml`, except for the names of its parts."""
    alone, merged = exporters().values()
    alone["sending_queue"]["storage"] += "/genesis"
    assert alone == merged


# --- the same rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exporter_to", [over_http, over_grpc, as_configured])
def test_both_paths_give_the_same_rows(
    exporter_to: Callable[[Collector], SpanExporter],
    served: Store,
    collecting: Collector,
    store: Client,
    connect: Connect,
) -> None:
    """Every golden span, sent twice through SDK, OTLP and collector, becomes the same rows as by direct delivery, once;
    and the raw spans are identical."""
    spans = golden()
    exporter = exporter_to(collecting)
    send(exporter, spans)
    until(lambda: landed(served) == len(spans), "the arrival of every span")
    with contextlib.closing(served.client()) as client:
        through_collector = raw(client, exporter)
    send(exporter, spans[::-1])
    exporter.shutdown()
    store_spans(ClickHouseSpanExporter(connect), spans)
    with contextlib.closing(served.client()) as client:
        until(lambda: has_all(client, COUNT, 2 * len(spans)), "the second arrival of every span")
        for table in STORED_IN.values():
            client.command(f"OPTIMIZE TABLE {table} FINAL")
        found, wanted = tables(client), tables(store)
    for table in TABLES:
        assert found[table] == wanted[table], table
    assert all(wanted.values())
    differing = [
        (name, row[name], through[name])
        for row, through in zip(raw(store, exporter), through_collector, strict=True)
        for name in row
        if row[name] != through[name]
    ]
    assert differing == []
    assert any(HOSTILE[:60] == row["SpanName"] for row in through_collector)


def odd() -> list[ReadableSpan]:
    """Records and a call with clocks that are wrong by centuries, and with values that OTLP or JSON lacks."""
    told: dict[str, Any] = {
        "list": [0.5, float("nan"), float("-inf")],
        "integers": [1, 2**63, -(2**200)],
        "mapping": {"deep": [{"b": float("inf"), "a": [b"", b"x", None]}]},
        "surrogate\ud800": "NUL\0 \udcff",
        "": "without a name",
        names.GEN_AI_RESPONSE_FINISH_REASONS: ["stop", "a<b>\u2028"],
    }
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "odd", "list": told["list"]}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("odd\ud800")
    clocks = [-(2**70), -1, 0, START, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70]
    records = [{names.RECORD: each} for each in ("run", "generation", "individual", "lineage", "evaluation", "action")]
    for record in [*records, {names.GEN_AI_OPERATION_NAME: "chat"}]:
        for begun in clocks:
            for ended in clocks:
                started = tracer.start_span("odd", attributes={names.RUN_ID: "r", **told, **record}, start_time=begun)
                started.add_event("odd", told, ended)
                started.end(ended)
    return list(kept.get_finished_spans())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_odd_clocks_and_values_give_the_same_rows(
    served: Store, collecting: Collector, store: Client, connect: Connect
) -> None:
    """What OTLP, JSON or a column's type cannot hold is the same on both paths, and costs no span."""
    spans = odd()
    store_spans(as_configured(collecting), spans)
    store_spans(ClickHouseSpanExporter(connect), spans)
    with contextlib.closing(served.client()) as client:
        until(lambda: has_all(client, COUNT, len(spans)), "the arrival of every span")
        found, wanted = tables(client), tables(store)
        arrived, stored = raw(client, as_configured(collecting)), raw(store, as_configured(collecting))
    for table in TABLES:
        assert found[table] == wanted[table], table
    assert all(wanted[table] for table in TABLES if table != "pareto_fronts")
    assert arrived == stored


def test_whatever_the_collector_accepts_is_stored(served: Store, collecting: Collector) -> None:
    """A span of 40 MiB, which is larger than a batch, is stored like the small ones beside it; one beyond the receiver's limit is refused for its size."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for size in (1, 40 << 20, 2, 65 << 20):
        told = {names.RECORD: "action", names.ACTION_DETAILS: "x" * size}
        provider.get_tracer("genesis_otel").start_span("action", attributes=told).end()
    exporter = as_configured(collecting)
    small, large, other, larger = kept.get_finished_spans()
    store_spans(exporter, [small])
    store_spans(exporter, [large, other])
    with pytest.raises(TooLarge, match="too large"):
        store_spans(exporter, [larger])
    until(lambda: served.count("SELECT count() FROM agent_actions") >= 3, "the arrival of all three")
    assert served.count("SELECT max(length(details)) FROM agent_actions") == 40 << 20


def test_json_columns_give_the_same_rows(
    otelcol: Path, served: Store, tmp_path: Path, store: Client, connect: Connect
) -> None:
    """A collector creates its own table with JSON columns: --backfill reads the rows that were in it, and the views
    those that arrive later."""
    columns = (
        "yaml:exporters: {clickhouse: {json: true, create_schema: true, connection_params: {enable_json_type: '1'}}}"
    )
    collector = Collector(
        otelcol, tmp_path / "collector", [CONFIGS / "config.yaml", columns], environment_of(served, database="theirs")
    )
    # JSON has no NaN: that exporter cannot write such a span.
    spans = [
        each for case in CASES for each in spans_of(case) if not re.search("NaN|Inf", str(landing_columns([each])))
    ]
    half = len(spans) // 2
    with running(collector):
        send(over_http(collector), spans[:half])
        with contextlib.closing(served.client(database="theirs")) as client:
            until(lambda: has_all(client, COUNT, half), "the arrival of the first half")
            schema.init_schema(client)
            assert schema.init_schema(client) == []
            list(backfill.backfill(client))
            send(over_http(collector), spans[half:])
            until(lambda: has_all(client, COUNT, len(spans)), "the arrival of the second half")
            assert not any(any(each.rows.values()) for each in backfill.backfill(client))
            found = tables(client)
    store_spans(ClickHouseSpanExporter(connect), spans)
    wanted = tables(store)
    for table in TABLES:
        assert found[table] == wanted[table], table
    assert all(wanted.values())


def test_merged_into_a_running_collector(otelcol: Path, served: Store, tmp_path: Path) -> None:
    """Their backend still gets everything; ours gets what belongs to a search, recognised by span, resource or our
    scope, and whatever else is a row."""
    collector = Collector(
        otelcol, tmp_path / "collector", [STOCK, CONFIGS / "existing-collector.yaml"], environment_of(served), [MERGING]
    )
    kept = InMemorySpanExporter()
    for scope, resource, attributes in (
        ("theirs", {}, {"http.request.method": "GET"}),
        ("theirs", {}, {"genesis.run.id": "r"}),
        ("theirs", {"genesis.run.id": "r"}, {}),
        ("genesis_otel", {}, {"genesis.record": "action"}),
        ("theirs", {}, {"genesis.record": "action"}),
        ("theirs", {}, {"gen_ai.operation.name": "chat", "genesis.llm.cost_source": "no-tokens"}),
    ):
        provider = TracerProvider(resource=Resource(resource))
        provider.add_span_processor(SimpleSpanProcessor(kept))
        span(provider.get_tracer(scope), f"{scope} {resource} {attributes}", attributes)
    with running(collector):
        send(over_grpc(collector), kept.get_finished_spans())
        until(lambda: served.count("SELECT count() FROM theirs.otel_traces") == 6, "the filling of their backend")
        with contextlib.closing(served.client()) as client:
            until(lambda: has_all(client, COUNT, 5), "the filling of ours")
    assert served.count("SELECT count() FROM otel_traces WHERE SpanAttributes['http.request.method'] != ''") == 0
    assert served.count("SELECT count() FROM agent_actions") == 2
    assert served.count("SELECT count() FROM llm_logs") == 1


# --- once -------------------------------------------------------------------------------------------------------------


class Forgetful:
    """A proxy between collector and store that loses the answers to the first inserts, as a network may."""

    def __init__(self, port: int, losses: int) -> None:
        self.store, self.losses, self.lost = port, losses, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.store)) as store:
            inserting = threading.Event()

            def there() -> None:
                with contextlib.suppress(OSError):
                    while piece := client.recv(1 << 16):
                        if b"INSERT%20INTO" in piece or b"INSERT+INTO" in piece or b"INSERT INTO" in piece:
                            inserting.set()
                        store.sendall(piece)

            threading.Thread(target=there, daemon=True).start()
            while piece := store.recv(1 << 16):
                # The whole insert is stored by the time its answer arrives.
                if inserting.is_set() and self.lost < self.losses:
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                inserting.clear()
                client.sendall(piece)

    def close(self) -> None:
        self.socket.close()


@pytest.mark.parametrize("window", [1000, 0], ids=["our landing table", "a stock one, without a window"])
def test_a_lost_acknowledgement_duplicates_no_row(window: int, otelcol: Path, served: Store, tmp_path: Path) -> None:
    """The collector sends a batch again if the answer to its insert is lost: the seven tables have each row once,
    immediately, even where the landing table keeps the raw spans of every attempt."""
    with contextlib.closing(served.client()) as client:
        client.command(f"ALTER TABLE otel_traces MODIFY SETTING non_replicated_deduplication_window = {window}")
    forgetful = Forgetful(served.port, losses=3)
    collector = Collector(
        otelcol,
        tmp_path / "collector",
        [CONFIGS / "config.yaml"],
        {**environment_of(served), "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{forgetful.port}"},
    )
    spans = golden()
    with running(collector):
        send(over_http(collector), spans, size=len(spans))
        until(lambda: forgetful.lost == 3 and "Exporting failed. Will retry" in collector.log, "three losses")
        # The next batch is acknowledged, so the first one was too, unless it is still being retried.
        send(over_http(collector), actions(1))
        until(lambda: landed(served) == len(spans) + 1, "the arrival of the next batch")
        collector.kill(signal.SIGTERM)
    forgetful.close()
    # Each attempt leaves its raw spans if there is no deduplication window.
    assert (served.count("SELECT count() FROM otel_traces") > len(spans) + 1) == (window == 0)
    with contextlib.closing(served.client()) as client:
        for table, stored in STORED_IN.items():
            key = "(trace_id, span_id, position)" if "position" in columns_of(client, stored) else "(trace_id, span_id)"
            rows, identities = client.query(f"SELECT count(), uniqExact{key} FROM {stored}").result_rows[0]
            assert rows == identities > 0, table


def test_a_view_that_fails_for_a_while_costs_no_row(served: Store, collecting: Collector) -> None:
    """The collector is told that the insert failed, says why, and sends it again until every row is there, once, and so are the raw spans."""
    with contextlib.closing(served.client()) as client:
        client.command("ALTER TABLE agent_actions ADD CONSTRAINT broken CHECK action_type != 'a1'")
    send(over_http(collecting), actions(3))
    until(lambda: "VIOLATED_CONSTRAINT" in collecting.log, "the failure in the collector's log")
    with contextlib.closing(served.client()) as client:
        client.command("ALTER TABLE agent_actions DROP CONSTRAINT broken")
        until(lambda: has_all(client, "SELECT count() FROM agent_actions", 3), "the arrival of every row")
    assert served.count(COUNT) == 3


def test_the_same_span_by_both_paths_is_one_row_after_a_merge(served: Store, collecting: Collector) -> None:
    """Batches that are composed differently are deduplicated by the rows' identity: `FINAL` shows each row once
    immediately, a plain SELECT after the engine has merged, which it does by itself when the tables reach the
    configured age."""
    spans = actions(100)
    with contextlib.closing(served.client()) as client:
        # It may merge at any time, even now.
        for bound in ("max_bytes_to_merge_at_max_space_in_pool", "max_bytes_to_merge_at_min_space_in_pool"):
            client.command(f"ALTER TABLE agent_actions MODIFY SETTING {bound} = 1")
    store_spans(ClickHouseSpanExporter(served.client), spans)
    send(over_http(collecting), spans[::-1], size=30)
    with contextlib.closing(served.client()) as client:
        until(lambda: has_all(client, COUNT, 200), "the arrival by both ways")
    assert served.count("SELECT count() FROM agent_actions FINAL") == 100
    with contextlib.closing(served.client()) as client:
        waiting = {row["table"]: (row["rows"], row["again"]) for row in queries.ask(client, "unmerged")}
        assert waiting.pop("agent_actions") == (200, 100)
        assert set(waiting.values()) == {(0, 0)}
        for bound in ("max_bytes_to_merge_at_max_space_in_pool", "max_bytes_to_merge_at_min_space_in_pool"):
            client.command(f"ALTER TABLE agent_actions RESET SETTING {bound}")
        # Ten minutes are too long for a test.
        client.command("ALTER TABLE agent_actions MODIFY SETTING min_age_to_force_merge_seconds = 1")
    until(lambda: served.count("SELECT count() FROM agent_actions") == 100, "the engine's own merge")


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_duplicated_when_collector_and_store_are_killed(
    seed: int, served: Store, collecting: Collector, tmp_path: Path
) -> None:
    """Spans flow through the durable processor into the collector while it and the store are killed at random: every
    span whose end() returned is stored, and each once."""
    chance = random.Random(seed)
    processor = DurableSpanProcessor(over_http(collecting), tmp_path / "spool", limits=OTLP_LIMITS)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("genesis_otel")
    ended = 0
    enough = threading.Event()

    def search() -> None:
        nonlocal ended
        while not enough.is_set():
            for _ in range(50):
                span(tracer, "action", place(RECORD="action", ACTION_TYPE="a"), start=START + ended * SECOND)
                ended += 1
            enough.wait(0.02)

    searching = threading.Thread(target=search)
    searching.start()
    try:
        for _ in range(4):
            enough.wait(chance.uniform(0.3, 2.0))
            victims: list[Store | Collector] = chance.choice([[collecting], [served], [collecting, served]])
            for victim in victims:
                victim.kill()
            enough.wait(chance.uniform(0.0, 1.5))
            for victim in victims[::-1]:
                victim.start()
    finally:
        enough.set()
        searching.join()
    assert processor.force_flush(120_000)
    processor.shutdown()
    until(
        lambda: served.count("SELECT uniqExact(trace_id, span_id) FROM agent_actions") == ended, "every span's arrival"
    )
    with contextlib.closing(served.client()) as client:
        client.command("ALTER TABLE agent_actions MODIFY SETTING min_age_to_force_merge_seconds = 1")
    until(lambda: served.count("SELECT count() FROM agent_actions") == ended, "the engine's own merge")


def test_spans_that_waited_for_the_collector_can_be_drained(
    served: Store, otelcol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans of a search that ended while the collector was down: `genesis-otel spool drain` delivers them when it is
    back."""
    collector = Collector(otelcol, tmp_path / "collector", [CONFIGS / "config.yaml"], environment_of(served))
    take_settings_out(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.grpc}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("GENESIS_OTEL_EXIT_TIMEOUT", "0")
    search = "import genesis_otel; genesis_otel.configure(); genesis_otel.run('t', run_id='waits').end()"
    subprocess.run([sys.executable, "-c", search], check=True, timeout=120, capture_output=True, cwd=ROOT)
    settings = load_settings()
    spool = settings.spool_folder(settings.destination)
    assert spool_status(spool).waiting == 2
    with running(collector):
        assert main(["spool", "drain"]) == 0
        until(lambda: served.count("SELECT count() FROM evolution_runs WHERE status = 'completed'") == 1, "its arrival")
    assert spool_status(spool).waiting == 0


def actions(count: int) -> list[ReadableSpan]:
    """Record a number of actions, each a span."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for number in range(count):
        span(provider.get_tracer("genesis_otel"), "action", place(RECORD="action", ACTION_TYPE=f"a{number}"))
    return list(kept.get_finished_spans())
