"""Achievement, error budget and burn of counts, as exact fractions of whole numbers.

Nothing is ever averaged: windows combine by adding good and total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

Severity = Literal["warning", "critical"]
STATES = ("ok", "no_data", "source_missing", "bounded")
"""States: events are known, there were none, nothing bounds them, or only their least and most are known."""
Verdict = Literal["met", "at risk", "breached", "undecided"]
VERDICTS: tuple[Verdict, ...] = ("met", "at risk", "breached", "undecided")
_SEVERITIES: dict[Verdict, Severity | None] = {
    "met": None,
    "at risk": "warning",
    "breached": "critical",
    "undecided": "warning",
}
WARNING = Fraction(1, 4)
"""The share of the budget at which a warning begins; none left is critical."""


@dataclass(frozen=True)
class Tally:
    """Events of several windows; None when there are ``missing`` ones, whose events cannot be known.

    ``bounds`` are those of all of them together; None when one of the missing has no bound.
    """

    good: int | None
    total: int | None
    windows: int
    missing: int
    bounds: Bounds | None = None

    @classmethod
    def of(cls, counts: Iterable[WindowCount], expected: int | None = None) -> Tally:
        """Add up windows; of ``expected`` ones, those that are not there are missing too."""
        windows = missing = 0
        bounds: Bounds | None = Bounds.exactly(0, 0)
        for count in counts:
            windows += 1
            of_window = count.bounds
            if count.good is None or count.bad is None:
                missing += 1
            else:
                of_window = Bounds.exactly(count.good, count.bad)
            bounds = None if bounds is None or of_window is None else bounds + of_window
        absent = 0 if expected is None else max(0, expected - windows)
        if not windows or absent:
            bounds = None
        return cls.within(bounds, windows + absent, missing + absent)

    @classmethod
    def within(cls, bounds: Bounds | None, windows: int, missing: int) -> Tally:
        """Make a tally of the sum of bounds: exact when no window is missing."""
        if bounds is None or missing:
            return cls(None, None, windows, missing, bounds)
        return cls(bounds.good_least, bounds.good_least + bounds.bad_least, windows, 0, bounds)

    @property
    def bad(self) -> int | None:
        """Total minus good; None when unknown."""
        return None if self.good is None or self.total is None else self.total - self.good

    @property
    def known(self) -> Bounds | None:
        """The bounds, which are exact when all is known."""
        if self.bounds is None and self.good is not None and self.bad is not None:
            return Bounds.exactly(self.good, self.bad)
        return self.bounds

    @property
    def state(self) -> str:
        """One of STATES."""
        if self.total is None:
            return "source_missing" if self.bounds is None else "bounded"
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


def achievement_bounds(tally: Tally) -> tuple[Fraction, Fraction] | None:
    """Compute the least and most share of good events; None when nothing bounds it, or nothing happened."""
    bounds = tally.known
    if bounds is None:
        return None
    worst, best = bounds.good_least + bounds.bad_most, bounds.good_most + bounds.bad_least
    if not worst or not best:
        return None
    return Fraction(bounds.good_least, worst), Fraction(bounds.good_most, best)


def remaining_bounds(tally: Tally, target: Fraction) -> tuple[Fraction, Fraction] | None:
    """Compute least and most share of the budget left; None when nothing bounds it, and for t = 1."""
    bounds = tally.known
    if bounds is None or target == 1:
        return None

    def left(good: int, bad: int) -> Fraction:
        return 1 - Fraction(bad) / ((1 - target) * (good + bad)) if good + bad else Fraction(1)

    return left(bounds.good_least, bounds.bad_most), left(bounds.good_most, bounds.bad_least)


def verdict(tally: Tally, objective: Objective) -> Verdict:
    """Judge what is certain of an objective, whatever its unknown hours held.

    ``met``: more than a quarter of the budget is left. ``at risk``: some is. ``breached``: nothing is, even
    at best. ``undecided``: that depends on what is unknown.
    """
    bounds = tally.known
    if bounds is None:
        return "undecided"
    if objective.target == 1:
        return "breached" if bounds.bad_least else "undecided" if bounds.bad_most else "met"
    left = remaining_bounds(tally, objective.target)
    assert left is not None  # noqa: S101 - there are bounds, and a budget
    least, most = left
    if most <= 0:
        return "breached"
    if least > WARNING:
        return "met"
    return "at risk" if least > 0 else "undecided"


def breach(tally: Tally, objective: Objective) -> Severity | None:
    """Grade a tally for alerts: critical when breached; a warning when at least that cannot be excluded.

    With a target of 100 % any bad event is a breach. None: no breach, no events, or nothing bounds them.
    """
    if tally.known is None:
        return None
    return _SEVERITIES[verdict(tally, objective)]


def percent(share: Fraction | None, digits: int = 3) -> str:
    """Format a share in percent, without the sign, rounded down: 100 % minus a hair is not 100 %."""
    if share is None:
        return "unknown"
    scaled = math.floor(share * 100 * 10**digits)
    return f"{scaled / 10**digits:.{digits}f}"


def percent_between(bounds: tuple[Fraction, Fraction] | None, digits: int = 3) -> str:
    """Format a share that is bounded: ``99.810 to 99.950``; one number when least and most are the same."""
    if bounds is None:
        return "unknown"
    least, most = (percent(share, digits) for share in bounds)
    return least if least == most else f"{least} to {most}"
