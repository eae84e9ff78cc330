"""Judges tables that have a column of secrets: CSV, Markdown, and what database clients print.

In: a text as UTF-8, and where the heading of such a column starts. Out: the bytes of the column's secrets; None if there are none. On
failure: nothing here raises; a row that is cut differently from its heading is passed over, and after a few without a secret the rest is
not read. Of a long table the rest is replaced as a whole.

A program's list of names looks like a heading, so a secret here has a digit or a punctuation mark.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.patterns import COLUMN
from genesis_otel._ship.redaction.values import Written, is_random, is_secret_value
from genesis_otel._ship.redaction.verdict import Span, Verdict

LONGEST_LINE = 400
"""Bytes of a heading or a row that is read."""
WIDEST, MOST_SECRET = 24, 3
"""Columns of a table, and those of them that hold secrets."""
IN_VAIN = 2
"""Rows without a secret after which a table has none."""
LONGEST = 300
"""Secrets of a table that are replaced one by one."""

_COLUMN = re.compile(COLUMN)
_NO_HEADING = re.compile(rb"[^\w\s.,;|*\"'`\\-]")
_OPENS = re.compile(rb"""[ \t]?(?:\\*["'`]){1,3}""")
_CELL = re.compile(rb"""[ \t]*(?:\\*["'`*])*([^"'`\\\r]{0,200}?)(?:\\*["'`*])*[ \t]*(?:\\+r?|\r)?""")
_HEADING = re.compile(rb"[A-Za-z_][\w .-]{0,40}")
_RULE = re.compile(rb"[ \t]*[|+]?[ \t]*:?-{2,}[-+| \t:]*")
_MARKS = re.compile(rb"[0-9]|[^\w\s.,;:/()\[\]{}-]")
_PAIR = re.compile(rb"[A-Za-z_][\w.]*=")
_WRITTEN = Written(quoted=True, tight=True, literal=True, alone=True, followed="")


class _Table(NamedTuple):
    separator: bytes
    width: int
    secret: dict[int, Kind]
    """By the number of their columns."""


def of_table(data: bytes, start: int, end: int) -> Verdict | None:
    """``user,password`` above ``me,secret``, and ``| user | password |`` above a rule and ``| me | secret |``."""
    if _COLUMN.match(data, start) is None:
        return None
    begin = _beginning(data, start)
    if _NO_HEADING.search(data, begin, start) is not None:
        return None
    stop, at = _line(data, begin)
    table = _heading(data[begin:stop])
    if table is None:
        return None
    if table.separator == b"|":
        stop, below = _line(data, at)
        if _RULE.fullmatch(data, at, stop) is None:
            return None
        at = below
    spans: list[Span] = []
    in_vain = 0
    while in_vain < IN_VAIN and at < len(data) and len(spans) < LONGEST:
        stop, below = _line(data, at)
        found = _secrets(data, at, stop, table)
        spans += found
        in_vain = 0 if found else in_vain + 1
        at = below
    if len(spans) >= LONGEST:
        spans.append((at, _end(data, at)))
    return Verdict(tuple(spans), spans[-1][1]) if spans else None


def _beginning(data: bytes, start: int) -> int:
    """Where the line begins, or the string in a program or in JSON that has it."""
    least = max(0, start - LONGEST_LINE)
    begin = max(least, *(data.rfind(end, least, start) + len(end) for end in (b"\n", b"\\n", b"\0")))
    after = max(data.rfind(sign, begin, start) + 1 for sign in (b"=", b"(", b":", b"["))
    opened = _OPENS.match(data, after) if after > begin else None
    return opened.end() if opened is not None else max(begin, after)


def _line(data: bytes, at: int) -> tuple[int, int]:
    """Where a line ends, and where the next one begins; in JSON, line ends are escaped."""
    limit = min(len(data), at + LONGEST_LINE)
    stop = data.find(b"\n", at, limit)
    stop = limit if stop < 0 else stop
    escaped = data.find(b"\\n", at, stop)
    if escaped < 0:
        return stop, stop + 1
    below = escaped + 2
    while escaped > at and data[escaped - 1] == 0x5C:
        escaped -= 1
    return escaped, below


def _end(data: bytes, at: int) -> int:
    """Where a table ends: at an empty line, or with the string or the text that has it."""
    return min(
        found if found >= 0 else len(data) for found in (data.find(end, at) for end in (b"\n\n", b"\\n\\n", b'"'))
    )


def _heading(line: bytes) -> _Table | None:
    """A heading with a column of secrets; None if it is a line of a program or of prose."""
    separator = next((each for each in (b"|", b"\t", b"\\t", b";", b",") if each in line), None)
    if separator is None or (separator != b"|" and (line[:1] in b" \t" or b", " in line)):
        return None
    cells = line.split(separator)
    if len(cells) > WIDEST:
        return None
    secret: dict[int, Kind] = {}
    for number, cell in enumerate(cells):
        found = _CELL.fullmatch(cell)
        text = found[1] if found is not None else b"("
        if not text and separator != b"|":
            return None  # arguments, one a line, each with a comma after it
        if text and _HEADING.fullmatch(text) is None:
            return None
        kind = kind_of(text.decode("ascii").replace(" ", "_")) if text.isascii() else Kind.NONE
        if kind is not Kind.NONE and kind is not Kind.HEADER:
            secret[number] = kind
    return _Table(separator, len(cells), secret) if 0 < len(secret) <= MOST_SECRET else None


def _secrets(data: bytes, at: int, stop: int, table: _Table) -> list[Span]:
    cells = data[at:stop].split(table.separator)
    if len(cells) != table.width:
        return []
    spans = []
    for number, cell in enumerate(cells):
        kind = table.secret.get(number)
        found = _CELL.fullmatch(cell) if kind is not None else None
        if found is not None and _is_secret(found[1], kind is Kind.SURE):
            spans.append((at + found.start(1), at + found.end(1)))
        at += len(cell) + len(table.separator)
    return spans


def _is_secret(value: bytes, is_sure: bool) -> bool:
    text = value.decode("utf-8", "replace")
    if not is_sure:
        return is_random(text)
    if len(text) < 6 or " " in text or text.isdigit() or _MARKS.search(value) is None or _PAIR.match(value):
        return False
    return is_secret_value(text, Kind.SURE, _WRITTEN)
