"""What is promised of a service: an indicator, a target, a period. How it is written is in ``openslo``."""

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
        return tuple(one for one in (self.good, self.bad, self.total) if one is not None)

    @property
    def version(self) -> str:
        """Changes when other events are counted."""
        return _digest({"good": str(self.good), "bad": str(self.bad), "total": str(self.total)})


@dataclass(frozen=True)
class Period:
    """Over which a budget is spent: the last ``days``, or a calendar month in UTC."""

    kind: Literal["rolling", "month"]
    days: int

    def __str__(self) -> str:
        return "month" if self.kind == "month" else f"{self.days}d"

    @property
    def longest(self) -> timedelta:
        """What it can be at most."""
        return timedelta(days=31 if self.kind == "month" else self.days)

    def begins(self, end: datetime) -> datetime:
        """Where the period that ends at ``end`` (UTC) began; of a month, the one ``end`` is the close of."""
        if self.kind == "rolling":
            return end - timedelta(days=self.days)
        last = end - timedelta(microseconds=1)
        return last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


MONTH = Period("month", 30)


@dataclass(frozen=True)
class Objective:
    """``target`` is the share of good events, above 0 and up to 1."""

    service: str
    name: str
    title: str
    description: str
    target: Fraction
    indicator: Indicator
    period: Period
    runbook_url: str | None = None
    burn_window_scale: Fraction = Fraction(1)
    """How many times as long the windows of its burn alerts are as those for a month."""

    @property
    def id(self) -> str:
        """As Sloth calls it."""
        return f"{self.service}-{self.name}"

    @property
    def budget(self) -> Fraction:
        """The share of bad events that is allowed; 0 where everything must be good."""
        return 1 - self.target

    @property
    def version(self) -> str:
        """Changes when anything that its figures depend on does."""
        return _digest(
            {"indicator": self.indicator.version, "target": str(self.target), "period": str(self.period)}
        )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
