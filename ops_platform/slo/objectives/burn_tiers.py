"""Tiers of the burn alerts: how fast a budget may burn, over which windows, before somebody is told.

Source: "Alerting on SLOs", The Site Reliability Workbook, chapter 5: a page for 2 % of the budget in an
hour or 5 % in six, a ticket for 10 % in a day or in three.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from ops_platform.slo.objectives.model import Objective

_MINUTES = (5, 30, 60, 120, 360, 1440, 4320)
"""The windows of the tiers, for periods of about a month."""
REACHABLE = Fraction(4, 5)
"""Share of the fastest possible burn: a tier above it would hardly ever fire."""


@dataclass(frozen=True)
class Tier:
    """A condition of a burn alert: the budget burns ``factor`` times too fast over both windows."""

    severity: Literal["critical", "warning"]
    factor: Fraction
    long_minutes: Fraction
    short_minutes: Fraction

    @property
    def long(self) -> str:
        """The long window as Prometheus writes it."""
        return duration(self.long_minutes)

    @property
    def short(self) -> str:
        """The short window as Prometheus writes it."""
        return duration(self.short_minutes)


def tiers(objective: Objective) -> list[Tier]:
    """Choose the tiers that can fire: with target t the fastest burn is 1 / (1 - t).

    A target of 100 % has none: it has no budget to burn. The slowest tier is always the pace at which the
    budget lasts exactly, so that nothing above it burns the whole budget unseen.
    """
    return list(_tiers(objective.target, objective.burn_window_scale, objective.period.days))


# The rules of one objective ask for its windows some hundred times.
@cache
def _tiers(target: Fraction, scale: Fraction, days: int) -> tuple[Tier, ...]:
    if target == 1:
        return ()
    # Four fifths of what can be; with a target below 20 % that is a pace at which the budget lasts, so
    # there it is half of the way from that pace to the fastest.
    budget = 1 - target
    highest = max(REACHABLE / budget, (1 + 1 / budget) / 2)
    kept: list[Tier] = []
    period = Fraction(days * 1440)

    def keep(severity: Literal["critical", "warning"], share: Fraction, long: Fraction, short: int) -> None:
        # At a burn below 1 the budget lasts the period: no reason to wake anybody.
        factor = min(max(Fraction(1), share * period / long), highest)
        # Of two tiers capped to the same factor, the one with the shorter window fires sooner.
        if not any(other.severity == severity and other.factor <= factor for other in kept):
            kept.append(Tier(severity, factor, long, long / short))

    keep("critical", Fraction(2, 100), 60 * scale, 12)
    keep("critical", Fraction(5, 100), 360 * scale, 12)
    keep("warning", Fraction(10, 100), 1440 * scale, 12)
    keep("warning", Fraction(10, 100), 4320 * scale, 12)
    # Three days of a 90-day period are a burn of 3: below it all would be spent in silence.
    keep("warning", Fraction(10, 100), period / 10, 12)
    return tuple(kept)


def windows(objective: Objective) -> list[Fraction]:
    """List the windows of its burn alerts in minutes, the shortest first."""
    return list(_windows(objective.target, objective.burn_window_scale, objective.period.days))


@cache
def _windows(target: Fraction, scale: Fraction, days: int) -> tuple[Fraction, ...]:
    usual = {minutes * scale for minutes in _MINUTES}
    limits = ((tier.long_minutes, tier.short_minutes) for tier in _tiers(target, scale, days))
    return tuple(sorted(usual.union(*limits)))


def duration(minutes: Fraction) -> str:
    """Write a duration as Prometheus does, in the largest unit that fits: 90m, 2h, 1d."""
    length = seconds(minutes)
    unit, size = next(
        (unit, size) for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if length % size == 0
    )
    return f"{length // size}{unit}"


def seconds(minutes: Fraction) -> int:
    """Convert to whole seconds, rounded down."""
    return int(minutes * 60)
