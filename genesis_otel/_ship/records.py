"""Records of a spool, whatever their encoding: pickled spans (``codec``) or rows (``rows``). Their first byte tells which.

In: a record, of this version or of an earlier one. Out: a span, flat or as a row. On failure: ValueError for what is neither.

Records and not files say their encoding, since a queue may hold both: dead letters that are queued again, what a dead process of
the version before had held, and what a search wrote before and after an upgrade.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._ship import codec, rows

PICKLE = 0x80
"""The first byte of a pickle."""


def as_span(record: bytes) -> ReadableSpan:
    """The span of a record.

    :raises ValueError: ``record`` is no span.
    """
    return rows.decode(record) if _is_row(record) else codec.decode(record)


def as_flat(record: bytes) -> codec.Flat:
    """The span of a record as plain values; of a row, all attributes are texts.

    :raises ValueError: ``record`` is no span.
    """
    return codec.flatten(rows.decode(record)) if _is_row(record) else codec.load(record)


def as_row(record: bytes) -> bytes:
    """A record as a row: as it is, mostly. A span that cannot be a row is a ValueError, whatever it lacks.

    :raises ValueError: ``record`` is no span.
    """
    if _is_row(record):
        rows.see(record)
        return record
    span = codec.decode(record)
    try:
        return rows.encode(span)
    except Exception as error:
        raise ValueError(f"no row: {type(error).__name__}") from error


def _is_row(record: bytes) -> bool:
    mark = record[0] if record else PICKLE
    if mark not in (rows.MARK, PICKLE):
        raise ValueError(f"no span, or one of a newer genesis-otel: its encoding {mark} is not known here")
    return mark == rows.MARK
