"""What a test of emitting has recorded."""

from __future__ import annotations

import pytest

from tests.support.recording import Recorded, record


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The spans of a provider of the test's own."""
    return record(monkeypatch)
