"""Delivers batches from the spool to an exporter, in order, until they have arrived.

In: a folder of queues and a span exporter. Out: every span delivered; only those that the destination refuses for their content
become dead letters, with the reason, and the rest of their batch is delivered. What it accepts but then rejects
is counted as lost. On failure: :class:`Outage`: nothing is taken off the queue, and the same batch comes again.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from genesis_otel._log import Trouble, first_line
from genesis_otel._ship.delivery.contract import Limits, Misconfigured, Outage, Refused, Rejected, Sender, TooLarge
from genesis_otel._ship.delivery.spool_state import SpoolState
from genesis_otel._ship.encoding.records import as_span
from genesis_otel._ship.spool import dead_letters, hold, joint, layout, losses
from genesis_otel._ship.spool.queue import Batch, Queue, take
from genesis_otel._ship.spool.status import status
from genesis_otel._store.errors import StoreError

logger = logging.getLogger(__name__)

LARGE = 4096
"""Batch size in spans from which it pays to prepare the next batch in parallel."""

PATIENCE = 5
"""Consecutive failures of a batch after which its parts are tried separately, with an exporter that only returns FAILURE."""
SMALLEST = 64 << 10
"""Minimum batch limit in bytes, whatever size went in: one oversized span must not slow down all others."""


class Sent(NamedTuple):
    """What became of a batch."""

    refused: list[tuple[int, str]]
    """The refused spans, by index, and why."""
    rejected: int = 0
    """Spans accepted and then discarded; it is not known which."""
    largest: int | None = None
    """If the batch was too large: the number of spans in the largest part that went in."""


class Waiting:
    """Logs that spans are waiting, and why, when that begins; and that they are being delivered again, when it ends."""

    def __init__(self, logger: logging.Logger, folder: Path) -> None:
        self._trouble, self._logger, self._folder = Trouble(logger), logger, folder

    def begins(self, error: Exception) -> None:
        """A round failed."""
        wrong = isinstance(error, Misconfigured)
        self._trouble.begins(
            "settings" if wrong else "outage",
            "spans are kept in %s, and NONE IS STORED until this is fixed: %s (%s waiting)"
            if wrong
            else "spans wait in %s: %s (%s waiting)",
            self._folder,
            first_line(error),
            self._count(),
            level=logging.ERROR if wrong else logging.WARNING,
        )

    def ends(self) -> None:
        """A round succeeded."""
        if self._trouble:
            self._trouble.ends("spans in %s are being delivered again (%s waiting)", self._folder, self._count())

    def _count(self) -> str:
        try:
            return f"{status(self._folder).waiting:,}"
        except OSError:
            return "an unknown number"


class Loaded(NamedTuple):
    """A batch being delivered."""

    batch: Batch
    spans: list[Any]
    """As a :class:`Sender` read them; the SDK's own spans for any other exporter."""
    readable: list[bytes]
    """The record of each of ``spans``."""
    unreadable: list[tuple[bytes, str]]
    """Records that are not spans, and why."""
    prepared: Any
    """``spans`` as prepared by a :class:`Sender`; None if they were not."""


