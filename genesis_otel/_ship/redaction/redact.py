"""Secrets out of text.

In: prompts, responses, code, configurations, attributes. Out: the same with what looks like a key or a password replaced by
``[REDACTED]``; JSON stays JSON, and a text without a secret stays the very object that it was. On failure: a pattern that is no
regular expression raises ValueError when the redactor is made; a redactor itself does not fail, and takes time in proportion to
the text: one in which too much would have to be judged (``matches``), which only an attack is, is replaced as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from genesis_otel._ship.redaction.names import is_secret_name

if TYPE_CHECKING:
    from genesis_otel._ship.redaction.matches import Span

Redact = Callable[[str], str]

REDACTED = "[REDACTED]"
_MARK = REDACTED.encode()
TOO_MANY = "[REDACTED: more in this text looks like secrets than can be told apart]"


def redactor(patterns: Iterable[str] = (), *, defaults: bool = True) -> Redact:
    """A function that redacts a text: what we recognise, and regular expressions of one's own.

    :raises ValueError: one of ``patterns`` is no regular expression.
    """
    own = []
    if defaults and not patterns:
        return recognised
    for pattern in patterns:
        try:
            own.append(re.compile(pattern))
        except (re.error, TypeError) as error:
            raise ValueError(f"the redaction pattern {pattern!r} is not a valid regular expression: {error}") from None

    def redact(text: str) -> str:
        if defaults:
            text = recognised(text)
        for compiled in own:
            text = compiled.sub(REDACTED, text)
        return text

    return redact


def recognised(text: str) -> str:
    """A text without the secrets that we recognise: what :func:`redactor` gives where nobody has patterns of their own."""
    return _redacted(text) if len(text) >= SHORTEST else text


SHORTEST = 6
"""Characters of the shortest text that can hold a secret and say that it is one: ``pw: x1``."""


def without_secrets(settings: str) -> str:
    """A configuration in JSON, the values of settings that are called like secrets replaced. No JSON stays as it is."""
    if settings.lstrip()[:1] not in ("{", "["):
        return settings
    try:
        return json.dumps(_without(json.loads(settings)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return settings


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: REDACTED if is_secret_setting(name, of) else _without(of) for name, of in value.items()}
    return [_without(of) for of in value] if isinstance(value, list) else value


def is_secret_setting(name: str, value: object) -> bool:
    """Whether a setting's value is a secret by its name: text, numbers, lists or tables; what is empty or a switch is none."""
    return not isinstance(value, bool) and bool(value) and is_secret_name(name)


def _redacted(text: str) -> str:
    # Not before there is a text: its expressions take 12 ms to compile, a fifth of what a program's start takes with this package.
    from genesis_otel._ship.redaction.matches import spans_of

    data = b"\n" + text.encode("utf-8", "surrogatepass")
    if b"\\u00" in data:
        # Escapes that nothing needs can hide a key. Where they hide none the text stays as it is.
        unescaped = _unescaped(data)
        if unescaped is None:
            return TOO_MANY
        if unescaped is not data:
            data, text = unescaped, unescaped[1:].decode("utf-8", "surrogatepass")
    found = spans_of(data)
    if found is None:
        return TOO_MANY
    if not found:
        return text
    replaced = _replaced(data, found)
    return text if replaced == text else replaced


def _replaced(data: bytes, spans: list[Span]) -> str:
    pieces: list[bytes] = []
    at = 1
    for span in spans:
        start, end = _whole_characters(data, *_around_escapes(data, *span))
        if start >= end or data.startswith(_MARK, start):
            continue
        if start >= at:
            pieces += (data[at:start], _MARK)
        at = max(at, end)
    pieces.append(data[at:])
    return b"".join(pieces).decode("utf-8", "surrogatepass")


def _whole_characters(data: bytes, start: int, end: int) -> Span:
    """The span with all bytes of the characters at its ends: a bound of bytes may have ended it within one."""
    while start < end and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end


_ESCAPED = re.compile(rb"(?<=\\)\\*(?:u[0-9A-Fa-f]{4}|[nrtbf/\"'])?")


def _around_escapes(data: bytes, start: int, end: int) -> Span:
    """The span without halves of escapes at its ends, at any depth of JSON in JSON."""
    escaped = _ESCAPED.match(data, start)
    if escaped is not None:
        start = escaped.end()
    while end > start and data[end - 1] == 0x5C:
        end -= 1
    return start, end


AROUND = 512
"""Bytes around an escape in which a key that it stands in ends."""


def _unescaped(data: bytes) -> bytes | None:
    """The text with the escapes resolved that hide a secret; the same object where none does, None where there are too many."""
    from genesis_otel._ship.redaction.matches import most, spans_of
    from genesis_otel._ship.redaction.scan import escapes

    # Around each the text is searched twice.
    search, left = escapes(data), most(len(data)) // 8
    pieces: list[bytes] = []
    done, found = 0, search(0)
    while found is not None:
        begin, stop = max(done, found[0] - AROUND), min(len(data), found[1] + AROUND)
        plain: list[bytes] = []
        at = begin
        while found is not None and found[0] < stop:
            left -= 1
            if left < 0:
                return None
            plain += (data[at : found[0]], bytes((int(data[found[1] - 2 : found[1]], 16),)))
            at, stop = found[1], min(len(data), max(stop, found[1] + AROUND))
            found = search(at)
        plain.append(data[at:stop])
        window = b"".join(plain)
        if len(spans_of(b"\n" + window) or ()) > len(spans_of(b"\n" + data[begin:stop]) or ()):
            pieces += (data[done:begin], window)
            done = stop
    return b"".join((*pieces, data[done:])) if pieces else data
