"""A store for the commands to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.searched import GOING_ON, LATER, end_store, fill, search_spans


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose store holds a search that ended and one that is still running."""
    data = tmp_path_factory.mktemp("filled")
    fill(data / "store", search_spans(), search_spans(GOING_ON, ends=False, facts=LATER))
    yield data
    end_store(data / "store")
