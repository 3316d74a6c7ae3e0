"""The promise to a service's users: indicator, target and period. Its written form is in ``openslo``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from ops_platform.slo.objectives.selector import Selector


@dataclass(frozen=True)
class Indicator:
    """Good events out of all; exactly one of ``good`` and ``bad`` is given."""

    total: Selector
    good: Selector | None = None
    bad: Selector | None = None

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Those of good, bad and total that are given."""
        return tuple(selector for selector in (self.good, self.bad, self.total) if selector is not None)

    @property
    def version(self) -> str:
        """A hash that changes when other events are counted."""
        return _digest({"good": str(self.good), "bad": str(self.bad), "total": str(self.total)})


@dataclass(frozen=True)
class Period:
    """The time over which a budget is spent: the last ``days``, or a calendar month in UTC."""

    kind: Literal["rolling", "month"]
    days: int

    def __str__(self) -> str:
        return "month" if self.kind == "month" else f"{self.days}d"

    @property
    def max_length(self) -> timedelta:
        """The longest that it can be: 31 days for a month."""
        return timedelta(days=31 if self.kind == "month" else self.days)

    def start(self, end: datetime) -> datetime:
        """Find where the period that ends at ``end`` (UTC) began; a month is the one that ``end`` closes."""
        if self.kind == "rolling":
            return end - timedelta(days=self.days)
        last = end - timedelta(microseconds=1)
        return last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


MONTH = Period("month", 30)


@dataclass(frozen=True)
class Objective:
    """A promise: at least the share ``target``, above 0 and up to 1, of a period's events is good."""

    service: str
    name: str
    title: str
    description: str
    target: Fraction
    indicator: Indicator
    period: Period
    runbook_url: str | None = None
    burn_window_scale: Fraction = Fraction(1)
    """The length of its burn alerts' windows, as a multiple of those of a month's objective."""

    @property
    def id(self) -> str:
        """The name that Sloth gives it: service and name."""
        return f"{self.service}-{self.name}"

    @property
    def budget(self) -> Fraction:
        """The share of bad events that is allowed; 0 where everything must be good."""
        return 1 - self.target

    @property
    def version(self) -> str:
        """A hash that changes with anything that its figures depend on: indicator, target, period."""
        return _digest(
            {"indicator": self.indicator.version, "target": str(self.target), "period": str(self.period)}
        )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
