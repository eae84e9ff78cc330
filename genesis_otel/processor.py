"""The durable span processor: what ``end()`` has returned for survives the process, and arrives.

In: ended spans, from any thread. Out: each is in the spool on disk when :meth:`DurableSpanProcessor.on_end` returns; a
thread hands them to the exporter in batches, together with what dead processes left in the same folder.
On failure: nothing is raised into the application, and no network is waited for. An outage backs off and loses nothing;
a full disk keeps 16 MiB in memory, and what goes beyond that, or beyond the spool's limit, is counted and said.
"""

from __future__ import annotations

# Loaded before any TracerProvider is made: the SDK's provider starts a thread pool in each forked child, and hangs there when
# its own fork handler is older than the pool's, as it is where the module is loaded for the first time after it.
import concurrent.futures.thread  # noqa: F401
import errno
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, set_value
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from genesis_otel._ship.codec import encode
from genesis_otel._ship.contract import Limits, Outage, Refused, Sender
from genesis_otel._ship.delivery import Drain, brief
from genesis_otel._ship.spool import losses, queue
from genesis_otel._ship.spool.lock import ProcessLock

__all__ = ["DurableSpanProcessor", "Limits", "Outage", "Refused", "Sender"]

logger = logging.getLogger(__name__)

HELD_BYTES = 16 << 20
"""What is kept in memory while the disk is full."""
REOPEN_EVERY = 1.0
"""Seconds between two attempts to make a queue in a folder that refuses one."""
SAY_EVERY = 600.0
"""Seconds between two warnings of the same outage."""


