"""Responses of the HTTP front: their bodies, piece by piece, and what must be released after them.

In: results of the engine. Out: pieces of a WSGI body. On failure, once a response has started: the block with which ClickHouse
ends such a response; a client reads the error there.
"""

import json
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any

IN_MEMORY = 16 << 20
"""Maximum bytes kept in memory of a response that is completed before it is sent; beyond that it goes to a file."""
PIECE = 1 << 20


class Answer:
    """The body of a response; closing it, which the server always does, releases what it needed."""

    def __init__(self, *closing: Callable[[], None]) -> None:
        """Start without a body; ``closing`` functions are called at the end, last one first."""
        self.body: Iterator[bytes] = iter(())
        self.sent = True
        self.closing = list(closing)

    def __iter__(self) -> Iterator[bytes]:
        """What is sent: nothing in response to a HEAD."""
        return self.body if self.sent else iter(())

    def close(self) -> None:
        """Release everything, once, whatever fails."""
        try:
            _close(self.body)
        finally:
            if self.closing:
                try:
                    self.closing.pop()()
                finally:
                    self.close()


def results(stream: Any) -> Generator[Any, None, None]:
    """The parts of a streamed result; if it is abandoned early, the query is cancelled."""
    with stream:
        for part in stream:
            if part.size():
                yield part


def streamed(first: bytes, pieces: Iterator[bytes], tag: str, text: Callable[[Exception], str]) -> Iterator[bytes]:
    """A response that is sent while it is produced; ``text`` renders an error in ClickHouse's form."""
    try:
        yield first
        yield from pieces
    except Exception as error:
        said = text(error).encode()
        mark = tag.encode()
        yield b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n" % (mark, said, len(said) + 1, mark)
    finally:
        _close(pieces)


def collected(first: bytes, pieces: Iterator[bytes], answer: Answer) -> tuple[Iterator[bytes], int]:
    """A response that is completed before it is sent, and its size."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed after the response)
    answer.closing.append(file.close)
    file.write(first)
    for piece in pieces:
        file.write(piece)
    size = file.tell()
    file.seek(0)
    return iter(lambda: file.read(PIECE), b""), size


def each(pieces: Iterator[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Every piece, transformed."""
    try:
        for piece in pieces:
            yield change(piece)
    finally:
        _close(pieces)


def summary(result: Any) -> tuple[str, str]:
    """What ClickHouse reports about a query's work: for a streamed one, so far."""
    counts = {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "elapsed_ns": int(result.elapsed() * 1e9),
    }
    return "X-ClickHouse-Summary", json.dumps({name: str(count) for name, count in counts.items()})


def _close(pieces: Iterator[bytes]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
