"""Varints: numbers in as few bytes as needed, seven bits each, lowest first, as in ClickHouse's RowBinary and Native formats and in protobuf; pure.

https://clickhouse.com/docs/interfaces/formats/RowBinary, https://protobuf.dev/programming-guides/encoding/#varints
"""

from __future__ import annotations


def _written(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


SMALL = [_written(number) for number in range(1 << 11)]
"""Covers most lengths: a lookup takes a tenth of the time."""


def varint(number: int) -> bytes:
    """``number``, which must not be negative, as a varint."""
    return SMALL[number] if number < 1 << 11 else _written(number)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at an offset, and the offset of its end.

    :raises IndexError: the data ends within it, or it has more than 64 bits.
    """
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise IndexError(number)
