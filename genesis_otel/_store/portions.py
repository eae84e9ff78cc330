"""Divides what a statement gets as a parameter among several statements.

In: values, and how many of them go into one statement. A server accepts 128 KiB per parameter (``http_max_field_value_size``): 3,500 ids
of 36 characters. Out: portions, in order. On failure: nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def portions(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """``values`` in portions of at most ``most``; none if there are no values."""
    return (values[first : first + most] for first in range(0, len(values), most))
