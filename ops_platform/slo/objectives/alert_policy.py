"""Alerts that a document asks for itself: OpenSLO's AlertPolicy with its condition and targets."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True)
class AlertPolicy:
    """An alert on the burn rate over a window of time; all durations are in seconds."""

    name: str
    description: str
    severity: str
    operator: Literal["lt", "lte", "gt", "gte"]
    threshold: Decimal
    """Times the rate at which the budget lasts the period."""
    window_seconds: int
    after_seconds: int
    targets: tuple[str, ...]
    """The names of its notification targets."""
    when_breaching: bool
    when_no_data: bool
