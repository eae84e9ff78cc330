"""Reads dead letters as spans, and puts them back into the spool.

In: the folder of a spool. Out: the refused spans, with the reason; or the number requeued.
On failure: OSError from the disk; a dead letter is removed only once its span is in the spool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.encoding.records import as_span
from genesis_otel._ship.spool import dead_letters as letters
from genesis_otel._ship.spool.writer import Writer


def dead_letters(folder: Path) -> Iterator[tuple[Path, str, ReadableSpan | None]]:
    """The refused spans: file, reason, span (None if the bytes cannot be read); oldest first."""
    for path, reason, record in letters.buried(folder):
        try:
            yield path, reason, as_span(record)
        except ValueError:
            yield path, reason, None


def requeue(folder: Path, limits: Limits) -> int:
    """Put the dead letters back into the spool, and return their number.

    :param limits: those of the spool's writers: smaller ones would drop the oldest waiting spans.
    """
    buried = list(letters.buried(folder))
    if buried:
        writer = Writer(folder, segment_bytes=limits.segment_bytes, spool_bytes=limits.spool_bytes)
        try:
            for path, _, record in buried:
                writer.append(record)
                path.unlink(missing_ok=True)
        finally:
            writer.close()
    return len(buried)
