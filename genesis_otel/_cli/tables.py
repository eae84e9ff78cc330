"""Rows as people and programs read them: tables in a terminal, TSV, CSV and JSON otherwise.

In: column names and blocks of rows, as they come; where they go. Out: text on a stream, block by block, so that an answer of
any size passes; a table alone is bounded, and says so. Promise: no control sequence that a stored text holds (a prompt, an
edit summary, an id) reaches a terminal. On failure: OSError of the stream.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NamedTuple, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genesis_otel._read.format import HIDDEN, plain, short, text, visible

ROWS_OF_A_TABLE = 1_000
"""More rows than this are no table that a person reads."""
LONG_TEXT = 20
"""Texts that are longer go over several lines, where a table would not fit the terminal."""
GAP = 2
"""Between two columns."""
WIDE = 10_000
"""Width of a table that goes to a file, where nothing has to fit a screen."""

STATUS = {"running": "cyan", "completed": "green", "failed": "red", "stopped": "yellow", "stalled": "yellow"}
"""The colour of a run's status."""

Blocks = Iterable[Sequence[Sequence[Any]]]


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


class Column(NamedTuple):
    """How a table shows a column, where it is not just its values."""

    heading: str
    show: Callable[[Any], str] | None = None
    style: Callable[[Any], str] | None = None
    brief: int = 0
    """In a narrow terminal: so many characters, which tell an id from others; -1 leaves the column out."""
    middle: bool = False
    """Cut in the middle: the beginnings of runs' ids are dates."""


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
        return _table(names, blocks, title, columns, out)
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


class _Cells(NamedTuple):
    """A column as a table shows it."""

    heading: str
    texts: list[str]
    styles: list[str]
    numbers: bool
    long: bool
    """A text that may go over several lines."""

    def width(self) -> int:
        return max(cell_len(each) for each in (self.heading, *self.texts))


def _table(names: Sequence[str], blocks: Blocks, title: str, columns: Mapping[str, Column] | None, out: TextIO) -> int:
    rows: list[Sequence[Any]] = []
    for block in blocks:
        rows.extend(block[: ROWS_OF_A_TABLE + 1 - len(rows)])
        if len(rows) > ROWS_OF_A_TABLE:
            break
    shown = rows[:ROWS_OF_A_TABLE]
    places = (
        [(place, Column(name)) for place, name in enumerate(names)]
        if columns is None
        else [(names.index(name), column) for name, column in columns.items()]
    )
    terminal = out.isatty()
    console = Console(file=out, highlight=False, width=None if terminal else WIDE)
    if terminal and title:
        console.print(Text(visible(title), style="bold"))
    whole = [_cells(column, [row[place] for row in shown], brief=False) for place, column in places]
    brief = [_cells(column, [row[place] for row in shown], brief=True) for place, column in places if column.brief >= 0]
    fitting = next((each for each in (whole, brief) if _fits(each, console.width)), None)
    if fitting is not None:
        console.print(_grid(fitting, len(shown)), crop=False)
    else:
        _one_by_one(whole, len(shown), console)
    if len(rows) > ROWS_OF_A_TABLE:
        say(f"These are the first {ROWS_OF_A_TABLE:,} rows; --format csv, tsv or json gives all.")
    return len(shown)


def _cells(column: Column, values: Sequence[Any], *, brief: bool) -> _Cells:
    texts = [visible((column.show or short)(value)) for value in values]
    if brief and column.brief:
        texts = [_cut(each, column.brief, middle=column.middle) for each in texts]
    return _Cells(
        visible(column.heading),
        texts,
        [column.style(value) if column.style else "" for value in values],
        bool(values) and all(isinstance(value, (int, float, Decimal, type(None))) for value in values),
        any(isinstance(value, (str, list, tuple, dict)) for value in values) and max(map(cell_len, texts)) > LONG_TEXT,
    )


def _cut(text: str, length: int, *, middle: bool) -> str:
    if not middle or len(text) <= length:
        return text[:length]
    end = length // 2
    return f"{text[: length - end - 1]}…{text[-end:]}"


def _fits(columns: Sequence[_Cells], width: int) -> bool:
    needed = sum(min(column.width(), LONG_TEXT) if column.long else column.width() for column in columns)
    return needed + GAP * (len(columns) - 1) <= width


def _grid(columns: Sequence[_Cells], rows: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.numbers else "left"
        if column.long:
            table.add_column(Text(column.heading), justify=justify, overflow="fold", min_width=LONG_TEXT)
        else:
            table.add_column(Text(column.heading), justify=justify, no_wrap=True, min_width=column.width())
    for row in range(rows):
        table.add_row(*(Text(column.texts[row], style=column.styles[row]) for column in columns))
    return table


def _one_by_one(columns: Sequence[_Cells], rows: int, console: Console) -> None:
    """Rows that are wider than the terminal: a line a column."""
    for row in range(rows):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for column in columns:
            grid.add_row(Text(column.heading), Text(column.texts[row], style=column.styles[row]))
        console.print(Text(f"── {row + 1} ", style="dim"))
        console.print(grid)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """What is known of one thing, a line each, without those of which nothing is."""
    known = [(name, value) for name, value in pairs if value]
    width = max((cell_len(name) for name, _ in known), default=0) + GAP
    console = Console(highlight=False)
    for name, value in known:
        for number, line in enumerate(visible(value, keep="\n").split("\n")):
            heading = Text((name if not number else "").ljust(width), style="dim")
            console.print(Text.assemble(heading, line), soft_wrap=True)


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
