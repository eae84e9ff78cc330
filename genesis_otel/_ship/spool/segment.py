"""Records in a file that is only ever appended to: how they are written, and found again.

In: payloads, or the bytes of such a file. Out: records that can be told from damage, or where the whole ones begin and
end. On failure: what is damaged is passed over and counted, and the records behind it are found.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

MARK = b"\xabGOT"
"""Begins a record; also what is looked for behind a damaged one."""
HEADER = struct.Struct("<4sII")
"""The mark, the payload's length in bytes and its CRC-32."""


def pack(payload: bytes) -> bytes:
    """``payload`` as a record."""
    return HEADER.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def find(data: bytes, *, closed: bool, limit: int = sys.maxsize) -> tuple[list[tuple[int, int]], int]:
    """Beginning and end of the first ``limit`` whole records, and how many damaged places lie before the last of them.

    A place is damaged when a whole record follows it. With nothing behind it, it is a record that is not written to the
    end yet, or, in a ``closed`` file, the half of one whose process died while it wrote: no loss, since the span's end()
    had not returned. Only what cannot be that is counted.
    """
    found: list[tuple[int, int]] = []
    at = damaged = passed = 0
    while len(found) < limit and at + HEADER.size <= len(data):
        end = _end(data, at)
        if end:
            found.append((at, end))
            at, passed = end, damaged
            continue
        following = data.find(MARK, at + 1)
        while following >= 0 and not _end(data, following):
            following = data.find(MARK, following + 1)
        if following < 0:
            if closed:
                mark, length, _ = HEADER.unpack_from(data, at)
                damaged += mark != MARK or at + HEADER.size + length <= len(data)
            break
        damaged += 1
        at = following
    # Damage behind the last of them is met again, and counted, by the next look.
    return found, passed if found else damaged


def count(path: Path, start: int) -> int:
    """Whole records of a file from ``start`` on: by their headers alone, as far as these are right; 0 without the file."""
    found = 0
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while start + HEADER.size <= size:
                file.seek(start)
                mark, length, _ = HEADER.unpack(file.read(HEADER.size))
                if mark != MARK or start + HEADER.size + length > size:
                    file.seek(start)
                    return found + len(find(file.read(), closed=True)[0])
                start += HEADER.size + length
                found += 1
    except (FileNotFoundError, struct.error):
        pass
    return found


def _end(data: bytes, at: int) -> int:
    """Where the record at ``at`` ends; 0 when there is no whole one."""
    if at + HEADER.size > len(data):
        return 0
    mark, length, checksum = HEADER.unpack_from(data, at)
    end = at + HEADER.size + length
    whole = mark == MARK and end <= len(data) and zlib.crc32(memoryview(data)[at + HEADER.size : end]) == checksum
    return end if whole else 0
