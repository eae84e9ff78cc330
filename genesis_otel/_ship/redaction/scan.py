"""Where in a text a secret may be: one pass of one regular expression, in proportion to the text whatever it is.

In: a text as bytes. Out: a function that finds the next candidate. On failure: nothing here raises. Where RE2 is not there (no
wheel for the platform), the standard library searches with the same expression: it finds the same, and takes thirty times as long.

Why RE2: everything together takes 2.5 ms a megabyte; an alternation in the standard library 50 to 100, since it tries every
alternative at every character. Aho-Corasick is as fast on ordinary text, but knows only fixed strings: ``key`` and ``token`` alone
come some thousand times a megabyte in program sources, and a hundred thousand times in a text made for it, each to be looked at in
Python. The expression looks no further than some dozens of characters beyond the beginning of a candidate: a search that runs on and
fails in the end begins anew behind each candidate, which takes quadratic time on a text made for that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from genesis_otel._ship.redaction.patterns import BEGINNINGS, ESCAPED, NAMES

try:
    import re2  # type: ignore[import-untyped]
except ImportError:
    re2 = None

Search = Callable[[int], "tuple[int, int] | None"]

_compiled: dict[bytes, Any] = {}


def candidates(data: bytes) -> Search | None:
    """The next candidate's begin and end, from a position on; None where there is no more, and at once where there is none at all."""
    # Two expressions, since the states of one are so many on hostile texts that making them takes ten times the search.
    firsts = [_expression(pattern).search(data) for pattern in _PATTERNS]
    if firsts == _NOTHING:
        return None
    searches = [_search(pattern, data) for pattern in _PATTERNS]
    nexts = [None if first is None else first.span() for first in firsts]

    def next_one(at: int) -> tuple[int, int] | None:
        first = None
        for number, search in enumerate(searches):
            found = nexts[number]
            if found is not None and found[0] < at:
                found = nexts[number] = search(at)
            if found is not None and (first is None or found < first):
                first = found
        return first

    return next_one


_PATTERNS = (BEGINNINGS, NAMES)
_NOTHING = [None, None]


def escapes(data: bytes) -> Search:
    """The same of escapes that hide a letter or a digit."""
    return _search(ESCAPED, data)


def _search(pattern: bytes, data: bytes) -> Search:
    search = _expression(pattern).search

    def next_one(at: int) -> tuple[int, int] | None:
        found = search(data, at)
        return None if found is None else found.span()

    return next_one


def _expression(pattern: bytes) -> Any:
    compiled = _compiled.get(pattern)
    if compiled is None:
        compiled = _compiled[pattern] = _compile(pattern)
    return compiled


def _compile(pattern: bytes) -> Any:
    if re2 is None:
        return re.compile(pattern)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    # For the states that it meets: with too little of it RE2 falls back to a slower search.
    options.max_mem = 64 << 20
    return re2.compile(pattern, options)


def _forked() -> None:
    """RE2 searches without Python's lock and under locks of its own: what another thread held is held for ever in the child."""
    if re2 is not None and _compiled:
        _KEPT.extend(_compiled.values())
        _compiled.clear()
        re2.purge()


_KEPT: list[Any] = []
"""Parents' expressions: to take them down could wait for their locks."""

os.register_at_fork(after_in_child=_forked)
