"""From the spool to an exporter: batches, in order, until they have arrived.

In: a folder of queues and a span exporter. Out: every span handed over; what the destination refuses for its content
ends alone among the dead letters, with the reason, and everything beside it goes in. On failure: :class:`Outage`: nothing
is taken off the queue, and the same batch comes again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel import _letters, _losses, _spool
from genesis_otel._codec import decode

logger = logging.getLogger(__name__)

PATIENCE = 5
"""Failures in a row of a batch after which an exporter that only says FAILURE is asked about its parts."""


class Refused(Exception):  # noqa: N818 - the word for what happened, not for a fault of ours
    """The destination refuses a batch for its content: sending it again is of no use. Raised by an exporter's ``send``."""


class Outage(Exception):  # noqa: N818
    """The destination took nothing, for now."""


@runtime_checkable
class Sender(Protocol):
    """An exporter that tells a refusal from an outage."""

    def send(self, spans: Sequence[ReadableSpan]) -> None:
        """Return when ``spans`` are stored; raise :class:`Refused` for their content, anything else when it may work later."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a spool and of what is handed over at once."""

    max_rows: int = 20_000
    """Spans in a batch: ClickHouse takes 74,000 spans/s at 5,000 a batch and 117,000 at 20,000."""
    max_bytes: int = 16 << 20
    """Bytes in a batch, as they are in the spool; a larger span goes alone."""
    spool_bytes: int = 2 << 30
    """Size of a folder's spool at which its oldest spans go."""
    segment_bytes: int = 16 << 20
    """Size of a file of the spool: what goes at once when the spool is over its limit."""
    flush_interval: float = 1.0
    """Seconds between two looks for spans that have ended."""
    backoff: float = 0.5
    """Seconds that the first wait after a failure lasts at most; each next one may be twice as long."""
    backoff_max: float = 60.0
    """Longest wait in seconds."""
    shutdown_timeout: float = 5.0
    """Seconds that the processor's shutdown spends on handing over what waits."""


