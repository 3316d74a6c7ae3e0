"""Comparing a canary with the stable release, interval by interval, to a verdict with a stated error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ops_platform.errors import ConfigurationError
from ops_platform.slo.canary.evidence import Accumulated, OddsTest, ShareTest, log_mean

Verdict = Literal["good", "worse", "spent", "undecided"]
WORSE = OddsTest(1.0, (1.25, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 30.0))


@dataclass(frozen=True)
class Side:
    """Events of one release in an interval; ``bad`` and ``total`` are None where they are not known."""

    bad: int | None
    total: int | None
    bad_most: int | None
    """Not more than these were bad; None: nothing bounds them."""
    reason: str | None = None
    """Why it is not known."""


@dataclass(frozen=True)
class Interval:
    """What both releases did in the interval that begins at ``start``."""

    start: datetime
    canary: Side
    stable: Side


@dataclass(frozen=True)
class Limits:
    """What is asked of a canary.

    ``allowed_share`` is the share of bad events that the objective allows, ``tolerance`` the odds ratio from
    which a canary is harmful if it also exceeds that share. ``error_rate`` bounds the probability of calling
    a canary worse that is not, and, separately, of calling a harmful one good. ``most_bad``: bad events that
    it may have. ``unknown_intervals``: intervals of the canary in which nothing bounds its bad events.
    """

    allowed_share: float
    most_bad: int
    tolerance: float = 1.5
    error_rate: float = 0.01
    least_intervals: int = 5
    unknown_intervals: int = 5

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a limit that no comparison can have."""
        if not 1 < self.tolerance <= 100:
            raise ConfigurationError(f"a tolerance of {self.tolerance:g} cannot be: use 1.1 to 100")
        if not 0 < self.error_rate <= 0.2:
            raise ConfigurationError(f"an error rate of {self.error_rate:g} cannot be: use 0.0001 to 0.2")
        if self.most_bad < 0:
            raise ConfigurationError("a canary cannot have less than 0 bad events: give 0 or more")


class Comparison:
    """Evidence so far. A verdict other than ``undecided`` stands: what comes after it changes nothing."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.intervals = self.known_intervals = self.unbounded_intervals = 0
        self.canary_bad = self.canary_total = self.stable_bad = self.stable_total = 0
        """Of the known intervals."""
        self.spent = 0
        """Bad events of the canary at most, in all intervals that are bounded."""
        self.verdict: Verdict = "undecided"
        self.unknown_reason: str | None = None
        self._like = OddsTest(limits.tolerance, (1.0,))
        within = limits.allowed_share
        self._within = ShareTest(within, (within / 2, within / 4, within / 16)) if within else None
        self._worse = Accumulated(len(WORSE.alternatives))
        self._as_good = Accumulated(1)
        self._inside = Accumulated(3)

    def add(self, interval: Interval) -> Verdict:
        """Take an interval into account; return the verdict that now stands."""
        if self.verdict != "undecided":
            return self.verdict
        self.intervals += 1
        canary, stable = interval.canary, interval.stable
        self.unknown_reason = canary.reason or stable.reason
        if canary.bad_most is None:
            self.unbounded_intervals += 1
        else:
            self.spent += canary.bad_most
        if canary.bad is not None and canary.total is not None:
            if stable.bad is not None and stable.total is not None:
                self._compare(canary.bad, canary.total, stable.bad, stable.total)
            if self._within is not None:
                self._inside.add(self._within.logs(canary.bad, canary.total))
        self.verdict = self._judge()
        return self.verdict

    def _compare(self, canary_bad: int, canary: int, stable_bad: int, stable: int) -> None:
        self.known_intervals += 1
        self.canary_bad += canary_bad
        self.canary_total += canary
        self.stable_bad += stable_bad
        self.stable_total += stable
        self._worse.add(WORSE.logs(canary_bad, canary, stable_bad, stable))
        self._as_good.add(self._like.logs(canary_bad, canary, stable_bad, stable))

    def _judge(self) -> Verdict:
        if self.spent > self.limits.most_bad:
            return "spent"
        enough = -math.log(self.limits.error_rate)
        if self.evidence_worse >= enough:
            return "worse"
        # What nothing bounds may have spent the budget: that is never good.
        if self.evidence_good >= enough and self.known_intervals >= self.limits.least_intervals:
            return "undecided" if self.is_blind else "good"
        return "undecided"

    @property
    def is_blind(self) -> bool:
        """Whether too much of the canary cannot be known to go on with it."""
        return self.unbounded_intervals > self.limits.unknown_intervals

    @property
    def evidence_worse(self) -> float:
        """Natural logarithm of the evidence that the canary is worse than the stable release."""
        return self._worse.log

    @property
    def evidence_good(self) -> float:
        """Natural logarithm of the evidence that the canary is not harmful.

        That is evidence against the tolerated odds ratio, or against exceeding the allowed share; their mean
        is evidence against both together.
        """
        if self._within is None:
            return self._as_good.log
        return log_mean((self._as_good.log, self._inside.log))

    @property
    def reason(self) -> str:
        """What the verdict rests on, in a line."""
        counts = (
            f"{self.canary_bad} of {self.canary_total} events of the canary are bad, "
            f"{self.stable_bad} of {self.stable_total} of the stable release"
        )
        if self.verdict == "spent":
            return f"the canary may have {self.limits.most_bad} bad events and has up to {self.spent}"
        if self.verdict == "worse":
            return f"the canary is worse: {counts}"
        if self.verdict == "good":
            return f"the canary is not harmful: {counts}"
        if self.is_blind:
            return f"{self.unbounded_intervals} intervals of the canary are not known: {self.unknown_reason}"
        if not self.canary_total or not self.stable_total:
            whose = "the canary" if not self.canary_total else "the stable release"
            return f"no events of {whose} are known" + (
                f": {self.unknown_reason}" if self.unknown_reason else ""
            )
        return f"too few events to tell: {counts}"

    def as_json(self) -> dict[str, Any]:
        """Make plain values: counts, evidence as factors' logarithms to base 10, and the verdict."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "intervals": self.intervals,
            "known_intervals": self.known_intervals,
            "canary": {"bad": self.canary_bad, "total": self.canary_total, "bad_most": self.spent},
            "stable": {"bad": self.stable_bad, "total": self.stable_total},
            "evidence_log10": {
                "worse": round(self.evidence_worse / math.log(10), 3),
                "good": round(self.evidence_good / math.log(10), 3),
                "needed": round(-math.log10(self.limits.error_rate), 3),
            },
            "limits": {
                "allowed_share": self.limits.allowed_share,
                "tolerance": self.limits.tolerance,
                "error_rate": self.limits.error_rate,
                "most_bad": self.limits.most_bad,
            },
        }
