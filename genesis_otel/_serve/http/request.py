"""A request to ClickHouse's HTTP interface, parsed.

In: a WSGI environment. Out: a `Request`: the statement, its data, parameters, settings, and the form of the answer.
On failure: `RefusedError`, for a body that is too large or damaged, and for what is not supported here.
"""

import re
import uuid
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from genesis_otel._serve.http import compression, native_format
from genesis_otel._serve.http.guard import RefusedError, split_data, unsupported

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

# URL parameters that belong to the protocol and are not settings of the engine.
PROTOCOL = re.compile(
    r"query|query_id|quota_key|database|default_format|session_(?:id|timeout|check)|user|password|role|readonly|buffer_size|wait_end_of_query"
    r"|client_protocol_version|compress|decompress|enable_http_compression|send_progress_in_http_headers"
    r"|http_headers_progress_interval_ms|cancel_http_readonly_queries_on_client_close|param_.*"
)
YES = ("1", "true")
_LONE_BYTE = re.compile("[\udc80-\udcff]")


class Request:
    """What a request asks for."""

    def __init__(self, environ: "WSGIEnvironment", most: int) -> None:
        """Read and decompress the whole body: at most ``most`` bytes, compressed or not."""
        url = _fields(environ.get("QUERY_STRING", ""))
        body = _body(environ, most)
        kind = environ.get("CONTENT_TYPE", "")
        if kind.lower().startswith("multipart/form-data"):
            fields, body = _form(kind, body), b""
            url = {**url, **fields}
        elif url.get("decompress") in YES:
            body = compression.unframed(bytes(body), most)
        if "role" in url:
            raise unsupported("The store has no roles.")
        statement, self.data = split_data(body, url.get("query", "").encode())
        try:
            self.text = statement.decode()
        except UnicodeDecodeError:
            raise unsupported("Statements must be UTF-8 here; bind binary values as parameters.") from None
        if not self.text.strip():
            raise RefusedError(62, "SYNTAX_ERROR", "The request contains no statement.")
        self.parameters = {name[6:]: value for name, value in url.items() if name.startswith("param_")}
        self.settings = {name: value for name, value in url.items() if not PROTOCOL.fullmatch(name)}
        self.database = url.get("database") or environ.get("HTTP_X_CLICKHOUSE_DATABASE", "")
        self.format = url.get("default_format") or environ.get("HTTP_X_CLICKHOUSE_FORMAT", "") or "TabSeparated"
        self.query_id = re.sub(r"[^\w.:-]", "", url.get("query_id", ""))[:64] or str(uuid.uuid4())
        self.session = url.get("session_id", "")
        self.session_timeout = url.get("session_timeout", "")
        self.session_check = url.get("session_check") in YES
        self.whole = url.get("wait_end_of_query") in YES
        self.framed = url.get("compress") in YES
        self.revision = _revision(url.get("client_protocol_version", ""))
        # As in ClickHouse, a GET only reads. `2` lets settings change, which happens first; the engine enforces both.
        asked = url.get("readonly", "0")
        if asked not in ("0", "1", "2"):
            raise RefusedError(36, "BAD_ARGUMENTS", "readonly must be 0, 1 or 2.")
        self.readonly = int(asked) or (2 if environ["REQUEST_METHOD"] in ("GET", "HEAD") else 0)


def frames(environ: "WSGIEnvironment") -> bool:
    """Whether the answer, or an error, should come in ClickHouse's frames."""
    return dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("compress") in YES


def encoding(environ: "WSGIEnvironment") -> str:
    """The ``Content-Encoding`` that the client wants its answer in."""
    url = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    wanted = url.get("enable_http_compression") in YES and url.get("compress") not in YES
    return compression.chosen(environ.get("HTTP_ACCEPT_ENCODING", "")) if wanted else ""


def length(environ: "WSGIEnvironment") -> int:
    """The body's size as sent."""
    return int(environ.get("CONTENT_LENGTH") or 0)


def _fields(query: str) -> dict[str, str]:
    """What the URL says; bytes of a parameter that are not UTF-8 are escaped, as the engine reads them."""
    url = dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
    for name in url:
        if name.startswith("param_"):
            url[name] = _LONE_BYTE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", url[name])
        if _LONE_BYTE.search(name + url[name]):
            raise unsupported("A URL must be UTF-8 here; bind binary values as parameters.")
    return url


def _revision(text: str) -> int:
    """The protocol revision for Native answers; 0 if the client names none."""
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,18}", text):
        raise RefusedError(36, "BAD_ARGUMENTS", "client_protocol_version must be a number.")
    revision = int(text)
    if 0 < revision < native_format.LOWEST:
        raise unsupported(f"Clients older than protocol revision {native_format.LOWEST} are not supported here.")
    return revision


def _body(environ: "WSGIEnvironment", most: int) -> bytes | bytearray:
    """The body without its Content-Encoding, limited both as sent and decompressed."""
    if length(environ) > most:
        raise RefusedError(307, "TOO_MANY_BYTES", f"A request may have at most {most} bytes here.")
    packed: bytes = environ["wsgi.input"].read(most + 1)
    body = compression.unpacked(packed, environ.get("HTTP_CONTENT_ENCODING", "").lower(), most)
    if len(body) > most:
        raise compression.too_large(most)
    return body


def _form(kind: str, body: bytes | bytearray) -> dict[str, str]:
    """The fields of a form: clickhouse-connect sends long parameters that way."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None or not isinstance(name, str):
            raise unsupported("External data is not supported here; insert it into a table.")
        payload = part.get_payload(decode=True)
        fields[name] = payload.decode() if isinstance(payload, bytes) else ""
    return fields