class DurableSpanProcessor(SpanProcessor):
    """Stands in the batch processor's place, before any exporter.

    A forked child spools for itself; its spans are handed over by the process that made the processor, since an exporter's
    connections are not for two processes, and by the child only when that one is gone.

    :param exporter: takes the batches, in a thread of its own; one with a ``send`` (see :class:`Sender`) tells what is
        refused from what may work later. None only spools: another process drains the folder.
    :param folder: the spool of one destination; shared by all processes that send there.
    :param limits: bounds of batches, spool and waits.
    """

    def __init__(self, exporter: SpanExporter | None, folder: Path, *, limits: Limits | None = None) -> None:
        self._exporter, self._folder, self._limits = exporter, folder, limits or Limits()
        self._family = uuid.uuid4().hex[:8]
        self._ended = False
        self._begin()
        _PROCESSORS.add(self)
        if exporter is not None:
            # At once: this process, and no forked child that happens to be first, is to use the exporter.
            self._start()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._writer: queue.Writer | None = None
        self._queues: list[str] = []
        self._thread: threading.Thread | None = None
        self._leader: ProcessLock | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._give_up = 0.0
        self._failures = 0
        self._in_vain = False
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._reopen = 0.0

    def forked(self) -> None:
        """In a forked child: leave the parent's queue and thread alone, and begin anew with the next span."""
        if self._writer is not None:
            self._writer.abandon()
        self._begin()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Put the span on disk; never raises. After :meth:`shutdown`, too: then the next process delivers it."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        try:
            record = encode(span)
        except Exception as error:
            losses.note(self._folder, 1, f"a span could not be encoded: {type(error).__name__}")
            return
        with self._lock:
            try:
                if self._held:
                    self._write_held()
                (self._writer or self._open()).append(record)
            except Exception as error:
                self._hold(record, error)
        if self._thread is None and self._exporter is not None and not self._ended:
            self._start()

    def waiting(self) -> int:
        """Spans of this process that were not handed over yet."""
        return len(self._held) + sum(queue.waiting_in(self._folder, name) for name in self._queues)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what has ended so far was handed over, here or by whoever drains; False when the time is over."""
        deadline = time.monotonic() + timeout_millis / 1000
        if not self._settle():
            return False
        with self._lock:
            writer = self._writer
            target = writer.position() if writer else (0, 0)
        if writer is None:
            return True
        pause = 0.005
        self._wake.set()
        while queue.taken(self._folder, writer.id) < target:
            left = deadline - time.monotonic()
            if left <= 0:
                self._in_vain = True
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.1)
        self._in_vain = False
        return True

    def shutdown(self) -> None:
        """Hand over what waits, within ``limits.shutdown_timeout``, and stop; what is left stays in the spool.

        In an outage, or after a flush in vain, nothing is waited for.
        """
        if self._ended:
            return
        self._ended = True
        thread, seconds = self._thread, 0.0 if self._failures or self._in_vain else self._limits.shutdown_timeout
        self._give_up = time.monotonic() + seconds
        self._stop.set()
        self._wake.set()
        if thread is not None:
            # An exporter that hangs is not waited for: its thread is a daemon, and its batch is in the spool.
            thread.join(seconds + 0.5)
        settled = self._settle()
        with self._lock:
            if not settled:
                losses.note(self._folder, len(self._held), "cannot be written")
                self._held.clear()
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        if self._exporter is not None and (thread is None or not thread.is_alive()):
            try:
                self._exporter.shutdown()
            except Exception:
                logger.debug("the exporter's shutdown failed", exc_info=True)

    # --- the calling thread, under the lock ---------------------------------------------------------------------------

    def _open(self) -> queue.Writer:
        if time.monotonic() < self._reopen:
            raise OSError(errno.EAGAIN, "the spool cannot be opened")
        self._reopen = time.monotonic() + REOPEN_EVERY
        self._writer = queue.Writer(
            self._folder,
            segment_bytes=self._limits.segment_bytes,
            spool_bytes=self._limits.spool_bytes,
            family=f"{self._family}-" if self._exporter is not None else "",
        )
        self._reopen = 0.0
        self._queues.append(self._writer.id)
        return self._writer

    def _hold(self, record: bytes, error: Exception) -> None:
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        if not self._held:
            logger.warning("spans cannot be written to %s (%s) and are kept in memory for now", self._folder, why)
        if self._held_bytes + len(record) > HELD_BYTES:
            losses.note(self._folder, 1, "cannot be written, and there are too many to keep in memory")
            return
        self._held.append(record)
        self._held_bytes += len(record)

    def _write_held(self) -> None:
        while self._held:
            (self._writer or self._open()).append(self._held[0])
            self._held_bytes -= len(self._held.popleft())
        losses.settle(self._folder)

    def _settle(self) -> bool:
        """Write what is held; False when the disk still takes nothing."""
        with self._lock:
            try:
                if self._held:
                    self._write_held()
            except OSError:
                return False
            return True

    # --- the exporter's thread ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._ended:
                try:
                    self._leads()
                    thread = threading.Thread(target=self._run, name="genesis-otel-exporter", daemon=True)
                    thread.start()
                    self._thread = thread
                except RuntimeError:
                    logger.debug("no thread can be had: the next process delivers", exc_info=True)

    def _run(self) -> None:
        assert self._exporter is not None  # noqa: S101 - started for an exporter alone
        draining = Drain(self._folder, self._exporter, self._limits)
        # What the exporter's own client does is no span of the search. This context is this thread's alone.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        said = 0.0
        try:
            while not self._stop.is_set():
                pause = self._limits.flush_interval
                try:
                    self._settle()
                    if self._leads():
                        draining.round(self._mine(), stop=self._stop.is_set)
                    if said:
                        logger.info("spans go out of %s again", self._folder)
                    self._failures, said = 0, 0.0
                except Exception as error:
                    self._failures += 1
                    if not said or time.monotonic() - said > SAY_EVERY:
                        said = time.monotonic()
                        logger.warning("spans wait in %s: %s", self._folder, brief(error))
                    longest = min(self._limits.backoff_max, self._limits.backoff * 2 ** min(self._failures - 1, 20))
                    pause = random.uniform(0, longest)  # noqa: S311 - jitter
                self._wake.wait(pause)
                self._wake.clear()
            if self._leads() and self._writer is not None and not self._late():
                draining.round([self._writer.id], stop=self._late)
                if not self._late():
                    draining.tell(last=True)
        except Exception as error:
            logger.debug("spans are left to the next process: %s", brief(error))
        finally:
            draining.close()
            if self._leader is not None:
                self._leader_file().unlink(missing_ok=True)
                self._leader.release()

    def _late(self) -> bool:
        return time.monotonic() > self._give_up

    def _leader_file(self) -> Path:
        return self._folder / f"x-{self._family}.exports"

    def _leads(self) -> bool:
        """Whether this process is the one of its family that uses the exporter."""
        if self._leader is None:
            leader = ProcessLock(self._leader_file())
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Of families that are gone. Who takes one at this moment sees that it is not valid, and tries again.
                for path in self._folder.glob("x-*.exports"):
                    if ProcessLock.holder(path) is None:
                        path.unlink(missing_ok=True)
                if leader.take(0.0):
                    self._leader = leader
                    if not leader.valid():
                        self._leader = None
                        leader.release()
            except OSError:
                logger.debug("%s cannot be used", self._folder, exc_info=True)
        return self._leader is not None

    def _mine(self) -> Iterator[str]:
        """The queues of this process and of those forked from it, and those whose writers are dead."""
        for name in queue.queues(self._folder):
            if f"-{self._family}-" in name or not queue.writer_lives(self._folder, name):
                yield name


_PROCESSORS: weakref.WeakSet[DurableSpanProcessor] = weakref.WeakSet()


def _forked() -> None:
    for processor in list(_PROCESSORS):
        processor.forked()


os.register_at_fork(after_in_child=_forked)
