"""Keeps an answer to an agent short: rows, texts and lists are truncated, and the answer says what is missing.

In: rows of a query, or a long text. Out: what becomes the answer's JSON, of at most `CHARACTERS` characters or so; values that JSON lacks
are texts. On failure: nothing here raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 1000
"""Maximum rows in an answer."""
CELL = 2000
"""Maximum characters of a text in a row."""
CHARACTERS = 60_000
"""Maximum characters of an answer, some 15,000 tokens: rows beyond that are left out."""
PROGRAM = 40_000
"""Maximum characters of a program, or of a diff, in one answer."""

MORE_ROWS = "there are more rows: narrow the parameters"


def bounded(rows: Sequence[Mapping[str, Any]], *, more: bool = False, rest: str = MORE_ROWS) -> dict[str, Any]:
    """Rows as an answer of limited length.

    :param more: there are others, which nobody has counted.
    :param rest: what the answer says of rows that are left out.
    """
    kept: list[dict[str, Any]] = []
    length = 0
    for row in rows:
        short = cut(row) if kept else fitting(row)
        length += _length(short)
        if kept and length > CHARACTERS:
            break
        kept.append(short)
    answer: dict[str, Any] = {"rows": kept}
    if more or len(kept) < len(rows):
        answer["left_out"] = rest
    return answer


def fitting(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON that is an answer by itself: if need be, its texts and lists are truncated further."""
    cell, items = CELL, ROWS
    while _length(short := cut(row, cell, items)) > CHARACTERS and cell > 1:
        cell, items = cell // 2, items // 2
    return short


def _length(row: Mapping[str, Any]) -> int:
    """The characters of a row in an answer, which is indented."""
    return len(json.dumps([[row]], indent=2, ensure_ascii=False))


def cut(row: Mapping[str, Any], cell: int = CELL, items: int = ROWS) -> dict[str, Any]:
    """A row as JSON, with texts and lists truncated to so many characters and items."""
    return {name: _plain(value, cell, items) for name, value in row.items()}


def _plain(value: Any, cell: int, items: int) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each, cell, items) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        missing = [f"… ({len(value) - items:,} more)"] if len(value) > items else []
        return [_plain(each, cell, items) for each in value[:items]] + missing
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if len(text) <= cell else f"{text[:cell]}… ({len(text) - cell:,} more characters)"


def piece(text: str, begin: int) -> dict[str, Any]:
    """Part of a long text, and where the next part begins."""
    end = begin + PROGRAM
    found: dict[str, Any] = {"text": text[begin:end], "characters": len(text)}
    return {**found, "next_begin": end} if end < len(text) else found
