"""Bodies of requests: what clients compress is read whole, whatever it consists of, or refused."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from genesis_otel._serve.http import compression
from genesis_otel._serve.http.guard import RefusedError

LIMIT = 8 << 20


def stream(encoding: str, plain: bytes) -> bytes:
    """One stream, as a client compresses a block."""
    if encoding == "deflate":
        return zlib.compress(plain)
    pack, end = compression.packer(encoding)
    return pack(plain) + end()


SIZES: dict[str, Callable[[int], int]] = {
    "below": lambda step: step - 20,
    "above": lambda step: step + 20,
    "twice": lambda step: 2 * step,
    "thrice": lambda step: 3 * step,
}


@pytest.mark.parametrize("encoding", compression.ENCODINGS)
def test_streams_of_any_size_are_read_whole(encoding: str) -> None:
    """Streams that end before, at and after each step of the reading follow one another, empty ones among them; a body that ends within one
    is refused, and so is what is no stream."""
    chance = random.Random(3)
    steps = (compression.FIRST_STEP, compression.LAST_STEP)
    sizes = [0, 1, *(size(step) for step in steps for size in SIZES.values()), 0]
    blocks = [chance.randbytes(size) for size in sizes]
    body = b"".join(stream(encoding, block) for block in blocks)
    assert compression.unpacked(body, encoding, LIMIT) == b"".join(blocks)
    for broken in (body[:-1], body[: len(body) // 2], body + b"no stream"):
        with pytest.raises(RefusedError) as refused:
            compression.unpacked(broken, encoding, LIMIT)
        assert refused.value.code == 354


@pytest.mark.parametrize("encoding", compression.ENCODINGS)
def test_a_stream_that_ends_at_a_step_is_not_mistaken(encoding: str) -> None:
    """A stream may be exactly as long as what is read at once, with or without another one after it."""
    chance = random.Random(3)
    plain = next(
        block
        for size in range(compression.FIRST_STEP, 0, -1)
        if len(stream(encoding, block := chance.randbytes(size))) == compression.FIRST_STEP
    )
    body = stream(encoding, plain)
    assert compression.unpacked(body, encoding, LIMIT) == plain
    assert compression.unpacked(2 * body, encoding, LIMIT) == 2 * plain


@pytest.mark.parametrize("encoding", compression.ENCODINGS)
def test_no_more_than_the_limit_is_decompressed(encoding: str) -> None:
    """Of a small body that is huge when decompressed, one byte more than the limit is kept, by which it is recognised."""
    for body in (stream(encoding, bytes(LIMIT)), 100 * stream(encoding, bytes(100))):
        assert len(compression.unpacked(body, encoding, 5_000)) == 5_001


@pytest.mark.parametrize("encoding", compression.ENCODINGS)
def test_the_rest_of_a_body_is_not_copied_for_each_stream(encoding: str) -> None:
    """Otherwise a body of many small streams, which anybody with a password may send, takes the square of its size."""
    body = 20_000 * stream(encoding, b"") + stream(encoding, b"x")
    tracemalloc.start()
    try:
        assert compression.unpacked(body, encoding, 1_000) == b"x"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(body) / 2
