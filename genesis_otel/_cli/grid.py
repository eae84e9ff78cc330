"""Tables and fields for a terminal.

In: column names and blocks of rows; how each column is shown. Out: a table on a stream, in columns if they fit, otherwise one line per
value; the number of rows is bounded, and the caller learns whether there are more. On failure: OSError of the stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genesis_otel._cli.columns import Blocks, Column
from genesis_otel._read.format import short, visible

ROWS_OF_A_TABLE = 1_000
"""The most rows that a table shows: nobody reads more."""
LONG_TEXT = 20
"""Longer texts wrap if the table would not fit the terminal otherwise."""
GAP = 2
"""Spaces between two columns."""
WIDE = 10_000
"""Width of a table written to a file, which need not fit a screen."""


class _Cells(NamedTuple):
    """A column as a table shows it."""

    heading: str
    texts: list[str]
    styles: list[str]
    numbers: bool
    long: bool
    """Whether the texts may wrap."""

    def width(self) -> int:
        return max(cell_len(each) for each in (self.heading, *self.texts))


def table(
    names: Sequence[str], blocks: Blocks, title: str, columns: Mapping[str, Column] | None, out: TextIO
) -> tuple[int, bool]:
    """Write rows as a table, up to the bound; return how many were written, and whether there are more."""
    rows: list[Sequence[Any]] = []
    for block in blocks:
        rows.extend(block[: ROWS_OF_A_TABLE + 1 - len(rows)])
        if len(rows) > ROWS_OF_A_TABLE:
            break
    shown = rows[:ROWS_OF_A_TABLE]
    places = (
        [(place, _of_an_id(name) if name.endswith("_id") else Column(name)) for place, name in enumerate(names)]
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
    return len(shown), len(rows) > ROWS_OF_A_TABLE


def _of_an_id(name: str) -> Column:
    """In a narrow terminal the start of an id is enough to name it, and its end tells it from its neighbours."""
    return Column(name, brief=13, middle=True)


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
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.numbers else "left"
        if column.long:
            grid.add_column(Text(column.heading), justify=justify, overflow="fold", min_width=LONG_TEXT)
        else:
            grid.add_column(Text(column.heading), justify=justify, no_wrap=True, min_width=column.width())
    for row in range(rows):
        grid.add_row(*(Text(column.texts[row], style=column.styles[row]) for column in columns))
    return grid


def _one_by_one(columns: Sequence[_Cells], rows: int, console: Console) -> None:
    """Write rows that are wider than the terminal, one line per column."""
    for row in range(rows):
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for column in columns:
            if column.heading or column.texts[row]:
                grid.add_row(Text(column.heading), Text(column.texts[row], style=column.styles[row]))
        console.print(Text(f"── {row + 1} ", style="dim"))
        console.print(grid)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Write named values, one per line, leaving out empty ones."""
    known = [(name, value) for name, value in pairs if value]
    width = max((cell_len(name) for name, _ in known), default=0) + GAP
    console = Console(highlight=False)
    for name, value in known:
        for number, line in enumerate(visible(value, keep="\n").split("\n")):
            heading = Text((name if not number else "").ljust(width), style="dim")
            console.print(Text.assemble(heading, line), soft_wrap=True)
