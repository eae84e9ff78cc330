"""Runs a command transparently, and returns how it went.

In: a command and its environment. Out: its output on ours as it arrives and, when it has ended, an :class:`Outcome`. On failure: a
command that cannot be started raises OSError; if the reader of our output goes away, the output ends but the command continues.
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
"""Bytes kept from the end of each output."""

LONG_LINE = 4096
"""The most bytes of an incomplete first line that are dropped."""

PATIENCE = 1.0
"""Seconds without output, once the command has ended, after which reading stops: a daemon that it left may hold the pipe open forever."""

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a scheduler sends to the process that it started. Ctrl-C reaches the command directly."""


class Outcome(NamedTuple):
    """How a command went."""

    exit_code: int
    """The command's own, or minus the number of the signal that ended it."""
    seconds: float
    cpu_seconds: float
    """Of the command and all child processes that it waited for."""
    peak_memory_bytes: int
    """Of the largest of these processes."""
    stdout: str
    """The last 64 KiB."""
    stderr: str
    stdout_bytes: int
    """The total, including what was not kept."""
    stderr_bytes: int


class Tail:
    """Passes an output on and keeps the end of it."""

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
        """Wait until the output has ended, and return the end of it."""
        self._thread.join()
        kept = bytes(self._kept)
        if self.count > len(kept):
            # Start at a whole line, since half a key would not be redacted, or at least at a whole character.
            line = kept.find(b"\n", 0, LONG_LINE)
            kept = kept[line + 1 :] if line >= 0 else kept.lstrip(bytes(range(0x80, 0xC0)))
        return kept.decode("utf-8", "replace")


def run(command: Sequence[str], environment: Mapping[str, str]) -> Outcome:
    """Run a command to its end. Works only in the main thread, because it passes signals on to the command.

    :raises OSError: the command cannot be started.
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
