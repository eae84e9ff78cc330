"""Rows as people and programs read them: tables in a terminal (:mod:`genesis_otel._cli.grid`), TSV, CSV and JSON otherwise.

In: column names and blocks of rows, as they come; where they go. Out: text on a stream, block by block, so that an answer of
any size passes; a table alone is bounded, and says so. Promise: no control sequence that a stored text holds (a prompt, an
edit summary, an id) reaches a terminal. On failure: OSError of the stream.
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
    """Values as they are, for one that becomes a file: tabs between columns, an end of line between rows."""


class Written(str, Enum):
    """The same, and Parquet, which is a file and nothing to be shown."""

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
    """Write rows and count them.

    :param format: by default a table in a terminal, and TSV elsewhere.
    :param columns: for a table: the columns it shows, in order, and how; by default all as they are.
    :param out: by default standard output.
    """
    out = out or sys.stdout
    chosen = format or (Format.table if out.isatty() else Format.tsv)
    if chosen is Format.table:
        # rich takes 25 ms of CPU to load, and a pipe has no use for it.
        from genesis_otel._cli.grid import table

        shown, more = table(names, blocks, title, columns, out)
        if more:
            say(f"These are the first {shown:,} rows; --format csv, tsv or json gives all.")
        return shown
    # To a file as it is; a terminal must not obey it.
    safe = _shown if out.isatty() else str
    lines = {Format.json: _json, Format.csv: _csv, Format.tsv: _tsv, Format.raw: _raw}[chosen]
    count = 0
    for piece, rows in lines(unique(names), blocks):
        out.write(safe(piece))
        count += rows
    out.flush()
    return count


def unique(names: Sequence[str]) -> list[str]:
    """``names`` with a number behind each that was there before: JSON objects have a name once."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result


def raw(text: str) -> None:
    """A stored text as it is; a terminal must not obey it."""
    sys.stdout.write(visible(text, keep="\n\t") if sys.stdout.isatty() else text)
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people, beside the answer: on standard error."""
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
        told = "" if value is None else text(value)
        return '"' + told.replace('"', '""') + '"' if special.search(told) else told

    def line(values: Sequence[Any]) -> str:
        # An empty line is no row to those who read it.
        return (",".join(map(field, values)) or '""') + "\n"

    yield line(names), 0
    for block in blocks:
        yield "".join(map(line, block)), len(block)


def _json(names: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    before = "["
    for block in blocks:
        told = []
        for row in block:
            values = {name: plain(value) for name, value in zip(names, row, strict=True)}
            told.append(f"{before}\n{json.dumps(values, ensure_ascii=False)}")
            before = ","
        yield "".join(told), len(block)
    yield "[]\n" if before == "[" else "\n]\n", 0


def _raw(_: Sequence[str], blocks: Blocks) -> Iterable[tuple[str, int]]:
    before = ""
    for block in blocks:
        for row in block:
            yield before + "\t".join("" if value is None else text(value) for value in row), 1
            before = "\n"


def _shown(lines: str) -> str:
    """For a terminal: as it is, but for what a terminal would obey. In JSON the escapes are JSON's own."""
    return HIDDEN.sub(lambda match: match[0] if match[0] in "\n\t" else f"\\u{ord(match[0]):04x}", lines)
