"""Sends spans to an OpenTelemetry Collector, or anything else that accepts OTLP, over HTTP or gRPC, and waits for confirmation.

In: batches of flat spans; an endpoint, and OpenTelemetry's environment variables for headers, certificates,
compression and timeout. Out: the spans at the collector. Only what an ``ExportTraceServiceResponse`` confirms counts as delivered;
what it rejects is counted. On failure: ``Refused``, ``TooLarge``, ``Misconfigured`` or ``Outage`` of
:mod:`genesis_otel._ship.delivery.contract`, with a text written for users. Connections belong to one process: a forked child makes its own.

OpenTelemetry's own exporters treat any response below 400 as success, ignore responses over gRPC entirely, and retry by
themselves, with a log line per attempt. https://opentelemetry.io/docs/specs/otlp/
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.util.re import parse_env_headers

from genesis_otel._log import first_line, quiet, warn_once
from genesis_otel._ship.delivery.contract import Misconfigured, Outage, Refused, Rejected, TooLarge
from genesis_otel._ship.encoding.codec import Flat, encode, flatten
from genesis_otel._ship.encoding.otlp_bytes import request_body
from genesis_otel._ship.encoding.records import as_flat
from genesis_otel._store.wire import busy, redirected, retry_after
from genesis_otel._urls import split

TIMEOUT = 10.0
"""Seconds to wait for a response if the environment does not say: OpenTelemetry's default."""

BAD_DATA = frozenset({400, 422})
"""Statuses for bodies that are not OTLP or are invalid: the first is OTLP's own."""
HEADERS_LOG = "opentelemetry.util.re"
"""The logger of OpenTelemetry's parser of headers."""
NO_REQUEST = b"\xff"
"""A body that is not protobuf: its tag is truncated."""
RETRYABLE = frozenset({429, 502, 503, 504})
"""Statuses that OTLP defines as retryable."""


class Options(NamedTuple):
    """A collector's settings from the environment."""

    headers: dict[str, str]
    timeout: float
    compression: str
    certificate: str | None
    client_key: str | None
    client_certificate: str | None


def options() -> Options:
    """Read OpenTelemetry's variables; those for traces take precedence over those for all signals.

    :raises Misconfigured: one of them cannot be read.
    """

    def told(name: str) -> str | None:
        return (
            os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None
        )

    compression = (told("COMPRESSION") or "none").strip().lower()
    if compression not in ("none", "gzip", "deflate"):
        raise Misconfigured("OTEL_EXPORTER_OTLP_COMPRESSION must be none, gzip or deflate")
    try:
        timeout = float(told("TIMEOUT") or TIMEOUT)
    except ValueError:
        timeout = 0.0
    if not 0 < timeout < threading.TIMEOUT_MAX:
        raise Misconfigured("OTEL_EXPORTER_OTLP_TIMEOUT must be a number of seconds above 0")
    return Options(
        headers=headers_of(told("HEADERS") or ""),
        timeout=timeout,
        compression=compression,
        certificate=told("CERTIFICATE"),
        client_key=told("CLIENT_KEY"),
        client_certificate=told("CLIENT_CERTIFICATE"),
    )


def headers_of(told: str) -> dict[str, str]:
    """Headers as OpenTelemetry's variable has them, ``name=value`` separated by commas; any other item is left out, with a warning that,
    unlike OpenTelemetry's own, does not show it: it may be a token."""
    found: dict[str, str] = {}
    for number, item in enumerate(told.split(","), 1):
        with quiet(HEADERS_LOG):
            header = parse_env_headers(item, liberal=True)
        if item.strip() and not header:
            warn_once(
                f"header {number}",
                "item %d of OTEL_EXPORTER_OTLP_HEADERS is not name=value and is left out (write special characters as %%XX)",
                number,
            )
        found |= header
    return found


class Transport(Protocol):
    """One way to send an encoded request."""

    def send(self, body: bytes) -> ExportTraceServiceResponse:
        """Send it, and return the response; raises the errors of :mod:`genesis_otel._ship.delivery.contract`."""

    def close(self) -> None:
        """Close the connections."""


