"""Exports a run from a store to a file, and imports such a file into a store.

In: a client, a run id, a path. Out: a zip archive with one JSONL file per table, holding the run's rows, and a header
(``genesis-otel.json``) with the schema version and row counts; on import, the rows that the store lacked. On failure: an export leaves
no file. An import reads the whole file before it changes anything, and raises :class:`StoreError` if the file is damaged or has another
schema; an interrupted import reports how far it got, and importing the file again resumes it: rows already stored are not inserted again.

The format is JSON rather than one of ClickHouse's own, so that any version of ClickHouse, and any other tool, can read it. Times are in
UTC. ``ingested_at`` is not exported: it records when a row reached its own store.
"""

from __future__ import annotations

import contextlib
import json
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from genesis_otel._store import deleted, raw_traces
from genesis_otel._store.errors import READONLY, StoreError, code_of
from genesis_otel._store.new_file import whole
from genesis_otel._store.portions import portions
from genesis_otel._store.present import existing
from genesis_otel._store.tables import IDENTITY, INSERT_SETTINGS, LANDING, SCHEMA, STORED_IN, TOLD_AGAIN

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

HEAD = "genesis-otel.json"
FORMAT = 1
"""Version of the file format; the schema of the rows is versioned separately."""

ORDER = (*(table for table in STORED_IN.values() if table != STORED_IN["evolution_runs"]), STORED_IN["evolution_runs"])
"""The run's own row is inserted last, so that a run is listed only once all of its rows are there. An export reads the run first,
then its generations, then the rest: what they say has ended is stored by then."""

IDENTITY_OF = {STORED_IN[name]: key for name, key in IDENTITY.items()}
"""The columns that identify a row, by the table in which it is stored."""

CHUNK = 8 << 20
"""Bytes per insert: small enough for proxies and the store process, large enough to create few parts."""

KEYS_PER_STATEMENT = 500
"""They fit into a parameter: see :mod:`~genesis_otel._store.portions`."""

LONGEST_HEAD, LONGEST_ROW = 1 << 20, 256 << 20
"""Bytes: a small file can unpack to any size. A row has a few texts of 16 MiB at most, escaped."""

READING: dict[str, Any] = {
    "session_timezone": "UTC",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 1,
    "output_format_json_escape_forward_slashes": 0,
    # Buffer the whole response: otherwise an error halfway would end up among the rows.
    "wait_end_of_query": 1,
}
WRITING: dict[str, Any] = {
    **INSERT_SETTINGS,
    "session_timezone": "UTC",
    # Otherwise the last digit of a score may change.
    "precise_float_parsing": 1,
    "input_format_skip_unknown_fields": 1,
}


class Head(NamedTuple):
    """What a file says about itself."""

    run_id: str
    task: str
    schema: int
    rows: Mapping[str, int]
    """By table."""


class Imported(NamedTuple):
    """What happened to a file's rows."""

    head: Head
    added: Mapping[str, int]
    """By table: the rows that the store lacked."""


def export(
    client: Client, run_id: str, path: Path, *, task: str = "", version: str = "", with_raw_traces: bool = False
) -> Head:
    """Write a run into a new file.

    :param version: this package's version, as information for whoever opens the file.
    :param with_raw_traces: include the spans of the run's traces from ``otel_traces``.
    :raises NewFileError: the file already exists, or its folder does not.
    :raises StoreError: raw traces cannot be exported, or the run was deleted meanwhile.
    """
    rows = {}
    marks = deleted.marks(client, run_id)
    selects = {
        # FINAL: export a row once even if it was delivered twice.
        table: f"SELECT {_list(columns)} FROM {table} FINAL WHERE {deleted.of_run(table)}"  # noqa: S608 - names of ours
        for table, columns in _columns(client).items()
    }
    if with_raw_traces:
        of_run, once = raw_traces.OF_RUN, raw_traces.ONCE
        selects[LANDING] = f"SELECT {_list(raw_traces.columns(client))} FROM {LANDING} WHERE {of_run} {once}"  # noqa: S608 - names of ours
    with whole(path) as aside, zipfile.ZipFile(aside, "x", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for table, sql in selects.items():
            with file.open(f"{table}.jsonl", "w", force_zip64=True) as member:
                rows[table] = _write(client, run_id, sql, member.write)
        if deleted.marks(client, run_id) != marks:
            raise StoreError(f"{run_id} was deleted or imported while it was being exported; no file was written")
        head = Head(run_id, task, SCHEMA, rows)
        contents = {
            "format": FORMAT,
            "genesis_otel": version,
            "exported_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **head._asdict(),
        }
        file.writestr(HEAD, json.dumps(contents, indent=1, ensure_ascii=False))
    return head


def bring(client: Client, path: Path, *, with_raw_traces: bool = True) -> Imported:
    """Insert the rows of a file that the store lacks.

    :param with_raw_traces: also import the raw traces, if the file has any.
    :raises StoreError: the file is not an export, is damaged, or has another schema; the store has another search with the run's id; or
        the import was interrupted, or the run deleted meanwhile.
    :raises Error: clickhouse-connect's, if the user can only read.
    """
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(zipfile.ZipFile(path))
            head = _head(file, path)
            _check(file, head, path)
        except Exception as error:
            # Whatever a file may hold: encryption, an unknown compression, JSON that is too deep. An error of the operating system is another matter.
            if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno is not None):
                raise
            raise StoreError(
                f"{path} is not a genesis-otel export, or is damaged: {error}; nothing was imported"
            ) from error
        _see_same_search(client, file, head, path)
        tables = [table for table in ORDER if table in head.rows]
        if with_raw_traces and LANDING in head.rows:
            raw_traces.columns(client)
            tables.insert(0, LANDING)
        # Importing a run that was deleted here brings it back.
        deleted.restore(client, head.run_id, tables)
        added: dict[str, int] = dict.fromkeys(tables, 0)
        for table in tables:
            try:
                for taken in _insert(client, file, table, head):
                    added[table] += taken
            except Exception as error:
                if code_of(error) == READONLY:
                    raise
                raise StoreError(
                    f"the import was interrupted: {sum(added.values()):,} of {sum(head.rows[each] for each in tables):,} rows are in the store, "
                    f"which will not list the run until all of them are. Import the file again to resume ({error})"
                ) from error
        if deleted.marks(client, head.run_id):
            # The rows that came after the deletion are late ones.
            deleted.sweep(client)
            raise StoreError(
                f"{head.run_id} was deleted while it was being imported: import {path} again to bring it back"
            )
        return Imported(head, added)