class Drain:
    """Delivers a folder's queues to an exporter; keeps holding each queue that it has begun."""

    def __init__(self, folder: Path, exporter: SpanExporter, limits: Limits) -> None:
        self._folder, self._exporter, self._limits = folder, exporter, limits
        self._held: dict[str, Queue] = {}
        self._failures = 0
        self._last_good: bytes | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._state = SpoolState(folder, limits.state_interval) if limits.state_interval is not None else None

    def round(self, names: Iterable[str] | None = None, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Deliver what waits in the named queues (by default all but those that others drain), and return the number of spans.

        :raises Outage: the destination accepted a batch neither whole nor in parts.
        """
        hold.adopt(self._folder, segment_bytes=self._limits.segment_bytes, spool_bytes=self._limits.spool_bytes)
        wanted = layout.queues(self._folder) if names is None else list(names)
        ends: dict[str, tuple[int, int]] = {}
        delivered = self._together(wanted, ends) if self._limits.together and not stop() else 0
        for name in wanted:
            queue = self._hold(name)
            if queue is None:
                continue
            delivered += self._empty(queue, ends.get(name) or queue.ahead(), stop)
            if not queue.written_to():
                del self._held[name]
                queue.release()
        self.tell()
        return delivered

    def tell(self, delivered: int = 0, *, last: bool = False) -> None:
        """Send the state of the spool if a report is due; see :meth:`SpoolState.due`."""
        try:
            span = self._state.due(delivered, last=last) if self._state is not None else None
            if span is None:
                return
            if isinstance(self._exporter, Sender):
                self._exporter.send(self._exporter.prepare([self._exporter.read(self._exporter.encode(span))]))
            else:
                self._exporter.export([span])
        except Exception as error:
            logger.debug("the state of the spool was not reported: %s", first_line(error))

    def close(self) -> None:
        """Release all queues."""
        while self._held:
            self._held.popitem()[1].release()
        if self._pool is not None:
            self._pool.shutdown()

    def _hold(self, name: str) -> Queue | None:
        """A queue, held from now on; None if somebody else holds it."""
        queue = self._held.get(name) or take(self._folder, name)
        if queue is not None:
            self._held[name] = queue
        return queue

    def _together(self, names: Sequence[str], ends: dict[str, tuple[int, int]]) -> int:
        """Deliver small batches of several queues as one.

        :param ends: where each queue ends before that: what is added meanwhile waits for the next round.
        """
        queues = [queue for name in names if (queue := self._hold(name)) is not None]
        ends.update((queue.name, queue.ahead()) for queue in queues)
        parts = joint.gather(self._folder, queues, rows=self._limits.max_rows, size=self._limits.max_bytes)
        if not parts:
            return 0
        records = [record for _, batch in parts for record in batch.records]
        self._hand_over(parts[0][0], self._load(Batch(records, 0, 0, 0, -1)))
        joint.done(self._folder, parts)
        self.tell(len(records))
        return len(records)

    def _empty(self, queue: Queue, ahead: tuple[int, int], stop: Callable[[], bool]) -> int:
        """Deliver what a queue holds up to ``ahead``; records added meanwhile wait, so that a busy queue does not starve the others."""
        delivered, following = 0, None
        while not stop() and ((queue.segment, queue.start) < ahead or not queue.written_to()):
            if following is not None:
                queue.claim(following.batch)
                loaded = following
            else:
                batch = queue.next(self._limits.max_rows, self._limits.max_bytes)
                if batch is None:
                    break
                loaded = self._load(batch)
            coming = self._soon(queue, loaded.batch)
            self._hand_over(queue, loaded)
            queue.done(loaded.batch)
            delivered += len(loaded.batch.records)
            self.tell(len(loaded.batch.records))
            following = coming.result() if coming is not None else None
        return delivered

    def _soon(self, queue: Queue, batch: Batch) -> Future[Loaded | None] | None:
        """After a large batch, read and prepare the next one in another thread while ClickHouse works on another core."""
        if len(batch.records) < LARGE:
            return None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "genesis-otel-prepare")
        try:
            return self._pool.submit(self._load_following, queue, batch)
        except RuntimeError:  # the interpreter is shutting down
            return None

    def _load_following(self, queue: Queue, batch: Batch) -> Loaded | None:
        following = queue.following(batch, self._limits.max_rows, self._limits.max_bytes)
        return self._load(following) if following is not None else None

    def _load(self, batch: Batch) -> Loaded:
        # Tens of thousands of new objects, none of them garbage: the collector would scan them again and again, for half of the
        # time. It is off for these milliseconds only, never while waiting for a destination: the search needs it, too.
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._loaded(batch)
        finally:
            if collects:
                gc.enable()

    def _loaded(self, batch: Batch) -> Loaded:
        spans: list[Any] = []
        readable: list[bytes] = []
        unreadable: list[tuple[bytes, str]] = []
        read = self._exporter.read if isinstance(self._exporter, Sender) else as_span
        for record in batch.records:
            try:
                spans.append(read(record))
                readable.append(record)
            except ValueError as error:
                unreadable.append((record, str(error)))
        prepared = None
        if spans and isinstance(self._exporter, Sender):
            # What cannot be prepared is split in halves when it is sent.
            with contextlib.suppress(Exception):
                prepared = self._exporter.prepare(spans)
        return Loaded(batch, spans, readable, unreadable, prepared)

    def _hand_over(self, queue: Queue, loaded: Loaded) -> None:
        batch, spans, readable, refused, prepared = loaded
        if spans:
            try:
                if isinstance(self._exporter, Sender):
                    sent = send_halving(self._exporter, spans, prepared)
                else:
                    sent = Sent(self._export(self._exporter, spans, queue, batch))
            except Outage:
                self._failures += 1
                raise
            self._failures = 0
            if sent.rejected:
                losses.note(
                    self._folder,
                    sent.rejected,
                    "rejected by the destination, which does not say which spans (partial success)",
                )
            if sent.largest is not None:
                self._fit(batch, sent.largest)
            bad = {at for at, _ in sent.refused}
            self._last_good = next((readable[at] for at in range(len(spans)) if at not in bad), self._last_good)
            refused += [(readable[at], reason) for at, reason in sent.refused]
        if refused:
            self._bury(refused)

    def _fit(self, batch: Batch, largest: int) -> None:
        """Limit batches to the size that went in, for the rest of this process: each larger one would be sent in vain."""
        size = sum(map(len, batch.records)) * largest // len(batch.records)
        self._limits = self._limits._replace(max_bytes=max(SMALLEST, min(self._limits.max_bytes, size)))
        logger.info(
            "batches from %s are limited to %d bytes from now on: larger ones are refused",
            self._folder,
            self._limits.max_bytes,
        )

    def _export(
        self, exporter: SpanExporter, spans: list[ReadableSpan], queue: Queue, batch: Batch
    ) -> list[tuple[int, str]]:
        """Deliver through an exporter whose FAILURE may mean refusal or outage: after PATIENCE failures, parts are tried to find out."""
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
        bad = diagnose(goes_in, spans, _decoded(self._last_good or queue.beyond(batch)), self._failures)
        if bad is None:
            raise Outage(f"{name} failed")
        return [(at, f"{name} fails on this span alone") for at in bad]

    def _bury(self, refused: list[tuple[bytes, str]]) -> None:
        kept = 0
        for record, reason in refused:
            try:
                dead_letters.bury(self._folder, record, reason)
                kept += 1
            except OSError as error:
                losses.note(self._folder, 1, f"refused, and the dead letter could not be written: {error.strerror}")
        # The reasons may quote a prompt: they are in the dead letters, which only the user can read.
        logger.warning(
            "spans refused for their content: %d; they are kept in %s", kept, self._folder / dead_letters.DEAD
        )


def send_halving(exporter: Sender, spans: list[Any], prepared: Any) -> Sent:
    """Send ``spans``, splitting what is refused in halves, down to single spans.

    :param prepared: the result of ``exporter.prepare(spans)``, or None. Whatever ``prepare`` raises is a refusal: it sees only the content.
    :raises Outage: anything but a refusal was raised.
    """
    refused: list[tuple[int, str]] = []
    rejected, largest, too_large = 0, 0, False
    parts = [(0, len(spans))]
    while parts:
        begin, end = parts.pop()
        try:
            whole = end - begin == len(spans) and prepared is not None
            told: Rejected | None = exporter.send(prepared if whole else _prepare(exporter, spans[begin:end]))
            largest = max(largest, end - begin)
        except Refused as error:
            too_large = too_large or isinstance(error, TooLarge)
            middle = (begin + end) // 2
            if end - begin == 1:
                refused.append((begin, str(error)))
            else:
                parts += [(middle, end), (begin, middle)]
        except Outage:
            raise
        except Exception as error:
            raise Outage(named(error)) from error
        else:
            if told is not None:
                rejected += told.spans
                # The reason may quote a span: so only at debug level.
                logger.debug("spans rejected: %d: %s", told.spans, told.reason)
    return Sent(refused, rejected, largest if too_large else None)


def _prepare(exporter: Sender, spans: list[Any]) -> Any:
    try:
        return exporter.prepare(spans)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise Refused(named(error)) from error


def diagnose(
    goes_in: Callable[[Sequence[ReadableSpan]], bool],
    spans: list[ReadableSpan],
    witness: ReadableSpan | None,
    turn: int,
) -> list[int] | None:
    """Distinguish a refusal from an outage with an exporter that only fails: the indexes of the refused spans, or None for an outage.

    While nothing is accepted, each call tries only two single spans: one of the batch, a different one each ``turn``, and the
    ``witness``, one from outside it. If either is accepted, the destination is up, and the batch is sent in halves. A span that fails
    alone, twice, counts as refused, provided that the good span is still accepted after it; that one is sent twice.
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


def named(error: BaseException) -> str:
    """An error on one line; with its class, unless its text is written for users."""
    text = first_line(error)
    return text if isinstance(error, StoreError) else f"{type(error).__name__}: {text}"


def _decoded(record: bytes | None) -> ReadableSpan | None:
    try:
        return as_span(record) if record is not None else None
    except ValueError:
        return None


def drain(folder: Path, exporter: SpanExporter, limits: Limits | None = None) -> int:
    """Deliver once what waits in a folder, and return the number of spans.

    :raises Outage: the destination is not available.
    """
    draining = Drain(folder, exporter, limits or Limits())
    try:
        return draining.round()
    finally:
        draining.close()
