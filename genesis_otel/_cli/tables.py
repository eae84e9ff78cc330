"""Writes rows for people and programs: tables in a terminal (:mod:`genesis_otel._cli.grid`), TSV, CSV and JSON otherwise.

In: column names and blocks of rows as they arrive; the target stream. Out: text on the stream, block by block, so that answers of any
size can be written; only tables are bounded, and say so. Promise: no control sequence in a stored text (a prompt, an edit summary, an
id) reaches a terminal. On failure: OSError of the stream.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TextIO

from genesis_otel._cli.columns import Blocks, Column
from genesis_otel._read.format import HIDDEN, plain, text, visible


class Format(str, Enum):
    """How rows are shown."""

    table = "table"
    tsv = "tsv"
    csv = "csv"
    json = "json"
    raw = "raw"
    """Values verbatim, for writing a single one to a file: tabs between columns, newlines between rows."""


class Written(str, Enum):
    """The same formats and Parquet, which can only be written to a file."""

    table = "table"
    tsv = "tsv"
    csv = "csv"
    json = "json"
    raw = "raw"
    parquet = "parquet"


def write(
    names: Sequence[str],
    blocks: Blocks,
    format: Format | None = None,
    *,
    title: str = "",
    columns: Mapping[str, Column] | None = None,
    out: TextIO | None = None,
) -> int:
    """Write rows, and return how many were written.

    :param format: by default a table in a terminal, and TSV elsewhere.
    :param columns: for a table: which columns it shows, in order, and how; by default all, unformatted.
    :param out: by default standard output.
    """
    out = out or sys.stdout
    chosen = format or (Format.table if out.isatty() else Format.tsv)
    if chosen is Format.table:
        # rich takes 25 ms of CPU to load, and a pipe has no use for it.
        from genesis_otel._cli.grid import table

        shown, more = table(names, blocks, title, columns, out)
        if more:
            say(f"These are the first {shown:,} rows; use --format csv, tsv or json to get all.")
        return shown
    # Verbatim to a file, but escaped in a terminal.
    safe = _shown if out.isatty() else str
    lines = {Format.json: _json, Format.csv: _csv, Format.tsv: _tsv, Format.raw: _raw}[chosen]
    count = 0
    for piece, rows in lines(unique(names), blocks):
        out.write(safe(piece))
        count += rows
    out.flush()
    return count


def write_none(format: Format | None) -> None:
    """Write the list without rows as JSON, whose readers expect one; in any other format a message says that there are none."""
    if format is Format.json:
        write([], [], format)


def unique(names: Sequence[str]) -> list[str]:
    """``names`` with a number appended to each repeated one, because names in a JSON object must be unique."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result


def raw(text: str) -> None:
    """Write a stored text verbatim; in a terminal, with control characters escaped."""
    sys.stdout.write(visible(text, keep="\n\t") if sys.stdout.isatty() else text)
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a message for people to standard error, apart from the answer."""
    sys.stderr.write(visible(text, keep="\n") + "\n")
    sys.stderr.flush()


# --- for programs -----------------------------------------------------------------------------------------------------


def _tsv(names: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

    def line(values: Iterable[Any]) -> str:
        return "\t".join("\\N" if value is None else text(value).translate(escapes) for value in values) + "\n"

    yield line(names), 0
    for block in blocks:
        yield "".join(map(line, block)), len(block)


def _csv(names: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    # https://www.rfc-editor.org/rfc/rfc4180; the csv module of Python 3.10 refuses texts with a NUL.
    special = re.compile('[",\r\n]')

    def field(value: Any) -> str:
        shown = "" if value is None else text(value)
        return '"' + shown.replace('"', '""') + '"' if special.search(shown) else shown

    def line(values: Sequence[Any]) -> str:
        # CSV readers ignore an empty line.
        return (",".join(map(field, values)) or '""') + "\n"

    yield line(names), 0
    for block in blocks:
        yield "".join(map(line, block)), len(block)


def _json(names: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    before = "["
    for block in blocks:
        objects = []
        for row in block:
            values = {name: plain(value) for name, value in zip(names, row, strict=True)}
            objects.append(f"{before}\n{json.dumps(values, ensure_ascii=False)}")
            before = ","
        yield "".join(objects), len(block)
    yield "[]\n" if before == "[" else "\n]\n", 0


def _raw(_: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    before = ""
    for block in blocks:
        for row in block:
            yield before + "\t".join("" if value is None else text(value) for value in row), 1
            before = "\n"


def _shown(lines: str) -> str:
    """``lines`` for a terminal, with control characters escaped. The escapes are also valid in JSON."""
    return HIDDEN.sub(lambda match: match[0] if match[0] in "\n\t" else f"\\u{ord(match[0]):04x}", lines)
