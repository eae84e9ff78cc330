"""The HTTP front of the store process: ClickHouse's HTTP interface, answered by the embedded engine.

In: requests to ClickHouse's HTTP interface, as clickhouse-connect, clickhouse-go and curl send them, with the password of
one of two users: `USER` owns the store, `READER` only reads. Out: a WSGI application; the engine's answers, block by block
where possible. On failure: ClickHouse's code in ``X-ClickHouse-Exception-Code`` and its message as the body (or, if the
response has started, in the block with which ClickHouse ends such a response). What is not implemented gets code 48 and status 400.

A request without a session gets its own handle, which is discarded afterwards: whatever it sets is gone with it, and requests run
in parallel. Neither statements nor passwords are ever logged.
"""

import json
import logging
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from genesis_otel._serve import room
from genesis_otel._serve.http import compression, login, native_format, response
from genesis_otel._serve.http import request as _request
from genesis_otel._serve.http.guard import (
    ENDS_QUERIES,
    WRITES,
    Guard,
    RefusedError,
    Statement,
    check_format,
    denied,
    unsupported,
)
from genesis_otel._serve.http.hung_up import HungUp
from genesis_otel._serve.http.login import READER, STATEMENT_BYTES, USER
from genesis_otel._serve.http.request import Request
from genesis_otel._serve.http.response import Answer
from genesis_otel._serve.http.sessions import Sessions

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

# Formats whose blocks can be concatenated; any other has a beginning or an end and is produced in one piece.
BLOCKWISE = re.compile(
    "Native|RowBinary|CSV|(?:TabSeparated|TSV)(?:Raw)?|JSON(?:Compact)?EachRow|JSONLines|NDJSON|LineAsString"
)
STATUS = {
    "497": "403 Forbidden",
    "164": "403 Forbidden",
    "516": "403 Forbidden",
    "60": "404 Not Found",
    "81": "404 Not Found",
    "372": "404 Not Found",
    **dict.fromkeys(("36", "40", "48", "62", "115", "271", "354", "373", "374", "456", "457"), "400 Bad Request"),
}
_CODE = re.compile(r"Code: (\d+)\. ?")
_NESTED = re.compile(r"^(?:Streaming (?:query|insert \w+) failed: )?(?:Code: \d+\. DB::Exception: (?=Code: \d+))?")
_SETTING = re.compile(r"[A-Za-z_]\w*")

Headers = list[tuple[str, str]]
Response = tuple[str, Headers, Iterator[bytes]]


