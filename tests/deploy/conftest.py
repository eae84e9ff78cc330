"""What the tests of the services share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.services import run_secrets


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder after the first start."""
    run_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"
