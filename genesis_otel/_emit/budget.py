"""What a run has cost, and whether that is more than its budget.

In: costs as calls end, a budget, and who is to be told. Out: the cost so far, and one warning once the budget is exceeded. On failure:
what the caller's function raises is logged; a call without a price makes "not exceeded yet" unknown. No lock is taken: each thread adds
to a sum of its own.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable

from genesis_otel._emit.interruption import pass_on
from genesis_otel._log import printed
from genesis_otel._money import dollars, exceeding, exceeds

logger = logging.getLogger(__name__)


class Spending:
    """A run's cost and budget, as far as this process knows."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.budget: float | None = None
        self.paid: dict[int, float] = {}
        """The run's cost in USD, by thread, so that no two threads add to the same number; key 0 is the cost from earlier processes."""
        self._adding: set[int] = set()
        """The threads that are adding: a signal handler or a finaliser that pays meanwhile has a sum of its own, or it would be overwritten."""
        self._within = itertools.count(-1, -1)
        self.to_tell: list[Callable[[float], object] | None] = []
        """The callback to call, once, when the budget is spent; empty after that, or without a budget."""
        self.unpriced = False
        """Whether a call has no price: then the run has cost more than is known."""
        self.will_stop = False
        """Whether the search ends when the budget is spent; the warning says so."""

    def limit(self, budget: float | None, tell: Callable[[float], object] | None) -> None:
        """Set the run's budget; once it is exceeded, that is logged, and ``tell`` is called with the cost so far."""
        self.budget = budget
        self.to_tell = [] if budget is None else [tell]
        if self.unpriced:
            self._warn_unpriced()
        self._watch_budget()

    def pay(self, cost: float) -> None:
        """Add to the run's cost."""
        if cost > 0:
            thread = threading.get_ident()
            if thread in self._adding:
                self.paid[next(self._within)] = cost
            else:
                self._adding.add(thread)
                try:
                    self.paid[thread] = self.paid.get(thread, 0.0) + cost
                finally:
                    self._adding.discard(thread)
            self._watch_budget()

    def paid_before(self, cost: float) -> None:
        """Add what earlier processes paid."""
        self.paid[0] = self.paid.get(0, 0.0) + cost

    def miss_price(self) -> None:
        """Note that a call of the run has no price."""
        if not self.unpriced:
            self.unpriced = True
            self._warn_unpriced()

    def _warn_unpriced(self) -> None:
        if self.budget is not None and not self.over_budget:
            logger.warning(
                "the run %s has calls without a price: until the priced ones exceed its budget of %s, it is unknown whether the "
                "budget is spent; set GENESIS_OTEL_PRICES to a file with your own prices",
                printed(self.run_id),
                dollars(self.budget),
            )

    @property
    def spent(self) -> float:
        """The run's cost so far, as far as this process knows, without calls that have no price."""
        return sum(list(self.paid.values()))

    @property
    def over_budget(self) -> bool | None:
        """Whether the budget is exceeded; None if that is unknown: no budget is known here, or a call has no price."""
        if self.budget is None:
            return None
        return True if exceeds(self.spent, self.budget) else None if self.unpriced else False

    def _watch_budget(self) -> None:
        if not self.to_tell or not self.over_budget:
            return
        try:
            tell = self.to_tell.pop()
        except IndexError:  # another thread reports it
            return
        spent = self.spent
        then = ": it stops at its next step" if self.will_stop else ""
        logger.warning("the run %s has cost %s%s", printed(self.run_id), exceeding(spent, self.budget or 0.0), then)
        if tell is not None:
            try:
                tell(spent)
            except Exception as error:
                pass_on(error)
                logger.warning("on_over_budget of the run %s raised", printed(self.run_id), exc_info=True)