class Front:
    """The WSGI application on the engine's folder ``engine``, for clients with a password: ``passwords`` by user."""

    def __init__(self, engine: Path, passwords: Mapping[str, str], before_reading: Callable[[], None]) -> None:
        """Open a first handle, which keeps the engine alive, and ask the engine for its facts.

        :param before_reading: called before a statement that reads, in the request's thread.
        """
        from chdb.state.sqlitelike import Connection

        self._engine = engine
        self._before_reading = before_reading
        self._connect: Callable[[], Any] = lambda: Connection(str(engine))
        self._keep = self._connect()
        self._guard = Guard(_asker(self._keep))
        self._facts = _asker(self._keep)("SELECT version(), timezone()", {}).rstrip("\n").split("\t")
        self._passwords = {user.encode(): password.encode() for user, password in passwords.items()}
        self._sessions = Sessions(self._handle)
        self._hung_up = HungUp(self._command)
        self._lock = Lock()
        self._open = 0
        self._last = time.monotonic()

    def idle_for(self) -> float:
        """Seconds since the last request ended; 0 while one runs."""
        self._sessions.sweep()
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._last

    def close(self) -> None:
        """Close the engine."""
        self._hung_up.close()
        self._sessions.close()
        self._keep.close()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request; never raises."""
        with self._lock:
            self._open += 1
        answer = Answer(self._done)
        try:
            status, headers, answer.body = self._answer(environ, answer)
        except Exception as error:
            answer.close()
            status, headers, content = self._failure(error)
            if _request.frames(environ):  # clickhouse-go looks for it there
                content = compression.framed(content)
            answer = Answer()
            answer.body = iter((content,))
            headers.append(("Content-Length", str(len(content))))
        answer.sent = environ["REQUEST_METHOD"] != "HEAD"
        start_response(status, headers)
        return answer

    def _done(self) -> None:
        with self._lock:
            self._open -= 1
            self._last = time.monotonic()

    def _answer(self, environ: "WSGIEnvironment", answer: Answer) -> Response:
        if environ["REQUEST_METHOD"] not in ("GET", "POST", "HEAD"):
            raise unsupported(f"The method {environ['REQUEST_METHOD']} is not supported here; use GET or POST.")
        path = environ.get("PATH_INFO", "/")
        if path in ("/ping", "/replicas_status") or (
            path == "/" and not environ.get("QUERY_STRING") and _request.length(environ) == 0
        ):
            return "200 OK", [*self._headers(), ("Content-Length", "4")], iter((b"Ok.\n",))
        if path not in ("/", "/query"):
            raise unsupported(f"There is no {path} here; send statements to /.")
        user = self._authenticate(environ)
        request = Request(environ, login.most_of(user))
        if user == READER:
            request.readonly = request.readonly or 2
        if request.session:
            session = self._sessions.take(user, request.session, request.session_timeout, request.session_check)
            answer.closing.append(lambda: self._sessions.give(session))
            handle = session.handle
            judge = self._connect()  # a session's settings must not reach the guard
            answer.closing.append(judge.close)
        else:
            handle = judge = self._handle()
            answer.closing.append(handle.close)
        statement = self._guard.check(request.text, request.parameters, _asker(judge))
        headers = [*self._headers(), ("X-ClickHouse-Query-Id", request.query_id)]
        if WRITES.fullmatch(statement.kind) and (why := room.lacking(self._engine)):
            raise RefusedError(243, "NOT_ENOUGH_SPACE", why)
        self._prepare(handle, request, statement, user, answer)
        if statement.takes_data:
            return self._insert(handle, statement, request, headers)
        if bytes(request.data).strip():
            raise RefusedError(62, "SYNTAX_ERROR", "Data was sent with a statement that takes none.")
        if statement.reads_only:
            is_gone = environ["waitress.client_disconnected"]
            if is_gone():  # while the request waited for a thread
                raise RefusedError(394, "QUERY_WAS_CANCELLED", "The client has hung up.")
            answer.closing.append(self._hung_up.watch(is_gone))
            self._before_reading()
        status, headers, body = self._query(handle, statement, request, headers, answer)
        encoding = _request.encoding(environ)
        if encoding:
            headers = [*_sizeless(headers), ("Content-Encoding", encoding)]
            body = compression.packed(body, encoding)
        return status, headers, body

    def user_of(self, headers: Mapping[str, str]) -> str:
        """The user whose password is in a request's headers, as WSGI names them; empty if there is none."""
        return login.user_of(headers, self._passwords)

    def _authenticate(self, environ: "WSGIEnvironment") -> str:
        user = self.user_of(environ)
        if not user:
            raise RefusedError(
                516,
                "AUTHENTICATION_FAILED",
                f"The store accepts the user '{USER}' with the secret in serve.json in its folder, or with the "
                f"password that it was started with, and '{READER}', who can only read, with another.",
            )
        return user

    def _handle(self) -> Any:
        handle = self._connect()
        # Values of an insert are only values: an expression could call what the guard refuses. Nothing is compiled: by default the
        # engine does that the fourth time a query is asked, for 0.4 s of CPU with `runs`, which a million individuals do not bring back.
        _asker(handle)(
            f"SET max_query_size = {STATEMENT_BYTES}, input_format_values_interpret_expressions = 0, "
            "input_format_values_deduce_templates_of_expressions = 0, "
            "compile_expressions = 0, compile_aggregate_expressions = 0, compile_sort_description = 0",
            {},
        )
        return handle

    def _command(self, sql: str, parameters: Mapping[str, str]) -> None:
        with closing(self._connect()) as handle:
            _asker(handle)(sql, parameters)

    def _prepare(self, handle: Any, request: Request, statement: Statement, user: str, answer: Answer) -> None:
        """Set what the request asks for, and in a session restore it afterwards."""
        ask = _asker(handle)
        check_format(statement.format or request.format)
        self._guard.check_settings(request.settings)
        # A session cannot leave the engine's read-only mode again: one that also writes is restricted by kinds of statements. The
        # engine would let a reader kill queries, which belong to everybody here.
        mixed = bool(request.session) and user != READER
        if request.readonly and (statement.kind == ENDS_QUERIES or (mixed and not statement.reads_only)):
            raise RefusedError(164, "READONLY", "Cannot execute query in readonly mode.")
        if request.revision >= native_format.CUSTOM_SERIALIZATION:
            # In its own format a JSON column does not mark where it ends.
            request.settings.setdefault("output_format_native_write_json_as_string", "1")
        if request.session:
            answer.closing.append(_restorer(ask, request, statement))
        _apply(ask, request)
        if request.readonly and not mixed:
            # The next request of a session could not set anything any more after a 1.
            ask(f"SET readonly = {2 if request.session else request.readonly}", {})

    def _query(self, handle: Any, statement: Statement, request: Request, headers: Headers, answer: Answer) -> Response:
        shape = statement.format or request.format
        native = shape.lower() == "native" and request.revision > 0
        framed = compression.framed if request.framed else None
        if not (statement.streams and BLOCKWISE.fullmatch(shape)):
            result = handle.query(request.text, shape, params=request.parameters)
            content = result.bytes() or b""
            content = native_format.at_revision(content, request.revision) if native else content
            content = framed(content) if framed else content
            if statement.returns_rows:
                headers.append(("X-ClickHouse-Format", shape))
            return (
                "200 OK",
                [*headers, response.summary(result), ("Content-Length", str(len(content)))],
                iter((content,)),
            )
        database = _asker(handle)("SELECT currentDatabase()", {}).strip() if native else ""
        parts = response.results(handle.send_query(request.text, shape, params=request.parameters))
        answer.closing.append(parts.close)
        first = next(parts, None)
        begin: bytes = first.bytes() if first is not None else b""
        pieces: Iterator[bytes] = (part.bytes() for part in parts)
        if native:
            columns = self._columns(statement, request, database, begin)

            def at_revision(block: bytes) -> bytes:
                return native_format.at_revision(block, request.revision, columns, one=True)

            begin = at_revision(begin) if begin else native_format.header(columns, request.revision)
            pieces = response.each(pieces, at_revision)
        if framed:
            begin, pieces = framed(begin), response.each(pieces, framed)
        headers.append(("X-ClickHouse-Format", shape))
        if first is not None:
            headers.append(response.summary(first))
        if request.whole:
            body, size = response.collected(begin, pieces, answer)
            return "200 OK", [*headers, ("Content-Length", str(size))], body
        tag = uuid.uuid4().hex[:16]
        headers.append(("X-ClickHouse-Exception-Tag", tag))
        return "200 OK", headers, response.streamed(begin, pieces, tag, self._text)

    def _columns(
        self, statement: Statement, request: Request, database: str, block: bytes
    ) -> list[native_format.Column]:
        """The result's names and types if its first block does not give them: there is none, or it hides a time zone."""
        heads = native_format.heads(block) if block else []
        if heads and all(column.type != b"DateTime" for column in heads):
            return []
        handle = self._handle()  # the request's own handle is busy with the result
        try:
            ask = _asker(handle)
            request.database = database
            _apply(ask, request)
            told = handle.query(statement.columns, "JSONCompact", params=request.parameters).bytes() or b"{}"
            columns = [native_format.Column(row[0].encode(), row[1].encode()) for row in json.loads(told)["data"]]
        except Exception:  # for example a temporary table of the session: only the zone, or the names, are lost
            return []
        finally:
            handle.close()
        return columns if not heads or [each.name for each in columns] == [each.name for each in heads] else []

    def _insert(self, handle: Any, statement: Statement, request: Request, headers: Headers) -> Response:
        head, settings, told = statement.text.partition("\nSETTINGS ")
        # The data comes as a file: of an insert that it gets in pieces the engine (chDB 26.9) reports success even if a view of the
        # table failed, and the view's rows are lost. Not as text behind the statement: more statements could follow.
        with tempfile.NamedTemporaryFile() as file:
            file.write(request.data)
            file.flush()
            text = (
                f"{head} FROM INFILE {_quoted(file.name)} COMPRESSION 'none'{settings}{told} FORMAT {statement.format}"
            )
            result = handle.query(text, "TabSeparated", params=request.parameters)
        # It reads exactly the rows that it writes.
        summary = json.dumps({"written_rows": str(result.rows_read()), "written_bytes": str(result.bytes_read())})
        return "200 OK", [*headers, ("X-ClickHouse-Summary", summary), ("Content-Length", "0")], iter(())

    def _failure(self, error: Exception) -> tuple[str, Headers, bytes]:
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

    def _headers(self) -> Headers:
        return [
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("X-ClickHouse-Server-Display-Name", "genesis-otel"),
            ("X-ClickHouse-Timezone", self._facts[1]),
        ]


