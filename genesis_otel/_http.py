"""The HTTP front of the store process: what clickhouse-connect speaks, answered by the embedded engine.

In: requests of ClickHouse's HTTP interface from loopback, with the store's secret as password. Out: a WSGI application;
the engine's answers, block by block where it can. On failure: ClickHouse's code in ``X-ClickHouse-Exception-Code`` and
its message as the body (or, when the answer has begun, in the block that ClickHouse ends such an answer with). What is
not built answers with code 48 and status 400, which no client tries again.

Every request has a handle of its own, thrown away behind it: what it sets is gone with it, and requests run side by side.
Neither statements nor the secret are ever logged.
"""

import base64
import hmac
import json
import logging
import re
import sys
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from genesis_otel._statements import (
    Guard,
    RefusedError,
    Statement,
    check_format,
    check_settings,
    denied,
    split_data,
    unsupported,
)

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

USER = "genesis"
BODY_BYTES = 256 << 20
"""Largest body of a request, and largest that it may become unpacked: a batch of spans is 16 MiB."""
QUERY_BYTES = 16 << 20
"""Largest statement; the engine's own limit (256 KiB) counts bound values too."""
PIECE = 1 << 20
THREADS = 8

# Parameters of the URL that are the protocol's, not settings of the engine.
PROTOCOL = re.compile(
    r"query|query_id|quota_key|database|default_format|session_\w+|user|password|role|readonly|buffer_size|wait_end_of_query"
    r"|client_protocol_version|compress|decompress|enable_http_compression|send_progress_in_http_headers"
    r"|http_headers_progress_interval_ms|cancel_http_readonly_queries_on_client_close|param_.*"
)
# Formats whose blocks may simply follow each other; any other has a beginning or an end and is made in one piece.
BLOCKWISE = re.compile(
    "Native|RowBinary|CSV|(?:TabSeparated|TSV)(?:Raw)?|JSON(?:Compact)?EachRow|JSONLines|NDJSON|LineAsString"
)
STATUS = {
    "497": "403 Forbidden",
    "164": "403 Forbidden",
    "516": "403 Forbidden",
    "60": "404 Not Found",
    "81": "404 Not Found",
    "62": "400 Bad Request",
    "48": "400 Bad Request",
    "36": "400 Bad Request",
    "115": "400 Bad Request",
    "456": "400 Bad Request",
    "457": "400 Bad Request",
}
_CODE = re.compile(r"Code: (\d+)\. ?")
_NESTED = re.compile(r"^(?:Streaming (?:query|insert \w+) failed: )?(?:Code: \d+\. DB::Exception: (?=Code: \d+))?")
_SETTING = re.compile(r"[A-Za-z_]\w*")


