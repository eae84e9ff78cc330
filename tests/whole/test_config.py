"""Settings and `configure()`: which value wins, where spans go, what is logged, and that spans arrive."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from genesis_otel import _destinations, _log, configuration, queries
from genesis_otel._read.health import STALLED
from genesis_otel._serve import client as store_process
from genesis_otel._serve import folder as store_folder
from genesis_otel._settings import Collector, Disabled, Embedded, Server, load_settings
from genesis_otel._store.errors import StoreError
from genesis_otel.processor import Limits
from tests.support.environment import PATIENT
from tests.support.otlp_receiver import receiving
from tests.support.waiting import until

SEARCH = """
import logging, pathlib, sys, time
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from genesis_otel.configuration import configure
name, count, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
telemetry = configure()
tracer = telemetry.provider.get_tracer("search")
print("ready", flush=True)
for n in range(count):
    if n == count // 2 and pause:
        sys.stdin.readline()  # the second half is for later
    attributes = {"genesis.record": "action", "genesis.action.action_type": name, "genesis.action.details": str(n)}
    tracer.start_span("action", attributes=attributes).end()
    time.sleep(pause)
assert "chdb" not in sys.modules
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test begins in an empty folder, without settings in the environment, with its own data folder."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "GENESIS_OTEL_", "CLICKHOUSE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENESIS_OTEL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """The folder of this test's embedded store, whose process is stopped afterwards."""
    folder = tmp_path / "data" / "store"
    yield folder
    address = store_process.running(folder)
    if address:
        process = psutil.Process(address.pid)
        process.kill()
        process.wait(60)


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a separate process."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def search(name: str, count: int, pause: float = 0.0, **environment: str) -> subprocess.Popen[str]:
    """Start a search that records ``count`` actions; with a pause, it records half of them only after ``go_on``."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SEARCH, name, str(count), str(pause)],
        env={**os.environ, **PATIENT, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a search record its second half."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def actions(folder: Path) -> dict[str, tuple[int, int]]:
    """How many actions of each search are in the store, and how many distinct ones."""
    client = store_process.open_store(folder, start=True)
    try:
        sql = "SELECT action_type, count(), uniqExact(details) FROM agent_actions GROUP BY action_type"
        return {name: (rows, different) for name, rows, different in client.query(sql).result_rows}
    finally:
        client.close()


# --- which value wins -------------------------------------------------------------------------------------------------


def test_argument_then_environment_then_file_then_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An argument takes precedence over the environment, that over ``.env``, that over the default; for our variables
    and OpenTelemetry's."""
    assert load_settings().exit_timeout == 10 and load_settings().clickhouse_url is None
    (tmp_path / ".env").write_text("GENESIS_OTEL_EXIT_TIMEOUT=1\nCLICKHOUSE_URL=http://file:8123\n")
    assert load_settings().exit_timeout == 1 and str(load_settings().destination) == "http://file:8123"
    monkeypatch.setenv("GENESIS_OTEL_EXIT_TIMEOUT", "2")
    monkeypatch.setenv("CLICKHOUSE_URL", "http://environment:8123")
    assert load_settings().exit_timeout == 2 and str(load_settings().destination) == "http://environment:8123"
    given = load_settings(exit_timeout=3, clickhouse_url="http://argument:8123")
    assert given.exit_timeout == 3 and str(given.destination) == "http://argument:8123"


def test_a_default_that_stands_in_several_places_is_the_same_in_each() -> None:
    """What counts as stalled in settings, thresholds and named queries; how large a spool may be in settings and for a processor of one's own."""
    settings = load_settings()
    asked = {
        each.default
        for name in queries.names()
        for each in queries.load(name).parameters
        if each.name == "stalled_after"
    }
    assert asked == {str(settings.stalled_after)} == {str(STALLED)}
    assert settings.spool_bytes == Limits().spool_bytes


