"""Checks whether a span can stay unchanged: no secret in it, and no text too long. Most can, and one search decides it.

In: a span and its final attributes. Out: true; or false if something may have to change, which
:mod:`genesis_otel._ship.finish` then finds text by text. On failure: nothing here raises, whatever the SDK lets through.

A search takes 4 µs, and 3 more per kB: a single one for all texts of a span takes half as long as one per text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel import attributes as names
from genesis_otel._emit.json_values import MOST
from genesis_otel._ship.cleaning.content import (
    BETWEEN,
    IDENTIFIERS,
    MESSAGE_EVENTS,
    has_names,
    is_content,
    is_secret_itself,
    strings,
)
from genesis_otel._ship.redaction.names import Kind, kind_of
from genesis_otel._ship.redaction.redact import recognised

LARGE = 64 << 10
"""Characters from which a text is searched separately: copying it would take longer than another search."""
NUMBERS = frozenset({float, int, bool, type(None)})
KEPT = 4096
"""Maximum names remembered; a search uses a few hundred."""
KEPT_KINDS = 512
"""Maximum combinations of names remembered; a search has some tens."""


class _Searched(dict[str, bool | None]):
    """Whether values under a name are searched; None: the name alone calls for a closer look."""

    def __missing__(self, name: str) -> bool | None:
        if kind_of(name) is not Kind.NONE or name == names.RUN_CONFIG or is_secret_itself(name):
            found = None
        else:
            found = is_content(name) or not name.endswith(IDENTIFIERS)
        if len(self) >= KEPT:
            self.clear()
        self[name] = found
        return found


_SEARCHED = _Searched()


class _Searches(dict[tuple[str, ...], "tuple[bool, ...] | None"]):
    """The same for all names of a span at once: spans of a kind have the same names. None if a name calls for a closer look."""

    def __missing__(self, several: tuple[str, ...]) -> tuple[bool, ...] | None:
        each = tuple(bool(_SEARCHED[name]) for name in several if _SEARCHED[name] is not None)
        found = each if len(each) == len(several) else None
        if len(self) >= KEPT_KINDS:
            self.clear()
        self[several] = found
        return found


_SEARCHES = _Searches()


def is_untouched(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    """Whether nothing that :func:`~genesis_otel._ship.redaction.redact.recognised` searches has to change."""
    texts = [span.name]
    if not _gathered(attributes, texts):
        return False
    description = span.status.description
    if description:
        texts.append(description)
    # Asked once each: the SDK copies them under a lock. Most spans have neither.
    events, links = span.events, span.links
    for event in events:
        # An individual's scores bear the names of its metrics, which are among the texts.
        if event.name != names.EVENT_EVALUATION_RESULT or names.RECORD not in attributes:
            texts.append(event.name)
            # Of a message, even what is named like an identifier is content.
            if event.name in MESSAGE_EVENTS or not _gathered(event.attributes or {}, texts):
                return False
    if links and any(link.attributes for link in links):
        return False
    joined = BETWEEN.join(texts)
    return recognised(joined) is joined


def _gathered(attributes: Mapping[str, Any], texts: list[str]) -> bool:
    """Add the texts to search to ``texts``; false if a name or a value calls for a closer look, or a large text holds a secret."""
    searches = _SEARCHES[tuple(attributes)]
    if searches is None:
        return False
    for value, is_searched in zip(attributes.values(), searches, strict=True):
        if type(value) is not str:
            if type(value) in NUMBERS:
                continue
            if has_names(value):
                return False
            value = BETWEEN.join(strings((value,)))
        if len(value) > LARGE:
            if len(value) > MOST or (is_searched and recognised(value) is not value):
                return False
        elif is_searched:
            texts.append(value)
    return True