class Front:
    """The WSGI application on the engine's folder ``engine``, for those who know ``secret``."""

    def __init__(self, engine: Path, secret: str) -> None:
        """Open a first handle, which keeps the engine alive, and learn what it knows."""
        from chdb.state.sqlitelike import Connection

        self._connect: Callable[[], Any] = lambda: Connection(str(engine))
        self._keep = self._connect()
        self._guard = Guard(_asker(self._keep))
        self._facts = _asker(self._keep)("SELECT version(), timezone()", {}).rstrip("\n").split("\t")
        self._secret = secret.encode()
        self._lock = Lock()
        self._open = 0
        self._last = time.monotonic()

    def idle_for(self) -> float:
        """Seconds since the last request ended; 0 while one runs."""
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._last

    def close(self) -> None:
        """Let go of the engine."""
        self._keep.close()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request; never raises."""
        with self._lock:
            self._open += 1
        answer = _Answer(self._done)
        try:
            status, headers, body = self._answer(environ, answer)
        except Exception as error:
            answer.close()
            status, headers, content = self._failure(error)
            answer, body = _Answer(lambda: None), iter((content,))
            headers.append(("Content-Length", str(len(content))))
        if environ["REQUEST_METHOD"] == "HEAD":
            body = iter(())
        start_response(status, headers)
        answer.body = body
        return answer

    def _done(self) -> None:
        with self._lock:
            self._open -= 1
            self._last = time.monotonic()

    def _answer(
        self, environ: "WSGIEnvironment", answer: "_Answer"
    ) -> tuple[str, list[tuple[str, str]], Iterator[bytes]]:
        if environ["REQUEST_METHOD"] not in ("GET", "POST", "HEAD"):
            raise unsupported(f"The method {environ['REQUEST_METHOD']} is not answered here; use GET or POST.")
        path = environ.get("PATH_INFO", "/")
        if path in ("/ping", "/replicas_status") or (
            path == "/" and not environ.get("QUERY_STRING") and _length(environ) == 0
        ):
            return "200 OK", [*self._headers(), ("Content-Length", "4")], iter((b"Ok.\n",))
        if path not in ("/", "/query"):
            raise unsupported(f"There is no {path} here; statements go to /.")
        self._authenticate(environ)
        request = _Request(environ)
        handle = self._connect()
        answer.closing.append(handle.close)
        return self._run(handle, request, answer)

    def _authenticate(self, environ: "WSGIEnvironment") -> None:
        user, key = environ.get("HTTP_X_CLICKHOUSE_USER", ""), environ.get("HTTP_X_CLICKHOUSE_KEY", "")
        scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "basic":
            with suppress(ValueError):
                user, _, key = base64.b64decode(value, validate=True).decode().partition(":")
        # Both are compared in any case, in constant time.
        known = hmac.compare_digest(user.encode(errors="replace"), USER.encode())
        if not (hmac.compare_digest(key.encode(errors="replace"), self._secret) & known):
            raise RefusedError(
                516,
                "AUTHENTICATION_FAILED",
                f"The store takes the user '{USER}' with the secret that stands in serve.json in its folder.",
            )

    def _run(
        self, handle: Any, request: "_Request", answer: "_Answer"
    ) -> tuple[str, list[tuple[str, str]], Iterator[bytes]]:
        ask = _asker(handle)
        # Values of an insert are values: an expression among them could call what the guard refuses.
        ask(
            f"SET max_query_size = {QUERY_BYTES}, input_format_values_interpret_expressions = 0, "
            "input_format_values_deduce_templates_of_expressions = 0",
            {},
        )
        statement = self._guard.check(request.text, request.parameters, ask)
        shape = statement.format or request.format
        check_format(shape)
        check_settings(request.settings)
        if request.database:
            ask("USE " + _name(request.database), {})
        for name, value in request.settings.items():
            if not _SETTING.fullmatch(name):
                raise RefusedError(115, "UNKNOWN_SETTING", "The name of a setting is letters, digits and underscores.")
            ask(f"SET {name} = {_quoted(value)}", {})
        if request.readonly:
            ask(f"SET readonly = {request.readonly}", {})
        headers = [*self._headers(), ("X-ClickHouse-Query-Id", request.query_id)]
        if statement.takes_data:
            return self._insert(handle, statement, request, headers)
        if request.data.strip():
            raise RefusedError(62, "SYNTAX_ERROR", "Data came with a statement that takes none.")
        if statement.streams and BLOCKWISE.fullmatch(shape):
            blocks = _blocks(handle.send_query(request.text, shape, params=request.parameters))
            first = next(blocks, b"")
            tag = uuid.uuid4().hex[:16]
            headers += [("X-ClickHouse-Format", shape), ("X-ClickHouse-Exception-Tag", tag)]
            return "200 OK", headers, self._stream(first, blocks, tag)
        result = handle.query(request.text, shape, params=request.parameters)
        content = result.bytes() or b""
        if statement.returns_rows:
            headers.append(("X-ClickHouse-Format", shape))
        headers += [("X-ClickHouse-Summary", _summary(result)), ("Content-Length", str(len(content)))]
        return "200 OK", headers, iter((content,))

    def _insert(
        self, handle: Any, statement: Statement, request: "_Request", headers: list[tuple[str, str]]
    ) -> tuple[str, list[tuple[str, str]], Iterator[bytes]]:
        inserter = handle.send_insert(statement.text, statement.format)
        try:
            for start in range(0, len(request.data), PIECE):
                inserter.append(request.data[start : start + PIECE])
            result = inserter.finish()
        except BaseException:
            with suppress(Exception):
                inserter.cancel()
            raise
        summary = json.dumps({"written_rows": str(result.rows_written), "written_bytes": str(result.bytes_written)})
        return "200 OK", [*headers, ("X-ClickHouse-Summary", summary), ("Content-Length", "0")], iter(())

    def _stream(self, first: bytes, blocks: Iterator[bytes], tag: str) -> Iterator[bytes]:
        yield first
        try:
            yield from blocks
        except Exception as error:
            text = self._text(error).encode()
            mark = tag.encode()
            yield b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n" % (mark, text, len(text) + 1, mark)

    def _failure(self, error: Exception) -> tuple[str, list[tuple[str, str]], bytes]:
        text = self._text(error)
        found = _CODE.search(text)
        code = found[1] if found else "1001"
        if not found:
            log.error("a request failed in the store process: %s", type(error).__name__)
        headers = [*self._headers(), ("X-ClickHouse-Exception-Code", code)]
        return STATUS.get(code, "500 Internal Server Error"), headers, f"{text}\n".encode()

    def _text(self, error: Exception) -> str:
        text = _NESTED.sub("", str(error), count=1).strip()
        if not _CODE.search(text):
            text = f"Code: 1001. DB::Exception: {type(error).__name__} in the store process. (STD_EXCEPTION)"
        return text if "(version " in text else f"{text} (version {self._facts[0]})"

    def _headers(self) -> list[tuple[str, str]]:
        return [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("X-ClickHouse-Server-Display-Name", "genesis-otel"),
            ("X-ClickHouse-Timezone", self._facts[1]),
        ]


class _Answer:
    """The body of an answer; closing it, which the server does in any case, lets go of the handle."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.body: Iterator[bytes] = iter(())
        self.closing: list[Callable[[], None]] = [done]

    def __iter__(self) -> Iterator[bytes]:
        return self.body

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        if close is not None:
            close()
        while self.closing:
            self.closing.pop()()


