"""Formats values for people: numbers, money, times, and stored text with its control characters escaped.

In: any value from the store. Out: text for a terminal, a page or a file. On failure: a value of an unexpected type is written as text;
nothing here raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

LENGTH_OF_A_CELL = 160
"""Characters of a text that a table cell shows: prompts and programs are longer than a screen."""
# Terminal controls (C0, DEL, C1), bidirectional and invisible characters, line separators other than newline, and lone surrogates,
# which cannot be encoded.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str, *, keep: str = "") -> str:
    """``text`` with every character that a terminal would interpret replaced by an escape, except those in ``keep``."""

    def escaped(match: re.Match[str]) -> str:
        found = match[0]
        if found in keep:
            return found
        return _SHORT.get(found) or (f"\\x{ord(found):02x}" if ord(found) < 256 else f"\\u{ord(found):04x}")

    return HIDDEN.sub(escaped, text)


def counted(number: int, what: str) -> str:
    """A number with the name of what it counts: "1 step", "1,200 steps"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def plain(value: Any) -> Any:
    """``value`` in JSON's types: times in ISO 8601, NaN and infinities as None, everything else as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return time_of(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return str(value)


def text(value: Any) -> str:
    """``value`` as written to CSV and TSV."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        return str(value)
    simple = plain(value)
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


# --- for people -------------------------------------------------------------------------------------------------------


def number(value: Any) -> str:
    """A number with at most six decimal places."""
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value):
        if value != 0 and not 1e-4 <= abs(value) < 1e15:
            return f"{value:.6g}"
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


def signed(value: Any) -> str:
    """A gain or a loss in :func:`number`'s format, so that a gain of a millionth is not shown as +0.0000."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def size(count: int) -> str:
    """The size of a file."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count:,} bytes"


def moment(value: Any) -> str:
    """A time in the local time zone."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else text(value)


def duration(seconds: float | None) -> str:
    """A duration in seconds, in readable units."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def ago(seconds: Any) -> str:
    """How long ago something happened."""
    if seconds is None or seconds < 0:
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def short(value: Any) -> str:
    """A value as one line of text, truncated if it is long, with nothing in it that a terminal would interpret."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, float):
        return number(value)
    shown = value if isinstance(value, str) else text(value)
    cut = shown if len(shown) <= LENGTH_OF_A_CELL else shown[: LENGTH_OF_A_CELL - 1] + "…"
    return visible(cut)


def one_line(value: Any) -> str:
    """A text's lines joined into one, truncated if it is long."""
    return short(" ".join(str(value).split()))


def time_of(value: datetime) -> str:
    """A time in ISO 8601, in UTC, no more precise than it is."""
    known = value.astimezone(timezone.utc) if value.tzinfo else value
    whole = known.microsecond % 1000
    unit = "microseconds" if whole else "milliseconds" if known.microsecond else "seconds"
    return known.isoformat(timespec=unit).replace("+00:00", "Z")
