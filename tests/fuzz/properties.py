"""What holds for arbitrary input: properties of spans, ``ch_logger``, the HTTP front, spools, redaction, URLs and a
collector's answers.

In: values from hypothesis. Out: nothing, if the property holds. On failure: AssertionError, or the exception that
should not have been raised.
"""

from __future__ import annotations

import contextlib
import http.client
import inspect
import itertools
import json
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from hypothesis import strategies as st

import genesis_otel
from genesis_otel import clickhouse_logger
from genesis_otel._ship.delivery.contract import Outage, Refused
from genesis_otel._ship.delivery.otlp import Http
from genesis_otel._ship.encoding.codec import decode, encode
from genesis_otel._ship.finish import LLMSpanProcessor
from genesis_otel._ship.redaction import redact
from genesis_otel._ship.spool import layout
from genesis_otel._ship.spool.queue import take
from genesis_otel._ship.spool.status import status
from genesis_otel._ship.spool.writer import Writer
from genesis_otel._urls import UrlError, hidden, shown, split
from tests.ship.test_redact import TEXTS
from tests.support.pipeline import PASSWORD, READER, Store, running
from tests.support.recording import Recorded, hostile_values, record, turn_off
from tests.support.secret_corpus import SECRETS


class Ground(NamedTuple):
    """The objects on which properties are tried."""

    recorded: Recorded
    store: Store


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    """A provider whose spans are kept in memory, behind the processor that redacts, and a store process."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        turn_off(patch)
        recorded = record(patch, through=lambda inner: LLMSpanProcessor(inner, redact=redact.redactor()))
        store = Store(Path(folder) / "store")
        with running(store):
            yield Ground(recorded, store)


# --- values -----------------------------------------------------------------------------------------------------------


class Worst(NamedTuple):
    """One of the worst values, by its number, since it cannot even be printed."""

    at: int


def meant(value: Any) -> Any:
    """The value itself."""
    return hostile_values()[value.at] if isinstance(value, Worst) else value


TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.binary(max_size=20)
    | st.datetimes()
    | st.timedeltas()
    | st.complex_numbers()
    | st.builds(Worst, st.integers(0, len(hostile_values()) - 1))
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers() | st.none(), inner, max_size=4)
        | st.sets(st.integers() | TEXT, max_size=3)
    ),
    max_leaves=8,
)


def kept(ground: Ground) -> None:
    """Every span that has ended can be written and read again, with its names."""
    for span in ground.recorded.spans:
        again = decode(encode(span))
        assert again.name == span.name and set(again.attributes or {}) == set(span.attributes or {})
    ground.recorded.exporter.clear()


# --- properties -------------------------------------------------------------------------------------------------------


def spans(ground: Ground, values: list[Any], fails: bool) -> None:
    """Whatever a search records, nothing is raised into it, and each span ends and can be stored."""

    given = itertools.cycle(values)

    def value() -> Any:
        return meant(next(given))

    with (
        contextlib.suppress(InterruptedError),
        genesis_otel.run(value(), config=value(), population_size=value()) as run,
    ):
        with run.generation(value()) as generation, generation.individual(value(), parents=value()) as individual:
            with individual.llm_call(value(), messages=value(), metadata=value()) as call:
                call.response(value(), input_tokens=value(), output_tokens=value(), cost=value())
            with individual.evaluation(job_id=value()) as evaluation:
                evaluation.result(correct=value(), combined_score=value())
            individual.record(fitness=value(), metrics=value(), code=value(), island=value(), edit_summary=value())
            generation.pareto_front(value())
            genesis_otel.action(value(), value(), metadata=value())
            genesis_otel.lineage(child_id=value(), parent_id=value(), mutation_type=value())
        if fails:
            raise InterruptedError(value())
    names = [span.name.partition(" ")[0] for span in ground.recorded.spans]
    assert {"run", "run.start", "generation", "individual", "evaluation"} <= set(names)
    kept(ground)


LOGGER = clickhouse_logger.ClickHouseLogger
CALLS = [
    name for name, each in vars(LOGGER).items() if inspect.isfunction(each) and name.startswith(("log_", "update_"))
]


def logger(ground: Ground, name: str, values: list[Any]) -> None:
    """No call of ``ch_logger`` raises, whatever its arguments."""
    call = getattr(LOGGER(), name)
    call(**dict(zip(inspect.signature(call).parameters, map(meant, values), strict=False)))
    kept(ground)


FRAGMENTS = st.sampled_from(
    [
        *[
            "SELECT",
            "*",
            "FROM",
            "otel_traces",
            "file('/etc/passwd')",
            "url('http://127.0.0.1:1')",
            "remote('h', system.one)",
            "INSERT INTO",
        ],
        *[
            "t",
            "VALUES",
            "(1)",
            ";",
            "--",
            "/*",
            "*/",
            "'",
            '"',
            "`",
            "\\",
            "WITH",
            "AS",
            "(",
            ")",
            ",",
            "SETTINGS",
            "readonly=0",
            "FORMAT",
            "Native",
            "JSON",
            "SYSTEM",
            "SHUTDOWN",
            "EXPLAIN",
        ],
        *[
            "system.users",
            "INTO OUTFILE '/tmp/x'",
            "DESCRIBE",
            "SHOW",
            "UNION ALL",
            "{x:String}",
            "1",
            "NULL",
            "executable('x', 'TSV', 'a Int')",
            "\x00",
        ],
    ]
)


def front(
    ground: Ground, method: str, path: str, settings: Mapping[str, str], user: str, parts: list[str], data: bytes
) -> None:
    """Every HTTP request is answered, and the store answers the next one."""
    body = " ".join(parts).encode(errors="surrogateescape") + data
    password = {"genesis": PASSWORD, "reader": READER}.get(user, "wrong")
    key = b64encode(f"{user}:{password}".encode()).decode()
    _ask(ground.store, method, f"/{quote(path)}?{urlencode(settings)}", body, {"Authorization": f"Basic {key}"})
    key = b64encode(f"genesis:{PASSWORD}".encode()).decode()
    told = _ask(ground.store, "POST", "/", b"SELECT 1 + 1", {"Authorization": f"Basic {key}"})
    assert told == (200, b"2\n"), told


def _ask(store: Store, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def spool(ground: Ground, records: list[bytes], edits: list[tuple[int, int, bytes]], cut: bytes | None) -> None:
    """Whatever happens to a queue's files, draining terminates; what comes out is what went in, once, and missing spans
    are counted."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        unique = [b"%d " % at + record for at, record in enumerate(records)]
        with contextlib.closing(Writer(folder, segment_bytes=200, spool_bytes=1 << 20)) as writer:
            for record in unique:
                writer.append(record)
        for which, at, new in edits:
            segments = sorted(folder.glob("q2-*/*.seg"))
            segment = segments[which % len(segments)]
            data = bytearray(segment.read_bytes())
            if new:
                data[at % (len(data) + 1) : at % (len(data) + 1) + len(new)] = new
            else:
                del data[at % (len(data) + 1) :]
            segment.write_bytes(data)
        if cut is not None:
            (folder / writer.id / "cut").write_bytes(cut)
        found: list[bytes] = []
        for _ in range(2):
            for name in layout.queues(folder):
                taken = take(folder, name)
                assert taken is not None
                while batch := taken.next(3, 100):
                    found += batch.records
                    taken.done(batch)
                taken.release()
        assert len(set(found)) == len(found) and set(found) <= set(unique)
        if cut is None:
            assert status(folder).dropped == len(unique) - len(found)