class OtlpExporter(SpanExporter):
    """Writes spans to an OTLP endpoint.

    :param connect: creates the transport, in the exporting thread, and again in a forked child (gRPC requires it).
    """

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._pid = 0

    def encode(self, span: ReadableSpan) -> bytes:
        """``span`` as a record that keeps the types of its values, which OTLP has, too."""
        return encode(span)

    def read(self, record: bytes) -> Flat:
        """The flat span of a record; may be called from any thread.

        :raises ValueError: ``record`` is not a span.
        """
        return as_flat(record)

    def prepare(self, spans: Sequence[Flat]) -> bytes:
        """Flat ``spans`` as the body of a request; may be called from any thread."""
        return request_body(spans)

    def send(self, body: bytes) -> Rejected | None:
        """Send a request, and return once the collector has confirmed it.

        :raises Refused: it refuses the content; ``TooLarge``: the size; ``Misconfigured``, ``Outage``: it accepts nothing.
        """
        if self._transport is None or self._pid != os.getpid():
            self._transport, self._pid = self._connect(), os.getpid()
        partial = self._transport.send(body).partial_success
        return Rejected(partial.rejected_spans, partial.error_message) if partial.rejected_spans else None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """:meth:`send` for the SDK's processors."""
        try:
            rejected = self.send(self.prepare([flatten(span) for span in spans]))
        except (Refused, Outage):
            return SpanExportResult.FAILURE
        return SpanExportResult.FAILURE if rejected else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close this process's connections."""
        if self._transport is not None and self._pid == os.getpid():
            self._transport.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Always true: nothing is buffered here."""
        return True


# --- HTTP -------------------------------------------------------------------------------------------------------------


class Http:
    """OTLP over HTTP, as protobuf."""

    def __init__(self, endpoint: str) -> None:
        import requests

        parts, told = split(endpoint), options()
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._where = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
        self._url = f"{self._where}{parts.path}"
        self._timeout, self._compression = told.timeout, told.compression
        self._failures = requests.exceptions
        self._session = requests.Session()
        self._session.headers.update({"Content-Type": "application/x-protobuf", **told.headers})
        self._encoding = {} if told.compression == "none" else {"Content-Encoding": told.compression}
        if parts.username is not None:
            self._session.auth = requests.auth.HTTPBasicAuth(parts.username.encode(), (parts.password or "").encode())
        if told.certificate:
            self._session.verify = told.certificate
        if told.client_certificate:
            self._session.cert = (
                (told.client_certificate, told.client_key) if told.client_key else told.client_certificate
            )

    def send(self, body: bytes) -> ExportTraceServiceResponse:
        """See :class:`Transport`."""
        if self._compression != "none":
            body = gzip.compress(body) if self._compression == "gzip" else zlib.compress(body)
        try:
            answer = self._session.post(
                self._url, data=body, headers=self._encoding, timeout=self._timeout, allow_redirects=False
            )
        except self._failures.Timeout as error:
            raise Outage(f"the collector at {self._where} did not answer within {self._timeout:.0f} s") from error
        except self._failures.SSLError as error:
            raise Outage(no_tls(self._where, error)) from error
        except self._failures.RequestException as error:
            raise Outage(unreachable(self._where, error)) from error
        return self._judged(answer.status_code, answer.headers, answer.content)

    def _judged(self, status: int, headers: Any, body: bytes) -> ExportTraceServiceResponse:
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        place = f"the collector at {self._where}"
        if status == 200 and not kind and not body:
            # As protobuf that means no rejections, and some OTLP receivers leave the type out; but so do proxies.
            if not self._reads():
                raise Misconfigured(
                    f"{place} answers with nothing, not even a Content-Type, whatever it is sent: there is a proxy in front of it, "
                    "or the endpoint belongs to another server"
                )
            return ExportTraceServiceResponse()
        if status == 200:
            try:
                return response_of(kind, body)
            except ValueError:
                what = "a web page" if kind == "text/html" else f"{kind or 'nothing'} and not with OTLP"
                raise Misconfigured(
                    f"{place} answered with {what}: there is a login page or a proxy in front of it, or the endpoint belongs to another server"
                ) from None
        if 300 <= status < 400:
            raise Misconfigured(redirected(self._where, headers.get("Location", "")))
        if status == 413:
            raise TooLarge(f"{place} answered 413: the request is too large for it or for a proxy in front of it")
        if status in BAD_DATA and kind != "text/html":
            why = reason_of(kind, body)
            # The collector's own limit (max_request_body_size) has the status of bad data.
            if "too large" in why:
                raise TooLarge(f"{place} answered {status}: {why}")
            raise Refused(f"{place} answered with HTTP status {status}, bad data{why and ': '}{why}")
        if status in RETRYABLE or status >= 500:
            after = retry_after(headers) if status in RETRYABLE else 0.0
            raise Outage(
                busy(place, status, after) if after else f"{place} answered with HTTP status {status}", after=after
            )
        remedy = {
            401: ": check OTEL_EXPORTER_OTLP_HEADERS",
            403: ": check OTEL_EXPORTER_OTLP_HEADERS",
            404: ": check the path of the endpoint, /v1/traces by default",
            405: ": is the endpoint another server's, or the gRPC port?",
        }
        raise Misconfigured(f"{place} answered with HTTP status {status}{remedy.get(status, '')}")

    def _reads(self) -> bool:
        """Whether the server reads the body: an OTLP receiver has to refuse one that is not OTLP."""
        try:
            answer = self._session.post(self._url, data=NO_REQUEST, timeout=self._timeout, allow_redirects=False)
        except self._failures.RequestException as error:
            raise Outage(unreachable(self._where, error)) from error
        return answer.status_code in BAD_DATA

    def close(self) -> None:
        """See :class:`Transport`."""
        self._session.close()


def response_of(kind: str, body: bytes) -> ExportTraceServiceResponse:
    """A collector's response, parsed from protobuf or JSON.

    :raises ValueError: it is not a response to an export of spans.
    """
    from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    answer = ExportTraceServiceResponse()
    if kind == "application/x-protobuf":
        try:
            answer.ParseFromString(body)
            return answer
        except DecodeError as error:
            raise ValueError("not this protobuf message") from error
    if kind == "application/json":
        try:
            told = json.loads(body)
            ParseDict(told, answer, ignore_unknown_fields=True)
            if told and not told.keys() & {"partialSuccess", "partial_success"}:
                raise ValueError("JSON of another kind")
            return answer
        except (ParseError, AttributeError, TypeError) as error:
            raise ValueError("not JSON of this kind") from error
    raise ValueError("neither protobuf nor JSON")


def reason_of(kind: str, body: bytes) -> str:
    """Why a collector refuses a request: the message of the ``Status`` that it answers with; empty if there is none."""
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

    try:
        told = json.loads(body) if kind == "application/json" else None
        message = told.get("message") if isinstance(told, dict) else Status.FromString(body).message if kind else ""
    except (DecodeError, ValueError, RecursionError):
        return ""
    return first_line(Exception(message)) if isinstance(message, str) and message else ""


def unreachable(place: str, error: Exception) -> str:
    """Why nothing was sent, in plain words instead of a library's."""
    text = str(error)
    if "refused" in text:
        return f"Connection refused at {place}: is the collector running, and is the port right?"
    if "Connection aborted" in text:
        return (
            f"the server at {place} closed the connection without an answer: is it the gRPC port (4317)? "
            "If so, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
        )
    if any(each in text for each in ("resolve", "Name or service", "nodename")):
        return f"the host of {place} is unknown"
    return f"the collector at {place} cannot be reached: {type(error).__name__}"


