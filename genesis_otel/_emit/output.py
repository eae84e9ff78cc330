"""What an evaluation put out, within bounds: a program that prints without end must not fill the store.

In: texts by name, as an evaluator tells them. Out: the same, each no longer than :data:`KEPT`, and :data:`ALL` together. What is left
out is counted in its place. On failure: a value that is no text is written as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from genesis_otel._emit.values import text, to_json

KEPT = 64 * 1024
"""Characters at the end of each text: there stands what went wrong."""

ALL = 4 * KEPT
"""Characters of all texts of an evaluation."""

NAMES = 100
"""Texts of an evaluation."""

LONG_LINE = 4096
"""Characters that are dropped at most to begin with a whole line."""


def kept(output: Mapping[str, object] | str | bytes) -> dict[str, Any]:
    """Each text's end, by its name; a text alone is ``stdout``."""
    if not isinstance(output, Mapping):
        output = {"stdout": output}
    return {text(name)[-KEPT:]: _value(value) for name, value in list(output.items())[:NAMES]}


def bounded(output: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`kept` kept, within the bounds of an evaluation: what was told first goes before the rest."""
    left, found = ALL, {}
    for name, value in list(output.items())[:NAMES]:
        if isinstance(value, str):
            value = end_of(value, left)
            left = max(0, left - len(value))
        found[name] = value
    return found


def _value(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return end_of(text(value) if isinstance(value, (str, bytes, bytearray)) else to_json(value), KEPT)


def end_of(value: str, most: int) -> str:
    """The end of a text, with a mark of what is left out before it."""
    if len(value) <= most:
        return value
    end = value[len(value) - most :] if most else ""
    # From a whole line on, or at least from a whole word: half a key is not recognised as one.
    line = end.find("\n", 0, LONG_LINE)
    end = end[line + 1 :] if line >= 0 else _FIRST_WORD.sub("", end, count=1)
    return f"[{len(value) - len(end):,} more characters] …\n{end}"


_FIRST_WORD = re.compile(r"^[^\s\"'\\]{0,4096}")