class Drain:
    """Hands a folder's queues to an exporter; holds each queue that it has begun."""

    def __init__(self, folder: Path, exporter: SpanExporter, limits: Limits) -> None:
        self._folder, self._exporter, self._limits = folder, exporter, limits
        self._held: dict[str, _spool.Queue] = {}
        self._failures = 0
        self._went: ReadableSpan | None = None

    def round(self, names: Iterable[str] | None = None, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Hand over what waits in the named queues (all by default, but those that others drain), and count it.

        :raises Outage: the destination took a batch neither whole nor in parts.
        """
        delivered = 0
        for name in _spool.queues(self._folder) if names is None else list(names):
            queue = self._held.get(name) or _spool.take(self._folder, name)
            if queue is None:
                continue
            self._held[name] = queue
            # A queue that is written to all the time leaves the others their turn.
            ahead = queue.ahead()
            while not stop() and ((queue.segment, queue.start) < ahead or not queue.written_to()):
                batch = queue.next(self._limits.max_rows, self._limits.max_bytes)
                if batch is None:
                    break
                self._hand_over(queue, batch)
                queue.done(batch)
                delivered += len(batch.records)
            if not queue.written_to():
                del self._held[name]
                queue.release()
        return delivered

    def close(self) -> None:
        """Let go of all queues."""
        while self._held:
            self._held.popitem()[1].release()

    def _hand_over(self, queue: _spool.Queue, batch: _spool.Batch) -> None:
        spans: list[ReadableSpan] = []
        readable: list[bytes] = []
        refused: list[tuple[bytes, str]] = []
        for record in batch.records:
            try:
                spans.append(decode(record))
                readable.append(record)
            except ValueError as error:
                refused.append((record, str(error)))
        if spans:
            try:
                if isinstance(self._exporter, Sender):
                    sent = send_halving(self._exporter.send, spans)
                else:
                    sent = self._export(self._exporter, spans, queue, batch)
            except Outage:
                self._failures += 1
                raise
            self._failures = 0
            bad = {at for at, _ in sent}
            self._went = next((span for at, span in enumerate(spans) if at not in bad), self._went)
            refused += [(readable[at], reason) for at, reason in sent]
        if refused:
            self._bury(refused)

    def _export(
        self, exporter: SpanExporter, spans: list[ReadableSpan], queue: _spool.Queue, batch: _spool.Batch
    ) -> list[tuple[int, str]]:
        """Through an exporter whose FAILURE may mean either: after some patience its parts tell which."""
        name = type(exporter).__name__

        def goes_in(part: Sequence[ReadableSpan]) -> bool:
            try:
                return exporter.export(part) is SpanExportResult.SUCCESS
            except Exception:
                logger.debug("%s raised", name, exc_info=True)
                return False

        if goes_in(spans):
            return []
        if self._failures + 1 < PATIENCE:
            raise Outage(f"{name} failed")
        bad = diagnose(goes_in, spans, self._went or _decoded(queue.beyond(batch)), self._failures)
        if bad is None:
            raise Outage(f"{name} failed")
        return [(at, f"{name} fails on this span alone") for at in bad]

    def _bury(self, refused: list[tuple[bytes, str]]) -> None:
        kept = 0
        for record, reason in refused:
            try:
                _letters.bury(self._folder, record, reason)
                kept += 1
            except OSError as error:
                _losses.note(self._folder, 1, f"refused, and no dead letter for want of room: {error.strerror}")
        # The reasons may quote a prompt: they are in the letters, which the user alone can read.
        logger.warning("%d spans were refused for their content and are kept in %s", kept, self._folder / _letters.DEAD)


def send_halving(send: Callable[[Sequence[ReadableSpan]], None], spans: list[ReadableSpan]) -> list[tuple[int, str]]:
    """Send ``spans``; of what is refused send the halves, down to single ones. Returns the refused, with the reason.

    :raises Outage: anything but a refusal was raised.
    """
    refused: list[tuple[int, str]] = []
    parts = [(0, len(spans))]
    while parts:
        begin, end = parts.pop()
        try:
            send(spans[begin:end])
        except Refused as error:
            middle = (begin + end) // 2
            if end - begin == 1:
                refused.append((begin, str(error)))
            else:
                parts += [(middle, end), (begin, middle)]
        except Exception as error:
            raise Outage(brief(error)) from error
    return refused


def diagnose(
    goes_in: Callable[[Sequence[ReadableSpan]], bool],
    spans: list[ReadableSpan],
    witness: ReadableSpan | None,
    turn: int,
) -> list[int] | None:
    """Tell a refusal from an outage by an exporter that only says no: the spans it refuses, or None for an outage.

    While nothing goes in, each call asks for two single spans and no more: one of the batch, another each ``turn``, and the
    ``witness``, one beside it. When either goes in, the destination is there, and the batch is sent in halves. What fails alone,
    and again, is refused, if the good span still goes in after it; that one is sent twice.
    """
    at = turn % len(spans)
    parts = [(at + 1, len(spans)), (0, at)]
    good = spans[at]
    if len(spans) == 1 or not goes_in([good]):
        if witness is None or not goes_in([witness]):
            return None
        good, parts = witness, [(0, len(spans))]
    failed: list[int] = []
    while parts:
        begin, end = parts.pop()
        if begin == end or goes_in(spans[begin:end]):
            continue
        if end - begin == 1:
            failed.append(begin)
        else:
            middle = (begin + end) // 2
            parts += [(middle, end), (begin, middle)]
    bad = [at for at in failed if not goes_in([spans[at]])]
    return None if bad and not goes_in([good]) else bad


def brief(error: BaseException) -> str:
    """An error on one line of a log: without what URLs say of passwords, and no longer than it has to be."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {re.sub(r'://[^/@ ]*@', '://***@', first)[:300]}"


def _decoded(record: bytes | None) -> ReadableSpan | None:
    try:
        return decode(record) if record is not None else None
    except ValueError:
        return None


def drain(folder: Path, exporter: SpanExporter, limits: Limits | None = None) -> int:
    """Hand over once what waits in a folder, and count it.

    :raises Outage: the destination is away.
    """
    draining = Drain(folder, exporter, limits or Limits())
    try:
        return draining.round()
    finally:
        draining.close()
