"""The counts of windows by the kind of the indicator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ops_platform.slo.counting import window
from ops_platform.slo.counting.kinds import gauge_window, time_slices
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.window import WindowCount
from ops_platform.slo.objectives import AnyIndicator, Indicator


def count(
    indicator: AnyIndicator,
    reading: Reading,
    bounds: Sequence[datetime],
    whole: Sequence[datetime] | None = None,
) -> list[WindowCount]:
    """Count the windows between ``bounds``, which ``reading`` must surround by ``window.SURROUNDINGS``.

    ``whole``: the bounds of the windows that these are parts of, when they are.
    """
    if isinstance(indicator, Indicator):
        counts = window.count(indicator, reading, bounds)
        if indicator.slicing is None:
            return counts
        return time_slices.count_events(indicator, indicator.slicing, reading, counts)
    scored = gauge_window.count(indicator, reading, bounds, whole)
    if indicator.slicing is None:
        return [counted for _, counted in scored]
    return [time_slices.count_scores(scores, indicator.slicing, counted) for scores, counted in scored]