def _columns(client: Client) -> dict[str, Sequence[str]]:
    found = existing(client)
    return {table: [name for name in found[table].columns if name != "ingested_at"] for table in STORED_IN.values()}


def _list(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def _write(client: Client, run_id: str, sql: str, write: Any) -> int:
    rows = 0
    asked = {"run_id": run_id}
    stream = cast(BinaryIO, client.raw_stream(sql, parameters=asked, settings=READING, fmt="JSONEachRow"))
    with contextlib.closing(stream):
        for piece in iter(lambda: stream.read(1 << 20), b""):
            rows += piece.count(b"\n")
            write(piece)
    return rows


def _head(file: zipfile.ZipFile, path: Path) -> Head:
    """The header of a file that this package can import.

    :raises StoreError: this package cannot import it; the text says what to do.
    """
    try:
        with file.open(HEAD) as member:
            contents = json.loads(member.read(LONGEST_HEAD))
        format, schema = int(contents["format"]), int(contents["schema"])
        rows = {table: int(contents["rows"][table]) for table in ORDER}
        if LANDING in contents["rows"]:
            rows[LANDING] = int(contents["rows"][LANDING])
        head = Head(str(contents["run_id"]), str(contents["task"]), schema, rows)
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{path} is not a genesis-otel export: it has no readable {HEAD}") from error
    if format > FORMAT or schema > SCHEMA:
        raise StoreError(
            f"{path} was exported by a later genesis-otel (schema {schema}; this one supports schema {SCHEMA}): "
            "pip install -U genesis-otel, then import it again"
        )
    if schema < SCHEMA:
        raise StoreError(
            f"{path} was exported by an earlier genesis-otel ({contents.get('genesis_otel')}, schema {schema}; this one has schema {SCHEMA}): "
            "import it with that version into a separate store, upgrade that store with `genesis-otel init`, and export it again"
        )
    return head


def _check(file: zipfile.ZipFile, head: Head, path: Path) -> None:
    """Read the whole archive, which also verifies its checksums.

    :raises StoreError: rows are missing, unreadable, or belong to another run.
    """
    for table in head.rows:
        rows = 0
        needed = (*IDENTITY_OF.get(table, ()), *(("timestamp",) if table in TOLD_AGAIN else ()))
        for row, _ in _rows(file, table, path):
            rows += 1
            if missing := [name for name in needed if name not in row]:
                raise StoreError(f"{path} is damaged: a row of {table} has no {missing[0]}; nothing was imported")
            is_of_run = raw_traces.is_of(row, head.run_id) if table == LANDING else row.get("run_id") == head.run_id
            if not is_of_run:
                raise StoreError(f"{path} is damaged: {table} contains a row of another run; nothing was imported")
        if rows != head.rows[table]:
            raise StoreError(
                f"{path} is damaged: {table} has {rows:,} of {head.rows[table]:,} rows; nothing was imported"
            )


def _rows(file: zipfile.ZipFile, table: str, path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each row of a table with its raw line."""
    try:
        member = file.open(f"{table}.jsonl")
    except KeyError as error:
        raise StoreError(f"{path} is damaged: {table} is missing; nothing was imported") from error
    with member:
        while line := member.readline(LONGEST_ROW):
            try:
                # A text may hold bytes that are not UTF-8, by an emitter that sends such; the engine reads them back.
                row = json.loads(line.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise StoreError(f"{path} is damaged: a row of {table} is not JSON; nothing was imported") from error
            if not isinstance(row, dict):
                raise StoreError(f"{path} is damaged: a row of {table} is not an object; nothing was imported")
            yield row, line


def _insert(client: Client, file: zipfile.ZipFile, table: str, head: Head) -> Iterator[int]:
    """Insert the rows that the table lacks; yields the size of each insert."""
    if table == LANDING:
        raw = (line for _, line in _rows(file, table, Path(file.filename or "")))
        yield raw_traces.bring(client, _chunks(raw), WRITING)
        return
    there = _there(client, table, head.run_id)
    put: dict[tuple[str, ...], str] = {}

    def is_new(row: Mapping[str, Any]) -> bool:
        identity = _identified(table, row)
        newest = there.get(identity)
        if table not in TOLD_AGAIN:
            return newest is None
        at = str(row["timestamp"])
        if newest is not None and at <= newest:
            return False
        put[identity] = max(at, put.get(identity, at))
        return True

    new = (line for row, line in _rows(file, table, Path(file.filename or "")) if is_new(row))
    for lines in _chunks(new):
        # A fresh token each time: with the token of an insert whose rows were since deleted, these would be dropped as duplicates.
        client.raw_insert(
            table,
            insert_block=b"".join(lines),
            settings={**WRITING, "insert_deduplication_token": f"import-{uuid.uuid4()}"},
            fmt="JSONEachRow",
        )
        yield len(lines)
    if put:
        _keep_newer(client, table, head.run_id, put)


def _keep_newer(client: Client, table: str, run_id: str, put: dict[tuple[str, ...], str]) -> None:
    """Insert again what a search has told meanwhile, if it is newer than what was imported: of rows with one key, a merge leaves the one
    that was inserted last.

    :param put: as :func:`_there`, what was imported; changed to what was inserted last.
    """
    identity = f"[{_texts(table)}]"
    while newer := {each: at for each, at in _there(client, table, run_id).items() if at > put.get(each, at)}:
        put.update(newer)
        for keys in portions([list(each) for each in newer], KEYS_PER_STATEMENT):
            client.command(
                f"INSERT INTO {table} SELECT * FROM {table} WHERE run_id = {{run_id:String}} AND {identity} IN"  # noqa: S608 - names of ours
                f" {{keys:Array(Array(String))}} ORDER BY timestamp DESC LIMIT 1 BY {', '.join(IDENTITY_OF[table])}",
                parameters={"run_id": run_id, "keys": keys},
                settings={"insert_deduplicate": 0, "session_timezone": "UTC"},
            )


def _texts(table: str) -> str:
    """What identifies a row, as texts: like the times in a file, they sort as what they stand for."""
    return ", ".join(f"toString({each})" for each in IDENTITY_OF[table])


def _there(client: Client, table: str, run_id: str) -> dict[tuple[str, ...], str]:
    """What identifies the stored rows of a run, each with the time of the last one, where a later one replaces it."""
    told = "toString(timestamp)" if table in TOLD_AGAIN else "''"
    sql = f"SELECT [{_texts(table)}], max({told}) FROM {table} WHERE run_id = {{run_id:String}} GROUP BY 1"  # noqa: S608 - names of ours
    asked = client.query(sql, parameters={"run_id": run_id}, settings={"session_timezone": "UTC"})
    return {tuple(identity): str(newest) for identity, newest in asked.result_rows}


def _see_same_search(client: Client, file: zipfile.ZipFile, head: Head, path: Path) -> None:
    """Check that a run of this id in the store is the same search. A run that continued in another store has nothing in common with its
    beginning, but does not begin with the same generation.

    :raises StoreError: it is another search: their generations would be one another's, as the spans of both are named after the run.
    """
    log = STORED_IN["evolution_runs"]
    ended = _there(client, log, head.run_id)
    if not ended or any(_identified(log, row) in ended for row, _ in _rows(file, log, path)):
        return
    there, first, lowest = _there(client, "individuals", head.run_id), None, None
    for row, _ in _rows(file, "individuals", path):
        if _identified("individuals", row) in there:
            return
        number = row.get("generation")
        if isinstance(number, int):
            lowest = number if lowest is None else min(lowest, number)
    if there and lowest is not None:
        sql = "SELECT min(generation) FROM individuals WHERE run_id = {run_id:String}"
        first = int(str(client.command(sql, parameters={"run_id": head.run_id})))
    if first is not None and first == lowest:
        raise StoreError(
            f"the store has another search with the id {head.run_id}, and rows of both would be mixed; nothing was imported. Import {path} "
            f"into another database with --url, or delete the one that is here: genesis-otel delete {head.run_id}"
        )


def _identified(table: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[each]) for each in IDENTITY_OF[table])


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk, size = [], 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
