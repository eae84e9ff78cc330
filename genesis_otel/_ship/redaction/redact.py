"""Removes secrets from text.

In: prompts, responses, code, configurations, attributes. Out: the same with whatever looks like a key or a password replaced by
``[REDACTED]``; JSON stays JSON, and a text without secrets is returned as the same object. On failure: an invalid regular
expression raises ValueError when the redactor is made; a redactor itself does not fail, and takes linear time: a text with too
many candidates to judge (``matches``), which only an attack has, is replaced as a whole.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from genesis_otel._ship.redaction.names import is_secret_name
from genesis_otel._ship.redaction.verdict import MARK, REDACTED

if TYPE_CHECKING:
    from genesis_otel._ship.redaction.verdict import Span

Redact = Callable[[str], str]

TOO_MANY = "[REDACTED: more in this text looks like secrets than can be told apart]"


def redactor(patterns: Iterable[str] = (), *, defaults: bool = True) -> Redact:
    """A function that redacts a text: secrets that we recognise, and matches of custom regular expressions.

    :raises ValueError: one of ``patterns`` is not a valid regular expression.
    """
    if defaults and not patterns:
        return recognised
    own = []
    for pattern in patterns:
        try:
            own.append(re.compile(pattern))
        except (re.error, TypeError) as error:
            raise ValueError(f"the redaction pattern {pattern!r} is not a valid regular expression: {error}") from None

    def redact(text: str) -> str:
        if defaults:
            text = recognised(text)
        for compiled in own:
            # Not between all characters, where an expression matches nothing: ``(secret)?``.
            text = compiled.sub(lambda found: REDACTED if found[0] else "", text)
        return text

    return redact


SHORTEST = 6
"""Length of the shortest text that can hold a secret and identify it as one: ``pw: x1``."""


def without_secrets(settings: str) -> str:
    """A JSON configuration with the values of settings named like secrets replaced. Text that is not JSON is returned unchanged."""
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
    """Whether a setting's value is a secret by its name: text, numbers, lists or tables; an empty value or a boolean is not."""
    return not isinstance(value, bool) and bool(value) and is_secret_name(name)


@functools.cache
def _scan() -> ModuleType:
    # Imported only when there is a text: the expressions take 10 ms to compile, a fifth of a program's start with this package.
    from genesis_otel._ship.redaction import scan

    return scan


def recognised(text: str) -> str:
    """A text without the secrets that we recognise: what :func:`redactor` returns without custom patterns."""
    if len(text) < SHORTEST:
        return text
    data = b"\n" + text.encode("utf-8", "surrogatepass")
    # rfind() takes half the time of "in" here.
    escaped = data.rfind(b"\\u00") >= 0
    if not escaped and not _scan().has_candidates(data):
        return text
    # Imported only for a text that may hold a secret: its expressions take another 12 ms.
    from genesis_otel._ship.redaction.matches import spans_of

    if escaped:
        # Unnecessary escapes can hide a key. If they hide none, the text stays unchanged.
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
        if start >= end or data.startswith(MARK, start):
            continue
        if start >= at:
            pieces += (data[at:start], MARK)
        at = max(at, end)
    pieces.append(data[at:])
    return b"".join(pieces).decode("utf-8", "surrogatepass")


def _whole_characters(data: bytes, start: int, end: int) -> Span:
    """The span extended to whole characters: a byte limit may have cut one in two."""
    while start < end and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return start, end


_ESCAPED = re.compile(rb"(?<=\\)\\*(?:u[0-9A-Fa-f]{4}|[nrtbf/\"'])?")


def _around_escapes(data: bytes, start: int, end: int) -> Span:
    """The span without partial escapes at its ends, at any depth of JSON in JSON."""
    escaped = _ESCAPED.match(data, start)
    if escaped is not None:
        start = escaped.end()
    while end > start and data[end - 1] == 0x5C:
        end -= 1
    return start, end


AROUND = 512
"""Bytes on either side of an escape within which a key containing it ends."""


def _more_are_in(places: list[tuple[int, int]], resolved: Sequence[Span], as_it_is: Sequence[Span]) -> bool:
    """Whether an escape, of which the places in both texts are given, is in a secret only if it is resolved."""
    of_escapes = _within([place for place, _ in places], as_it_is)
    of_characters = _within([place for _, place in places], resolved)
    return any(now and not before for before, now in zip(of_escapes, of_characters, strict=True))


def _within(places: Iterable[int], spans: Sequence[Span]) -> Iterator[bool]:
    """Whether each place is in one of the spans; both are in order."""
    number = 0
    for place in places:
        while number < len(spans) and spans[number][1] <= place:
            number += 1
        yield number < len(spans) and spans[number][0] <= place


def _unescaped(data: bytes) -> bytes | None:
    """The text with those escapes resolved that hide a secret; the same object if none does, None if there are too many."""
    from genesis_otel._ship.redaction.matches import most, spans_of
    from genesis_otel._ship.redaction.scan import escapes

    # The text around each escape is searched twice.
    search, left = escapes(data), most(len(data)) // 8
    pieces: list[bytes] = []
    done, found = 0, search(0)
    while found is not None:
        begin, stop = max(done, found[0] - AROUND), min(len(data), found[1] + AROUND)
        plain: list[bytes] = []
        at = begin
        places: list[tuple[int, int]] = []
        size = 0
        while found is not None and found[0] < stop:
            left -= 1
            if left < 0:
                return None
            plain += (data[at : found[0]], bytes((int(data[found[1] - 2 : found[1]], 16),)))
            size += found[0] - at + 1
            places.append((found[0] - begin + 1, size))
            at, stop = found[1], min(len(data), max(stop, found[1] + AROUND))
            found = search(at)
        plain.append(data[at:stop])
        window = b"".join(plain)
        resolved, as_it_is = spans_of(b"\n" + window) or (), spans_of(b"\n" + data[begin:stop]) or ()
        if len(resolved) > len(as_it_is) or _more_are_in(places, resolved, as_it_is):
            pieces += (data[done:begin], window)
            done = stop
    return b"".join((*pieces, data[done:])) if pieces else data
