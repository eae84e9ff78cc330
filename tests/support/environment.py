"""Settings for the processes that a test starts: none of the caller's, and long time limits.

In: this process's environment. Out: an environment for a test's own process, or this one's cleared for the length of a
test.
"""

from __future__ import annotations

import os

import pytest

OURS = ("OTEL_", "GENESIS_", "CLICKHOUSE_")
PATIENT = {"GENESIS_OTEL_EXIT_TIMEOUT": "100"}
"""How long a search waits for its last spans: with the default of 10 s they may arrive later on a busy machine."""


def without_settings(**more: str) -> dict[str, str]:
    """This process's environment without settings, and ``more``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **PATIENT, **more}


def take_settings_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every setting from this process's environment until the test ends; processes that it starts wait
    longer."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)
