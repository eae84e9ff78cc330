"""Delivery to a collector: a span is delivered once the answer to an export confirms it, over HTTP and gRPC, whatever answers on loopback."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from genesis_otel import _log
from genesis_otel._ship.delivery import otlp
from genesis_otel._ship.delivery.contract import Limits, Misconfigured, Outage, Refused, TooLarge
from genesis_otel._ship.spool import dead_letters, losses
from genesis_otel._ship.spool.status import status
from genesis_otel.processor import DurableSpanProcessor
from tests.support.between import Answer, Between, Request, between, empty, login
from tests.support.destinations import spooled
from tests.support.pipeline import free_ports
from tests.support.waiting import until

FAST = Limits(max_rows=512, max_bytes=2 << 20, flush_interval=0.05, backoff=0.02, backoff_max=0.1)
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def names_in(body: bytes) -> list[str]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span.name for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]


class Took:
    """What a collector received."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, _: Between, request: Request) -> Answer:
        body = gzip.decompress(request.body) if request.headers.get("Content-Encoding") == "gzip" else request.body
        self.names += names_in(body)
        return Answer(200, PROTOBUF)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Spans of given names, all ended before the first is sent to an endpoint; returns the spool's folder."""
    made: list[DurableSpanProcessor] = []

    def end(endpoint: str, protocol: str, *names: str, size: int = 0) -> Path:
        folder = tmp_path / "spool"
        spooled(folder, *names, size=size)
        if not made:
            made.append(DurableSpanProcessor(otlp.exporter(endpoint, protocol), folder, limits=FAST))
        return folder

    yield end
    for processor in made:
        processor.shutdown()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


PARTIAL = ExportTraceServiceResponse()
PARTIAL.partial_success.rejected_spans = 2
PARTIAL.partial_success.error_message = "too old"


