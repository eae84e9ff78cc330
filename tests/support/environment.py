"""Settings for what a test starts: none of whoever runs the tests, and patience.

In: this process's environment. Out: an environment for a process of a test's own, or this one's cleared for the length of a test.
"""

from __future__ import annotations

import os

import pytest

OURS = ("OTEL_", "GENESIS_", "CLICKHOUSE_")
PATIENT = {"GENESIS_OTEL_EXIT_TIMEOUT": "100"}
"""What a search waits for its last spans at most: under the default of 10 s they may come later on a busy machine."""


def without_settings(**more: str) -> dict[str, str]:
    """This process's environment without settings, and ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **PATIENT, **more}


def take_settings_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting out of this process's environment, until the test ends; what it starts is patient."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)
