"""Counts of windows for indicators of every kind: events of counters, samples of gauges, slices of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ops_platform.slo.counting import window
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import AnyIndicator, Indicator


def count(indicator: AnyIndicator, reading: Reading, bounds: Sequence[datetime]) -> list[WindowCount]:
    """Count the windows between ``bounds``, which ``reading`` must surround by ``window.SURROUNDINGS``."""
    assert isinstance(indicator, Indicator)  # noqa: S101
    return window.count(indicator, reading, bounds)
