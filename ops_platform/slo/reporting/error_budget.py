"""Achievement, error budget and burn of counts, as exact fractions of whole numbers.

Nothing is ever averaged: windows combine by adding good and total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

Severity = Literal["warning", "critical"]
STATES = ("ok", "no_data", "source_missing")
"""States of a window: its events are known, there were none, or they cannot be known."""
WARNING = Fraction(1, 4)
"""The share of the budget at which a warning begins; none left is critical."""


@dataclass(frozen=True)
class Tally:
    """Events of several windows; None when there are ``missing`` ones, whose events cannot be known."""

    good: int | None
    total: int | None
    windows: int
    missing: int

    @classmethod
    def of(cls, counts: Iterable[WindowCount], expected: int | None = None) -> Tally:
        """Add up windows; of ``expected`` ones, those that are not there are missing too."""
        good = total = windows = missing = 0
        for count in counts:
            windows += 1
            if count.good is None or count.total is None:
                missing += 1
            else:
                good, total = good + count.good, total + count.total
        absent = 0 if expected is None else max(0, expected - windows)
        known = windows > 0 and missing + absent == 0
        return cls(good if known else None, total if known else None, windows + absent, missing + absent)

    @property
    def bad(self) -> int | None:
        """Total minus good; None when unknown."""
        return None if self.good is None or self.total is None else self.total - self.good

    @property
    def state(self) -> str:
        """One of STATES."""
        if self.total is None:
            return "source_missing"
        return "ok" if self.total else "no_data"


def achievement(tally: Tally) -> Fraction | None:
    """Compute the share of good events; None when there were no events, or they are unknown."""
    if tally.good is None or not tally.total:
        return None
    return Fraction(tally.good, tally.total)


def remaining(tally: Tally, target: Fraction) -> Fraction | None:
    """Compute the share of the budget left: 1 - B / ((1 - t) T), B bad of T events, target t.

    Not clamped: negative when overspent. None when unknown, and for t = 1, which has no budget.
    """
    if tally.total is None or tally.bad is None or target == 1:
        return None
    if tally.total == 0:
        return Fraction(1)
    return 1 - Fraction(tally.bad) / ((1 - target) * tally.total)


def burn(tally: Tally, target: Fraction) -> Fraction | None:
    """Compute how many times faster than allowed the budget is spent: (B / T) / (1 - t)."""
    if tally.bad is None or not tally.total or target == 1:
        return None
    return Fraction(tally.bad, tally.total) / (1 - target)


def breach(tally: Tally, objective: Objective) -> Severity | None:
    """Judge a tally: with a target of 100 % any bad event is critical, else the budget left decides.

    None: no breach, no events, or unknown.
    """
    if tally.bad is None:
        return None
    if objective.target == 1:
        return "critical" if tally.bad else None
    left = remaining(tally, objective.target)
    if left is None or left > WARNING:
        return None
    return "critical" if left <= 0 else "warning"


def percent(share: Fraction | None, digits: int = 3) -> str:
    """Format a share in percent, without the sign, rounded down: 100 % minus a hair is not 100 %."""
    if share is None:
        return "unknown"
    scaled = math.floor(share * 100 * 10**digits)
    return f"{scaled / 10**digits:.{digits}f}"
