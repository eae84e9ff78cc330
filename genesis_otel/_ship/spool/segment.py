"""Encodes records for an append-only file, and finds them in it again.

In: payloads with their numbers, or the bytes of such a file. Out: records that can be distinguished from damage. On failure:
damage is skipped, and the records after it are found; their numbers show how many are missing in between.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genesis_otel._emit.interruption import pass_on

MARK = b"\xabGO2"
"""Begins a record; also what to search for after a damaged one."""
HEADER = struct.Struct("<4sIII")
"""The mark, the payload's length in bytes, the CRC-32 of number and payload, and the record's number in its queue, from 0: 2^32 of
them, more than the spans that a process can end in a year."""
OLD_MARK, OLD_HEADER = b"\xabGOT", struct.Struct("<4sII")
"""The same in genesis-otel 0.1.0's format, without a number."""


class Found(NamedTuple):
    """A whole record in a file."""

    payload: int
    """Offset of its payload."""
    end: int
    number: int
    """Its number in the queue; -1 if the format has none."""


def pack(payload: bytes, number: int) -> bytes:
    """``payload`` as a record."""
    return HEADER.pack(MARK, len(payload), zlib.crc32(payload, number), number) + payload


def read(file: BinaryIO, number: int, rows: int, size: int) -> list[bytes]:
    """The payloads of whole records from a file's position on: those numbered from ``number`` on without a gap, at most ``rows`` and ``size`` bytes.

    They are read one by one: to read a batch and then take its records out of it needs twice the memory, and new pages cost more than the rest.
    """
    found: list[bytes] = []
    while len(found) < rows:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            break
        begins, length, checksum, numbered = HEADER.unpack(header)
        size -= HEADER.size + length
        if begins != MARK or numbered != number or size < 0:
            break
        payload = file.read(length)
        if len(payload) < length or zlib.crc32(payload, number) != checksum:
            break
        found.append(payload)
        number += 1
    return found


def find(data: bytes, *, closed: bool, limit: int = sys.maxsize, old: bool = False) -> tuple[list[Found], int]:
    """The first ``limit`` whole records, and how many damaged places lie before the last of them.

    A place is damaged if a whole record follows it. If none does, it is a record still being written, or, in a ``closed``
    file, one whose process died while writing it: not a loss, since the span's end() had not returned. Only what cannot be
    either is counted.
    """
    mark, header = (OLD_MARK, OLD_HEADER) if old else (MARK, HEADER)
    found: list[Found] = []
    at = damaged = passed = 0
    while len(found) < limit and at + header.size <= len(data):
        record = _record(data, at, old)
        if record is not None:
            found.append(record)
            at, passed = record.end, damaged
            continue
        following = data.find(mark, at + 1)
        while following >= 0 and _record(data, following, old) is None:
            following = data.find(mark, following + 1)
        if following < 0:
            if closed:
                begins, length = header.unpack_from(data, at)[:2]
                damaged += begins != mark or at + header.size + length <= len(data)
            break
        damaged += 1
        at = following
    # Damage after the last record is found again, and counted, by the next call.
    return found, passed if found else damaged


def count(path: Path, start: int, *, old: bool = False) -> int:
    """The number of whole records in a file from ``start`` on, by headers alone as long as they are intact; 0 if it cannot be read."""
    mark, header = (OLD_MARK, OLD_HEADER) if old else (MARK, HEADER)
    found = 0
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while start + header.size <= size:
                file.seek(start)
                begins, length = header.unpack(file.read(header.size))[:2]
                if begins != mark or start + header.size + length > size:
                    file.seek(start)
                    return found + len(find(file.read(), closed=True, old=old)[0])
                start += header.size + length
                found += 1
    except (OSError, struct.error) as error:
        pass_on(error)
    return found


def _record(data: bytes, at: int, old: bool) -> Found | None:
    """The record at ``at``; None if it is not whole."""
    mark, header = (OLD_MARK, OLD_HEADER) if old else (MARK, HEADER)
    begin = at + header.size
    if begin > len(data):
        return None
    begins, length, checksum, *numbers = header.unpack_from(data, at)
    end, number = begin + length, (numbers[0] if numbers else -1)
    if begins != mark or end > len(data):
        return None
    whole = zlib.crc32(memoryview(data)[begin:end], max(0, number)) == checksum
    return Found(begin, end, number) if whole else None
