"""Dead letters as spans, and their way back into the spool.

In: the folder of a spool. Out: the spans that were refused, with the reason; or the number of those that are queued again.
On failure: OSError from the disk; a letter is removed only after its span is in the spool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._ship.contract import Limits
from genesis_otel._ship.records import as_span
from genesis_otel._ship.spool import dead_letters as letters
from genesis_otel._ship.spool.queue import Writer


def dead_letters(folder: Path) -> Iterator[tuple[Path, str, ReadableSpan | None]]:
    """The spans that were refused: file, reason, span (None where the bytes cannot be read); oldest first."""
    for path, reason, record in letters.buried(folder):
        try:
            yield path, reason, as_span(record)
        except ValueError:
            yield path, reason, None


def requeue(folder: Path, limits: Limits) -> int:
    """Put the dead letters into the spool once more, and count them.

    :param limits: those of whoever writes to the spool: with smaller ones the oldest spans that wait would go.
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
