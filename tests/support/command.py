"""The command in a process of its own or on a terminal, what it finds in a spool, and the store process as a server's URL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from genesis_otel._serve import client as store_process
from genesis_otel.processor import DurableSpanProcessor

Run = Callable[..., tuple[int, str, str]]
"""A command run in the test's process: exit code, standard output, standard error."""


def started(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """The command in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def on_terminal(*arguments: str, columns: int = 200) -> str:
    """What the command writes to a terminal of that width."""
    return asked_on_terminal(b"", *arguments, columns=columns)[1]


def asked_on_terminal(typed: bytes, *arguments: str, columns: int = 200) -> tuple[int, str]:
    """The command's exit code, and what it writes to a terminal, if that is typed when it asks."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "genesis_otel", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Python's own terminal size: readline, if anything has loaded it, sets COLUMNS.
        env=dict(os.environ),
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while select.select([ours], [], [], 150)[0] and (piece := os.read(ours, 65536)):
            shown += piece
            if typed and shown.endswith(b": "):
                os.write(ours, typed)
                typed = b""
    code = process.wait(60)
    os.close(ours)
    # On a busy machine it logs that it waits for the store; only the awaited output matters.
    lines = shown.decode().replace("\r\n", "\n").splitlines(True)
    return code, "".join(line for line in lines if "s at most" not in line)


def without_styles(shown: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


def server_url(data: Path, database: str) -> str:
    """The store process as the ClickHouse server that clients see."""
    address = store_process.running(data / "store")
    assert address
    return f"http://genesis:{address.secret}@127.0.0.1:{address.port}/{database}"


def spooled(folder: Path, spans: Sequence[ReadableSpan]) -> None:
    """Spans in a spool, left by a process that has died."""
    processor = DurableSpanProcessor(None, folder)
    for span in spans:
        processor.on_end(span)
    processor.shutdown()
