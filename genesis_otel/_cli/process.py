"""Runs a command as if nothing stood around it, and says how it went.

In: a command and its environment. Out: its output on ours as it comes, and at its end an :class:`Outcome`. On failure: a command
that cannot be started raises OSError; a reader of our output that went away ends the output and not the command.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO, NamedTuple

KEPT = 64 * 1024
"""Bytes at the end of each output that are kept."""

LONG_LINE = 4096
"""Bytes of a line that are dropped at most, where its beginning was not kept."""

PATIENCE = 1.0
"""Seconds of silence after the command's end, after which its output is not read on: a daemon that it left may hold it for ever."""

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a scheduler sends to the process that it started. Ctrl-C reaches the command by itself."""


class Outcome(NamedTuple):
    """How a command went."""

    exit_code: int
    """Its own, or minus the number of the signal that ended it."""
    seconds: float
    cpu_seconds: float
    """Of all its processes that it waited for."""
    peak_memory_bytes: int
    """Of the largest of these processes."""
    stdout: str
    """Its last 64 KiB."""
    stderr: str
    stdout_bytes: int
    """How much there was in all."""
    stderr_bytes: int


class Tail:
    """Passes an output on while it keeps its end."""

    def __init__(self, source: IO[bytes], sink: IO[bytes], ended: threading.Event) -> None:
        self.count = 0
        self._kept = bytearray()
        self._source, self._sink, self._ended = source, sink, ended
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        is_read = True
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        while True:
            if not poll.poll(PATIENCE * 1000):
                if self._ended.is_set():
                    return
                continue
            chunk = os.read(self._source.fileno(), KEPT)
            if not chunk:
                return
            self.count += len(chunk)
            self._kept = (self._kept + chunk)[-KEPT:]
            try:
                if is_read:
                    self._sink.write(chunk)
                    self._sink.flush()
            except OSError:
                is_read = False

    def text(self) -> str:
        """The end of the output, when it is over."""
        self._thread.join()
        kept = bytes(self._kept)
        if self.count > len(kept):
            # From a whole line on, since half a key is not recognised as one; or at least from a whole character on.
            line = kept.find(b"\n", 0, LONG_LINE)
            kept = kept[line + 1 :] if line >= 0 else kept.lstrip(bytes(range(0x80, 0xC0)))
        return kept.decode("utf-8", "replace")


def run(command: Sequence[str], environment: Mapping[str, str]) -> Outcome:
    """Run a command to its end. From the main thread alone, since signals are passed on to it.

    :raises OSError: it cannot be started.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        if process is None:
            early.append(number)
        elif process.returncode is None:
            os.kill(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in early:
            os.kill(process.pid, number)
        ended = threading.Event()
        assert process.stdout is not None and process.stderr is not None  # noqa: S101  for the type checker
        outputs = [Tail(process.stdout, sys.stdout.buffer, ended), Tail(process.stderr, sys.stderr.buffer, ended)]
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        ended.set()
        stdout, stderr = (output.text() for output in outputs)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    process.stdout.close()
    process.stderr.close()
    # macOS counts bytes, every other system KiB.
    unit = 1 if sys.platform == "darwin" else 1024
    return Outcome(
        process.returncode,
        seconds,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss * unit,
        stdout,
        stderr,
        *(output.count for output in outputs),
    )
