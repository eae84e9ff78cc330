"""Reads dead letters as spans, and puts them back into the spool.

In: the folder of a spool. Out: the refused spans, with the reason; or the number requeued.
On failure: OSError from the disk; a dead letter is removed only once its span is in the spool. If it is killed in between, the span is sent
once more by the next call: the seven tables have it once.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._ship.delivery.contract import Limits
from genesis_otel._ship.encoding.records import as_span
from genesis_otel._ship.spool import dead_letters as letters
from genesis_otel._ship.spool.lock import ProcessLock
from genesis_otel._ship.spool.writer import Writer

LOCK = "requeue"
"""The file in the spool's folder that is locked meanwhile."""
PATIENCE = 60.0
"""Seconds that one waits for another."""


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
    if not any(letters.files(folder)):
        return 0
    # Two of them at once would each put all of them back.
    alone = ProcessLock(folder / LOCK)
    if not alone.take(PATIENCE):
        raise OSError(
            errno.EAGAIN, f"process {ProcessLock.holder(folder / LOCK)} is putting the refused spans of {folder} back"
        )
    put = 0
    try:
        writer = Writer(folder, segment_bytes=limits.segment_bytes, spool_bytes=limits.spool_bytes)
        with contextlib.closing(writer):
            for path, _, record in list(letters.buried(folder)):
                writer.append(record)
                path.unlink(missing_ok=True)
                put += 1
    finally:
        alone.release()
    return put
