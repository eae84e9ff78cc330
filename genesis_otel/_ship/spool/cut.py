"""How far a queue was consumed, and which batch is in flight: the file ``cut`` in the queue's folder.

In: a queue's folder, and positions in it. Out: the positions as last written, replaced as a whole. On failure: a damaged or missing
file is a cut at the first segment left; OSError from :func:`write`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from genesis_otel._emit.interruption import pass_on
from genesis_otel._ship.spool import layout

CUT = "cut"


class Cut(NamedTuple):
    """How far a queue was consumed."""

    segment: int
    start: int
    """The offset in the segment of the first record not taken."""
    end: int
    """The offset of the end of the batch in flight; 0 if there is none."""
    number: int
    """The number of the first record not taken, and so the count of those taken; in queues of 0.1.0, whose records have none, of no meaning."""


def read(path: Path) -> Cut:
    """The cut of the queue in the folder ``path``."""
    try:
        cut = Cut(*(int(number) for number in [*json.loads((path / CUT).read_text()), 0][:4]))
        if cut.segment >= 1 and min(cut) >= (-1 if layout.is_old(path.name) else 0):
            return cut
    except FileNotFoundError as error:
        pass_on(error)
        return Cut(1, 0, 0, 0)
    except (OSError, ValueError, TypeError) as error:
        pass_on(error)
    # Damaged by a power cut: start at the first segment left. What is delivered twice is stored once.
    return Cut(min(layout.segments(path), default=1), 0, 0, 0)


def write(path: Path, cut: Cut) -> None:
    """Replace the cut of the queue in the folder ``path``.

    :raises OSError: it could not be written; then the previous one stands.
    """
    # A search of 0.1.0 waits until what it wrote was taken, and takes a file of four numbers for a damaged one.
    layout.replace(path / CUT, cut[:3] if layout.is_old(path.name) else cut)