def redaction(ground: Ground, before: str, which: int, after: str) -> None:
    """A recognised secret is recognised wherever it is on lines of its own, redacting twice changes nothing more, and
    JSON stays JSON."""
    secret = SECRETS[which % len(SECRETS)]
    whole = json.dumps({"text": f"{before}\n{secret.text}\n{after}"})
    assert set(json.loads(redact.recognised(whole))) == {"text"}
    text = redact.recognised(f"{before}\n\n{secret.text}\n\n{after}")
    assert secret.hidden not in text, secret.kind
    assert redact.recognised(text) == text


def urls(ground: Ground, user: str, password: str, encoded: bool, host: str, path: str) -> None:
    """A password in a URL is parsed or refused, and never shown."""
    mark = f"{password}S3CRET"
    name, told = (quote(user, safe=""), quote(mark, safe="")) if encoded else (user, mark)
    url = f"http://{name}:{told}@{host}{path}"
    try:
        parts = split(url)
    except UrlError as error:
        assert not encoded and "S3CRET" not in str(error)  # noqa: PT017 - what it says is the property
    else:
        if encoded:
            assert (parts.username or "", parts.password) == (user, mark)
    assert "S3CRET" not in shown(url)
    if encoded:
        assert "S3CRET" not in hidden(f"cannot reach {url}: refused")