def _apply(ask: Callable[[str, Mapping[str, str]], str], request: Request) -> None:
    if request.database:
        ask("USE " + _name(request.database), {})
    for name in request.settings:
        if not _SETTING.fullmatch(name):
            raise RefusedError(
                115, "UNKNOWN_SETTING", "The name of a setting may only contain letters, digits and underscores."
            )
    # In one statement: each costs 0.2 ms, and an insert has six settings.
    if request.settings:
        ask("SET " + ", ".join(f"{name} = {_quoted(value)}" for name, value in request.settings.items()), {})


def _restorer(
    ask: Callable[[str, Mapping[str, str]], str], request: Request, statement: Statement
) -> Callable[[], None]:
    """Restores a session's settings and database, which a request changes only for itself."""
    before = {}
    for name in request.settings:
        told = ask("SELECT changed, value FROM system.settings WHERE name = {name:String}", {"name": name})
        changed, _, value = told.removesuffix("\n").partition("\t")
        before[name] = _quoted(value) if changed == "1" else "DEFAULT"
    used = statement.kind != "UseQuery" and bool(request.database)
    database = ask("SELECT currentDatabase()", {}).removesuffix("\n") if used else ""

    def restore() -> None:
        for name, value in before.items():
            with suppress(Exception):
                ask(f"SET {name} = {value}", {})
        if database:
            with suppress(Exception):
                ask("USE " + _name(database), {})

    return restore


def _sizeless(headers: Headers) -> Headers:
    return [header for header in headers if header[0] != "Content-Length"]


def _asker(handle: Any) -> Callable[[str, Mapping[str, str]], str]:
    def ask(sql: str, parameters: Mapping[str, str]) -> str:
        content: bytes = handle.query(sql, "TSVRaw", params=dict(parameters)).bytes() or b""
        return content.decode(errors="surrogateescape")

    return ask


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    if "/" in text:
        raise denied("A database named by a path is a folder.")
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