def test_settings_of_every_type_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, numbers and lists are read from the environment; an empty variable counts as unset."""
    monkeypatch.setenv("GENESIS_OTEL_CAPTURE_CONTENT", "false")
    monkeypatch.setenv("GENESIS_OTEL_REDACT_PATTERNS", '["a+", "b"]')
    monkeypatch.setenv("GENESIS_OTEL_SPOOL_BYTES", "1048576")
    monkeypatch.setenv("CLICKHOUSE_URL", "")
    settings = load_settings()
    assert (settings.capture_content, settings.redact_patterns, settings.spool_bytes) == (False, ("a+", "b"), 1 << 20)
    assert settings.clickhouse_url is None


def test_invalid_settings_are_reported_on_one_line_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value, an unknown name and a malformed URL raise at once, name the setting and never show a secret."""
    monkeypatch.setenv("GENESIS_OTEL_EXIT_TIMEOUT", "hunter2")
    with pytest.raises(ValueError, match="EXIT_TIMEOUT") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.delenv("GENESIS_OTEL_EXIT_TIMEOUT")
    with pytest.raises(ValueError, match="no such setting: exit_time;"):
        load_settings(exit_time=1)  # type: ignore[call-arg]
    for url in (
        "ftp://u:hunter2@h",
        "u:hunter2@h:8123",
        "http://u:hunter2@h:port/db",
        "http://u:hunter2@h:9000",
        "chdb://hunter2",
    ):
        with pytest.raises(StoreError, match=r"CLICKHOUSE_URL|8123") as wrong:
            configuration.configure(clickhouse_url=url)
        assert "hunter2" not in str(wrong.value)
    for endpoint in ("localhost:4317", "http://u:hunter2@h:port"):
        with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_ENDPOINT") as malformed:
            configuration.configure(otlp_endpoint=endpoint)
        assert "hunter2" not in str(malformed.value)
    with pytest.raises(ValueError, match="grpc or http/protobuf"):
        configuration.configure(otlp_endpoint="http://h:4318", otlp_protocol="http/json")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("exporter", "http://localhost:4318"),
        ("exporter", InMemorySpanExporter),
        ("redactor", r"ACME-\d+"),
        ("resource_attributes", ["team=a"]),
    ],
)
def test_an_object_of_the_wrong_kind_is_refused(argument: str, value: Any) -> None:
    """With it nothing would be recorded: `configure()` says what it takes, and is not configured."""
    with pytest.raises(ValueError, match=f"^{argument} must be "):
        configuration.configure(**{argument: value})
    assert configuration._current is None


def test_a_misspelt_variable_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise prompts would be recorded that somebody meant to leave out. Once each, without its value, also from `.env`; and an invalid value is
    reported under the variable's name."""
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setenv("GENESIS_OTEL_CAPTURE_CONTNET", "false")
    (tmp_path / ".env").write_text("GENESIS_OTEL_ZZZZ=hunter2\nGENESIS_OTEL_QUIET=true\nOTHER=1\n")
    load_settings()
    load_settings()
    assert [line.getMessage() for line in caplog.records] == [
        "GENESIS_OTEL_CAPTURE_CONTNET is not a setting of genesis-otel and has no effect; did you mean GENESIS_OTEL_CAPTURE_CONTENT?",
        "GENESIS_OTEL_ZZZZ is not a setting of genesis-otel and has no effect",
    ]
    monkeypatch.setenv("GENESIS_OTEL_ENABLED", "maybe")
    with pytest.raises(ValueError, match=r"^wrong settings: GENESIS_OTEL_ENABLED: Expected `bool`, got `str`$"):
        load_settings()