def answers(ground: Ground, status: int, kind: str, location: str, body: bytes) -> None:
    """Whatever is in a collector's place, its answer confirms, refuses or explains the error, and shows no password."""
    # A port without a listener: if an empty answer needs another request, that is an outage.
    try:
        Http("http://127.0.0.1:1/v1/traces")._judged(status, {"Content-Type": kind, "Location": location}, body)
    except (Refused, Outage) as error:
        assert "S3CRET" not in str(error)  # noqa: PT017 - what it says is the property
    else:
        assert status == 200


HOSTS = st.sampled_from(["h", "h.example:8123", "127.0.0.1:1", "[::1]:8123"])
KINDS = st.sampled_from(
    ["", "text/html", "application/json", "application/x-protobuf", "application/json; charset=x", "\0"]
)
JSONS = st.sampled_from(
    [b"{}", b"[]", b"null", b'{"partialSuccess": {}}', b'{"partialSuccess": []}', b'{"a": 1}', b"1e999"]
)

PROPERTIES: dict[str, tuple[Callable[..., None], dict[str, st.SearchStrategy[Any]]]] = {
    "spans": (spans, {"values": st.lists(VALUE, min_size=1, max_size=30), "fails": st.booleans()}),
    "logger": (logger, {"name": st.sampled_from(CALLS), "values": st.lists(VALUE, min_size=12, max_size=12)}),
    "front": (
        front,
        {
            "method": st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS"]),
            "path": st.sampled_from(["", "ping", "query", "../x", "\0"]) | st.text(max_size=8),
            "settings": st.dictionaries(
                st.sampled_from(["query", "database", "readonly", "session_id", "param_x", "compress", "decompress"])
                | st.text(max_size=8),
                TEXT.map(lambda text: text.encode(errors="replace").decode()),
                max_size=3,
            ),
            "user": st.sampled_from(["genesis", "reader", "nobody"]),
            "parts": st.lists(FRAGMENTS, max_size=12),
            "data": st.binary(max_size=30),
        },
    ),
    "spool": (
        spool,
        {
            "records": st.lists(st.binary(max_size=80), min_size=1, max_size=25),
            "edits": st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400), st.binary(max_size=40)), max_size=3),
            "cut": st.none()
            | st.binary(max_size=20)
            | st.lists(st.integers(-3, 500), max_size=5).map(lambda cut: str(cut).encode()),
        },
    ),
    "redaction": (redaction, {"before": TEXT | TEXTS, "which": st.integers(0, 10_000), "after": TEXT | TEXTS}),
    "urls": (
        urls,
        {
            "user": st.text(max_size=8).filter(lambda text: text.isprintable()),
            "password": st.text(max_size=12),
            "encoded": st.booleans(),
            "host": HOSTS,
            "path": st.sampled_from(["", "/", "/db", "/v1/traces", "/a?x=1", "/a#b"]),
        },
    ),
    "answers": (
        answers,
        {
            "status": st.sampled_from([200, 204, 301, 400, 401, 413, 422, 429, 500, 503]) | st.integers(200, 999),
            "kind": KINDS,
            "location": st.sampled_from(["", "/", "https://u:S3CRET@h/x?token=S3CRET", "//S3CRET@h", "S3CRET"]),
            "body": st.binary(max_size=60) | JSONS,
        },
    ),
}


def tried(name: str, ground: Ground, examples: int, seed: int) -> None:
    """Try a property with the given number of examples."""
    function, strategies = PROPERTIES[name]

    # A new function each time: hypothesis keeps state on the function.
    def holds(**values: Any) -> None:
        function(ground, **values)

    given = hypothesis.given(**strategies)(holds)
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    hypothesis.seed(seed)(settings(given))()