def no_tls(place: str, error: Exception) -> str:
    """Why TLS failed, and what to do if the server speaks none."""
    if "WRONG_VERSION_NUMBER" in str(error):
        return f"the server at {place} does not speak TLS: set an endpoint that begins with http://, or another port"
    return f"TLS with the collector at {place} failed: {first_line(error)}"


# --- gRPC -------------------------------------------------------------------------------------------------------------


class Grpc:
    """OTLP over gRPC."""

    def __init__(self, endpoint: str) -> None:
        import grpc  # type: ignore[import-untyped]

        parts, told = split(endpoint), options()
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._where = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._timeout = told.timeout
        self._headers = tuple((name.lower(), value) for name, value in told.headers.items())
        self._codes, self._error = grpc.StatusCode, grpc.RpcError
        packed = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(told.compression)
        try:
            if parts.scheme == "https":
                credentials = grpc.ssl_channel_credentials(
                    *(
                        Path(file).read_bytes() if file else None
                        for file in (told.certificate, told.client_key, told.client_certificate)
                    )
                )
                self._channel = grpc.secure_channel(self._where, credentials, compression=packed)
            else:
                self._channel = grpc.insecure_channel(self._where, compression=packed)
        except OSError as error:
            raise Misconfigured(
                f"a certificate named by OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read: {error.strerror}"
            ) from error
        self._export = self._channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            response_deserializer=ExportTraceServiceResponse.FromString,
        )

    def send(self, body: bytes) -> ExportTraceServiceResponse:
        """See :class:`Transport`."""
        try:
            answer: ExportTraceServiceResponse = self._export(body, metadata=self._headers, timeout=self._timeout)
        except self._error as error:
            raise self._judged(error) from error
        return answer

    def _judged(self, error: Any) -> Exception:
        code, codes, place = error.code(), self._codes, f"the collector at {self._where} (gRPC)"
        details = first_line(Exception(error.details() or ""))
        if code is codes.INVALID_ARGUMENT:
            return Refused(f"{place} answered INVALID_ARGUMENT{details and ': '}{details}")
        if code is codes.RESOURCE_EXHAUSTED and "larger than max" in details:
            return TooLarge(f"{place} does not accept a message of this size")
        if code is codes.DEADLINE_EXCEEDED:
            return Outage(f"{place} did not answer within {self._timeout:.0f} s")
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return Misconfigured(f"{place} answered {code.name}: check OTEL_EXPORTER_OTLP_HEADERS")
        # If a web server or OTLP's HTTP port answers, gRPC reports UNAVAILABLE or UNKNOWN, with a status or what it could not parse.
        if code is codes.UNIMPLEMENTED or "parsing HTTP/2" in details or "HTTP status code" in details:
            return Misconfigured(
                f"the server at {self._where} does not speak OTLP over gRPC ({code.name}): is it the HTTP port (4318)? "
                "If so, set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            )
        if "WRONG_VERSION_NUMBER" in details:
            return Outage(no_tls(self._where, Exception(details)))
        if code is codes.UNAVAILABLE and "refused" in details:
            return Outage(f"Connection refused at {self._where}: is the collector running, and is the port right?")
        return Outage(f"{place} answered {code.name}: {details}", after=_delay(error))

    def close(self) -> None:
        """See :class:`Transport`."""
        self._channel.close()


def _delay(error: Any) -> float:
    """Seconds after which an error's ``RetryInfo`` asks to retry; 0 if it has none."""
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
    from google.rpc.status_pb2 import Status

    info = RetryInfo()
    try:
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                for detail in Status.FromString(value).details:
                    if detail.Unpack(info):
                        return max(0.0, float(info.retry_delay.ToTimedelta().total_seconds()))
    except (DecodeError, ValueError, OverflowError):
        pass
    return 0.0


def exporter(endpoint: str, protocol: str) -> OtlpExporter:
    """An exporter for an endpoint, whose protocol is ``grpc`` or ``http/protobuf``."""
    return OtlpExporter(lambda: Grpc(endpoint) if protocol == "grpc" else Http(endpoint))
