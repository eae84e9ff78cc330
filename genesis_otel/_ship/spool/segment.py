"""Records in a file that is only ever appended to: how they are written, and found again.

In: payloads with their numbers, or the bytes of such a file. Out: records that can be told from damage. On failure: what is
damaged is passed over, and the records behind it are found; their numbers tell how many are missing in between.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import pass_on

MARK = b"\xabGO2"
"""Begins a record; also what is looked for behind a damaged one."""
HEADER = struct.Struct("<4sIII")
"""The mark, the payload's length in bytes, the CRC-32 of number and payload, the record's number in its queue, from 0 on: four
thousand million of them, more than a process can end in a year."""
OLD_MARK, OLD_HEADER = b"\xabGOT", struct.Struct("<4sII")
"""The same as genesis-otel 0.1.0 wrote it: without a number."""


class Found(NamedTuple):
    """A whole record in a file."""

    payload: int
    """Where its payload begins."""
    end: int
    number: int
    """Its number in the queue; -1 where the format has none."""


def pack(payload: bytes, number: int) -> bytes:
    """``payload`` as a record."""
    return HEADER.pack(MARK, len(payload), zlib.crc32(payload, number), number) + payload


def find(data: bytes, *, closed: bool, limit: int = sys.maxsize, old: bool = False) -> tuple[list[Found], int]:
    """The first ``limit`` whole records, and how many damaged places lie before the last of them.

    A place is damaged when a whole record follows it. With nothing behind it, it is a record that is not written to the
    end yet, or, in a ``closed`` file, the half of one whose process died while it wrote: no loss, since the span's end()
    had not returned. Only what cannot be that is counted.
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
    # Damage behind the last of them is met again, and counted, by the next look.
    return found, passed if found else damaged


def count(path: Path, start: int, *, old: bool = False) -> int:
    """Whole records of a file from ``start`` on: by their headers alone, as far as these are right; 0 where it cannot be read."""
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
    """The whole record at ``at``."""
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