def test_a_file_with_a_broken_line_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`.env` is read once: its reader warns of a line that it cannot parse once, beside a misspelt variable without a value; the rest counts."""
    monkeypatch.setattr(_log, "_said", {})
    (tmp_path / ".env").write_text("GENESIS_OTEL_CAPTURE_CODE=false\n= broken\nGENESIS_OTEL_ZZZZ=\n")
    assert load_settings().capture_code is False
    assert [(line.name.partition(".")[0], line.levelname) for line in caplog.records] == [
        ("dotenv", "WARNING"),
        ("genesis_otel", "WARNING"),
    ]
    assert caplog.messages[1] == "GENESIS_OTEL_ZZZZ is not a setting of genesis-otel and has no effect"


def test_passwords_are_never_shown() -> None:
    """Neither the settings nor a destination show a password when printed."""
    for settings in (
        load_settings(clickhouse_url="https://u:hunter2@h:8443/db"),
        load_settings(otlp_endpoint="http://u:hunter2@h:4318"),
    ):
        for shown in (repr(settings), str(settings), repr(settings.destination), str(settings.destination)):
            assert "hunter2" not in shown
        assert "hunter2" not in str(settings.spool_folder(settings.destination))


# --- where spans go ---------------------------------------------------------------------------------------------------


def test_the_destination_follows_from_the_settings(tmp_path: Path) -> None:
    """A collector comes before a server, and a server before the embedded store; none if switched off."""
    assert load_settings().destination == Embedded(tmp_path / "data" / "store")
    assert load_settings(clickhouse_url="chdb:///srv/a%20b").destination == Embedded(Path("/srv/a b"))
    server = load_settings(clickhouse_url="http://u:p@h:8123/db", otlp_endpoint="http://c:4317")
    assert server.destination == Collector("http://c:4317", "grpc")
    assert server.store == Server("http://u:p@h:8123/db")
    assert load_settings(otlp_endpoint="http://c:4317").store is None
    assert isinstance(load_settings(enabled=False).destination, Disabled)
    assert isinstance(load_settings(sdk_disabled=True).destination, Disabled)


def test_the_collectors_protocol_and_path_are_openTelemetrys(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP unless the port is gRPC's or the protocol is given; a base endpoint gets its path, a traces endpoint is used
    as it is."""
    assert load_settings(otlp_endpoint="http://c:4318/").destination == Collector(
        "http://c:4318/v1/traces", "http/protobuf"
    )
    assert load_settings(otlp_traces_endpoint="http://c/x").destination == Collector("http://c/x", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert load_settings(otlp_endpoint="http://c:4319").destination == Collector("http://c:4319", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    assert load_settings(otlp_endpoint="http://c:4317").destination == Collector(
        "http://c:4317/v1/traces", "http/protobuf"
    )


def test_each_destination_has_a_spool_of_its_own(tmp_path: Path) -> None:
    """Two destinations never share a spool; a changed password keeps the same spool."""
    settings = load_settings()
    urls = ["http://u:p@h:8123/a", "http://u:p@h:8123/b", "http://u:p@g:8123/a", "https://u:p@h:8123/a"]
    folders = [settings.spool_folder(Server(url)) for url in urls]
    folders += [
        settings.spool_folder(Collector("http://h:8123/a", "grpc")),
        settings.spool_folder(Embedded(tmp_path / "x")),
    ]
    assert len(set(folders)) == 6
    assert settings.spool_folder(Server("http://u:other@h:8123/a/")) == folders[0]


# --- that they arrive -------------------------------------------------------------------------------------------------


def test_a_search_fills_the_embedded_store_and_never_loads_the_engine(store: Path) -> None:
    """At its end everything has arrived, only the expected lines were logged, and the engine was never loaded in the
    process."""
    process = search("alone", 500)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert output == "ready\n"
    assert actions(store) == {"alone": (500, 500)}


def test_two_searches_share_a_store_that_is_killed_midway(store: Path) -> None:
    """With two searches at once, readers meanwhile, and the store process killed -9: both searches go on, and
    everything arrives once."""
    both = [search("one", 200, 0.01), search("two", 200, 0.01)]
    until(lambda: store_process.running(store), "the store's start")
    until(lambda: len(actions(store)) == 2, "actions of both")
    address = store_process.running(store)
    assert address
    os.kill(address.pid, signal.SIGKILL)
    for process in both:
        go_on(process)
    for process in both:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
    assert actions(store) == {"one": (200, 200), "two": (200, 200)}


def test_undelivered_spans_wait_and_are_counted(store: Path) -> None:
    """A server that does not answer holds up neither start nor end; one line says how many spans are waiting, and
    nothing waits beyond its bound."""
    done = python(
        SEARCH, "late", "50", "0", CLICKHOUSE_URL="http://u:hunter2@127.0.0.1:9/db", GENESIS_OTEL_EXIT_TIMEOUT="1"
    )
    assert done.returncode == 0, done.stderr
    assert all("1 s at most" in line for line in done.stderr.splitlines() if "at most" in line)
    waiting = [line for line in done.stderr.splitlines() if "50 spans wait in" in line]
    assert len(waiting) == 1 and waiting[0].startswith("WARNING")
    assert "hunter2" not in done.stderr and "Traceback" not in done.stderr


def test_a_search_whose_store_cannot_start_goes_on(tmp_path: Path) -> None:
    """With a folder that the engine refuses, the search runs to its end, and logs once why its spans are waiting."""
    engine = tmp_path / "data" / "store" / store_folder.ENGINE
    engine.mkdir(parents=True)
    (engine / "store").write_text("not the engine's")
    said = []
    with search("on", 20, 0.01, GENESIS_OTEL_EXIT_TIMEOUT="2") as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "spans wait in the spool" in line:
                go_on(process)
    assert process.returncode == 0, said
    assert sum("spans wait in the spool" in line for line in said) == 1
    assert sum("20 spans wait in" in line for line in said) == 1


def test_a_collector_gets_them_over_http(tmp_path: Path) -> None:
    """With OTLP's endpoint set, the same processor hands the spans to OpenTelemetry's exporter, also after an
    outage."""
    with receiving([503]) as receiver:
        endpoint = receiver.endpoint
        done = python(SEARCH, "otlp", "40", "0", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, GENESIS_OTEL_EXIT_TIMEOUT="100")
    assert done.returncode == 0, done.stderr
    # On a slow machine it takes so long that the state of the spool is due.
    assert receiver.names.count("action") == 40 and set(receiver.names) <= {"action", "spool_state"}
    assert not (tmp_path / "data" / "store").exists()


def test_the_callers_exporter_replaces_ours(tmp_path: Path) -> None:
    """`configure(exporter=…)` hands it every span, with resource attributes, and starts no store."""
    done = python(
        """
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from genesis_otel.configuration import configure
        exporter = InMemorySpanExporter()
        telemetry = configure(exporter=exporter, resource_attributes={"team": "a"}, service_name="mine")
        assert configure() is telemetry
        for n in range(10):
            telemetry.provider.get_tracer("t").start_span(str(n)).end()
        assert telemetry.flush(10)
        spans = exporter.get_finished_spans()
        assert [span.name for span in spans] == [str(n) for n in range(10)]
        assert spans[0].resource.attributes["team"] == "a" and spans[0].resource.attributes["service.name"] == "mine"
        telemetry.shutdown()
        telemetry.shutdown()
        """
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data" / "store").exists()


def test_without_redaction_texts_stay_as_they_are(tmp_path: Path) -> None:
    """`configure(redact=False)` changes nothing, not even by the name of an attribute."""
    done = python(
        """
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from genesis_otel.configuration import configure
        exporter = InMemorySpanExporter()
        told = {"db.password": "hunter2", "text": "password: hunter2", "args": ("--password", "hunter2")}
        telemetry = configure(exporter=exporter, redact=False, resource_attributes={"db.password": "hunter2"})
        span = telemetry.provider.get_tracer("t").start_span("span", attributes=told)
        span.add_event("event", told)
        span.end()
        assert telemetry.flush(10)
        (span,) = exporter.get_finished_spans()
        assert {name: span.attributes[name] for name in told} == told == dict(span.events[0].attributes)
        assert span.resource.attributes["db.password"] == "hunter2"
        """
    )
    assert done.returncode == 0, done.stderr


def test_an_applications_own_provider_is_kept(tmp_path: Path) -> None:
    """An SDK that is already set up keeps its exporter and gets our processors; a warning says which of its settings
    remove parts of the record."""
    done = python(
        """
        import logging; logging.basicConfig(format="%(levelname)s %(message)s")
        from opentelemetry import baggage, context, trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
        from genesis_otel.configuration import configure
        theirs, ours = InMemorySpanExporter(), InMemorySpanExporter()
        provider = TracerProvider(sampler=TraceIdRatioBased(1.0))
        provider.add_span_processor(SimpleSpanProcessor(theirs))
        trace.set_tracer_provider(provider)
        telemetry = configure(exporter=ours)
        assert telemetry.provider is provider
        token = context.attach(baggage.set_baggage("genesis.run.id", "r1", baggage.set_baggage("other", "x")))
        provider.get_tracer("t").start_span("s").end()
        context.detach(token)
        assert telemetry.flush(10)
        for exporter in (theirs, ours):
            (span,) = exporter.get_finished_spans()
            assert span.attributes["genesis.run.id"] == "r1" and "other" not in span.attributes
        """,
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="100",
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING the sampler of this process (TraceIdRatioBased" in done.stderr
    assert "truncated at 100 characters" in done.stderr


def test_a_provider_within_another_gets_the_processors(tmp_path: Path) -> None:
    """Of a provider that wraps the SDK's, as logfire's does, the one within is used; one that takes no span processors is reported."""
    done = python(
        """
        import logging, sys; logging.basicConfig(format="%(levelname)s %(message)s")
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        import genesis_otel

        class Wrapping(trace.TracerProvider):
            def __init__(self, provider):
                self.provider = provider
            def get_tracer(self, *given, **named):
                return self.provider.get_tracer(*given, **named)

        trace.set_tracer_provider(Wrapping(TracerProvider(shutdown_on_exit=False)))
        ours = InMemorySpanExporter()
        telemetry = genesis_otel.configure(exporter=ours, quiet=True)
        with genesis_otel.run("t", run_id="r") as run, run.generation(0):
            trace.get_tracer("another").start_span("s").end()
        assert telemetry.flush(10)
        assert [span.name for span in ours.get_finished_spans()] == ["run.start t", "s", "generation", "run t"]
        assert {span.attributes["genesis.run.id"] for span in ours.get_finished_spans()} == {"r"}
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = python(
        """
        import logging; logging.basicConfig(format="%(levelname)s %(message)s")
        from opentelemetry import trace
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        import genesis_otel
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        genesis_otel.configure(exporter=InMemorySpanExporter(), quiet=True)
        with genesis_otel.run("t"):
            pass
        """
    )
    assert done.returncode == 0, done.stderr
    assert (
        "ERROR nothing is recorded in this process: its tracer provider (opentelemetry.trace.NoOpTracerProvider)"
        in done.stderr
    )


# --- off --------------------------------------------------------------------------------------------------------------


def test_without_engine_and_url_it_is_off_and_logs_that_once(tmp_path: Path) -> None:
    """If chDB is not installed and no URL is set, one line says so, and the search goes on."""
    installed = Path(sysconfig.get_path("purelib"))
    without = tmp_path / "site-packages"
    without.mkdir()
    for each in installed.iterdir():
        if not each.name.startswith("chdb"):
            (without / each.name).symlink_to(each)
    code = """
        import logging
        logging.basicConfig(format="%(levelname)s %(message)s")
        from genesis_otel.configuration import configure, ensure_configured
        for _ in range(3):
            telemetry = ensure_configured()
            assert telemetry is configure() and telemetry.spool is None
            telemetry.provider.get_tracer("t").start_span("s").end()
        assert telemetry.flush()
        telemetry.shutdown()
        """
    done = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(without), str(Path(configuration.__file__).parents[1])))},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ClickHouse logging disabled") == 1
    assert "genesis-otel[embedded]" in done.stderr


def test_switched_off_it_writes_nothing(tmp_path: Path) -> None:
    """Disabled by our setting or by OpenTelemetry's, it writes and logs nothing."""
    for name, value in (("GENESIS_OTEL_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true")):
        done = python("from genesis_otel.configuration import configure; configure().shutdown()", **{name: value})
        assert (done.returncode, done.stderr) == (0, "")
        assert not (tmp_path / "data").exists()


def test_started_by_the_environment_it_never_raises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`ensure_configured` logs once what is wrong with the environment, and stays off."""
    monkeypatch.setenv("CLICKHOUSE_URL", "ftp://u:hunter2@h")
    monkeypatch.setattr(configuration, "_tried", False)
    with caplog.at_level(logging.WARNING):
        assert configuration.ensure_configured() is None
        assert configuration.ensure_configured() is None
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["ClickHouse logging disabled"]
    assert "hunter2" not in caplog.text


def test_reading_follows_the_same_settings(store: Path) -> None:
    """`open_client` reads the embedded store; if spans go to a collector, it asks for the URL."""
    store_process.ensure_store_process(store)
    client = _destinations.open_client()
    assert client.command("EXISTS TABLE llm_logs") == 1
    client.close()
    with pytest.raises(StoreError, match="CLICKHOUSE_URL"):
        _destinations.open_client(load_settings(otlp_endpoint="http://c:4318"))
    assert json.loads((store / store_folder.ADDRESS).read_text())["host"] == "127.0.0.1"
