"""Amounts of money as text, the same in messages, commands and the report; `page/src/format.js` has the same rule for the page.

In: USD, and the number of calls whose price is unknown. Out: text, in which only 0 looks like 0. On failure: nothing here raises for a
finite number.
"""

from __future__ import annotations

import math


def dollars(amount: float | None) -> str:
    """An amount in USD: cents from a dollar on, four decimal places below, and two digits of what would be 0 with four."""
    if amount is None:
        return ""
    amount = _known(amount)
    size = abs(amount)
    if size >= 1 or not size:
        return f"${amount:,.2f}"
    # A call for a hundred-thousandth of a dollar did cost something.
    return f"${amount:.4f}" if size >= 0.00005 else f"${amount:.{1 - math.floor(math.log10(size))}f}"


def unpriced(calls: int) -> str:
    """The number of calls that an amount leaves out because their price is unknown."""
    return f"+ {calls:,} unpriced" if calls else ""


def money(cost: float | None, calls: int) -> str:
    """An amount in USD, with the number of calls that it leaves out because their price is unknown."""
    return _beside(dollars(cost), calls)


def exceeds(cost: float, budget: float) -> bool:
    """Whether a cost is more than a budget: three calls of 0.1 are not more than 0.3, although their sum is 0.30000000000000004."""
    return _known(cost) > _known(budget)


def exceeding(cost: float, budget: float, calls: int = 0) -> str:
    """A cost that is more than a budget, with as many digits as it takes to see that."""
    spent, allowed = dollars(cost), dollars(budget)
    if spent == allowed:
        spent, allowed = f"${cost:.12g}", f"${budget:.12g}"
    return f"{_beside(spent, calls)}, more than its budget of {allowed}"


def _known(amount: float) -> float:
    """The digits of a sum that do not depend on its order: $0.11065 would be $0.1106 here and $0.1107 there."""
    return float(f"{amount:.12g}")


def _beside(amount: str, calls: int) -> str:
    return " ".join(filter(None, (amount, unpriced(calls))))
