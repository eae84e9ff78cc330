"""Reads records of a spool in either encoding: pickled spans (``codec``) or rows (``rows``). The first byte shows which.

In: a record of this or an earlier version. Out: a span, flat or as a row. On failure: ValueError for anything else.

The encoding is marked per record rather than per file, since a queue may hold both: requeued dead letters, what a dead process of
the previous version had held, and what a search wrote before and after an upgrade.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._ship.encoding import codec, rows

PICKLE = 0x80
"""The first byte of a pickle."""


def as_span(record: bytes) -> ReadableSpan:
    """The span of a record.

    :raises ValueError: ``record`` is not a span.
    """
    return rows.decode(record) if _is_row(record) else codec.decode(record)


def as_flat(record: bytes) -> codec.Flat:
    """The span of a record as plain values; from a row, all attributes are strings.

    :raises ValueError: ``record`` is not a span.
    """
    return codec.flatten(rows.decode(record)) if _is_row(record) else codec.load(record)


def as_row(record: bytes) -> bytes:
    """A record as a row: usually it already is one.

    :raises ValueError: ``record`` is not a span, or one that cannot be written as a row, for whatever reason.
    """
    if _is_row(record):
        rows.see(record)
        return record
    span = codec.decode(record)
    try:
        return rows.encode(span)
    except Exception as error:
        raise ValueError(f"not writable as a row: {type(error).__name__}") from error


def _is_row(record: bytes) -> bool:
    mark = record[0] if record else PICKLE
    if mark not in (rows.MARK, PICKLE):
        raise ValueError(f"not a span, or one of a newer genesis-otel: encoding {mark} is unknown to this version")
    return mark == rows.MARK
