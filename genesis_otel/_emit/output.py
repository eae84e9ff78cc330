"""The output of an evaluation, bounded: a program that prints endlessly must not fill the store.

In: texts by name, as an evaluator passes them. Out: the same, each no longer than :data:`KEPT`, and all together than :data:`ALL`. Omitted
characters are counted in place. On failure: a value that is not a text is converted to one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from genesis_otel._emit.json_values import to_json
from genesis_otel._emit.values import text

KEPT = 64 * 1024
"""Characters kept at the end of each text, where the errors are."""

ALL = 4 * KEPT
"""Maximum characters of all texts of an evaluation."""

NAMES = 100
"""Maximum texts of an evaluation."""

LONG_LINE = 4096
"""Maximum characters dropped in order to start with a whole line."""


def kept(output: Mapping[str, object] | str | bytes) -> dict[str, Any]:
    """The end of each text, by name; a lone text is ``stdout``."""
    if not isinstance(output, Mapping):
        output = {"stdout": output}
    return {text(name)[-KEPT:]: _value(value) for name, value in list(output.items())[:NAMES]}


def bounded(output: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`kept` kept, within the bounds of an evaluation: texts that were passed first take precedence."""
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
    """The end of a text, marked if something before it was left out."""
    if len(value) <= most:
        return value
    end = value[len(value) - most :] if most else ""
    # Start at a whole line, or at least a whole word: half a secret is not recognised as one.
    line = end.find("\n", 0, LONG_LINE)
    end = end[line + 1 :] if line >= 0 else _FIRST_WORD.sub("", end, count=1)
    return f"[{len(value) - len(end):,} more characters] …\n{end}"


_FIRST_WORD = re.compile(r"^[^\s\"'\\]{0,4096}")
