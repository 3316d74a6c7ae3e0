"""The promise to a service's users: indicator, target and period. Its written form is in ``openslo``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ops_platform.slo.objectives.alert_options import USUAL, AlertOptions
from ops_platform.slo.objectives.alert_policy import AlertPolicy
from ops_platform.slo.objectives.indicator import AnyIndicator, GaugeIndicator, Indicator, Slicing, digest
from ops_platform.slo.objectives.period import MONTH, Calendar, Period

__all__ = [
    "MONTH",
    "AlertPolicy",
    "AnyIndicator",
    "Calendar",
    "GaugeIndicator",
    "Indicator",
    "Objective",
    "Period",
    "Slicing",
]


@dataclass(frozen=True)
class Objective:
    """A promise: at least the share ``target``, above 0 and up to 1, of a period's events is good."""

    service: str
    name: str
    title: str
    description: str
    target: Fraction
    indicator: AnyIndicator
    period: Period
    runbook_url: str | None = None
    burn_window_scale: Fraction = Fraction(1)
    """The length of its burn alerts' windows, as a multiple of those of a month's objective."""
    labels: tuple[tuple[str, str], ...] = ()
    """The document's labels by name, under names that Prometheus takes; several values with a comma."""
    annotations: tuple[tuple[str, str], ...] = ()
    """The document's annotations in order of name, without ours."""
    alert_policies: tuple[AlertPolicy, ...] = ()
    alerts: AlertOptions = USUAL

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
        return digest(
            {"indicator": self.indicator.version, "target": str(self.target), "period": str(self.period)}
        )
