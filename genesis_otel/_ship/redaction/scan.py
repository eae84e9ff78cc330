"""Finds where a secret may be in a text: one pass of one regular expression, in linear time for any text.

In: a text as bytes. Out: a function that finds the next candidate. On failure: nothing here raises. If RE2 is not available (no
wheel for the platform), the standard library searches with the same expression: it finds the same, but takes thirty times as long.

Why RE2: all patterns together take 2.5 ms per megabyte; an alternation in the standard library 50 to 100, since it tries every
alternative at every character. Aho-Corasick is as fast on ordinary text, but knows only fixed strings: ``key`` and ``token`` alone
occur some thousand times per megabyte in program sources, and a hundred thousand times in a hostile text, each to be checked in
Python. The expression looks only a few dozen characters past the beginning of a candidate: a search that runs on and fails in the
end starts again after each candidate, which takes quadratic time on a hostile text.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from genesis_otel._ship.redaction.patterns import BEGINNINGS, ESCAPED, NAMES

try:
    import re2  # type: ignore[import-untyped]
except ImportError:
    re2 = None

Search = Callable[[int], "tuple[int, int] | None"]


class _Compiled(dict[bytes, Any]):
    """Expressions by their source, each compiled when it is first used."""

    def __missing__(self, pattern: bytes) -> Any:
        found = self[pattern] = _compile(pattern)
        return found


_compiled = _Compiled()
_searching: list[None] = []
"""An item for each search of RE2 in progress."""


def has_candidates(data: bytes) -> bool:
    """Whether there is any: most texts have none, and need nothing but this."""
    # Two expressions, since a single one needs so many states on hostile texts that building them takes ten times the search.
    return _found(NAMES, data) is not None or _found(BEGINNINGS, data) is not None


def candidates(data: bytes) -> Search:
    """A function for the next candidate's start and end from a position on; None if there is no more."""
    searches = [_search(pattern, data) for pattern in (BEGINNINGS, NAMES)]
    nexts = [search(0) for search in searches]

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


def escapes(data: bytes) -> Search:
    """The same for escapes that hide a letter or a digit."""
    return _search(ESCAPED, data)


def _search(pattern: bytes, data: bytes) -> Search:
    def next_one(at: int) -> tuple[int, int] | None:
        found = _found(pattern, data, at)
        return None if found is None else found.span()

    return next_one


def _found(pattern: bytes, data: bytes, at: int = 0) -> Any:
    """The first match from a position on; None if there is none."""
    # The list as it is now: if a signal handler forks meanwhile, the child has another one.
    searching = _searching
    searching.append(None)
    try:
        if not _ending or threading.get_ident() in _ending:
            return _compiled[pattern].search(data, at)
    finally:
        searching.pop()
    # Not counted: whoever waits for those that are in RE2 would wait for threads that search for ever, too.
    return _slowly(pattern).search(data, at)


_slowly = functools.cache(re.compile)


def _compile(pattern: bytes) -> Any:
    if re2 is None:
        return _slowly(pattern)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    # For the DFA states: with too little memory RE2 falls back to a slower search.
    options.max_mem = 64 << 20
    return re2.compile(pattern, options)


def _forked() -> None:
    """RE2 searches without the GIL and under its own locks: one that another thread held would stay locked for ever in the child.

    Usually none does, and the child need not compile the expressions again, which takes as long as recording fifty spans.
    """
    global _searching
    if re2 is not None and _searching:
        _searching = []
        _KEPT.extend(_compiled.values())
        _compiled.clear()
        re2.purge()


_ending: list[int] = []
"""As soon as the interpreter ends, the thread in which it does."""
PATIENCE = 2.0
"""Seconds within which a search of 16 MiB ends, even on a busy machine."""


def _end() -> None:
    """A daemon thread that comes back from RE2 into an interpreter that has ended is unwound through C++, which aborts the process.

    So none goes there any more (the standard library's search is safe), and those that are there are waited for.
    """
    _ending.append(threading.get_ident())
    until = time.monotonic() + PATIENCE
    while _searching and time.monotonic() < until:
        time.sleep(0.001)


if re2 is not None:
    atexit.register(_end)

_KEPT: list[Any] = []
"""The parent's expressions: destroying them could block on their locks."""

os.register_at_fork(after_in_child=_forked)
