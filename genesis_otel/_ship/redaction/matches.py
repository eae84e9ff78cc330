"""Finds the secrets in a text: judges each candidate of the search by its surroundings.

In: a text as UTF-8, with a leading line feed. Out: spans of bytes, in order. On failure: nothing here raises; a text with more
candidates than :func:`most` allows, which only an attack has, gives None. Each judge examines a bounded part of the text.
"""

from __future__ import annotations

import functools
import re

from genesis_otel._ship.redaction.assignments import (
    decoded,
    of_foreign_name,
    of_name,
    of_refused_input,
    of_scheme,
)
from genesis_otel._ship.redaction.commands import (
    of_command,
    of_docker,
    of_option,
    of_password_file,
    of_piped,
    of_spaced_name,
)
from genesis_otel._ship.redaction.patterns import ENCODED, LEAD, PEM, SLASHES
from genesis_otel._ship.redaction.scan import candidates
from genesis_otel._ship.redaction.tables import of_table
from genesis_otel._ship.redaction.tokens import (
    of_loose_token,
    of_private_key,
    of_putty,
    of_token,
    of_unknown_token,
    of_web_key,
)
from genesis_otel._ship.redaction.urls import of_encoded_url, of_go_dsn, of_url
from genesis_otel._ship.redaction.values import LONGEST
from genesis_otel._ship.redaction.verdict import Judge, Span, Verdict


def most(size: int) -> int:
    """The most candidates that a text of this many bytes may hold: five times as many as program sources do, and few enough that
    judging them takes 20 ms per megabyte."""
    return 500 + size // 1600


class Encoded:
    """How much Base64 of a text is still decoded and judged: half of it, and as many candidates in there as in the text."""

    __slots__ = ("bytes", "candidates")

    def __init__(self, size: int) -> None:
        # Four more: a text that is nothing but Base64 is judged, too, if it is short.
        self.bytes, self.candidates = size // 2 + 4 * LONGEST, most(size)


def spans_of(data: bytes, within: Encoded | None = None) -> list[Span] | None:
    """The spans of secrets, in order; None if there are too many candidates to judge.

    :param within: if the text was encoded in another one, what is left of that.
    """
    spans: list[Span] = []
    search = candidates(data)
    encoded = within or Encoded(len(data))
    of_encoded = functools.partial(_of_encoded, encoded)
    left = most(len(data))
    at = 0
    while True:
        found = search(at)
        if found is None:
            # Within what is replaced line by line, others may have been found afterwards.
            return sorted(spans)
        left -= 1
        if within is not None:
            within.candidates -= 1
        if left < 0 or encoded.candidates < 0:
            return None
        start, end = found
        for judge in _judges(data, start, of_encoded):
            verdict = judge(data, start, end)
            if verdict is not None:
                spans += verdict.spans
                left -= len(verdict.spans) - 1
                at = max(verdict.resume, start + 1)
                # A judge reads no further than some limit, but what it has cut is a secret to its end.
                if spans and spans[-1][1] == verdict.resume and (more := _CONTINUES.match(data, verdict.resume)):
                    spans[-1] = (spans[-1][0], more.end())
                    at = more.end()
                break
        else:
            # Not after the candidate: another one may begin within it.
            word = _WORD.match(data, start)
            at = max(start + 1, word.end() if word else 0)


_WORD = re.compile(rb"[A-Za-z0-9_]*")
_CONTINUES = re.compile(rb"(?<=[A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9+/=_-]*")
_SLASHES = re.compile(SLASHES)


def _judges(data: bytes, start: int, of_encoded: Judge) -> tuple[Judge, ...]:
    first = data[start]
    if first == 0x3A and _SLASHES.match(data, start):
        return (of_url, of_token, of_password_file)
    if first == 0x2D and data.startswith(b"-----BEGIN", start):
        return (of_private_key,)
    if data[start : start + 1].isalnum():
        return (of_scheme, of_name, of_spaced_name, of_command, of_putty, of_table, of_foreign_name, of_refused_input)
    return (
        *(of_token, of_loose_token, of_encoded, of_unknown_token, of_option, of_go_dsn, of_web_key),
        *(of_docker, of_piped, of_encoded_url, of_password_file, of_name, of_spaced_name, of_foreign_name),
    )


# Compiled only when a text has such a beginning, which few do.
@functools.cache
def _an_encoded_one() -> re.Pattern[bytes]:
    return re.compile(LEAD + b"((?:" + b"|".join(map(re.escape, ENCODED)) + b")[A-Za-z0-9+/_-]{12,%d})" % LONGEST)


_REST = re.compile(rb"[A-Za-z0-9+/_-]*={0,2}")
_BREAK = re.compile(rb"(?:\r?\n|(?:\\+r)?\\+n)[ \t]{0,40}")
_LINES = re.compile(rb"(?:[A-Za-z0-9+/]{60,76}" + _BREAK.pattern + rb")+[A-Za-z0-9+/]+={0,2}")
"""Base64 in lines, as ``base64`` and mail programs write it, also in JSON."""


def _of_encoded(left: Encoded, data: bytes, start: int, end: int) -> Verdict | None:
    found = _an_encoded_one().match(data, start)
    if found is None:
        return None
    begin = found.start(1)
    lines = _LINES.match(data, begin, begin + LONGEST)
    text = found[1] if lines is None else _BREAK.sub(b"", lines[0])
    left.bytes -= len(text)
    # What cannot be judged any more is replaced: a text that holds that much is an attack.
    if left.bytes >= 0 and left.candidates >= 0:
        plain = decoded(text)
        if not PEM.match(plain) and not (_is_text(plain) and spans_of(b"\n" + plain, left) != []):
            return None
    rest = _REST.match(data, found.end()) if lines is None else _LINES.match(data, begin)
    stop = rest.end() if rest else found.end()
    return Verdict(((begin, stop),), stop)


def _is_text(plain: bytes) -> bool:
    """Whether bytes are a text, of which the last character may be cut in two."""
    try:
        plain.decode()
    except UnicodeDecodeError as error:
        return error.start > len(plain) - 4 and error.end == len(plain)
    return True
