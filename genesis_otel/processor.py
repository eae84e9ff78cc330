"""The durable span processor: a span whose ``end()`` has returned survives the process, and arrives.

In: ended spans, from any thread, from signal handlers and from finalisers that run while another span is ending. Out: each span is in
the spool on disk when :meth:`DurableSpanProcessor.on_end` returns (a span that a handler ends in the middle of another's end, when
that one returns); a thread passes them to the exporter in batches, together with what dead processes left in the same folder.
On failure: nothing of ours is raised into the application, and no call waits for the network; what the application's own signal
handlers raise passes through, once the span is safe. An outage backs off and loses nothing; a full disk keeps 16 MiB in memory, and
whatever exceeds that, or the spool's limit, is counted and logged. A removed folder is noticed within a second and created again.
"""

from __future__ import annotations

import _thread

# Loaded before any TracerProvider is created: the SDK's provider starts a thread pool in each forked child, and hangs there if
# its own fork handler is older than the pool's, as happens when this module is first loaded after the provider.
import concurrent.futures.thread  # noqa: F401
import errno
import functools
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, set_value
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from genesis_otel._emit.interruption import foreign, uninterrupted
from genesis_otel._log import first_line
from genesis_otel._ship.delivery.contract import Limits, Outage, Refused, Sender
from genesis_otel._ship.spool import losses
from genesis_otel._ship.spool.leader import Leadership
from genesis_otel._ship.spool.status import taken, waiting_in
from genesis_otel._ship.spool.turn import Turn
from genesis_otel._ship.spool.writer import Writer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["DurableSpanProcessor", "Limits", "Outage", "Refused", "Sender"]

logger = logging.getLogger(__name__)

HELD_BYTES = 16 << 20
"""How much is kept in memory while the disk is full."""
REOPEN_EVERY = 1.0
"""Seconds between two attempts to create a queue in a folder that refuses one."""
CHECK_EVERY = 1.0
"""Seconds between two checks that the folder still exists."""
Item = tuple[int, bytes]
"""A span's id, and its record."""
MEANWHILE_INTERVAL = 0.5
"""Seconds between two calls of what a caller does while it waits."""
RECENT = 4096
"""How many ids of spans known to be safe are kept: more than other threads can end while one is interrupted."""


