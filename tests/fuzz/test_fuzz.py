"""Arbitrary input: a short run of each property; `make fuzz` runs them for a given time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.properties import PROPERTIES, Ground, ground, tried


@pytest.fixture(scope="module")
def tried_on() -> Iterator[Ground]:
    """The objects on which all of them are tried."""
    with ground() as made:
        yield made


@pytest.mark.parametrize("name", PROPERTIES)
def test_it_holds_for_any_input(name: str, tried_on: Ground) -> None:
    """The property in its function's docstring holds, with examples of one seed."""
    tried(name, tried_on, examples=25, seed=1)