class _Request:
    """What a request asks for, taken apart."""

    def __init__(self, environ: "WSGIEnvironment") -> None:
        url = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        body = _body(environ)
        kind = environ.get("CONTENT_TYPE", "")
        if kind.lower().startswith("multipart/form-data"):
            fields, body = _form(kind, body), b""
            url = {**url, **fields}
        if url.get("compress") == "1" or url.get("decompress") == "1":
            raise unsupported("ClickHouse's own compression of blocks is not spoken here; use Content-Encoding.")
        request = url["query"].encode() + (b"\n" + body if body else b"") if "query" in url else body
        statement, self.data = split_data(request)
        try:
            self.text = statement.decode()
        except UnicodeDecodeError:
            raise unsupported("Statements are UTF-8 here; bind binary values as parameters.") from None
        if not self.text.strip():
            raise RefusedError(62, "SYNTAX_ERROR", "The request holds no statement.")
        self.parameters = {name[6:]: value for name, value in url.items() if name.startswith("param_")}
        self.settings = {name: value for name, value in url.items() if not PROTOCOL.fullmatch(name)}
        self.database = url.get("database") or environ.get("HTTP_X_CLICKHOUSE_DATABASE", "")
        self.format = url.get("default_format") or environ.get("HTTP_X_CLICKHOUSE_FORMAT", "") or "TabSeparated"
        self.query_id = re.sub(r"[^\w.:-]", "", url.get("query_id", ""))[:64] or str(uuid.uuid4())
        # As in ClickHouse, a GET only reads. `2` lets settings change, which are set before; the engine enforces both.
        asked = url.get("readonly", "0")
        if asked not in ("0", "1", "2"):
            raise RefusedError(36, "BAD_ARGUMENTS", "readonly is 0, 1 or 2.")
        self.readonly = int(asked) or (2 if environ["REQUEST_METHOD"] == "GET" else 0)


def _length(environ: "WSGIEnvironment") -> int:
    return int(environ.get("CONTENT_LENGTH") or 0)


def _body(environ: "WSGIEnvironment") -> bytes:
    """The body, unpacked; bounded in both forms."""
    if _length(environ) > BODY_BYTES:
        raise RefusedError(307, "TOO_MANY_BYTES", f"A request has at most {BODY_BYTES} bytes here.")
    packed: bytes = environ["wsgi.input"].read(BODY_BYTES + 1)
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").lower()
    if encoding in ("", "identity"):
        body = packed
    else:
        try:
            body = _unpacked(packed, encoding)
        except RefusedError:
            raise
        except Exception as error:
            raise RefusedError(354, "ZLIB_INFLATE_FAILED", f"The {encoding} body cannot be unpacked.") from error
    if len(body) > BODY_BYTES:
        raise RefusedError(307, "TOO_MANY_BYTES", f"A request has at most {BODY_BYTES} bytes here, unpacked.")
    return body


def _unpacked(packed: bytes, encoding: str) -> bytes:
    if encoding in ("gzip", "deflate"):
        return zlib.decompressobj(47 if encoding == "gzip" else 15).decompress(packed, BODY_BYTES + 1)
    if encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(packed, BODY_BYTES + 1))
    if encoding == "zstd":
        zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        return bytes(zstd.ZstdDecompressor().decompress(packed, BODY_BYTES + 1))
    raise unsupported(f"The encoding '{encoding}' is not spoken here; use lz4, zstd, gzip or deflate.")


def _form(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a form: clickhouse-connect sends long parameters so."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() or not isinstance(name, str):
            raise unsupported("External data is not taken here; insert it into a table.")
        payload = part.get_payload(decode=True)
        fields[name] = payload.decode() if isinstance(payload, bytes) else ""
    return fields


def _asker(handle: Any) -> Callable[[str, Mapping[str, str]], str]:
    def ask(sql: str, parameters: Mapping[str, str]) -> str:
        content: bytes = handle.query(sql, "TSVRaw", params=dict(parameters)).bytes() or b""
        return content.decode(errors="surrogateescape")

    return ask


def _blocks(stream: Any) -> Iterator[bytes]:
    with stream:
        for block in stream:
            content = block.bytes()
            if content:
                yield content


def _summary(result: Any) -> str:
    return json.dumps(
        {
            "read_rows": str(result.storage_rows_read()),
            "read_bytes": str(result.storage_bytes_read()),
            "written_rows": str(result.rows_written()),
            "written_bytes": str(result.bytes_written()),
            "result_rows": str(result.rows_read()),
            "elapsed_ns": str(int(result.elapsed() * 1e9)),
        }
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    if "/" in text:
        raise denied("A database named by a path is a folder.")
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
