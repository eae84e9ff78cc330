"""Ends a framework's search that has exceeded its budget, if that was asked for.

In: a search's run, and whether it is to stop, as passed to the framework's hooks. Out: at each step, whether it is to be the last;
the end of the run then says why. On failure: a cost that cannot be told stops nothing, and is logged once.
"""

from __future__ import annotations

import os

from genesis_otel._emit import configured, tally
from genesis_otel._emit.run import BUDGET_VARIABLE, Run
from genesis_otel._log import printed, warn_once
from genesis_otel._money import exceeding
from genesis_otel._truth import truth

VARIABLE = "GENESIS_OTEL_STOP_OVER_BUDGET"


class Stopper:
    """What a search asks before each step."""

    def __init__(self, run: Run, told: bool | None) -> None:
        self.stops = False
        """Whether the search has been told to end."""
        self._run = run
        self._spending = tally.run_tally(run.id).spending
        wanted = _wanted() if told is None else told
        self._spending.will_stop = wanted and self._spending.budget is not None
        if wanted and self._spending.budget is None:
            warn_once(
                f"no budget {run.id}",
                "the run %s is to stop when its budget is spent, but has none: nothing stops it; %s sets one, in USD",
                printed(run.id),
                BUDGET_VARIABLE,
            )

    def is_due(self) -> bool:
        """Whether nothing more is to be started; once true, always true."""
        known = self._spending
        if not self.stops and known.will_stop and known.over_budget:
            self.stops = True
            self._run.stopped(f"over budget: it has cost {exceeding(known.spent, known.budget or 0.0)}")
        return self.stops


def _wanted() -> bool:
    """What ``configure()`` or the environment says."""
    telemetry = configured.current()
    if telemetry is not None:
        return telemetry.stop_over_budget
    return truth(os.environ.get(VARIABLE)) is True