class DurableSpanProcessor(SpanProcessor):
    """Takes the batch processor's place, in front of any exporter.

    A forked child spools for itself; its spans are delivered by the process that made the processor, because an exporter's
    connections must not be shared by two processes, and by the child only when that process is gone.

    :param exporter: takes the batches, in its own thread; one with a ``send`` (see :class:`Sender`) distinguishes refusals from
        failures that may pass, and determines the spool's record format. None only spools: another process drains the folder.
    :param folder: the spool of one destination; shared by all processes that send there.
    :param limits: bounds for batches, spool and waits.
    :param encode: makes a span's record; by default in the exporter's format, or in one that loses nothing. Whoever drains the folder
        can read both.
    """

    def __init__(
        self,
        exporter: SpanExporter | None,
        folder: Path,
        *,
        limits: Limits | None = None,
        encode: Callable[[ReadableSpan], bytes] | None = None,
    ) -> None:
        self._exporter, self._folder, self._limits = exporter, folder, limits or Limits()
        self.encode = encode or (exporter.encode if isinstance(exporter, Sender) else _encoding())
        """Makes a span's record."""
        self._family = uuid.uuid4().hex[:8]
        self.retries = 0
        """Failed deliveries that will be retried."""
        self._ended = False
        self._begin()
        _PROCESSORS.add(self)
        if exporter is not None:
            # Before the thread, which a fork could interrupt in the middle of an import; a process that only spools needs no drain.
            from genesis_otel._ship.delivery import drain  # noqa: F401

            # Immediately: this process, and not whichever forked child comes first, is to use the exporter.
            self._start()

    def _begin(self) -> None:
        self._turn: Turn[Item] = Turn(self._write)
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._writer: Writer | None = None
        self._queues: list[str] = []
        self._leadership = Leadership(self._folder, self._family)
        # A token by which a thread recognises itself as the current one; None while there is none.
        self._thread: object | None = None
        # Queues rather than events: a signal handler may put into one while its own thread is doing so.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._stop = False
        self._deadline = 0.0
        self._failures = 0
        self._in_vain = False
        self._held: deque[Item] = deque()
        self._held_bytes = 0
        self._reopen = 0.0
        self._next_check = 0.0

    def forked(self) -> None:
        """In a forked child: leave the parent's queue and thread alone, and start afresh with the next span."""
        if self._writer is not None:
            self._writer.abandon(busy=self._turn.busy)
        self._turn.items.clear()
        self._begin()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Let a signal handler touch a span that its own thread is just touching: with the SDK's locks it would deadlock on
        itself."""
        lock = threading.RLock()
        for part in (span, span._attributes, span._events):
            if hasattr(part, "_lock"):
                part._lock = lock  # type: ignore[union-attr]

    def on_end(self, span: ReadableSpan) -> None:
        """Put the span on disk; raises nothing of its own. Also after :meth:`shutdown`: then the next process delivers it."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        try:
            self._turn.run((context.span_id, self.encode(span)))
        except BaseException as error:
            if not foreign(error):
                losses.note(self._folder, 1, f"a span could not be encoded: {type(error).__name__}")
                return
            uninterrupted(functools.partial(self.retake, span))
            raise
        if self._thread is None and self._exporter is not None and not self._ended:
            self._start()

    def retake(self, span: ReadableSpan) -> None:
        """Put a span whose end was interrupted on disk, if it is not there yet."""
        context = span.context
        if context is None or not context.trace_flags.sampled or span.end_time is None:
            return
        self._turn.run()
        if not self.took(context.span_id):
            self._turn.run((context.span_id, self.encode(span)))

    def took(self, span_id: int) -> bool:
        """Whether a span that has just ended is safe, or about to be."""
        return span_id in self._recent or any(span_id == each for each, _ in list(self._turn.items))

    def waiting(self) -> int:
        """The number of this process's spans that were not handed over yet."""
        return len(self._held) + sum(waiting_in(self._folder, name) for name in self._queues)

    def force_flush(self, timeout_millis: int = 30_000, *, meanwhile: Callable[[], object] | None = None) -> bool:
        """Wait until what has ended so far was handed over, here or by whoever drains; False on timeout.

        :param meanwhile: called when the wait begins and every half second of it: whoever drains may only be starting.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        if not self._settle():
            return False
        writer = self._writer
        if writer is None:
            return True
        target = writer.position()
        pause, due = 0.005, 0.0
        self._wake.put(None)
        while taken(self._folder, writer.id) < target:
            now = time.monotonic()
            left = deadline - now
            if left <= 0:
                self._in_vain = True
                return False
            if meanwhile and now >= due:
                meanwhile()
                due = now + MEANWHILE_INTERVAL
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.1)
            if not self._settle():
                return False
            if self._writer is not writer and self._writer is not None:
                # The folder was removed, and whatever could be saved is in another queue.
                writer = self._writer
                target = writer.position()
        self._in_vain = False
        return True

    def shutdown(self) -> None:
        """Hand over what is waiting, within ``limits.shutdown_timeout``, and stop; the rest stays in the spool.

        In an outage, or after a flush that failed, it does not wait.
        """
        if self._ended:
            return
        self._ended = True
        # Again: what is written now may still be handed over.
        self._settle(last=True)
        running, seconds = self._thread, 0.0 if self._failures or self._in_vain else self._limits.shutdown_timeout
        self._deadline = time.monotonic() + seconds
        self._stop = True
        self._wake.put(None)
        if running is not None:
            try:
                # A hanging exporter is not waited for: its thread is a daemon, and its batch is in the spool.
                self._done.get(timeout=seconds + 0.5)
                running = None
            except Empty:
                logger.debug("the exporter does not finish and is abandoned")
        self._settle(last=True)
        with self._turn.alone() as free:
            # A signal handler that interrupts an end() leaves the queue to it.
            if free:
                self._close()
        losses.close(self._folder)
        if self._exporter is not None and running is None:
            try:
                self._exporter.shutdown()
            except Exception as error:
                if foreign(error):
                    raise
                logger.debug("the exporter's shutdown failed", exc_info=True)

    # --- the calling thread --------------------------------------------------------------------------------------------

    def _write(self, item: Item) -> None:
        """Write one span to disk; called again with the same span after a signal handler's exception."""
        span_id = item[0]
        if self._recent and self._recent[-1] == span_id:
            return
        turn = self._turn
        try:
            if time.monotonic() >= self._next_check:
                self._check_folder()
            if self._held:
                self._write_held()
            writer = self._writer or self._open()
            if self._turn is turn:
                writer.append(item[1], item)
        except Exception as error:
            if foreign(error):
                raise
            if self._turn is turn:
                self._hold(item, error)
        if self._turn is turn:
            # Otherwise a signal handler has forked, and this is the child: the parent writes the span.
            self._recent.append(span_id)

    def _open(self) -> Writer:
        if time.monotonic() < self._reopen:
            raise OSError(errno.EAGAIN, "the spool cannot be opened")
        self._reopen = time.monotonic() + REOPEN_EVERY
        writer = Writer(
            self._folder,
            segment_bytes=self._limits.segment_bytes,
            spool_bytes=self._limits.spool_bytes,
            family=f"{self._family}-" if self._exporter is not None else "",
        )
        self._reopen = 0.0
        self._queues = [*self._queues, writer.id]
        self._writer = writer
        losses.settle(self._folder)
        return writer

    def _check_folder(self) -> None:
        """Check every second that the folder still exists, and that its contents are still ours."""
        self._next_check = time.monotonic() + CHECK_EVERY
        writer = self._writer
        if writer is None or writer.look():
            return
        rescued, lost = writer.rescue()
        held = deque([*((0, record) for record in rescued), *self._held])
        queues = [name for name in self._queues if name != writer.id]
        # No call between these assignments, so nothing can interrupt them.
        self._writer, self._held, self._queues = None, held, queues
        self._held_bytes += sum(map(len, rescued))
        losses.note(self._folder, lost, "their files were removed")
        logger.warning(
            "%s was removed or replaced while spans were written to it, and is created again: %d spans are written again, %d are lost",
            self._folder,
            len(rescued),
            lost,
        )
        writer.close()

    def _hold(self, item: Item, error: Exception) -> None:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        if not self._held:
            logger.warning("spans cannot be written to %s (%s) and are kept in memory for now", self._folder, why)
        size = len(item[1])
        if self._held_bytes + size > HELD_BYTES:
            losses.note(self._folder, 1, "cannot be written, and there are too many to keep in memory")
            return
        if not self._held or self._held[-1] is not item:
            self._held.append(item)
            self._held_bytes += size
        if self._writer is not None:
            self._writer.hold(len(self._held))

    def _write_held(self) -> None:
        while self._held:
            item = self._held[0]
            writer = self._writer or self._open()
            writer.append(item[1], item)
            if self._held and self._held[0] is item:
                self._held.popleft()
                self._held_bytes -= len(item[1])
            writer.hold(len(self._held))
        losses.settle(self._folder)

    def _settle(self, *, last: bool = False) -> bool:
        """Write what is held; False if the disk still accepts nothing.

        :param last: try even if it was just tried.
        """
        with self._turn.alone() as free:
            if not free:
                return False
            if last:
                self._reopen = self._next_check = 0.0
            try:
                if time.monotonic() >= self._next_check:
                    self._check_folder()
                if self._held:
                    self._write_held()
            except OSError as error:
                if foreign(error):
                    raise
                return False
            return True

    def _close(self) -> None:
        writer = self._writer
        if self._held:
            losses.note(self._folder, len(self._held), "cannot be written")
            self._held.clear()
            self._held_bytes = 0
        if writer is not None:
            writer.hold(0)
            self._writer = None
            writer.close()

    # --- the exporter's thread ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._turn.alone() as free:
            # If this interrupts another's end(), that one starts the thread.
            if not free or self._thread is not None or self._ended:
                return
            mine = self._thread = object()
            try:
                self._leadership.take()
                # Not via ``threading``, whose own lock may be held by the very thread that a signal handler interrupts.
                _thread.start_new_thread(self._run, (mine,))
            except RuntimeError:
                self._thread = None
                logger.debug("no thread can be started: the next process delivers", exc_info=True)
            except BaseException:
                # A signal handler's exception. If the thread did start, it sees that it is not the current one.
                self._thread = None
                raise

    def _run(self, mine: object) -> None:
        from genesis_otel._ship.delivery.drain import Drain, Waiting

        assert self._exporter is not None  # noqa: S101 - started for an exporter alone
        done = self._done
        draining = Drain(self._folder, self._exporter, self._limits)
        # Calls by the exporter's own client are not spans of the search. This context belongs to this thread alone.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        waiting = Waiting(logger, self._folder)
        try:
            while not self._stop and self._thread is mine:
                pause = self._limits.flush_interval
                try:
                    self._settle()
                    if self._leadership.take():
                        draining.round(self._leadership.queues(), stop=self._stopped)
                    waiting.ends()
                    self._failures = 0
                except Exception as error:
                    self._failures += 1
                    self.retries += 1
                    waiting.begins(error)
                    longest = min(self._limits.backoff_max, self._limits.backoff * 2 ** min(self._failures - 1, 20))
                    asked = min(error.after, self._limits.backoff_max) if isinstance(error, Outage) else 0.0
                    pause = asked + random.uniform(0, longest)  # noqa: S311 - jitter
                if not self._stop:
                    self._sleep(pause)
            if self._leadership.take() and self._writer is not None and not self._is_past_deadline():
                draining.round([self._writer.id], stop=self._is_past_deadline)
                if not self._is_past_deadline():
                    draining.tell(last=True)
        except Exception as error:
            logger.debug("spans are left to the next process: %s", first_line(error))
        finally:
            draining.close()
            if self._thread is mine:
                self._leadership.release()
            done.put(None)

    def _sleep(self, seconds: float) -> None:
        """Sleep until somebody asks for a flush, or the time is up."""
        try:
            self._wake.get(timeout=seconds)
            while True:
                self._wake.get_nowait()
        except Empty:
            pass

    def _stopped(self) -> bool:
        return self._stop

    def _is_past_deadline(self) -> bool:
        return time.monotonic() > self._deadline


def _encoding() -> Callable[[ReadableSpan], bytes]:
    from genesis_otel._ship.encoding import codec

    return codec.encode


_PROCESSORS: weakref.WeakSet[DurableSpanProcessor] = weakref.WeakSet()


def _forked() -> None:
    for processor in list(_PROCESSORS):
        processor.forked()


os.register_at_fork(after_in_child=_forked)
