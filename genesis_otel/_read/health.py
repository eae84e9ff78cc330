"""When a run is worth a look: the thresholds that commands, report and dashboards share."""

from __future__ import annotations

QUIET, SILENT = 120, 600
"""Seconds without a sign of life after which that is said, and after which it is alarming; in the dashboards, too."""
STAGNANT = 10
"""Generations without a gain after which that is said; in the dashboards, too. (The alert waits longer.)"""
