"""Any input at all: a short run of each property; `make fuzz` runs them for as long as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.properties import PROPERTIES, Ground, ground, tried


@pytest.fixture(scope="module")
def tried_on() -> Iterator[Ground]:
    """What all of them are tried on."""
    with ground() as made:
        yield made


@pytest.mark.parametrize("name", PROPERTIES)
def test_it_holds_for_any_input(name: str, tried_on: Ground) -> None:
    """The property that its function's docstring says, with examples of one seed."""
    tried(name, tried_on, examples=25, seed=1)
