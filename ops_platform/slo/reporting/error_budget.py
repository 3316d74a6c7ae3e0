"""What counts mean for a promise: achievement, error budget, burn. Exact fractions of whole numbers.

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
"""Of a window: its events are known, there were none, or they cannot be known."""
WARNING = Fraction(1, 4)
"""Of the budget left: a warning from here on; none left is critical."""


@dataclass(frozen=True)
class Tally:
    """Events of several windows; None when of ``missing`` ones, at least one, they cannot be known."""

    good: int | None
    total: int | None
    windows: int
    missing: int

    @classmethod
    def of(cls, counts: Iterable[WindowCount], expected: int | None = None) -> Tally:
        """``expected``: how many windows there should be; those that are not there are missing too."""
        good = total = windows = missing = 0
        for one in counts:
            windows += 1
            if one.good is None or one.total is None:
                missing += 1
            else:
                good, total = good + one.good, total + one.total
        absent = 0 if expected is None else max(0, expected - windows)
        known = windows > 0 and missing + absent == 0
        return cls(good if known else None, total if known else None, windows + absent, missing + absent)

    @property
    def bad(self) -> int | None:
        return None if self.good is None or self.total is None else self.total - self.good

    @property
    def state(self) -> str:
        if self.total is None:
            return "source_missing"
        return "ok" if self.total else "no_data"


def achievement(tally: Tally) -> Fraction | None:
    """The share of good events; None where there is none or it is unknown."""
    if tally.good is None or not tally.total:
        return None
    return Fraction(tally.good, tally.total)


def remaining(tally: Tally, target: Fraction) -> Fraction | None:
    """1 - B / ((1 - t) T), not clamped; None when unknown, and for t = 1, which has no budget."""
    if tally.total is None or tally.bad is None or target == 1:
        return None
    if tally.total == 0:
        return Fraction(1)
    return 1 - Fraction(tally.bad) / ((1 - target) * tally.total)


def burn(tally: Tally, target: Fraction) -> Fraction | None:
    """How many times faster than allowed the budget is spent: (B / T) / (1 - t)."""
    if tally.bad is None or not tally.total or target == 1:
        return None
    return Fraction(tally.bad, tally.total) / (1 - target)


def breach(tally: Tally, objective: Objective) -> Severity | None:
    """Of 100 % any bad event is critical; else the budget left decides. Unknown and nothing are none."""
    if tally.bad is None:
        return None
    if objective.target == 1:
        return "critical" if tally.bad else None
    left = remaining(tally, objective.target)
    if left is None or left > WARNING:
        return None
    return "critical" if left <= 0 else "warning"


def percent(share: Fraction | None, digits: int = 3) -> str:
    """For reading, rounded down: 100 % minus a hair is not 100 %."""
    if share is None:
        return "unknown"
    scaled = math.floor(share * 100 * 10**digits)
    return f"{scaled / 10**digits:.{digits}f}"
