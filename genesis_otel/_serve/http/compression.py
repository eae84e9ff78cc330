"""Compression of request and response bodies: ``Content-Encoding``, and ClickHouse's own frames.

In: bytes, or pieces of them. Out: the same, decompressed or compressed, a response piece by piece. On failure:
`RefusedError` with ClickHouse's code: unknown encoding (48), damaged (40, 271, 354), larger than allowed (307).

A frame (``compress=1``, ``decompress=1``): the CityHash128 (version 1.0.2) of what follows it, then the method, the frame's
size from the method on, the decompressed size, the data.
"""

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from genesis_otel._serve.http.guard import RefusedError, unsupported

FRAME_BYTES = 1 << 20
"""Maximum decompressed size of a response frame, as in ClickHouse."""
ENCODINGS = ("lz4", "zstd", "gzip", "deflate")
"""The first one that a client accepts is used: cheapest first."""
FIRST_STEP, LAST_STEP = 1 << 12, 1 << 20
"""Bytes of a compressed stream that are read at once, at first and at most. What follows a stream is copied with its last step: if that were
the whole body, 80,000 streams in 3 MB would take 5 s of CPU."""
NONE, LZ4, ZSTD = 0x02, 0x82, 0x90

_HEADER = struct.Struct("<16sBII")
_BEHIND_HASH = 9
"""Bytes of a frame's header that its size includes: method and both sizes."""
_ACCEPTED = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q=(\d*(?:\.\d*)?))?")


def unpacked(packed: bytes, encoding: str, limit: int) -> bytes | bytearray:
    """A body without its ``Content-Encoding``; decompresses only a little more than ``limit`` bytes."""
    if encoding in ("", "identity"):
        return packed
    plain = bytearray()
    body = memoryview(packed)
    at = 0
    # One stream after the other: clickhouse-connect compresses each block of an insert separately, and everything after the first
    # stream would be lost silently.
    while at < len(body) and len(plain) <= limit:
        decompressor = _decompressor(encoding)
        step = FIRST_STEP
        while not decompressor.eof and len(plain) <= limit:
            step_bytes = body[at : at + step]
            if not step_bytes:  # truncated; the rest could pass for the whole body
                raise _not_decompressed(encoding)
            try:
                plain += decompressor.decompress(step_bytes, limit + 1 - len(plain))
            except Exception as error:
                raise _not_decompressed(encoding) from error
            at += len(step_bytes) - len(decompressor.unused_data or b"")
            step = min(2 * step, LAST_STEP)
    return plain


def unframed(framed: bytes, limit: int) -> bytes:
    """The contents of a body's frames; at most ``limit`` bytes."""
    pieces: list[bytes] = []
    at = size = 0
    while at < len(framed):
        if len(framed) - at < _HEADER.size:
            raise _damaged("The last frame's header is incomplete.")
        checksum, method, packed_size, plain_size = _HEADER.unpack_from(framed, at)
        end = at + 16 + packed_size
        if packed_size < _BEHIND_HASH or end > len(framed):
            raise _damaged("A frame is shorter than its header says.")
        if checksum != _checksum(framed[at + 16 : end]):
            raise RefusedError(40, "CHECKSUM_DOESNT_MATCH", "A frame's checksum does not match its data.")
        size += plain_size
        if size > limit:
            raise too_large(limit)
        pieces.append(_decompressed_frame(method, framed[at + _HEADER.size : end], plain_size))
        at = end
    return b"".join(pieces)


def framed(data: bytes) -> bytes:
    """``data`` in LZ4 frames, as ClickHouse answers ``compress=1``."""
    frames: list[bytes] = []
    for at in range(0, len(data), FRAME_BYTES):
        plain = data[at : at + FRAME_BYTES]
        packed = _lz4().block.compress(plain, store_size=False)
        frame = struct.pack("<BII", LZ4, len(packed) + _BEHIND_HASH, len(plain)) + packed
        frames += (_checksum(frame), frame)
    return b"".join(frames)


def chosen(accepted: str) -> str:
    """The encoding for a client that sends this ``Accept-Encoding``; empty for none."""
    named = {name.lower() for name, weight in _ACCEPTED.findall(accepted) if not weight or weight.strip("0.")}
    return next((each for each in ENCODINGS if each in named), "")


def packer(encoding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Two functions: one compresses a piece so that the client can read it at once, one ends the stream."""
    if encoding in ("gzip", "deflate"):
        zipper = zlib.compressobj(1, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
        return lambda piece: zipper.compress(piece) + zipper.flush(zlib.Z_SYNC_FLUSH), zipper.flush
    if encoding == "lz4":
        frame = _lz4().frame.LZ4FrameCompressor(auto_flush=True)
        begun = [frame.begin()]
        return (
            lambda piece: (begun.pop() if begun else b"") + frame.compress(piece),
            lambda: (begun.pop() if begun else b"") + frame.flush(),
        )
    if encoding == "zstd":
        zstd = _zstd().ZstdCompressor()
        return lambda piece: bytes(zstd.compress(piece, zstd.FLUSH_BLOCK)), lambda: bytes(zstd.flush())
    return lambda piece: piece, lambda: b""


def packed(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """A response's pieces, compressed one by one."""
    pack, end = packer(encoding)
    try:
        for piece in pieces:
            yield pack(piece)
        yield end()
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def too_large(limit: int) -> RefusedError:
    """TOO_MANY_BYTES."""
    return RefusedError(307, "TOO_MANY_BYTES", f"A request may have at most {limit} bytes here, decompressed.")


def _decompressor(encoding: str) -> Any:
    if encoding in ("gzip", "deflate"):
        return zlib.decompressobj(47 if encoding == "gzip" else 15)
    if encoding == "lz4":
        return _lz4().frame.LZ4FrameDecompressor()
    if encoding == "zstd":
        return _zstd().ZstdDecompressor()
    raise unsupported(f"The encoding '{encoding}' is not supported here; use {', '.join(ENCODINGS)} or none.")


def _not_decompressed(encoding: str) -> RefusedError:
    return RefusedError(354, "ZLIB_INFLATE_FAILED", f"The {encoding} body cannot be decompressed, or is incomplete.")


def _decompressed_frame(method: int, data: bytes, size: int) -> bytes:
    if method not in (NONE, LZ4, ZSTD):
        raise unsupported(f"The method {method:#04x} of a frame is not supported here; use LZ4, ZSTD or none.")
    try:
        plain = data
        if method == LZ4:
            plain = bytes(_lz4().block.decompress(data, uncompressed_size=size)) if size else b""
        elif method == ZSTD:
            plain = bytes(_zstd().ZstdDecompressor().decompress(data, size + 1))
    except Exception as error:
        raise _damaged("A frame's data cannot be decompressed.") from error
    if len(plain) != size:
        raise _damaged("The size of a frame's data does not match its header.")
    return plain


def _damaged(reason: str) -> RefusedError:
    return RefusedError(271, "CANNOT_DECOMPRESS", reason)


def _checksum(data: bytes) -> bytes:
    from clickhouse_cityhash.cityhash import CityHash128  # type: ignore[import-untyped]

    value = CityHash128(data)
    return struct.pack("<QQ", value >> 64, value & 0xFFFFFFFFFFFFFFFF)


def _lz4() -> Any:
    import lz4.block  # type: ignore[import-untyped]
    import lz4.frame  # type: ignore[import-untyped]

    return lz4


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