@pytest.mark.parametrize(
    ("answer", "level", "reason"),
    [
        (login(Between.__new__(Between), Request("", "", {}, b"")), "ERROR", "answered with a web page"),
        (Answer(200, {"Content-Type": "text/plain"}), "ERROR", "answered with text/plain and not with OTLP"),
        (Answer(200, PROTOBUF, b"<html>"), "ERROR", "not with OTLP"),
        (Answer(200, {"Content-Type": "application/json"}, b'{"status": "ok"}'), "ERROR", "not with OTLP"),
        (Answer(204), "ERROR", "HTTP status 204"),
        (
            Answer(301, {"Location": "https://user:hunter2@c.example/v1/traces"}),
            "ERROR",
            "redirects to https://c.example",
        ),
        (Answer(401), "ERROR", "check OTEL_EXPORTER_OTLP_HEADERS"),
        (Answer(404), "ERROR", "check the path of the endpoint"),
        (Answer(400, {"Content-Type": "text/html"}, b"<h1>400"), "ERROR", "HTTP status 400"),
        (Answer(503), "WARNING", "answered with HTTP status 503"),
        (Answer(500), "WARNING", "answered with HTTP status 500"),
    ],
)
def test_a_foreign_answer_delivers_nothing(
    answer: Answer, level: str, reason: str, recorded: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The spans wait, one line says why (as an error if waiting does not help), retries log nothing more; then all
    arrive."""
    took = Took()
    with between(behaviour=lambda server, request: answer) as server:
        folder = recorded(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf", "a", "b")
        until(lambda: len(server.requests) > 6, "attempts")
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert reason in record.getMessage() and record.levelname == level and "hunter2" not in caplog.text
        assert status(folder).waiting == 2
        server.behaviour = took
        until(lambda: status(folder).waiting == 0, "the delivery")
        until(lambda: len(lines(caplog)) == 2, "the line that it goes on")
    assert took.names == ["a", "b"]
    assert "are being delivered again" in lines(caplog)[1] and dead_letters.changed(folder) == 0


@pytest.mark.parametrize("kind", ["protobuf", "json"])
def test_rejected_spans_are_counted_and_logged(
    kind: str, recorded: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Spans that a collector accepts and rejects in one answer are lost, counted and logged."""
    told = (
        Answer(200, PROTOBUF, PARTIAL.SerializeToString())
        if kind == "protobuf"
        else Answer(
            200,
            {"Content-Type": "application/json; charset=utf-8"},
            json.dumps({"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}).encode(),
        )
    )
    with between(behaviour=lambda server, request: told) as server:
        folder = recorded(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf", "a", "b", "c")
        until(lambda: status(folder).waiting == 0, "the delivery")
        until(lambda: losses.total(folder) == 2, "the count")
    assert any("2 spans" in line and "rejected by the destination" in line for line in lines(caplog))


def test_413_and_400_split_the_batch(recorded: Callable[..., Path]) -> None:
    """A request that is too large is split; a span that is refused by itself becomes a dead letter, and the others arrive."""
    took = Took()

    def judge(server: Between, request: Request) -> Answer:
        if "bad" in names_in(request.body):
            return Answer(400, PROTOBUF)
        return took(server, request)

    with between(behaviour=judge) as server:
        server.limit = 50_000
        names = [f"span {each}" for each in range(100)]
        folder = recorded(
            f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf", *names[:50], "bad", *names[50:], size=2_000
        )
        until(lambda: status(folder).waiting == 0, "the delivery")
    assert sorted(took.names) == sorted(names)
    (letter,) = dead_letters.buried(folder)
    assert "400" in letter[1]


REFUSAL = Status(code=3, message="request body too large").SerializeToString()


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Answer(400, PROTOBUF, REFUSAL), TooLarge, "answered 400: request body too large$"),
        (Answer(400, PROTOBUF, Status(message="invalid\nTraceID").SerializeToString()), Refused, "bad data: invalid$"),
        (
            Answer(400, {"Content-Type": "application/json"}, b'{"code": 3, "message": "no ids"}'),
            Refused,
            "bad data: no ids$",
        ),
        (Answer(400, {"Content-Type": "application/json"}, b'["message"]'), Refused, "bad data$"),
        (Answer(422, PROTOBUF, b"\xff"), Refused, "bad data$"),
        (Answer(400), Refused, "bad data$"),
    ],
)
def test_a_refusal_has_the_collectors_reason(answer: Answer, error: type[Exception], text: str) -> None:
    """A dead letter says why the collector refused it, and its limit of a request's size, which it reports as bad data, is one of size."""
    with between(behaviour=lambda *_: answer) as server, pytest.raises(error, match=text):
        otlp.exporter(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf").send(b"x")


def test_headers_compression_and_password_go_along(
    recorded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's variables hold; the user and the password of the endpoint become a header."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one%20two")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
    took = Took()
    with between(behaviour=took) as server:
        folder = recorded(f"http://me:p/w#d@127.0.0.1:{server.port}/v1/traces", "http/protobuf", "a")
        until(lambda: status(folder).waiting == 0, "the delivery")
        (request,) = server.requests
    assert took.names == ["a"] and request.path == "/v1/traces"
    assert request.headers["x-tenant"] == "one two" and request.headers["Authorization"] == "Basic bWU6cC93I2Q="


def test_an_empty_answer_counts_if_the_server_reads_otlp(
    recorded: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """An empty answer means success in protobuf, and some OTLP receivers answer like that: they are recognised because
    they reject data that is not OTLP. If a server accepts that too, nothing counts as delivered."""
    took = Took()

    def reads(server: Between, request: Request) -> Answer:
        if request.body == otlp.NO_REQUEST:
            # Only once it has read spans: until a moment ago, a server that reads nothing may have been there.
            return Answer(400 if took.names else 200)
        took(server, request)
        return Answer(200)

    with between(behaviour=empty) as server:
        folder = recorded(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf", "a")
        until(lambda: len(server.requests) > 6, "attempts")
        assert status(folder).waiting == 1
        (line,) = lines(caplog)
        assert "NONE IS STORED" in line and "answers with nothing" in line and "whatever it is sent" in line
        server.behaviour = reads
        until(lambda: status(folder).waiting == 0, "the delivery")
    assert took.names == ["a"] and dead_letters.changed(folder) == 0


def test_a_collector_that_hangs_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer's size is bounded, and the error says what happened."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with between() as server:
        server.behaviour = server.hangs
        with pytest.raises(Outage, match="did not answer within"):
            otlp.exporter(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf").send(b"")
    with pytest.raises(Outage, match="Connection refused at http://"):
        otlp.exporter(f"http://127.0.0.1:{free_ports(1)[0]}/v1/traces", "http/protobuf").send(b"")


PATIENT = Limits(flush_interval=0.05, backoff=0.02, backoff_max=30.0)


@pytest.mark.parametrize("status_code", [429, 503])
def test_retry_after_is_respected_and_logged(
    status_code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next request comes no sooner than ``Retry-After`` says, and the line on why spans wait gives the seconds."""
    times: list[float] = []
    took = Took()

    def once(server: Between, request: Request) -> Answer:
        times.append(time.monotonic())
        return Answer(status_code, {"Retry-After": "1"}) if len(times) == 1 else took(server, request)

    with between(behaviour=once) as server:
        spooled(tmp_path, "a")
        exporter = otlp.exporter(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf")
        processor = DurableSpanProcessor(exporter, tmp_path, limits=PATIENT)
        until(lambda: status(tmp_path).waiting == 0, "the delivery")
        processor.shutdown()
    assert took.names == ["a"] and times[1] - times[0] >= 1.0
    assert "asks to be left alone for 1 s" in lines(caplog)[0]


def test_a_long_retry_after_is_limited(recorded: Callable[..., Path]) -> None:
    """A server that asks for a day is retried after the limits' longest wait, like any outage."""
    took = Took()
    with between(behaviour=lambda server, request: Answer(503, {"Retry-After": "86400"})) as server:
        folder = recorded(f"http://127.0.0.1:{server.port}/v1/traces", "http/protobuf", "a")
        until(lambda: len(server.requests) > 3, "attempts")
        server.behaviour = took
        until(lambda: status(folder).waiting == 0, "the delivery")
    assert took.names == ["a"]


# --- gRPC -------------------------------------------------------------------------------------------------------------


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """An OTLP gRPC service that answers as configured."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.attempts = 0
        self.answer = ExportTraceServiceResponse()
        self.code: grpc.StatusCode | None = None
        self.metadata: dict[str, str] = {}
        self.details = b""

    def service(self, details: Any) -> Any:
        def export(body: bytes, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
            self.attempts += 1
            self.metadata = dict(context.invocation_metadata())
            if self.code is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", self.details),) if self.details else ())
                context.abort(self.code, "as told")
            self.names += names_in(body)
            return self.answer

        assert details.method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        return grpc.unary_unary_rpc_method_handler(
            export, response_serializer=ExportTraceServiceResponse.SerializeToString
        )


@pytest.fixture
def service() -> Iterator[tuple[Service, str]]:
    """A gRPC server with the usual limit of 4 MiB per message, and its endpoint."""
    service = Service()
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=(service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield service, f"http://127.0.0.1:{port}"
        server.stop(0).wait()


def test_grpc_confirms_and_rejects(
    service: tuple[Service, str], recorded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans arrive with the headers of the environment; what is rejected is counted."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer abc")
    collector, endpoint = service
    collector.answer = PARTIAL
    folder = recorded(endpoint, "grpc", "a", "b", "c")
    until(lambda: status(folder).waiting == 0, "the delivery")
    until(lambda: losses.total(folder) == 2, "the count")
    assert collector.names == ["a", "b", "c"] and collector.metadata["authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (grpc.StatusCode.UNAVAILABLE, "WARNING"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "WARNING"),
        (grpc.StatusCode.UNAUTHENTICATED, "ERROR"),
        (grpc.StatusCode.UNIMPLEMENTED, "ERROR"),
    ],
)
def test_spans_refused_by_grpc_wait(
    code: grpc.StatusCode,
    level: str,
    service: tuple[Service, str],
    recorded: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says why, as an error if waiting does not help; then all arrive."""
    collector, endpoint = service
    collector.code = code
    folder = recorded(endpoint, "grpc", "a")
    until(lambda: collector.attempts > 4, "attempts")
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert code.name in record.getMessage() and record.levelname == level
    collector.code = None
    until(lambda: status(folder).waiting == 0, "the delivery")
    assert collector.names == ["a"]


@pytest.mark.parametrize(
    ("details", "after"),
    [
        (RetryInfo(retry_delay=Duration(seconds=7, nanos=500_000_000)), 7.5),
        (RetryInfo(retry_delay=Duration(seconds=-7)), 0.0),
        (Duration(seconds=7), 0.0),
        (b"\xff", 0.0),
    ],
)
def test_grpc_retry_info_is_respected(details: Any, after: float, service: tuple[Service, str]) -> None:
    """A ``RetryInfo`` among an error's details is what ``Retry-After`` is over HTTP; anything else there asks for nothing."""
    collector, endpoint = service
    collector.code = grpc.StatusCode.UNAVAILABLE
    if isinstance(details, bytes):
        collector.details = details
    else:
        packed = AnyMessage()
        packed.Pack(details)
        collector.details = Status(code=14, details=[packed]).SerializeToString()
    with pytest.raises(Outage, match="UNAVAILABLE") as raised:
        otlp.exporter(endpoint, "grpc").send(b"")
    assert raised.value.after == after


def test_grpc_splits_batches_that_are_too_large(service: tuple[Service, str], recorded: Callable[..., Path]) -> None:
    """A span over the message limit becomes a dead letter, and the others arrive."""
    collector, endpoint = service
    folder = recorded(endpoint, "grpc", "a", "b")
    until(lambda: status(folder).waiting == 0, "the delivery")
    recorded(endpoint, "grpc", "large", size=5 << 20)
    recorded(endpoint, "grpc", "c")
    until(lambda: status(folder).waiting == 0, "the delivery")
    assert collector.names == ["a", "b", "c"]
    (letter,) = dead_letters.buried(folder)
    assert "does not accept a message of this size" in letter[1]


def test_grpc_to_the_port_of_http_is_named() -> None:
    """The likeliest mistake has its own message, and so does a closed port."""
    with between(behaviour=empty) as server:
        with pytest.raises(Misconfigured, match="OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"):
            otlp.exporter(f"http://127.0.0.1:{server.port}", "grpc").send(b"")
    with pytest.raises(Outage, match="Connection refused"):
        otlp.exporter(f"http://127.0.0.1:{free_ports(1)[0]}", "grpc").send(b"")


def test_http_to_the_port_of_grpc_is_named(service: tuple[Service, str]) -> None:
    """So is the other way round, which is as likely: HTTP is the default, and 4317 the better known port."""
    with pytest.raises(Outage, match="OTEL_EXPORTER_OTLP_PROTOCOL=grpc"):
        otlp.exporter(f"{service[1]}/v1/traces", "http/protobuf").send(b"")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tls_to_a_server_without_it_is_named(protocol: str) -> None:
    """The error says that there is no TLS and what to set, rather than what a library says."""
    with (
        between(behaviour=empty) as server,
        pytest.raises(Outage, match="does not speak TLS: set an endpoint") as raised,
    ):
        otlp.exporter(f"https://127.0.0.1:{server.port}", protocol).send(b"")
    assert "Max retries" not in str(raised.value)


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "1e30", "ten"])
def test_a_timeout_that_is_none_is_named(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the name of the variable."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", seconds)
    with pytest.raises(Misconfigured, match="OTEL_EXPORTER_OTLP_TIMEOUT must be"):
        otlp.options()


def test_a_header_that_cannot_be_read_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other headers go along, and one warning says which was left out; it may be a token."""
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b,Authorization: Bearer hunter2, C=d%20e,")
    assert otlp.options().headers == {"a": "b", "c": "d e"}
    (line,) = lines(caplog)
    assert line.startswith("item 2 of OTEL_EXPORTER_OTLP_HEADERS") and "hunter2" not in line
